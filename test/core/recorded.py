# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Writes small episodes as the recorder does, from a scripted motion, with faults on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from lapa_core import paths
from lapa_core import robot as robots
from lapa_core.control.compose import Pose, compose
from lapa_core.recording import episode as episodes
from lapa_core.recording.episode import AuthorityChange, Episode
from lapa_core.robot import Robot

STORE = get_typestore(Stores.ROS2_JAZZY)
BEGIN_NS = 1_700_000_000_000_000_000
TYPES = {
    "JointTrajectory": "trajectory_msgs/msg/JointTrajectory",
    "PoseStamped": "geometry_msgs/msg/PoseStamped",
    "JointState": "sensor_msgs/msg/JointState",
    "String": "std_msgs/msg/String",
    "Image": "sensor_msgs/msg/Image",
    "CompressedImage": "sensor_msgs/msg/CompressedImage",
}


def small_robot(name: str) -> tuple[Robot, str]:
    """A robot of ours with 64x48 cameras, and its file's text."""
    text = paths.share(f"config/robots/{name}.yaml").read_text(encoding="utf-8")
    text = text.replace("width: 640", "width: 64").replace("height: 480", "height: 48")
    return robots.parse(yaml.safe_load(text), "small"), text


def numbered(number: int) -> np.ndarray:
    """(48, 64, 3) RGB of one colour that says a number of up to 12 bits, also through JPEG."""
    levels = [16 * ((number >> shift) & 15) + 8 for shift in (0, 4, 8)]
    return np.full((48, 64, 3), levels, dtype=np.uint8)


def number_of(image: np.ndarray) -> int:
    """What `numbered` was told."""
    levels = np.median(image.reshape(-1, 3), axis=0).astype(int) // 16
    return int(levels[0] | levels[1] << 4 | levels[2] << 8)


def message(kind: str, **fields: Any) -> Any:
    """A message of the rosbags store; nested ones are given as such."""
    return STORE.types[TYPES[kind]](**fields)


