# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What writing a bag costs, and whether a write ever waits for the disk.

    python benchmarks/bag_writer.py --seconds 20

Three raw 640x480 cameras at 30 Hz and 300 small messages a second, paced as they would come; then
the same as fast as it goes. Writes to the folder of `--disk`, a real disk for figures that mean
something.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import RESULTS, processor, write_result

from lapa_core.recording.bag import BagWriter, Qos, Topic

IMAGE_BYTES, IMAGES_HZ, SMALL_BYTES, SMALL_A_TICK, CAMERAS = 921_676, 30.0, 300, 10, 3
SYNCED_S, NEVER_S = 0.25, 1e9


def main() -> int:
    """Measure and write JSON; 1 when it takes half a core or more."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--disk", type=Path, default=None, help="folder on the disk to measure")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lapa_bag_", dir=args.disk) as made:
        root = Path(made)
        paced = measure(root / "paced", args.seconds, IMAGES_HZ, SYNCED_S)
        unsynced = measure(root / "unsynced", args.seconds, IMAGES_HZ, NEVER_S)
        fast = measure(root / "fast", min(args.seconds, 5.0), 1e9, SYNCED_S)
    content = {
        "benchmark": "bag_writer",
        "machine": processor(),
        "cores": os.cpu_count(),
        "paced": paced,
        "paced, never synced": unsynced,
        "as fast as it goes": fast,
    }
    print(content, write_result("bag_writer", content, args.out))
    return 0 if paced["cores"] < 0.5 else 1


def measure(folder: Path, seconds: float, rate_hz: float, sync_s: float) -> dict[str, Any]:
    """One bag; it is removed afterwards."""
    image, small, waits = os.urandom(IMAGE_BYTES), os.urandom(SMALL_BYTES), []
    bag = BagWriter(folder, sync_s=sync_s)
    topics = [bag.add_topic(Topic(f"/c{k}", "a/msg/B", "", (Qos(),))) for k in range(CAMERAS + 1)]
    began, cpu, tick = time.monotonic(), time.process_time(), 0
    while (now := time.monotonic()) - began < seconds:
        if now - began < tick / rate_hz:
            bag.tick()
            time.sleep(min(0.01, tick / rate_hz - (now - began)))
            continue
        stamp = time.time_ns()
        for topic in [*topics[:CAMERAS], *[topics[CAMERAS]] * SMALL_A_TICK]:
            before = time.monotonic()
            bag.write(topic, stamp, stamp, image if topic <= CAMERAS else small, tick)
            waits.append(time.monotonic() - before)
        tick += 1
    wall, cpu = time.monotonic() - began, time.process_time() - cpu
    summary = bag.close()
    summary.path.unlink()
    waits.sort()
    return {
        "messages": summary.messages,
        "MB_per_s": round(summary.bytes / 1e6 / wall, 1),
        "cores": round(cpu / wall, 3),
        "write_ms": {
            name: round(1e3 * waits[int(q * (len(waits) - 1))], 3)
            for name, q in (("median", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0))
        },
        "slowest_sync_ms": round(1e3 * summary.slowest_sync_s, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
