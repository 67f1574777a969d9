# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How fast does `lapa label` make latent actions, and how does that grow with the processes?

    python benchmarks/labelling.py                          # micro networks, 1 and 2 processes
    python benchmarks/labelling.py --preset 7b --episodes 4 # networks of the released sizes
    python benchmarks/labelling.py --device cuda --preset 7b --workers 1 4 8

Networks have random weights of the preset's sizes. Without `--data` bags are collected in
simulation. The rate is that between each process' first shard and the last one, so without the
start of the processes, which is told apart.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from common import RESULTS, processor, write_result

from lapa_core.cli import main as lapa
from lapa_core.data.footage.pairs import PairParams
from lapa_core.data.footage.store import StoreParams
from lapa_core.label import shard
from lapa_core.label.job import Job, label, prepare
from lapa_core.model.configuration import preset
from lapa_core.model.laq import Laq, LaqConfig
from lapa_core.model.vqgan import Vqgan
from lapa_core.train.laq.options import SIZES

CLIPS = 2  # of a shard: many shards, so that the last one is not waited for long


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="videos or bags; default: collected now")
    parser.add_argument("--episodes", type=int, default=48, help="collected, without --data")
    parser.add_argument("--preset", choices=sorted(SIZES), default="micro")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ray", action="store_true", help="on a local Ray")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = args.data or _collected(folder / "demos", args.episodes)
        job = _job(folder, args.preset, args.device)
        runs = [measure(data, folder / f"shards-{n}", job, n, args.ray) for n in args.workers]
    for run in runs:
        run["of_the_first"] = round(run["examples_per_s"] / runs[0]["examples_per_s"], 2)
        print(run)
    device = torch.cuda.get_device_name() if args.device.startswith("cuda") else "cpu"
    content = {"processor": processor(), "device": device, "preset": args.preset, "runs": runs}
    print(write_result(f"labelling-{args.preset}-{args.device}", content, args.out))


def _collected(folder: Path, episodes: int) -> Path:
    if lapa(["collect", str(folder), "--episodes", str(episodes)]):
        raise SystemExit("no demonstrations could be collected")
    return folder


def _job(folder: Path, size: str, device: str) -> Job:
    """Networks of a preset's sizes, as files."""
    torch.manual_seed(0)
    Laq(LaqConfig(**SIZES[size])).save_pretrained(folder / "laq")
    Vqgan(preset(size).vqgan_config()).save_pretrained(folder / "vqgan")
    frames, pairs = StoreParams(keep_hz=5.0), PairParams()
    return Job(folder / "laq", folder / "vqgan", frames, pairs, device=device)


def measure(data: Path, out: Path, job: Job, workers: int, ray: bool) -> dict[str, Any]:
    """One corpus through so many processes."""
    plan, _ = prepare([data], out, job, per_shard=CLIPS)
    done: list[float] = []
    began = time.perf_counter()
    outcome = label(
        plan, job, workers, lambda *_: done.append(time.perf_counter()), "local" if ray else ""
    )
    if len(done) <= 2 * workers:
        raise SystemExit(
            f"{len(done)} shards are too few for {workers} processes: more --episodes"
        )
    each = outcome.examples / len(done)
    rate = each * (len(done) - workers) / (done[-1] - done[workers - 1])
    pictures = sum(len({(x["clip"], x["time_s"]) for x in shard.read(f)})
                   for f in sorted(out.glob("shard-*.parquet")))  # fmt: skip
    return {
        "workers": workers,
        "engine": "ray" if ray else "own processes",
        "clips": len(plan.clips),
        "examples": outcome.examples,
        "different": pictures,
        "start_s": round(done[0] - began, 1),
        "examples_per_s": round(rate, 1),
        "examples_per_s_and_worker": round(rate / workers, 1),
    }


if __name__ == "__main__":
    main()
