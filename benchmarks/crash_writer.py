# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A recorder without ROS, to be killed: numbered messages of several topics, episode by episode.

    python benchmarks/crash_writer.py ROOT --seconds 0.6

Says on its standard output what it does, a line an act (see `crash_check.Journal`): before an
episode `start N`, for every message that the bag has taken its topic, number and time of sending,
then `saving N` and, when it is in its place, `saved N`.
"""

from __future__ import annotations

import argparse
import os
import struct
import sys
import time
from pathlib import Path

from lapa_core.recording import episode, folders
from lapa_core.recording.bag import BagWriter, Qos, Topic
from lapa_core.recording.episode import Episode, Outcome

# topic -> rate [Hz], bytes a message: a camera of JPEG images, joints, the words of an authority
STREAMS = {"/camera": (30.0, 100_000), "/joints": (100.0, 300), "/authority": (10.0, 40)}
STRING = "std_msgs/msg/String"


def main() -> int:
    """Record until killed, or as many episodes as asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--seconds", type=float, default=0.6, help="of an episode")
    parser.add_argument("--episodes", type=int, default=1_000_000)
    parser.add_argument("--until-told", action="store_true", help="save when a line comes in")
    args = parser.parse_args()
    with folders.lock(args.root):
        for _ in range(args.episodes):
            record(args.root, None if args.until_told else args.seconds)
    return 0


def record(root: Path, seconds: float | None) -> None:
    """One episode, from its draft to its place."""
    number = folders.next_number(root)
    say(f"start {number}")
    folder = folders.partial(root, number)
    bag = BagWriter(folder)
    episode.write(draft(number, "recovered"), folder)
    kinds = [Topic(name, STRING, "string data\n", (Qos(),)) for name in STREAMS]
    topics = {kind.name: bag.add_topic(kind) for kind in kinds}
    began, sent = time.monotonic(), dict.fromkeys(STREAMS, 0)
    while not done(began, seconds):
        now = time.monotonic() - began
        for name, (rate, size) in STREAMS.items():
            while sent[name] < now * rate:
                write(bag, topics[name], name, sent[name], size)
                sent[name] += 1
        bag.tick()
        time.sleep(0.002)
    say(f"saving {number}")
    bag.close()
    episode.write(draft(number, "success"), folder)
    folders.complete(folder)
    say(f"saved {number}")


def write(
    bag: BagWriter, topic: int, name: str, number: int, size: int, *, quiet: bool = False
) -> None:
    """One message; said only when the bag has taken it."""
    stamp = time.monotonic_ns()
    text = f"{number} {stamp} ".encode()
    text += b"." * (size - len(text)) + b"\0"
    data = b"\0\1\0\0" + struct.pack("<I", len(text)) + text
    bag.write(topic, stamp, stamp, data, number)
    if not quiet:
        say(f"{name} {number} {stamp}")


def done(began: float, seconds: float | None) -> bool:
    """Whether the episode is to be saved."""
    if seconds is not None:
        return time.monotonic() - began >= seconds
    import select

    return bool(select.select([sys.stdin], [], [], 0)[0]) and sys.stdin.readline() != ""


def draft(number: int, outcome: Outcome) -> Episode:
    """What the recorder knows."""
    return Episode(number, "put it down", "op", outcome, "", 0.0, "none", "", "", "", "crash")


def say(line: str) -> None:
    """One line at once, so that a kill cannot take it back."""
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
