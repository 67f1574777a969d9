# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Where a training runs and what can end it there: devices, shards, faults, signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from torch import nn

from lapa_core.errors import CheckpointError, ConfigError, TrainingError
from lapa_core.train.presets import TrainOptions

# While the first process encodes the demonstrations the others wait; torch's own patience with it
# is 10 minutes (NCCL). A launcher ends the others where one fails.
PATIENCE = timedelta(hours=24)
# In which launchers say how many they have started: torchrun; MPI's; SLURM's srun.
STARTED = (
    "WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE",
    "SLURM_STEP_NUM_TASKS",
)  # fmt: skip


def make_accelerator(cpu: bool = False) -> Accelerator:
    """This process' device, and the others'.

    Raises:
        ConfigError: a launcher has started several, which do not know of each other.
    """
    waiting = InitProcessGroupKwargs(timeout=PATIENCE)
    # one a process; a run has its own precision
    made = Accelerator(mixed_precision="no", cpu=cpu, kwargs_handlers=[waiting])
    started = max(int(os.environ.get(name) or 1) for name in STARTED)
    if started > made.num_processes:  # each would take itself for the first, and write
        raise ConfigError(
            f"{started} processes were started and do not know of each other: start them with "
            f"torchrun or accelerate launch, and without a GPU for each give --cpu"
        )
    return made


def products_type(wanted: str, device: torch.device) -> str:
    """The type of products on this machine: bfloat16 for "auto" where the processor has it."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    known = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # as of torch 2.5
    return "bfloat16" if known is not None and known() else "float32"


def autocast(options: TrainOptions, device: torch.device) -> torch.autocast:
    """Products in the type that `precision` says."""
    enabled = options.precision == "bfloat16"
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)


def place(trainee: nn.Module, options: TrainOptions, accelerator: Accelerator) -> nn.Module:
    """Put a trainee where it will run; gives what is to be called instead of it."""
    model, device = trainee.model, accelerator.device
    if options.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    trainee.to(device)
    if options.compile:
        for layer in model.model.layers:
            layer.compile(dynamic=True)
    if options.shard and accelerator.num_processes > 1:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(device.type, (accelerator.num_processes,))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        return fully_shard(trainee, mesh=mesh, reshard_after_forward=True)
    return accelerator.prepare_model(trainee) if accelerator.num_processes > 1 else trainee


@contextmanager
def named_faults(left: Callable[[], str]) -> Iterator[None]:
    """What the machine refuses, in one line that says what is left."""
    try:
        yield
    except (OSError, CheckpointError) as error:
        raise TrainingError(f"training stopped: {error}; {left()}") from error
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"not enough memory on the GPU ({error}); {left()}. "
            f"A smaller --batch with more --accumulate, --gradient-checkpointing or --method lora "
            f"need less"
        ) from None


@contextmanager
def interrupts(world: int) -> Iterator[list[int]]:
    """Gather SIGINT and SIGTERM, to save before ending. Of several processes a launcher's is."""
    caught: list[int] = []
    if world > 1:
        yield caught
        return
    old = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            old[number] = signal.signal(number, lambda n, _: caught.append(n))
        except ValueError:  # not the main thread: whoever runs it there handles signals
            continue
    try:
        yield caught
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
