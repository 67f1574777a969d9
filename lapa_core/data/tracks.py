# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Reads everything of a recorded episode that is no picture into `labels.Tracks`.

These streams are small: ten minutes of two arms are some 60 000 poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lapa_core.control.compose import Pose, compose, inverse
from lapa_core.data import labels, messages
from lapa_core.data.episodes import AUTHORITY, EXECUTED, INSTRUCTION, Recording
from lapa_core.data.labels import SAME_TICK_NS, Timeline, Tracks
from lapa_core.data.state import pose
from lapa_core.errors import DataError
from lapa_core.types import NUM_AXES, ActionChunk, FloatArray

STOOD_BEFORE = 100  # times `SAME_TICK_NS`: longer than any step time


def read(recording: Recording) -> Tracks:
    """Read everything but the pictures.

    Raises:
        DataError: a stream is missing, nobody moved the arm, or messages that do not fit the
            robot.
    """
    robot, bag = recording.robot, recording.bag
    names = [a.name for a in robot.arms]
    executed = recording.require(EXECUTED)
    targets = {recording.require(f"{n}/ee_target"): n for n in names}
    measured = {recording.topic(f"{n}/ee_pose"): n for n in names}
    others = {recording.topic(AUTHORITY), recording.topic(INSTRUCTION)}
    wanted = {executed, *targets, *((others | set(measured)) & set(recording.topics))}
    kept: dict[str, tuple[list[int], list[Any]]] = {t: ([], []) for t in wanted | others}
    for topic, type_, arrived_ns, raw in bag.messages(wanted):
        msg = bag.decode(type_, raw)
        times, values = kept[topic]
        times.append(arrived_ns)
        if topic == executed:
            values.append(_step(messages.action_chunk(msg), recording))
        elif topic in targets or topic in measured:
            values.append(Pose(*pose(msg)))
        else:
            values.append(str(msg.data))
    if not kept[executed][0]:
        raise DataError(f"{recording.folder}: nobody moved the arm: {executed} has no message")
    steps = Timeline(*map(tuple, kept[executed]))
    return Tracks(
        dimensions=robot.dimensions,
        arms=tuple(names),
        step_time_s=robot.step_time_s,
        targets={
            n: _from_before(Timeline(*map(tuple, kept[t])), steps, i)
            for i, (t, n) in enumerate(targets.items())
        },
        measured={n: Timeline(*map(tuple, kept.get(t, ((), ())))) for t, n in measured.items()},
        steps=steps,
        authority=_authority(kept[recording.topic(AUTHORITY)], recording),
        instruction=_instruction(kept[recording.topic(INSTRUCTION)], recording),
    )


def _step(chunk: ActionChunk, recording: Recording) -> FloatArray:
    """(d,) of a message of `executed/ee_delta`."""
    wanted = recording.robot.dimensions
    if chunk.names != wanted or len(chunk) != 1 or not np.all(np.isfinite(chunk.deltas)):
        raise DataError(
            f"{recording.folder}: {EXECUTED} of {len(chunk)} steps {list(chunk.names)}; valid: "
            f"one finite step of {list(wanted)}"
        )
    row: FloatArray = chunk.deltas[0]
    return row


def _from_before(targets: Timeline, steps: Timeline, index: int) -> Timeline:
    """The targets, with the one before the first step: an arm that rested published none."""
    begins_ns, first = steps.times_ns[0], steps.values[0]
    delta = first[index * NUM_AXES : (index + 1) * NUM_AXES]
    soon = targets.within(0, begins_ns + SAME_TICK_NS)
    if not targets.times_ns or abs(targets.times_ns[0] - begins_ns) > SAME_TICK_NS:
        return targets  # known before; or later, of which no label is made
    first_target: Pose = targets.values[0]
    start = first_target if _leads(delta, soon) else compose(first_target, inverse(delta))
    # It stood until then; repeated as the topic does, so that it is not too old.
    until_ns = min(begins_ns, targets.times_ns[0]) - 1
    times = [until_ns - k * SAME_TICK_NS for k in range(STOOD_BEFORE, -1, -1)]
    return Timeline((*times, *targets.times_ns), (*[start] * len(times), *targets.values))


def _leads(delta: FloatArray, targets: Sequence[Pose]) -> bool:
    """Whether the first of the targets stood before the step that brought about a later one."""
    end = compose(targets[0], delta)
    return any(labels.same(end, later) for later in targets[1:]) and not labels.same(
        end, targets[0]
    )


def _authority(kept: tuple[list[int], list[Any]], recording: Recording) -> Timeline:
    """The states; the first, and where the bag has no such topic all, are those of episode.yaml.

    The topic is latched: its newest message may be older than the recording.
    """
    times, texts = kept
    changes = recording.episode.authority
    if times:
        before = [(0, c.state) for c in changes[:1]]
        after = [(t, text.partition(": ")[0]) for t, text in zip(times, texts, strict=True)]
    else:
        begins_ns = recording.bag.begins_ns
        before, after = [], [(begins_ns + round(c.at_s * 1e9), c.state) for c in changes]
    states = [*before, *after]
    return Timeline(tuple(t for t, _ in states), tuple(state for _, state in states))


def _instruction(kept: tuple[list[int], list[Any]], recording: Recording) -> Timeline:
    times, texts = kept
    return Timeline((0, *times), (recording.episode.instruction, *texts))
