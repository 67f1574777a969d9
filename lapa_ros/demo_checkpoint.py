# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which model the demo runs, and what it is given to do: the shipped one gets trials.

A checkpoint that is asked for comes first, then the shipped one where it was made for the robot,
else random weights, made once. Imports no torch.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lapa_core import paths
from lapa_core import robot as robots
from lapa_core.errors import CheckpointError, ConfigError
from lapa_core.model.interface import Interface
from lapa_core.robot import Robot

SHIPPED = "models/lapa-micro"
INSTRUCTION = "put the red block in the bin"


@dataclass(frozen=True)
class Model:
    """What runs.

    Attributes:
        folder: of the checkpoint.
        trained: random weights are drawn from, trained ones give their likeliest action.
        instruction: the one there is throughout; "": the model is given trials.
    """

    folder: Path
    trained: bool
    instruction: str


def choose(robot_name: str, out: Path, asked: Path | None, instruction: str | None) -> Model:
    """Decide, and print why.

    Args:
        robot_name: a robot in config/robots, or a file.
        out: folder of the demo's results, where random weights are kept.
        asked: a checkpoint that must be used; None: the shipped one if it fits.
        instruction: must be given throughout; None: trials if the model can do them.

    Raises:
        CheckpointError: the one that is asked for cannot be used with this robot.
        ConfigError: no such robot.
    """
    robot = robots.load(robot_name)
    if asked is not None:
        folder, interface = asked, _interface(asked)
        interface.check_robot(robot)
    else:
        folder, interface = _shipped(robot) or (_random(robot_name, robot, out), None)
    trained = interface is not None and interface.trained
    if instruction is not None:
        why = f'it is told "{instruction}" throughout'
    elif not trained:
        why = "it is not trained, so it is given no trials"
    elif len(robot.arms) != 1:
        why = f"the trials are for one arm, and {robot.name} has {len(robot.arms)}"
    else:
        print(f"demo: {folder} is given trials; {interface.origin if interface else ''}")
        return Model(folder, trained, "")
    print(f"demo: the model is {folder}: {why}", flush=True)
    return Model(folder, trained, instruction or INSTRUCTION)


def _shipped(robot: Robot) -> tuple[Path, Interface] | None:
    """The checkpoint in `models/` if it was made for the robot."""
    try:
        folder = paths.share(SHIPPED)
    except ConfigError:
        print(f"demo: no {SHIPPED} is installed", flush=True)
        return None
    interface = _interface(folder)
    try:
        interface.check_robot(robot)
    except CheckpointError as error:
        other = interface.robot != robot.name  # of which everything else follows
        why = f"made for {interface.robot}, not for {robot.name}" if other else str(error)
        print(f"demo: {SHIPPED} does not fit: {why}", flush=True)
        return None
    return folder, interface


def _interface(folder: Path) -> Interface:
    """What a checkpoint was made for.

    Raises:
        CheckpointError: it is none, or gives no robot actions.
    """
    file = folder / "interface.json"
    try:
        interface = Interface.from_json(file.read_text(encoding="utf-8"), str(file))
    except OSError:
        raise CheckpointError(f"{folder} is no checkpoint: it has no interface.json") from None
    if interface.kind != "action":
        raise CheckpointError(f"{folder} is a {interface.kind} model and gives no robot actions")
    return interface


def _random(name: str, robot: Robot, out: Path) -> Path:
    """A random checkpoint, made unless an earlier run left one that still fits."""
    made = out / f"random-micro-{robot.name}"
    try:
        _interface(made).check_robot(robot)
        if (made / "config.json").is_file():
            return made
    except CheckpointError:
        pass  # none yet, or of another version
    shutil.rmtree(made, ignore_errors=True)
    print(f"demo: making a randomly initialised micro model in {made}", flush=True)
    command = [sys.executable, "-m", "lapa_core.cli", "init", str(made)]
    subprocess.run([*command, "--preset", "micro", "--robot", name], check=True)
    return made
