# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The robot under soak: its nodes, and what can be heard of it on the topics."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lapa_core import paths
from lapa_core import robot as robots
from lapa_ros import environment

NAMESPACE = "lapa_soak"
FAKETIME = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime")
# Pictures of one datagram: without shared memory larger ones would be lost in fragments.
PICTURE = {"width": 160, "height": 120, "rate_hz": 15}
STILL_S = 0.1  # without a command for so long the arm has stopped
DEADLINE_S = 30.0


def libfaketime() -> Path | None:
    """The library that sets the clock of a process, where it is installed."""
    found = [Path(f) / "libfaketime.so.1" for f in FAKETIME]
    return next((p for p in found if p.is_file()), None)


def may_cut_network() -> bool:
    """Whether network namespaces can be made here."""
    return os.geteuid() == 0 and shutil.which("ip") is not None


def resident_mb(pid: int) -> float:
    """Memory of a process that is really there [MB]."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Cell:
    """Nodes of one simulated robot, restarted as needed, and an observer of them.

    Attributes:
        robot: what is simulated.
        nodes: running processes by name.
        link, has_namespace: network interface between the policy and the rest, if it exists.
        clock_file, clock_offset_s: what the nodes take for the time, if that can be set.
        hogs: processes that keep the processors busy.
        hold_reason: why the arm held last.
        longest_gap_s: between two commands since `mark`, while the policy moved the arm.
        enables_asked, enables_done: calls of `enable`, and those that led to motion.
    """

    def __init__(self, robot: str, folder: Path) -> None:
        self.folder = folder
        self.robot_file = self._small_pictures(robot)
        self.robot = robots.load(str(self.robot_file))
        self.nodes: dict[str, Any] = {}
        self.link = "lapa_soak0"
        self.has_namespace = may_cut_network()
        self.clock_file = folder / "clock" if libfaketime() else None
        self.clock_offset_s = 0.0
        self.hogs: list[subprocess.Popen[bytes]] = []
        self.hold_reason = ""
        self.longest_gap_s = 0.0
        self.enables_asked = self.enables_done = 0
        self._library = libfaketime()
        self._logs: list[Path] = []
        self._recoveries = 0
        self._memory: dict[tuple[str, int], list[tuple[float, float]]] = {}
        self._authority: list[tuple[float, str, str]] = []
        self._commands: list[float] = []
        self._monitor: Any = None

    def __enter__(self) -> Cell:
        """Prepare network and environment; DDS reads the latter when the first node is made."""
        if self.has_namespace:
            self._make_namespace()
        os.environ["ROS_DOMAIN_ID"] = environment.own_domain()
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SUBNET"
        # Shared memory would pass by the network that is to be cut.
        profile = Path(paths.share("config/dds/fastdds.xml")).read_text(encoding="utf-8")
        udp = self.folder / "udp.xml"
        udp.write_text(profile.replace("<transport_id>lapa_shm</transport_id>\n        ", ""))
        os.environ["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(udp)
        return self

    def __exit__(self, *exc: object) -> None:
        """End everything and remove the namespace."""
        from lapa_ros.processes import stop_all

        for hog in self.hogs:
            hog.kill()
        stop_all(list(self.nodes.values()))
        if self.has_namespace:
            subprocess.run(["ip", "link", "del", self.link], check=False)
            subprocess.run(["ip", "netns", "del", NAMESPACE], check=False)

    # Nodes -----------------------------------------------------------------------------------

    def start(self) -> None:
        """All nodes, and the policy moving the arm."""
        self.write_clock()
        out = self.folder / "checkpoint"
        init = ["init", str(out), "--preset", "micro", "--robot", str(self.robot_file)]
        subprocess.run([sys.executable, "-m", "lapa_core.cli", *init], check=True)
        for node in ("sim_node", "arm_node", "policy_node"):
            self.restart(node)
        self._listen()
        self.recover()

    def restart(self, node: str) -> None:
        """Start a node anew."""
        from lapa_ros.processes import NodeProcess

        if node in self.nodes:
            self.nodes[node].kill()
            self.nodes[node].close()
        robot = {"robot": str(self.robot_file)}
        parameters: dict[str, dict[str, object]] = {
            "sim_node": robot,
            "arm_node": {**robot, "backend": "ros2_control"},
            "policy_node": {
                **robot,
                "checkpoint": str(self.folder / "checkpoint"),
                "instruction": "put the red block in the bin",
                "sample": True,
                "num_threads": 1,
                "autostart": True,
            },
        }
        log = self.folder / f"{node}_{len(self._logs)}.log"
        self._logs.append(log)
        wrapper = ["ip", "netns", "exec", NAMESPACE]
        self.nodes[node] = NodeProcess(
            node,
            parameters[node],
            log,
            self._environment(),
            command_prefix=wrapper if node == "policy_node" and self.has_namespace else [],
        )

    def write_clock(self) -> None:
        """Let the nodes' clock differ from the system's by `clock_offset_s`."""
        if self.clock_file:
            new = self.clock_file.with_suffix(".new")
            new.write_text(f"{self.clock_offset_s:+g}\n")
            new.rename(self.clock_file)

    def _environment(self) -> dict[str, str]:
        variables = {"MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl")}
        if self.clock_file:
            variables |= {
                "LD_PRELOAD": str(self._library),
                "FAKETIME_TIMESTAMP_FILE": str(self.clock_file),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        return variables

    def _small_pictures(self, robot: str) -> Path:
        path = Path(robot)
        source = path if path.suffix else paths.share(f"config/robots/{robot}.yaml")
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
        content["cameras"] = [{**c, **PICTURE} for c in content["cameras"][:1]]
        out = self.folder / "robot.yaml"
        out.write_text(yaml.safe_dump(content))
        return out

    def _make_namespace(self) -> None:
        """A network namespace for the policy, joined to the rest by a link that can be cut."""
        peer = f"{self.link}p"
        inside = ["ip", "netns", "exec", NAMESPACE]
        subprocess.run(["ip", "netns", "del", NAMESPACE], check=False, stderr=subprocess.DEVNULL)
        for command in (
            ["ip", "netns", "add", NAMESPACE],
            ["ip", "link", "add", self.link, "type", "veth", "peer", "name", peer],
            ["ip", "link", "set", peer, "netns", NAMESPACE],
            ["ip", "addr", "add", "10.231.7.1/24", "dev", self.link],
            ["ip", "link", "set", self.link, "up"],
            [*inside, "ip", "addr", "add", "10.231.7.2/24", "dev", peer],
            [*inside, "ip", "link", "set", peer, "up"],
            [*inside, "ip", "link", "set", "lo", "up"],
            [*inside, "ip", "route", "add", "default", "via", "10.231.7.1"],
        ):
            subprocess.run(command, check=True)

    # What is heard -----------------------------------------------------------------------------

    def _listen(self) -> None:
        import rclpy
        from std_msgs.msg import String
        from std_srvs.srv import Trigger
        from trajectory_msgs.msg import JointTrajectory

        from lapa_ros import interface

        rclpy.init()
        self._monitor = rclpy.create_node("soak_monitor")
        listen = self._monitor.create_subscription
        listen(String, interface.AUTHORITY, self._on_authority, interface.LATCHED_QOS)
        for arm in self.robot.arms:
            topic = arm.drivers.ros2_control.arm.topic
            listen(JointTrajectory, topic, self._on_command, interface.EVENT_QOS)
        self._enable = self._monitor.create_client(Trigger, "enable")
        self._trigger = Trigger

    def _on_authority(self, msg: Any) -> None:
        state, _, reason = msg.data.partition(": ")
        self._authority.append((time.monotonic(), state, reason))

    def _on_command(self, msg: Any) -> None:
        del msg
        now = time.monotonic()
        if self._commands and self.moving:
            self.longest_gap_s = max(self.longest_gap_s, now - self._commands[-1])
        self._commands.append(now)

    @property
    def moving(self) -> bool:
        """Whether the policy has authority, as far as heard."""
        return bool(self._authority) and self._authority[-1][1] == "policy"

    def _spin(self, done: Callable[[], Any], deadline_s: float) -> Any:
        import rclpy

        while not (result := done()) and time.monotonic() < deadline_s:
            rclpy.spin_once(self._monitor, timeout_sec=0.005)
        return result

    def listen_until(self, end_s: float) -> None:
        """Let the robot run, and look at its memory once a second."""
        while (now := time.monotonic()) < end_s:
            self._spin(lambda: False, min(end_s, now + 1.0))
            for name, node in self.nodes.items():
                sample = time.monotonic(), resident_mb(node.process.pid)
                self._memory.setdefault((name, node.process.pid), []).append(sample)

    def require_moving(self) -> None:
        """A fault is worth something only while the policy moves the arm."""
        moving = self._spin(lambda: self.moving, time.monotonic() + DEADLINE_S)
        assert moving, f"the policy does not move the arm: {self._authority[-3:]}"

    def mark(self) -> None:
        """Forget what was before the next fault."""
        self.hold_reason, self.longest_gap_s = "", 0.0
        del self._authority[:-1], self._commands[:-1]

    def wait_for_stop(self, begin_s: float, lasts_s: float) -> float | None:
        """When the arm was held, heard as authority or as commands that stopped; or None."""

        def heard() -> float | None:
            for time_s, state, reason in self._authority:
                if time_s >= begin_s and state != "policy":
                    self.hold_reason = reason
                    return time_s
            return None

        held = self._spin(heard, begin_s + lasts_s)
        self._spin(lambda: False, begin_s + lasts_s)
        last = self._commands[-1] if self._commands else begin_s
        if held is None and time.monotonic() - last > STILL_S:
            self.hold_reason = "no commands"
            return max(last, begin_s)
        return float(held) if held is not None else None

    def recover(self) -> float:
        """Bring the policy back to moving the arm, enabling it where that is needed."""
        deadline = time.monotonic() + DEADLINE_S
        last_ask = 0.0
        while not self.moving or time.monotonic() - (self._commands or [0.0])[-1] > STILL_S:
            assert time.monotonic() < deadline, (
                f"no recovery in {DEADLINE_S:g} s: {self._authority[-5:]}"
            )
            self._spin(lambda: False, time.monotonic() + 0.05)
            reason = self._authority[-1][2] if self._authority else ""
            if "disabled" in reason and time.monotonic() - last_ask > 1.0:
                last_ask = time.monotonic()
                self._ask_to_enable(deadline)
        self._recoveries += 1
        return time.monotonic()

    def _ask_to_enable(self, deadline_s: float) -> None:
        """Call `enable`; it may be refused as long as there are no joint states."""
        if not self._enable.wait_for_service(timeout_sec=1.0):
            return
        self.enables_asked += 1
        future = self._enable.call_async(self._trigger.Request())
        self._spin(future.done, min(deadline_s, time.monotonic() + 5.0))
        if future.done() and future.result().success:
            self.enables_done += 1
        elif future.done() and "joint states" in future.result().message:
            self.enables_asked -= 1  # refused with its reason: asked for too early

    # Judgement -------------------------------------------------------------------------------

    def memory_growth_mb(self, settles_s: float) -> dict[str, float]:
        """Largest growth of every kind of node: from after settling to its end, fitted."""
        growth: dict[str, float] = {}
        for (name, _), samples in self._memory.items():
            times, sizes = np.array(samples).T
            settled = times > times[0] + settles_s
            if times[settled].size < 2 * settles_s:
                continue
            slope, _ = np.polyfit(times[settled], sizes[settled], 1)
            grown = float(slope * (times[-1] - times[0] - settles_s))
            growth[name] = max(growth.get(name, -np.inf), grown)
        return growth

    def unlogged_recoveries(self) -> int:
        """Holds that ended without a line in the arm node's log that says how and why."""
        lines = [
            line
            for log in self._logs
            if log.name.startswith("arm_node")
            for line in log.read_text(errors="replace").splitlines()
        ]
        logged = sum("following policy" in line for line in lines)
        reasoned = sum("following policy after" in line for line in lines)
        return max(0, self._recoveries - logged) + (logged - reasoned)
