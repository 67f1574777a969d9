# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Who drags which arm's tool on the page, and whether that counts now. No viewer, no ROS.

Dragging moves a robot, so everything that is not plainly a person's hand ends it: the button let
go, the page closed or silent, driving switched off, somebody else's page, an estop, a hold or a
joint move whoever asked for it, a handle that is not where the tool is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lapa_core.control.compose import Pose, angle_between
from lapa_core.errors import ConfigError, unknown

OPENING_S = 0.5  # an opening is repeated for so long: one message may be lost
# How far a page may show the handle from the tool: it draws what it heard a moment ago.
REACH_M, REACH_RAD = 0.05, 0.3
ENDED_BY = ("disabled", "moving to")  # how the reasons of a hold and of a joint move begin


def ends_driving(state: str, reason: str) -> bool:
    """Whether an authority leaves nothing to drive: estop, a hold that was asked for, a move."""
    return state == "estop" or reason.startswith(ENDED_BY)


@dataclass
class _Held:
    client: int
    goal: Pose
    moved: bool = False


class Drags:
    """State of the drag handles of a robot's arms. Not for use from two threads.

    Attributes:
        driver: the page that switched driving on, None while it is off.
        stopped_by: why the last drag was ended from here, or "" after one that the person ended.
    """

    def __init__(self, arms: Iterable[str], alive_s: float) -> None:
        self.driver: int | None = None
        self.stopped_by = ""
        self._arms = tuple(arms)
        self._alive_s = alive_s
        self._held: dict[str, _Held] = {}
        self._openings: dict[str, tuple[float, float]] = {}
        self._heard_s = 0.0

    def switch(self, on: bool, client: int, now_s: float) -> None:
        """Switch driving on for this page alone, or off, which any page may."""
        self._clear()
        self.driver = client if on else None
        self.stopped_by = ""
        self._heard_s = now_s

    def grab(self, arm: str, client: int, tool: Pose, now_s: float) -> bool:
        """A handle is grabbed, at the arm's tool; whether that counts."""
        self._known(arm)
        if client != self.driver:
            return False
        self._heard_s = now_s
        self.stopped_by = ""
        self._held[arm] = _Held(client, tool)
        return True

    def move(self, arm: str, client: int, goal: Pose, now_s: float) -> bool:
        """A grabbed handle moves; whether that counts.

        Not of one that was let go of, or ended from here. One that begins far from the tool was
        shown elsewhere, and ends.
        """
        held = self._held.get(arm)
        if held is None or held.client != client:
            return False
        if not held.moved and not _near(held.goal, goal):
            del self._held[arm]
            self.stopped_by = "the handle was not at the tool: grab it again"
            return False
        held.goal, held.moved = goal, True
        self._heard_s = now_s
        return True

    def release(self, arm: str, client: int) -> None:
        """A handle is let go of."""
        held = self._held.get(arm)
        if held is not None and held.client == client:
            del self._held[arm]

    def open_gripper(self, arm: str, client: int, opening: float, now_s: float) -> None:
        """An opening, 0 .. 1, is asked for; only the page that drives may."""
        self._known(arm)
        if client == self.driver:
            self._openings[arm] = (opening, now_s)

    def openings(self, now_s: float) -> dict[str, float]:
        """Arm -> opening that is asked for now."""
        self._openings = {a: o for a, o in self._openings.items() if now_s - o[1] < OPENING_S}
        return {arm: opening for arm, (opening, _) in self._openings.items()}

    def heard(self, client: int, now_s: float) -> None:
        """A page has answered: it is there and draws."""
        if client == self.driver:
            self._heard_s = now_s

    def left(self, client: int) -> None:
        """A page has gone; with the driver's goes the permission to drive."""
        if client == self.driver:
            self.stop("the page was closed")

    def stop(self, reason: str) -> None:
        """End every drag and switch driving off."""
        self._clear()
        self.driver = None
        self.stopped_by = reason

    def goals(self, now_s: float) -> dict[str, Pose]:
        """Arm -> pose in its base that is asked for now; empty when nothing is."""
        if self._held and now_s - self._heard_s > self._alive_s:
            self.stop(f"the page was silent for {self._alive_s:g} s")
        return {arm: held.goal for arm, held in self._held.items()}

    def held(self, arm: str) -> Pose | None:
        """Where somebody holds this arm's handle, which then must not be moved for him."""
        held = self._held.get(arm)
        return None if held is None else held.goal

    def _clear(self) -> None:
        self._held.clear()
        self._openings.clear()

    def _known(self, arm: str) -> None:
        if arm not in self._arms:
            raise ConfigError(unknown("arm", arm, self._arms, "the page"))


def _near(tool: Pose, goal: Pose) -> bool:
    away_m = float(np.linalg.norm(goal.xyz_m - tool.xyz_m))
    return away_m <= REACH_M and angle_between(tool.rotation, goal.rotation) <= REACH_RAD
