# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Every device: what its messages mean, and when it is not to be trusted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import arms
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lapa_core import paths
from lapa_core import robot as robots
from lapa_core.control.compose import Pose
from lapa_core.errors import ConfigError, DataError
from lapa_core.teleop import DEVICES, devices, gamepad, spacemouse, vr
from lapa_core.teleop.browser import Browser
from lapa_core.teleop.gamepad import Gamepad
from lapa_core.teleop.keyboard import KEY_EVENTS, PULSE_S, Keyboard
from lapa_core.teleop.poses import checked
from lapa_core.teleop.reading import EVENTS
from lapa_core.teleop.shaping import turned
from lapa_core.teleop.spacemouse import SpaceMouse
from lapa_core.teleop.twist import Twists
from lapa_core.teleop.vr import Controllers

ARM = "wx250s"
SPEEDS = np.array([0.1] * 3 + [0.6] * 3)
PAIRS = ("ws", "ad", "zc", "ik", "jl", "nm")  # Bridge's: each key and its opposite
PADS = ("gamepad_uniform", "gamepad_ps4", "gamepad_ps5", "gamepad_xbox")


# Which device -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("robot", ["wx250s", "bimanual_wx250s"])
def test_every_device_is_made_by_its_name_and_starts_disengaged(name: str, robot: str) -> None:
    device = devices.make(robots.load(robot), devices.DeviceSettings(device=name))
    assert device.name == name
    assert not device.read(0.0).engaged


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"device": "gamepadd"}, "unknown device 'gamepadd'.*did you mean 'gamepad'"),
        ({"device": "gamepad", "layout": "ps4"}, "unknown layout 'ps4'.*gamepad_ps4"),
        ({"device": "gamepad", "layout": "vr_bridge"}, "layout of vr, not of gamepad"),
        ({"device": "keyboard", "layout": "vr_bridge"}, "keyboard takes none"),
        ({"device": "keyboard", "axes": "camera"}, "unknown axes"),
        ({"device": "twist", "twist_units": "mm"}, "unknown twist_units"),
        ({"device": "vr", "hand": "both"}, "unknown hand"),
    ],
)
def test_what_is_wrong_in_the_settings_is_named(more: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        devices.make(arms.wx250s(), devices.DeviceSettings(**more))


def test_every_shipped_layout_is_read() -> None:
    names = paths.names("config/teleop", ".yaml")
    assert set(PADS) | set(devices.LAYOUTS.values()) <= set(names)
    for name in names:
        kind = yaml.safe_load(paths.share(f"config/teleop/{name}.yaml").read_text())["device"]
        devices.make(arms.wx250s(), devices.DeviceSettings(device=kind, layout=name))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("dead_man", None, "'dead_man' is missing"),
        ("axes", {"x": 1, "up": 2}, "unknown key 'up'"),
        ("pairs", {"x": [1, 2]}, "x stands under axes and under pairs"),
        ("pairs", {"yaw": [1, 2.5]}, "two numbers of buttons"),
        ("buttons", {"jump": 3}, "unknown key 'jump'.*take_over"),
        ("gripper_trigger", {"axis": 5, "rest": 1.0, "pressed": 1.0}, "are both 1"),
        ("format", 7, "format 7 is not readable"),
    ],
)
def test_a_mistake_in_a_layout_is_named(
    key: str, value: object, said: str, tmp_path: Path
) -> None:
    content = yaml.safe_load(paths.share("config/teleop/gamepad_ps4.yaml").read_text())
    content[key] = value
    if value is None:
        del content[key]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=said):
        gamepad.load(str(tmp_path / "mine.yaml"))


# Keyboard ---------------------------------------------------------------------------------------


def keys(*names: str) -> Keyboard:
    return Keyboard(names or (ARM,), 0.1, 0.6)


def test_a_press_moves_for_a_short_time_and_repeats_extend_it() -> None:
    keyboard = keys()
    keyboard.press("w", 1.0)
    asked = keyboard.read(1.1).arms[ARM]
    assert asked.engaged
    np.testing.assert_allclose(asked.linear_m_s, [0.05, 0, 0])  # key 5 is where it begins
    keyboard.press("w", 1.1)
    assert keyboard.read(1.1 + 0.99 * PULSE_S).engaged
    assert not keyboard.read(1.1 + PULSE_S).engaged


