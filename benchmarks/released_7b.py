# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Does the 7B path hold at its full size? Made-up released files -> convert -> infer.

    python benchmarks/released_7b.py --folder /somewhere/with/30/GB
    python benchmarks/released_7b.py --folder ... --device cuda

Writes 14 GB in the released formats and exact shapes (fine-tuned layout, with action tables),
converts them, infers one action in bfloat16; notes peak memory and seconds of each step. The
mark for the conversion: peak memory under twice the largest tensor and 1 GB.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import RESULTS, processor, write_result
from PIL import Image
from synthetic_release import normal_block, write_params, write_vqgan

from lapa_core.model.configuration import preset
from lapa_core.model.fresh import small_tokenizer

CHILD = """
import resource, sys
from lapa_core.cli import main
code = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)
sys.exit(code)
"""
WEIGHT_STD = 0.02


def main() -> int:
    """Make, convert, infer, write JSON; 1 if the memory mark is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="30 GB of free space")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    args = parser.parse_args()
    source, checkpoint = args.folder / "released_7b", args.folder / "lapa_7b"
    source.mkdir(parents=True, exist_ok=True)
    try:
        largest = make(source)
        convert = ["convert", "lapa", str(source), str(checkpoint), "--robot", "wx250s"]
        convert += ["--config", str(source / "config.json"), "--bins", str(source / "bins.csv")]
        converted = lapa(convert)
        infer = ["infer", str(checkpoint), "--image", str(source / "image.png"), "--json"]
        infer += ["--dtype", "bfloat16", "--device", args.device, "--instruction", "wave"]
        inferred = lapa(infer)
        size = (source / "params").stat().st_size
    finally:
        shutil.rmtree(source, ignore_errors=True)
        shutil.rmtree(checkpoint, ignore_errors=True)
    bound = 2 * largest + 10**9
    content = {
        "benchmark": "released_7b",
        "machine": processor(),
        "device": args.device,
        "params_bytes": size,
        "largest_tensor_bytes": largest,
        "convert": {k: converted[k] for k in ("seconds", "peak_rss_bytes")},
        "convert_peak_bound_bytes": bound,
        "infer": {k: inferred[k] for k in ("seconds", "peak_rss_bytes")},
        "infer_stages_ms": json.loads(inferred["output"])["timings_ms"],
    }
    print(json.dumps(content, indent=1))
    name = "released-7b-" + args.device.replace(":", "")
    print(write_result(name, content, args.out))
    return 0 if converted["peak_rss_bytes"] < bound else 1


def make(folder: Path) -> int:
    """Write everything a release holds, and an image; bytes of the largest tensor."""
    sizes = preset("7b")
    lapa_config, vqgan_config = sizes.lapa_config(), sizes.vqgan_config()
    reference = {
        "vocab_size": lapa_config.vocab_size,
        "vision_vocab_size": lapa_config.vision_vocab_size,
        "delta_vocab_size": lapa_config.latent_vocab_size,
        "action_vocab_size": lapa_config.action_vocab_size,
        "hidden_size": lapa_config.hidden_size,
        "intermediate_size": lapa_config.intermediate_size,
        "num_hidden_layers": lapa_config.num_hidden_layers,
        "num_attention_heads": lapa_config.num_attention_heads,
        "rms_norm_eps": lapa_config.rms_norm_eps,
        "theta": lapa_config.rope_theta,
        "max_sequence_length": lapa_config.max_position_embeddings,
    }
    (folder / "config.json").write_text(json.dumps(reference))
    (folder / "tokenizer.model").write_bytes(small_tokenizer(lapa_config.vocab_size).model)
    bins = [np.linspace(-0.05, 0.05, 257)] * 6 + [np.linspace(0.0, 1.0, 257)]
    rows = [",".join(map(str, range(257))), *(",".join(repr(float(e)) for e in b) for b in bins)]
    (folder / "bins.csv").write_text("\n".join(rows) + "\n")
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    Image.fromarray(picture).save(folder / "image.png")
    write_vqgan(folder / "vqgan", vqgan_config)
    return write_params(folder / "params", lapa_config, normal_block(WEIGHT_STD))


def lapa(arguments: list[str]) -> dict[str, Any]:
    """Run the `lapa` command in a process of its own."""
    began = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        raise SystemExit(f"lapa {arguments[0]} failed:\n{result.stdout}{result.stderr}")
    return {
        "seconds": round(time.monotonic() - began, 1),
        "peak_rss_bytes": int(result.stderr.split("peak ")[-1]),
        "output": result.stdout,
    }


if __name__ == "__main__":
    raise SystemExit(main())
