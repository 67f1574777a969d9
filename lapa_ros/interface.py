# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Every topic and service of the package: name, type, unit and QoS, written once.

Names are relative to the robot's namespace (empty by default); `<arm>` is an arm's name in
the robot file, `<camera>` a camera's topic there; joint states and commands of an arm are named
there too.

======================================  ====================  ===========================
topic                                   type                  content
======================================  ====================  ===========================
policy/ee_delta, teleop/ee_delta        JointTrajectory       deltas asked for [m, rad, 0..1]
executed/ee_delta                       JointTrajectory       deltas the arm was really told
policy/status                           String, latched       what the policy is waiting for
authority                               String, latched       "<state>: <reason>"
instruction                             String, latched       what the robot is told to do
<joint states of an arm>                JointState            [rad], fingers [m]
<arm>/ee_pose                           PoseStamped           measured tool point in its base
<arm>/ee_target                         PoseStamped           commanded tool point
<arm>/gripper_target                    Float64, latched      opening last told; NaN: none
<arm>/predicted_path                    Path                  the newest chunk as poses
markers                                 MarkerArray, latched  workspace, table, authority
<commands of an arm>                    by its driver         see lapa_ros/backends
<camera>                                Image, Compressed...  RGB of any listed encoding
recorder/status                         String, latched       JSON: recording.RecorderStatus
teleop/status                           String, latched       "<device>: <what it does now>"
teleop/<arm>/goal                       PoseStamped           where a person drags the tool to
teleop/<arm>/gripper                    Float64               opening asked for, 0 .. 1
teleop/keys                             String                a key pressed on a page
sim/demonstrator                        String, latched       "<state>: <what it does>"
sim/trial                               String, latched       JSON: evaluate.live.LiveTrial
sim/outcome                             String, latched       JSON: evaluate.live.LiveOutcome
evaluate/status                         String, latched       JSON: evaluate.live.SessionStatus
progress                                String, latched       JSON: view.progress.Progress
/diagnostics                            DiagnosticArray       rates, ages, latencies, reasons
======================================  ====================  ===========================

Services, all `std_srvs/Trigger`:

- arm_node: enable, hold, estop, reset, home, park, reboot (of the grippers' motors, after an
  overload);
- recorder_node: recorder/start, recorder/save (a success), recorder/fail (saved as a failure),
  recorder/discard, recorder/redo (discard, then begin anew), recorder/undo_last, recorder/stop
  (no further episode begins by itself);
- teleop_node: teleop/take_over, teleop/hand_back;
- sim_node: sim/reset (a new scene), sim/demonstrate (the scripted demonstrator acts once);
- evaluate_node, for a person at a real arm: evaluate/begin, evaluate/end, evaluate/yes and
  evaluate/no (did it succeed), evaluate/credit_0 .. _25 _50 _75 _100 (how far it got, in
  percent), evaluate/right and evaluate/wrong (the object touched first), evaluate/redo (this
  trial again), evaluate/undo_last, evaluate/stop.
"""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

POLICY_EE_DELTA = "policy/ee_delta"
TELEOP_EE_DELTA = "teleop/ee_delta"
EXECUTED_EE_DELTA = "executed/ee_delta"
POLICY_STATUS = "policy/status"
AUTHORITY = "authority"
INSTRUCTION = "instruction"
DIAGNOSTICS = "/diagnostics"
MARKERS = "markers"
SERVICES = ("enable", "hold", "estop", "reset", "home", "park", "reboot")
RECORDER_STATUS = "recorder/status"
RECORDER_SERVICES = tuple(
    f"recorder/{name}"
    for name in ("start", "save", "fail", "discard", "redo", "undo_last", "stop")
)
TELEOP_STATUS = "teleop/status"
TELEOP_KEYS = "teleop/keys"
TELEOP_SERVICES = ("teleop/take_over", "teleop/hand_back")
DEMONSTRATOR = "sim/demonstrator"
PROGRESS = "progress"
SIM_SERVICES = ("sim/reset", "sim/demonstrate")
SIM_TRIAL, SIM_OUTCOME = "sim/trial", "sim/outcome"
EVALUATE_STATUS = "evaluate/status"
EVALUATE_SERVICES = tuple(
    f"evaluate/{name}"
    for name in (
        *("begin", "end", "yes", "no", "credit_0", "credit_25", "credit_50", "credit_75"),
        *("credit_100", "right", "wrong", "redo", "undo_last", "stop"),
    )
)


def ee_pose(arm: str) -> str:
    """Measured pose of the tool point in the arm's base."""
    return f"{arm}/ee_pose"


def ee_target(arm: str) -> str:
    """Commanded pose of the tool point in the arm's base."""
    return f"{arm}/ee_target"


def gripper_target(arm: str) -> str:
    """Opening the gripper was last told, 0 closed .. 1 open; NaN: none since the enable."""
    return f"{arm}/gripper_target"


def predicted_path(arm: str) -> str:
    """Where the newest chunk of the policy would take the tool, in the arm's base."""
    return f"{arm}/predicted_path"


def teleop_goal(arm: str) -> str:
    """Pose of the tool point, in the arm's base, that a person asks for by dragging it."""
    return f"teleop/{arm}/goal"


def teleop_gripper(arm: str) -> str:
    """Opening of the gripper that a person asks for, 0 closed .. 1 open."""
    return f"teleop/{arm}/gripper"


# A command counts only while it is the newest: a burst of late ones must not be played.
COMMAND_QOS = QoSProfile(
    depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)

# What happened, for recorders and plots: nothing of it may be lost.
EVENT_QOS = QoSProfile(
    depth=50, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)

# Known to whoever joins later.
LATCHED_QOS = QoSProfile(
    depth=1,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

# `authority`, for whom each word counts: a "disabled" that an "enabled" follows at once must not
# be lost. Who joins late still hears the newest alone, for its publisher keeps no more.
AUTHORITY_SUB_QOS = QoSProfile(
    depth=50,
    history=HistoryPolicy.KEEP_LAST,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

# REP-2003: drivers publish with the system default (reliable), consumers take best effort,
# which matches both kinds of driver.
SENSOR_PUB_QOS = QoSProfile(
    depth=2, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE
)
CAMERA_SUB_QOS = QoSProfile(
    depth=1, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT
)
# Every joint sample is looked at (a jump between two of them is a fault), so a few may queue.
JOINT_SUB_QOS = QoSProfile(
    depth=10, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.BEST_EFFORT
)


def authority_text(state: str, reason: str) -> str:
    """Content of the `authority` message."""
    return f"{state}: {reason}"


def parse_authority(text: str) -> tuple[str, str]:
    """State and reason of an `authority` message."""
    state, _, reason = text.partition(": ")
    return state, reason
