# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The reference's optimizer: AdamW after clipping by the norm of all gradients.

The defaults are those of its `train.py` (lr 2e-5 constant, betas 0.9 and 0.95, eps 1e-8, no
decay, clip at 1), met to the golden tolerances. Knows nothing of models or losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from lapa_core.errors import ConfigError, unknown

SCHEDULES = ("constant", "cosine")


def adamw(
    parameters: Iterable[nn.Parameter],
    lr: float = 2e-5,
    betas: tuple[float, float] = (0.9, 0.95),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> torch.optim.AdamW:
    """AdamW over the parameters that learn; only matrices decay, never norms.

    A parameter without a gradient (a head that no loss uses) stays as it is, decay included.

    Raises:
        ConfigError: nothing learns.
    """
    learning = [p for p in parameters if p.requires_grad]
    if not learning:
        raise ConfigError("no parameter learns: every one is frozen")
    groups = [
        {"params": [p for p in learning if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0},
    ]
    fused = all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in learning)
    return torch.optim.AdamW(
        [g for g in groups if g["params"]], lr=lr, betas=betas, eps=eps, fused=fused
    )


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float = 1.0) -> Tensor:
    """Scale all gradients so that their norm together is at most `max_norm`.

    Returns:
        () the norm before. Where it is not finite the gradients are left so that they cannot be
        used by mistake: look at it before the optimizer steps.
    """
    return nn.utils.clip_grad_norm_(list(parameters), max_norm)


def warmup_cosine(warmup: int, total: int, final: float = 0.0) -> Callable[[int], float]:
    """Factor of the learning rate: up in a line, down in half a cosine.

    Args:
        warmup: steps until it is 1; step 0 is the first share, not 0.
        total: steps after which it stays at `final`.
    """

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        done = min((step - warmup) / max(total - warmup, 1), 1.0)
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * done))

    return factor


def schedule(
    optimizer: torch.optim.Optimizer,
    name: str = "constant",
    *,
    warmup: int = 0,
    total: int = 0,
    final: float = 0.0,
) -> LambdaLR:
    """A learning rate by name; call its `step` after each of the optimizer's.

    Args:
        name: one of `SCHEDULES`; "constant" is the reference's, after `warmup` steps.
        warmup, total, final: as in `warmup_cosine`.

    Raises:
        ConfigError: an unknown name, or a cosine without an end.
    """
    if name not in SCHEDULES:
        raise ConfigError(unknown("schedule", name, SCHEDULES, "schedule"))
    if name == "constant":
        return LambdaLR(optimizer, lambda step: min((step + 1) / max(warmup, 1), 1.0))
    if total <= warmup:
        raise ConfigError(f"a cosine of {total} steps does not outlast its warmup of {warmup}")
    return LambdaLR(optimizer, warmup_cosine(warmup, total, final))
