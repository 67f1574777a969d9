# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The page around the robot: panels, inputs, texts. Nothing is decided here.

Callbacks are `async`, so that they run in viser's event loop in the order of the presses, and none
of them waits for anything.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

import viser

from lapa_core.evaluate.live import SessionStatus
from lapa_core.recording.status import RecorderStatus, StreamHealth
from lapa_core.robot import Robot
from lapa_core.view import html
from lapa_core.view.page import Page
from lapa_core.view.pictures import CameraPanel
from lapa_core.view.progress import Progress
from lapa_core.view.stopping import Phase
from lapa_ros.dashboard.buttons import (
    ARM_BUTTONS,
    ARM_GROUPS,
    KEYS,
    RECORDER_BUTTONS,
    Actions,
    add_buttons,
    add_group,
    caller,
)
from lapa_ros.dashboard.evaluation import EvaluationPanel

PANEL_PX = 330
CHOOSE = "(choose a task)"
OPENING_STEP = 0.02
TOUCHED_S = 2.0  # for so long the gripper's slider stays where a person has put it
NOTICE_COLOURS = {"good": "green", "bad": "red"}
NOTICE_S = {"good": 4.0, "bad": 10.0}
ESTOP_COLOURS: dict[Phase, tuple[float, float, float]] = {
    "sent": (0.95, 0.65, 0.10),
    "confirmed": (0.55, 0.0, 0.0),
    "unconfirmed": (0.9, 0.0, 0.6),
}


