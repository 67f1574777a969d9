# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Named errors for what a user can mend: what was wrong, what is valid, where.

A plain `ValueError` or `assert` elsewhere means a bug of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LapaError(Exception):
    """Base of every error a user of lapa_ros can act on."""


class ConfigError(LapaError):
    """A robot file, parameter or command line is wrong."""


class DataError(LapaError):
    """A message, image or recording cannot be used as it is."""


class AccessError(LapaError):
    """A file cannot be read or written now: rights, a device, no room. It may be whole."""


class RecordingError(LapaError):
    """A recording cannot be written, completed or recovered."""


class DiskFullError(RecordingError):
    """The disk that a recording goes to has no room left."""


class CheckpointError(LapaError):
    """A checkpoint is incomplete, of another format, or made for another robot."""


class TrainingError(LapaError):
    """Training cannot go on; what was saved before is as it was."""


class DecodeError(LapaError):
    """A model output has no meaning, such as a token outside its table."""


class StaleInput(LapaError):  # noqa: N818 - the name operators read in `authority`
    """An input the decision depends on is missing or too old."""


class UnsafeAction(LapaError):  # noqa: N818 - the name operators read in `authority`
    """A command that the arm must not be given."""


def unknown(what: str, got: object, valid: Iterable[object], where: str) -> str:
    """Say that `got` is no valid `what`, list the valid ones and name the nearest.

    >>> unknown("camera", "frnt", ["front", "wrist"], "wx250s.yaml")
    "unknown camera 'frnt' in wx250s.yaml; valid: 'front', 'wrist' (did you mean 'front'?)"
    """
    names = [str(v) for v in valid]
    near = difflib.get_close_matches(str(got), names, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    listed = ", ".join(repr(n) for n in names) or "none"
    return f"unknown {what} {str(got)!r} in {where}; valid: {listed}{hint}"
