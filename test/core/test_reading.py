# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Image tokens of a new model learn what the decoder draws of them; nothing else learns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from toy_demos import WORDS, toy_demos

from lapa_core.errors import ConfigError

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Two threads of so small a model wait for each other whenever another process computes."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def begun(cameras: int = 1, **changes: object):
    """A model from nothing, its image tokenizer, and demonstrations of few different cells."""
    import torch

    from lapa_core.train.feed import Feed
    from lapa_core.train.presets import resolve
    from lapa_core.train.start import Start, ready

    options = resolve("debug", read_steps=240, places=True, **changes)
    demos = toy_demos(4, 12, cameras=cameras)
    chance = np.random.default_rng(3)
    few = []
    for demo in demos.demos:  # each picture all of one code, of four: little to be remembered
        each = chance.choice(np.uint32([5, 90, 300, 411]), (*demo.codes.shape[:3], 1))
        few.append(replace(demo, codes=np.broadcast_to(each, demo.codes.shape)))
    demos = replace(demos, demos=tuple(few))
    checkpoint = ready(Start.scratch("debug", sentences=WORDS), demos, options)
    with torch.no_grad():  # a decoder that nobody has trained draws hardly anything
        checkpoint.vqgan.decoder.conv_out.weight.mul_(30)
    return checkpoint, Feed(demos, checkpoint), options


@pytest.mark.parametrize("cameras", [1, 2])
def test_what_codes_stand_for_is_learnt_by_half_of_the_layers(cameras: int) -> None:
    import torch

    from lapa_core.train.reading import learn_to_read

    checkpoint, feed, options = begun(cameras)
    model = checkpoint.lapa
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    half = (len(model.model.layers) + 1) // 2
    said: list[str] = []
    left = learn_to_read(
        model, checkpoint.vqgan, feed, options, torch.device("cpu"), said.append, batch_size=8
    )
    assert left < 0.5, "four different pictures"
    assert said[-1].startswith("reading: 240 of 240 updates")
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert {"vision_embed.weight", "vision_position.weight"} <= changed
    layers = {int(n.split(".")[2]) for n in changed if n.startswith("model.layers.")}
    assert layers == set(range(half))
    others = {n for n in changed if not n.startswith(("model.layers.", "vision_"))}
    assert others == set(), "words, state, actions and heads are as they were"
    assert len(model.model.layers) > half


def test_the_same_seed_reads_the_same() -> None:
    import torch

    from lapa_core.train.reading import learn_to_read

    found = []
    for _ in range(2):
        checkpoint, feed, options = begun()
        options = replace(options, read_steps=3)
        learn_to_read(checkpoint.lapa, checkpoint.vqgan, feed, options, torch.device("cpu"))
        found.append(checkpoint.lapa.state_dict())
    assert all(torch.equal(t, found[1][n]) for n, t in found[0].items())


def test_fewer_than_no_updates_are_refused() -> None:
    from lapa_core.train.presets import resolve

    with pytest.raises(ConfigError, match="read_steps must be 0 or more"):
        resolve("debug", read_steps=-1)
