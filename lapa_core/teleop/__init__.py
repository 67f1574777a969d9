# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a person's hand does -> the next end-effector delta. No ROS, no torch, no clock.

=============  =======================================================================
reading        what a device says at one tick, and the protocol all devices follow
shaping        deadzone and expo, saturation, and a filter that does not lag a moving hand
reference      where the commanded target is, deltas on their way included
clutch         where a hand in the air wants the tool; engaging never jumps
gripper        the opening asked for: held, toggled, driven, or followed once picked up
hand           all of these for one arm: its next seven numbers, saturated
teleoperator   take-over, hand-back, failures: the next delta of all arms, or none
layout         reads `config/teleop/*.yaml`: which button does what, how a leader is built
keyboard       keys of a terminal or a page; `terminal` reads the terminal
gamepad        `sensor_msgs/Joy` with a dead-man button
spacemouse     spacenav's twist and buttons
twist          Servo's `delta_twist_cmds`, an arm each
leader         leader arms held in the hands, one or a pair
vr             controllers in the air with a clutch, one or two
browser        a goal that is dragged on a page
devices        one of them by its name
=============  =======================================================================
"""

from lapa_core.teleop.devices import DEVICES
from lapa_core.teleop.teleoperator import Output, Teleoperator, TeleopSettings

__all__ = ["DEVICES", "Output", "TeleopSettings", "Teleoperator"]
