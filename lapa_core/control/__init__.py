# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""ActionChunk -> joint command, or a hold with its reason. No ROS, no torch, no clock.

=============  =======================================================================
compose        what a delta does to a pose, and back
gripper        the crank between a gripper's motor and its finger
kinematics     forward kinematics, and one tick of inverse kinematics under every limit
projection     the nearest pose that an arm with fewer than six joints can take
plausibility   which joint states to believe
limits         which chunks and steps to accept: the front half of the safety order
player         which step of the newest chunk is due, and the pose between two steps
authority      hold, policy, teleop or estop, each with its reason
motion         a slow move from where the arm is to given joint positions
track          one arm's target and command: plan a step, follow it
collision      keeps shapes apart; `collision_model` has the shapes and the pairs
group          all arms together: a step by all or by none, collisions, who holds
gripper_drive  targets of a gripper through a motor: PWM, distance or angle; stalls
status         what is known of the sources, and what an operator sees
controller     all of it, behind the calls that a node makes
=============  =======================================================================
"""

from lapa_core.control.controller import ArmController
from lapa_core.control.params import ControlParams
from lapa_core.control.status import Status

__all__ = ["ArmController", "ControlParams", "Status"]
