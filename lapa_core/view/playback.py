# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The clock of a recording that is played: play, pause, seek, speed. Time is an argument."""

from __future__ import annotations

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


class PlayClock:
    """Where in a recording of `duration_s` the person is. Not for use from two threads."""

    def __init__(self, duration_s: float) -> None:
        self.duration_s = duration_s
        self.playing = False
        self._speed = 1.0
        self._from_s, self._since_s = 0.0, 0.0

    @property
    def speed(self) -> float:
        """Seconds of the recording a second."""
        return self._speed

    def at(self, now_s: float) -> float:
        """Seconds since the recording began; at its end it pauses."""
        if not self.playing:
            return self._from_s
        position = self._from_s + self._speed * (now_s - self._since_s)
        if position >= self.duration_s:
            self.playing, self._from_s = False, self.duration_s
        return min(position, self.duration_s)

    def play(self, now_s: float) -> None:
        """Go on; from the beginning where it stands at the end."""
        position = self.at(now_s)
        self._set(0.0 if position >= self.duration_s else position, now_s)
        self.playing = True

    def pause(self, now_s: float) -> None:
        """Stand still."""
        self._set(self.at(now_s), now_s)
        self.playing = False

    def seek(self, position_s: float, now_s: float) -> None:
        """Go to a time of the recording."""
        self._set(min(max(position_s, 0.0), self.duration_s), now_s)

    def set_speed(self, speed: float, now_s: float) -> None:
        """Play faster or slower from here on."""
        self._set(self.at(now_s), now_s)
        self._speed = speed

    def _set(self, position_s: float, now_s: float) -> None:
        self._from_s, self._since_s = position_s, now_s