@pytest.mark.parametrize(
    ("key", "axis", "sign"),
    [(pair[i], axis, 1 - 2 * i) for axis, pair in enumerate(PAIRS) for i in (0, 1)],
)
def test_each_key_moves_along_its_axis_and_with_shift_slowly(
    key: str, axis: int, sign: int
) -> None:
    keyboard = keys()
    for pressed, share in ((key, 1.0), (key.upper(), 0.25)):
        keyboard.press("0", 0.0)
        keyboard.press(pressed, 0.0)
        asked = keyboard.read(0.01).arms[ARM]
        expected = np.zeros(6)
        expected[axis] = sign * share * (0.1 if axis < 3 else 0.6)
        np.testing.assert_allclose([*asked.linear_m_s, *asked.angular_rad_s], expected)


def test_tab_goes_to_the_other_arm_and_stops_the_first() -> None:
    keyboard = keys("left", "right")
    keyboard.press("w", 0.0)
    keyboard.press("tab", 0.0)
    assert not keyboard.read(0.01).engaged
    keyboard.press("s", 0.0)
    assert set(keyboard.read(0.01).arms) == {"right"}


def test_space_toggles_once() -> None:
    keyboard = keys()
    keyboard.press(" ", 0.0)
    assert keyboard.read(0.0).arms[ARM].toggle
    assert not keyboard.read(0.0).engaged


@pytest.mark.parametrize("name", ["escape", "Escape", "esc", "\x1b"])
def test_escape_stops_the_arm_and_the_recording_and_ends_all_motion(name: str) -> None:
    keyboard = keys()
    keyboard.press("w", 0.0)
    keyboard.press(name, 0.0)
    reading = keyboard.read(0.01)
    assert reading.events == ("estop", "stop")
    assert not reading.engaged


def test_arrow_keys_save_and_redo_by_their_names_in_terminals_and_browsers() -> None:
    for key, event in (("ArrowRight", "save"), ("right", "save"), ("ArrowLeft", "redo")):
        keyboard = keys()
        assert keyboard.press(key, 0.0)
        assert keyboard.read(0.0).events == (event,)
    assert not keys().press("F5", 0.0)
    assert {e for pressed in KEY_EVENTS.values() for e in pressed} <= set(EVENTS)


# Gamepad ----------------------------------------------------------------------------------------


class Pad:
    """A pad of one layout, which sends a whole message every time."""

    def __init__(self, name: str, *names: str) -> None:
        self.layout = gamepad.load(name)
        self.device = Gamepad(names or (ARM,), self.layout, SPEEDS, 1.5)
        self.axes = [0.0] * 8
        self.buttons = [0] * 15
        self.now_s = 0.0

    def hold(self) -> None:
        """Press the dead-man, everything else let go."""
        self.buttons[self.layout.dead_man] = 1
        self.send()

    def send(self):
        self.now_s += 0.05
        self.device.on_joy(self.axes, self.buttons, self.now_s)
        return self.device.read(self.now_s)


@pytest.mark.parametrize("name", PADS)
def test_sticks_move_only_while_the_dead_man_is_held(name: str) -> None:
    pad = Pad(name)
    pad.axes[1] = 1.0  # left stick up: forward
    assert not pad.send().engaged
    pad.axes[1] = 0.0
    pad.hold()
    pad.axes[1] = 1.0
    asked = pad.send().arms[ARM]
    assert asked.engaged
    np.testing.assert_allclose(asked.linear_m_s, [0.1, 0, 0])
    pad.buttons[pad.layout.dead_man] = 0
    assert not pad.send().engaged


@pytest.mark.parametrize("name", PADS)
def test_left_and_up_are_left_and_up_and_every_motion_has_a_stick(name: str) -> None:
    pad = Pad(name)
    pad.hold()
    assert {*pad.layout.axes, *pad.layout.pairs} == set(gamepad.MOTIONS)
    pad.axes[0] = 1.0
    np.testing.assert_allclose(pad.send().arms[ARM].linear_m_s, [0, 0.1, 0])
    assert pad.layout.axes["z"][1] == pad.layout.axes["yaw"][1] == 1.0


