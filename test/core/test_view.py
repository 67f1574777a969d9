# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa view` and the parts of the page that draw: episodes, shapes, pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from recorded import EpisodeMaker, Script, number_of, wander

from lapa_core import description as descriptions
from lapa_core import robot as robots
from lapa_core.control.compose import Pose, angle_between
from lapa_core.control.kinematics import ArmKinematics
from lapa_core.errors import DataError
from lapa_core.recording.episode import AuthorityChange, Finding
from lapa_core.view import episode as recorded_episodes
from lapa_core.view import space
from lapa_core.view.page import Page
from lapa_core.view.pictures import shrink
from lapa_core.view.player import Player, band
from lapa_core.view.shapes import ArmShapes

SECONDS = 3.0
CHANGES = (
    AuthorityChange(0.0, "hold", "enabled"),
    AuthorityChange(1.0, "teleop", "following teleop"),
    AuthorityChange(2.5, "hold", "teleop <silent>"),
)


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two episodes, the first compressed, and one that is not complete."""
    folder = tmp_path_factory.mktemp("set")
    for number, compressed in enumerate((True, False)):
        steps = {0.5 + 0.2 * k: step for k, step in enumerate(wander(number, 8))}
        EpisodeMaker(compressed=compressed).write(
            folder / f"episode_{number:04d}",
            Script(steps, SECONDS),
            episode=number,
            authority=CHANGES,
            findings=(Finding("gap", "/camera", 1.0, 1.2, "0.2 s without a frame"),),
        )
    EpisodeMaker().write(folder / "episode_0002.partial", Script({0.5: np.zeros(7)}, 1.0))
    return folder


def test_an_episode_is_read_as_it_was_recorded(data_set: Path) -> None:
    maker = EpisodeMaker(compressed=True)
    steps = {0.5 + 0.2 * k: step for k, step in enumerate(wander(0, 8))}
    list(maker._messages(Script(steps, SECONDS)))
    played = recorded_episodes.load(data_set / "episode_0000")
    times, deltas = played.delta_table()
    np.testing.assert_allclose(deltas, np.array(list(steps.values())), atol=1e-12)
    np.testing.assert_allclose(times, list(steps), atol=1e-6)
    tracks = played.arms["wx250s"]
    for at_s, pose in list(maker.targets["wx250s"].items())[40::17]:
        np.testing.assert_allclose(tracks.target.at(at_s + 0.001).xyz_m, pose.xyz_m, atol=1e-9)
    assert tracks.target.at(0.1) is None, "no target before the first step"
    arm = played.robot.arms[0]
    joints = tracks.joints.at(1.0)
    assert [joints[n] for n in arm.joints] == pytest.approx(arm.start_rad.tolist())
    assert played.duration_s == pytest.approx(SECONDS, abs=0.05)


@pytest.mark.parametrize("number", [0, 1])
def test_pictures_are_those_of_the_time_forward_and_back(data_set: Path, number: int) -> None:
    played = recorded_episodes.load(data_set / f"episode_{number:04d}")
    camera = played.robot.cameras[0]
    track = played.cameras[camera.name]
    for at_s in (0.0, 0.5, 0.54, 2.9, 1.0, 0.2, 2.0):
        image = track.at(played.log_ns(at_s + 0.001))
        assert image is not None
        assert number_of(image) == int((at_s + 0.001) * camera.rate_hz)
    assert track.at(played.log_ns(2.0 + 0.002)) is None, "the same frame is not given twice"


def test_only_complete_episodes_are_turned_to(data_set: Path, tmp_path: Path) -> None:
    names = ["episode_0000", "episode_0001"]
    assert [f.name for f in recorded_episodes.siblings(data_set / "episode_0001")] == names
    assert [f.name for f in recorded_episodes.siblings(data_set)] == names
    with pytest.raises(DataError, match=r"no episode and holds none: no episode\.yaml"):
        recorded_episodes.siblings(tmp_path)
    with pytest.raises(DataError, match="not complete"):
        recorded_episodes.load(data_set / "episode_0002.partial")


@pytest.fixture
def player(data_set: Path) -> Iterator[Player]:
    """The first episode on a page that nobody has opened."""
    page = Page("test")
    yield Player(page, data_set / "episode_0000")
    page.close()


def test_the_player_shows_the_moment_of_its_clock(player: Player) -> None:
    player.tick(100.0)
    player._toggle(100.0)
    player.tick(101.5)
    assert player._slider.value == pytest.approx(1.5)
    expected = player._played.arms["wx250s"].target.at(1.5)
    arm = player._scene.arms["wx250s"]
    np.testing.assert_allclose(arm._target.position, expected.xyz_m, atol=1e-6)
    assert arm._lines["commanded"].points.shape[0] > 5
    assert "following teleop" in player._authority.content
    front = player._cameras._elements["front"].image
    assert abs(number_of(front) - 45) <= 1  # 30 Hz
    player.tick(110.0)
    assert player._slider.value == pytest.approx(player._played.duration_s, abs=0.01)
    assert player._play.label == "Play (space)"


def test_the_player_turns_to_the_next_episode_and_stays_at_the_last(player: Player) -> None:
    before = len(player._page.server.gui._panel_handle_from_uuid)
    for _ in range(3):
        player._asked.put(lambda now: player._go(1, now))
    player.tick(0.0)
    assert player._played.recording.folder.name == "episode_0001"
    assert len(player._page.server.gui._panel_handle_from_uuid) == before
    player._asked.put(lambda now: player._go(-1, now))
    player.tick(1.0)
    assert player._played.recording.folder.name == "episode_0000"


def test_the_band_says_who_had_authority(player: Player) -> None:
    text = band(player._played.recording.episode, SECONDS, 2.7)
    widths = [float(part.split("%")[0]) for part in text.split('style="width:')[1:]]
    assert widths == pytest.approx([100 / 3, 50.0, 100 / 6], abs=0.1)
    assert "hold: teleop &lt;silent&gt;" in text and "<silent>" not in text


@pytest.mark.parametrize("name", robots.available())
def test_shapes_stand_where_the_kinematics_say(name: str) -> None:
    """The page's arm and the controller's are the same arm."""
    rng = np.random.default_rng(3)
    for arm in robots.load(name).arms:
        shapes = ArmShapes(arm)
        kinematics = ArmKinematics(arm, descriptions.for_arm(arm))
        for _ in range(4):
            q = rng.uniform(np.maximum(kinematics.lower, -3), np.minimum(kinematics.upper, 3))
            local = shapes.place(dict(zip(arm.joints, q.tolist(), strict=True)) | {"other": 1.0})
            world: list[Pose] = []
            for link, (xyz, wxyz) in zip(shapes.links, local, strict=True):
                own = Pose(xyz, _matrix(wxyz))
                above = world[link.parent] if link.parent >= 0 else Pose(np.zeros(3), np.eye(3))
                world.append(
                    Pose(above.xyz_m + above.rotation @ own.xyz_m, above.rotation @ own.rotation)
                )
            tool = world[[link.name for link in shapes.links].index(arm.tool_link)]
            expected = kinematics.fk(q)
            np.testing.assert_allclose(tool.xyz_m, expected.xyz_m, atol=1e-9)
            assert angle_between(tool.rotation, expected.rotation) < 1e-6
        assert sum(len(link.shapes) for link in shapes.links) > 3


def _matrix(wxyz: np.ndarray) -> np.ndarray:
    import mink

    matrix: np.ndarray = mink.SO3(wxyz).as_matrix()
    return matrix


def test_fingers_follow_the_one_that_is_measured() -> None:
    arm = robots.load("wx250s").arms[0]
    shapes = ArmShapes(arm)
    opened = shapes.place({arm.gripper.joint: arm.gripper.open})
    closed = shapes.place({arm.gripper.joint: arm.gripper.closed})
    moved = {
        link.name: float(np.linalg.norm(a[0] - b[0]))
        for link, a, b in zip(shapes.links, opened, closed, strict=True)
    }
    travel = arm.gripper.open - arm.gripper.closed
    fingers = {n: d for n, d in moved.items() if d > 1e-9}
    assert len(fingers) == 2 and all(d == pytest.approx(travel) for d in fingers.values())


def test_pictures_get_small_and_never_large() -> None:
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)
    assert shrink(image, 320).shape == (240, 320, 3)
    assert shrink(image, 1000) is image
    assert abs(float(shrink(image, 64).mean()) - float(image.mean())) < 1.0


def test_the_table_lies_under_everything() -> None:
    robot = robots.load("bimanual_wx250s")
    lower, upper = space.table_extent(robot)
    for arm in robot.arms:
        corners = space.box_edges(arm) @ arm.base_rotation.T + arm.base_xyz_m
        assert np.all(corners[:, :2] > lower) and np.all(corners[:, :2] < upper)
