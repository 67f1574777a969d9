# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Demonstrations as the reference's JSON and pictures, for its `finetune_preprocess.py`.

    OUT/finetune.json             a list of steps, see `data.reference_json`
    OUT/<episode>/step_<k>.jpg    what a decision saw; k is the step's place on the episode's grid

The reference knows one arm, one camera, one step a decision, and a gripper of 0 or 1: it cuts
the number to a whole one, so that 0.99 would be closed. Openings are therefore rounded, at 0.5.
Their polarity is that of the robot file, as of everything a model learns from.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lapa_core.data.reference_json import GRIPPER, IMAGE_TAG, question
from lapa_core.data.report import DataReport, EpisodeReport
from lapa_core.data.samples import LabelledSample
from lapa_core.errors import ConfigError, DataError, unknown
from lapa_core.export.folder import Output, lasting
from lapa_core.export.source import (
    Source,
    Steps,
    fingerprint,
    read,
    report_from_json,
    report_to_json,
)
from lapa_core.recording import disk
from lapa_core.types import ImageArray

KIND = "reference-json"
FORMAT = 1
FILE = "finetune.json"
PIECES = "pieces"
JPEG_QUALITY = 95  # as the recorder's own
# File ending -> parameters of cv2.imwrite.
PICTURES = {"jpg": (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY), "png": ()}


def export(
    source: Source,
    out: Path,
    pictures: str = "jpg",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DataReport | None:
    """Write the folder.

    Args:
        source: what is exported, with one camera.
        out: folder to be written.
        pictures: `jpg`, or `png` for the very pixels a policy saw.
        progress: called after every episode, with how many are done of how many.

    Returns:
        What was exported and what was left out; None if exactly this was there already.

    Raises:
        DataError: an episode cannot be read, no step is left, or `out` holds something else; the
            robot has other than one arm.
        ConfigError: no such kind of pictures, or more than one camera.
        RecordingError: the disk refuses.
    """
    if pictures not in PICTURES:
        raise ConfigError(unknown("kind of pictures", pictures, PICTURES, KIND))
    _check(source)
    keys = {f.name: fingerprint(source, f, FORMAT, pictures) for f in source.folders}
    output = Output(out, KIND)
    content = {"format": FORMAT, "pictures": pictures, "episodes": keys}
    if output.is_whole(content):
        return None
    output.begin()
    try:
        with lasting(output.work):
            reports = _write(source, output.work, keys, pictures, progress)
        output.finish(content)
    finally:
        output.close()
    return source.report_of(reports)


def _check(source: Source) -> None:
    robot = source.robot
    if len(robot.arms) != 1:
        raise DataError(
            f"the reference's JSON has 7 numbers a step, of one arm; {robot.name} has "
            f"{len(robot.arms)} arms"
        )
    if len(source.samples.cameras) != 1:
        raise ConfigError(
            "the reference's JSON has one camera; choose one of "
            f"{', '.join(source.samples.cameras)}"
        )
    for folder in source.folders:
        if folder.name == PIECES:
            raise DataError(f"an episode cannot be called {PIECES}")


def _write(
    source: Source,
    root: Path,
    keys: dict[str, str],
    pictures: str,
    progress: Callable[[int, int], None],
) -> list[EpisodeReport]:
    for stranger in [*root.iterdir(), *(root / PIECES).glob("*")]:  # of another call
        if stranger.is_dir() and stranger.name not in (*keys, PIECES):
            shutil.rmtree(stranger)
    disk.make_folder(root / PIECES)
    records, reports = [], []
    for done, folder in enumerate(source.folders):
        progress(done, len(source.folders))
        place, key = root / PIECES / f"{folder.name}.json", keys[folder.name]
        piece = _load(place, key)
        if piece is None:
            steps = read(source, folder)
            found = _episode(source, steps, root / folder.name, pictures)
            piece = {"key": key, "records": found, "report": report_to_json(steps.report)}
            disk.write_durably(place, json.dumps(piece).encode())
        records += piece["records"]
        reports.append(report_from_json(piece["report"]))
    progress(len(source.folders), len(source.folders))
    if not records:
        raise DataError(f"no step is left to export of {', '.join(keys)}")
    text = json.dumps(records, indent=1, ensure_ascii=False)
    (root / FILE).write_text(text, encoding="utf-8")
    shutil.rmtree(root / PIECES)
    return reports


def _episode(source: Source, steps: Steps, folder: Path, pictures: str) -> list[dict[str, Any]]:
    """Write the pictures of an episode; its part of the JSON."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    found = []
    for sample in steps:
        name = f"{folder.name}/step_{sample.index}"
        image = f"{name}.{pictures}"
        seen = sample.observation.images[source.samples.cameras[0]]
        _save(folder.parent / image, seen, PICTURES[pictures])
        found.append(_record(source, sample, name, image))
    return found


def _record(source: Source, sample: LabelledSample, name: str, image: str) -> dict[str, Any]:
    """A step as the reference has it."""
    action = sample.action.tolist()
    opening = float(sample.action[GRIPPER] >= 0.5)
    is_reversed = source.robot.arms[0].gripper.polarity == "open_is_zero"
    action[GRIPPER] = 1.0 - opening if is_reversed else opening
    answer: dict[str, Any] = {"from": "gpt", "raw_actions": action}
    if state := [float(v) for v in sample.observation.state.values()]:
        answer["states"] = {
            "eef_pos": state[:3],
            "eef_euler": state[3:6],
            "gripper_state": state[GRIPPER],
        }
    asked = IMAGE_TAG + question(sample.observation.instruction)
    conversations = [{"from": "human", "value": asked}, answer]
    return {"id": name, "image": image, "conversations": conversations}


def _save(path: Path, image: ImageArray, params: tuple[int, ...]) -> None:
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    path.write_bytes(cv2.imencode(path.suffix, bgr, list(params))[1].tobytes())


def _load(path: Path, key: str) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None
    return content if content["key"] == key else None
