# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One scripted demonstration in a `Cell`, from its number alone, written if it succeeds.

Everything of it follows from the request and the number: scene, words, start pose and way.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lapa_core.errors import ConfigError, unknown
from lapa_core.sim import tape as tapes
from lapa_core.sim.cell import Cell, ExpertPolicy, check_latency
from lapa_core.sim.disturbance import Disturbance
from lapa_core.sim.tape import Rig, Tape
from lapa_core.sim.tasks import KNOCK, TASKS, Trial, training_trials
from lapa_core.sim.things import COLOURS, TABLETOP
from lapa_core.sim.turns import Other, Pushes, Turns

if TYPE_CHECKING:
    from lapa_core.policy import Policy

MAX_STEPS = 80  # the demonstrator's: three times the longest of a hundred undisturbed (25, cover)
LONGEST = 160  # everybody's
SETTLE_STEPS = 5  # a second, for a thing to fall and lie still; not recorded
QUALITY = 90  # of the JPEGs; 28 kB a picture of 640x480


@dataclass(frozen=True)
class Request:
    """What is collected.

    Attributes:
        seed: everything follows from it and a demonstration's number.
        robot: a name in `config/robots`, or a path.
        scene: of `things.SCENES`.
        tasks, colours: drawn from, but for the pairs that `tasks.HELD_OUT` keeps for evaluation.
        cameras: that are recorded; none: the robot's first.
        image_size: width, height of the pictures; None: as the robot file says.
        jpeg_quality: 1 to 100.
        keep_failures: whether those that did not succeed are written too, as failures.
        disturb: share of the steps at which somebody pushes the arm off its way; those steps
            are recorded as a policy's, so that nobody learns them.
        latency_s: the most that a decision takes; of each demonstration it is drawn, so that who
            learns from them has seen an arm that is still on its way.
        policy: folder of a checkpoint that drives until the demonstrator takes over; "": none.
        policy_files: what its files are told from others' by (`fingerprint`).
    """

    seed: int = 0
    robot: str = "wx250s"
    scene: str = TABLETOP.name
    tasks: tuple[str, ...] = TASKS
    colours: tuple[str, ...] = tuple(COLOURS)
    cameras: tuple[str, ...] = ()
    image_size: tuple[int, int] | None = None
    jpeg_quality: int = QUALITY
    keep_failures: bool = False
    disturb: float = 0.0
    latency_s: float = 0.0
    policy: str = ""
    policy_files: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be collected, before anything is begun."""
        for colour in self.colours:
            if colour not in COLOURS:
                raise ConfigError(unknown("colour", colour, COLOURS, "lapa_core.sim.things"))
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed must be 0 to 2^63 - 1, got {self.seed}")
        if not 0.0 <= self.disturb <= 0.5:
            raise ConfigError(f"disturb must be 0 to 0.5 of the steps, got {self.disturb:g}")
        if self.disturb and self.policy:
            raise ConfigError("the arm is pushed or driven by a policy, not both: disturb is "
                              f"{self.disturb:g} and policy {self.policy!r}")  # fmt: skip
        if not 1 <= self.jpeg_quality <= 100:
            raise ConfigError(f"jpeg quality must be 1 to 100, got {self.jpeg_quality}")
        self.trial(0)

    def trial(self, number: int) -> Trial:
        """What demonstration `number` is of; more of them do not change those before.

        Raises:
            ConfigError: no such task or scene, or no pair of task and colour is left.
        """
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        return training_trials(
            1, seed, task_names=self.tasks, colours=self.colours, scene_name=self.scene
        )[0]


@dataclass(frozen=True)
class Attempt:
    """What came of one demonstration.

    Attributes:
        number: of it, and of its episode where it is written.
        task, target, instruction: of its trial.
        success: whether the judge says so.
        written: whether it is an episode on disk.
        steps: of it.
        note: why it failed, or "".
        findings: of the audit, in words; none in a sound episode.
    """

    number: int
    task: str
    target: str
    instruction: str
    success: bool
    written: bool
    steps: int
    note: str = ""
    findings: tuple[str, ...] = ()


@contextmanager
def demonstrator(request: Request, out: Path) -> Iterator[partial[Attempt]]:
    """A cell with all that is made once; gives the function number -> `Attempt`.

    Raises:
        ConfigError: the robot cannot be simulated.
        CheckpointError: the policy cannot be used with it.
    """
    rig = make_rig(request)
    policy = _policy(request, rig) if request.policy else None
    cameras = tuple(c.name for c in rig.robot.cameras)
    cell = Cell(rig.robot, cameras=cameras, source="teleop")
    try:
        with in_use(out):
            yield partial(demonstrate, request, out, rig, cell, policy)
    finally:
        cell.close()


def _policy(request: Request, rig: Rig) -> Policy:
    """Who drives before the demonstrator takes over."""
    from lapa_core.policy import Policy  # torch, which demonstrations do not need

    policy = Policy.from_checkpoint(request.policy, num_threads=1)
    policy.check_robot(rig.robot)
    policy.warm_up()
    return policy


@contextmanager
def in_use(out: Path, alone: bool = False) -> Iterator[None]:
    """Say that this process writes there; `alone` waits until no other does.

    A process whose caller was killed finishes what it is doing; until then nobody may clean up.
    """
    folder = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without locks goes without
            fcntl.flock(folder, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(folder)


def make_rig(request: Request) -> Rig:
    """How the request's episodes are recorded; a `ConfigError` if they cannot be."""
    rig = tapes.rig(request.robot, request.cameras, request.image_size, request.jpeg_quality)
    check_latency(request.latency_s, rig.robot)
    return rig


