# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What follows from what a policy says: alike in training, validation and on the robot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from toy_demos import toy_demos

from lapa_core.data import spoken
from lapa_core.data.demos import DemoSet
from lapa_core.errors import ConfigError
from lapa_core.types import AXES

pytestmark = pytest.mark.torch
READS = ("arm/target_x", "arm/target_y", "arm/target_z", "arm/target_yaw", "arm/gripper")
SAID = "end,turn,left,way"
# Down to a thing, which is taken, and to a place where it is let go; then up.
Z_M = np.array([0.12, 0.08, 0.02, 0.02, 0.08, 0.12, 0.08, 0.05, 0.05, 0.09])
OPEN = np.array([1, 1, 1, 0, 0, 0, 0, 0, 1, 1], dtype=np.float64)


def carrying(count: int = 4) -> DemoSet:
    """Each carries something along x, its tool turning, and reads where it is."""
    toy = toy_demos(count, 10)
    demos = []
    for number, demo in enumerate(toy.demos):
        place = np.column_stack([0.03 * np.arange(10) + 0.01 * number, np.full(10, 0.05), Z_M])
        heading = 2.9 + 0.05 * np.arange(10) + 0.1 * number  # past half a turn
        actions = demo.actions.copy()
        actions[:, 6] = OPEN
        state = np.column_stack([place, (heading + np.pi) % (2 * np.pi) - np.pi, OPEN])
        demos.append(
            replace(demo, actions=actions, state=state, tool=place, heading=heading[:, None])
        )
    return replace(toy, demos=tuple(demos), state_names=READS)


def made(demos: DemoSet, **changes: Any) -> Any:
    from lapa_core.train.presets import resolve
    from lapa_core.train.start import Start, ready

    said = sorted({i for d in demos.demos for i in d.instructions})
    options = resolve("debug", places=True, aim_bins=24, aim_also=SAID, **changes)
    return ready(Start.scratch("debug", sentences=said), demos, options)


def test_ways_are_said_last_and_need_a_height() -> None:
    told = spoken.names(tuple(f"arm/{axis}" for axis in AXES), spoken.also(SAID))
    assert [n.removeprefix("arm/") for n in told] == [
        "end_x", "end_y", "aim_x", "aim_y", "aim_z", "aim_yaw", "left",
        "way_x", "way_y", "way_z", "way_yaw",
    ]  # fmt: skip
    assert [spoken.unit(n) for n in told[-4:]] == ["m", "m", "m", "rad"]


def test_a_way_leads_from_the_tool_to_the_place_that_was_said() -> None:
    from lapa_core.model.ways import Ways
    from lapa_core.train.feed import Feed

    demos = carrying()
    checkpoint = made(demos)
    bins = checkpoint.aims
    ways = Ways(bins, checkpoint.states)
    names = [n.removeprefix("arm/") for n in bins.dimensions]
    assert sorted(ways.places) == [names.index(f"way_{a}") for a in ("x", "y", "z", "yaw")]
    assert [n for n, asked in zip(names, ways.asked, strict=True) if not asked] == names[-4:]
    feed = Feed(demos, checkpoint)
    batch = feed.batch(feed.in_order(np.arange(20)))
    codes = feed._aims[:20]
    place = bins.decode(codes)
    state = np.concatenate([d.state for d in demos.demos])[:20]
    for axis in range(3):
        far = place[:, names.index(f"aim_{'xyz'[axis]}")] - state[:, axis]
        row = bins.edges[names.index(f"way_{'xyz'[axis]}")]
        code = codes[:, names.index(f"way_{'xyz'[axis]}")]
        assert (row[code] <= far + 1e-12).all() and (far - 1e-12 <= row[code + 1]).all()
    turn = place[:, names.index("way_yaw")]
    wanted = place[:, names.index("aim_yaw")] - state[:, 3]
    wanted = (wanted + np.pi) % (2 * np.pi) - np.pi
    assert np.abs(turn - wanted).max() < 0.1 and np.abs(wanted).max() < 1.0  # the short way
    # They are read, and nothing is asked of them.
    from lapa_core.model.vocabulary import Table

    here = batch.target_tables == Table.ACTION
    weights = batch.loss[here].reshape(20, -1)
    assert (weights[:, names.index("way_x") : len(names)] == 0).all()
    assert (weights[:, : names.index("way_x")] == 1).all() and (
        weights[:, len(names) :] == 1
    ).all()
    unknown = codes.copy()
    unknown[:, names.index("aim_x")] = bins.num_bins[names.index("aim_x")]
    filled = ways.fill(unknown, state)
    assert (filled[:, names.index("way_x")] == bins.num_bins[names.index("way_x")]).all()


