# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""How far a long job is, as JSON in a `std_msgs/String` on the topic `progress`."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

from lapa_core.errors import DataError


@dataclass(frozen=True)
class Progress:
    """One job.

    Attributes:
        job: its name; a later message of the same name replaces this one.
        done, total: in the job's own unit; total 0 where it is not known.
        text: what it does now, for a person.
    """

    job: str
    done: float
    total: float
    text: str = ""

    @property
    def share(self) -> float:
        """0 .. 1, or 0 where the total is not known."""
        return min(1.0, max(0.0, self.done / self.total)) if self.total > 0 else 0.0

    def to_json(self) -> str:
        """The content of a `progress` message."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Progress:
        """Read a `progress` message.

        Raises:
            DataError: not one.
        """
        try:
            values = json.loads(text)
            progress = cls(
                str(values["job"]),
                float(values["done"]),
                float(values["total"]),
                str(values.get("text", "")),
            )
        except (
            ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError,
        ) as error:  # fmt: skip
            raise DataError(f"not a progress message: {error}") from None
        if not math.isfinite(progress.done) or not math.isfinite(progress.total):
            raise DataError("not a progress message: its numbers are not finite")
        return progress
