# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`episode.yaml` of an episode that a crash has cut: the recorder's words, and what was counted.

The recorder writes a draft when an episode begins. What it says of task, operator and robot
stays; what the bag tells is put in.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import replace
from pathlib import Path

from lapa_core import __version__
from lapa_core.errors import DataError
from lapa_core.recording import episode
from lapa_core.recording.episode import Episode, Finding, Stream
from lapa_core.recording.survey import NS, Survey, Tally

CHECK = "crash"


def is_discarded(folder: Path) -> bool:
    """Whether the recorder was killed while it discarded the episode."""
    try:
        return episode.read(folder).outcome == "discarded"
    except DataError:
        return False


def describe(folder: Path, found: list[Survey]) -> None:
    """Write `episode.yaml`, keeping what a draft says.

    One that tells of a whole bag's streams already is the recorder's last word and stays.
    """
    draft = _draft(folder)
    whole = all(s.scan.complete for s in found)
    if draft is not None and draft.streams and whole:
        return
    before = {s.topic: s for s in draft.streams} if draft is not None else {}
    tallies = [t for s in found for t in s.tallies.values()]
    full = [t for t in tallies if t.messages]
    first, last = min(t.first_ns for t in full), max(t.last_ns for t in full)
    seconds = (last - first) / NS
    new = draft or _unknown(folder, first)
    findings = tuple(f for f in new.findings if f.check != CHECK)
    if not whole:
        text = (
            f"a crash cut the recording short; {sum(t.messages for t in full)} messages are left"
        )
        findings += (Finding(CHECK, "", seconds, seconds, text, serious=False),)
    streams = tuple(_stream(t, before.get(t.topic)) for t in _joined(tallies))
    episode.write(replace(new, duration_s=seconds, streams=streams, findings=findings), folder)


def _draft(folder: Path) -> Episode | None:
    path = folder / episode.FILE
    if not path.exists():
        return None
    try:
        return episode.read(folder)
    except DataError:
        path.replace(path.with_name(path.name + ".unreadable"))
        return None


def _unknown(folder: Path, first_ns: int) -> Episode:
    """An episode of which only the bag is left."""
    number = re.search(r"(\d+)", folder.name)
    at = datetime.datetime.fromtimestamp(first_ns / NS, datetime.timezone.utc)
    return Episode(
        episode=int(number[1]) if number else 0,
        instruction="",
        operator="",
        outcome="recovered",
        started=at.isoformat(timespec="milliseconds"),
        duration_s=0.0,
        robot="",
        robot_yaml="",
        checkpoint="",
        device="",
        software=f"lapa_ros {__version__}, lapa recover",
    )


def _joined(tallies: list[Tally]) -> list[Tally]:
    """A topic of a bag in several files as one."""
    joined: dict[str, Tally] = {}
    for tally in tallies:
        if tally.topic not in joined or not joined[tally.topic].messages:
            joined[tally.topic] = replace(tally)
        elif tally.messages:
            one = joined[tally.topic]
            gap = tally.first_ns - one.last_ns
            one.largest_gap_ns = max(one.largest_gap_ns, tally.largest_gap_ns, gap)
            one.last_ns, one.header_last_ns = tally.last_ns, tally.header_last_ns
            one.messages += tally.messages
    return list(joined.values())


def _stream(tally: Tally, draft: Stream | None) -> Stream:
    span = (tally.last_ns - tally.first_ns) / NS
    first = tally.header_first_ns if tally.header_first_ns is not None else tally.first_ns
    last = tally.header_last_ns if tally.header_last_ns is not None else tally.last_ns
    return Stream(
        topic=tally.topic,
        type=tally.type,
        messages=tally.messages,
        rate_hz=(tally.messages - 1) / span if tally.messages > 1 and span > 0 else 0.0,
        expected_hz=draft.expected_hz if draft else 0.0,
        largest_gap_s=tally.largest_gap_ns / NS,
        dropped=draft.dropped if draft else 0,
        first_ns=first,
        last_ns=last,
        source=draft.source if draft else "",
    )