def _time(ns: int) -> Any:
    return STORE.types["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)


def header(ns: int, frame_id: str = "") -> Any:
    return STORE.types["std_msgs/msg/Header"](stamp=_time(ns), frame_id=frame_id)


def pose_message(ns: int, pose: Pose) -> Any:
    t = STORE.types
    w, x, y, z = pose.quaternion_wxyz.tolist()
    px, py, pz = pose.xyz_m.tolist()
    inside = t["geometry_msgs/msg/Pose"](
        position=t["geometry_msgs/msg/Point"](x=px, y=py, z=pz),
        orientation=t["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w),
    )
    return message("PoseStamped", header=header(ns), pose=inside)


def chunk_message(ns: int, names: tuple[str, ...], delta: np.ndarray) -> Any:
    t = STORE.types
    none = np.zeros(0)
    point = t["trajectory_msgs/msg/JointTrajectoryPoint"](
        positions=np.asarray(delta, dtype=np.float64),
        velocities=none,
        accelerations=none,
        effort=none,
        time_from_start=t["builtin_interfaces/msg/Duration"](sec=0, nanosec=0),
    )
    return message("JointTrajectory", header=header(ns), joint_names=list(names), points=[point])


def image_message(ns: int, rgb: np.ndarray, compressed: bool) -> Any:
    if compressed:
        data = cv2.imencode(".jpg", rgb[:, :, ::-1])[1].reshape(-1)
        return message("CompressedImage", header=header(ns), format="jpeg", data=data)
    height, width, _ = rgb.shape
    return message(
        "Image",
        header=header(ns),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=rgb.reshape(-1),
    )


def joints_message(ns: int, names: tuple[str, ...], position: np.ndarray) -> Any:
    none = np.zeros(0)
    return message(
        "JointState",
        header=header(ns),
        name=list(names),
        position=np.asarray(position, dtype=np.float64),
        velocity=none,
        effort=none,
    )


@dataclass
class Script:
    """What happens in an episode; times in seconds since it began.

    Attributes:
        steps: time -> (d,) delta; each is executed then.
        authority, instruction: time -> text of the message.
        jumps: time -> (arm, delta) by which its target moves without a step.
        seconds: until the recording ends.
        rested: before the first step there are no targets and nobody has authority, as of an arm
            that was just enabled; else both begin when they say.
        keep: topic, time -> whether the message is recorded.
    """

    steps: dict[float, np.ndarray]
    seconds: float
    authority: dict[float, str] = field(default_factory=lambda: {0.0: "teleop: following teleop"})
    instruction: dict[float, str] = field(default_factory=dict)
    jumps: dict[float, tuple[str, np.ndarray]] = field(default_factory=dict)
    rested: bool = True
    keep: Callable[[str, float], bool] = lambda topic, at_s: True


class EpisodeMaker:
    """Writes episodes of one robot.

    Attributes:
        targets: arm -> time [s] -> pose, of the episode written last.
    """

    def __init__(
        self, robot: str = "wx250s", compressed: bool = False, namespace: str = ""
    ) -> None:
        self.robot, self.text = small_robot(robot)
        self.compressed = compressed
        self.namespace = namespace
        self.targets: dict[str, dict[float, Pose]] = {}

    def write(self, folder: Path, script: Script, **episode: Any) -> Path:
        """Write the folder: bag and episode.yaml."""
        sent = sorted(self._messages(script), key=lambda m: m[0])
        with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            connections: dict[str, Any] = {}
            for at_s, topic, kind, make in sent:
                if not script.keep(topic, at_s):
                    continue
                name = topic if topic.startswith("/") else f"{self.namespace}/{topic}"
                if name not in connections:
                    connections[name] = writer.add_connection(name, TYPES[kind], typestore=STORE)
                ns = BEGIN_NS + round(at_s * 1e9)
                raw = STORE.serialize_cdr(make(ns - 1_000_000), TYPES[kind])  # 1 ms on the way
                writer.write(connections[name], ns, raw)
        values: dict[str, Any] = {
            "episode": 0,
            "instruction": "put the red block in the bin",
            "operator": "",
            "outcome": "success",
            "started": "2026-01-01T00:00:00Z",
            "duration_s": script.seconds,
            "robot": self.robot.name,
            "robot_yaml": self.text,
            "checkpoint": "",
            "device": "keyboard",
            "software": "test",
            "authority": (AuthorityChange(0.0, "hold", "enabled"),),
        }
        episodes.write(Episode(**{**values, **episode}), folder)
        return folder

    def _messages(self, script: Script) -> list[tuple[float, str, str, Callable[[int], Any]]]:
        robot = self.robot
        out: list[tuple[float, str, str, Callable[[int], Any]]] = []
        for at_s, delta in script.steps.items():
            out.append((at_s, "executed/ee_delta", "JointTrajectory",
                        lambda ns, d=delta: chunk_message(ns, robot.dimensions, d)))  # fmt: skip
        first = min(script.steps) if script.rested else 0.0
        authority = {max(t, first): text for t, text in script.authority.items()}
        for topic, texts in (("authority", authority), ("instruction", script.instruction)):
            for at_s, text in texts.items():
                out.append((at_s, topic, "String", lambda ns, t=text: message("String", data=t)))
        for index, arm in enumerate(robot.arms):
            out += self._arm(script, index, arm.name)
            names = (*arm.joints, arm.gripper.joint)
            finger = arm.gripper.joint_position(0.25 + 0.5 * index)
            position = np.append(arm.start_rad, finger)
            out += [
                (0.01 * k, arm.joint_states, "JointState",
                 lambda ns, n=names, p=position: joints_message(ns, n, p))
                for k in range(round(100 * script.seconds))
            ]  # fmt: skip
        for camera in robot.cameras:
            topic = camera.topic + ("/compressed" if self.compressed else "")
            kind = "CompressedImage" if self.compressed else "Image"
            count = round(camera.rate_hz * script.seconds)
            out += [
                (k / camera.rate_hz, topic, kind,
                 lambda ns, k=k: image_message(ns, numbered(k), self.compressed))
                for k in range(count)
            ]  # fmt: skip
        return out

    def _arm(
        self, script: Script, index: int, arm: str
    ) -> list[tuple[float, str, str, Callable[[int], Any]]]:
        """Commanded and measured poses at 50 Hz."""
        pose = Pose(np.array([0.3, 0.0, 0.2]), np.diag([1.0, 1.0, 1.0]))
        todo = sorted(
            [(t, d[7 * index : 7 * index + 6]) for t, d in script.steps.items()]
            + [(t, d) for t, (name, d) in script.jumps.items() if name == arm]
        )
        first = min(script.steps)
        self.targets[arm] = {}
        out: list[tuple[float, str, str, Callable[[int], Any]]] = []
        for k in range(round(50 * script.seconds)):
            at_s = 0.02 * k + 0.001  # a millisecond after the step of the same control period
            while todo and todo[0][0] <= at_s:
                pose = compose(pose, todo.pop(0)[1])
            self.targets[arm][at_s] = pose
            make = lambda ns, p=pose: pose_message(ns, p)  # noqa: E731
            if at_s >= first or not script.rested:
                out.append((at_s, f"{arm}/ee_target", "PoseStamped", make))
            out.append((at_s, f"{arm}/ee_pose", "PoseStamped", make))
        return out


def wander(seed: int, count: int, dims: int = 7, size: float = 1.0) -> list[np.ndarray]:
    """Random steps well within a robot's clamps, gripper between 0 and 1."""
    rng = np.random.default_rng(seed)
    steps = []
    for _ in range(count):
        rows = [
            np.concatenate([rng.uniform(-0.02, 0.02, 3), rng.uniform(-0.1, 0.1, 3)]) * size
            for _ in range(dims // 7)
        ]
        openings = rng.uniform(0, 1, dims // 7)
        steps.append(
            np.concatenate([np.append(r, o) for r, o in zip(rows, openings, strict=True)])
        )
    return steps
