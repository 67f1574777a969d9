# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The loop of the inference thread: when to decide, and what to say if not.

What it decides on is built by `lapa_core.data.observe`, as it is when samples are read from a
bag. It is told its publisher, its clock and its frames; it knows no topics.
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
from lapa_core.data.observe import Choice, Observer
from lapa_core.data.timeline import Latest, PeriodMeter
from lapa_core.errors import LapaError
from lapa_core.types import ActionChunk
from lapa_ros.decoder import Decode

if TYPE_CHECKING:  # imports torch, which the node does when it loads a model
    from lapa_core.policy import Decision, Policy

Frame = Image | CompressedImage
POLL_S = 0.002  # of a simulation's clock, which stands still or runs faster as it likes
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
        now_s: Callable[[], float] = time.monotonic,
        simulated: bool = False,
        state: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """Decide through `publish`.

        Args:
            policy: what decides.
            frames: camera -> its newest frame, with its arrival on the clock of `now_s`.
            decode: message -> picture.
            params: how.
            ros_now_ns: the clock of the frames' stamps.
            publish, say: told each decision, and what it waits for.
            now_s: the node's clock.
            simulated: that clock is a simulation's, to which no wait of the computer's fits.
            state: what the policy reads beside the pictures; see `lapa_core.data.state`.
        """
        self.policy = policy
        self.params = params
        self.stop = threading.Event()
        self._frames = frames
        self._observer = Observer(
            frames,
            params.image_sizes,
            Choice(params.max_image_age_s, params.image_wait_s),
            now_s=now_s,
            decode=decode,
            state=state,
        )
        self._now_s, self._simulated = now_s, simulated
        self._ros_now_ns = ros_now_ns
        self._publish = publish
        self._say = say
        self._meter = PeriodMeter()
        self._refused = 0
        self._image_age_ms: deque[float] = deque(maxlen=HISTORY)
        self._inference_ms: deque[float] = deque(maxlen=HISTORY)
        self._last_timings: Mapping[str, float] = {}
        self._last_tokens: list[int] = []

    @property
    def instruction(self) -> str:
        """What the robot is told to do."""
        return self._observer.instruction

    @instruction.setter
    def instruction(self, text: str) -> None:
        self._observer.instruction = text

    def run(self) -> None:
        """Decide until stopped."""
        self.policy.reset()
        due = self._now_s()
        while not self._stopped_before(due):
            try:
                self._decide()
                self._say("deciding")
            except LapaError as error:
                self._refused += 1
                self._say(f"waiting: {error}")
            # A grid, so that waiting for a frame does not lower the rate; missed slots are lost.
            due = max(due + self.params.step_time_s, self._now_s())

    def _stopped_before(self, due_s: float) -> bool:
        """Wait until a time of the node's clock; True when told to stop meanwhile."""
        while (left := due_s - self._now_s()) > 0:
            if self.stop.wait(min(left, POLL_S) if self._simulated else left):
                return True
        return self.stop.is_set()

    def _decide(self) -> None:
        observation = self._observer.observe()
        image_age_s = (self._ros_now_ns() - observation.stamp_ns) / NS_PER_S
        decision = self.policy.infer(observation)
        if self.stop.is_set():
            return
        self._publish(Published(self._due_now(decision), image_age_s, decision.timings_ms))
        self._meter.tick(self._now_s())
        self._image_age_ms.append(image_age_s * 1e3)
        self._inference_ms.append(decision.timings_ms["total"])
        self._last_timings, self._last_tokens = decision.timings_ms, decision.tokens.tolist()

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
