# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The page's buttons and keys, and what each of them asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import viser

# service, label, hint, colour, icon
ARM_BUTTONS = (
    ("enable", "Enable", "let policy and teleoperation move the arm", "green", "PLAYER_PLAY"),
    ("hold", "Hold", "hold still, disabled", "yellow", "HAND_STOP"),
    ("reset", "Reset estop", "leave estop; the arm stays disabled", "gray", "RESTORE"),
)
# Label -> what each of its buttons calls.
ARM_GROUPS = {
    "Move slowly to": {"Home": "home", "Park": "park"},
    "Teleoperation": {"Take over": "teleop/take_over", "Hand back": "teleop/hand_back"},
}
RECORDER_BUTTONS = (
    ("recorder/start", "Record (R)", "begin an episode", "red", "PLAYER_RECORD"),
    ("recorder/save", "Save (→)", "end it: a success", "green", "DEVICE_FLOPPY"),
    ("recorder/fail", "Save as failure", "end it: kept, but not a success", "orange", "MOOD_SAD"),
    ("recorder/redo", "Redo (←)", "throw it away and begin anew", "yellow", "REPEAT"),
    ("recorder/undo_last", "Undo last (U)", "discard the last saved one", "gray", "ARROW_BACK_UP"),
    (
        "recorder/stop",
        "Stop session",
        "no further episode begins by itself",
        "gray",
        "PLAYER_STOP",
    ),
)
KEYS = (
    ("arrowright", "recorder/save"),
    ("arrowleft", "recorder/redo"),
    ("R", "recorder/start"),
    ("U", "recorder/undo_last"),
)


@dataclass(frozen=True)
class Actions:
    """What the page may ask for. All return at once and may be called from any thread.

    Attributes:
        call: a service by name.
        estop: stop the arm.
        instruct: tell the robot what to do, in words.
        drive: (on, client) let this page move the arms by their handles.
        gripper: (arm, opening, client); whether it counts.
    """

    call: Callable[[str], None]
    estop: Callable[[], None]
    instruct: Callable[[str], None]
    drive: Callable[[bool, int], None]
    gripper: Callable[[str, float, int], bool]


def add_buttons(
    gui: viser.GuiApi, buttons: Iterable[tuple[str, str, str, Any, str]], actions: Actions
) -> None:
    """A button for each, below each other."""
    for name, label, hint, colour, icon in buttons:
        button = gui.add_button(label, hint=hint, color=colour, icon=getattr(viser.Icon, icon))
        button.on_click(caller(actions, name))


def add_group(gui: viser.GuiApi, label: str, calls: dict[str, str], actions: Actions) -> None:
    """Small buttons beside each other."""
    group = gui.add_button_group(label, tuple(calls))

    @group.on_click
    async def _(event: viser.GuiEvent[Any]) -> None:
        actions.call(calls[group.value])


def caller(actions: Actions, name: str) -> Callable[[Any], Any]:
    """What calls a service when something is pressed."""

    async def call(event: object) -> None:
        del event
        actions.call(name)

    return call
