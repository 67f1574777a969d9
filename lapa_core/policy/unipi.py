# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""UniPi at work: imagine the next frame, and do what an inverse dynamics model sees done.

A rival to compare with in simulation (`lapa eval`), not for an arm: it is slow, and knows nothing
of where the arm is. A folder of `lapa pretrain unipi --idm` holds the planner, and beside it
`idm/` and `interface.json`.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor

from lapa_core.data import images
from lapa_core.data.footage import moves
from lapa_core.errors import CheckpointError, StaleInput, unknown
from lapa_core.model import idm, unipi
from lapa_core.model.checkpoint import INTERFACE, TOKENIZER, read_interface
from lapa_core.model.idm import Idm
from lapa_core.model.interface import Interface, for_robot
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.unipi import RGB, Planner, tokens
from lapa_core.policy.policy import Decision
from lapa_core.robot import Robot
from lapa_core.types import NUM_AXES, ActionChunk, FloatArray, Observation

IDM = "idm"


class UnipiPolicy:
    """A planner and an inverse dynamics model.

    Attributes:
        cameras: the one that is imagined.
        step_time_s, chunk_length: of the steps that lead to the first imagined frame.
    """

    def __init__(
        self, planner: Planner, inverse: Idm, tokenizer: TextTokenizer, interface: Interface,
        seed: int = 0,
    ) -> None:  # fmt: skip
        self._planner, self._idm = planner.eval(), inverse.eval()
        self._tokenizer, self._interface, self._seed = tokenizer, interface, seed
        self.cameras, self.step_time_s = interface.cameras, interface.step_time_s
        self.chunk_length = interface.chunk_length
        self.reset()

    @classmethod
    def from_folder(
        cls, path: str | Path, *, num_threads: int | None = None, seed: int = 0
    ) -> UnipiPolicy:
        """Load what `lapa pretrain unipi --idm` wrote.

        Raises:
            CheckpointError: it is no such folder.
        """
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        folder = Path(path)
        planner, tokenizer = unipi.load(folder), TextTokenizer.from_file(folder / TOKENIZER)
        return cls(planner, idm.load(folder / IDM), tokenizer, read_interface(folder), seed)

    def reset(self) -> None:
        """Begin anew: the gripper open, the random draw from its seed."""
        self._random = torch.Generator().manual_seed(self._seed)
        self._openings = np.ones(len(self._interface.dimensions) // NUM_AXES)

    def infer(self, observation: Observation) -> Decision:
        """Imagine, and say what to do.

        Raises:
            StaleInput: the camera is missing.
        """
        (camera,) = self.cameras
        if camera not in observation.images:
            raise StaleInput(unknown("camera", camera, observation.images, "the observation"))
        start = time.perf_counter()
        motion = self._motion(observation.images[camera], observation.instruction)
        deltas = self._steps(motion)
        chunk = ActionChunk(
            names=self._interface.dimensions,
            deltas=deltas,
            due_s=np.arange(len(deltas)) * self.step_time_s,
            stamp_ns=observation.stamp_ns,
        )
        total = (time.perf_counter() - start) * 1e3
        return Decision(chunk, np.zeros(0, dtype=np.int64), {"total": total})

    @torch.inference_mode()
    def _motion(self, picture: np.ndarray, instruction: str) -> FloatArray:
        """(5 a,) what is done until the first imagined frame, as of `data.footage.moves`."""
        c = self._planner.config
        ids = torch.from_numpy(tokens(self._tokenizer, [instruction], c.max_words))
        noise = torch.randn(
            (1, RGB * c.frames, c.image_size, c.image_size), generator=self._random
        )
        present = _scaled(images.resize_for_laq(picture, c.image_size))
        next_frame = self._planner.imagine(present, ids, noise)[:, :, 0]
        config = self._idm.config
        size = (config.image_size, config.image_size)
        seen = _scaled(images.resize_for_laq(picture, config.image_size))
        imagined = F.interpolate(next_frame, size, mode="bilinear")
        told = self._idm(torch.stack([seen, imagined], dim=2))[0].numpy()
        found: FloatArray = told * np.array(config.spread) + np.array(config.middle)
        return found

    def _steps(self, motion: FloatArray) -> FloatArray:
        """(n, d) deltas that come to a motion; a gripper changes when the arm is there."""
        count = self.chunk_length
        deltas = np.zeros((count, len(self._openings), NUM_AXES))
        each = motion.reshape(-1, moves.WIDTH)
        deltas[:, :, :3] = each[:, :3] / count
        deltas[:, :, 5] = each[:, 3] / count
        deltas[:, :, 6] = self._openings
        self._openings = np.round(np.clip(each[:, 4], 0.0, 1.0))
        deltas[-1, :, 6] = self._openings
        return deltas.reshape(count, -1)


def interface(robot: Robot, camera: str, planner_gap_s: float, inverse: Idm) -> Interface:
    """What such a policy is for.

    Raises:
        CheckpointError: the inverse dynamics model is of another gap, or of other arms, or the gap
            is not of whole steps.
    """
    config = inverse.config
    if abs(config.gap_s - planner_gap_s) > 1e-6:
        raise CheckpointError(
            f"the inverse dynamics model tells what is done in {config.gap_s:g} s, the planner "
            f"imagines {planner_gap_s:g} s ahead; train both with one --gap"
        )
    if len(config.dimensions) != moves.WIDTH * len(robot.arms):
        raise CheckpointError(
            f"the inverse dynamics model tells {len(config.dimensions)} numbers, "
            f"{robot.name} has {len(robot.arms)} arms of {moves.WIDTH}"
        )
    steps = round(planner_gap_s / robot.step_time_s)
    if steps < 1 or abs(steps * robot.step_time_s - planner_gap_s) > 1e-6:
        raise CheckpointError(
            f"{planner_gap_s:g} s ahead are no whole steps of {robot.name}'s "
            f"{robot.step_time_s:g} s; train with another --gap"
        )
    return for_robot(
        robot, cameras=(robot.camera(camera).name,), chunk_length=steps,
        num_tokens=steps * len(robot.dimensions), center_crop=False, trained=True,
        origin="UniPi: imagined frames, and an inverse dynamics model",
    )  # fmt: skip


def write_beside(folder: Path, of: Interface, inverse: Path) -> None:
    """Make a planner's folder one of a policy."""
    (folder / INTERFACE).write_text(of.to_json(), encoding="utf-8")
    shutil.copytree(inverse, folder / IDM, dirs_exist_ok=True)


def _scaled(picture: np.ndarray) -> Tensor:
    """(S, S, 3) uint8 -> (1, 3, S, S) in 0 .. 1."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255.0