def test_what_is_pressed_comes_once() -> None:
    pad = Pad("gamepad_ps4")
    pad.buttons[0] = 1
    assert pad.send().events == ("save",)
    assert pad.send().events == ()
    pad.buttons[pad.layout.buttons["gripper_toggle"]] = 1
    assert not pad.send().arms[ARM].toggle  # without the dead-man
    pad.buttons[pad.layout.buttons["gripper_toggle"]] = 0
    pad.send()
    pad.buttons[pad.layout.dead_man] = pad.buttons[pad.layout.buttons["gripper_toggle"]] = 1
    assert pad.send().arms[ARM].toggle
    assert not pad.send().arms[ARM].toggle


def test_the_next_arm_is_chosen_with_a_button() -> None:
    pad = Pad("gamepad_ps4", "left", "right")
    pad.buttons[pad.layout.buttons["next_arm"]] = 1
    pad.buttons[pad.layout.dead_man] = 1
    assert set(pad.send().arms) == {"right"}


def test_a_silent_pad_is_not_trusted_and_says_what_to_do() -> None:
    """joy_node falls silent when the pad is gone, and without autorepeat whenever it is still."""
    pad = Pad("gamepad_ps4")
    assert "is joy_node running" in pad.device.read(0.0).problem
    pad.buttons[4] = 1
    assert pad.send().engaged
    assert pad.device.read(pad.now_s + 0.35).engaged
    reading = pad.device.read(pad.now_s + 0.5)
    assert "gamepad silent 0.5 s" in reading.problem
    assert "autorepeat_rate" in reading.problem
    assert not reading.engaged
    assert not pad.send().problem


def test_a_pad_that_repeats_one_state_for_seconds_is_not_trusted() -> None:
    """A radio pad out of reach: joy_node goes on repeating a held dead-man and stick."""
    pad = Pad("gamepad_xbox")
    pad.hold()
    pad.axes[1] = 0.83
    seen = [pad.send().problem for _ in range(150)]
    assert not any(seen[:100])
    assert "frozen" in seen[-1]
    pad.buttons[4] = 0
    assert not pad.send().problem


@pytest.mark.parametrize(
    ("axes", "buttons", "said"),
    [
        ([0.0] * 4, [0] * 15, "4 axes.*number 7"),
        ([0.0] * 8, [0] * 8, "8 buttons.*number 12"),
        ([0.0] * 7 + [float("nan")], [0] * 15, "not finite"),
    ],
)
def test_another_pad_than_the_layout_s_is_refused_by_name(
    axes: list[float], buttons: list[int], said: str
) -> None:
    pad = Pad("gamepad_ps4")
    with pytest.raises(DataError, match=said):
        pad.device.on_joy(axes, buttons, 0.0)
    assert pad.device.read(0.0).problem
    assert not pad.send().problem


def test_a_trigger_closes_as_far_as_it_is_pressed(tmp_path: Path) -> None:
    content = yaml.safe_load(paths.share("config/teleop/gamepad_xbox.yaml").read_text())
    content["gripper_trigger"] = {"axis": 5, "rest": 1.0, "pressed": -1.0}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    pad = Pad(str(tmp_path / "mine.yaml"))
    for value, opening in ((1.0, 1.0), (0.0, 0.5), (-1.0, 0.0)):
        pad.axes[5] = value
        asked = pad.send().arms[ARM]
        assert asked.gripper == pytest.approx(opening)
        assert asked.pick_up


# SpaceMouse, twist, browser ---------------------------------------------------------------------


def test_the_puck_moves_in_six_ways_and_rests_in_its_deadzone() -> None:
    mouse = SpaceMouse((ARM,), spacemouse.load("spacemouse"), SPEEDS)
    mouse.on_twist(np.array([0, 0, -1.0]), np.array([0, 1.0, 0]), 1.0)
    asked = mouse.read(1.0).arms[ARM]
    np.testing.assert_allclose(asked.linear_m_s, [0, 0, -0.1])
    np.testing.assert_allclose(asked.angular_rad_s, [0, 0.6, 0])
    mouse.on_twist(np.full(3, 0.05), np.full(3, -0.05), 1.1)
    assert not mouse.read(1.1).engaged
    assert "silent" in mouse.read(1.7).problem


