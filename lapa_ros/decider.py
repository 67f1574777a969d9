# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The loop of the inference thread: when to decide, on which frames, and what to say if not.

It is told its publisher, its clock and its frames; it knows no topics.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from lapa_core.data.messages import NS_PER_S
from lapa_core.data.timeline import Latest, PeriodMeter, Sample
from lapa_core.errors import DataError, LapaError, StaleInput
from lapa_core.types import ActionChunk, ImageArray, Observation
from lapa_ros.decoder import Decode

if TYPE_CHECKING:  # imports torch, which the node does when it loads a model
    from lapa_core.policy import Decision, Policy

Frame = Image | CompressedImage
HISTORY = 1000  # decisions kept for the percentiles: over three minutes at 5 Hz


@dataclass(frozen=True)
class DeciderParams:
    """How the loop runs; see the parameters of the policy node."""

    step_time_s: float
    max_image_age_s: float
    image_wait_s: float
    frame_id: str
    image_sizes: Mapping[str, tuple[int, int]]  # camera -> width, height


@dataclass(frozen=True)
class Published:
    """One decision that was published."""

    chunk: ActionChunk
    image_age_s: float
    timings_ms: Mapping[str, float]


class Decider:
    """Decides every `step_time_s` on the newest frames, until `stop` is set."""

    def __init__(
        self,
        policy: Policy,
        frames: Mapping[str, Latest[Frame]],
        decode: Decode,
        params: DeciderParams,
        *,
        ros_now_ns: Callable[[], int],
        publish: Callable[[Published], None],
        say: Callable[[str], None],
    ) -> None:
        self.policy = policy
        self.params = params
        self.stop = threading.Event()
        self.instruction = ""
        self._frames = frames
        self._decode = decode
        self._ros_now_ns = ros_now_ns
        self._publish = publish
        self._say = say
        self._used = dict.fromkeys(frames, 0)  # sequence of the frame last decided on
        self._meter = PeriodMeter()
        self._refused = 0
        self._image_age_ms: deque[float] = deque(maxlen=HISTORY)
        self._inference_ms: deque[float] = deque(maxlen=HISTORY)
        self._last_timings: Mapping[str, float] = {}
        self._last_tokens: list[int] = []

    def run(self) -> None:
        """Decide until stopped."""
        self.policy.reset()
        due = time.monotonic()
        while not self.stop.wait(max(0.0, due - time.monotonic())):
            try:
                self._decide()
                self._say("deciding")
            except LapaError as error:
                self._refused += 1
                self._say(f"waiting: {error}")
            # A grid, so that waiting for a frame does not lower the rate; missed slots are lost.
            due = max(due + self.params.step_time_s, time.monotonic())

    def _decide(self) -> None:
        if not self.instruction.strip():
            raise StaleInput("no instruction; publish one on `instruction` or set the parameter")
        samples = self._newest_frames()
        observation = Observation(
            stamp_ns=min(s.stamp_ns for s in samples.values()),
            images={name: self._picture(name, s.value) for name, s in samples.items()},
            instruction=self.instruction,
        )
        image_age_s = (self._ros_now_ns() - observation.stamp_ns) / NS_PER_S
        decision = self.policy.infer(observation)
        if self.stop.is_set():
            return
        self._publish(Published(self._due_now(decision), image_age_s, decision.timings_ms))
        self._meter.tick(time.monotonic())
        self._image_age_ms.append(image_age_s * 1e3)
        self._inference_ms.append(decision.timings_ms["total"])
        self._last_timings, self._last_tokens = decision.timings_ms, decision.tokens.tolist()

    def _newest_frames(self) -> dict[str, Sample[Frame]]:
        """The newest frame of every camera, each newer than the one last decided on.

        Waits a little for a frame that is about to come: it is worth more than an old one.
        """
        deadline = time.monotonic() + self.params.image_wait_s
        samples: dict[str, Sample[Frame]] = {}
        for name, latest in self._frames.items():
            seen = latest.get()
            newest = latest.wait_newer(
                seen.sequence if seen else 0, max(0.0, deadline - time.monotonic())
            )
            if newest is None:
                raise StaleInput(f"camera {name} silent: no image yet")
            if newest.sequence <= self._used[name]:
                raise StaleInput(f"camera {name} silent: no new image since the last decision")
            if latest.age_s(time.monotonic()) > self.params.max_image_age_s:
                raise StaleInput(
                    f"camera {name} silent: its image is older than "
                    f"{self.params.max_image_age_s:g} s"
                )
            samples[name] = newest
        self._used = {name: sample.sequence for name, sample in samples.items()}
        return samples

    def _picture(self, camera: str, frame: Frame) -> ImageArray:
        """Decode a frame; one of another size than the robot file's is not what was trained on."""
        picture = self._decode(frame)
        height, width = picture.shape[:2]
        wanted = self.params.image_sizes[camera]
        if (width, height) != wanted:
            raise DataError(
                f"camera {camera} sends {width}x{height} images, the robot file says "
                f"{wanted[0]}x{wanted[1]}"
            )
        return picture

    def _due_now(self, decision: Decision) -> ActionChunk:
        """The chunk with its first step due at once: a step of LAPA starts when it is known."""
        chunk = decision.chunk
        delay_s = max(0.0, (self._ros_now_ns() - chunk.stamp_ns) / NS_PER_S)
        return dataclasses.replace(
            chunk, due_s=chunk.due_s + delay_s, frame_id=self.params.frame_id
        )

    def report(self, now_s: float) -> dict[str, object]:
        """Values for `/diagnostics`."""
        values: dict[str, object] = {
            "instruction": self.instruction,
            "trained": self.policy.trained,
            "asked_rate_hz": 1.0 / self.params.step_time_s,
            "rate_hz": self._meter.rate_hz(),
            "decisions": self._meter.count,
            "refused": self._refused,
            "last_tokens": self._last_tokens,
            "image_age_ms_median": _percentile(self._image_age_ms, 50),
            "image_age_ms_p99": _percentile(self._image_age_ms, 99),
            "inference_ms_median": _percentile(self._inference_ms, 50),
            "inference_ms_p99": _percentile(self._inference_ms, 99),
        }
        values |= {f"last_{stage}_ms": ms for stage, ms in self._last_timings.items()}
        for name, latest in self._frames.items():
            values[f"camera_{name}_received"] = latest.meter.count
            values[f"camera_{name}_rate_hz"] = latest.meter.rate_hz()
            values[f"camera_{name}_age_s"] = latest.age_s(now_s)
        return values


def _percentile(values: deque[float], percent: float) -> float:
    return float(np.percentile(list(values), percent)) if values else 0.0
