# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How fast is one decision, stage by stage, and how far from the machine's own floor?

    python benchmarks/inference.py --preset 200m
    python benchmarks/inference.py --preset 7b --device cuda --dtype bfloat16

Random weights of the preset's sizes, a 640x480 image in, codes out, after a warm-up; medians.
A stage's floor is its arithmetic at the rate this machine multiplies or convolves, or its bytes
at the rate it copies, whichever takes longer. The rates are measured in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from common import RESULTS, processor, write_result
from torch import nn

from lapa_core.model import fresh
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.model.checkpoint import DTYPES, Checkpoint
from lapa_core.model.configuration import PRESETS, LapaConfig, preset
from lapa_core.model.interface import NUM_LATENT_CODES, UNSTATED, Interface
from lapa_core.model.lapa import LapaModel
from lapa_core.model.linear import Linear
from lapa_core.model.vocabulary import KINDS, PROMPT_LENGTH
from lapa_core.model.vqgan import Vqgan
from lapa_core.policy.policy import STAGES, Policy
from lapa_core.types import AXES

INSTRUCTION = "put the carrot on the plate"


def main() -> None:
    """Measure, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", choices=PRESETS, default="200m")
    parser.add_argument("--kind", choices=KINDS, nargs="+", default=["action", "latent"])
    parser.add_argument("--dtype", choices=DTYPES, nargs="+", default=list(DTYPES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, help="CPU threads of torch")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    runs = []
    for dtype in args.dtype:
        rates = measure_rates(args.device, DTYPES[dtype])
        for kind in args.kind:
            policy = random_policy(args.preset, kind, args.device, DTYPES[dtype])
            times = measure(policy, args.repeats)
            run = {
                "kind": kind,
                "dtype": dtype,
                "num_tokens": policy.checkpoint.interface.num_tokens,
                "median_ms": {s: round(median(t[s] for t in times), 2) for s in STAGES},
                "fastest_ms": {s: round(min(t[s] for t in times), 2) for s in STAGES},
                "floor_ms": floors(policy, rates),
                "rates": rates,
            }
            runs.append(run)
            print_run(run)
            del policy
    write(args, runs)


def random_policy(preset_name: str, kind: str, device: str, dtype: torch.dtype) -> Policy:
    """A policy with random weights, made where it runs."""
    is_action = kind == "action"
    sizes = preset(preset_name)
    default = torch.get_default_dtype()
    with torch.device(device):
        vqgan = Vqgan(sizes.vqgan_config()).eval()
        torch.set_default_dtype(dtype)
        lapa = LapaModel(sizes.lapa_config()).eval()
        torch.set_default_dtype(default)
    dimensions = AXES if is_action else ()
    num_tokens = len(AXES) if is_action else NUM_LATENT_CODES
    interface = Interface(
        kind=kind,
        robot=UNSTATED,
        dimensions=dimensions,
        cameras=("front",),
        step_time_s=0.2,
        chunk_length=1,
        num_tokens=num_tokens,
        center_crop=is_action,
        trained=False,
        origin=preset_name,
        gripper=UNSTATED,
    )
    edges = np.linspace(-0.05, 0.05, lapa.config.action_vocab_size + 1)
    actions = ActionTokenizer(AXES, (edges,) * len(AXES)) if is_action else None
    return Policy(Checkpoint(interface, lapa, vqgan, fresh.small_tokenizer(512), actions))


def measure(policy: Policy, repeats: int) -> list[dict[str, float]]:
    """Milliseconds of each stage of each inference, the first ones not counted."""
    image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    for _ in range(2):
        policy.predict(image, INSTRUCTION)
    return [dict(policy.predict(image, INSTRUCTION).timings_ms) for _ in range(repeats)]


# --- rates of the machine ----------------------------------------------------------------------


def fastest(device: str, work: Callable[[], object], repeats: int = 10) -> float:
    """Seconds of the fastest of several runs."""
    best = float("inf")
    for _ in range(repeats + 1):
        if device != "cpu":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


@torch.inference_mode()
def measure_rates(device: str, dtype: torch.dtype) -> dict[str, float]:
    """Best GFLOP/s of products (in `dtype`) and convolutions (float32), GB/s of a copy.

    A product is tried through both libraries that torch has (see lapa_core.model.linear).
    """
    n = 2048 if device == "cpu" else 8192
    a = torch.randn(n, n, device=device, dtype=dtype)
    layers = [kind(n, n, bias=False).to(a) for kind in (nn.Linear, Linear)]
    seconds = min(fastest(device, lambda layer=layer: layer(a)) for layer in layers)
    rates = {"matmul_gflops": 2 * n**3 / seconds / 1e9}
    best = 0.0
    for channels, side in ((128, 128), (256, 64), (512, 32)):
        conv = nn.Conv2d(channels, channels, 3, padding=1).to(device)
        conv = conv.to(memory_format=torch.channels_last)
        x = torch.randn(1, channels, side, side, device=device)
        x = x.to(memory_format=torch.channels_last)
        flops = 2 * 9 * channels**2 * side**2
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # as the VQGAN runs
            seconds = fastest(device, lambda c=conv, x=x: c(x))
        best = max(best, flops / seconds / 1e9)
    rates["convolution_gflops"] = best
    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source)
    moved = 2 * source.numel() * source.element_size()
    rates["copy_gbytes"] = moved / fastest(device, lambda: target.copy_(source)) / 1e9
    return {k: round(v, 1) for k, v in rates.items()}


# --- floors ------------------------------------------------------------------------------------


def floors(policy: Policy, rates: dict[str, float]) -> dict[str, float]:
    """Least milliseconds of each stage at those rates."""
    checkpoint = policy.checkpoint
    config = checkpoint.lapa.config
    table = getattr(config, f"{policy.kind}_vocab_size")
    weights = layer_weights(config) + config.hidden_size * table
    weight_bytes = weights * checkpoint.lapa.dtype.itemsize
    prompt = policy.predict(np.zeros((256, 256, 3), np.uint8), INSTRUCTION).input_ids
    body = len(prompt) - PROMPT_LENGTH  # the words before the image are kept from step to step

    def language_model(num_new: int, num_seen: int) -> float:
        attention = 4 * num_new * num_seen * config.hidden_size * config.num_hidden_layers
        operations = 2 * num_new * layer_weights(config) + attention
        return max(operations / rates["matmul_gflops"], weight_bytes / rates["copy_gbytes"]) / 1e6

    image_bytes = 480 * 640 * 3 + 256 * 256 * 3 * 4
    steps = checkpoint.interface.num_tokens - 1
    result = {
        "preprocess": image_bytes / rates["copy_gbytes"] / 1e6,
        "vqgan": convolution_operations(checkpoint.vqgan) / rates["convolution_gflops"] / 1e6,
        "prefill": language_model(body, len(prompt)),
        "decode": sum(language_model(1, len(prompt) + i + 1) for i in range(steps)),
    }
    result["total"] = sum(result.values())
    return {k: round(v, 2) for k, v in result.items()}


def layer_weights(config: LapaConfig) -> int:
    """Weights of all layers that every token is multiplied with."""
    attention = 4 * config.hidden_size**2
    mlp = 3 * config.hidden_size * config.intermediate_size
    return int(config.num_hidden_layers * (attention + mlp))


def convolution_operations(vqgan: Vqgan) -> int:
    """Multiplications and additions of the encoder's convolutions for one image."""
    counts = []

    def count(conv: nn.Module, _: Any, out: torch.Tensor) -> None:
        kernel = conv.kernel_size[0] ** 2
        counts.append(2 * out.numel() * conv.in_channels * kernel)

    convs = [m for m in vqgan.modules() if isinstance(m, nn.Conv2d)]
    hooks = [c.register_forward_hook(count) for c in convs]
    with torch.inference_mode():
        vqgan.encode(torch.zeros(1, 256, 256, 3, device=vqgan.device))
    for hook in hooks:
        hook.remove()
    return sum(counts)


