# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Arms that no line of our code knows need a robot file and their URDF, and nothing else.

One has seven joints; the other prefixed names, a wrist without limits, and a gripper of bars
that is measured in radians and closed at its upper end.
"""

from __future__ import annotations

import itertools
import shutil
import struct
from pathlib import Path

import arms
import mujoco
import numpy as np
import pytest

from lapa_core import description, meshes
from lapa_core import robot as robots
from lapa_core.control.compose import angle_between, compose
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.errors import ConfigError
from lapa_core.robot import Robot
from lapa_core.sim import Simulation

FOLDER = Path(__file__).parent.parent / "robots"
NAMES = ("seven_joints", "prefixed_six")
CLOSED, OPEN = 0.0, 1.0


def load(name: str) -> Robot:
    return robots.load(str(FOLDER / f"{name}.yaml"))


@pytest.fixture(params=NAMES)
def rig(request: pytest.FixtureRequest) -> arms.Rig:
    made = arms.Rig(load(request.param))
    made.go_to_start()
    return made


def test_the_tool_moves_as_told(rig: arms.Rig) -> None:
    """A square of 6 cm and turns about every axis; each side ends where it was told to."""
    name = rig.robot.arms[0].name
    sides = [[0.03, 0, 0], [0, 0.03, 0], [-0.03, 0, 0], [0, -0.03, 0], [0, 0, -0.03]]
    steps = [[*side, 0.0, 0.0, 0.0] for side in sides for _ in range(2)]
    steps += [[0.0, 0.0, 0.0, *turn] for turn in 0.1 * np.eye(3) for _ in range(2)]
    begin = rig.sim.tool_pose(name)
    expected = begin
    for step in steps:
        expected = compose(expected, np.array(step))
    rig.follow([[*step, OPEN] for step in steps])
    rig.run(0.8)
    reached = rig.sim.tool_pose(name)
    np.testing.assert_allclose(reached.xyz_m, expected.xyz_m, atol=3e-3)
    assert angle_between(reached.rotation, expected.rotation) < 0.02
    assert rig.sim.violations() == []


def test_the_gripper_closes_and_opens_whatever_its_unit(rig: arms.Rig) -> None:
    gripper = rig.robot.arms[0].gripper
    for opening in (CLOSED, OPEN, 0.5):
        rig.follow([[0, 0, 0, 0, 0, 0, opening]] * 8)
        names, position, _ = rig.sim.joint_state(rig.robot.arms[0].name)
        joint = position[names.index(gripper.joint)]
        assert gripper.opening(joint) == pytest.approx(opening, abs=0.03)


def test_it_parks_and_comes_back(rig: arms.Rig) -> None:
    arm = rig.robot.arms[0]
    rig.controller.move_to("park", rig.now_s)
    rig.run(6.0)
    measured = rig.sim.joint_state(arm.name)[1][: len(arm.joints)]
    np.testing.assert_allclose(measured, arm.park_rad, atol=5e-3)
    assert rig.sim.violations() == []


def test_bars_of_the_gripper_follow_in_chains() -> None:
    """left_tip = -knuckle; right_tip = right_knuckle = knuckle."""
    sim = Simulation(load("prefixed_six"))
    sim.set_command("cell", {"cell_knuckle_joint": 0.5})
    sim.step(800)
    names, position, _ = sim.joint_state("cell")
    values = dict(zip(names, position, strict=True))
    assert values["cell_right_knuckle_joint"] == pytest.approx(0.5, abs=0.02)
    assert values["cell_left_tip_joint"] == pytest.approx(-0.5, abs=0.02)
    assert values["cell_right_tip_joint"] == pytest.approx(0.5, abs=0.02)


def test_a_wrist_without_limits_turns_beyond_a_full_turn() -> None:
    robot = load("prefixed_six")
    rig = arms.Rig(robot)
    rig.go_to_start()
    steps = 40
    rig.follow([[0, 0, 0, 0, 0, 0.2, OPEN]] * steps)
    rig.run(0.8)
    turned = rig.sim.joint_state("cell")[1][5] - robot.arms[0].start_rad[5]
    assert abs(turned) == pytest.approx(0.2 * steps, abs=0.05)
    assert abs(turned) > 2 * np.pi


def test_seven_joints_reach_a_pose_in_more_than_one_way() -> None:
    robot = load("seven_joints")
    arm = robot.arms[0]
    kinematics = ArmKinematics(arm, description.for_arm(arm))
    target = kinematics.fk(arm.start_rad)
    other = kinematics.reach(target, arm.start_rad + np.array([0.3, 0, -0.3, 0, 0.2, 0, 0]))
    assert other.error_m < 1e-3 and other.error_rad < 5e-3
    assert np.max(np.abs(other.position_rad - arm.start_rad)) > 0.1


# --- URDFs as makers write them ---------------------------------------------------------------


def cube(path: Path, half: float) -> None:
    """A binary STL of twelve triangles."""
    corners = np.array(list(itertools.product((-half, half), repeat=3)))
    faces = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    triangles = [t for a, b, c, d in faces for t in ((a, b, c), (a, c, d))]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(bytes(80) + struct.pack("<I", len(triangles)))
        for triangle in triangles:
            file.write(struct.pack("<12fH", 0, 0, 0, *corners[list(triangle)].ravel(), 0))


URDF = """<robot name="r">
<link name="a"><visual><geometry><mesh filename="package://lost/a.dae"/></geometry></visual>
<collision><geometry><mesh filename="{one}"/></geometry></collision></link>
<link name="b"><collision><geometry><mesh filename="{two}"/></geometry></collision></link>
<link name="bare"/>
<joint name="j" type="revolute"><parent link="a"/><child link="bare"/>
<limit lower="-1" upper="1"/></joint>
<joint name="k" type="continuous"><parent link="bare"/><child link="b"/></joint>
<transmission name="t"><joint name="j"/></transmission><gazebo reference="a"/>
</robot>"""


def radii(text: str, source: Path) -> list[float]:
    model = description.to_spec(description.parse(text, str(source))).compile()
    return [round(float(r), 3) for r in model.geom_rbound]


def test_meshes_are_found_as_ros_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files of one name stay two; a moving link without mass and shape is no obstacle."""
    cube(tmp_path / "prefix/share/maker_description/meshes/link.stl", 0.1)
    cube(tmp_path / "urdf/link.STL", 0.2)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path / 'prefix'}")
    source = tmp_path / "urdf/arm.urdf"
    in_package = "package://maker_description/meshes/link.stl"
    expected = [round(h * 3**0.5, 3) for h in (0.1, 0.2)]
    for beside in ("link.STL", f"file://{tmp_path}/urdf/link.STL", f"{tmp_path}/urdf/link.STL"):
        assert radii(URDF.format(one=in_package, two=beside), source) == expected


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("package://lost/link.stl", r"no package 'lost' in AMENT_PREFIX_PATH.*source the work"),
        ("link.dae", r"unknown kind of mesh '.dae'.*valid: '.stl', '.obj'.*box, cylinder"),
        ("gone.stl", r"no file at .*gone\.stl"),
        ("http://maker.com/link.stl", r"valid: package://"),
    ],
)
def test_a_mesh_that_cannot_be_read_is_named(tmp_path: Path, name: str, complaint: str) -> None:
    source = str(tmp_path / "arm.urdf")
    with pytest.raises(ConfigError, match=complaint) as error:
        meshes.for_mujoco(URDF.format(one=name, two=name), source)
    assert source in str(error.value) and repr(name) in str(error.value)


def test_a_joint_of_the_arm_needs_a_speed_limit(tmp_path: Path) -> None:
    """Joints that are not commanded may do without: makers leave the bounds of wheels out."""
    for file in FOLDER.glob("prefixed_six.*"):
        shutil.copy(file, tmp_path)
    path = tmp_path / "prefixed_six.urdf"
    text = path.read_text()
    path.write_text(text.replace('<limit velocity="3.1416" effort="28"/>', ""))
    arm = robots.load(str(tmp_path / "prefixed_six.yaml")).arms[0]
    assert arm.urdf == str(path)
    with pytest.raises(ConfigError, match="'cell_wrist_3_joint' has no speed limit; give its"):
        description.for_arm(arm)


def test_a_urdf_may_lie_in_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = tmp_path / "share/maker_description"
    share.mkdir(parents=True)
    shutil.copy(FOLDER / "seven_joints.urdf", share)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    made = description.load("package://maker_description/seven_joints.urdf")
    assert made.root == "link0" and isinstance(description.to_spec(made), mujoco.MjSpec)
    with pytest.raises(ConfigError, match="no package 'other'"):
        description.load("package://other/seven_joints.urdf")
