# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Every threshold of the control loop, with its unit and where it comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from lapa_core.errors import ConfigError


@dataclass(frozen=True)
class ControlParams:
    """Thresholds of one controller. What belongs to a robot stands in its robot file instead.

    Attributes:
        rate_hz: ticks a second; servos that are streamed to want 50 or more (ALOHA: 50).
        speed_scale: share of the policy's deltas, the joints' speed and the moves' speed that is
            used, 0 .. 1. Below 1 the arm goes less far a step, along the same direction.
        silence_s: hold when this long after the last step's end nothing has come. With a step
            of 0.2 s the arm holds at the latest two steps and 20 ms after a policy has died.
        joint_state_timeout_s: hold when joint states are older. The driver publishes at 100 Hz,
            Interbotix's own simulation at 30 Hz; 0.25 s loses seven of the slower.
        max_observation_age_s: refuse a chunk that answers an older picture. Bridge refuses a
            frame of that age (`DeSYNC`).
        future_s: refuse a chunk stamped further ahead than this; allows for clocks of two hosts.
        max_horizon_s: refuse a chunk that plans further ahead.
        fault_factor: a step beyond this many times its clamp is a fault, not a large step: LAPA's
            reference server answers 1 m where a token has no meaning.
        reach_error_m, reach_error_rad: a target missed by more is unreachable. The WidowX's
            accuracy is 5 to 8 mm.
        windup_m, windup_rad: the target is brought back to the arm when it is further ahead. It
            bounds how hard an arm leans on a thing, and how far that bends it out of its way; at
            full speed the lag of servos is about 0.035 m.
        stray_m, pushed_out_m: a tool measured outside its workspace by so much more than its
            command leans on something that bends it out: beyond the first its target is brought
            to the place in the workspace nearest to it, beyond the second the arms hold. Lag
            alone leaves the box by 1.2 mm at most (simulated, 21 000 ticks of attacks).
        tracking_error_rad, tracking_time_s: hold when a joint stays this far behind its command
            for this long: a stalled or dead motor.
        move_speed_rad_s: top joint speed of `move_to`, a sixth of what the servos can.
        jump_rad, jump_factor: a joint may differ from its last sample by jump_rad plus
            jump_factor * its velocity limit * the time between them. A failed read of the
            Interbotix driver arrives as -pi.
        outside_limits_rad: a joint measured further outside its limits is not believed.
        recovery_samples: so many samples in a row that agree on another place are believed.
        agree_rad: how near to each other they must be.
        resting_rad: an arm this near to its last command is at rest on it, or on its way there.
            Servos without an integral term sag below their goal, by 0.01 rad on such arms.
        arms_hold_together: when one of two arms must hold, the other holds too.
    """

    rate_hz: float = 50.0
    speed_scale: float = 1.0
    silence_s: float = 0.2
    joint_state_timeout_s: float = 0.25
    max_observation_age_s: float = 1.0
    future_s: float = 0.1
    max_horizon_s: float = 10.0
    fault_factor: float = 2.0
    reach_error_m: float = 0.005
    reach_error_rad: float = 0.05
    windup_m: float = 0.05
    windup_rad: float = 0.25
    stray_m: float = 0.003
    pushed_out_m: float = 0.005
    tracking_error_rad: float = 0.3
    tracking_time_s: float = 0.5
    move_speed_rad_s: float = 0.5
    jump_rad: float = 0.2
    jump_factor: float = 1.5
    outside_limits_rad: float = 0.1
    recovery_samples: int = 10
    agree_rad: float = 0.05
    resting_rad: float = 0.1
    arms_hold_together: bool = True

    def __post_init__(self) -> None:
        """Refuse thresholds that would switch a check off."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool):
                continue
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"control: {field.name} must be finite and above 0, got {value}")
        if self.speed_scale > 1.0:
            raise ConfigError(f"control: speed_scale must be at most 1, got {self.speed_scale}")
        if self.fault_factor < 1.0:
            raise ConfigError(f"control: fault_factor must be at least 1, got {self.fault_factor}")

    @property
    def period_s(self) -> float:
        """Seconds between two ticks."""
        return 1.0 / self.rate_hz
