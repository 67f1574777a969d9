# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a training step of 7B costs on this GPU: time, tokens per second, share of peak, memory.

    benchmarks/train_7b.py [--method qlora lora full] [--batch 4] [--cap 24]

Random weights: nothing is downloaded, and the arithmetic is the same. QLoRA and LoRA run under a
cap on the memory this process may have, as on a 24 GB card; the full step (weights in bfloat16)
has the whole GPU. Refuses where there is no CUDA.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RESULTS, write_result

from lapa_core.errors import ConfigError, LapaError
from lapa_core.model import fresh
from lapa_core.model.configuration import preset
from lapa_core.model.lapa import LapaModel
from lapa_core.train import adapters, memory, optimizer, placing
from lapa_core.train.contents import learning
from lapa_core.train.examples import Batch, action_example, collate
from lapa_core.train.loss import Objective
from lapa_core.train.presets import TrainOptions, resolve
from lapa_core.train.utilisation import operations, peak_tflops


def main() -> int:
    """Measure each method and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--method", nargs="+", default=["qlora", "lora", "full"])
    parser.add_argument("--size", default="7b", help="preset of the sizes")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--cap", type=float, default=24.0, help="GB for lora and qlora, 1e9 bytes")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    try:
        device = cuda()
        runs = [measure(method, args, device) for method in args.method]
    except LapaError as error:
        print(f"train_7b: {error}", file=sys.stderr)
        return 2
    content = {
        "benchmark": "train_7b",
        "size": args.size,
        "machine": torch.cuda.get_device_name(device),
        "torch": torch.__version__,
        "peak_tflops": peak_tflops(device),
        "runs": runs,
    }
    print(write_result(f"train-{args.size}-{'-'.join(args.method)}", content, args.out))
    return 0


def cuda() -> torch.device:
    """The GPU, or a ConfigError."""
    if not torch.cuda.is_available():
        raise ConfigError(
            "this benchmark measures CUDA and there is none here; on paper: lapa finetune "
            "--preset 7b --plan"
        )
    return torch.device("cuda", torch.cuda.current_device())


def measure(method: str, args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Median of some updates of one method."""
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    total = torch.cuda.get_device_properties(device).total_memory
    capped = method != "full"
    torch.cuda.set_per_process_memory_fraction(
        min(args.cap * 1e9 / total, 1.0) if capped else 1.0, device
    )
    options = resolve("7b", method=method, batch=args.batch, accumulate=1)
    try:
        model = made(args.size, options, device)
        batch = examples(model, args.batch).to(device)
        times = steps(Objective(model), options, batch, args.steps, device)
    except torch.OutOfMemoryError as error:
        raise ConfigError(f"{method}, batch {args.batch}: not enough memory: {error}") from None
    seconds = float(np.median(times))
    tokens = int(batch.lengths.sum())
    shape = batch.input_ids.shape
    flops = operations(model.config, options.method, shape.numel(), shape[1])
    top = peak_tflops(device)
    result = {
        "method": method,
        "batch": args.batch,
        "tokens": tokens,
        "cap_gb": args.cap if capped else None,
        "seconds_per_step": seconds,
        "tokens_per_s": tokens / seconds,
        "tflops": flops / seconds / 1e12,
        "share_of_peak": flops / seconds / 1e12 / top if top else None,
        "peak_memory_gb": torch.cuda.max_memory_allocated(device) / 1e9,
        "reserved_gb": torch.cuda.max_memory_reserved(device) / 1e9,
        "planned_gb": memory.need(model.config, options).total,
    }
    print(", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in
                    result.items()))  # fmt: skip
    return result


def made(size: str, options: TrainOptions, device: torch.device) -> LapaModel:
    """A model of random weights, cut down and adapted as a run does it."""
    config = preset(size).lapa_config(latent_vocab_size=0, action_vocab_size=options.num_bins)
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        # 4-bit weights are cut down on their way to the GPU, so they begin on the CPU.
        with torch.device("cpu" if options.method == "qlora" else device):
            model = LapaModel(config)
    finally:
        torch.set_default_dtype(default)
    adapters.adapt(model, options, device)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    return model.to(device).train()


def examples(model: LapaModel, count: int) -> Batch:
    """Examples of usual length with random pictures and actions."""
    chance = np.random.default_rng(0)
    words = fresh.small_tokenizer(512)
    codes = min(8192, model.config.vision_vocab_size - 2)
    made_ = [
        action_example(
            words,
            "put the carrot on the plate",
            chance.integers(0, codes, (1, 256)),
            codes,
            chance.integers(0, 256, (1, 7)),
        )
        for _ in range(count)
    ]
    return collate(made_)


def steps(
    objective: Objective, options: TrainOptions, batch: Batch, count: int, device: torch.device
) -> list[float]:
    """Seconds of each update but the first two."""
    parameters = list(learning(objective).values())
    learner = optimizer.adamw(parameters, lr=1e-5)
    times = []
    for _ in range(count + 2):
        torch.cuda.synchronize(device)
        since = time.perf_counter()
        with placing.autocast(options, device):
            loss = objective(batch).total
        loss.backward()
        norm = optimizer.clip_gradients(parameters)
        learner.step()
        learner.zero_grad(set_to_none=True)
        torch.cuda.synchronize(device)
        times.append(time.perf_counter() - since)
    if not np.isfinite(float(norm)):
        raise ConfigError("the gradient is not finite: this measures nothing")
    return times[2:]


if __name__ == "__main__":
    sys.exit(main())
