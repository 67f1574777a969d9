# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Take-over, dead-man, saturation, gripper: what a device says -> the next delta, or none.

Pure: every call brings its time. It sends nothing before a take-over, zero deltas while the
device is idle (so that authority stays with the person), and nothing at all when the device
fails, so that the arm holds. A goal is always reached as goal minus *commanded* target: what
was clamped, lost or refused on the way is asked for again, and no error adds up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lapa_core.control.authority import DISABLED
from lapa_core.control.compose import Pose
from lapa_core.errors import UnsafeAction
from lapa_core.robot import Robot
from lapa_core.teleop.hand import ArmHand
from lapa_core.teleop.reading import ArmInput, Device, Reading
from lapa_core.types import NUM_AXES, ActionChunk, FloatArray

LET_GO = "let go of the device first, then engage it again"
LATE = 1.5  # of a period: a late tick moves so much further at most


@dataclass(frozen=True)
class TeleopSettings:
    """How a person's motion is turned into deltas.

    Attributes:
        rate_hz: ticks a second.
        speed_scale: share of all speeds, 0 .. 1, the greatest one included.
        motion_scale: metres of the tool for a metre of the hand; turns are not scaled.
        auto_take_over: whether engaging the device takes over by itself.
        slip_m, slip_rad: how far a hand's goal may be ahead of the tool.
    """

    rate_hz: float = 25.0
    speed_scale: float = 1.0
    motion_scale: float = 1.0
    auto_take_over: bool = True
    slip_m: float = 0.15
    slip_rad: float = 0.6


@dataclass(frozen=True)
class Output:
    """What is to be done after a tick.

    Attributes:
        delta: (d,) to send now, or None to send nothing.
        hand_back: whether to send the chunk without steps that hands authority back.
        events: to pass on, of `reading.ARM_EVENTS` and `RECORDER_EVENTS`.
    """

    delta: FloatArray | None
    hand_back: bool
    events: tuple[str, ...]


