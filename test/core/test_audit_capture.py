# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Every fault of a recording is named with the time it starts; a clean recording gives none."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace

import cv2
import numpy as np
import pytest
from bag_maker import (
    BEGAN_NS,
    CLOSED,
    FINGER,
    JOINTS,
    OPEN,
    STORE,
    Arm,
    Camera,
    S,
    Take,
    black,
    compressed,
    jpeg,
    raw_image,
    scene,
    swing,
)

from lapa_core import robot as robots
from lapa_core.audit import (
    CaptureAudit,
    Feeder,
    Plan,
    StreamPlan,
    plan_for,
    plan_for_bag,
    thumbnail,
)
from lapa_core.audit.inspection import inspect
from lapa_core.data.bags import Bag
from lapa_core.data.cdr import Types
from lapa_core.errors import DataError
from lapa_core.recording.episode import Finding

FRONT, OVERVIEW = "/camera/front/image_raw/compressed", "/camera/overview/image_raw/compressed"
ARM = "/wx250s/joint_states"


def one_arm(**fault: object) -> Take:
    """A recording as `config/robots/wx250s.yaml` wants it, with a fault of its first camera."""
    return Take([Camera(FRONT, **fault), Camera(OVERVIEW, 10.0)], [Arm(ARM)])


def found(take: Take, folder, robot: str | None = "wx250s") -> tuple[Finding, ...]:
    path = take.write(folder / "bag")
    return inspect(path, robots.load(robot) if robot else None).findings


def only(findings: tuple[Finding, ...], check: str, stream: str = FRONT) -> Finding:
    """The single finding, which must be this one."""
    assert [(f.check, f.stream) for f in findings] == [(check, stream)], findings
    return findings[0]


@pytest.mark.parametrize("robot", ["wx250s", None])
def test_a_clean_recording_gives_no_finding(tmp_path, robot):
    """Twelve seconds with two long pauses, during which frames stay identical."""
    assert found(replace(one_arm(), seconds=12.0), tmp_path, robot) == ()


def test_two_arms_of_which_one_rests_give_no_finding(tmp_path):
    rates = {"cam_high": 30, "cam_left_wrist": 15, "cam_right_wrist": 15, "overview": 10}
    cameras = [Camera(f"/camera/{n}/image_raw/compressed", hz) for n, hz in rates.items()]
    # The left wrist camera sees nothing of the right arm: its frames stay the same, rightly.
    cameras[1] = replace(cameras[1], frozen=(0.0, math.inf))
    arms = [
        Arm("/left/joint_states", moves=False, gripper_moves=False),
        Arm("/right/joint_states"),
    ]
    assert found(Take(cameras, arms, 8.0), tmp_path, "bimanual_wx250s") == ()


@pytest.mark.parametrize("robot", ["wx250s", None])
def test_a_missing_camera(tmp_path, robot):
    take = Take([Camera(FRONT)], [Arm(ARM)])
    path = take.write(tmp_path / "bag", empty={OVERVIEW: "sensor_msgs/msg/CompressedImage"})
    report = inspect(path, robots.load(robot) if robot else None)
    finding = only(report.findings, "missing", OVERVIEW)
    assert finding.begins_s == 0 and finding.serious
    assert robot is None or "10 a second" in finding.text


def test_a_camera_that_was_never_recorded(tmp_path):
    finding = only(found(Take([Camera(FRONT)]), tmp_path), "missing", "camera/overview/image_raw")
    assert finding.begins_s == 0


@pytest.mark.parametrize("robot", ["wx250s", None])
def test_a_camera_of_12_instead_of_30_hz(tmp_path, robot):
    if robot:
        finding = only(found(one_arm(hz=12.0), tmp_path, robot), "rate")
        assert (
            finding.begins_s < 0.2
            and finding.ends_s > 5
            and "12.0 Hz instead of 30" in finding.text
        )
    else:  # nobody has said 30: its neighbour does
        take = Take([Camera(FRONT, 12.0), Camera(OVERVIEW, 30.0)])
        finding = only(found(take, tmp_path, None), "rate")
        assert "12.0 Hz beside 30.0 Hz" in finding.text and not finding.serious


@pytest.mark.parametrize("robot", ["wx250s", None])
def test_a_camera_that_becomes_slow(tmp_path, robot):
    finding = only(found(one_arm(slow=(2.5, 5.0, 12.0)), tmp_path, robot), "rate")
    assert finding.begins_s == pytest.approx(2.5, abs=1.1) and finding.serious


