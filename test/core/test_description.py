# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The URDFs have the published kinematics, and a wrong URDF is refused by name."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import arms
import mujoco
import numpy as np
import pytest

from lapa_core import description
from lapa_core.errors import ConfigError

MODELS = ("wx250", "wx250s", "vx300s", "aloha_vx300s")
EFFORT = {
    "waist": 10, "shoulder": 20, "elbow": 15,
    "forearm_roll": 2, "wrist_angle": 5, "wrist_rotate": 1,
}  # fmt: skip
ALL_JOINTS = tuple(EFFORT)
MINIMAL = """<robot name="r"><link name="a"/><link name="b"/>
<joint name="j" type="revolute"><parent link="a"/><child link="b"/>
<limit lower="-1" upper="1" effort="1" velocity="1"/></joint></robot>"""


def joints_of(model: str) -> list[str]:
    """In the order of the driver; the WidowX 250 without S has no forearm_roll."""
    return [n for n in ALL_JOINTS if model != "wx250" or n != "forearm_roll"]


def compiled(model: str) -> mujoco.MjModel:
    return description.to_spec(description.load(f"{model}.urdf.xacro")).compile()


@pytest.mark.parametrize("model", MODELS)
def test_home_pose_equals_the_published_matrix(model: str) -> None:
    m = compiled(model)
    data = mujoco.MjData(m)
    mujoco.mj_kinematics(m, data)
    tool = data.body("ee_gripper_link")
    np.testing.assert_allclose(tool.xpos, arms.M_XYZ[model], atol=1e-6)
    np.testing.assert_allclose(tool.xmat.reshape(3, 3), np.eye(3), atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_screw_axes_equal_the_published_ones(model: str) -> None:
    """S = (w, -w x q) with w the joint's axis and q a point on it, at joints zero."""
    m = compiled(model)
    data = mujoco.MjData(m)
    mujoco.mj_kinematics(m, data)
    for name, published in zip(joints_of(model), arms.SLIST[model], strict=True):
        joint = data.joint(name)
        screw = np.concatenate([joint.xaxis, -np.cross(joint.xaxis, joint.xanchor)])
        np.testing.assert_allclose(screw, published, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("model", MODELS)
def test_limits_are_the_published_ones(model: str) -> None:
    joints, names = description.load(f"{model}.urdf.xacro").joints, joints_of(model)
    np.testing.assert_allclose([joints[n].lower for n in names], arms.LOWER[model], atol=1e-6)
    np.testing.assert_allclose([joints[n].upper for n in names], arms.UPPER[model], atol=1e-6)
    assert [joints[n].velocity for n in names] == pytest.approx([np.pi] * len(names))
    assert [joints[n].effort for n in names] == [EFFORT[n] for n in names]
    lower, upper = arms.FINGER[model]
    assert (joints["left_finger"].lower, joints["left_finger"].upper) == (lower, upper)
    assert (joints["right_finger"].lower, joints["right_finger"].upper) == (-upper, -lower)
    assert joints["right_finger"].mimics == "left_finger"
    assert tuple(joints) == (*names, "gripper", "left_finger", "right_finger")


@pytest.mark.parametrize("model", MODELS)
def test_inertias_are_those_of_bodies_of_that_mass(model: str) -> None:
    """The published 1e-3 kg m2 on links of a gram is gone; MuJoCo checks the triangle rule."""
    m = compiled(model)
    total = {"wx250": 1.980, "wx250s": 2.138, "vx300s": 3.742, "aloha_vx300s": 3.742}[model]
    assert m.body_mass.sum() == pytest.approx(total, abs=0.01)
    for mass, inertia in zip(m.body_mass, m.body_inertia, strict=True):
        assert np.all(inertia <= mass * 0.2**2)  # no radius of gyration beyond 20 cm


def test_prefix_renames_links_and_nothing_else() -> None:
    plain = description.load("wx250s.urdf.xacro")
    prefixed = description.load("wx250s.urdf.xacro", prefix="left/")
    assert prefixed.links == tuple(f"left/{n}" for n in plain.links)
    assert prefixed.joints == plain.joints
    assert (plain.root, prefixed.root) == ("base_link", "left/base_link")
    root = ElementTree.fromstring(prefixed.urdf)
    ends = [e.get("link") for e in (*root.iter("parent"), *root.iter("child"))]
    assert all(e and e.startswith("left/") for e in ends)


def test_shapes_have_the_colours_of_their_pictures() -> None:
    """Pictures that models learn from must not turn grey because <visual> is not read."""
    m = compiled("wx250s")
    shown = {tuple(np.round(rgba[:3].astype(float), 2).tolist()) for rgba in m.geom_rgba}
    assert shown == {(0.13, 0.13, 0.14), (0.32, 0.33, 0.35), (0.2, 0.2, 0.22)}


def test_right_finger_mirrors_the_left_in_mujoco() -> None:
    m = compiled("wx250s")
    data = mujoco.MjData(m)
    m.opt.gravity[:] = 0
    data.joint("left_finger").qpos[0] = 0.03
    data.joint("right_finger").qpos[0] = -0.02
    mujoco.mj_step(m, data, nstep=500)
    left, right = data.joint("left_finger").qpos[0], data.joint("right_finger").qpos[0]
    assert left == pytest.approx(-right, abs=1e-4)


def test_a_mimic_that_mujoco_does_not_read_is_added_once() -> None:
    spec = description.to_spec(description.load("wx250s.urdf.xacro"))
    assert [(e.name1, e.name2) for e in spec.equalities] == [("right_finger", "left_finger")]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<robot", "not XML"),
        ("<model/>", "root element must be <robot>"),
        (MINIMAL.replace('velocity="1"', 'velocity="fast"'), "finite 'velocity'"),
        (MINIMAL.replace('upper="1"', 'upper="nan"'), "finite 'upper'"),
        (MINIMAL.replace('upper="1"', 'upper="-2"'), "must be below"),
        (MINIMAL.replace('effort="1"', 'effort="-1"'), "effort must not be below 0"),
        (MINIMAL.replace("<limit", "<bounds"), "a revolute joint needs <limit>"),
        (MINIMAL.replace('name="j"', ""), "lacks the attribute 'name'"),
        (MINIMAL.replace("<limit", "<mimic joint='k'/><limit"), "unknown mimicked joint 'k'"),
        (MINIMAL.replace('<link name="a"/>', '<link name="a"/><link name="c"/>'), "one link"),
        (
            MINIMAL.replace(
                "</robot>",
                '<gripper_linkage joint="j" finger="j" horn="2" arm="1"/></robot>',
            ),
            "0 < horn <= arm",
        ),
    ],
)
def test_a_wrong_urdf_is_refused_by_name(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as error:
        description.parse(text, "file.urdf")
    assert "file.urdf" in str(error.value)


def test_files_that_cannot_be_expanded_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not found"):
        description.load("no_such_arm.urdf.xacro")
    with pytest.raises(ConfigError, match="no URDF at"):
        description.load(str(tmp_path / "missing.urdf"))
    broken = tmp_path / "broken.urdf.xacro"
    broken.write_text(
        '<robot xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:nothing/></robot>'
    )
    with pytest.raises(ConfigError, match="cannot be expanded"):
        description.load(str(broken))
    broken.write_text("<robot>")
    with pytest.raises(ConfigError, match="cannot be expanded"):
        description.load(str(broken))


def test_robot_file_and_urdf_must_fit() -> None:
    arm = arms.wx250s().arms[0]
    description.for_arm(arm)
    wrong = [
        (dataclasses.replace(arm, joints=("waist", "knee")), "unknown joint 'knee'"),
        (dataclasses.replace(arm, tool_link="hand"), "unknown tool_link 'hand'"),
        (dataclasses.replace(arm, start_rad=np.full(6, 1.8)), "start_rad has elbow at 1.8"),
        (
            dataclasses.replace(arm, gripper=dataclasses.replace(arm.gripper, open=0.1)),
            "gripper open has left_finger at 0.1",
        ),
        (
            dataclasses.replace(
                arm, gripper=dataclasses.replace(arm.gripper, joint="right_finger")
            ),
            "mimics 'left_finger'",
        ),
    ]
    for changed, complaint in wrong:
        with pytest.raises(ConfigError, match=complaint):
            description.for_arm(changed)
