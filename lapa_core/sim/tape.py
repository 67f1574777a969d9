# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Writes one demonstration in a `Cell` as the recorder would have written it, audited likewise.

The clock is the simulation's. What is sensed is written when it is so, once a step, and a little
later each, as messages take time; the executed delta half a step after its step began. There
`data.labels` expects it: its decision times stand half a step before the steps, where a live
policy, which needs time, looked at the picture. In a cell it needs none.
"""

from __future__ import annotations

import datetime
import functools
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from lapa_core import __version__
from lapa_core import robot as robots
from lapa_core.audit.capture import CaptureAudit
from lapa_core.audit.plan import Plan, plan_for
from lapa_core.data.episodes import AUTHORITY, EXECUTED, INSTRUCTION
from lapa_core.data.streams import absolute
from lapa_core.recording import episode as episodes
from lapa_core.recording import folders, outgoing
from lapa_core.recording.bag import BagSummary, BagWriter
from lapa_core.recording.episode import AuthorityChange, Episode, Outcome, Stream
from lapa_core.recording.jpeg import COMPRESSED, SUFFIX
from lapa_core.robot import Robot
from lapa_core.sim.cell import Cell
from lapa_core.types import ActionChunk, ImageArray, Observation

TELEOP = "teleop/ee_delta"
NS = 1_000_000_000
MS = 1_000_000
# Simulated time has no date; episodes of one set must not overlap. 2026-01-01, then 100 s each.
BEGIN_NS, EPISODE_NS = 1_767_225_600 * NS, 100 * NS
# How long messages take until they are recorded [ns]; all sensors before the decision's time.
STATE_LATE, IMAGE_LATE, ASKED_LATE, HANDED_LATE, DECISION_LATE = (n * MS for n in range(1, 6))
OPERATOR, DEVICE = "scripted demonstrator", "simulation"
POLICY, HANDED = "policy", "following policy"  # as the controller says it


@dataclass(frozen=True)
class Rig:
    """What is the same for all tapes of one robot.

    Attributes:
        robot: as it is recorded: its cameras are those recorded, at the rate and size they are.
        text: its file.
        plan: what the audit expects.
        types: topic -> type, in the order of the bag.
        quality: of the JPEGs.
    """

    robot: Robot
    text: str
    plan: Plan
    types: dict[str, str]
    quality: int


def rig(
    name_or_path: str, cameras: tuple[str, ...], image_size: tuple[int, int] | None, quality: int
) -> Rig:
    """Prepare to record a robot.

    Args:
        name_or_path: of the robot, as `robot.load` takes it.
        cameras: that are recorded; none: the robot's first.
        image_size: width, height of the pictures; None: as the robot file says.
        quality: of the JPEGs.

    Raises:
        ConfigError: no such robot or camera.
    """
    text = _as_recorded(name_or_path, cameras, image_size)
    robot = robots.parse(yaml.safe_load(text), robots.load(name_or_path).source)
    types = {_picture_topic(robot, c.name): COMPRESSED for c in robot.cameras}
    for arm in robot.arms:
        types[absolute(arm.joint_states, "")] = outgoing.JOINT_STATE
        types[f"/{arm.name}/ee_pose"] = types[f"/{arm.name}/ee_target"] = outgoing.POSE
        types[f"/{arm.name}/gripper_target"] = outgoing.NUMBER
    types[f"/{EXECUTED}"] = types[f"/{TELEOP}"] = outgoing.TRAJECTORY
    types[f"/{AUTHORITY}"] = types[f"/{INSTRUCTION}"] = outgoing.STRING
    return Rig(robot, text, plan_for(robot, types), types, quality)


def _as_recorded(
    name_or_path: str, cameras: tuple[str, ...], image_size: tuple[int, int] | None
) -> str:
    """The robot file, with the cameras that are recorded, as they are."""
    robot = robots.load(name_or_path)
    content: dict[str, Any] = yaml.safe_load(Path(robot.source).read_text(encoding="utf-8"))
    wanted = [robot.camera(c).name for c in cameras or (robot.cameras[0].name,)]
    content["cameras"] = [c for c in content["cameras"] if c["name"] in wanted]
    for camera in content["cameras"]:
        camera["rate_hz"] = 1.0 / robot.step_time_s
        if image_size is not None:
            camera["width"], camera["height"] = image_size
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _picture_topic(robot: Robot, camera: str) -> str:
    return absolute(robot.camera(camera).topic, "").removesuffix(SUFFIX) + SUFFIX


class Tape:
    """One episode being written.

    Attributes:
        folder: `episode_NNNN.partial`, until `close`.
        steps: executed so far.
    """

    def __init__(
        self, rig: Rig, root: Path, number: int, cell: Cell, checkpoint: str = ""
    ) -> None:
        """Begin, with a cell whose trial has just begun.

        Args:
            rig, root, number, cell: how, where, which, and of what.
            checkpoint: of a policy that moves the arm too, or "".

        Raises:
            RecordingError: the disk refuses.
        """
        self.steps = 0
        self.folder = folders.partial(root, number)
        self._rig, self._cell, self._number = rig, cell, number
        self._checkpoint = checkpoint
        self._base_ns = BEGIN_NS + number * EPISODE_NS
        self._arm = rig.robot.arms[0]
        self._first_ns = self._now_ns
        # Nothing is flushed by age, so that the same episode gives the same bytes.
        self._bag = BagWriter(self.folder, clock=lambda: 0.0)
        self._ids = {
            name: self._bag.add_topic(outgoing.topic(name, kind, latched=_is_latched(name)))
            for name, kind in rig.types.items()
        }
        self._audit = CaptureAudit(rig.plan, self._first_ns, rig.types)
        self._authority: list[AuthorityChange] = []
        self._opening = float("nan")
        self._put(f"/{INSTRUCTION}", 0, outgoing.text(cell.trial.instruction))
        self._note(*cell.authority, 0)

    @property
    def _now_ns(self) -> int:
        return self._base_ns + self._cell.stamp_ns

    def sense(self, observation: Observation) -> None:
        """Write what is seen and felt now: before every step, and at the end."""
        arm, stamp = self._arm, self._now_ns
        names, position, velocity = self._cell.sim.joint_state(arm.name)
        topic = absolute(arm.joint_states, "")
        data = outgoing.joint_state(names, position, velocity, stamp)
        self._put(topic, STATE_LATE, data, stamp)
        self._audit.on_joints(topic, stamp + STATE_LATE, names, position)
        for which, pose in (("ee_pose", self._cell.measured), ("ee_target", self._cell.target)):
            data = outgoing.pose(pose, arm.base_frame, stamp)
            self._put(f"/{arm.name}/{which}", STATE_LATE, data, stamp)
        for name, picture in observation.images.items():
            self._picture(name, picture)

    def _picture(self, camera: str, picture: ImageArray) -> None:
        topic, stamp = _picture_topic(self._rig.robot, camera), self._now_ns
        quality = [cv2.IMWRITE_JPEG_QUALITY, self._rig.quality]
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        content = cv2.imencode(".jpg", bgr, quality)[1].tobytes()
        frame_id = self._rig.robot.camera(camera).frame_id
        self._put(topic, IMAGE_LATE, outgoing.jpeg(content, frame_id, stamp), stamp, content)
        small = np.ascontiguousarray(picture[::4, ::4, 1])  # green: brightness and detail
        self._audit.on_image(topic, stamp + IMAGE_LATE, small, outgoing.JPEG_FORMAT)

    def ask(self, chunk: ActionChunk) -> None:
        """Write what the demonstrator asks for, before the cell acts."""
        stamp = self._base_ns + chunk.stamp_ns
        self._put(f"/{TELEOP}", ASKED_LATE, outgoing.chunk(chunk, stamp), stamp)

    def told(self, theirs: bool = False) -> None:
        """Write what the arm was told, after the cell has acted.

        Args:
            theirs: somebody else has acted, as a policy. He was handed the arm before the step was
                decided, also where it ended in a hold; else it would be the demonstrator's.
        """
        step_ns = round(self._rig.robot.step_time_s * NS)
        late = DECISION_LATE + step_ns // 2 - step_ns  # of the step that has just ended
        if theirs and (not self._authority or self._authority[-1].state != POLICY):
            self._note(POLICY, HANDED, HANDED_LATE - step_ns)
        self._note(*self._cell.authority, late)
        for chunk in self._cell.executed():
            stamp = self._base_ns + chunk.stamp_ns
            self._put(f"/{EXECUTED}", late, outgoing.chunk(chunk, stamp), stamp)
            opening = float(chunk.deltas[-1, -1])
            if opening != self._opening:
                self._opening = opening
                topic = f"/{self._arm.name}/gripper_target"
                self._put(topic, late, outgoing.number(opening))
            self.steps += 1

    def close(self, outcome: Outcome) -> Episode:
        """Complete the episode: it has its name, and is on disk, when this returns.

        Raises:
            RecordingError: the disk refuses.
        """
        summary = self._bag.close()
        episode = self._episode(outcome, summary)
        episodes.write(episode, self.folder)
        self.folder = folders.complete(self.folder)
        return episode

    def abort(self) -> None:
        """Write no more; the partial folder stays."""
        self._bag.abort()

    def _note(self, state: str, reason: str, late_ns: int) -> None:
        """Write who has authority, if that has changed."""
        last = self._authority[-1] if self._authority else None
        if last is None or (last.state, last.reason) != (state, reason):
            at_s = round((self._now_ns + late_ns - self._first_ns) / NS, 3)
            self._authority.append(AuthorityChange(at_s, state, reason))
            self._put(f"/{AUTHORITY}", late_ns, outgoing.text(f"{state}: {reason}"))

    def _put(
        self,
        topic: str,
        late_ns: int,
        data: bytes,
        stamp_ns: int | None = None,
        picture: bytes | None = None,
    ) -> None:
        """Write a message that arrives `late_ns` after now; sent when stamped."""
        arrived = self._now_ns + late_ns
        sent = min(arrived, arrived if stamp_ns is None else stamp_ns)
        self._bag.write(self._ids[topic], arrived, sent, data)
        content = None if picture is None else zlib.crc32(picture)
        self._audit.on_message(topic, arrived, stamp_ns, None, content)

    def _episode(self, outcome: Outcome, summary: BagSummary) -> Episode:
        counted = {s.topic: s for s in self._audit.summary()}
        none = functools.partial(Stream, messages=0, rate_hz=0.0, expected_hz=0.0,
                                 largest_gap_s=0.0, dropped=0, first_ns=0, last_ns=0)  # fmt: skip
        started = datetime.datetime.fromtimestamp(summary.first_ns / NS, datetime.timezone.utc)
        return Episode(
            episode=self._number,
            instruction=self._cell.trial.instruction,
            operator=OPERATOR,
            outcome=outcome,
            started=started.isoformat(timespec="milliseconds"),
            duration_s=(summary.last_ns - summary.first_ns) / NS,
            robot=self._rig.robot.name,
            robot_yaml=self._rig.text,
            checkpoint=self._checkpoint,
            device=DEVICE,
            software=f"lapa_ros {__version__}",
            streams=tuple(counted.get(t) or none(t, kind) for t, kind in self._rig.types.items()),
            findings=self._audit.findings(summary.last_ns, final=True),
            authority=tuple(self._authority),
        )


def _is_latched(topic: str) -> bool:
    return topic in (f"/{AUTHORITY}", f"/{INSTRUCTION}") or topic.endswith("/gripper_target")