def test_what_a_way_follows_from_must_be_read() -> None:
    demos = carrying()
    blind = replace(
        demos, state_names=READS[:1],
        demos=tuple(replace(d, state=d.state[:, :1]) for d in demos.demos),
    )  # fmt: skip
    from lapa_core.train.feed import Feed

    with pytest.raises(ConfigError, match=r"way_y follows from arm/target_y, which is not"):
        Feed(blind, made(blind))


def test_validation_and_policy_compute_the_same_ways() -> None:
    import torch

    from lapa_core.model.ways import Ways
    from lapa_core.policy import Policy
    from lapa_core.train.feed import Feed
    from lapa_core.train.validation import free_scores

    demos = carrying()
    checkpoint = made(demos)
    with torch.no_grad():
        checkpoint.lapa.action_head.weight.mul_(30)  # far from ties
    ways, feed = Ways(checkpoint.aims, checkpoint.states), Feed(demos, checkpoint)
    samples = np.arange(6)
    batch = feed.batch(feed.in_order(samples))
    scores = free_scores(checkpoint.lapa, batch, checkpoint.num_bins, ways)
    policy = Policy(checkpoint)
    demo = demos.demos[0]
    for sample in samples:
        state = dict(zip(READS, demo.state[sample].tolist(), strict=True))
        given = policy._given(state)
        known = policy._generator(
            demo.instructions[sample], demo.codes[0, sample].astype(np.int64),
            checkpoint.states.tokens(state), given,
        )  # fmt: skip
        np.testing.assert_allclose(scores[sample].numpy(), known.step_logits, atol=2e-3)
        said = known.tokens[: len(checkpoint.aims.dimensions)][None]
        np.testing.assert_array_equal(ways.fill(said, demo.state[sample][None]), said)
    free = free_scores(checkpoint.lapa, batch, checkpoint.num_bins)
    assert not torch.allclose(free, scores, atol=1e-2)  # it would have said something else


def test_a_trained_policy_says_its_ways(tmp_path: Any) -> None:
    from lapa_core.model.ways import Ways
    from lapa_core.policy import Policy
    from lapa_core.train.finetune import finetune
    from lapa_core.train.presets import resolve
    from lapa_core.train.start import Start

    demos = carrying(8)
    said = sorted({i for d in demos.demos for i in d.instructions})
    options = resolve("debug", aim_bins=24, aim_also=SAID, tracker="none", steps=4)
    ended = finetune(Start.scratch("debug", sentences=said), demos, tmp_path / "p", options)
    assert ended.best is not None
    policy = Policy.from_checkpoint(tmp_path / "p")
    ways = Ways(policy.checkpoint.aims, policy.checkpoint.states)
    grey = np.full((64, 64, 3), 128, dtype=np.uint8)
    found = []
    for x in np.linspace(0.0, 0.4, 5):
        values = np.array([x, 0.05, 0.08, 3.0, 1.0])
        state = dict(zip(READS, values.tolist(), strict=True))
        told = policy.predict(grey, said[0], state).tokens[None, : len(ways.asked)]
        np.testing.assert_array_equal(ways.fill(told, values[None]), told)
        found.append(policy.aim(told[0])["arm/way_x"])
    assert len(set(found)) > 2
