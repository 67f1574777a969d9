# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The real policy node, which also writes down every observation its policy was given.

Started as a process: `observing_policy.py FOLDER --ros-args ...`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

import lapa_core.policy
from lapa_core.policy.policy import Decision, Policy
from lapa_core.types import Observation
from lapa_ros import policy_node


class ObservedPolicy(Policy):
    """A policy that keeps what it decided on.

    Attributes:
        folder: of `NNN.npz`: when, and the observation.
    """

    folder = Path()
    count = 0

    def infer(self, observation: Observation) -> Decision:
        partial = self.folder / "partial.npz"
        np.savez(
            partial,
            decided_ns=time.time_ns(),  # the clock of the node and of whoever records
            stamp_ns=observation.stamp_ns,
            instruction=observation.instruction,
            state=json.dumps(dict(observation.state)),
            **{f"image_{name}": image for name, image in observation.images.items()},
        )
        partial.rename(self.folder / f"{self.count:03d}.npz")
        ObservedPolicy.count += 1
        return super().infer(observation)


if __name__ == "__main__":
    ObservedPolicy.folder = Path(sys.argv[1])
    lapa_core.policy.Policy = ObservedPolicy  # the node imports it when it loads a checkpoint
    policy_node.main(sys.argv[1:])
