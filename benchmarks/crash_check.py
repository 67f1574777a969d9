# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What must hold of a data set after a crash, whoever wrote it; proven by the messages' numbers.

Every message tells its own number and when it was sent, both on the machine's monotonic clock,
so nothing has to be believed of the writer that was killed. `Journal` is what it said before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mcap.reader import make_reader
from rosbags.rosbag2 import Reader

from lapa_core.recording import episode, folders, metadata

# a topic's messages: (number, sent [ns]) in the order of the bag
Numbers = list[tuple[int, int]]
Parse = Callable[[bytes], tuple[int, int]]
_TEXT = re.compile(rb"(\d+) (\d+) ")
LEFTOVERS = (".tmp", ".reserve", ".recovering")


class Violation(Exception):  # noqa: N818 - what the crash suite looks for
    """Something that must never happen."""


@dataclass
class Journal:
    """What a writer said up to its death.

    Attributes:
        handed: episode -> topic -> messages it had taken.
        saved: episodes that it had answered `saved` for.
        last: the last thing it said.
    """

    handed: dict[int, dict[str, Numbers]] = field(default_factory=dict)
    saved: set[int] = field(default_factory=set)
    last: str = ""

    def take(self, line: str) -> None:
        """Read a line: `start N`, `TOPIC NUMBER SENT_NS`, `saving N` or `saved N`."""
        words = line.split()
        if words[0] == "start":
            self.handed[int(words[1])] = {}
        elif words[0] == "saved":
            self.saved.add(int(words[1]))
        elif words[0].startswith("/"):
            topics = self.handed[max(self.handed)]
            topics.setdefault(words[0], []).append((int(words[1]), int(words[2])))
        self.last = words[0] if not words[0].startswith("/") else "writing"


def parse_text(data: bytes) -> tuple[int, int]:
    """Number and time of a `std_msgs/String` with "NUMBER SENT_NS " at its beginning."""
    match = _TEXT.match(data, 8)
    if match is None:
        raise Violation(f"a message does not begin with its number: {data[:40]!r}")
    return int(match[1]), int(match[2])


def check_complete(root: Path, parse: Parse = parse_text) -> dict[int, dict[str, Numbers]]:
    """Every name without `.partial` must be an episode that others' readers read in full.

    Returns:
        Episode -> topic -> its messages.

    Raises:
        Violation: one is half there.
    """
    contents = {}
    for folder in folders.episodes(root):
        try:
            contents[folders.number(folder)] = _read(folder, parse)
        except Exception as error:
            raise Violation(f"{folder.name} cannot be read in full: {error!r}") from error
    return contents


def check_saved(journal: Journal, contents: dict[int, dict[str, Numbers]]) -> None:
    """Every episode that was answered for must be there with every message.

    Raises:
        Violation: one is missing or has a hole.
    """
    for number in journal.saved:
        if contents.get(number) != journal.handed[number]:
            raise Violation(f"episode {number} was saved and is not there as it was handed over")


def lost_s(handed: dict[str, Numbers], found: dict[str, Numbers], killed_ns: int) -> float:
    """Age at the kill of the oldest message that is gone; 0 when none is.

    Raises:
        Violation: what is there is not a beginning of what was handed over.
    """
    oldest = 0.0
    for topic, numbers in handed.items():
        there = found.get(topic, [])
        if there[: len(numbers)] != numbers[: len(there)]:
            raise Violation(f"{topic} has a hole: {len(there)} of {len(numbers)} messages")
        if len(there) < len(numbers):
            oldest = max(oldest, (killed_ns - numbers[len(there)][1]) / 1e9)
    return oldest


def _read(folder: Path, parse: Parse) -> dict[str, Numbers]:
    """Through `rosbags`, through `mcap` with every CRC, and metadata.yaml: all must agree."""
    leftovers = [p.name for p in folder.iterdir() if p.name.endswith(LEFTOVERS)]
    if leftovers:
        raise Violation(f"left over: {leftovers}")
    if episode.read(folder).outcome not in ("success", "failure", "recovered"):
        raise Violation("an outcome that a complete episode cannot have")
    stated = metadata.read(folder)
    found: dict[str, Numbers] = {}
    (file,) = folder.glob("*.mcap")
    with file.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        for _, channel, message in reader.iter_messages(log_time_order=False):
            found.setdefault(channel.topic, []).append(parse(message.data))
    total = sum(map(len, found.values()))
    with Reader(folder) as bag:
        counts = {c.topic: c.msgcount for c in bag.connections if c.msgcount}
        read = sum(1 for _ in bag.messages())
    if summary is None or summary.statistics is None:
        raise Violation("no summary")
    if {total, read, stated["message_count"]} != {summary.statistics.message_count}:
        raise Violation("the counts of messages disagree")
    if counts != {topic: len(numbers) for topic, numbers in found.items()}:
        raise Violation("the counts of the topics disagree")
    return found
