# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The position servos of a simulated arm: how stiff, how damped, how strong."""

from __future__ import annotations

import mujoco
import numpy as np

from lapa_core.description import Joint
from lapa_core.robot import Arm

# Chosen by their step response and not identified from real ones: a step of 0.3 rad is
# nine tenths done in 0.11 to 0.16 s on every joint, without overshoot (docs/control.md).
SERVO_STIFFNESS = 300.0  # [N m/rad], or more where the arm behind the joint is heavier:
SERVO_FREQUENCY = 30.0  # [rad/s] of the least stiff joint, with all links stretched out
SERVO_LAG_S = 0.05  # damping = stiffness * this: a moving joint stays this far behind its target
ARMATURE = 0.02  # [kg m2] rotor and gear, seen from the joint
FINGER_STIFFNESS = 800.0  # [N/m]
FINGER_DAMPING = 20.0  # [N s/m]
FINGER_ARMATURE = 0.2  # [kg] rotor and gear, seen from the finger


def add(spec: mujoco.MjSpec, name: str, joint: Joint, stiffness: float | None) -> None:
    """A position servo of an arm's joint, or of a gripper's where no stiffness is given."""
    if stiffness is not None:
        damping = stiffness * SERVO_LAG_S
    elif joint.kind == "prismatic":
        stiffness, damping = FINGER_STIFFNESS, FINGER_DAMPING
    else:
        stiffness, damping = SERVO_STIFFNESS, SERVO_STIFFNESS * SERVO_LAG_S
    actuator = spec.add_actuator(name=name, target=name)
    actuator.trntype = mujoco.mjtTrn.mjTRN_JOINT
    actuator.set_to_position(kp=stiffness, kv=damping)
    if np.isfinite(joint.effort):
        actuator.forcelimited = True
        actuator.forcerange = [-joint.effort, joint.effort]
    if np.isfinite(joint.lower):
        actuator.ctrllimited = True
        actuator.ctrlrange = [joint.lower, joint.upper]


def stiffness(child: mujoco.MjSpec, arm: Arm) -> dict[str, float]:
    """Stiffness of each arm joint's servo [N m/rad]: enough for the inertia it has to turn.

    The inertia is the largest of those at joints zero and at the robot file's two poses.
    """
    model = child.compile()
    data = mujoco.MjData(model)
    inertia = np.zeros(len(arm.joints))
    for pose in (np.zeros(len(arm.joints)), arm.start_rad, arm.park_rad):
        for name, position in zip(arm.joints, pose, strict=True):
            data.joint(name).qpos[0] = position
        mujoco.mj_forward(model, data)
        for index, name in enumerate(arm.joints):
            along = np.zeros(model.nv)
            along[model.joint(name).dofadr[0]] = 1.0
            force = np.empty(model.nv)
            mujoco.mj_mulM(model, data, force, along)
            inertia[index] = max(inertia[index], float(force @ along))
    values = np.maximum(SERVO_STIFFNESS, SERVO_FREQUENCY**2 * inertia)
    return dict(zip(arm.joints, map(float, values), strict=True))
