# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Small demonstrations in memory, in which the picture's first code decides the action."""

from __future__ import annotations

import numpy as np

from lapa_core.data.demos import Demo, DemoSet
from lapa_core.types import dimension_names

CODES = 16  # of a picture; a VQGAN gives 256, and training does not mind
WORDS = ("put the red block in the bin", "knock over the cup")


def toy_demos(
    num_demos: int = 8,
    steps: int = 10,
    *,
    seed: int = 0,
    cameras: int = 1,
    variants: int = 1,
    state: int = 0,
    gripper: str = "open_is_one",
) -> DemoSet:
    """Demonstrations whose actions can be read off the picture."""
    chance = np.random.default_rng(seed)
    demos = []
    for i in range(num_demos):
        codes = chance.integers(0, 512, (variants, steps, cameras, CODES)).astype(np.uint32)
        kind = chance.integers(0, 4, steps)
        codes[:, :, 0, :8] = kind[:, None]
        actions = chance.normal(0, 1e-3, (steps, 7))
        actions[:, :6] += 0.01 * (kind[:, None] - 1.5)
        actions[:, 6] = kind % 2
        demos.append(
            Demo(
                name=f"episode_{i:04d}",
                codes=codes,
                actions=actions,
                state=chance.normal(0, 0.1, (steps, state)),
                index=np.arange(steps),
                instructions=(WORDS[i % 2],) * steps,
                authority=("teleop",) * steps,
            )
        )
    return DemoSet(
        robot="wx250s",
        dimensions=dimension_names(("arm",)),
        cameras=tuple(f"camera{i}" for i in range(cameras)),
        state_names=tuple(f"state{i}" for i in range(state)),
        step_time_s=0.2,
        gripper=gripper,
        demos=tuple(demos),
    )
