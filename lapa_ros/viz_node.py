# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What RViz shows of the policy and the safety contract; listens alone, commands nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from rclpy.node import Node
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import MarkerArray

from lapa_core import robot as robots
from lapa_core.control.compose import Pose
from lapa_core.data import messages
from lapa_core.errors import LapaError
from lapa_ros import interface, markers, runtime
from lapa_ros.params import declare, param

MOVING = ("policy", "teleop")
WARN_PERIOD_S = 5.0


@dataclass(frozen=True)
class VizParams:
    """Parameters of the node."""

    robot: str = param("wx250s", "robot file: a name in config/robots, or a path")
    line_width_m: float = param(0.003, "lines of the workspace box", low=0.0005, high=0.05)
    text_height_m: float = param(0.04, "letters of the authority", low=0.005, high=0.5)


class VizNode(Node):
    """Predicted path an arm, and one latched array of markers."""

    def __init__(self) -> None:
        super().__init__("viz_node")
        self.params = declare(self, VizParams)
        self.robot = robots.load(self.params.robot)
        self._authority = ("", "")
        self._poses: dict[tuple[str, str], Pose] = {}
        self._markers = self.create_publisher(
            MarkerArray, interface.MARKERS, interface.LATCHED_QOS
        )
        self._paths = {
            a.name: self.create_publisher(
                Path, interface.predicted_path(a.name), interface.SENSOR_PUB_QOS
            )
            for a in self.robot.arms
        }
        listen = self.create_subscription
        listen(String, interface.AUTHORITY, self._on_authority, interface.LATCHED_QOS)
        listen(JointTrajectory, interface.POLICY_EE_DELTA, self._on_chunk, interface.COMMAND_QOS)
        for arm in self.robot.arms:
            for which, topic in (("pose", interface.ee_pose), ("target", interface.ee_target)):
                callback = partial(self._on_pose, arm.name, which)
                listen(PoseStamped, topic(arm.name), callback, interface.SENSOR_PUB_QOS)
        self._publish_markers()

    def _on_authority(self, msg: String) -> None:
        self._authority = interface.parse_authority(msg.data)
        self._publish_markers()

    def _publish_markers(self) -> None:
        p = self.params
        self._markers.publish(
            markers.scene(self.robot, *self._authority, p.line_width_m, p.text_height_m)
        )

    def _on_pose(self, arm: str, which: str, msg: PoseStamped) -> None:
        self._poses[arm, which] = markers.pose(msg)

    def _on_chunk(self, msg: JointTrajectory) -> None:
        stamp = self.get_clock().now().nanoseconds
        try:
            chunk = messages.action_chunk(msg)
            for arm in self.robot.arms:
                start = self._start(arm.name)
                if start is not None:
                    poses = markers.predicted(chunk, self.robot, arm, start)
                    self._paths[arm.name].publish(markers.path_msg(poses, arm.base_frame, stamp))
        except LapaError as error:
            self.get_logger().warning(
                f"chunk not shown: {error}", throttle_duration_sec=WARN_PERIOD_S
            )

    def _start(self, arm: str) -> Pose | None:
        """Where the arm would begin: its target while it moves, else where it is."""
        which = "target" if self._authority[0] in MOVING else "pose"
        return self._poses.get((arm, which), self._poses.get((arm, "pose")))


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Entry point of `ros2 run lapa_ros viz_node`."""
    runtime.main(VizNode, args)


if __name__ == "__main__":
    main()
