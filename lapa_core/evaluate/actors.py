# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Who moves the arm of a simulated cell: a checkpoint, or the script that knows everything.

A `Job` says which, and can be sent to another process; `make` builds it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lapa_core import robot as robots
from lapa_core.errors import CheckpointError, ConfigError
from lapa_core.model.interface import Interface
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk

if TYPE_CHECKING:  # MuJoCo and torch are imported where a cell or a policy is made
    from lapa_core.policy import Decision
    from lapa_core.sim.cell import Cell, ExpertPolicy
    from lapa_core.types import Observation

EXPERT = "expert"


@dataclass(frozen=True)
class Job:
    """What runs trials: the same for all of them.

    Attributes:
        policy: `EXPERT`, or the folder of a checkpoint.
        robot: a name or file; "" takes the checkpoint's.
        device, dtype: of the model.
        sample, seed: draw actions instead of taking the likeliest, and the draw's seed.
        image_size: width, height of the pictures; None: as the robot file says.
        max_s: a trial ends there, in simulated time.
        latency_s: simulated seconds that a decision takes.
        out: folder of the results, for films.
    """

    policy: str
    robot: str
    max_s: float
    out: Path
    device: str = "cpu"
    dtype: str = "float32"
    sample: bool = False
    seed: int = 0
    image_size: tuple[int, int] | None = None
    latency_s: float = 0.0


class Actor(Protocol):
    """Decides in a cell."""

    @property
    def finished(self) -> bool:
        """Whether it has nothing more to do."""

    def begin(self, cell: Cell) -> None:
        """A trial has begun."""

    def decide(self, cell: Cell) -> ActionChunk:
        """The chunk for what is seen now; a `LapaError` where there is none."""


class Infers(Protocol):
    """A policy: `policy.Policy`, or a rival."""

    def reset(self) -> None:
        """Forget what has been."""

    def infer(self, observation: Observation) -> Decision:
        """What to do."""


class PolicyActor:
    """A checkpoint, as the policy node runs it.

    Attributes:
        finished: never.
    """

    finished = False

    def __init__(self, policy: Infers) -> None:
        self._policy = policy

    def begin(self, cell: Cell) -> None:
        """Forget the last trial, also its random draw: no trial depends on another."""
        del cell
        self._policy.reset()

    def decide(self, cell: Cell) -> ActionChunk:
        """One inference."""
        return self._policy.infer(cell.observe()).chunk


class ExpertActor:
    """The scripted demonstrator: how far the tasks can be done at all."""

    def __init__(self) -> None:
        self._expert: ExpertPolicy | None = None

    @property
    def finished(self) -> bool:
        """Whether the demonstration is over."""
        return self._expert is not None and self._expert.done

    def begin(self, cell: Cell) -> None:
        """Plan."""
        from lapa_core.sim.cell import ExpertPolicy

        self._expert = ExpertPolicy(cell)

    def decide(self, cell: Cell) -> ActionChunk:
        """One step of the plan."""
        assert self._expert is not None
        return self._expert.decide(cell)


def robot_of(policy: str, robot: str) -> Robot:
    """The robot that a policy is evaluated on.

    Raises:
        ConfigError: none is named, or there is no such robot.
        CheckpointError: no checkpoint, or one for another robot.
    """
    if policy == EXPERT:
        return robots.load(robot or "wx250s")
    file = Path(policy) / "interface.json"
    try:
        interface = Interface.from_json(file.read_text(encoding="utf-8"), str(file))
    except OSError:
        raise CheckpointError(f"{policy} is no checkpoint: it has no interface.json") from None
    if interface.kind != "action":
        raise CheckpointError(
            f"{policy} is a {interface.kind} model and gives no robot actions; fine-tune it first"
        )
    if not robot and interface.robot not in robots.available():
        raise ConfigError(
            f"{policy} was made for the robot {interface.robot!r}, which has no file here: give "
            "--robot"
        )
    found = robots.load(robot or interface.robot)
    interface.check_robot(found)
    return found


def make(job: Job) -> tuple[Cell, Actor]:
    """A cell, and who acts in it.

    Raises:
        LapaError: the checkpoint or the robot cannot be used.
    """
    from lapa_core.sim.cell import Cell

    robot = robot_of(job.policy, job.robot)
    cell = partial(Cell, robot, image_size=job.image_size, latency_s=job.latency_s)
    if job.policy == EXPERT:
        return cell(), ExpertActor()
    if (Path(job.policy) / "idm").is_dir():
        from lapa_core.policy.unipi import UnipiPolicy

        if (job.device, job.dtype, job.sample) != ("cpu", "float32", False):
            raise ConfigError(
                f"{job.policy} is of UniPi, which is evaluated on the CPU, in float32, with the "
                "draw of its noise alone: no --device, --dtype or --sample"
            )
        rival = UnipiPolicy.from_folder(job.policy, num_threads=1, seed=job.seed)
        return cell(cameras=rival.cameras), PolicyActor(rival)
    from lapa_core.policy import Policy

    policy = Policy.from_checkpoint(
        job.policy,
        device=job.device,
        dtype=job.dtype,
        num_threads=1,  # each process has one core; more of them beat more threads
        sample=job.sample,
        seed=job.seed,
    )
    policy.warm_up()
    return cell(cameras=policy.cameras), PolicyActor(policy)