class Panels:
    """The page around the 3-D scene. `show_*` may be called from one thread."""

    def __init__(self, page: Page, robot: Robot, actions: Actions, camera_width: int) -> None:
        self._server = page.server
        gui = page.server.gui
        self._tasks: tuple[str, ...] = ()
        self._sliders: dict[str, viser.GuiSliderHandle] = {}
        self._touched_s: dict[str, float] = {}
        left = gui.add_panel()
        with left.add_tab("Arm", viser.Icon.ROBOT):
            self._stop_and_arm(gui, robot, actions)
        left.dock_left()  # with one tab alone, so that nothing can come before the estop
        left.set_width(PANEL_PX)
        health = gui.add_panel()
        with health.add_tab("Streams", viser.Icon.ACTIVITY):
            self._lights = gui.add_html(html.lights(()))
            self._findings = gui.add_html(html.findings(()))
        with health.add_tab("Policy, jobs", viser.Icon.BRAIN):
            self._policy, self._jobs = gui.add_html(""), gui.add_html("")
        health.dock_below(left)
        right = gui.add_panel()
        with right.add_tab("Cameras", viser.Icon.CAMERA):
            self.cameras = CameraPanel(gui, [c.name for c in robot.cameras], camera_width)
        gui.main_panel.dock_right()
        gui.main_panel.set_width(PANEL_PX)
        right.dock_below(gui.main_panel)
        self._evaluation = EvaluationPanel(gui, actions)
        with gui.add_folder("Recording"):
            self._recording(gui, actions)
        self._keys(gui, actions)
        page.take_keys(self._stop_id)

    def _stop_and_arm(self, gui: viser.GuiApi, robot: Robot, actions: Actions) -> None:
        stop = gui.add_button("ESTOP (Esc)", color="red", icon=viser.Icon.HAND_STOP)
        self._stop_id = stop._impl.uuid
        gui.add_html(html.big_button(self._stop_id))

        @stop.on_click
        async def _(event: viser.GuiEvent[Any]) -> None:
            actions.estop()

        self._estop = gui.add_html("")
        self._authority = gui.add_html(html.authority("", ""))
        self._teleop = gui.add_html("")
        add_buttons(gui, ARM_BUTTONS, actions)
        for label, calls in ARM_GROUPS.items():
            add_group(gui, label, calls, actions)
        self._drive = gui.add_checkbox(
            "Drive by dragging", False, hint="show a handle at each tool; letting go stops the arm"
        )

        @self._drive.on_update
        async def _(event: viser.GuiEvent[Any]) -> None:
            if event.client_id is not None:  # not what we set ourselves
                actions.drive(bool(self._drive.value), event.client_id)

        for arm in robot.arms:
            self._gripper(gui, arm.name, actions)

    def _gripper(self, gui: viser.GuiApi, arm: str, actions: Actions) -> None:
        """At 0 and locked until somebody tells how far the gripper is open: see `show_opening`."""
        slider = gui.add_slider(
            f"{arm} gripper", 0.0, 1.0, OPENING_STEP, 0.0, disabled=True, hint="0 closed, 1 open"
        )
        self._sliders[arm] = slider

        @slider.on_update
        async def _(event: viser.GuiEvent[Any]) -> None:
            if event.client_id is None or slider.disabled:
                return
            if actions.gripper(arm, float(slider.value), event.client_id):
                self._touched_s[arm] = time.monotonic()

    def _recording(self, gui: viser.GuiApi, actions: Actions) -> None:
        self._recorder = gui.add_html(html.recorder(None))
        add_buttons(gui, RECORDER_BUTTONS, actions)
        self._choice = gui.add_dropdown("Task", (CHOOSE,), initial_value=CHOOSE)
        self._words = gui.add_text("Instruction", "", multiline=True)
        give = gui.add_button("Set instruction", icon=viser.Icon.SEND)
        self._instruction = gui.add_html(html.note("no instruction heard"))

        @self._choice.on_update
        async def _(event: viser.GuiEvent[Any]) -> None:
            if event.client_id is not None and self._choice.value != CHOOSE:
                self._words.value = self._choice.value
                actions.instruct(str(self._choice.value))

        @give.on_click
        async def _(event: viser.GuiEvent[Any]) -> None:
            actions.instruct(self._words.value)

    def _keys(self, gui: viser.GuiApi, actions: Actions) -> None:
        """viser's hotkeys keep quiet while somebody types into a field."""
        stop = gui.add_command("Estop", hotkey="escape", icon=viser.Icon.HAND_STOP)

        @stop.on_trigger
        async def _(event: viser.CommandEvent) -> None:
            actions.estop()
            actions.call("recorder/stop")

        labels = {name: (label, hint) for name, label, hint, _, _ in RECORDER_BUTTONS}
        for key, name in KEYS:
            label, hint = labels[name]
            command = gui.add_command(label.split(" (")[0], description=hint, hotkey=key)
            command.on_trigger(caller(actions, name))

    # What is shown -------------------------------------------------------------------------

    def show_authority(self, state: str, reason: str) -> None:
        """Who moves the arm."""
        self._authority.content = html.authority(state, reason)

    def show_estop(self, phase: Phase, text: str) -> None:
        """Whether the arm has confirmed the estop."""
        shown = phase in ESTOP_COLOURS
        self._estop.content = html.box(text, ESTOP_COLOURS[phase]) if shown else ""

    def show_teleop(self, text: str) -> None:
        """What the teleoperation says of itself."""
        self._teleop.content = html.note(text) if text else ""

    def show_driving(self, on: bool) -> None:
        """Whether some page drives, if that was changed from here."""
        if self._drive.value != on:
            self._drive.value = on

    def show_opening(self, arm: str, opening: float | None) -> None:
        """How far a gripper was told to open, or is open, unless a person is moving its slider.

        So a person begins where the gripper is, and the first touch opens nothing.
        """
        slider = self._sliders[arm]
        if opening is None or not math.isfinite(opening):
            if not slider.disabled:
                slider.disabled = True
            return
        shown = round(round(min(1.0, max(0.0, opening)) / OPENING_STEP) * OPENING_STEP, 2)
        touched = time.monotonic() - self._touched_s.get(arm, -TOUCHED_S) < TOUCHED_S
        if slider.value != shown and not touched:
            slider.value = shown
        if slider.disabled:  # unlocked last: a page shows the one after the other
            slider.disabled = False

    def show_recorder(self, status: RecorderStatus | None) -> None:
        """State, counter, task list."""
        self._recorder.content = html.recorder(status)
        if status is not None:
            self._findings.content = html.findings(status.findings)
            if status.tasks != self._tasks:
                self._tasks = status.tasks
                # Different ones that look alike once cleaned would be one.
                self._choice.options = tuple(
                    dict.fromkeys((CHOOSE, *map(html.clean, status.tasks)))
                )

    def show_evaluation(self, status: SessionStatus | None) -> None:
        """What a person who evaluates has to do; nothing before an evaluation is heard."""
        if status is not None:
            self._evaluation.show(status)

    def show_instruction(self, text: str) -> None:
        """What the robot was told."""
        self._instruction.content = html.note(f"told: {text}" if text else "no instruction heard")

    def show_lights(self, streams: Iterable[StreamHealth]) -> None:
        """A light a stream."""
        self._lights.content = html.lights(streams)

    def show_policy(self, values: dict[str, object]) -> None:
        """Rate, age and latency of the policy."""
        self._policy.content = html.facts(values)

    def show_jobs(self, jobs: Iterable[Progress]) -> None:
        """How far long jobs are."""
        self._jobs.content = html.jobs(jobs)

    def tell(self, title: str, body: str, level: str) -> None:
        """Show a notification on every open page."""
        for client in self._server.get_clients().values():
            client.add_notification(
                html.clean(title),
                html.clean(body),
                auto_close_seconds=NOTICE_S[level],
                color=NOTICE_COLOURS[level],
            )