def demonstrate(
    request: Request, out: Path, rig: Rig, cell: Cell, policy: Policy | None, number: int
) -> Attempt:
    """Demonstrate, judge, and write what is to be kept.

    Raises:
        RecordingError: the disk refuses.
    """
    trial = request.trial(number)
    rng = np.random.default_rng([request.seed, number])
    # With a chance of its own, so that the rest is as without.
    cell.latency_s = np.random.default_rng([request.seed, number, 2]).uniform(0, request.latency_s)
    cell.reset(trial, rng)
    other = _other(request, rig, policy, number)
    # Others show the way from beside; a point beside the way that nobody can foresee only blurs.
    expert = ExpertPolicy(cell, rng, strays=other is None)
    tape = Tape(rig, out, number, cell, request.policy)
    try:
        note = _act(cell, expert, tape, other)
        outcome = cell.outcome()
        written = outcome.success or request.keep_failures
        findings: tuple[str, ...] = ()
        if written:
            episode = tape.close("success" if outcome.success else "failure")
            findings = tuple(f"{f.stream} {f.check}: {f.text}" for f in episode.findings)
        else:
            tape.abort()
            shutil.rmtree(tape.folder)
    except BaseException:
        tape.abort()
        raise
    return Attempt(
        number, trial.task, trial.target, trial.instruction, outcome.success, written, tape.steps,
        "" if outcome.success else note or outcome.note or "not done", findings,
    )  # fmt: skip


def _other(request: Request, rig: Rig, policy: Policy | None, number: int) -> Other | None:
    """Who else moves the arm, with a chance of its own, so that the rest is as without."""
    rng = np.random.default_rng([request.seed, number, 1])
    if policy is not None:
        return Turns(policy, rng)
    if request.disturb:
        return Pushes(Disturbance(rng, request.disturb, rig.robot.arms[0]))
    return None


def _act(cell: Cell, expert: ExpertPolicy, tape: Tape, other: Other | None) -> str:
    """Act to the end, and wait until the judge can say; returns why it was broken off, or ""."""
    opening = 1.0
    own, owned = True, 0  # whether the last step was the demonstrator's, and how many were
    while True:
        seen = cell.observe()
        tape.sense(seen)
        note = _why_not_on(cell, expert, own, owned)
        if expert.done or note:
            break
        # The demonstrator begins, so that it is a demonstration that others move the arm in.
        theirs = other.chunk(cell, expert.expert, seen) if other and cell.steps else None
        own = theirs is None
        owned += own
        if theirs is not None:
            cell.act(theirs, source="policy")
            expert.expert.disturbed()
        else:
            chunk = expert.decide(cell)
            opening = float(chunk.deltas[0, -1])
            tape.ask(chunk)
            cell.act(chunk)
        tape.told(theirs is not None)
    for _ in range(SETTLE_STEPS):
        if cell.done:
            break
        cell.act(cell.chunk(np.array([[0.0] * 6 + [opening]])))
    return note


def _why_not_on(cell: Cell, expert: ExpertPolicy, own: bool, owned: int) -> str:
    """Why it cannot come to a good end any more, or ""."""
    if own and cell.holds:
        return cell.holds
    if owned >= MAX_STEPS or cell.steps >= LONGEST:
        return f"not done in {cell.steps} steps"
    if cell.trial.task == KNOCK and cell.outcome().right_object is False:
        return cell.outcome().note  # the first that is touched decides
    if not own and expert.expert.hopeless():
        return "what it needs lies, or is out of reach"
    return ""
