# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa view`: a recorded episode on a page, with a time slider.

Everything that is shown is set from one thread, in `tick`; the page's own threads only leave
a note of what was pressed.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import viser
from viser import uplot

from lapa_core.errors import LapaError
from lapa_core.recording.episode import Episode
from lapa_core.robot import Robot
from lapa_core.types import AXES
from lapa_core.view import episode as recorded
from lapa_core.view import html, space
from lapa_core.view.episode import Played
from lapa_core.view.page import Page
from lapa_core.view.pictures import CameraPanel
from lapa_core.view.playback import SPEEDS, PlayClock
from lapa_core.view.scene import RobotScene

PICTURE_PERIOD_S = 0.12
POSES_SKIPPED = 5  # of 50 Hz: a path of 10 Hz looks the same
PANEL_PX = 360
PLOT_PX = 130
# name, axes of an arm, factor, unit
PLOTS = (
    ("translation", (0, 1, 2), 1000.0, "mm"),
    ("rotation", (3, 4, 5), 57.29578, "deg"),
    ("gripper", (6,), 1.0, "open"),
)
STROKES = ("#d62222", "#2b9a3e", "#1c7ed6")


class Player:
    """Shows one episode at a time of a data set on a page."""

    def __init__(
        self, page: Page, folder: Path, camera_width: int = 320, robot: Robot | None = None
    ) -> None:
        """Open the episode; `robot` instead of the copies in the episodes.

        Raises:
            DataError: it cannot be read.
        """
        self._page, self._width, self._robot = page, camera_width, robot
        self._folders = recorded.siblings(folder)
        wanted = folder.resolve()
        self._index = self._folders.index(wanted) if wanted in self._folders else 0
        self._shown_s = self._pictured_s = -1.0
        self._asked: queue.SimpleQueue[Callable[[float], None]] = queue.SimpleQueue()
        self._commands(page.server.gui)
        page.take_keys()
        self._open(recorded.load(self._folders[self._index], robot))

    def tick(self, now_s: float) -> None:
        """Do what was asked for, and show the present moment."""
        while not self._asked.empty():
            self._asked.get()(now_s)
        position = self._clock.at(now_s)
        if position == self._shown_s:
            return
        self._shown_s = position
        self._slider.value = round(position, 2)  # type: ignore[misc]  # viser: read-only to mypy
        self._play.label = "Pause (space)" if self._clock.playing else "Play (space)"
        for name, tracks in self._played.arms.items():
            arm = self._scene.arms[name]
            arm.set_joints(tracks.joints.at(position) or {})
            arm.set_target(tracks.target.at(position))
        self._authority.content = band(
            self._played.recording.episode, self._played.duration_s, position
        )
        if now_s - self._pictured_s >= PICTURE_PERIOD_S or not self._clock.playing:
            self._pictured_s = now_s
            self._show_slowly(position)

    def _show_slowly(self, position_s: float) -> None:
        """What is large: paths and pictures."""
        for name, tracks in self._played.arms.items():
            for path, track in (("measured", tracks.measured), ("commanded", tracks.target)):
                poses = track.until(position_s)[::POSES_SKIPPED]
                self._scene.arms[name].set_path(path, [pose.xyz_m for pose in poses])
        for name, camera in self._played.cameras.items():
            image = camera.at(self._played.log_ns(position_s))
            if image is not None:
                self._cameras.show(name, image)

    # What may be asked for, in the thread of `tick` -----------------------------------------

    def _go(self, step: int, now_s: float) -> None:
        index = self._index + step
        if not 0 <= index < len(self._folders):
            return
        try:
            played = recorded.load(self._folders[index], self._robot)
        except LapaError as error:
            for client in self._page.server.get_clients().values():
                client.add_notification(self._folders[index].name, str(error), color="red")
            return
        self._index = index
        for gone in self._panels:
            gone.remove()
        self._page.server.scene.reset()
        self._open(played)

    def _toggle(self, now_s: float) -> None:
        (self._clock.pause if self._clock.playing else self._clock.play)(now_s)
        self._shown_s = -1.0

    def _seek(self, position_s: float, now_s: float) -> None:
        self._clock.seek(position_s, now_s)

    def _step(self, seconds: float, now_s: float) -> None:
        self._clock.pause(now_s)
        self._clock.seek(self._clock.at(now_s) + seconds, now_s)

    # Building -------------------------------------------------------------------------------

    def _open(self, played: Played) -> None:
        server = self._page.server
        self._played = played
        self._clock = PlayClock(played.duration_s)
        self._shown_s, self._pictured_s = -1.0, -1.0
        self._scene: RobotScene = RobotScene(server.scene, played.robot)
        self._scene.look_at(server.initial_camera)
        gui = server.gui
        left, right, below = gui.add_panel(), gui.add_panel(), gui.add_panel()
        self._panels = [left, right, below]
        with left.add_tab("Episode", viser.Icon.PLAYER_PLAY):
            self._transport(gui, played)
            gui.add_html(facts(played))
            gui.add_html(html.findings(played.recording.episode.findings))
        with right.add_tab("Cameras", viser.Icon.CAMERA):
            self._cameras = CameraPanel(gui, list(played.cameras), self._width)
        with below.add_tab("Executed deltas", viser.Icon.CHART_LINE):
            _plots(gui, played)
        left.dock_left()
        right.dock_right()
        for panel in (left, right):
            panel.set_width(PANEL_PX)
        below.dock_below(left)
        gui.main_panel.minimize()

    def _transport(self, gui: viser.GuiApi, played: Played) -> None:
        self._play = gui.add_button("Play (space)", icon=viser.Icon.PLAYER_PLAY)
        self._on(self._play.on_click, self._toggle)
        self._slider = gui.add_slider(
            "Time [s]", 0.0, max(0.01, round(played.duration_s, 2)), 0.01, 0.0
        )
        self._authority = gui.add_html("")

        @self._slider.on_update
        async def _(event: viser.GuiEvent[Any]) -> None:
            if event.client_id is not None:
                value = float(self._slider.value)
                self._asked.put(lambda now: self._seek(value, now))

        speed = gui.add_dropdown("Speed", tuple(map(str, SPEEDS)), initial_value="1.0")

        @speed.on_update
        async def _(event: viser.GuiEvent[Any]) -> None:
            value = float(speed.value)
            self._asked.put(lambda now: self._clock.set_speed(value, now))

        where = f"{self._index + 1} of {len(self._folders)}"
        for label, step in ((f"Next (N), {where}", 1), ("Previous (P)", -1)):
            button = gui.add_button(label, color="gray")
            self._on(button.on_click, partial(self._go, step))

    def _commands(self, gui: viser.GuiApi) -> None:
        for label, key, act in (
            ("Play or pause", "space", self._toggle),
            ("Next episode", "N", partial(self._go, 1)),
            ("Previous episode", "P", partial(self._go, -1)),
            ("A step on", "arrowright", partial(self._step, 0.1)),
            ("A step back", "arrowleft", partial(self._step, -0.1)),
        ):
            self._on(gui.add_command(label, hotkey=key).on_trigger, act)  # type: ignore[arg-type]

    def _on(self, attach: Callable[[Any], Any], act: Callable[[float], None]) -> None:
        """Let a button or key leave a note."""

        async def leave_note(event: object) -> None:
            del event
            self._asked.put(act)

        attach(leave_note)


