# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""From episodes to cached codes: as a policy sees them, again the same, bad episodes by name."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from recorded import EpisodeMaker, Script, wander

from lapa_core.data import images
from lapa_core.data.augment import Augment, generator
from lapa_core.data.cuts import CutParams
from lapa_core.data.episodes import open_episode
from lapa_core.data.samples import SampleParams, Samples
from lapa_core.errors import ConfigError, DataError, RecordingError

pytestmark = pytest.mark.torch
STEPS = 4


def script(seed: int, **others: Any) -> Script:
    steps = wander(seed, STEPS)
    return Script({round(1.0 + 0.2 * i, 3): s for i, s in enumerate(steps)}, 2.2, **others)


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes of one robot, and one that failed."""
    folder = tmp_path_factory.mktemp("demos")
    maker = EpisodeMaker()
    for i in range(3):
        maker.write(folder / f"episode_{i:04d}", script(i), episode=i)
    maker.write(folder / "episode_0003", script(3), episode=3, outcome="failure")
    return folder


@pytest.fixture(scope="module")
def vqgan() -> Iterator[Any]:
    import torch

    from lapa_core.model.configuration import preset
    from lapa_core.model.vqgan import Vqgan

    # torch's GroupNorm of one picture on several threads loses all digits of a variance that is 0,
    # as that of the pictures here, each of one colour; 1e-4 of pictures of things.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Vqgan(preset("debug").vqgan_config()).eval()
    yield made
    torch.set_num_threads(threads)


def build(path: Path, vqgan: Any, cache: Path, **others: Any) -> Any:
    from lapa_core.train.tokens import TokenParams
    from lapa_core.train.tokens import build as make

    # Every picture of a made episode is of another colour, as if the scene were cut every step.
    plain = {"variants": 1, "filters": CutParams(cuts=False)}
    split = {"workers", "mapping", "progress", "strict"}
    params = TokenParams(**{**plain, **{k: v for k, v in others.items() if k not in split}})
    options = {k: v for k, v in others.items() if k in split}
    return make(path, vqgan=vqgan, cache=cache, params=params, **options)


@pytest.fixture(scope="module")
def made(demos: Path, vqgan: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The set with two variants and state, and its cache; not to be changed."""
    cache = tmp_path_factory.mktemp("tokens")
    state = ("wx250s/x", "wx250s/gripper")
    return build(demos, vqgan, cache, variants=2, state=state), cache


def test_a_demonstration_is_what_a_policy_would_see_and_do(
    made: tuple[Any, Path], demos: Path, vqgan: Any
) -> None:
    import torch

    got, _ = made
    assert (got.robot, got.cameras, got.step_time_s) == ("wx250s", ("front",), 0.2)
    assert got.gripper == "open_is_one"
    assert [d.name for d in got.demos] == [f"episode_{i:04d}" for i in range(3)]
    assert got.report.skipped == {"episode_0003": "its outcome is failure"}
    assert got.report.used == got.num_steps == 3 * STEPS
    for demo in got.demos:
        samples = list(Samples(open_episode(demos / demo.name), SampleParams(("front",))))
        assert demo.codes.shape == (2, STEPS, 1, 256)
        for row, sample in enumerate(samples):
            picture = images.resize_for_model(sample.observation.images["front"], True)
            chosen = torch.from_numpy(demo.codes[0, row, 0].astype(np.int64))
            # A batch sums in another order: a cell on the border between two codes may fall on its
            # other side, and of a picture of one colour many cells at once.
            with torch.inference_mode():
                z = vqgan.latents(torch.from_numpy(images.normalise(picture))[None])[0]
                apart = torch.cdist(z, vqgan.codebook.weight)
                off = apart.gather(1, chosen[:, None])[:, 0] - apart.min(1).values
            assert float(off.max()) < 1e-3
            np.testing.assert_array_equal(demo.actions[row], sample.action)
            seen = sample.observation.state
            assert demo.state[row].tolist() == [seen["wx250s/x"], seen["wx250s/gripper"]]
        assert demo.instructions == ("put the red block in the bin",) * STEPS
        assert not np.array_equal(demo.codes[0], demo.codes[1])


