# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a decision looks at: the newest frame of each camera, the words, the tool's state.

Written once: `policy_node` builds its observations here from live topics, `samples` from a bag.
A stream is a `timeline.Latest` there and a `streams.RecordedStream` here; the clock comes with
it. Knows neither ROS nor files. Missing or stale input raises, nothing is filled in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lapa_core.data import messages
from lapa_core.data.timeline import Sample
from lapa_core.errors import DataError, StaleInput
from lapa_core.robot import Robot
from lapa_core.types import ImageArray, Observation

# Defaults of policy_node, which the samples share. Arrival decides, see `timeline`.
MAX_IMAGE_AGE_S = 0.5
IMAGE_WAIT_S = 0.04


class Stream(Protocol):
    """The newest sample of a stream, and the next one within a time."""

    def get(self) -> Sample[Any] | None:
        """The newest sample, None before the first."""

    def wait_newer(self, sequence: int, timeout_s: float) -> Sample[Any] | None:
        """The newest sample once it is after `sequence`, or when `timeout_s` is over."""


@dataclass(frozen=True)
class Choice:
    """Which frames a decision may use.

    Attributes:
        max_image_age_s: since its arrival; an older frame is refused.
        image_wait_s: how long a decision waits for a frame that is about to come.
    """

    max_image_age_s: float = MAX_IMAGE_AGE_S
    image_wait_s: float = IMAGE_WAIT_S


class Observer:
    """Builds the observations of consecutive decisions.

    Attributes:
        instruction: what the robot is told to do; set by whoever hears of it.
    """

    def __init__(
        self,
        cameras: Mapping[str, Stream],
        image_sizes: Mapping[str, tuple[int, int]],
        choice: Choice,
        *,
        now_s: Callable[[], float],
        decode: Callable[[Any], ImageArray] = messages.image,
        state: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """Look through `cameras`.

        Args:
            cameras: camera name -> its frames.
            image_sizes: camera name -> width, height by the robot file.
            choice: limits.
            now_s: the clock of the frames' arrival.
            decode: message -> (H, W, 3) RGB.
            state: values for `Observation.state` now, as `state.ToolState`; default none.
        """
        self.instruction = ""
        self._cameras = cameras
        self._sizes = image_sizes
        self._choice = choice
        self._now_s = now_s
        self._decode = decode
        self._state = state
        self._used = dict.fromkeys(cameras, 0)  # sequence of the frame last decided on

    def observe(self) -> Observation:
        """What to decide on now.

        Raises:
            StaleInput: no instruction; a camera is silent, or has sent nothing since the last
                decision; the state is missing or too old.
            DataError: a frame does not decode, or has another size than the robot file says.
        """
        if not self.instruction.strip():
            raise StaleInput("no instruction; publish one on `instruction` or set the parameter")
        frames = self._newest_frames()
        state = self._state()
        return Observation(
            stamp_ns=min(f.stamp_ns for f in frames.values()),
            images={name: self._picture(name, f.value) for name, f in frames.items()},
            instruction=self.instruction,
            state=state,
        )

    def _newest_frames(self) -> dict[str, Sample[Any]]:
        """The newest frame of every camera, each newer than the one last decided on.

        Waits a little for a frame that is about to come: it is worth more than an old one.
        """
        deadline_s = self._now_s() + self._choice.image_wait_s
        frames: dict[str, Sample[Any]] = {}
        for name, stream in self._cameras.items():
            seen = stream.get()
            newest = stream.wait_newer(
                seen.sequence if seen else 0, max(0.0, deadline_s - self._now_s())
            )
            if newest is None:
                raise StaleInput(f"camera {name} silent: no image yet")
            if newest.sequence <= self._used[name]:
                raise StaleInput(f"camera {name} silent: no new image since the last decision")
            if self._now_s() - newest.arrived_s > self._choice.max_image_age_s:
                raise StaleInput(
                    f"camera {name} silent: its image is older than "
                    f"{self._choice.max_image_age_s:g} s"
                )
            frames[name] = newest
        self._used = {name: frame.sequence for name, frame in frames.items()}
        return frames

    def _picture(self, camera: str, frame: Any) -> ImageArray:
        """Decode a frame; one of another size than the robot file's is not what was trained on."""
        picture = self._decode(frame)
        height, width = picture.shape[:2]
        wanted = self._sizes[camera]
        if (width, height) != wanted:
            raise DataError(
                f"camera {camera} sends {width}x{height} images, the robot file says "
                f"{wanted[0]}x{wanted[1]}"
            )
        return picture


def image_sizes(robot: Robot) -> dict[str, tuple[int, int]]:
    """Camera -> width, height of the robot file."""
    return {c.name: (c.width, c.height) for c in robot.cameras}
