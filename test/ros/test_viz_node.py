# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What RViz is told, from a real viz node over DDS: paths, boxes and the authority."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from geometry_msgs.msg import PoseStamped
from harness import spinning, started, wait_for
from nav_msgs.msg import Path as PathMsg
from rclpy.node import Node
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import Marker, MarkerArray

from lapa_core import robot as robots
from lapa_core.control.compose import Pose, angle_between, compose, in_axes, rotation_from_rpy
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk
from lapa_ros import convert, interface, markers
from lapa_ros.markers import COLOURS

STEP = [0.02, -0.01, 0.005, 0.1, -0.05, 0.2, 1.0]
HOLD = "hold: disabled: call enable"


def two_arms(folder: Path) -> Path:
    """The two-armed robot, its right arm turned, so that base and world axes differ."""
    content = yaml.safe_load(Path(robots.load("bimanual_wx250s").source).read_text())
    content["arms"][1]["base_in_world"] = {"xyz_m": [1.2, 0.1, 0.0], "rpy_rad": [0, 0, 2.6]}
    path = folder / "two.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


class Viewer(Node):
    """RViz's ears, and the voices of policy and arm node."""

    def __init__(self, robot: Robot) -> None:
        super().__init__("viewer")
        self.robot = robot
        self.paths: dict[str, list[PathMsg]] = {a.name: [] for a in robot.arms}
        self.scenes: list[MarkerArray] = []
        q = interface
        self.create_subscription(MarkerArray, q.MARKERS, self.scenes.append, q.LATCHED_QOS)
        for arm in robot.arms:
            self.create_subscription(
                PathMsg, q.predicted_path(arm.name), self.paths[arm.name].append, 10
            )
        self._authority = self.create_publisher(String, q.AUTHORITY, q.LATCHED_QOS)
        self._chunks = self.create_publisher(JointTrajectory, q.POLICY_EE_DELTA, q.EVENT_QOS)
        self._poses = {
            (a.name, which): self.create_publisher(PoseStamped, topic(a.name), q.SENSOR_PUB_QOS)
            for a in robot.arms
            for which, topic in (("pose", q.ee_pose), ("target", q.ee_target))
        }

    def says(self, authority: str) -> None:
        """Announce an authority and wait until it is shown."""
        self._authority.publish(String(data=authority))
        state, reason = interface.parse_authority(authority)
        wait_for(lambda: self.scenes and f"{state}\n{reason}" in self.text(), authority)

    def text(self, index: int = 0) -> str:
        """What stands over an arm."""
        return self.shown(f"{self.robot.arms[index].name}/authority").text

    def shown(self, namespace: str) -> Marker:
        """The newest marker of a namespace."""
        return next(m for m in self.scenes[-1].markers if m.ns == namespace)

    def path_from(
        self, poses: dict[str, Pose], which: str, frame_id: str, rows: list[list[float]]
    ) -> dict[str, PathMsg]:
        """Publish where the arms are and a chunk until its paths come back; newest of each."""
        for listed in self.paths.values():
            listed.clear()
        deltas = np.tile(np.array(rows), len(self.robot.arms))
        due = 0.2 * np.arange(len(rows))

        def came() -> bool:
            now = self.get_clock().now().nanoseconds
            for name, pose in poses.items():
                frame = self.robot.arm(name).base_frame
                msg = convert.pose_msg(pose.xyz_m, pose.quaternion_wxyz, frame, now)
                self._poses[name, which].publish(msg)
            chunk = ActionChunk(self.robot.dimensions, deltas, due, now, frame_id)
            self._chunks.publish(convert.chunk_msg(chunk))
            return all(
                len(p) > 2 and np.allclose(xyz(p[-1])[0], poses[n].xyz_m)
                for n, p in self.paths.items()
            )

        wait_for(came, "the predicted paths", poll_s=0.05)
        return {n: p[-1] for n, p in self.paths.items()}


def xyz(path: PathMsg) -> np.ndarray:
    """(n, 3) positions of a path [m]."""
    return np.array([markers.pose(p).xyz_m for p in path.poses])


def expect_path(path: PathMsg, start: Pose, deltas: np.ndarray) -> None:
    """The path is the start and what every delta composes it to."""
    poses = [start]
    for delta in deltas:
        poses.append(compose(poses[-1], delta))
    assert len(path.poses) == len(poses)
    for shown, pose in zip(path.poses, poses, strict=True):
        got = markers.pose(shown)
        np.testing.assert_allclose(got.xyz_m, pose.xyz_m, atol=1e-9)
        assert angle_between(got.rotation, pose.rotation) < 1e-6
        assert shown.header.frame_id == path.header.frame_id