def facts(played: Played) -> str:
    """What `episode.yaml` says, in a table."""
    episode = played.recording.episode
    shown: dict[str, object] = {
        "episode": f"{episode.episode} ({played.recording.folder.name})",
        "instruction": episode.instruction,
        "outcome": episode.outcome,
        "duration": f"{episode.duration_s:.1f} s",
        "robot": episode.robot,
        "operator": episode.operator,
        "device": episode.device,
        "checkpoint": episode.checkpoint,
        "interventions": episode.interventions or "",
        "started": episode.started,
        "recorded by": episode.software,
    }
    rates = {s.topic: f"{s.rate_hz:.1f} Hz, {s.messages} messages" for s in episode.streams}
    return html.facts({k: v for k, v in shown.items() if v != ""} | rates)


def band(episode: Episode, duration_s: float, position_s: float) -> str:
    """Who had authority when, as a coloured bar with a mark where the time stands."""
    parts = []
    ends = [*(c.at_s for c in episode.authority[1:]), duration_s]
    for change, end in zip(episode.authority, ends, strict=True):
        width = 100 * max(0.0, end - change.at_s) / max(duration_s, 1e-9)
        ground = "rgb({},{},{})".format(
            *space.byte_colour(space.COLOURS.get(change.state, space.UNKNOWN))
        )
        parts.append(
            f'<div title="{escape(change.state)}: {escape(change.reason)}" '
            f'style="width:{width:.3f}%;background:{ground}"></div>'
        )
    now = [c for c in episode.authority if c.at_s <= position_s]
    said = f"{now[-1].state}: {now[-1].reason}" if now else "no authority recorded"
    mark = 100 * position_s / max(duration_s, 1e-9)
    return (
        '<div style="margin:0 .75em;position:relative;display:flex;height:1em;background:#ccc">'
        + "".join(parts)
        + f'<div style="position:absolute;left:{mark:.2f}%;top:-2px;bottom:-2px;width:2px;'
        'background:#000"></div></div>' + html.note(said)
    )


def _plots(gui: viser.GuiApi, played: Played) -> None:
    times, table = played.delta_table()
    if len(times) == 0:
        gui.add_html(html.note("no executed deltas recorded"))
        return
    for number, arm in enumerate(played.robot.arms):
        for name, axes, factor, unit in PLOTS:
            columns = [7 * number + axis for axis in axes]
            lines = [
                uplot.Series(label=AXES[axis], stroke=stroke, width=1)
                for axis, stroke in zip(axes, STROKES, strict=False)
            ]
            gui.add_uplot(
                data=(times, *(factor * np.ascontiguousarray(table[:, c]) for c in columns)),
                series=(uplot.Series(label="s"), *lines),
                scales={"x": uplot.Scale(time=False)},
                title=f"{arm.name} {name} [{unit}]",
                height=PLOT_PX,
            )
