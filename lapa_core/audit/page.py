# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Reports as one HTML page that needs nothing else: no script, no request, everything escaped.

Pictures of every camera over time, what the actions look like, and who moved the arm when.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from lapa_core.audit import table
from lapa_core.audit.extract import Actions
from lapa_core.audit.inspection import Report
from lapa_core.recording.episode import Finding
from lapa_core.types import AXES, UNITS, FloatArray

# 150 episodes of two cameras make about 900 pictures of 3 kB: a page of 4 MB.
PICTURES, LEAST_PICTURES, MOST_PICTURES = 450, 1, 8
BINS = 40
BAND = {"policy": "#4c78a8", "teleop": "#59a14f", "hold": "#d0d0d0", "estop": "#e15759"}
_OTHER_BAND = "#f0f0f0"
_SERIOUS, _OTHER = "#c0392b", "#e0a030"
_WIDTH = 900  # of a timeline, in its own units

_STYLE = """
body{font:14px/1.45 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;color:#222}
h1{font-size:1.5em} h2{font-size:1.15em;margin:1.6em 0 .4em} pre{white-space:pre-wrap}
table{border-collapse:collapse;margin:.5em 0} td,th{padding:.15em .7em;text-align:right}
td:first-child,th:first-child,td.w,th.w{text-align:left} tr:nth-child(even){background:#f6f6f6}
th{border-bottom:1px solid #999} .bad{color:#c0392b} .mild{color:#9a6700} .good{color:#2e7d32}
.strip img{margin:0 2px 2px 0;vertical-align:top} .strip{margin:.3em 0} .grid{display:flex;
flex-wrap:wrap;gap:.8em} figure{margin:0} figcaption{font-size:.85em;color:#555}
svg text{font:10px system-ui,sans-serif;fill:#555} summary{cursor:pointer}
"""


def pictures_each(recordings: int) -> int:
    """How many pictures of a camera a page of so many recordings should hold."""
    return max(LEAST_PICTURES, min(MOST_PICTURES, PICTURES // max(recordings, 1)))


def render(reports: Sequence[Report]) -> str:
    """The page."""
    name = reports[0].path.name if len(reports) == 1 else f"{len(reports)} recordings"
    body = [
        f"<h1>{escape(name)}</h1>",
        f"<pre>{escape(chr(10).join(table.totals(reports)))}</pre>",
    ]
    if len(reports) > 1:
        body += ["<h2>Episodes</h2>", _overview(reports)]
    body += _histograms([r.actions for r in reports if r.actions is not None])
    for i, report in enumerate(reports):
        body += _recording(report, i)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{escape(name)}: lapa inspect</title><style>{_STYLE}</style></head><body>"
        + "\n".join(body)
        + "</body></html>\n"
    )


def timeline(report: Report) -> str:
    """An SVG: who had authority, and when something was found."""
    seconds = max(report.duration_s, 1e-3)

    def x(at_s: float) -> float:
        return round(_WIDTH * min(max(at_s / seconds, 0.0), 1.0), 1)

    changes = report.authority
    ends = [*(c.at_s for c in changes[1:]), seconds]
    parts = [_rect(0, 0, _WIDTH, 14, _OTHER_BAND, "nobody")]
    for change, end_s in zip(changes, ends, strict=False):
        colour = BAND.get(change.state, _OTHER_BAND)
        words = f"{change.state} from {change.at_s:.2f} s: {change.reason}"
        parts.append(_rect(x(change.at_s), 0, x(end_s) - x(change.at_s), 14, colour, words))
    for i, f in enumerate(report.findings):
        top = 18 + 9 * i
        colour = _SERIOUS if f.serious else _OTHER
        width = max(x(f.ends_s) - x(f.begins_s), 3)
        left = min(x(f.begins_s), _WIDTH - 3)
        parts.append(_rect(left, top, width, 7, colour, table.finding_line(f)))
    height = 18 + 9 * len(report.findings) + 14
    for k in range(5):
        at_s = seconds * k / 4
        anchor = ("start", "middle", "middle", "middle", "end")[k]
        parts.append(
            f'<text x="{x(at_s)}" y="{height - 3}" text-anchor="{anchor}">{at_s:.1f} s</text>'
        )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="100%" role="img">'
        + "".join(parts)
        + "</svg>"
    )


