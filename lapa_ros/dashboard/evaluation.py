# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The part of the page with which a person evaluates a policy: what to lay out, and the answers.

It appears when an evaluate_node is heard. It calls services alone, as the rest of the page.
"""

from __future__ import annotations

import viser

from lapa_core.evaluate.live import SessionStatus
from lapa_core.view import html
from lapa_ros.dashboard.buttons import Actions, add_buttons, add_group, caller

BUTTONS = (
    ("evaluate/begin", "Begin trial (B)", "home, then the policy acts", "red", "PLAYER_PLAY"),
    ("evaluate/end", "End trial", "the arm holds; then answer", "yellow", "PLAYER_STOP"),
    ("evaluate/yes", "Succeeded (Y)", "done, and nothing else happened", "green", "CHECK"),
    ("evaluate/no", "Not so (N)", "then say how far it got", "orange", "X"),
)
GROUPS = {
    "How far did it get?": {
        "0": "evaluate/credit_0",
        "1/4": "evaluate/credit_25",
        "1/2": "evaluate/credit_50",
        "3/4": "evaluate/credit_75",
        "1": "evaluate/credit_100",
    },
    "First touched": {"Right object": "evaluate/right", "Wrong object": "evaluate/wrong"},
    "Mistakes": {"Do it again": "evaluate/redo", "Undo last": "evaluate/undo_last"},
}
KEYS = (("B", "evaluate/begin"), ("Y", "evaluate/yes"), ("N", "evaluate/no"))


class EvaluationPanel:
    """Status, buttons and keys. `show` may be called from one thread."""

    def __init__(self, gui: viser.GuiApi, actions: Actions) -> None:
        self._folder = gui.add_folder("Evaluation", visible=False)
        with self._folder:
            self._status = gui.add_html("")
            add_buttons(gui, BUTTONS, actions)
            for label, calls in GROUPS.items():
                add_group(gui, label, calls, actions)
        labels = {name: (label, hint) for name, label, hint, _, _ in BUTTONS}
        for key, name in KEYS:
            label, hint = labels[name]
            command = gui.add_command(label.split(" (")[0], description=hint, hotkey=key)
            command.on_trigger(caller(actions, name))

    def show(self, status: SessionStatus) -> None:
        """What is asked, and how far it is."""
        if not self._folder.visible:
            self._folder.visible = True
        self._status.content = html.evaluation(status)