def test_buttons_of_spacenav_that_are_left_out_are_not_down() -> None:
    """spacenav sends buttons with their change alone, and empty lists otherwise."""
    mouse = SpaceMouse((ARM,), spacemouse.load("spacemouse"), SPEEDS)
    mouse.on_twist(np.zeros(3), np.zeros(3), 1.0)
    for state in ([1], [], [0], []):
        mouse.on_joy(state)
    assert mouse.read(1.0).arms[ARM].toggle
    mouse.on_joy([0, 1])
    reading = mouse.read(1.0)
    assert reading.events == ("hand_back",)
    assert not reading.engaged


def test_a_twist_s_frame_says_its_axes() -> None:
    robot = robots.load("bimanual_wx250s")
    twists = Twists(robot, SPEEDS)
    forward, none = np.array([0.02, 0, 0]), np.zeros(3)
    for frame, axes in (
        ("", "base"),
        ("left/base_link", "base"),
        ("left/ee_gripper_link", "tool"),
        ("ee_gripper_link", "tool"),
        ("world", "world"),
    ):
        twists.on_twist("left", frame, forward, none, 1.0)
        assert twists.read(1.0).arms["left"].axes == axes
    with pytest.raises(DataError, match="unknown frame_id 'right/base_link'"):
        twists.on_twist("left", "right/base_link", forward, none, 1.0)
    assert not twists.read(1.0).engaged


@pytest.mark.parametrize(
    ("linear", "age_s", "said"),
    [([np.nan, 0, 0], 0.0, "not finite"), ([1, 0, 0], 0.3, "0.30 s"), ([1, 0, 0], -5.0, "clock")],
)
def test_a_twist_that_cannot_be_trusted_is_refused(
    linear: list[float], age_s: float, said: str
) -> None:
    twists = Twists(arms.wx250s(), SPEEDS)
    with pytest.raises(DataError, match=said):
        twists.on_twist(ARM, "", np.array(linear, float), np.zeros(3), 1.0, age_s)
    assert not twists.read(1.0).engaged


def test_a_twist_ends_with_its_time_as_servo_s() -> None:
    twists = Twists(arms.wx250s(), SPEEDS, "unitless")
    twists.on_twist(ARM, "", np.array([3.0, 0, 0]), np.zeros(3), 1.0)
    np.testing.assert_allclose(twists.read(1.05).arms[ARM].linear_m_s, [0.1, 0, 0])
    assert not twists.read(1.11).engaged


def test_a_goal_counts_while_it_keeps_coming_and_in_its_arm_s_base() -> None:
    browser = Browser(robots.load("bimanual_wx250s"))
    goal = Pose(np.array([0.3, 0, 0.2]), np.eye(3))
    browser.on_goal("right", "right/base_link", goal, 1.0)
    assert browser.read(1.2).arms["right"].goal is goal
    assert not browser.read(1.31).engaged
    with pytest.raises(DataError, match="unknown frame_id 'left/base_link'"):
        browser.on_goal("right", "left/base_link", goal, 2.0)
    browser.on_gripper("left", 0.3, 3.0)
    assert browser.read(3.1).arms["left"].gripper == 0.3
    with pytest.raises(DataError, match=r"opening 1\.5"):
        browser.on_gripper("left", 1.5, 3.0)


def message(xyz=(0.0, 0.0, 0.0), wxyz=(1.0, 0.0, 0.0, 0.0)) -> SimpleNamespace:
    return SimpleNamespace(
        position=SimpleNamespace(**dict(zip("xyz", xyz, strict=True))),
        orientation=SimpleNamespace(**dict(zip("wxyz", wxyz, strict=True))),
    )


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (message(xyz=(float("inf"), 0, 0)), "not finite"),
        (message(wxyz=(0.0, 0.0, 0.0, 0.0)), "length 0.000"),
        (message(wxyz=(float("nan"), 0.0, 0.0, 0.0)), "not finite"),
    ],
)
def test_a_pose_without_a_meaning_is_refused(bad: SimpleNamespace, said: str) -> None:
    with pytest.raises(DataError, match=said):
        checked(bad, "the goal")


