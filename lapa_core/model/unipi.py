# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A small UniPi: a diffusion model that imagines the next frames of a task told in words.

A rival of latent actions (Du et al. 2023, as the LAPA paper compares it): it learns from video
and words without actions, and an inverse dynamics model says what the arm does between the
frames it imagines. Built on `diffusers`: a two-dimensional U-Net that has the present frame and
the F frames to come as its channels, and sees the words through cross-attention.

B films, F frames to come, S pixels of a side, W words, D width of a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from diffusers import DDIMScheduler, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PretrainedConfig

from lapa_core.errors import CheckpointError, ConfigError, DataError
from lapa_core.model.strict import StrictModel
from lapa_core.model.tokenizer import TextTokenizer

RGB = 3
NOISE_STEPS = 1000  # of the schedule that is trained; sampling takes a few of them
# Levels, the coarsest ones, that look at the words and at all places of the picture: at 64 x 64
# pixels that alone would take longer than all the rest.
WITH_WORDS = 2
PAD = 0  # of words: also what stands for words that are left out


class PlannerConfig(PretrainedConfig):
    """Sizes of the planner.

    Args:
        frames: F.
        gap_s: time between two frames.
        image_size: S, a multiple of 2 to the number of `channels` less one.
        channels: of the U-Net's levels, from the finest to the coarsest.
        width, depth, heads: of the network that reads the words.
        vocab_size, max_words: of the tokenizer, and of a sentence in tokens.
        sample_steps: denoising steps of one imagination.
        guidance: how much more the words count than without (Ho and Salimans 2022); 1 is not.
        kwargs: of transformers.
    """

    model_type = "lapa_unipi"

    def __init__(
        self,
        frames: int = 2,
        gap_s: float = 0.6,
        image_size: int = 64,
        channels: Sequence[int] = (16, 32, 64, 96),
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        vocab_size: int = 512,
        max_words: int = 64,
        sample_steps: int = 8,
        guidance: float = 1.5,
        **kwargs: Any,
    ) -> None:
        """Set them.

        Raises:
            ConfigError: sizes that do not fit together.
        """
        halvings = 2 ** (len(channels) - 1)
        if frames < 1 or not gap_s > 0 or image_size % halvings:
            raise ConfigError(
                f"a planner needs 1 frame or more, a gap above 0 s and pictures of a multiple of "
                f"{halvings} pixels; got {frames}, {gap_s:g} s, {image_size}"
            )
        if not 1 <= sample_steps <= NOISE_STEPS:
            raise ConfigError(f"sample_steps must be 1 to {NOISE_STEPS}, got {sample_steps}")
        self.frames, self.gap_s, self.image_size = frames, gap_s, image_size
        self.channels = list(channels)
        self.width, self.depth, self.heads = width, depth, heads
        self.vocab_size, self.max_words = vocab_size, max_words
        self.sample_steps, self.guidance = sample_steps, guidance
        super().__init__(**kwargs)