@pytest.fixture(scope="module")
def viewer(ros_context: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    folder = tmp_path_factory.mktemp("viz")
    path = two_arms(folder)
    viewer = Viewer(robots.load(str(path)))
    with (
        started("viz_node", {"robot": str(path)}, folder / "log") as node,
        spinning(viewer),
    ):
        wait_for(lambda: viewer.scenes, "the first markers")
        yield viewer
    assert "Traceback" not in node.log.read_text()


def poses_of(robot: Robot) -> dict[str, Pose]:
    """A different pose for every arm."""
    return {
        a.name: Pose(np.array([0.25, 0.02 * i, 0.15]), rotation_from_rpy(0.1 * i, 1.2, -0.3))
        for i, a in enumerate(robot.arms, start=1)
    }


def test_before_anybody_speaks_the_text_says_so(viewer: Viewer) -> None:
    assert viewer.scenes[0].markers[2].text == "left: no arm node heard"


def test_the_box_and_the_table_are_those_of_the_robot_file(viewer: Viewer) -> None:
    for arm in viewer.robot.arms:
        box = viewer.shown(f"{arm.name}/workspace")
        assert box.header.frame_id == arm.base_frame
        assert box.type == Marker.LINE_LIST
        points = np.array([[p.x, p.y, p.z] for p in box.points]).reshape(12, 2, 3)
        np.testing.assert_allclose(points.min(axis=(0, 1)), arm.workspace_lower_m)
        np.testing.assert_allclose(points.max(axis=(0, 1)), arm.workspace_upper_m)
        # Every edge runs along one axis, over the whole box; no two are the same.
        lengths = np.abs(points[:, 1] - points[:, 0])
        size = arm.workspace_upper_m - arm.workspace_lower_m
        assert sorted(map(tuple, lengths)) == sorted(
            tuple(r) for r in np.diag(size) for _ in "1234"
        )
        assert len({p.tobytes() for p in points}) == 12
    table = viewer.shown("table")
    top = table.pose.position.z + table.scale.z / 2
    assert table.header.frame_id == "world"
    assert top == pytest.approx(viewer.robot.table_z_m)
    for arm in viewer.robot.arms:
        tool = arm.base_xyz_m + arm.base_rotation @ arm.workspace_upper_m
        assert abs(tool[0] - table.pose.position.x) < table.scale.x / 2
        assert abs(tool[1] - table.pose.position.y) < table.scale.y / 2


def test_the_text_follows_the_authority(viewer: Viewer) -> None:
    for text in (HOLD, "policy: following policy", "estop: estop requested"):
        viewer.says(text)
        for index, arm in enumerate(viewer.robot.arms):
            state, _ = interface.parse_authority(text)
            assert viewer.text(index).startswith(f"{arm.name}: {state}")
            colour = viewer.shown(f"{arm.name}/authority").color
            assert (colour.r, colour.g, colour.b) == pytest.approx(COLOURS[state])


def test_in_hold_the_path_begins_where_the_arm_is(viewer: Viewer) -> None:
    viewer.says(HOLD)
    starts = poses_of(viewer.robot)
    rows = [STEP, STEP, [0.0, 0.03, 0.0, 0.0, 0.0, 0.0, 0.0]]
    shown = viewer.path_from(starts, "pose", viewer.robot.base_frame, rows)
    for arm in viewer.robot.arms:
        assert shown[arm.name].header.frame_id == arm.base_frame
        expect_path(shown[arm.name], starts[arm.name], np.array(rows))


def test_in_motion_the_path_begins_at_the_target(viewer: Viewer) -> None:
    viewer.says("policy: following policy")
    ahead = np.array([0.01, 0.0, 0.02])
    targets = {n: Pose(p.xyz_m + ahead, p.rotation) for n, p in poses_of(viewer.robot).items()}
    shown = viewer.path_from(targets, "target", "", [STEP])
    for arm in viewer.robot.arms:
        expect_path(shown[arm.name], targets[arm.name], np.array([STEP]))


def test_deltas_in_the_world_are_turned_into_every_base(viewer: Viewer) -> None:
    viewer.says(HOLD)
    starts = poses_of(viewer.robot)
    shown = viewer.path_from(starts, "pose", viewer.robot.world_frame, [STEP, STEP])
    for arm in viewer.robot.arms:
        own = in_axes(np.array([STEP, STEP]), arm.base_rotation.T)
        expect_path(shown[arm.name], starts[arm.name], own)
        # By hand: a step in the world is the same step of the tool's place in the world.
        placed = xyz(shown[arm.name]) @ arm.base_rotation.T
        np.testing.assert_allclose(np.diff(placed, axis=0), [STEP[:3]] * 2, atol=1e-9)
