# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What the thresholds were set on: clean recordings of simulated robots, and real pictures.

Real pictures are looked for in the folder `LAPA_REAL_DATA`, or `shared/real` beside the source
tree; see docs/audit.md for what they are.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from bag_maker import IMAGE, JOINT_STATE, STORE, S, compressed, joint_state

from lapa_core import robot as robots
from lapa_core.audit import CaptureAudit, Feeder, plan_for, thumbnail
from lapa_core.audit.pictures import Pictures
from lapa_core.data.cdr import Types
from lapa_core.robot import Robot
from lapa_core.types import ImageArray

REPOSITORY = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("LAPA_REAL_DATA", REPOSITORY.parent / "shared" / "real"))
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="no real pictures here")
SIZE = (320, 240)  # half of the robots' cameras, to render faster


class Driver:
    """Moves some arms of a simulation about, still in between, and publishes to an audit."""

    def __init__(self, robot: Robot, arms: tuple[str, ...]) -> None:
        from lapa_core.sim import Simulation

        self.robot = robot
        self.sim = Simulation(robot, seed=3)
        self.audit = CaptureAudit(plan_for(robot), S)
        self._feeder = Feeder(self.audit, Types())
        self._moving = arms
        self._rng = np.random.default_rng(0)
        self._goal = {a.name: np.array(a.start_rad) for a in robot.arms}
        self._now = {a.name: np.array(a.start_rad) for a in robot.arms}
        for arm in robot.arms:
            self._command(arm.name, 1.0)
        self.sim.step(700)  # there

    def run(self, seconds: float, still: tuple[float, float]) -> int:
        """A hundred ticks a second; returns the end [ns]."""
        pictures = dict.fromkeys((c.name for c in self.robot.cameras), 0)
        for tick in range(int(seconds * 100)):
            t = tick / 100
            if not still[0] <= t < still[1]:
                self._move(tick)
            self.sim.step(5)
            now_ns = S + tick * S // 100
            for arm in self.robot.arms:
                names, position, _ = self.sim.joint_state(arm.name)
                msg = joint_state(now_ns, names, list(position))
                self._feed(arm.joint_states, JOINT_STATE, now_ns, msg)
            for camera in self.robot.cameras:
                if t >= pictures[camera.name] / camera.rate_hz:
                    pictures[camera.name] += 1
                    jpeg = _jpeg(self.sim.render(camera.name, *SIZE))
                    stamp_ns = now_ns - 30_000_000  # it takes a while to render and to send
                    self._feed(camera.topic, IMAGE, now_ns, compressed(stamp_ns, jpeg))
        self.sim.close()
        return now_ns

    def _move(self, tick: int) -> None:
        for arm in self.robot.arms:
            if arm.name not in self._moving:
                continue
            if tick % 60 == 0:
                spread = self._rng.uniform(-0.4, 0.4, len(arm.joints))
                self._goal[arm.name] = np.array(arm.start_rad) + spread
            step = np.clip(self._goal[arm.name] - self._now[arm.name], -0.01, 0.01)
            self._now[arm.name] = self._now[arm.name] + step
            self._command(arm.name, float(tick // 100 % 2))

    def _command(self, name: str, opening: float) -> None:
        arm = self.robot.arm(name)
        targets = dict(zip(arm.joints, map(float, self._now[name]), strict=True))
        targets[arm.gripper.joint] = arm.gripper.joint_position(opening)
        self.sim.set_command(name, targets)

    def _feed(self, topic: str, type: str, now_ns: int, msg: object) -> None:
        self._feeder.feed(topic, type, now_ns, bytes(STORE.serialize_cdr(msg, type)))


def _jpeg(rgb: ImageArray) -> bytes:
    return bytes(cv2.imencode(".jpg", rgb[..., ::-1])[1])


@pytest.mark.sim
@pytest.mark.parametrize(
    ("robot", "arms"),
    [
        ("wx250s", ("wx250s",)),
        ("bimanual_wx250s", ("left", "right")),
        ("bimanual_wx250s", ("right",)),
    ],
)
def test_a_clean_simulated_recording_gives_no_finding(robot, arms):
    """Moving and grasping, with a long pause in which rendered frames stay identical."""
    driver = Driver(robots.load(robot), arms)
    end_ns = driver.run(5.0, still=(1.5, 3.5))
    assert driver.audit.findings(end_ns, final=True) == ()
    assert {s.light for s in driver.audit.streams(end_ns)} == {"green"}


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.parametrize(
    ("robot", "arms"),
    [("wx250s", ("wx250s",)), ("aloha", ("left",)), ("bimanual_wx250s", ("left", "right"))],
)
def test_a_long_clean_simulated_recording_gives_no_finding(robot, arms):
    driver = Driver(robots.load(robot), arms)
    end_ns = driver.run(30.0, still=(10.0, 20.0))
    assert driver.audit.findings(end_ns, final=True) == ()


@needs_real
def test_real_pictures_of_bridge_give_no_finding():
    """Each camera of each episode: ten pictures of 64x64, a quarter of a second apart."""
    looked = 0
    for episode in sorted((REAL / "bridge").glob("episode_*")):
        for camera in range(3):
            pictures = Pictures()
            for i, path in enumerate(sorted(episode.glob(f"image_{camera}_*.jpg"))):
                pictures.on(i * S // 4, thumbnail(path.read_bytes()))
                looked += 1
            assert pictures.findings(str(episode), 0) == []
    assert looked > 250


def _frames(path: Path) -> list[ImageArray]:
    video, frames = cv2.VideoCapture(str(path)), []
    while True:
        there, bgr = video.read()
        if not there:
            return frames
        frames.append(np.asarray(bgr[..., ::-1], dtype=np.uint8))


@needs_real
def test_real_videos_give_no_finding_and_their_faults_one():
    for path in sorted((REAL / "video").glob("*.mp4")):
        frames = _frames(path)
        assert len(frames) > 10
        for fault, check in (
            (lambda rgb: rgb, None),
            (lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 8), "blurred"),
            (lambda rgb: rgb // 12, "black"),
            (lambda rgb: np.maximum(rgb, 240), "overexposed"),
        ):
            pictures = Pictures()
            for i, frame in enumerate(frames):
                faulty = fault(frame) if 6 <= i < 12 else frame
                pictures.on(i * S // 4, thumbnail(_jpeg(faulty)))
            found = pictures.findings("/camera", 0)
            assert [f.check for f in found] == ([check] if check else []), path.name
            assert all((f.begins_s, f.ends_s) == (1.5, 2.75) for f in found)