# VR ---------------------------------------------------------------------------------------------


class Headset:
    """One right controller with Bridge's layout."""

    def __init__(self) -> None:
        self.device = Controllers(arms.wx250s(), {ARM: "right"}, vr.load("vr_bridge"))
        self.now_s = 0.0

    def send(self, xyz=(0.0, 0.0, 0.0), rotation=None, grip=1.0, trigger=0.0, buttons=(0, 0, 0)):
        self.now_s += 0.014
        rotation = np.eye(3) if rotation is None else rotation
        self.device.on_pose(ARM, Pose(np.array(xyz), rotation), self.now_s)
        self.device.on_joy(ARM, [0.0, 0.0, trigger, grip], buttons, self.now_s)
        return self.device.read(self.now_s)


def settled(headset: Headset, **more):
    for _ in range(120):
        reading = headset.send(**more)
    return reading.arms[ARM].hand


def test_headset_axes_become_the_base_s_for_an_operator_behind_the_arm() -> None:
    """Headset: x right, y up, z towards the operator. Base: x forward, y left, z up."""
    headset = Headset()
    zero = settled(headset)
    for moved, expected in (
        ((0.1, 0, 0), (0, -0.1, 0)),
        ((0, 0.1, 0), (0, 0, 0.1)),
        ((0, 0, -0.1), (0.1, 0, 0)),
    ):
        hand = settled(headset, xyz=moved)
        np.testing.assert_allclose(hand.xyz_m - zero.xyz_m, expected, atol=1e-3)
    hand = settled(headset, rotation=turned(np.array([0, 0.3, 0])))  # about the headset's up
    np.testing.assert_allclose(
        hand.rotation @ zero.rotation.T, turned(np.array([0, 0, 0.3])), atol=1e-3
    )


def test_the_grip_is_the_clutch_and_does_not_chatter() -> None:
    headset = Headset()
    grips = [0.5, 0.7, 0.5, 0.3, 0.5]
    assert [headset.send(grip=g).engaged for g in grips] == [False, True, True, False, False]


def test_the_trigger_closes_and_buttons_save() -> None:
    headset = Headset()
    headset.send()
    reading = headset.send(trigger=0.75, buttons=(1, 0, 0))
    assert reading.arms[ARM].gripper == pytest.approx(0.25)
    assert reading.events == ("save",)


def test_a_controller_that_loses_sight_is_not_trusted() -> None:
    headset = Headset()
    assert "no poses of the right controller yet" in headset.device.read(0.0).problem
    headset.send()
    headset.now_s += 0.25
    headset.device.on_joy(ARM, [0, 0, 0, 1.0], [0, 0, 0], headset.now_s)
    assert "poses of the right controller silent" in headset.device.read(headset.now_s).problem
    with pytest.raises(DataError, match="3 axes"):
        headset.device.on_joy(ARM, [0, 0, 0], [0, 0, 0], headset.now_s)


def test_two_hands_move_two_arms() -> None:
    assert devices.hands(robots.load("bimanual_wx250s"), "right") == {
        "left": "left",
        "right": "right",
    }


@given(
    st.lists(st.floats(-2, 2), min_size=8, max_size=8),
    st.lists(st.booleans(), min_size=15, max_size=15),
)
def test_no_state_of_a_pad_asks_for_more_than_full_speed(
    axes: list[float], buttons: list[bool]
) -> None:
    pad = Pad("gamepad_ps5")
    pad.hold()
    pad.axes, pad.buttons = axes, [int(b) for b in buttons]
    asked = pad.send().arms[ARM]
    assert np.max(np.abs(asked.linear_m_s)) <= 0.1 + 1e-12
    assert np.max(np.abs(asked.angular_rad_s)) <= 0.6 + 1e-12
    assert asked.engaged == bool(buttons[4])