class Teleoperator:
    """One device and the robot it moves.

    Attributes:
        owns: whether it has taken over and not handed back.
        saturated: ticks at which more was asked for than the arm's clamp allows.
        reading: what the device said at the last tick.
    """

    def __init__(self, robot: Robot, device: Device, settings: TeleopSettings) -> None:
        self.owns = False
        self.saturated = 0
        self.reading = Reading()
        self._robot, self._device, self._settings = robot, device, settings
        slip = (settings.slip_m, settings.slip_rad)
        self._hands = {
            a.name: ArmHand(a, robot, settings.speed_scale, settings.motion_scale, slip)
            for a in robot.arms
        }
        self._state, self._reason = "", "nothing heard of arm_node: is it running?"
        self._fresh = False  # whether the device was seen idle since authority was last given up
        self._last_s: float | None = None

    # What the robot says --------------------------------------------------------------------

    def on_authority(self, state: str, reason: str) -> None:
        """Take who moves the arm; "" where nobody says so any more."""
        if state != self._state:
            self._untie()
        self._state, self._reason = state, reason
        if self._barred():
            self._give_up()
            for hand in self._hands.values():
                if state:  # at the next enable the arm starts from what is measured
                    hand.commanded = None
        elif self._moved_by_others():
            self._let_go()

    def on_target(self, arm: str, target: Pose, now_s: float) -> None:
        """Take where an arm's commanded target is; of use only while teleop moves it."""
        if self._state == "teleop":
            self._hands[arm].reference.on_target(target, now_s)

    def on_executed(self, chunk: ActionChunk) -> None:
        """Take what the arms were told, by whomever."""
        barred = self._barred()  # then it is from before, however late it comes
        for index, hand in enumerate(self._hands.values()):
            hand.reference.on_executed(chunk.stamp_ns)
            if not barred:
                hand.commanded = float(chunk.deltas[-1, index * NUM_AXES + NUM_AXES - 1])
                hand.told = True

    def on_gripper_target(self, arm: str, opening: float) -> None:
        """Take the opening an arm was last told; NaN where it was told none since its enable."""
        hand = self._hands[arm]
        hand.commanded, hand.told = (opening if np.isfinite(opening) else None), True

    def on_opening(self, arm: str, opening: float) -> None:
        """Take the measured opening of a gripper."""
        self._hands[arm].measured = opening

    def on_sent(self, stamp_ns: int, delta: FloatArray, now_s: float) -> None:
        """Note that the delta of the last tick went out under this stamp."""
        for index, hand in enumerate(self._hands.values()):
            row = delta[index * NUM_AXES : (index + 1) * NUM_AXES]
            hand.reference.on_sent(stamp_ns, row, now_s)

    # What a person asks for -----------------------------------------------------------------

    def take_over(self) -> None:
        """Send from the next tick on.

        Raises:
            UnsafeAction: the arm may not be moved now, or the device says nothing.
        """
        if why := self.refusal():
            raise UnsafeAction(f"cannot take over: {why}")
        # A person's explicit act, whatever the device is doing; but the arm must have arrived.
        self._fresh = not self._moved_by_others()
        if not self.owns:
            self.owns = True
            self._untie()
            for hand in self._hands.values():
                hand.start()

    def hand_back(self) -> bool:
        """Give authority up; whether there was any, so that a chunk without steps must go out."""
        owned = self.owns
        self._give_up()
        return owned

    def refusal(self) -> str:
        """Why it cannot take over now, or ""."""
        if barred := self._barred():
            return barred
        if self.reading.problem:
            return self.reading.problem
        for name, hand in self._hands.items():
            if not hand.told:  # the measured one, taken for it, would drop what it holds
                return f"arm_node has not said yet what the gripper of {name} was told"
            if hand.opening is None:
                return f"no joint states of {name} yet, so its gripper's opening is not known"
        return ""

    def tick(self, now_s: float, problem: str = "", pressed: tuple[str, ...] = ()) -> Output:
        """Read the device; what to send now.

        Args:
            now_s: monotonic time.
            problem: why the device cannot be trusted, where others know better than itself.
            pressed: events from elsewhere, such as keys beside another device.
        """
        dt_s = self._elapsed(now_s)
        reading = self._device.read(now_s)
        reading = replace(
            reading, problem=reading.problem or problem, events=(*pressed, *reading.events)
        )
        self.reading = reading
        hand_back = False
        for event in reading.events:
            if event == "hand_back":
                hand_back = self.hand_back()
            elif event == "take_over" and not self.refusal():
                self.take_over()
        engaged = reading.engaged
        if self._settings.auto_take_over and engaged and self._fresh and not self.refusal():
            self.take_over()
        self._fresh |= not engaged and not reading.problem and not self._moved_by_others()
        events = tuple(e for e in reading.events if e not in ("take_over", "hand_back"))
        if not self.owns or reading.problem:
            if reading.problem:
                self._untie()
                self._fresh = False  # after a failure it must be let go before it moves again
            return Output(None, hand_back, events)
        following = self._state == "teleop"
        rows = []
        for name, hand in self._hands.items():
            asked = reading.arms.get(name, ArmInput()) if self._fresh else ArmInput()
            rows.append(hand.delta(asked, following, now_s, dt_s))
        self.saturated += any(h.saturated for h in self._hands.values())
        return Output(np.concatenate(rows), False, events)

    def status(self) -> str:
        """One sentence: what it does now, and what a person may do."""
        reading = self.reading
        tail = f" ({reading.note})" if reading.note else ""
        if reading.problem:
            holds = ": the arm holds" if self.owns else ""
            return f"{reading.problem}{holds}{tail}"
        held = reading.engaged and not self._fresh and self._settings.auto_take_over
        if not self.owns:
            ready = "ready to take over" if not held else LET_GO
            return (self.refusal() or ready) + tail
        moving = [n for n, a in reading.arms.items() if a.engaged]
        if self._moved_by_others():
            return f"the arm is {self._reason}: let go of the device{tail}"
        if blind := [n for n, hand in self._hands.items() if hand.blind]:
            return f"nothing heard of where {' and '.join(blind)} is told to be: it stands still"
        if moving and not self._fresh:
            return LET_GO + tail
        if moving:
            return f"moving {' and '.join(moving)}{tail}"
        return f"has taken over, idle{tail}"

    # Inside ---------------------------------------------------------------------------------

    def _barred(self) -> str:
        """Why the arm may not be moved by anybody, or ""."""
        if self._state == "":
            return self._reason
        if self._state == "estop":
            return f"estop is latched ({self._reason}): call reset, then enable"
        if self._reason.startswith("disabled") or self._reason.endswith(DISABLED):
            return f"the arm is disabled ({self._reason.removeprefix('disabled: ')})"
        return ""

    def _moved_by_others(self) -> bool:
        """Whether a joint move runs: where it ends, a goal of before it is none any more."""
        return self._reason.startswith("moving to ")

    def _give_up(self) -> None:
        self.owns = False
        self._let_go()

    def _let_go(self) -> None:
        """Whatever is held now must be let go and engaged anew before it moves anything."""
        self._fresh = False
        self._untie()
        self._device.release()

    def _untie(self) -> None:
        for hand in self._hands.values():
            hand.untie()

    def _elapsed(self, now_s: float) -> float:
        """Seconds since the last tick: what a velocity is multiplied by."""
        period = 1.0 / self._settings.rate_hz
        last, self._last_s = self._last_s, now_s
        return period if last is None else min(max(now_s - last, 0.0), LATE * period)
