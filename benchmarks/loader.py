# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How fast do demonstrations reach a training: from bags to tokens once, then from tokens?

    python benchmarks/loader.py
    python benchmarks/loader.py --demos ~/blocks --vqgan 7b --workers 2

Without `--demos` a few are collected in simulation. `batches` is what the training loop waits
for: samples a second from cached tokens to padded batches, in one process. It is compared with
the most that one GPU could consume: its peak arithmetic, and 6 operations a weight and token.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import RESULTS, processor, write_result

from lapa_core import robot as robots
from lapa_core.cli import main as lapa
from lapa_core.data.demos import Demo, DemoSet
from lapa_core.data.samples import SampleParams, Samples
from lapa_core.data.statistics import fit
from lapa_core.model import fresh
from lapa_core.model.configuration import PRESETS, preset
from lapa_core.model.vqgan import Vqgan
from lapa_core.train.feed import Feed
from lapa_core.train.sources import open_source
from lapa_core.train.tokens import TokenParams, build

PEAK_TFLOPS = 989.0  # bf16, dense, of an H100 SXM by its data sheet
WEIGHTS_7B = 6.74e9
STEPS = 20_000  # of the set in memory: 150 demonstrations of a minute and more


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--demos", type=Path, help="a data set; default: collected now")
    parser.add_argument("--episodes", type=int, default=6, help="collected, without --demos")
    parser.add_argument("--vqgan", choices=PRESETS, default="micro", help="sizes, random weights")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--variants", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each batch measurement")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        demos = args.demos or _collected(Path(folder) / "demos", args.episodes)
        once = from_bags(demos, Path(folder) / "cache", args)
    often = [batches(size, args.seconds) for size in (8, 64)]
    content = {
        "processor": processor(),
        "from_bags": once,
        "batches": often,
        "most_a_gpu_consumes": _consumed(often[0]["tokens"]),
    }
    for name, value in content.items():
        print(name, value)
    print(write_result("loader", content, args.out))


def _collected(folder: Path, episodes: int) -> Path:
    if lapa(["collect", str(folder), "--episodes", str(episodes)]):
        raise SystemExit("no demonstrations could be collected")
    return folder


def from_bags(demos: Path, cache: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Reading alone, the whole way, and the way again with everything cached."""
    torch.manual_seed(0)
    vqgan = Vqgan(preset(args.vqgan).vqgan_config()).eval().to(args.device)
    params = TokenParams(variants=args.variants)
    source = open_source(demos, params.labels, None)
    began = time.perf_counter()
    steps = 0
    for name in source.names:
        recording = source.open(name)
        camera = recording.robot.cameras[0].name
        steps += sum(1 for _ in Samples(recording, SampleParams((camera,), state=False)))
    read_s = time.perf_counter() - began
    times = []
    for _ in range(2):
        began = time.perf_counter()
        made = build(demos, vqgan=vqgan, cache=cache, params=params, workers=args.workers)
        times.append(time.perf_counter() - began)
    size = sum(f.stat().st_size for p in source.folders.values() for f in p.iterdir())
    return {
        "episodes": len(made),
        "steps": made.num_steps,
        "bag_mb": round(size / 1e6, 1),
        "read_steps_per_s": round(steps / read_s, 1),
        "vqgan": args.vqgan,
        "device": args.device,
        "workers": args.workers,
        "pictures_encoded_per_s": round(made.num_steps * args.variants / times[0], 1),
        "tokens_steps_per_s": round(made.num_steps / times[0], 1),
        "cached_steps_per_s": round(made.num_steps / times[1], 1),
    }


def batches(size: int, seconds: float) -> dict[str, Any]:
    """Samples a second from a set in memory to padded batches, with chunks of four steps."""
    robot = robots.load("wx250s")
    demos = _in_memory(robot.dimensions)
    checkpoint = fresh.checkpoint("debug", robot)
    actions, _ = fit(demos, robot.dimensions, 256, robot)
    interface = replace(checkpoint.interface, chunk_length=4, num_tokens=4 * len(robot.dimensions))
    checkpoint = replace(checkpoint, actions=actions, interface=interface)
    feed = Feed(demos, checkpoint)
    count, began, tokens = 0, time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        batch = feed.batch(feed.draw(count, size))
        tokens = int(batch.input_ids.shape[1])
        count += 1
    rate = count * size / (time.perf_counter() - began)
    return {"batch": size, "tokens": tokens, "samples_per_s": round(rate)}


def _in_memory(dimensions: tuple[str, ...]) -> DemoSet:
    rng = np.random.default_rng(0)
    words = [f"put the {c} block in the bin" for c in ("red", "green", "blue", "yellow")]
    demos = []
    for i in range(STEPS // 100):
        steps = rng.laplace(0, 0.006, (100, len(dimensions)))
        steps[:, 6] = np.arange(100) < 50
        codes = rng.integers(0, 512, (4, 100, 1, 256), dtype=np.uint32)
        said, who = (words[i % 4],) * 100, ("teleop",) * 100
        demos.append(Demo(f"e{i}", codes, steps, np.zeros((100, 0)), np.arange(100), said, who))
    return DemoSet("wx250s", dimensions, ("front",), (), 0.2, "open_is_one", tuple(demos))


def _consumed(tokens: int) -> dict[str, float]:
    """Samples a second of a 7B training at the whole of the GPU's peak, never reached."""
    rate = PEAK_TFLOPS * 1e12 / (6 * WEIGHTS_7B * tokens)
    return {"peak_tflops": PEAK_TFLOPS, "weights": WEIGHTS_7B, "samples_per_s": round(rate, 1)}


if __name__ == "__main__":
    main()