def _recording(report: Report, index: int) -> list[str]:
    rows = [table.stream_cells(s, report) for s in report.streams]
    heads = ("stream", "messages", "rate", "expected", "largest gap", "dropped", "first", "last")
    parts = [
        f'<h2 id="r{index}">{escape(report.path.name)}</h2>',
        f"<pre>{escape(table.headline(report))}</pre>",
        timeline(report),
        *(_finding(f) for f in report.findings),
    ]
    for topic, pictures in report.pictures.items():
        if pictures:
            parts.append(f'<div class="strip">{escape(topic)}<br>{_strip(pictures)}</div>')
    parts.append(f"<details><summary>streams</summary>{_table(heads, rows)}</details>")
    return parts


def _overview(reports: Sequence[Report]) -> str:
    rows = []
    for i, r in enumerate(reports):
        serious = sum(f.serious for f in r.findings)
        kind = "bad" if serious else "mild" if r.findings else "good"
        checks = ", ".join(sorted({f.check for f in r.findings})) or "none"
        cells = (
            f'<td><a href="#r{i}">{escape(r.path.name)}</a></td>',
            f"<td>{escape(r.episode.outcome if r.episode else '-')}</td>",
            f"<td>{r.duration_s:.2f} s</td>",
            f"<td>{sum(s.messages for s in r.streams)}</td>",
            f"<td>{sum(s.dropped for s in r.streams)}</td>",
            f'<td class="w {kind}">{escape(checks)}</td>',
            f'<td class="w">{escape(r.episode.instruction if r.episode else "-")}</td>',
        )
        rows.append("<tr>" + "".join(cells) + "</tr>")
    heads = ("recording", "outcome", "length", "messages", "dropped", "findings", "instruction")
    return f"<table><tr>{_heads(heads)}</tr>{''.join(rows)}</table>"


def _histograms(actions: Sequence[Actions]) -> list[str]:
    """One histogram a dimension, over all recordings with the same dimensions."""
    names = sorted({a.names for a in actions}, key=len)
    parts = []
    for dimensions in names:
        values = np.concatenate([a.values for a in actions if a.names == dimensions])
        charts = [_histogram(n, v) for n, v in zip(dimensions, values.T, strict=True)]
        title = f"<h2>Executed actions ({len(values)} steps)</h2>"
        parts += [title, f'<div class="grid">{"".join(charts)}</div>']
    return parts


def _histogram(name: str, values: FloatArray) -> str:
    finite = values[np.isfinite(values)]
    axis = name.rpartition("/")[2]
    unit = UNITS[AXES.index(axis)] if axis in AXES else ""
    if not finite.size:
        return f"<figure><figcaption>{escape(name)}: no number</figcaption></figure>"
    low, high = float(finite.min()), float(finite.max())
    span = (low, high) if high > low else (low - 0.5, low + 0.5)
    counts, _ = np.histogram(finite, bins=BINS, range=span)
    most = int(counts.max())
    bars = []
    for i, n in enumerate(counts):
        if n:
            tall = max(round(60 * int(n) / most, 1), 0.5)
            bars.append(
                f'<rect x="{5 * i}" y="{round(60 - tall, 1)}" width="4.6" height="{tall}"/>'
            )
    caption = f"{name} [{unit}]: {low:.4g} to {high:.4g}, mean {finite.mean():.4g}"
    return (
        f'<figure><svg width="{5 * BINS}" height="76" fill="#4c78a8" role="img">{"".join(bars)}'
        f'<text x="0" y="73">{span[0]:.3g}</text><text x="{5 * BINS}" y="73" text-anchor="end">'
        f"{span[1]:.3g}</text></svg><figcaption>{escape(caption)}</figcaption></figure>"
    )


def _finding(f: Finding) -> str:
    kind = "bad" if f.serious else "mild"
    return f'<div class="{kind}">{escape(table.finding_line(f))}</div>'


def _strip(pictures: Iterable[tuple[float, bytes]]) -> str:
    return "".join(
        f'<img loading="lazy" title="{at_s:.2f} s" alt="at {at_s:.2f} s" '
        f'src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
        for at_s, data in pictures
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows]
    return f"<table><tr>{_heads(heads)}</tr>{''.join(lines)}</table>"


def _heads(names: Sequence[str]) -> str:
    return "".join(f"<th>{escape(n)}</th>" for n in names)


def _rect(x: float, y: float, width: float, height: float, fill: str, title: str) -> str:
    return (
        f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{height}" fill="{fill}">'
        f"<title>{escape(title)}</title></rect>"
    )