def test_a_second_run_reads_the_cache_and_other_choices_do_not(
    made: tuple[Any, Path], demos: Path, vqgan: Any
) -> None:
    first, cache = made
    told = []
    again = build(
        demos, vqgan, cache, variants=2, state=first.state_names, progress=told.append
    )  # fmt: skip
    assert [(p.done, p.total, p.cached) for p in told] == [(i, 3, True) for i in (1, 2, 3)]
    for one, other in zip(first.demos, again.demos, strict=True):
        for part in ("codes", "actions", "state", "index"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
        assert one.instructions == other.instructions
    assert again.report == first.report
    one = demos / "episode_0000"
    told.clear()
    for changed in ({"labels": "reached"}, {"center_crop": False}, {"seed": 1}):
        build(one, vqgan, cache, progress=told.append, **changed)
    assert [p.cached for p in told] == [False] * 3
    assert len(list(cache.glob("*.npz"))) == 6


def test_other_weights_or_another_bag_are_other_files(
    demos: Path, vqgan: Any, tmp_path: Path
) -> None:
    import torch

    cache, told = tmp_path / "cache", []
    folder = EpisodeMaker().write(tmp_path / "demo", script(0))
    build(folder, vqgan, cache, progress=told.append)
    bag = next(folder.glob("*.mcap"))
    content = bytearray(bag.read_bytes())
    bag.write_bytes(content)
    build(folder, vqgan, cache, progress=told.append)
    name = content.index(b"hold" if b"hold" in content else b"teleop")
    content[name : name + 1] = content[name : name + 1].upper()
    bag.write_bytes(content)
    with pytest.raises(DataError, match="1 of 1 episodes"):
        build(folder, vqgan, cache, progress=told.append)
    assert [p.cached for p in told] == [False, True, False]
    with torch.no_grad():
        vqgan.quant_conv.bias[0] += 1e-3
    try:
        build(demos / "episode_0001", vqgan, cache, progress=told.append)
        with torch.no_grad():
            vqgan.quant_conv.bias[0] -= 2e-3
        build(demos / "episode_0001", vqgan, cache, progress=told.append)
    finally:
        with torch.no_grad():
            vqgan.quant_conv.bias[0] += 1e-3
    assert [p.cached for p in told[3:]] == [False, False]


def test_a_broken_file_is_made_anew(demos: Path, vqgan: Any, tmp_path: Path) -> None:
    one = demos / "episode_0000"
    first = build(one, vqgan, tmp_path)
    (file,) = tmp_path.glob("*.npz")
    file.write_bytes(file.read_bytes()[:-200])
    (tmp_path / f".x.npz.{2**22 + 1}@{os.uname().nodename}.partial").write_bytes(b"half")
    again = build(one, vqgan, tmp_path)
    np.testing.assert_array_equal(first.demos[0].codes, again.demos[0].codes)
    assert [p.name for p in tmp_path.iterdir()] == [file.name]


def test_a_bad_episode_is_refused_by_name_and_the_others_used(vqgan: Any, tmp_path: Path) -> None:
    """No camera in one, no one who moved the arm in another, garbage in a third."""
    maker, demos = EpisodeMaker(), tmp_path / "demos"
    maker.write(demos / "a_good", script(0))
    maker.write(demos / "b_blind", script(1, keep=lambda topic, _: "front" not in topic))
    maker.write(demos / "c_still", script(2, keep=lambda topic, _: "executed" not in topic))
    bag = next(maker.write(demos / "d_cut", script(3)).glob("*.mcap"))
    bag.write_bytes(bag.read_bytes()[:-500])
    maker.write(demos / "e_mute", script(4), instruction="")
    (demos / "f_garbage").mkdir()
    (demos / "f_garbage" / "episode.yaml").write_text("format: 7\n", encoding="utf-8")
    got = build(demos, vqgan, tmp_path / "cache")
    assert [d.name for d in got.demos] == ["a_good"]
    refused = got.report.refused
    words = {
        "b_blind": "unknown topic of camera front",
        "c_still": "executed/ee_delta",
        "d_cut": "lapa recover",
        "e_mute": "no instruction",
        "f_garbage": "format 7",
    }
    assert refused.keys() == words.keys()
    for name, said in words.items():
        assert said in refused[name], refused[name]
        assert f"{name} refused" in str(got.report)
    with pytest.raises(DataError, match="5 of 6 episodes") as caught:
        build(demos, vqgan, tmp_path / "cache", strict=True)
    assert all(name in str(caught.value) for name in words)
    with pytest.raises(
        DataError, match=r"1 of 1 episodes.*cannot be used\n  b_blind: .*camera front"
    ):
        build(demos / "b_blind", vqgan, tmp_path / "cache")


def test_two_robots_an_empty_folder_and_no_folder(vqgan: Any, tmp_path: Path) -> None:
    demos = tmp_path / "demos"
    EpisodeMaker().write(demos / "one", script(0))
    steps = {1.0 + 0.2 * i: s for i, s in enumerate(wander(0, 2, 14))}
    EpisodeMaker("bimanual_wx250s").write(demos / "two", Script(steps, 2.0))
    with pytest.raises(DataError, match="not of one robot") as caught:
        build(demos, vqgan, tmp_path / "cache")
    assert "'wx250s' in one; 'bimanual_wx250s' in two" in str(caught.value)
    assert not (tmp_path / "cache").exists(), "refused before any work"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty has no episode"):
        build(tmp_path / "empty", vqgan, tmp_path / "cache")
    with pytest.raises(DataError, match="no data set at"):
        build(tmp_path / "nowhere", vqgan, tmp_path / "cache")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(RecordingError, match="cannot make the cache"):
        build(demos / "one", vqgan, tmp_path / "file" / "cache")


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"cameras": ("frnt",)}, "unknown camera 'frnt'"),
        ({"state": ("wx250s/w",)}, "unknown state 'wx250s/w'.*'wx250s/x'"),
        ({"labels": "wished"}, "'commanded', 'executed', 'reached'"),
    ],
)
def test_a_wrong_choice_is_named(
    choice: dict[str, Any], words: str, demos: Path, vqgan: Any, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        build(demos, vqgan, tmp_path, **choice)


def test_steps_that_are_filtered_are_reported_with_their_reason(
    vqgan: Any, tmp_path: Path
) -> None:
    """A policy's steps before a person took over; a cut every step of a made episode."""
    folder = EpisodeMaker().write(
        tmp_path / "e",
        script(0, authority={0.5: "policy: following", 1.45: "teleop: following"}),
    )
    got = build(folder, vqgan, tmp_path / "cache", filters=CutParams(cuts=False))
    assert set(got.demos[0].authority) == {"teleop"}
    assert got.report.removed == {"authority": STEPS - len(got.demos[0])}
    assert "policy moved the arm; wanted: teleop" in str(got.report)
    everything = build(
        folder, vqgan, tmp_path / "cache", filters=CutParams(cuts=False, authority="all")
    )
    assert len(everything.demos[0]) == STEPS
    with pytest.raises(DataError, match="no step of 4 is left: 4 steps authority"):
        build(
            EpisodeMaker().write(tmp_path / "p", script(0, authority={0.5: "policy: x"})),
            vqgan,
            tmp_path / "cache",
        )


def test_mapped_bags_are_built_too(demos: Path, vqgan: Any, tmp_path: Path) -> None:
    """A recording of ours read as a stranger's, by its topics, gives nearly the same labels."""
    arm = {
        "pose": "/wx250s/ee_pose",
        "target": "/wx250s/ee_target",
        "gripper": {
            "topic": "/wx250s/joint_states",
            "joint": "left_finger",
            "closed": 0.015,
            "open": 0.037,
        },
    }
    content = {
        "format": 1,
        "robot": "wx250s",
        "instruction": "put the red block in the bin",
        "cameras": {"front": {"topic": "/camera/front/image_raw", "width": 64, "height": 48}},
        "arms": {"wx250s": arm},
    }
    file = tmp_path / "map.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    one = demos / "episode_0000"
    got = build(one, vqgan, tmp_path / "cache", mapping=file)
    ours = build(one, vqgan, tmp_path / "cache")
    moved = [np.abs(s.demos[0].actions[:, :6]).sum() for s in (got, ours)]
    assert moved[0] == pytest.approx(moved[1], rel=0.35)
    assert got.report.settings["mapping"] == str(file)
    with pytest.raises(ConfigError, match="no executed steps; valid labels: commanded, reached"):
        build(one, vqgan, tmp_path / "cache", mapping=file, labels="executed")
    del arm["target"]
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    got = build(one, vqgan, tmp_path / "cache", mapping=file)
    assert "no target of wx250s" in got.report.findings[0]


def test_two_bags_of_one_name_are_refused(tmp_path: Path) -> None:
    """One of them would not be learnt from, and nobody told."""
    from lapa_core.train.sources import _named

    for name in ("pick.mcap", "pick.db3"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match=r"pick\.db3 and .*pick\.mcap have one name"):
        _named(sorted(tmp_path.iterdir()))


def test_the_robot_is_the_recorded_one_and_its_cameras_stand_still(tmp_path: Path) -> None:
    from lapa_core import paths
    from lapa_core.train.sources import Source, robot_of

    text = paths.share("config/robots/wx250s.yaml").read_text("utf-8")
    place = "[0, -0.16, 0.36]"  # of its first camera
    assert text.count(place) == 1
    moved = text.replace(place, "[0.1, 0.2, 0.9]")
    source = Source(tmp_path, ("a", "b"), dict.fromkeys("ab", tmp_path),
                    robots={"a": moved, "b": text})  # fmt: skip
    assert robot_of([(source, ["a", "b"])]).camera("front").position_m.tolist() == [0.1, 0.2, 0.9]
    with pytest.raises(ConfigError, match="cameras of b stand elsewhere than those of a"):
        robot_of([(source, ["a", "b"])], same_views=["front"])
    assert robot_of([(source, ["a", "b"])], same_views=["overview"])


def test_augmented_pictures_are_cropped_on_both_axes_and_drawn_from_their_place() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[:, 128:] = 200
    picture[128:] += 40
    change = Augment(probability=0.0, crop_area=(0.9, 0.9))
    borders = []
    for i in range(40):
        seen = change(picture, generator(0, "e", i)).astype(int)
        assert seen.shape == (256, 256, 3)
        across, down = seen[10, :, 0], seen[:, 10, 0]
        borders.append((int(np.argmax(across > 100)), int(np.argmax(down > 20))))
    for axis in (0, 1):
        assert 10 <= np.ptp([b[axis] for b in borders]) <= 16, "13 of 256 columns and rows are cut"
    one = Augment(probability=1.0)
    same = [one(picture, generator(0, "e", 1, "front")) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(same[0], one(picture, generator(1, "e", 1, "front")))
    grey = np.full((256, 256, 3), 128, np.uint8)
    seen_levels = [one(grey, generator(0, i)).mean() for i in range(200)]
    assert 40 < np.ptp(seen_levels) < 210
    with pytest.raises(ConfigError, match="crop_area"):
        replace(one, crop_area=(0.9, 1.1))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_workers_make_the_same(
    made: tuple[Any, Path], demos: Path, vqgan: Any, tmp_path: Path
) -> None:
    first, _ = made
    told: list[Any] = []
    other = build(
        demos, vqgan, tmp_path, variants=2, state=first.state_names, workers=2,
        progress=told.append,
    )  # fmt: skip
    assert {p.name for p in told} == {d.name for d in first.demos}
    for one, two in zip(first.demos, other.demos, strict=True):
        np.testing.assert_array_equal(one.codes, two.codes)
    assert len(list(tmp_path.iterdir())) == 3


RUN = """
import sys
from pathlib import Path
import torch
from lapa_core.data.cuts import CutParams
from lapa_core.model.checkpoint import load_model
from lapa_core.model.vqgan import Vqgan
from lapa_core.train.tokens import TokenParams, build
if __name__ == "__main__":
    torch.set_num_threads(1)
    demos, vqgan, cache, workers = sys.argv[1:]
    params = TokenParams(variants=4, filters=CutParams(cuts=False))
    model = load_model(Vqgan, Path(vqgan), torch.float32)
    build(
        Path(demos), vqgan=model, cache=Path(cache), params=params, workers=int(workers),
        progress=lambda p: print(p.name, flush=True),
    )
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_where_it_stopped(workers: int, vqgan: Any, tmp_path: Path) -> None:
    """SIGKILL after the first file: the next run keeps it and ends as an unbroken one."""
    maker, demos = EpisodeMaker(), tmp_path / "demos"
    for i in range(6):
        maker.write(demos / f"episode_{i:04d}", script(i), episode=i)
    vqgan.save_pretrained(tmp_path / "vqgan")
    program = tmp_path / "run.py"
    program.write_text(RUN, encoding="utf-8")
    cache = tmp_path / "cache"
    argv = [sys.executable, str(program), str(demos), str(tmp_path / "vqgan"), str(cache)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen(
        [*argv, str(workers)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("episode_")
    os.kill(process.pid, signal.SIGKILL)
    process.stdout.read()  # ends when the last worker has left, who had it open too
    process.wait()
    kept = {p.name: p.stat().st_mtime_ns for p in cache.glob("*.npz")}
    assert kept
    told: list[Any] = []
    after = build(demos, vqgan, cache, variants=4, progress=told.append)
    assert {p.name: p.stat().st_mtime_ns for p in cache.glob("*.npz")}.items() >= kept.items()
    assert sum(p.cached for p in told) == len(kept)
    assert len(kept) < 6, "it was killed too late to prove anything"
    assert not list(cache.glob(".*")), "nothing half written is left"
    whole = build(demos, vqgan, tmp_path / "other", variants=4)
    for one, other in zip(after.demos, whole.demos, strict=True):
        np.testing.assert_array_equal(one.codes, other.codes)
