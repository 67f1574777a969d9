# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a state of a run holds: weights, the optimizer's memory, random numbers, an average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lapa_core.errors import TrainingError


def local(tensor: Tensor) -> Tensor:
    """The part of a sharded tensor that this process holds; others as they are."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def learning(model: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters that learn, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def gather(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights that learn, and what the optimizer remembers of each."""
    out = {}
    for name, parameter in learning(model).items():
        out[f"weight/{name}"] = local(parameter)
        for key, value in optimizer.state[parameter].items():
            out[f"optimizer/{key}/{name}"] = local(value)
    return out


@torch.no_grad()
def scatter(
    tensors: Mapping[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Put back what `gather` gave.

    Raises:
        TrainingError: it is of another model.
    """
    wanted = learning(model)
    saved = {k.removeprefix("weight/") for k in tensors if k.startswith("weight/")}
    if saved != set(wanted):
        raise TrainingError(
            f"the saved state is of another model: it lacks {sorted(set(wanted) - saved)[:3]} "
            f"and has {sorted(saved - set(wanted))[:3]} too many"
        )
    for name, parameter in wanted.items():
        if (there := tensors[f"weight/{name}"].shape) != (here := local(parameter).shape):
            raise TrainingError(
                f"the saved state is of another model: {name} is of {tuple(there)} there and of "
                f"{tuple(here)} here"
            )
    keys = sorted({k.split("/")[1] for k in tensors if k.startswith("optimizer/")})
    for name, parameter in wanted.items():
        local(parameter).copy_(tensors[f"weight/{name}"])
        for key in keys:
            if (value := tensors.get(f"optimizer/{key}/{name}")) is not None:
                optimizer.state[parameter][key] = _like(value, parameter)


def _like(value: Tensor, parameter: nn.Parameter) -> Tensor:
    """An optimizer's tensor where its parameter is, sharded as it is; a count stays a scalar."""
    if not value.ndim:  # a count of steps, on the device where the fused kernel wants it
        return value.to(parameter.device) if parameter.is_cuda else value
    part = value.to(parameter.device)
    if not hasattr(parameter, "to_local"):
        return part
    made = torch.zeros_like(parameter)
    local(made).copy_(part)
    return made


def random_state() -> dict[str, Tensor]:
    """State of torch's random numbers in this process."""
    out = {"random/cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        out["random/cuda"] = torch.cuda.get_rng_state()
    return out


def set_random_state(tensors: Mapping[str, Tensor]) -> None:
    """Go on with the saved random numbers."""
    torch.set_rng_state(tensors["random/cpu"])
    if "random/cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["random/cuda"])


class Average:
    """A moving average of the weights that learn, in float32.

    It starts with a short memory, min(decay, (1 + t) / (10 + t)), so that the first weights,
    which are random, are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._weights = [local(p) for p in learning(model).values()] if decay else []
        self._names = list(learning(model)) if decay else []
        self._mean = [w.detach().float().clone() for w in self._weights]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after update number `step` (from 1)."""
        if self._mean:
            share = 1 - min(self._decay, (1 + step) / (10 + step))
            now = [w.float() for w in self._weights]
            torch._foreach_lerp_(self._mean, now, share)

    @contextmanager
    @torch.no_grad()
    def applied(self) -> Iterator[None]:
        """The model has the averaged weights inside the block."""
        kept = [w.detach().clone() for w in self._weights]
        for weight, mean in zip(self._weights, self._mean, strict=True):
            weight.detach().copy_(mean)
        try:
            yield
        finally:
            for weight, own in zip(self._weights, kept, strict=True):
                weight.detach().copy_(own)

    def tensors(self) -> dict[str, Tensor]:
        """What to save."""
        return {f"average/{n}": m for n, m in zip(self._names, self._mean, strict=True)}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        for name, mean in zip(self._names, self._mean, strict=True):
            mean.copy_(tensors[f"average/{name}"])