@pytest.mark.parametrize("robot", ["wx250s", None])
def test_a_gap(tmp_path, robot):
    finding = only(found(one_arm(silent=(2.0, 2.8)), tmp_path, robot), "gap")
    assert finding.begins_s == pytest.approx(2.0, abs=0.1)
    assert finding.ends_s == pytest.approx(2.8, abs=0.1) and "0.83 s" in finding.text
    assert finding.serious


def test_a_short_gap_is_named_and_is_not_serious(tmp_path):
    assert not only(found(one_arm(silent=(2.0, 2.28)), tmp_path), "gap").serious


def test_a_camera_that_starts_late_or_stops(tmp_path):
    assert only(found(one_arm(silent=(0.0, 1.5)), tmp_path), "late").ends_s == pytest.approx(
        1.54, abs=0.05
    )
    path = one_arm(silent=(4.0, 9.0)).write(tmp_path / "stops")
    finding = only(inspect(path, robots.load("wx250s")).findings, "gap")
    assert finding.begins_s == pytest.approx(4.0, abs=0.1) and "until the end" in finding.text


@pytest.mark.parametrize("robot", ["wx250s", None])
def test_frames_frozen_while_the_arm_moves(tmp_path, robot):
    finding = only(found(one_arm(frozen=(1.0, 3.5)), tmp_path, robot), "frozen")
    assert finding.begins_s == pytest.approx(1.0, abs=0.15)
    assert finding.ends_s == pytest.approx(3.5, abs=0.15)


def test_frames_frozen_since_before_the_arm_moved(tmp_path):
    """From 4 to 6 s the arm rests and equal frames are right: the fault shows after that."""
    take = replace(one_arm(frozen=(4.5, 8.0)), seconds=9.0)
    assert only(found(take, tmp_path), "frozen").begins_s == pytest.approx(6.1, abs=0.3)


@pytest.mark.parametrize(
    ("fault", "check"), [("black", "black"), ("white", "overexposed"), ("blurred", "blurred")]
)
def test_pictures_that_show_nothing(tmp_path, fault, check):
    finding = only(found(one_arm(**{fault: (2.0, 4.0)}), tmp_path), check)
    assert finding.begins_s == pytest.approx(2.0, abs=0.4)
    assert finding.ends_s == pytest.approx(4.0, abs=0.4)


