# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Torch, the GPU, and what a checkpoint needs of them. Knows nothing of ROS.

Torch is imported in a process of its own: loading it takes seconds of a core, and a broken
build may end the process that loads it.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lapa_core.errors import LapaError
from lapa_core.model import headers
from lapa_core.model.interface import Interface
from lapa_core.robot import Robot
from lapa_ros.doctor.finding import Finding, judge
from lapa_ros.doctor.system import GIB, memory_available

PROBE_TIMEOUT_S = 60.0
BYTES = {"float32": 4, "bfloat16": 2}
# Beside the weights: keys and values, activations of one picture, and what CUDA and torch keep.
# The 7B model in bfloat16 (13.6 GB of weights) peaks at 15.2 GB on a CPU.
FACTOR, BASE_BYTES = 1.1, 0.6e9
_PROBE = """
import json, sys
import torch
device = sys.argv[1]
facts = {"version": torch.__version__, "built_for": torch.version.cuda, "cuda": False}
if device.startswith("cuda") and torch.cuda.is_available():
    index = torch.device(device).index or 0
    if index < torch.cuda.device_count():
        free, total = torch.cuda.mem_get_info(index)
        torch.ones(8, device=device).sum().item()
        facts.update(cuda=True, name=torch.cuda.get_device_name(index), free=free, total=total)
print(json.dumps(facts))
"""


@dataclass(frozen=True)
class Need:
    """What a checkpoint's weights are: tensor elements of both networks, and their data type."""

    parameters: int
    dtype: str

    @property
    def memory_bytes(self) -> float:
        """Memory for running it."""
        return self.parameters * BYTES[self.dtype] * FACTOR + BASE_BYTES


def checkpoint(
    folder: Path | None, robot: Robot, dtype: str
) -> tuple[list[Finding], Need | None, tuple[str, ...]]:
    """Whether the folder is whole as far as its headers tell, trained, and made for this robot.

    Returns:
        Findings, what running it needs, and the cameras it looks through.
    """
    if folder is None:
        return [], None, ()
    what, expected = "checkpoint", f"made for {robot.name}, trained"
    file = folder / "interface.json"
    try:
        interface = Interface.from_json(file.read_text(encoding="utf-8"), str(file))
        shapes = [headers.stored_shapes(f) for f in (folder, folder / "vqgan")]
    except OSError as error:
        advice = "give the folder that `lapa convert` or `lapa init` wrote"
        return [Finding("fail", what, f"{file}: {error.strerror}", expected, advice)], None, ()
    except LapaError as error:
        advice = "copy or convert it again: a file is missing, cut short or of another format"
        return [Finding("fail", what, str(error), expected, advice)], None, ()
    need = Need(sum(math.prod(shape) for part in shapes for shape in part.values()), dtype)
    return [_made_for(interface, robot, need), _trained(interface)], need, interface.cameras


def _made_for(interface: Interface, robot: Robot, need: Need) -> Finding:
    what, expected = "checkpoint", f"made for {robot.name}"
    try:
        interface.check_robot(robot)
    except LapaError as error:
        advice = f"fine-tune on recordings of {robot.name}, or give its robot file with --robot"
        return Finding("fail", what, str(error), expected, advice)
    size = f"{need.parameters / 1e6:.0f} M parameters"
    measured = f"{interface.kind} model, {size}, for {interface.robot}"
    return Finding("ok", what, measured, expected)


def _trained(interface: Interface) -> Finding:
    return judge(
        "checkpoint: weights",
        interface.origin if interface.trained else "random, never trained",
        "trained",
        warn="" if interface.trained else "for simulation only: it must not move a real arm",
    )


def torch_version() -> str:
    """Version of the installed torch, without loading it, or ""."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return ""


def check(device: str | None, need: Need | None) -> list[Finding]:
    """Torch, device and memory; torch is loaded only for a device or a checkpoint."""
    if device is None and need is None:
        version = torch_version()
        return [Finding("ok", "torch", f"{version or 'not installed'}, not tried (give --device)")]
    return judge_probe(device or "cpu", need, *probe(device or "cpu"))


def probe(device: str) -> tuple[dict[str, object], str]:
    """What torch says of itself in a process of its own, and why it does not."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, device],
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            env={**os.environ, "CUDA_MODULE_LOADING": "LAZY"},
        )
    except subprocess.TimeoutExpired:
        return {}, f"loading torch took more than {PROBE_TIMEOUT_S:g} s"
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        return {}, lines[-1] if lines else f"python ended with code {done.returncode}"
    return dict(json.loads(done.stdout.strip().splitlines()[-1])), ""


def judge_probe(
    device: str, need: Need | None, facts: dict[str, object], why: str
) -> list[Finding]:
    """Findings from what `probe` returned."""
    if not facts:
        advice = "pip install --force-reinstall torch (with a GPU: from PyTorch's own index)"
        return [Finding("fail", "torch", why, "loads", advice)]
    found = [Finding("ok", "torch", str(facts["version"]))]
    if not device.startswith("cuda"):
        return [*found, *_memory("memory for the policy", memory_available(), need)]
    built = facts["built_for"]
    if not facts["cuda"]:
        advice = (
            "look at `nvidia-smi`: driver loaded, GPU listed, and not used up?"
            if built
            else "this torch is built for CPUs: install one for CUDA, or use --device cpu"
        )
        return [*found, Finding("fail", "GPU", f"{device} is not there", device, advice)]
    free, total = (float(str(facts[k])) for k in ("free", "total"))
    found.append(Finding("ok", "GPU", f"{facts['name']}, {total / GIB:.0f} GiB"))
    return [*found, *_memory("GPU memory for the policy", free, need)]


def _memory(what: str, free_bytes: float, need: Need | None) -> list[Finding]:
    measured = f"{free_bytes / GIB:.1f} GiB free"
    if need is None or math.isnan(free_bytes):
        return [Finding("ok", what, measured)]
    return [
        judge(
            what,
            measured,
            f"{need.memory_bytes / GIB:.1f} GiB or more in {need.dtype}",
            fail="close what uses it (`nvidia-smi`, `top`), take --dtype bfloat16, or a "
            "smaller model"
            if free_bytes < need.memory_bytes
            else "",
        )
    ]
