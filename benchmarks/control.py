# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a control tick, its inverse kinematics, the physics and a picture cost: docs/control.md.

    python benchmarks/control.py

The controller follows random 5 Hz deltas against the simulated robot, without ROS.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("MUJOCO_GL", "egl")

import numpy as np
from common import RESULTS, processor, write_result

from lapa_core import description
from lapa_core import robot as robots
from lapa_core.control import ArmController
from lapa_core.control.collision import CollisionGuard
from lapa_core.control.compose import Pose
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.robot import Robot
from lapa_core.sim import Simulation
from lapa_core.types import ActionChunk

TICK_S = 0.02
SECONDS = 20.0


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    args = parser.parse_args()
    robot, two = robots.load("wx250s"), robots.load("bimanual_wx250s")
    sim = Simulation(robot)
    rows = {
        **kinematics(robot),
        "tick, one arm": follow(robot),
        "tick, two arms": follow(two),
        "collision guard, one arm": guard(robot),
        "collision guard, two arms": guard(two),
        "20 ms of physics": timed(lambda _: sim.step(10), 300),
        "picture 256x256": timed(lambda _: sim.render("front", 256, 256), 100),
        "picture 640x480": timed(lambda _: sim.render("front", 640, 480), 100),
    }
    sim.close()
    table = {
        name: {"median_ms": round(float(np.median(ms)), 3), "p99_ms": round(_p99(ms), 3)}
        for name, ms in rows.items()
    }
    for name, row in table.items():
        print(f"{name:<26} {row['median_ms']:8.3f} ms median {row['p99_ms']:8.3f} ms p99")
    content = {"benchmark": "control", "machine": processor(), "rows": table}
    print(write_result("control", content, args.out))


def kinematics(robot: Robot) -> dict[str, list[float]]:
    """One tick of inverse kinematics, and the reach check of a step."""
    arm = robot.arms[0]
    solver = ArmKinematics(arm, description.for_arm(arm))
    rng = np.random.default_rng(0)
    start, still = arm.start_rad, np.zeros(len(arm.joints))
    home = solver.fk(start)
    targets = [Pose(home.xyz_m + rng.uniform(-0.03, 0.03, 3), home.rotation) for _ in range(500)]
    return {
        "inverse kinematics": timed(lambda i: solver.step(start, still, targets[i], TICK_S), 500),
        "reach check of a step": timed(lambda i: solver.reach(targets[i], start), 500),
    }


def follow(robot: Robot) -> list[float]:
    """Milliseconds of each tick while random deltas are followed in simulation."""
    controller, sim = ArmController(robot), Simulation(robot)
    rng = np.random.default_rng(0)
    for arm in robot.arms:
        sim.set_command(arm.name, dict(zip(arm.joints, map(float, arm.start_rad), strict=True)))
    sim.step(1500)
    spent = []
    for i in range(round(SECONDS / TICK_S)):
        now = i * TICK_S
        for arm in robot.arms:
            names, position, _ = sim.joint_state(arm.name)
            controller.on_joint_state(arm.name, names, position, now)
        if i == 0:
            controller.enable(now)
        if i % 10 == 0:
            deltas = rng.normal(scale=0.01, size=(1, len(robot.dimensions)))
            deltas[0, 6::7] = 1.0
            chunk = ActionChunk(robot.dimensions, deltas, np.zeros(1), i + 1, robot.base_frame)
            controller.on_chunk("policy", chunk, now, i + 1)
        began = time.perf_counter()
        commands = controller.tick(now)
        spent.append(1e3 * (time.perf_counter() - began))
        for name, command in (commands or {}).items():
            targets = map(float, command.position_rad)
            sim.set_command(name, dict(zip(command.joints, targets, strict=True)))
        sim.step(10)
    if controller.status(now).steps_executed < 50:
        raise SystemExit(f"the controller did not follow: {controller.status(now).reason}")
    return spent


def guard(robot: Robot) -> list[float]:
    """Milliseconds of each check while all joints wander, into collisions and out again."""
    shapes = CollisionGuard(robot, {a.name: description.for_arm(a) for a in robot.arms})
    rng = np.random.default_rng(0)
    openings = {a.name: 1.0 for a in robot.arms}
    present = {a.name: a.start_rad for a in robot.arms}
    spent = []
    for _ in range(1000):
        wanted = {n: q + rng.normal(0.0, 0.01, len(q)) for n, q in present.items()}
        began = time.perf_counter()
        found = shapes.restrain(present, wanted, openings, TICK_S)
        spent.append(1e3 * (time.perf_counter() - began))
        present = found[0]
    return spent


def timed(call: Callable[[int], object], count: int) -> list[float]:
    """Milliseconds of each of `count` calls, after one to warm up."""
    call(0)
    spent = []
    for i in range(count):
        began = time.perf_counter()
        call(i)
        spent.append(1e3 * (time.perf_counter() - began))
    return spent


def _p99(ms: list[float]) -> float:
    return float(np.percentile(ms, 99))


if __name__ == "__main__":
    main()
