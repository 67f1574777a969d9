# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The opening asked for of one gripper: held, toggled, driven, or followed once picked up."""

from __future__ import annotations

from lapa_core.teleop.reading import ArmInput

MET = 0.1  # a trigger this near to the opening in force has met it


class GripperHand:
    """What a person has a gripper do; it moves nothing itself.

    Attributes:
        opening: asked for, 0 closed .. 1 open; None while nobody knows what is in force.
    """

    def __init__(self) -> None:
        self.opening: float | None = None
        self._picked_up = False
        self._last: float | None = None

    def start(self, opening: float) -> None:
        """Begin from the opening in force."""
        self.opening = min(max(opening, 0.0), 1.0)
        self.let_go()

    def let_go(self) -> None:
        """What follows has to meet the opening again before it counts."""
        self._picked_up, self._last = False, None

    def update(self, asked: ArmInput, dt_s: float) -> None:
        """Take what is asked for; nothing while `opening` is unknown or nobody is engaged."""
        if self.opening is None or not asked.engaged:
            return
        if asked.toggle:
            self.opening = 0.0 if self.opening > 0.5 else 1.0
            self._picked_up = False
        self.opening = min(max(self.opening + asked.gripper_rate * dt_s, 0.0), 1.0)
        if asked.gripper is None:
            return
        wanted = min(max(asked.gripper, 0.0), 1.0)
        if not asked.pick_up or self._met(wanted, self.opening):
            self.opening = wanted

    def _met(self, wanted: float, opening: float) -> bool:
        """Whether it counts: near the opening in force, past it, or picked up before."""
        last, self._last = self._last, wanted
        passed = last is not None and (last - opening) * (wanted - opening) <= 0.0
        self._picked_up |= passed or abs(wanted - opening) <= MET
        return self._picked_up
