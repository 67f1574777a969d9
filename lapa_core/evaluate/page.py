# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The report as one HTML page: tables, bars with their intervals, links to videos and pictures.

Everything from outside is escaped; nothing is loaded from anywhere. Knows no files.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lapa_core.evaluate import compare, table
from lapa_core.evaluate.compare import Comparison
from lapa_core.evaluate.scores import Score
from lapa_core.evaluate.statistics import Rate
from lapa_core.evaluate.table import Row

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.25em .7em;border-bottom:1px solid #ddd;
text-align:right}td:nth-child(-n+2),th:nth-child(-n+2){text-align:left}video{width:320px;display:
block}figure{display:inline-block;margin:.5em;width:320px;vertical-align:top;font-size:.85em}
img{max-width:100%}
"""
_BARS = (("success", "#8ab4e8", "credit"), ("strict", "#1c5fa8", "strict"),
         ("right object", "#4a9a5b", "right"))  # fmt: skip
_WIDTH, _LEFT, _LINE = 760, 220, 16


def page(
    title: str,
    run: Mapping[str, Any],
    rows: Sequence[Row],
    scores: Sequence[Score],
    *,
    comparisons: Sequence[Comparison] = (),
    pictures: Sequence[str] = (),
) -> str:
    """The whole page.

    Args:
        title: its heading.
        run: what was measured, shown as it is.
        rows, scores: what came out.
        comparisons: with another policy.
        pictures: addresses of curves and plots, relative to the page.
    """
    parts = [f"<h1>{_text(title)}</h1>"]
    facts = {k: v for k, v in run.items() if k not in ("format", "suite")}
    parts.append("<p>" + " · ".join(f"{_text(k)}: {_text(v)}" for k, v in facts.items()) + "</p>")
    parts += [_table(table.HEADER, map(table.cells, rows)), _bars(rows)]
    parts.append(
        "<p>success: partial credit; strict: the task done and nothing else; right object: "
        "touched first, of all trials, and of those in which something was touched, beside "
        "chance. Brackets: 95 % intervals (Wilson).</p>"
    )
    if comparisons:
        lines = [line for c in comparisons for line in compare.cells(c)]
        parts += ["<h2>Compared over identical starts</h2>", _table(compare.HEADER, lines)]
    parts += [f'<p><img src="{_text(p)}" alt="{_text(p)}"></p>' for p in pictures]
    filmed = [s for s in scores if s.film]
    if filmed:
        parts += ["<h2>Failures</h2>", *map(_film, filmed)]
    style = f"<style>{_STYLE}</style>"
    head = f'<meta charset="utf-8"><title>{_text(title)}</title>{style}'
    return f"<!doctype html><html><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def _table(header: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{_text(c)}</th>" for c in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(c)}</td>" for c in line) + "</tr>" for line in lines
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _bars(rows: Sequence[Row]) -> str:
    """A group of bars a row, with intervals and a mark at chance."""
    drawn: list[str] = []
    y = 0
    for row in rows:
        drawn.append(_label(f"{row.split} / {row.task}", y + _LINE))
        for name, colour, attribute in _BARS:
            rate: Rate | None = getattr(row, attribute)
            if rate is not None and rate.total:
                drawn.append(_bar(rate, colour, y, f"{row.split}/{row.task} {name}"))
            if attribute == "right" and row.chance == row.chance:
                x = _x(row.chance)
                drawn.append(f'<path d="M{x} {y}v{_LINE}" stroke="#c33" stroke-width="2"/>')
            y += _LINE
        y += _LINE // 2
    legend = " ".join(f'<tspan fill="{c}">■ {n}</tspan>' for n, c, _ in _BARS)
    legend += ' <tspan fill="#c33">| chance</tspan>'
    drawn.append(f'<text x="{_LEFT}" y="{y + _LINE}" font-size="13">{legend}</text>')
    size = f'width="{_WIDTH}" height="{y + 2 * _LINE}"'
    return f'<svg {size} font-family="sans-serif">{"".join(drawn)}</svg>'


def _bar(rate: Rate, colour: str, y: int, name: str) -> str:
    low, high, middle = _x(rate.low), _x(rate.high), y + _LINE / 2
    title = _text(f"{name}: {table.interval(rate)}, {rate.total} trials")
    return (
        f'<g><title>{title}</title><rect x="{_LEFT}" y="{y + 2}" '
        f'width="{_x(rate.mean) - _LEFT:.1f}" height="{_LINE - 4}" fill="{colour}"/>'
        f'<path d="M{low:.1f} {middle}H{high:.1f}" stroke="#222"/></g>'
    )


def _label(text: str, y: int) -> str:
    return f'<text x="0" y="{y}" font-size="13">{_text(text)}</text>'


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - 20)


def _film(score: Score) -> str:
    about = f"{score.split}/{score.task} {score.index}: “{score.instruction}”, credit "
    about += f"{score.credit:g}, {score.ended}" + (f", {score.note}" if score.note else "")
    source = _text(score.film)
    return (
        f'<figure><video src="{source}" controls preload="none"></video>'
        f'<figcaption><a href="{source}">{source}</a><br>{_text(about)}</figcaption></figure>'
    )


def _text(value: object) -> str:
    return html.escape(str(value))
