# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How our processes begin and end: exit codes, signals, one clean line for a user's mistake."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import Operator, spinning, wait_for

from lapa_ros import environment
from lapa_ros.processes import NodeProcess, stop_all


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_node_cleanly(
    which: signal.Signals, ros_context: None, tmp_path: Path
) -> None:
    from lapa_core import robot as robots

    node = NodeProcess(
        "arm_node", {"robot": "wx250s", "backend": "ros2_control"}, tmp_path / "log"
    )
    operator = Operator(robots.load("wx250s"))
    with spinning(operator):
        wait_for(lambda: operator.state[0] == "hold", "a running arm node")
        node.process.send_signal(which)
        assert node.process.wait(timeout=3.0) == 0, node.last_lines()
    assert "Traceback" not in node.log.read_text()


STARTER = """
import sys, time
from pathlib import Path
from lapa_ros.processes import NodeProcess
node = NodeProcess("arm_node", {"robot": "wx250s", "backend": "ros2_control"}, Path(sys.argv[1]))
print(node.process.pid, flush=True)
time.sleep(60.0)
"""


@pytest.mark.parametrize("which", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("up", [True, False], ids=["running", "starting"])
def test_a_node_ends_with_the_process_that_started_it(
    up: bool, which: signal.Signals, tmp_path: Path
) -> None:
    """As `lapa demo` and `lapa eval --ros`, which may be killed, or told to end by `timeout`."""
    log = tmp_path / "log"
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(log)], stdout=subprocess.PIPE, text=True
    )
    with starter:
        assert starter.stdout is not None
        node = int(starter.stdout.readline())
        if up:
            wait_for(lambda: b"hold: disabled" in log.read_bytes(), "a running arm node")
        starter.send_signal(which)

    def ended() -> bool:
        status = Path(f"/proc/{node}/stat")
        # One whom nobody waits for stays as a zombie where no init takes care of it.
        return not status.exists() or ") Z " in status.read_text()

    wait_for(ended, "the end of the node", seen=log.read_text)
    assert "the process that started this node" in log.read_text()
    assert "Traceback" not in log.read_text()


# A signal comes in the midst of a callback, which then takes its time and publishes.
BUSY = """
import os, signal, sys, time
from rclpy.node import Node
from std_msgs.msg import String
from lapa_ros import runtime
number, busy_s, last_words = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "True"
class Busy(Node):
    def __init__(self):
        super().__init__("busy")
        self.publisher = self.create_publisher(String, "busy", 1)
        self.create_timer(0.01, self.tick)
    def tick(self):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        time.sleep(busy_s)
        self.publisher.publish(String(data="done"))
        print("published", flush=True)
    def close(self):
        self.publisher.publish(String(data="closed"))
        print("closed", flush=True)
runtime.main(Busy, [], last_words=last_words)
"""


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("busy_s", "last_words", "published"),
    [(0.2, False, True), (60.0, False, False), (1.0, True, True)],
)
def test_a_signal_lets_a_short_callback_end_and_breaks_off_a_long_one(
    busy_s: float, last_words: bool, published: bool, which: signal.Signals
) -> None:
    """Not one which may be telling a robot something."""
    arguments = [str(int(which)), str(busy_s), str(last_words)]
    node = subprocess.run(
        [sys.executable, "-c", BUSY, *arguments], capture_output=True, text=True, timeout=30.0
    )
    assert node.returncode == 0, node.stderr
    assert node.stdout.split() == ["published", "closed"][0 if published else 1 :]
    assert "Traceback" not in node.stderr


@pytest.mark.parametrize("name", ["arm_node", "sim_node"])
def test_an_unknown_robot_is_one_clean_line_and_exit_code_2(name: str, tmp_path: Path) -> None:
    node = NodeProcess(name, {"robot": "wx25s"}, tmp_path / "log")
    assert node.process.wait(timeout=20.0) == 2
    text = node.log.read_text()
    assert "did you mean 'wx250s'" in text
    assert "Traceback" not in text


