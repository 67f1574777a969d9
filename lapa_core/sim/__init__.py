# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The MuJoCo twin of a robot: `world` builds the scene, `simulation` runs it.

`layout` says where things stand, `servos` how the joints follow, `rendering` takes the pictures,
`ramp` moves targets as a trajectory controller does.
"""

from lapa_core.sim.simulation import Simulation

__all__ = ["Simulation"]
