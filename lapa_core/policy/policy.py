# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A checkpoint at work: an Observation becomes an ActionChunk.

Refuses rather than substitutes: a missing camera, a token without a bin, a checkpoint made for
another robot raise. Not thread-safe; one inference at a time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lapa_core.data import images
from lapa_core.errors import CheckpointError, StaleInput, unknown
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.ways import Ways
from lapa_core.policy.allocator import keep_freed_memory
from lapa_core.policy.generate import Generated, Generator, Given, greedy, sampler
from lapa_core.robot import Robot
from lapa_core.types import ActionChunk, ImageArray, Observation

STAGES = ("preprocess", "vqgan", "prefill", "decode", "total")


@dataclass(frozen=True)
class Prediction:
    """Codes of one image and instruction, before they become an action.

    Attributes:
        tokens: (n,) int64 generated codes.
        step_logits: (n, rows) float32 scores each was chosen from.
        vqgan_tokens: (c * 256,) int64 codes of the pictures.
        input_ids, attention_mask: (T,) int64 prompt.
        timings_ms: milliseconds of each of `STAGES`.
    """

    tokens: NDArray[np.int64]
    step_logits: NDArray[np.float32]
    vqgan_tokens: NDArray[np.int64]
    input_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    timings_ms: Mapping[str, float]


@dataclass(frozen=True)
class Decision:
    """Answer to one observation.

    Attributes:
        chunk: the action, its first step due at once.
        tokens: (n,) int64 codes it was decoded from.
        timings_ms: milliseconds of each of `STAGES`.
        aim: what the policy says before it acts, by name, such as where each arm's tool acts
            next, in the arm's base [m, rad, acts]; empty where it says nothing.
    """

    chunk: ActionChunk
    tokens: NDArray[np.int64]
    timings_ms: Mapping[str, float]
    aim: Mapping[str, float] = field(default_factory=dict)