class Words(nn.Module):
    """(B, W) ids -> (B, W, D)."""

    def __init__(self, c: PlannerConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(c.vocab_size, c.width)
        self.place = nn.Parameter(0.02 * torch.randn(c.max_words, c.width))
        layer = nn.TransformerEncoderLayer(
            c.width, c.heads, 4 * c.width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, c.depth, enable_nested_tensor=False)

    def forward(self, ids: Tensor) -> Tensor:
        """All ids, padding too: it is a word like others, "nothing more is said"."""
        read: Tensor = self.layers(self.embed(ids) + self.place[: ids.shape[1]])
        return read


class Planner(StrictModel):
    """Imagines the frames to come."""

    config_class = PlannerConfig
    base_model_prefix = ""
    main_input_name = "frames"

    def __init__(self, config: PlannerConfig) -> None:
        super().__init__(config)
        c = config
        fine = max(len(c.channels) - WITH_WORDS, 0)
        coarse = len(c.channels) - fine
        self.words = Words(c)
        self.unet = UNet2DConditionModel(
            sample_size=c.image_size,
            in_channels=RGB * (1 + c.frames),
            out_channels=RGB * c.frames,
            block_out_channels=tuple(c.channels),
            layers_per_block=1,
            down_block_types=(*["DownBlock2D"] * fine, *["CrossAttnDownBlock2D"] * coarse),
            up_block_types=(*["CrossAttnUpBlock2D"] * coarse, *["UpBlock2D"] * fine),
            cross_attention_dim=c.width,
            attention_head_dim=c.heads,  # of which diffusers makes the number of heads
            norm_num_groups=min(16, *c.channels),
        )
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Keep the initialisation of diffusers and torch."""
        del module

    def forward(self, frames: Tensor, ids: Tensor, times: Tensor, noise: Tensor) -> Tensor:
        """A training step's loss.

        Args:
            frames: (B, 3, 1 + F, S, S) in 0 .. 1, the present one first.
            ids: (B, W) words.
            times: (B,) of the noise schedule, 0 .. `NOISE_STEPS` - 1.
            noise: (B, 3 F, S, S) standard normal.
        """
        present, future = _split(frames)
        schedule = scheduler()
        noisy = schedule.add_noise(future, noise, times)
        wanted = schedule.get_velocity(future, noise, times)
        told = self._velocity(noisy, present, self.words(ids), times)
        return F.mse_loss(told.float(), wanted)

    def _velocity(self, noisy: Tensor, present: Tensor, words: Tensor, times: Tensor) -> Tensor:
        seen = torch.cat([present, noisy], dim=1)
        told: Tensor = self.unet(seen, times, encoder_hidden_states=words).sample
        return told

    @torch.no_grad()
    def imagine(self, frame: Tensor, ids: Tensor, noise: Tensor) -> Tensor:
        """The frames to come.

        Args:
            frame: (B, 3, S, S) in 0 .. 1.
            ids: (B, W) words.
            noise: (B, 3 F, S, S) standard normal, from which they are made.

        Returns:
            (B, 3, F, S, S) in 0 .. 1.
        """
        c = self.config
        present, film = 2 * frame - 1, noise
        if guided := c.guidance != 1:  # with and without words at once
            ids, present = torch.cat([ids, torch.full_like(ids, PAD)]), present.repeat(2, 1, 1, 1)
        words = self.words(ids)
        schedule = scheduler()
        schedule.set_timesteps(c.sample_steps)
        for time in schedule.timesteps:
            noisy = film.repeat(2, 1, 1, 1) if guided else film
            times = torch.full((len(noisy),), int(time), device=film.device)
            told = self._velocity(noisy, present, words, times)
            if guided:
                told, without = told.chunk(2)
                told = without + c.guidance * (told - without)
            film = schedule.step(told, time, film).prev_sample
        film = film.unflatten(1, (RGB, c.frames))
        return ((film + 1) / 2).clamp(0, 1)


def scheduler() -> DDIMScheduler:
    """The noise schedule, of training and of sampling."""
    return DDIMScheduler(
        num_train_timesteps=NOISE_STEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        timestep_spacing="trailing",  # begins at pure noise, as the first step is asked to
    )


def _split(frames: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 3, 1 + F, S, S) in 0 .. 1 -> (B, 3, S, S) and (B, 3 F, S, S) in -1 .. 1."""
    scaled = 2 * frames - 1
    return scaled[:, :, 0], scaled[:, :, 1:].flatten(1, 2)


def tokens(tokenizer: TextTokenizer, said: list[str], length: int) -> NDArray[np.int64]:
    """(n, length) ids of sentences, filled with `PAD`; each is read once.

    Raises:
        DataError: a sentence is longer.
    """
    known: dict[str, NDArray[np.int64]] = {}
    for text in said:
        if text not in known:
            ids = tokenizer.encode(text)
            if len(ids) > length:
                raise DataError(f"{text!r} has {len(ids)} tokens; valid: at most {length}")
            known[text] = np.pad(
                np.array(ids, dtype=np.int64), (0, length - len(ids)), constant_values=PAD
            )
    return np.stack([known[text] for text in said])


def load(path: Path) -> Planner:
    """Of a folder of `lapa pretrain unipi`.

    Raises:
        CheckpointError: it is none, or its tensors do not fit.
    """
    from lapa_core.model.checkpoint import load_model

    config = path / "config.json"
    if not config.is_file() or f'"{PlannerConfig.model_type}"' not in config.read_text("utf-8"):
        raise CheckpointError(f"{path} is no folder of `lapa pretrain unipi`")
    return load_model(Planner, path, torch.float32)
