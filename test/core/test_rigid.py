# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Rigid groups and their neighbours, on our arms and on grippers of other kinds."""

from __future__ import annotations

import pytest

from lapa_core import description
from lapa_core.errors import ConfigError
from lapa_core.rigid import neighbours, rigid_groups


def joint(name: str, kind: str, parent: str, child: str, inside: str = "") -> str:
    limit = '<limit lower="-1" upper="1" effort="1" velocity="1"/>' if kind != "fixed" else ""
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f"{limit}{inside}</joint>"
    )


def robot_of(*joints: str) -> description.Description:
    links = "".join(f'<link name="{n}"/>' for n in "abcdefg" if f'link="{n}"' in "".join(joints))
    return description.parse(f'<robot name="r">{links}{"".join(joints)}</robot>', "r.urdf")


def pairs(made: description.Description) -> set[str]:
    return {"-".join(sorted(p)) for p in neighbours(made)}


def test_our_arm_moves_in_nine_pieces() -> None:
    groups = rigid_groups(description.load("wx250s.urdf.xacro"))
    assert len(set(groups.values())) == 9
    hand = {n for n, g in groups.items() if g == "gripper_link"}
    # The propeller turns inside the housing: it counts as part of it.
    assert hand == {
        *("gripper_link", "ee_arm_link", "gripper_prop_link"),
        *("gripper_bar_link", "fingers_link", "ee_gripper_link"),
    }


def test_neighbours_are_one_joint_apart_and_the_fingers_are_a_pair() -> None:
    made = description.load("wx250s.urdf.xacro", prefix="left/")
    near = neighbours(made)
    assert frozenset({"left/wrist_link", "left/gripper_link"}) in near
    assert frozenset({"left/left_finger_link", "left/right_finger_link"}) in near
    assert frozenset({"left/lower_forearm_link", "left/gripper_link"}) not in near
    assert frozenset({"left/wrist_link", "left/left_finger_link"}) not in near
    assert len(near) == 9


def test_fixed_joints_join_links_in_any_order_of_the_file() -> None:
    made = robot_of(
        joint("3", "fixed", "c", "d"),
        joint("2", "revolute", "b", "c"),
        joint("1", "fixed", "a", "b"),
    )
    assert rigid_groups(made) == {"a": "a", "b": "a", "c": "c", "d": "c"}
    assert pairs(made) == {"a-c"}


def test_all_bars_of_a_gripper_of_bars_may_overlap() -> None:
    """One motor turns a knuckle; the other knuckle and both fingers follow it, also in chains."""
    made = robot_of(
        joint("wrist", "revolute", "a", "b"),
        joint("motor", "revolute", "b", "c"),
        joint("other", "revolute", "b", "d", '<mimic joint="motor"/>'),
        joint("finger", "revolute", "c", "e", '<mimic joint="motor" multiplier="-1"/>'),
        joint("far", "revolute", "d", "f", '<mimic joint="finger" multiplier="-1"/>'),
    )
    mechanism = {"b-c", "b-d", "b-e", "b-f", "c-d", "c-e", "c-f", "d-e", "d-f", "e-f"}
    assert pairs(made) == {"a-b", *mechanism}


@pytest.mark.parametrize(
    ("joints", "complaint"),
    [
        ([joint("1", "floating", "a", "b")], r"unknown type 'floating'.*'fixed'"),
        ([joint("1", "fixed", "a", "b"), joint("2", "fixed", "c", "b")], r"'b' is held by '1'"),
    ],
)
def test_what_is_no_tree_of_links_is_refused(joints: list[str], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        robot_of(*joints)


def test_mimics_in_a_ring_are_refused() -> None:
    with pytest.raises(ConfigError, match="mimic each other in a ring"):
        robot_of(
            joint("1", "revolute", "a", "b", '<mimic joint="2"/>'),
            joint("2", "revolute", "b", "c", '<mimic joint="1"/>'),
        )
