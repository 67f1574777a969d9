# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The reference's JSON or jsonl as demonstrations to train on.

Steps are grouped to episodes by their ids, such as `data/episode_0/step_12`: the last number
counts the steps, what stands before it names the episode. Codes of the pictures are made by the
caller, who has a frozen VQGAN; knows files and numbers only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lapa_core.data import images, reference_json
from lapa_core.data.demos import DataReport, Demo, DemoSet, EpisodeReport
from lapa_core.data.reference_json import GRIPPER
from lapa_core.errors import DataError
from lapa_core.robot import Robot
from lapa_core.types import NUM_AXES, FloatArray, ImageArray

_ID = re.compile(r"(?P<episode>.*?)[/_-]*(?:step|frame|image|img)?[/_-]*(?P<step>\d+)")


@dataclass(frozen=True)
class Step:
    """One step of somebody's demonstrations.

    Attributes:
        episode: what names the episode in the id.
        step: its place there.
        image: the picture's file; it is there.
        instruction: the words of the task alone.
        action: (7,) delta and gripper as the file has them, its polarity included.
        state: (7,) measured tool pose and gripper, (0,) where the file has none.
    """

    episode: str
    step: int
    image: Path
    instruction: str
    action: FloatArray
    state: FloatArray


def read_steps(path: Path, images_root: Path | None = None) -> Iterator[Step]:
    """The steps of a JSON or jsonl file, in its order.

    Args:
        path: the file.
        images_root: what `image` is relative to; default: the file's folder. The reference
            calls it `image_absolute_path`.

    Raises:
        DataError: the file or a step of it is wrong, or a picture is missing.
    """
    root = path.parent if images_root is None else images_root
    for number, record in enumerate(reference_json.records(path)):
        where = f"{path}: step {number}"
        episode, step = parse_id(reference_json.text_of(record, "id", where), where)
        image = root / reference_json.text_of(record, "image", where)
        if not image.is_file():
            raise DataError(
                f"{where}: no picture at {image}; name the folder that {record['image']} is "
                "relative to"
            )
        action = reference_json.raw_action(record, where)
        if not 0.0 <= action[GRIPPER] <= 1.0:
            raise DataError(f"{where}: gripper {action[GRIPPER]:g} is not between 0 and 1")
        words = reference_json.instruction(record, where)
        yield Step(episode, step, image, words, action, reference_json.states(record, where))


def parse_id(text: str, where: str) -> tuple[str, int]:
    """Episode and step that an id names.

    Raises:
        DataError: it does not end in a number.
    """
    found = _ID.fullmatch(text)
    if found is None:
        raise DataError(f"{where}: id {text!r} does not end in the number of a step")
    return found["episode"] or "episode", int(found["step"])


def by_episode(steps: Iterable[Step]) -> dict[str, tuple[Step, ...]]:
    """Episode -> its steps in order; episodes in order of appearance.

    Raises:
        DataError: a step is there twice, or only some have a state.
    """
    grouped: dict[str, dict[int, Step]] = {}
    for step in steps:
        episode = grouped.setdefault(step.episode, {})
        if step.step in episode:
            raise DataError(f"step {step.step} of {step.episode} is there twice")
        episode[step.step] = step
    if len({len(s.state) for e in grouped.values() for s in e.values()}) > 1:
        raise DataError("only some of the steps have states")
    return {name: tuple(e[k] for k in sorted(e)) for name, e in grouped.items()}


def read_image(path: Path) -> ImageArray:
    """(H, W, 3) RGB of a picture's file, JPEG or PNG.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return images.decode_compressed(path.read_bytes(), path.suffix)
    except OSError as error:
        raise DataError(f"picture {path} cannot be read: {error.strerror}") from None
    except (DataError, cv2.error) as error:
        raise DataError(f"picture {path}: {error}") from None


def demo_set(
    path: Path,
    robot: Robot,
    encode: Callable[[str, Sequence[Path]], NDArray[np.uint32]],
    images_root: Path | None = None,
) -> DemoSet:
    """The demonstrations of a JSON or jsonl file.

    Args:
        path: the file.
        robot: whose they are: names its dimensions, first camera, step time, and what the
            file's gripper numbers mean. The file says none of this.
        encode: episode, n pictures' files -> (v, n, N) codes of the frozen VQGAN, variant 0 as
            a policy sees it.
        images_root: see `read_steps`.

    Raises:
        DataError: see `read_steps` and `by_episode`; or the robot has other than one arm.
    """
    if len(robot.arms) != 1:
        raise DataError(
            f"{path} has {NUM_AXES} numbers a step, of one arm; {robot.name} has "
            f"{len(robot.arms)} arms"
        )
    polarity = robot.arms[0].gripper.polarity
    episodes = by_episode(read_steps(path, images_root))
    demos = [_demo(name, e, encode, polarity) for name, e in episodes.items()]
    has_state = any(d.state.shape[1] for d in demos)
    lengths = [EpisodeReport(d.name, len(d), len(d)) for d in demos]
    report = DataReport(str(path), tuple(lengths), settings={"labels": "as in the file"})
    return DemoSet(
        robot=robot.name,
        dimensions=robot.dimensions,
        cameras=(robot.cameras[0].name,),
        state_names=robot.dimensions if has_state else (),
        step_time_s=robot.step_time_s,
        gripper=polarity,
        demos=tuple(demos),
        report=report,
    )


def _demo(
    name: str,
    steps: Sequence[Step],
    encode: Callable[[str, Sequence[Path]], NDArray[np.uint32]],
    polarity: str,
) -> Demo:
    codes = encode(name, [s.image for s in steps])
    actions = np.array([s.action for s in steps])
    if polarity == "open_is_zero":
        actions[:, GRIPPER] = 1.0 - actions[:, GRIPPER]
    return Demo(
        name=name,
        codes=codes[:, :, np.newaxis, :],
        actions=actions,
        state=np.array([s.state for s in steps]).reshape(len(steps), -1),
        index=np.array([s.step for s in steps], dtype=np.int64),
        instructions=tuple(s.instruction for s in steps),
        authority=("teleop",) * len(steps),
    )
