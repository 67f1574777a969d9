# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A recorder of a few lines: raw messages kept in memory, written as an episode at the end.

Parity must not depend on the recorder that is tested elsewhere: this one only keeps bytes and
the time they came.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from lapa_core.recording import episode as episodes
from lapa_core.recording.episode import Episode
from lapa_core.robot import Robot

STORE = get_typestore(Stores.ROS2_JAZZY)


class Tape(Node):
    """Hears topics and remembers what it heard.

    Attributes:
        heard: topic, type, arrival [ns], bytes.
    """

    def __init__(self, topics: dict[str, tuple[Any, QoSProfile]]) -> None:
        """Listen.

        Args:
            topics: topic -> message class, QoS.
        """
        super().__init__("tape")
        self.heard: list[tuple[str, str, int, bytes]] = []
        self.running = True
        for topic, (kind, qos) in topics.items():
            name = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
            self.create_subscription(kind, topic, self._keep(f"/{topic}", name), qos, raw=True)

    def _keep(self, topic: str, name: str) -> Any:
        def keep(raw: bytes) -> None:
            if self.running:
                now = self.get_clock().now().nanoseconds
                self.heard.append((topic, name, now, bytes(raw)))

        return keep

    def count(self, topic: str) -> int:
        return sum(t == f"/{topic}" for t, _, _, _ in self.heard)

    def write(self, folder: Path, robot: Robot, robot_yaml: str, instruction: str) -> Path:
        """Write the episode's folder."""
        self.running = False
        heard = sorted(self.heard, key=lambda h: h[2])
        with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            connections: dict[str, Any] = {}
            for topic, name, now, raw in heard:
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, name, typestore=STORE)
                writer.write(connections[topic], now, raw)
        episode = Episode(
            episode=0,
            instruction=instruction,
            operator="",
            outcome="success",
            started="2026-01-01T00:00:00Z",
            duration_s=(heard[-1][2] - heard[0][2]) * 1e-9,
            robot=robot.name,
            robot_yaml=robot_yaml,
            checkpoint="",
            device="script",
            software="test",
        )
        episodes.write(episode, folder)
        return folder