# --- output ------------------------------------------------------------------------------------


def print_run(run: dict[str, Any]) -> None:
    """A table of one run."""
    rates = ", ".join(f"{k} {v}" for k, v in run["rates"].items())
    print(f"\n{run['kind']}, {run['num_tokens']} tokens, {run['dtype']} ({rates})")
    print(f"{'stage':<12}{'median ms':>11}{'fastest ms':>12}{'floor ms':>10}{'ratio':>7}")
    for stage in STAGES:
        mid, low, floor = (run[k][stage] for k in ("median_ms", "fastest_ms", "floor_ms"))
        ratio = f"{mid / floor:.1f}" if floor else ""
        print(f"{stage:<12}{mid:>11.1f}{low:>12.1f}{floor:>10.1f}{ratio:>7}")


def machine(device: str) -> str:
    """Name of the processor that was measured."""
    return processor() if device == "cpu" else str(torch.cuda.get_device_name(device))


def write(args: argparse.Namespace, runs: list[dict[str, Any]]) -> None:
    """Write the JSON of all runs."""
    content = {
        "benchmark": "inference",
        "preset": args.preset,
        "machine": machine(args.device),
        "device": args.device,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "repeats": args.repeats,
        "runs": runs,
    }
    name = f"inference-{args.preset}-{args.device.replace(':', '')}"
    print(f"\n{write_result(name, content, args.out)}")


if __name__ == "__main__":
    main()
