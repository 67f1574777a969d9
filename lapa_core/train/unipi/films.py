# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Pairs of frames -> films of some frames a gap apart, and what is done in them, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lapa_core.errors import ConfigError
from lapa_core.label import words
from lapa_core.train.laq.footage import Footage


def films(footage: Footage, frames: int) -> Footage:
    """A film of each pair: its two pictures, and those that follow.

    A pair whose second picture begins none, as at the end of a clip, ends in that picture, which
    then stays.

    Args:
        footage: pairs.
        frames: pictures of a film after the first.

    Raises:
        ConfigError: fewer than 1.
    """
    if frames < 1:
        raise ConfigError(f"a film needs 1 frame to come or more, got {frames}")
    rows = [footage.rows[:, 0], footage.rows[:, 1]]
    key = footage.owner * (int(footage.rows.max()) + 1)
    order = np.argsort(key + rows[0])
    known = (key + rows[0])[order]
    while len(rows) < frames + 1:
        wanted = key + rows[-1]
        place = order[np.minimum(np.searchsorted(known, wanted), len(known) - 1)]
        follows = (key + rows[0])[place] == wanted
        rows.append(np.where(follows, footage.rows[place, 1], rows[-1]))
    return replace(footage, rows=np.stack(rows[: frames + 1], axis=1))


def spoken(footage: Footage, listed: Mapping[str, str]) -> list[str]:
    """What is done at the first picture of each film; "" where nobody says."""
    said = []
    for clip, row in zip(footage.owner.tolist(), footage.rows[:, 0].tolist(), strict=True):
        time_s = float(footage.clips[clip].times_s[row])
        said.append(words.of(footage.sources[clip], time_s, listed))
    return said