def test_a_camera_blurred_from_the_beginning():
    """Nothing to compare with: judged in absolute terms."""
    audit = CaptureAudit(Plan((StreamPlan(FRONT, "camera"),)), BEGAN_NS)
    for i in range(12):
        picture = cv2.resize(scene(0.1 * i), (640, 480))
        picture = cv2.GaussianBlur(picture, (0, 0), 12)
        audit.on_message(FRONT, BEGAN_NS + i * S // 4, BEGAN_NS + i * S // 4)
        audit.on_image(FRONT, BEGAN_NS + i * S // 4, thumbnail(raw_image(0, picture)))
    assert only(audit.findings(BEGAN_NS + 3 * S), "blurred").begins_s == 0


@pytest.mark.parametrize("robot", ["wx250s", None])
def test_a_clock_that_is_off(tmp_path, robot):
    finding = only(found(one_arm(skew_s=0.4), tmp_path, robot), "skew")
    assert finding.begins_s == 0 and "0.40 s" in finding.text
    early = one_arm(skew_s=-0.4).write(tmp_path / "early")
    assert "earlier" in only(inspect(early).findings, "skew").text


def test_a_clock_that_drifts(tmp_path):
    take = replace(one_arm(drift=0.03), seconds=9.0)
    drift, skew = found(take, tmp_path)
    assert (drift.check, drift.stream) == ("drift", FRONT)
    assert drift.begins_s == pytest.approx(0.1 / 0.03, abs=1.1)
    assert (skew.check, skew.stream) == ("skew", FRONT)
    assert skew.begins_s == pytest.approx(0.2 / 0.03, abs=1.1)


def test_what_all_clocks_share_is_no_skew(tmp_path):
    """A bag of a simulation that was recorded with the time of the wall."""
    audit = CaptureAudit(Plan((StreamPlan(FRONT, "camera"), StreamPlan(ARM, "joints"))), BEGAN_NS)
    for i in range(500):
        arrival = BEGAN_NS + i * S // 100
        audit.on_message(ARM, arrival, 1 + i * S // 200)  # at half the pace
        if i % 5 == 0:
            audit.on_message(FRONT, arrival, 1 + i * S // 200)
    assert audit.findings(BEGAN_NS + 5 * S) == ()


def test_joints_that_glitch(tmp_path):
    take = replace(one_arm(), arms=[Arm(ARM, glitch_s=2.5)])
    finding = only(found(take, tmp_path), "jump", ARM)
    assert finding.begins_s == pytest.approx(2.5, abs=0.02) and "-3.14" in finding.text


def test_positions_that_are_no_number(tmp_path):
    take = replace(one_arm(), arms=[Arm(ARM, nan_s=2.5)])
    finding = only(found(take, tmp_path), "not_finite", ARM)
    assert finding.begins_s == pytest.approx(2.5, abs=0.02) and "waist" in finding.text


@pytest.mark.parametrize("robot", ["wx250s", None])
def test_a_gripper_that_never_moves(tmp_path, robot):
    take = replace(one_arm(), arms=[Arm(ARM, gripper_moves=False)])
    finding = only(found(take, tmp_path, robot), "gripper", ARM)
    assert FINGER in finding.text and not finding.serious  # some tasks need none


def test_an_arm_that_never_moves(tmp_path):
    take = replace(one_arm(), arms=[Arm(ARM, moves=False, gripper_moves=False)])
    assert next(f for f in found(take, tmp_path) if f.check == "still").serious


def test_a_task_for_the_gripper_alone_is_one_too(tmp_path):
    take = replace(one_arm(), arms=[Arm(ARM, moves=False)])
    assert not only(found(take, tmp_path), "still", ARM).serious


def test_a_recording_shorter_than_a_second(tmp_path):
    finding = only(found(replace(one_arm(), seconds=0.7), tmp_path), "short", "")
    assert "0.69 s" in finding.text


# Message by message: what a bag cannot hold, and what the recorder asks.


def audit(*streams: StreamPlan) -> CaptureAudit:
    return CaptureAudit(Plan(streams or (StreamPlan(FRONT, "camera", 30.0, required=True),)), 0)


def sequences(numbers: list[int]) -> CaptureAudit:
    told = audit()
    for i, number in enumerate(numbers):
        told.on_message(FRONT, (i + 1) * S // 30, (i + 1) * S // 30, number)
    return told


def test_lost_messages_are_counted_by_their_numbers():
    told = sequences([7, 8, 9, 12, 13, *range(14, 60)])
    (lost,) = told.findings(51 * S // 30)
    assert (lost.check, lost.serious) == ("dropped", False)
    assert lost.begins_s == pytest.approx(0.1) and "2 messages" in lost.text
    assert told.summary()[0].dropped == told.streams(2 * S)[0].dropped == 2
    assert sequences([*range(20), *range(40, 60)]).findings(2 * S)[0].serious


def test_one_restart_of_a_publisher_loses_nothing():
    assert sequences([500, 501, 502, 1, 2, 3, 4]).findings(S // 3) == ()


@pytest.mark.parametrize(
    "numbers", [[1, 900, 2, 901, 3, 902], [0] * 6, [2**64 - 1] * 6, [5, 6, 1, 2, 7, 8, 3]]
)
def test_numbers_of_several_publishers_or_none_say_nothing(numbers):
    told = sequences(numbers)
    assert told.findings(S // 4) == () and told.summary()[0].dropped == 0


def test_stamps_of_zero_and_stamps_that_go_back():
    told = audit()
    for i in range(60):
        stamp = 0 if i == 20 else (i - 5) * S // 30 if i == 40 else (i + 1) * S // 30
        told.on_message(FRONT, (i + 1) * S // 30, stamp)
    zero, back = told.findings(2 * S)
    assert (zero.check, zero.begins_s) == ("stamp_zero", 0.7)
    assert back.check == "stamp_order" and back.begins_s == pytest.approx(41 / 30, abs=0.001)
    joints = audit(StreamPlan(ARM, "joints"))
    for i in range(100):  # two drivers on one topic: a little out of order, and rightly so
        joints.on_message(ARM, i * S // 100, (i - i % 2 * 3) * S // 100 + S)
    assert joints.findings(S) == ()


def test_a_stream_that_has_not_come_is_missing_after_two_seconds():
    told = audit()
    assert told.findings(S) == () and told.streams(S)[0].light == "yellow"
    assert told.findings(3 * S)[0].check == "missing" and told.streams(3 * S)[0].light == "red"


def test_lights_say_what_is_now():
    told = audit(StreamPlan(FRONT, "camera", 30.0, required=True), StreamPlan("/tf", "other"))
    told.on_message("/tf", 1, None)

    def until(end_s: float, begin_s: float = 0.0) -> str:
        for i in range(math.ceil(begin_s * 30) + 1, round(end_s * 30)):
            told.on_message(FRONT, i * S // 30, i * S // 30)
        camera, other = told.streams(round(end_s * S))
        assert other.light == "grey"
        return camera.light

    assert until(2.0) == "green"
    assert told.streams(2 * S)[0].rate_hz == pytest.approx(30, abs=1)
    assert told.streams(3 * S)[0].light == "red"  # silent now
    assert until(4.0, 3.0) == "red"  # was silent a moment ago
    assert until(9.0, 4.0) == "yellow"


def test_a_change_of_size_or_encoding():
    told = audit()
    formats = [(320, 240, "bgr8")] * 4 + [(256, 192, "bgr8")] * 4 + [(256, 192, "rgb8")] * 4
    for i, (width, height, encoding) in enumerate(formats):
        told.on_message(FRONT, i * S // 30, None)
        told.on_image(FRONT, 2 * i * S, thumbnail(scene_jpeg(width, height)), encoding)
    size, encoding = told.findings(12 * S // 30)
    assert (size.check, size.begins_s) == ("format", 8.0) and "256x192" in size.text
    assert (encoding.check, encoding.begins_s) == ("format", 16.0) and "rgb8" in encoding.text


def scene_jpeg(width: int, height: int) -> bytes:
    return bytes(cv2.imencode(".jpg", scene(0.2, width, height))[1])


def test_a_flat_grey_picture():
    told = audit()
    for i in range(8):
        told.on_message(FRONT, i * S // 4, None)
        value = 128 if 3 <= i < 6 else 0
        picture = np.full((120, 160), value, np.uint8) if value else thumbnail(jpeg(0, 0, 0.0))
        told.on_image(FRONT, i * S // 4, picture)
    flat = [f for f in told.findings(2 * S) if f.check == "flat"]
    assert [(f.begins_s, f.ends_s) for f in flat] == [(0.75, 1.25)]


def test_one_black_picture_is_an_exposure_that_settles():
    told = audit()
    for i in range(8):
        told.on_message(FRONT, i * S // 30, None)
        told.on_image(FRONT, i * S // 4, thumbnail(black() if i == 0 else jpeg(0, 0, 0.0)))
    assert told.findings(8 * S // 30) == ()


def test_a_picture_or_joint_state_that_does_not_decode_is_named():
    told = audit(StreamPlan(FRONT, "camera"), StreamPlan(ARM, "joints"))
    feeder = Feeder(told, Types())
    raw = bytes(
        STORE.serialize_cdr(
            compressed(S, b"\xff\xd8\xff not a picture"), "sensor_msgs/msg/CompressedImage"
        )
    )
    feeder.feed(FRONT, "sensor_msgs/msg/CompressedImage", S, raw)
    feeder.feed(ARM, "sensor_msgs/msg/JointState", S, b"\x00\x01\x00\x00rubbish")
    assert {f.check for f in told.findings(S)} >= {"decode", "malformed"}


def test_grippers_and_wrapping_joints_do_not_jump():
    """A motor behind a crank turns fast; a continuous joint passes from pi to -pi."""
    told = audit(StreamPlan(ARM, "joints"))
    for i, (turn, motor) in enumerate(((3.1, 0.0), (3.14, 1.5), (-3.14, 0.0), (-3.1, 1.5))):
        now = S + i * S // 100
        told.on_message(ARM, now, now)
        told.on_joints(ARM, now, ("waist", "gripper"), np.array([turn, motor]))
    assert told.findings(S + S // 20) == ()


def test_a_known_velocity_is_the_measure():
    plan = Plan((StreamPlan(ARM, "joints"),), max_velocity={"waist": 1.0})
    slow, fast = (CaptureAudit(replace(plan, max_velocity=v), 0) for v in ({"waist": 1.0}, {}))
    for told in (slow, fast):
        for i, angle in enumerate((0.0, 0.3)):
            now = S + i * S // 50
            told.on_message(ARM, now, now)
            told.on_joints(ARM, now, ("waist",), np.array([angle]))
    assert [f.check for f in slow.findings(S + S // 20)] == ["jump"]
    assert fast.findings(S + S // 20) == ()


def test_arrivals_in_bursts_are_no_jump():
    """Stamps tell when the joints were there: 0.3 rad within 0.1 s, though read in 1 ms."""
    told = audit(StreamPlan(ARM, "joints"))
    for i in range(5):
        told.on_message(ARM, S + i * S // 1000, S + i * S // 10)
        told.on_joints(ARM, S + i * S // 1000, ("waist",), np.array([0.3 * i]))
    assert [f.check for f in told.findings(S + S // 50) if f.check == "jump"] == []


def test_memory_stays_bounded_whatever_is_wrong():
    """An hour of faults: every list inside ends somewhere."""
    told = audit()
    for i in range(20_000):
        now = i * S // 2
        told.on_message(FRONT, now, 0 if i % 7 == 0 else now, 3 * i, content=i // 9)
        if i % 3 == 0:
            told.on_image(FRONT, now, np.zeros((12, 16), np.uint8))
    findings = told.findings(10_000 * S)
    assert len(findings) < 40 and {"gap", "dropped", "stamp_zero", "black"} <= {
        f.check for f in findings
    }
    assert findings[-1].ends_s == pytest.approx(9999.5, abs=10)


# The plan.


def test_the_plan_finds_the_robots_streams_among_the_recorded_ones():
    robot = robots.load("bimanual_wx250s")
    names = (
        "camera/cam_high/image_raw camera/cam_left_wrist/image_raw/compressed left/joint_states"
    )
    topics = tuple(f"/cell/{name}" for name in names.split())
    plan = plan_for(robot, topics)
    by_topic = {s.topic: s for s in plan.streams}
    assert by_topic["/cell/camera/cam_high/image_raw"].expected_hz == 30
    wrist = by_topic["/cell/camera/cam_left_wrist/image_raw/compressed"]
    assert wrist.expected_hz == 15 and wrist.sees == ("/cell/left/joint_states",)
    assert by_topic["right/joint_states"].required  # not recorded: keeps its name, and is missed
    assert plan.gripper_joints == ((FINGER, CLOSED, OPEN),)
    assert 3 < plan.max_velocity["waist"] < 4


def test_a_foreign_bag_is_judged_by_its_types(tmp_path):
    path = Take(seconds=1.0).write(tmp_path / "bag", empty={"/words": "std_msgs/msg/String"})
    plan = plan_for_bag(Bag.open(path))
    kinds = {(s.topic, s.kind) for s in plan.streams}
    assert kinds == {(FRONT, "camera"), (ARM, "joints"), ("/words", "other")}


# Small pictures.


@pytest.mark.parametrize("width", [160, 320, 640, 1280, 1920, 64])
def test_small_pictures_of_jpeg_and_raw_show_the_same(width):
    rgb = scene(0.3, width, width * 3 // 4)
    data = bytes(cv2.imencode(".jpg", rgb[..., ::-1])[1])
    small, raw = thumbnail(data), thumbnail(raw_image(0, rgb))
    for picture in (small, raw, thumbnail(compressed(0, data))):
        assert picture.ndim == 2 and picture.dtype == np.uint8
        assert min(width, 160) <= picture.shape[1] < 2 * max(width, 160)
        assert picture.shape[1] < 330
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    assert abs(float(small.mean()) - float(grey.mean())) < 6
    assert abs(float(raw.mean()) - float(grey.mean())) < 6


@pytest.mark.parametrize("bad", [b"", b"\xff\xd8\xff\xe0", b"rubbish" * 100])
def test_what_is_no_picture_is_refused(bad):
    with pytest.raises(DataError):
        thumbnail(bad)


def test_live_and_offline_find_the_same(tmp_path):
    """The recorder's calls and the bag's reading end in the same findings."""
    take = one_arm(frozen=(1.0, 3.5), silent=(4.0, 4.8))
    path = take.write(tmp_path / "bag")
    bag = Bag.open(path)
    plan = plan_for(robots.load("wx250s"), [t.name for t in bag.topics])
    live = CaptureAudit(plan, bag.begins_ns)
    looked: dict[str, int] = {}
    for record in bag.records():
        msg = bag.decode(record.type, record.raw)
        stamp = msg.header.stamp.sec * S + msg.header.stamp.nanosec
        if live.kind(record.topic) == "camera":
            live.on_message(record.topic, record.log_ns, stamp, content=zlib.crc32(msg.data))
            if record.log_ns - looked.get(record.topic, 0) >= S // 4:
                looked[record.topic] = record.log_ns
                live.on_image(record.topic, record.log_ns, thumbnail(msg), msg.format)
        else:
            live.on_message(record.topic, record.log_ns, stamp)
            live.on_joints(record.topic, record.log_ns, msg.name, msg.position)
    report = inspect(path, robots.load("wx250s"))
    assert live.findings(bag.ends_ns, final=True) == report.findings
    assert [f.check for f in report.findings] == ["frozen", "gap"]
    assert tuple(replace(s, type="") for s in report.streams) == live.summary()


def test_the_swing_of_the_made_arm_pauses():
    """The helper's arm does what the tests above build on."""
    assert swing(4.5) == swing(5.5) and abs(swing(1.0)) == pytest.approx(0.5)
    assert len(JOINTS) == 6