@pytest.mark.torch
@pytest.mark.sim
@pytest.mark.timeout(180)
def test_the_demo_closes_the_loop_and_reports(
    tmp_path: Path, repository: Path, debug_checkpoint: Path
) -> None:
    import json

    arguments = ("--seconds", "4", "--checkpoint", str(debug_checkpoint))
    result = _demo(tmp_path, repository, *arguments).communicate(timeout=150)[0]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["steps_executed"] >= 15, result
    assert summary["trained"] is False
    assert summary["trials"] == [] and summary["instruction"]
    assert "RANDOMLY INITIALISED" in result and "given no trials" in result
    assert summary["frames"]["front"]["received"] > 60
    for name in ("demo.mp4", "commanded_vs_reached.png"):
        assert (tmp_path / name).stat().st_size > 5000
    for log in (tmp_path / "logs").iterdir():
        before, found, trace = log.read_text().partition("Traceback")
        assert not found, f"{log.name}: {before[-500:]}{found}{trace}"
    assert "did not end cleanly" not in result


@pytest.mark.torch
@pytest.mark.sim
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "moment", ["first node", "all nodes", pytest.param("trials", marks=pytest.mark.slow)]
)
def test_ctrl_c_ends_the_demo_and_its_nodes_within_three_seconds(
    moment: str, tmp_path: Path, repository: Path, posing_checkpoint: Path
) -> None:
    """SIGINT goes to the whole foreground group, as a terminal sends it; at three moments."""
    arguments = ("--seconds", "60", "--checkpoint", str(posing_checkpoint))
    demo = _demo(tmp_path, repository, *arguments)
    logs = tmp_path / "logs"
    if moment == "first node":
        wait_for(lambda: (logs / "policy_node.log").is_file(), "a started node", 60.0)
    else:
        wait_for(lambda: (logs / "arm_node.log").is_file(), "started nodes", 60.0)
    if moment == "trials":
        assert demo.stdout is not None
        while "demo: trials" not in demo.stdout.readline():
            assert demo.poll() is None
    children = _children(demo.pid)
    began = time.monotonic()
    os.killpg(demo.pid, signal.SIGINT)
    demo.communicate(timeout=10.0)
    took = time.monotonic() - began
    assert took < 3.0
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def _demo(out: Path, repository: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lapa_core.cli", "demo", "--out", str(out), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=repository,
        start_new_session=True,
        env={k: v for k, v in os.environ.items() if k != "ROS_DOMAIN_ID"},
    )


def _children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


@pytest.mark.alone  # nodes of other tests have memory in the same place
def test_memory_of_a_killed_node_is_removed_and_that_of_a_living_one_is_not(
    tmp_path: Path,
) -> None:
    """Fast DDS leaves the segment of a process that was killed."""
    folder = Path("/dev/shm")

    def segments() -> set[str]:
        return {f.name for f in folder.glob("fastrtps_*_el")}

    environment.remove_dead_segments(older_than_s=10.0)  # of other tests
    nodes, made = [], []
    for name in ("killed", "living"):
        seen = segments()
        nodes.append(NodeProcess("sim_node", {"robot": "wx250s"}, tmp_path / f"{name}.log"))
        log = nodes[-1].log
        wait_for(lambda log=log: b"simulating" in log.read_bytes(), f"the {name} node")
        made.append(segments() - seen)
    killed, living = nodes
    try:
        killed.kill()
        environment.remove_dead_segments()
        assert made[0] <= segments(), "it is young yet"
        assert environment.remove_dead_segments(older_than_s=0.0) >= 64e6
        assert not made[0] & segments()
        assert made[1] <= segments()
        assert living.running()
    finally:  # left alive it would be a second robot of the tests that follow
        ended = stop_all([living])
        killed.close()
    assert ended == {"sim_node": 0}
