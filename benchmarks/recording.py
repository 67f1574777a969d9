# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Does the recorder lose anything, and what does it cost? The real node, over real DDS, to disk.

    python benchmarks/recording.py --seconds 600
    python benchmarks/recording.py --seconds 120 --images raw

Three 640x480 cameras at 30 Hz and joints at 100 Hz, sent by another process that numbers them.
Every number must be in the bag, read by a reader that is not ours; the recorder's processor time
must stay under one core and its memory must not grow.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from common import RESULTS, processor, write_result

from lapa_core import paths
from lapa_ros import environment
from lapa_ros.processes import NodeProcess, stop_all

CAMERAS = 3
TICKS = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, compare, write JSON; 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--images", default="jpeg", choices=("jpeg", "raw"))
    parser.add_argument("--folder", type=Path, help="where to record; default: a temporary one")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the JSON")
    args = parser.parse_args()
    os.environ["ROS_DOMAIN_ID"] = environment.own_domain()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.update(environment.dds_variables())
    environment.remove_dead_segments()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        content = measure(Path(folder), args)
    for name, mark in content["marks"].items():
        print(f"{'ok    ' if mark['met'] else 'MISSED'} {name}: {mark['value']} ({mark['mark']})")
    print(write_result(f"recording-{args.images}", content, args.out))
    return 0 if all(m["met"] for m in content["marks"].values()) else 1


def three_cameras(folder: Path) -> Path:
    """A robot file: the WidowX with three cameras that stand in one place."""
    content = yaml.safe_load(paths.share("config/robots/wx250s.yaml").read_text(encoding="utf-8"))
    front = content["cameras"][0]
    content["cameras"] = [
        front | {"name": f"cam{i}", "topic": f"camera/cam{i}/image_raw", "rate_hz": 30}
        for i in range(CAMERAS)
    ]
    path = folder / "three_cameras.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Record one episode and compare it with what was sent."""
    robot, go = three_cameras(folder), folder / "go"
    parameters = {
        "robot": str(robot),
        "folder": str(folder / "episodes"),
        "images": args.images,
        "task": "benchmark",
        "min_free_gb": 1.0,
    }
    recorder = NodeProcess("recorder_node", parameters, folder / "recorder.log")
    command = [sys.executable, str(Path(__file__).with_name("recording_sender.py"))]
    sender = subprocess.Popen([*command, str(robot), str(args.seconds), str(go)])
    try:
        from recording_operator import Operator  # DDS reads its profile with the first node

        operator = Operator()
        operator.wait_until_ready()
        print(operator.press("recorder/start"), flush=True)
        go.touch()
        usage = watch(recorder.process.pid, go)
        sent = json.loads(go.read_text(encoding="utf-8"))
        began = time.monotonic()
        print(operator.press("recorder/save"), flush=True)
        save_s = time.monotonic() - began
        operator.close()
    except BaseException:
        print(recorder.last_lines())
        raise
    finally:
        sender.kill()
        code = stop_all([recorder], grace_s=10.0)
    episode = folder / "episodes" / "episode_0000"
    size = sum(p.stat().st_size for p in episode.iterdir())
    got = numbers(episode)
    missing = {t: sorted(set(range(n)) - set(got.get(t, []))) for t, n in sent.items()}
    twice = sum(len(n) - len(set(n)) for n in got.values())
    findings = yaml.safe_load((episode / "episode.yaml").read_text(encoding="utf-8"))["findings"]
    lost = sum(len(m) for m in missing.values())
    growth = usage["rss_mb_second_half"] - usage["rss_mb_first_half"]
    return {
        "benchmark": "recording",
        "machine": processor(),
        "cores": os.cpu_count(),
        "images": args.images,
        "seconds": args.seconds,
        "sent": sent,
        "size_mb": round(size / 1e6, 1),
        "save_s": round(save_s, 3),
        "recorder": usage,
        "exit": code,
        "findings": [f["text"] for f in findings],
        "marks": {
            "messages lost": mark(lost, "0", lost == 0),
            "messages twice": mark(twice, "0", twice == 0),
            "processor [cores]": mark(usage["cores"], "< 1", usage["cores"] < 1.0),
            "memory, second half - first half [MB]": mark(round(growth, 1), "< 20", growth < 20),
            "findings": mark(len(findings), "0", not findings),
        },
    }


def mark(value: float, text: str, met: bool) -> dict[str, Any]:
    """One figure beside its mark."""
    return {"value": value, "mark": text, "met": bool(met)}


def watch(pid: int, go: Path) -> dict[str, Any]:
    """Processor time and memory of a process until the sender has filled the file."""
    cpu, rss, began = cpu_s(pid), [], time.monotonic()
    while not go.stat().st_size:
        rss.append(rss_mb(pid))
        time.sleep(1.0)
    seconds = time.monotonic() - began
    half = len(rss) // 2
    warm = rss[min(10, half) : half] or rss[:1]  # pools and buffers are filled by then
    return {
        "cores": round((cpu_s(pid) - cpu) / seconds, 3),
        "rss_mb_first_half": round(statistics.median(warm), 1),
        "rss_mb_second_half": round(statistics.median(rss[half:]), 1),
        "rss_mb_peak": round(max(rss), 1),
        "rss_mb_by_minute": [round(m, 1) for m in rss[::60]],
    }


def cpu_s(pid: int) -> float:
    """User and system time of all threads of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_mb(pid: int) -> float:
    """Private memory of a process; DDS' shared segments belong to all."""
    text = Path(f"/proc/{pid}/status").read_text()
    kilobytes = {k: v for k, _, v in (line.partition(":") for line in text.splitlines())}
    return int(kilobytes["RssAnon"].split()[0]) / 1e3


def numbers(episode: Path) -> dict[str, list[int]]:
    """Topic (as sent) -> the numbers in the bag, by the `rosbags` reader."""
    from rosbags.highlevel import AnyReader

    found: dict[str, list[int]] = {}
    with AnyReader([episode]) as reader:
        wanted = [c for c in reader.connections if "camera" in c.topic or "joint" in c.topic]
        for connection, _, raw in reader.messages(wanted):
            frame = reader.deserialize(raw, connection.msgtype).header.frame_id
            if frame.isdigit():
                topic = connection.topic.removeprefix("/").removesuffix("/compressed")
                found.setdefault(topic, []).append(int(frame))
    return found


if __name__ == "__main__":
    sys.exit(main())