class Policy:
    """A loaded checkpoint, ready to infer.

    Attributes:
        kind: "action" or "latent".
        robot: name of the robot it was made for.
        dimensions: names of the action's dimensions.
        cameras: names of the cameras it looks through.
        step_time_s: time between the steps of a chunk.
        chunk_length: steps of one inference.
        trained: False for random weights.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        sample: bool = False,
        seed: int = 0,
        center_crop: bool | None = None,
        reference_eos: bool = False,
        any_code: bool = False,
    ) -> None:
        """Make a policy of a checkpoint.

        Args:
            checkpoint: its weights and bins.
            sample, seed: as in `from_checkpoint`.
            center_crop: other than the checkpoint says.
            reference_eos: stop at a latent code as the reference does by mistake.
            any_code: choose of all rows of the table as the reference, not only of those that
                have a bin (decision 0060).
        """
        interface = checkpoint.interface
        if not interface.cameras:
            raise CheckpointError("the checkpoint names no camera")
        self.checkpoint = checkpoint
        # oneDNN's convolutions run in this layout; other ones are copied back and forth.
        checkpoint.vqgan.to(memory_format=torch.channels_last)
        if checkpoint.vqgan.device.type == "cpu":
            keep_freed_memory()
        self.kind, self.robot = interface.kind, interface.robot
        self.dimensions, self.cameras = interface.dimensions, interface.cameras
        self.step_time_s, self.chunk_length = interface.step_time_s, interface.chunk_length
        self.trained = interface.trained
        self._center_crop = interface.center_crop if center_crop is None else center_crop
        self._sample, self._seed = sample, seed
        self._random = torch.Generator().manual_seed(seed)
        aims, states = checkpoint.aims, checkpoint.states
        self._ways = Ways(aims, states) if aims is not None else None
        self._generator = Generator(
            checkpoint.lapa,
            checkpoint.tokenizer,
            kind=self.kind,
            num_tokens=interface.num_tokens,
            num_codes=checkpoint.vqgan.num_codes,
            choose=sampler(self._random) if sample else greedy,
            reference_eos=reference_eos,
            num_bins=() if any_code else checkpoint.num_bins,
        )

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        *,
        device: str = "cpu",
        dtype: str = "float32",
        num_threads: int | None = None,
        sample: bool = False,
        seed: int = 0,
    ) -> Policy:
        """Load a checkpoint folder.

        Args:
            path: the folder.
            device: a torch device.
            dtype: of the language model, "float32" or "bfloat16".
            num_threads: CPU threads of torch in this process; None leaves them as they are.
            sample: draw codes instead of taking the likeliest.
            seed: of the draw.

        Raises:
            CheckpointError: the folder is not a whole checkpoint.
        """
        if num_threads is not None:
            torch.set_num_threads(num_threads)
        checkpoint = Checkpoint.from_pretrained(path, device=device, dtype=dtype)
        return cls(checkpoint, sample=sample, seed=seed)

    def check_robot(self, robot: Robot) -> None:
        """Raise a `CheckpointError` that names every way in which the robot does not fit."""
        self.checkpoint.interface.check_robot(robot)

    def reset(self) -> None:
        """Start over: forget the instruction and restart the random draw."""
        self._generator.reset()
        self._random.manual_seed(self._seed)

    def warm_up(self) -> None:
        """Infer once on a grey image, so that the first real inference is not slow."""
        grey = np.full((256, 256, 3), 128, dtype=np.uint8)
        states = self.checkpoint.states
        state = dict(zip(states.names, states.lower, strict=True)) if states else {}
        self.predict([grey] * len(self.cameras), "warm up", state)
        self.reset()

    def infer(self, observation: Observation) -> Decision:
        """Decide what to do.

        Raises:
            StaleInput: a camera is missing.
            DecodeError: the model's output has no meaning as an action.
            CheckpointError: the checkpoint gives no actions.
        """
        for camera in self.cameras:
            if camera not in observation.images:
                raise StaleInput(unknown("camera", camera, observation.images, "the observation"))
        start = time.perf_counter()
        prediction = self.predict(
            [observation.images[camera] for camera in self.cameras],
            observation.instruction,
            observation.state,
        )
        deltas = self.action(prediction.tokens)
        chunk = ActionChunk(
            names=self.dimensions,
            deltas=deltas,
            due_s=np.arange(len(deltas)) * self.step_time_s,
            stamp_ns=observation.stamp_ns,
        )
        total = (time.perf_counter() - start) * 1e3
        timings = {**prediction.timings_ms, "total": total}
        return Decision(chunk, prediction.tokens, timings, self.aim(prediction.tokens))

    def _given(self, state: Mapping[str, float]) -> Given | None:
        """What follows from what is said, in this state; None where nothing does."""
        ways, states = self._ways, self.checkpoint.states
        if ways is None or states is None or not ways.places:
            return None
        here = np.array([state[name] for name in states.names])

        def given(place: int, codes: Sequence[torch.Tensor]) -> int | None:
            if (way := ways.places.get(place)) is None:
                return None
            said = np.array([int(codes[way.source])])
            return int(ways.follow(place, said, here[way.state : way.state + 1])[0])

        return given

    def aim(self, tokens: NDArray[np.int64]) -> dict[str, float]:
        """(n,) codes -> what the model says before it acts; see `Decision`."""
        bins = self.checkpoint.aims
        if bins is None:
            return {}
        places = bins.decode(tokens[: len(bins.dimensions)])
        return dict(zip(bins.dimensions, places.tolist(), strict=True))

    def action(self, tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n,) codes -> (chunk_length, d) deltas of the message contract: gripper 1 is open."""
        bins = self.checkpoint.actions
        if self.kind != "action":
            raise CheckpointError("a latent model gives no robot actions; fine-tune it first")
        if bins is None:
            raise CheckpointError("this checkpoint has no action bins; convert it with --bins")
        acting = tokens[len(self.checkpoint.interface.aim) :]
        deltas = bins.decode(acting.reshape(self.chunk_length, len(self.dimensions)))
        return self.checkpoint.interface.exchange_gripper(deltas)

    def predict(
        self,
        pictures: ImageArray | Sequence[ImageArray],
        instruction: str,
        state: Mapping[str, float] | None = None,
    ) -> Prediction:
        """Codes of an instruction, (H, W, 3) RGB pictures in the cameras' order, and a state.

        Raises:
            StaleInput: the state lacks something that the model reads.
        """
        start = time.perf_counter()
        views = [pictures] if isinstance(pictures, np.ndarray) else list(pictures)
        pixels = np.stack(
            [images.normalise(images.resize_for_model(v, self._center_crop)) for v in views]
        )
        resized_at = time.perf_counter()
        codes = self._encode(pixels)
        encoded_at = time.perf_counter()
        reads = self.checkpoint.states
        tokens = reads.tokens(state or {}) if reads else None
        generated = self._generator(instruction, codes, tokens, self._given(state or {}))
        timings = {
            "preprocess": resized_at - start,
            "vqgan": encoded_at - resized_at,
            "prefill": generated.prefill_s,
            "decode": generated.decode_s,
            "total": time.perf_counter() - start,
        }
        return _prediction(generated, codes, {k: v * 1e3 for k, v in timings.items()})

    @torch.inference_mode()
    def _encode(self, pixels: NDArray[np.float32]) -> NDArray[np.int64]:
        """(c, 256, 256, 3) pixels -> (c, N) codes."""
        vqgan = self.checkpoint.vqgan
        codes = vqgan.encode(torch.from_numpy(pixels).to(vqgan.device))
        return codes.cpu().numpy()


def _prediction(
    generated: Generated, codes: NDArray[np.int64], timings_ms: Mapping[str, float]
) -> Prediction:
    prompt = generated.prompt
    return Prediction(
        generated.tokens, generated.step_logits, codes.ravel(), prompt.ids, prompt.mask, timings_ms
    )
