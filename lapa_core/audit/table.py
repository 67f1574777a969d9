# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Reports as text: a table of streams and findings, or one line an episode of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone

from lapa_core.audit.inspection import Report
from lapa_core.recording.episode import Finding, Stream

_HEADS = ("stream", "messages", "rate", "expected", "largest gap", "dropped", "first", "last")


def one(report: Report) -> str:
    """Everything about one recording."""
    lines = [headline(report), ""]
    lines += aligned([_HEADS, *(stream_cells(s, report) for s in report.streams)])
    lines += ["", *findings(report)]
    return "\n".join(lines)


def many(reports: Sequence[Report]) -> str:
    """One line a recording, the findings of those that have some, and the totals."""
    heads = ("episode", "outcome", "length", "messages", "dropped", "findings", "instruction")
    lines = aligned([heads, *(_line(r) for r in reports)])
    for report in reports:
        if report.findings:
            lines += ["", report.path.name, *findings(report)]
    return "\n".join([*lines, "", *totals(reports)])


def totals(reports: Sequence[Report]) -> list[str]:
    """What a data set holds, in a few lines."""
    seconds = sum(r.duration_s for r in reports)
    size = sum(r.size_bytes for r in reports)
    count = sum(s.messages for r in reports for s in r.streams)
    dropped = sum(s.dropped for r in reports for s in r.streams)
    outcomes: Counter[str] = Counter(r.episode.outcome for r in reports if r.episode)
    words = Counter(r.episode.instruction for r in reports if r.episode)
    flagged = sum(r.flagged for r in reports)
    found = Counter(f.check for r in reports for f in r.findings)
    lines = [
        f"{len(reports)} recordings, {seconds / 60:.1f} min, {size / 1e6:.1f} MB, "
        f"{count} messages, {dropped} dropped",
        f"{flagged} with serious findings" + _counted(found),
    ]
    if outcomes:
        lines.append("outcomes:" + _counted(outcomes).replace(":", "", 1))
    lines += [f"{n:>6}  {text!r}" for text, n in words.most_common()]
    return lines


def headline(report: Report) -> str:
    """Path, length, size, and what the episode is."""
    began = datetime.fromtimestamp(report.begins_ns * 1e-9, tz=timezone.utc)
    text = (
        f"{report.path}: {report.duration_s:.2f} s, {report.size_bytes / 1e6:.1f} MB, "
        f"{report.storage}, began {began:%Y-%m-%d %H:%M:%S} UTC"
    )
    if report.episode is not None:
        e = report.episode
        text += f"\nepisode {e.episode}, {e.outcome}: {e.instruction!r}, robot {e.robot}"
    return text


def findings(report: Report) -> list[str]:
    """One line a finding, with the time it starts."""
    if not report.findings:
        return ["no findings"]
    return [finding_line(f) for f in report.findings]


def finding_line(f: Finding) -> str:
    """Such as `! from 2.03 s  rate  /camera/front: 12.0 Hz instead of 30 Hz`."""
    mark = "!" if f.serious else "-"
    where = f"{f.stream}: " if f.stream else ""
    return f"{mark} from {f.begins_s:.2f} s to {f.ends_s:.2f} s  {f.check}  {where}{f.text}"


def stream_cells(s: Stream, report: Report) -> tuple[str, ...]:
    """The cells of one stream, in the order of the table."""
    if not s.messages:
        rate = f"{s.expected_hz:g} Hz" if s.expected_hz else "-"
        return (s.topic, "0", "-", rate, "-", "-", "-", "-")

    def at(stamp_ns: int) -> str:
        return f"{(stamp_ns - report.begins_ns) * 1e-9:.3f} s"

    return (
        s.topic,
        str(s.messages),
        f"{s.rate_hz:.2f} Hz",
        f"{s.expected_hz:g} Hz" if s.expected_hz else "-",
        f"{s.largest_gap_s:.3f} s",
        str(s.dropped),
        at(s.first_ns),
        at(s.last_ns),
    )


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with columns of equal width; the first and the last column stand left."""
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(row[1:-1], widths[1:-1], strict=True)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return lines


def _line(report: Report) -> tuple[str, ...]:
    e = report.episode
    serious = sum(f.serious for f in report.findings)
    return (
        report.path.name,
        e.outcome if e else "-",
        f"{report.duration_s:.2f} s",
        str(sum(s.messages for s in report.streams)),
        str(sum(s.dropped for s in report.streams)),
        f"{serious} serious, {len(report.findings) - serious} other" if report.findings else "0",
        e.instruction if e else "-",
    )


def _counted(counter: Counter[str]) -> str:
    if not counter:
        return ""
    return ": " + ", ".join(f"{n} {name}" for name, n in counter.most_common())
