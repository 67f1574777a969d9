# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a person wants to see of a recording: pictures over time, actions, who moved the arm.

Read along with the audit, in the same pass. Memory: the pictures asked for, and the actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lapa_core.audit.plan import CAMERA_TYPES
from lapa_core.data import messages
from lapa_core.data.bags import Bag, Record
from lapa_core.data.messages import NS_PER_S
from lapa_core.errors import DataError
from lapa_core.recording.episode import AuthorityChange
from lapa_core.types import FloatArray

# Topics of `lapa_ros.interface`, below any namespace; the core does not import it.
EXECUTED, AUTHORITY = "executed/ee_delta", "authority"
TRAJECTORY, STRING = "trajectory_msgs/msg/JointTrajectory", "std_msgs/msg/String"
WIDTH = 128  # pixels of a picture on the page, about 3 kB
QUALITY = 60

Pictures = dict[str, list[tuple[float, bytes]]]


@dataclass(frozen=True)
class Actions:
    """Deltas: (n, d) values of the named dimensions, as `types` defines them."""

    names: tuple[str, ...]
    values: FloatArray


class Extract:
    """Collects from the records of one bag.

    Attributes:
        pictures: camera topic -> [(time [s], JPEG)].
    """

    def __init__(self, bag: Bag, num_pictures: int) -> None:
        self._bag = bag
        every = (bag.ends_ns - bag.begins_ns) // max(num_pictures, 1)
        # In the middle of equal parts: the first and last moments show the least.
        self._due_ns = [bag.begins_ns + int((i + 0.5) * every) for i in range(num_pictures)]
        self.pictures: Pictures = {
            t.name: [] for t in bag.topics if t.type in CAMERA_TYPES and t.messages
        }
        self._names: tuple[str, ...] = ()
        self._rows: list[FloatArray] = []
        self._authority: list[AuthorityChange] = []

    def feed(self, record: Record) -> None:
        """A message of the bag; what does not decode is left out, the audit has named it."""
        taken = self.pictures.get(record.topic)
        try:
            if taken is not None:
                if len(taken) < len(self._due_ns) and record.log_ns >= self._due_ns[len(taken)]:
                    taken.append((self._time_s(record), self._picture(record)))
            elif record.type == TRAJECTORY and _is(record.topic, EXECUTED):
                self._take_action(record)
            elif record.type == STRING and _is(record.topic, AUTHORITY):
                text = str(self._bag.decode(record.type, record.raw).data)
                state, _, reason = text.partition(": ")
                self._authority.append(AuthorityChange(self._time_s(record), state, reason))
        except DataError:
            return

    def actions(self) -> Actions | None:
        """Everything executed, or None."""
        return Actions(self._names, np.concatenate(self._rows)) if self._rows else None

    def authority(self) -> tuple[AuthorityChange, ...]:
        """Every change of authority in the bag."""
        return tuple(self._authority)

    def _time_s(self, record: Record) -> float:
        return round((record.log_ns - self._bag.begins_ns) / NS_PER_S, 3)

    def _take_action(self, record: Record) -> None:
        chunk = messages.action_chunk(self._bag.decode(record.type, record.raw))
        if len(chunk) and self._names in ((), chunk.names):
            self._names = chunk.names
            self._rows.append(chunk.deltas)

    def _picture(self, record: Record) -> bytes:
        rgb = messages.image(self._bag.decode(record.type, record.raw))
        size = (WIDTH, max(1, round(rgb.shape[0] * WIDTH / rgb.shape[1])))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        done, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done:
            raise DataError(f"a picture of {record.topic} cannot be made small")
        return data.tobytes()


def _is(topic: str, name: str) -> bool:
    return topic.strip("/") == name or topic.endswith("/" + name)
