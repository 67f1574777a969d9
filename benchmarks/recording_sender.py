# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Three cameras and an arm's joints at their real rates, every message numbered in its header.

    python benchmarks/recording_sender.py ROBOT.yaml SECONDS GO

Sends unnumbered messages until the file GO is there, then numbered ones for SECONDS, then writes
how many of each topic into it, as JSON, and goes on with unnumbered ones until it is ended.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from lapa_core import robot as robots
from lapa_ros import convert, interface

PICTURES = 24  # different ones, so that no frame equals the one before
JOINT_RATE_HZ = 100.0
WARM = "warm"


def pictures(width: int, height: int) -> list[np.ndarray]:
    """Scenes with soft shapes and a webcam's noise: about 100 KB as JPEG."""
    rng = np.random.default_rng(0)
    soft = cv2.resize(rng.integers(0, 255, (12, 16, 3), dtype=np.uint8), (width, height))
    found = []
    for shift in range(PICTURES):
        noise = rng.normal(0.0, 3.0, (height, width, 3))
        found.append(np.clip(np.roll(soft, 4 * shift, axis=1) + noise, 0, 255).astype(np.uint8))
    return found


def main() -> None:
    """Send until ended."""
    robot = robots.load(sys.argv[1])
    seconds, go = float(sys.argv[2]), Path(sys.argv[3])
    rclpy.init()
    node = Node("recording_sender")
    arm = robot.arms[0]
    images = {}
    for camera in robot.cameras:
        publisher = node.create_publisher(Image, camera.topic, interface.SENSOR_PUB_QOS)
        scenes = [convert.image_msg(rgb, "", 0) for rgb in pictures(camera.width, camera.height)]
        images[camera.topic] = (publisher, scenes, 1.0 / camera.rate_hz)
    joints = node.create_publisher(JointState, arm.joint_states, interface.SENSOR_PUB_QOS)
    names = (*arm.joints, "gripper", "left_finger", "right_finger")
    now = time.monotonic()
    due = dict.fromkeys(images, now) | {arm.joint_states: now}
    sent, shown = dict.fromkeys(due, 0), dict.fromkeys(due, 0)
    end_s = math.inf
    while True:
        if end_s == math.inf and go.exists():
            end_s = time.monotonic() + seconds
        if time.monotonic() > end_s:
            go.write_text(json.dumps(sent), encoding="utf-8")
            end_s = -math.inf
        topic = min(due, key=lambda t: due[t])
        time.sleep(max(0.0, due[topic] - time.monotonic()))
        counting = math.isfinite(end_s)
        number = str(sent[topic]) if counting else WARM
        stamp = node.get_clock().now().nanoseconds
        if topic in images:
            publisher, scenes, period = images[topic]
            msg = scenes[shown[topic] % PICTURES]
            msg.header.stamp, msg.header.frame_id = convert.time_msg(stamp), number
            publisher.publish(msg)
        else:
            t = stamp * 1e-9
            position = np.array([*(0.3 * np.sin(t + np.arange(len(arm.joints)))), 0, 0, 0])
            position[-2] = 0.026 + 0.01 * np.sin(t)
            state = convert.joint_state_msg(names, position, np.zeros(len(names)), stamp)
            state.header.frame_id = number
            joints.publish(state)
            period = 1.0 / JOINT_RATE_HZ
        due[topic] += period
        sent[topic] += counting
        shown[topic] += 1


if __name__ == "__main__":
    main()
