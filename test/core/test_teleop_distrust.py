# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Pads and headsets that are not what they seem: nothing moves, and the status says what to do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import arms
import numpy as np
import pytest
import yaml
from teleop_rig import TeleopRig
from test_teleop_devices import ARM, Headset, Pad, message

from lapa_core import paths
from lapa_core.control.compose import Pose
from lapa_core.errors import DataError
from lapa_core.teleop import devices
from lapa_core.teleop.poses import checked
from lapa_core.teleop.shaping import turned

# What one pad sends through three drivers, sticks and triggers untouched.
DRIVERS = {
    "triggers 2 and 5": [0, 0, 1.0, 0, 0, 1.0, 0, 0],
    "triggers 4 and 5": [0, 0, 0, 0, 1.0, 1.0, 0, 0],
}


@pytest.mark.parametrize(
    ("name", "driver"),
    [
        ("gamepad_uniform", "triggers 2 and 5"),
        ("gamepad_ps4", "triggers 4 and 5"),
        ("gamepad_xbox", "triggers 4 and 5"),
    ],
)
def test_a_trigger_in_a_stick_s_place_does_not_move_the_arm(name: str, driver: str) -> None:
    pad = Pad(name)
    pad.axes = [float(a) for a in DRIVERS[driver]]
    pad.hold()
    reading = pad.send()
    assert not reading.engaged
    assert "let go of the sticks first" in reading.note


def test_a_dead_man_pressed_with_a_stick_pushed_has_to_be_pressed_again() -> None:
    pad = Pad("gamepad_ps4")
    pad.axes[1] = 0.5
    pad.hold()
    pad.axes[1] = 0.0
    assert not pad.send().engaged  # the stick is let go, the dead-man not pressed anew
    pad.buttons[pad.layout.dead_man] = 0
    pad.send()
    pad.hold()
    pad.axes[1] = 0.5
    assert pad.send().engaged


def test_a_pad_that_comes_back_is_looked_at_anew() -> None:
    pad = Pad("gamepad_ps4")
    pad.hold()
    assert pad.send().engaged
    pad.now_s += 1.0
    pad.axes[4] = 1.0
    assert not pad.send().engaged


def test_a_trigger_counts_once_it_was_seen_at_rest(tmp_path: Path) -> None:
    """SDL's axes are 0 before their first event, for this trigger half pressed."""
    content = yaml.safe_load(paths.share("config/teleop/gamepad_ps4.yaml").read_text())
    content["gripper_trigger"] = {"axis": 5, "rest": 1.0, "pressed": -1.0}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    pad = Pad(str(tmp_path / "mine.yaml"))
    assert "trigger once" in pad.send().note
    pad.hold()
    seen = []
    for value in (0.0, 0.85, 0.92, 0.0, -1.0):
        pad.axes[5] = value
        seen.append(pad.send().arms[ARM].gripper)
    assert seen == [None, None, pytest.approx(0.96), 0.5, 0.0]


def test_a_controller_s_trigger_counts_once_it_was_seen_at_rest() -> None:
    headset = Headset()
    seen = [headset.send(trigger=t).arms[ARM].gripper for t in (0.5, 0.05, 0.5)]
    assert seen == [None, pytest.approx(0.95), 0.5]


@pytest.mark.parametrize("axes", [[0.0] * 4, [float("nan")] * 8])
def test_a_refused_message_still_stops_and_does_nothing_else(axes: list[float]) -> None:
    pad = Pad("gamepad_ps4")
    pressed = [0] * 15
    for event in ("estop", "enable", "take_over"):
        pressed[pad.layout.buttons[event]] = 1
    with pytest.raises(DataError):
        pad.device.on_joy(axes, pressed, 0.0)
    assert pad.device.read(0.0).events == ("estop",)
    pad.buttons = pressed
    assert pad.send().events == ()  # held since then, so not pressed now


def test_a_refused_message_of_a_controller_still_stops() -> None:
    robot = arms.two_arms()
    device = devices.make(robot, devices.DeviceSettings(device="vr"))
    with pytest.raises(DataError):
        device.on_joy("left", [0.0], [1, 0, 1], 0.0)
    assert device.read(0.0).events == ("estop",)


def test_a_pose_that_nobody_s_room_holds_is_refused() -> None:
    """Millimetres taken for metres, say."""
    bad: SimpleNamespace = message(xyz=(300.0, 0.0, 200.0))
    with pytest.raises(
        DataError, match=r"the goal lies at \[300.0, 0.0, 200.0\] m; valid: within 10"
    ):
        checked(bad, "the goal")


# Tracking that jumps ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "jump", [{"xyz": (-0.5, 0.0, 0.0)}, {"rotation": turned(np.array([0.0, 1.0, 0.0]))}]
)
def test_a_jump_of_the_tracking_opens_the_clutch_until_the_grip_is_let_go(jump: dict) -> None:
    headset = Headset()
    assert headset.send().engaged
    reading = headset.send(**jump)
    assert not reading.engaged
    hand = Headset().send(**jump).arms[ARM].hand  # as of one that was there from the beginning
    np.testing.assert_allclose(reading.arms[ARM].hand.xyz_m, hand.xyz_m, atol=1e-9)
    np.testing.assert_allclose(reading.arms[ARM].hand.rotation, hand.rotation, atol=1e-9)
    assert "the right controller jumped" in reading.note
    assert not headset.send(**jump).engaged
    headset.send(**jump, grip=0.0)
    reading = headset.send(**jump)
    assert reading.engaged and not reading.note


@pytest.mark.parametrize("queued", [1, 4])
def test_a_fast_hand_is_no_jump(queued: int) -> None:
    """1.5 m/s and 6 rad/s at 72 Hz, also where a busy computer takes several poses at once."""
    headset = Headset()
    for number in range(60):
        headset.now_s += 0.014 * ((queued if number % queued == 0 else 0) - 1)
        xyz, turn = (1.5 * 0.014 * number, 0.0, 0.0), np.array([0.0, 6.0 * 0.014 * number, 0.0])
        assert headset.send(xyz=xyz, rotation=turned(turn)).engaged, number


def test_a_jump_of_the_tracking_does_not_move_the_arm() -> None:
    device = devices.make(arms.wx250s(), devices.DeviceSettings(device="vr"))
    rig = TeleopRig(arms.wx250s(), device)
    rig.go_to_start()
    at, grip = np.zeros(3), [0.0]

    def feed() -> None:
        device.on_pose(ARM, Pose(at, np.eye(3)), rig.now_s)
        device.on_joy(ARM, [0.0, 0.0, 0.0, grip[0]], [0, 0, 0], rig.now_s)

    rig.operate(0.2, feed)
    grip[0] = 1.0
    rig.operate(0.4, feed)
    assert rig.status.state == "teleop"
    before = rig.tool()
    at[0] = -0.5
    rig.operate(1.0, feed)
    assert np.linalg.norm(rig.tool() - before) < 1e-3
    assert "jumped 0.50 m" in rig.teleoperator.status()
