# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Text of the side panels as HTML. Every word from outside is escaped: topics are not ours.

Nothing here decides anything; it says what it is given.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from lapa_core.evaluate.live import SessionStatus
from lapa_core.recording.episode import Finding
from lapa_core.recording.status import RecorderStatus, StreamHealth
from lapa_core.view import space
from lapa_core.view.progress import Progress

LIGHTS = {"green": "#2b9a3e", "yellow": "#e0a100", "red": "#d62222", "grey": "#9a9a9a"}
MAX_FINDINGS = 8
MAX_TEXT = 2000  # characters of one text: a page has no use for more
STATES = {
    "starting": "waiting for streams",
    "idle": "ready",
    "recording": "● RECORDING",
    "saving": "saving ...",
    "reset": "reset the scene",
    "done": "all episodes recorded",
    "full": "DISK FULL",
}
_BOX = "padding:.45em .7em;margin:0 .75em .5em;border-radius:.3em;"


def clean(text: object) -> str:
    """Text that a page can be sent: what UTF-8 cannot hold would end every connection."""
    shown = str(text)
    if len(shown) > MAX_TEXT:
        shown = f"{shown[:MAX_TEXT]} ..."
    return shown.encode("utf-8", "replace").decode()


def escape(text: object) -> str:
    """Clean text that is no markup."""
    return html.escape(clean(text))


def box(text: str, colour: tuple[float, float, float], title: str = "") -> str:
    """White text on a coloured ground, with a title above."""
    ground = "rgb({},{},{})".format(*space.byte_colour(colour))
    head = f'<div style="font-size:1.25em;font-weight:700">{escape(title)}</div>' if title else ""
    return f'<div style="{_BOX}background:{ground};color:#fff">{head}{escape(text)}</div>'


def authority(state: str, reason: str) -> str:
    """Who moves the arm, and why."""
    if not state:
        return box("no arm_node heard", space.UNKNOWN, "no arm")
    return box(reason, space.COLOURS.get(state, space.UNKNOWN), state)


def recorder(status: RecorderStatus | None) -> str:
    """State, counter and times of the recorder."""
    if status is None:
        return note("no recorder_node heard")
    colour = {"recording": "#d62222", "reset": "#1c7ed6", "full": "#d62222"}
    shade = colour.get(status.state, "#555")
    times = f"{status.elapsed_s:.1f} s" if status.state == "recording" else ""
    if status.reset_left_s > 0:
        times = f"next episode in {status.reset_left_s:.0f} s"
    room = f"{status.free_gb:.0f} GB free"
    if status.minutes_left > 0:
        room += f", {status.minutes_left:.0f} min"
    return (
        f'<div style="{_BOX}border:2px solid {shade}">'
        f'<span style="font-weight:700;color:{shade}">{escape(STATES[status.state])}</span> '
        f'<span style="float:right">{escape(times)}</span>'
        f'<div style="font-size:1.6em;font-weight:700">{escape(status.counter)}</div>'
        f"<div>episode {escape(status.episode)} · {escape(room)}</div>"
        f"<div>{escape(status.instruction)}</div>"
        f'<div style="opacity:.75">{escape(status.message)}</div></div>'
    )


def evaluation(status: SessionStatus) -> str:
    """What a person who evaluates a policy has to do now."""
    shades = {"ready": "#1c7ed6", "running": "#d62222", "asking": "#e0a100"}
    shade = shades.get(status.state, "#555")
    states = {
        "ready": "lay out the scene, then begin",
        "homing": "to the start pose ...",
        "running": f"● THE POLICY ACTS, {status.left_s:.0f} s left",
        "asking": status.question,
        "done": "all trials are done",
    }
    what = f"{status.split} / {status.task}" if status.task else ""
    return (
        f'<div style="{_BOX}border:2px solid {shade}">'
        f'<div style="font-weight:700;color:{shade}">{escape(states[status.state])}</div>'
        f'<div style="font-size:1.3em;font-weight:700">{escape(status.instruction)}</div>'
        f"<div>{escape(status.layout)}</div>"
        f"<div>trial {escape(status.number)} of {escape(status.total)} · {escape(what)} · "
        f"strict {escape(status.strict)}</div>"
        f'<div style="opacity:.75">{escape(status.message)}</div></div>'
    )


def lights(streams: Iterable[StreamHealth]) -> str:
    """A row a stream: light, name, rate."""
    rows = []
    said = '<tr><td></td><td colspan="2">{}</td></tr>'
    for stream in streams:
        wanted = f" of {stream.expected_hz:.0f}" if stream.expected_hz else ""
        lost = f", {escape(stream.dropped)} lost" if stream.dropped else ""
        rows.append(
            f'<tr title="{escape(stream.text)}"><td><span style="color:{LIGHTS[stream.light]}">'
            f"⬤</span></td><td>{escape(stream.topic)}</td>"
            f'<td style="text-align:right;white-space:nowrap">{stream.rate_hz:.1f}{wanted} Hz'
            f"{lost}</td></tr>" + (said.format(escape(stream.text)) if stream.text else "")
        )
    if not rows:
        return note("no stream heard")
    return _table(rows)


def findings(found: Iterable[Finding]) -> str:
    """What the audit says, serious ones first, the newest of each first."""
    listed = sorted(found, key=lambda f: (not f.serious, -f.begins_s))
    if not listed:
        return note("no finding")
    rows = [
        f'<tr><td style="color:{LIGHTS["red" if f.serious else "yellow"]}">⬤</td>'
        f"<td>{f.begins_s:.1f} s</td><td>{escape(f.stream)} {escape(f.text)}</td></tr>"
        for f in listed[:MAX_FINDINGS]
    ]
    if len(listed) > MAX_FINDINGS:
        rows.append(f"<tr><td></td><td></td><td>and {len(listed) - MAX_FINDINGS} more</td></tr>")
    return _table(rows)


def facts(values: Mapping[str, object]) -> str:
    """Names and values, a row each."""
    if not values:
        return note("nothing heard")
    return _table(
        f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>"
        for name, value in values.items()
    )


def jobs(running: Iterable[Progress]) -> str:
    """A bar a job."""
    parts = []
    for job in running:
        share = f"{100 * job.share:.0f} %" if job.total > 0 else f"{job.done:g}"
        parts.append(
            f'<div style="{_BOX}padding:0"><b>{escape(job.job)}</b> {share} {escape(job.text)}'
            '<div style="background:#ddd;height:.5em;border-radius:.25em"><div style="background:'
            f'#1c7ed6;height:100%;border-radius:.25em;width:{100 * job.share:.1f}%"></div></div>'
            "</div>"
        )
    return "".join(parts) or note("no job running")


def note(text: str) -> str:
    """Plain small text."""
    return f'<div style="{_BOX}padding:0;opacity:.75">{escape(text)}</div>'


def _table(rows: Iterable[str]) -> str:
    return (
        '<table style="margin:0 .75em .5em;width:calc(100% - 1.5em);font-size:.85em;'
        'overflow-wrap:anywhere">' + "".join(rows) + "</table>"
    )


def big_button(uuid: str) -> str:
    """Style that makes the button of this id one that nobody misses, nor scrolls away."""
    button = f'[id="{escape(uuid)}"]'
    return (
        f"<style>{button}{{height:3.2em !important;font-size:1.7em;font-weight:800;"
        "background:#d00000 !important;color:#fff;border:3px solid #7a0000;}"
        f"div:has(> {button}){{position:sticky;top:0;z-index:9;}}</style>"
    )
