# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Exports hold what training reads, are whole or not there, and go on where they were cut."""

from __future__ import annotations

import json
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from recorded import EpisodeMaker, Script, number_of, wander

from lapa_core import cli
from lapa_core.data import reference_json
from lapa_core.data.cuts import CutParams
from lapa_core.data.reference_demos import by_episode, read_image, read_steps
from lapa_core.data.samples import LabelledSample, SampleParams
from lapa_core.errors import ConfigError, DataError, RecordingError
from lapa_core.export import layout, lerobot, moments, reference, tables
from lapa_core.export.layout import Limits, Place
from lapa_core.export.source import Source, open_source, read

parquet = pytest.importorskip("pyarrow.parquet", reason="the extra `export` is not installed")

# The made pictures change their colour from step to step, which is a cut to the filter.
CUTS = CutParams(cuts=False, frozen=False)
WORDS = ("put the red block in the bin", "knock over the cup")


def write(folder: Path, number: int, script: Script | None = None, robot: str = "wx250s") -> Path:
    """An episode of eight steps."""
    maker = EpisodeMaker(robot)
    steps = wander(number, 8, len(maker.robot.dimensions))
    script = script or Script({}, 3.0)
    script.steps = script.steps or {round(0.5 + 0.2 * i, 2): s for i, s in enumerate(steps)}
    name = f"episode_{number:04d}"
    return maker.write(folder / name, script, episode=number, instruction=WORDS[number % 2])


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two plain episodes, one whose camera is silent for a while, one with new words."""
    folder = tmp_path_factory.mktemp("demos")
    write(folder, 0)
    write(folder, 1)
    silent = lambda topic, at_s: "front" not in topic or not 0.9 < at_s < 1.75  # noqa: E731
    write(folder, 2, Script({}, 3.0, keep=silent))
    write(folder, 3, Script({}, 3.0, instruction={1.3: "open the drawer"}))
    return folder


def opened(demos: Path, **params: Any) -> Source:
    return open_source(demos, SampleParams(**params), CUTS)


def frames_of(source: Source) -> list[LabelledSample]:
    return [s for f in source.folders for s in read(source, f)]


@pytest.fixture(scope="module")
def exported(demos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "set"
    report = lerobot.export(opened(demos), out)
    assert report is not None and report.used == 29 and report.removed == {"StaleInput": 3}
    return out


def data_of(out: Path) -> dict[str, list[Any]]:
    """The frames of all data files, column by column."""
    columns: dict[str, list[Any]] = {}
    for file in sorted(out.glob("data/*/*.parquet")):
        for name, values in parquet.read_table(file).to_pydict().items():
            columns.setdefault(name, []).extend(values)
    return columns


def episodes_of(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(out / layout.EPISODES).to_pylist()
    return rows


def frame_at(out: Path, row: dict[str, Any], camera: str, timestamp: float) -> np.ndarray:
    """The picture LeRobot shows: the one of that time after the episode's beginning."""
    key = layout.video_key(camera)
    place = {k: row[f"videos/{key}/{k}"] for k in ("chunk_index", "file_index")}
    wanted = row[f"videos/{key}/from_timestamp"] + timestamp
    with av.open(str(out / layout.VIDEO.format(video_key=key, **place))) as container:
        for frame in container.decode(video=0):
            if abs(frame.time - wanted) < 1e-4:  # LeRobot's own tolerance
                return frame.to_ndarray(format="rgb24")
    raise AssertionError(f"no frame at {wanted} s")


def check(out: Path, source: Source) -> None:
    """Every number and picture is that of the samples."""
    samples, data, rows = frames_of(source), data_of(out), episodes_of(out)
    assert data["index"] == list(range(len(samples)))
    words = parquet.read_table(out / layout.TASKS).to_pydict()
    for i, sample in enumerate(samples):
        row = rows[data["episode_index"][i]]
        assert row["dataset_from_index"] + data["frame_index"][i] == i < row["dataset_to_index"]
        np.testing.assert_array_equal(data["action"][i], sample.action.astype(np.float32))
        state = [sample.observation.state[n] for n in source.state_names]
        np.testing.assert_array_equal(data["observation.state"][i], np.float32(state))
        assert data["timestamp"][i] == np.float32(data["frame_index"][i] / 5)
        task = sample.observation.instruction
        assert words["task"][words["task_index"].index(data["task_index"][i])] == task
        assert row["tasks"] == [task]
        for camera in source.samples.cameras:
            shown = frame_at(out, row, camera, data["timestamp"][i])
            assert number_of(shown) == number_of(sample.observation.images[camera])


def test_the_dataset_is_what_training_reads(demos: Path, exported: Path) -> None:
    check(exported, opened(demos))


def test_an_episode_there_has_no_gap_and_one_task(demos: Path, exported: Path) -> None:
    """LeRobot reads action chunks over neighbouring frames: gaps and new words end an episode."""
    rows = episodes_of(exported)
    origins = json.loads((exported / lerobot.SOURCES).read_text())
    names = [o["episode"] for o in origins]
    assert names == ["episode_0000", "episode_0001", *["episode_0002"] * 2, *["episode_0003"] * 2]
    assert [r["length"] for r in rows] == [o["steps"] for o in origins]
    gap = [o["first_step"] for o in origins if o["episode"] == "episode_0002"]
    assert gap[1] > gap[0] + rows[2]["length"]
    assert [r["tasks"] for r in rows[4:]] == [[WORDS[1]], ["open the drawer"]]


def test_info_names_every_feature(demos: Path, exported: Path) -> None:
    info = json.loads((exported / layout.INFO).read_text())
    source = opened(demos)
    assert info["codebase_version"] == "v3.0" and info["robot_type"] == "wx250s"
    assert (info["fps"], info["total_episodes"], info["total_frames"]) == (5, 6, 29)
    assert info["total_tasks"] == 3 and info["splits"] == {"train": "0:6"}
    assert list(info["features"]) == [
        "observation.images.front", "observation.images.overview", "observation.state", "action",
        "timestamp", "frame_index", "episode_index", "index", "task_index",
    ]  # fmt: skip
    assert info["features"]["action"]["names"] == list(source.robot.dimensions)
    front = info["features"]["observation.images.front"]
    assert front["shape"] == [48, 64, 3] and front["info"]["video.codec"] == "h264"
    assert front["info"]["video.fps"] == 5
    schema = parquet.read_schema(exported / layout.TASKS)
    assert json.loads(schema.metadata[b"pandas"])["index_columns"] == ["task"]


def test_statistics_are_exact(demos: Path, exported: Path) -> None:
    """Of all episodes together, and of each; pictures as levels from 0 to 1, before the video."""
    source = opened(demos)
    samples = frames_of(source)
    stats = json.loads((exported / layout.STATS).read_text())
    assert set(stats) == set(json.loads((exported / layout.INFO).read_text())["features"])
    actions = np.array([s.action for s in samples])
    pixels = np.array([s.observation.images["front"] for s in samples]).reshape(-1, 3) / 255
    for values, name in ((actions, "action"), (pixels, "observation.images.front")):
        found = {k: np.array(v).reshape(-1) for k, v in stats[name].items()}
        np.testing.assert_allclose(found["min"], values.min(axis=0))
        np.testing.assert_allclose(found["max"], values.max(axis=0))
        np.testing.assert_allclose(found["mean"], values.mean(axis=0))
        np.testing.assert_allclose(found["std"], values.std(axis=0), atol=1e-9)
        method = "linear" if name == "action" else "inverted_cdf"
        for key, q in moments.QUANTILES.items():
            np.testing.assert_allclose(found[key], np.quantile(values, q, axis=0, method=method))
        assert found["count"] == [29]
    assert np.array(stats["observation.images.front"]["mean"]).shape == (3, 1, 1)
    row = episodes_of(exported)[1]
    np.testing.assert_allclose(row["stats/action/max"], actions[8:16].max(axis=0))


def test_large_datasets_are_split_over_files(demos: Path, tmp_path: Path) -> None:
    source = opened(demos, cameras=("front",))
    lerobot.export(source, tmp_path / "set", Limits(data_mib=2e-3, video_mib=3e-3))
    files = [len(list(tmp_path.glob(f"set/{kind}/**/file-*"))) for kind in ("data", "videos")]
    assert min(files) > 1
    check(tmp_path / "set", source)


def test_files_are_numbered_as_lerobot_does() -> None:
    assert layout.places([3, 3, 5, 1, 9, 1], 6) == [
        Place(0, 0), Place(0, 0), Place(0, 1), Place(0, 1), Place(0, 2), Place(0, 3),
    ]  # fmt: skip
    assert layout.places([1] * 1001, 1)[-1] == Place(1, 0)


def content(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


class CutOffError(Exception):
    """What a test cuts an export off with."""


def test_a_cut_export_goes_on_where_it_was(demos: Path, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"

    def cut_off(done: int, total: int) -> None:
        if done == 2:
            raise CutOffError

    with pytest.raises(CutOffError):
        lerobot.export(opened(demos), out, progress=cut_off)
    assert not out.exists()
    pieces = tmp_path / "set.partial/pieces"
    made = {p.parent.name: p.stat().st_mtime_ns for p in pieces.glob("*/piece.json")}
    assert set(made) == {"episode_0000", "episode_0001"}
    (pieces / "episode_0002").mkdir()  # one that was begun
    (pieces / "episode_0002/000.front.mp4").write_bytes(b"half")

    def look(done: int, total: int) -> None:
        for name, at_ns in made.items():
            assert (pieces / name / "piece.json").stat().st_mtime_ns == at_ns

    assert lerobot.export(opened(demos), out, progress=look) is not None
    assert not pieces.parent.exists()
    assert content(out) == content(exported)
    assert lerobot.export(opened(demos), out) is None, "it is there already"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_killed_at_any_moment_it_ends_the_same(
    demos: Path, exported: Path, tmp_path: Path
) -> None:
    """Twenty kills at random moments, then one call to the end."""
    code = (
        "import sys; from pathlib import Path; from lapa_core.export import lerobot\n"
        "from lapa_core.export.source import open_source; from lapa_core.data.cuts import *\n"
        "s = open_source(Path(sys.argv[1]), None, CutParams(cuts=False, frozen=False))\n"
        "print('begun', flush=True); lerobot.export(s, Path(sys.argv[2]))"
    )
    argv = [sys.executable, "-c", code, str(demos), str(tmp_path / "set")]
    rng, killed = random.Random(0), 0
    for _ in range(100):
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.3))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        if killed == 20:
            break
        if (tmp_path / "set").exists():
            (tmp_path / "set").rename(tmp_path / f"done{killed}.{process.pid}")
    subprocess.run(argv, check=True)
    assert killed == 20
    assert content(tmp_path / "set") == content(exported)


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file may grow beyond this, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_a_named_error(demos: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="cannot be written"), room(2000):
        lerobot.export(opened(demos), tmp_path / "set")
    assert not (tmp_path / "set").exists()
    assert lerobot.export(opened(demos), tmp_path / "set") is not None
    assert content(tmp_path / "set") == content(exported)


# --- what is refused --------------------------------------------------------------------------


def test_strangers_folders_are_not_touched(demos: Path, tmp_path: Path) -> None:
    one, both = opened(demos / "episode_0000", cameras=("front",)), opened(demos)
    out = tmp_path / "set"
    out.mkdir()
    lerobot.export(one, out)  # an empty folder will do
    with pytest.raises(DataError, match="of other episodes or with other choices"):
        lerobot.export(both, out)
    with pytest.raises(DataError, match="is an export to lerobot; choose another"):
        reference.export(one, out)
    for name in ("mine", "mine.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years of work")
        with pytest.raises(DataError, match=rf"{name} is there already and is not an export"):
            lerobot.export(both, tmp_path / "mine")
        assert [p.name for p in (tmp_path / name).iterdir()] == ["thesis.tex"]
        (tmp_path / name / "thesis.tex").unlink()


def test_a_folder_killed_at_its_birth_is_taken_up(demos: Path, tmp_path: Path) -> None:
    """Between the lock and the file that says whose it is: once refused as a stranger's."""
    one = opened(demos / "episode_0000", cameras=("front",))
    (tmp_path / "set.partial").mkdir()
    (tmp_path / "set.partial/.lock").touch()
    (tmp_path / "set.partial/lapa_export.json.tmp").write_text("{")
    assert lerobot.export(one, tmp_path / "set") is not None


def test_two_writers_do_not_mix(demos: Path, tmp_path: Path) -> None:
    one = opened(demos / "episode_0000", cameras=("front",))

    def again(done: int, total: int) -> None:
        with pytest.raises(DataError, match="is being written by another process"):
            lerobot.export(one, tmp_path / "set")

    lerobot.export(one, tmp_path / "set", progress=again)


def test_what_does_not_belong_together_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*more: object) -> str:
        argv = ["export", "lerobot", tmp_path / "demos", tmp_path / "out", *more]
        assert cli.main([str(a) for a in argv]) == 2
        assert not list(tmp_path.glob("out*"))
        return capsys.readouterr().err

    (tmp_path / "demos").mkdir()
    assert "has no episode that ended with success" in refused()
    write(tmp_path / "demos", 0)
    assert "unknown camera 'wrist'" in refused("--camera", "wrist")
    assert "a camera twice" in refused("--camera", "front", "--camera", "front")
    write(tmp_path / "demos", 1, Script({}, 3.0, keep=lambda topic, at_s: "overview" not in topic))
    assert "episode_0001: unknown topic of camera overview" in refused()
    write(tmp_path / "demos", 2, robot="bimanual_wx250s")
    assert "robot: 'wx250s' in episode_0000, episode_0001" in refused("--camera", "overview")


def test_what_lerobot_cannot_hold_is_refused(
    demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"a step of 0.3 s is 3.3\d+ frames a second"):
        layout.rate(0.3)
    assert layout.rate(0.2) == 5 and layout.rate(1 / 30) == 30
    source = opened(demos)
    source.cameras[0].__dict__["width"] = 63
    with pytest.raises(DataError, match="front has 63x48 pixels"):
        lerobot.export(source, tmp_path / "set")
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # as Python marks what cannot be imported
    with pytest.raises(ConfigError, match=r"pip install 'lapa_ros\[export\]'"):
        tables.require()


# --- the reference's JSON ---------------------------------------------------------------------


@pytest.mark.parametrize("pictures", ["jpg", "png"])
def test_the_references_json_is_read_back(demos: Path, pictures: str, tmp_path: Path) -> None:
    source = opened(demos, cameras=("front",))
    report = reference.export(source, tmp_path / "out", pictures)
    assert report is not None and report.used == 29
    found = [s for e in by_episode(read_steps(tmp_path / "out/finetune.json")).values() for s in e]
    for step, sample in zip(found, frames_of(source), strict=True):
        assert step.step == sample.index
        assert step.instruction == sample.observation.instruction
        np.testing.assert_array_equal(step.action[:6], sample.action[:6])
        assert step.action[6] == round(sample.action[6])
        measured = [sample.observation.state[n] for n in source.robot.dimensions]
        np.testing.assert_array_equal(step.state, measured)
        shown, seen = read_image(step.image), sample.observation.images["front"]
        assert number_of(shown) == number_of(seen)
        assert pictures == "jpg" or np.array_equal(shown, seen)
    assert reference.export(source, tmp_path / "out", pictures) is None
    steps = list(reference_json.records(tmp_path / "out/finetune.json"))
    assert len(reference_json.preprocess(steps, 16, "here")[0]) == len(found)


def test_a_cut_export_of_the_json_goes_on(demos: Path, tmp_path: Path) -> None:
    source = opened(demos, cameras=("front",))

    def cut_off(done: int, total: int) -> None:
        if done == 2:
            raise CutOffError

    reference.export(source, tmp_path / "whole")
    with pytest.raises(CutOffError):
        reference.export(source, tmp_path / "cut", progress=cut_off)
    assert not (tmp_path / "cut").exists()
    piece = tmp_path / "cut.partial/pieces/episode_0001.json"
    at_ns = piece.stat().st_mtime_ns

    def look(done: int, total: int) -> None:
        assert piece.stat().st_mtime_ns == at_ns

    reference.export(source, tmp_path / "cut", progress=look)
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_what_the_references_json_cannot_hold_is_refused(demos: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has one camera; choose one of front, overview"):
        reference.export(opened(demos), tmp_path / "out")
    one = open_source(demos, None, CUTS, first_camera=True)
    assert one.samples.cameras == ("front",)
    write(tmp_path, 0, robot="bimanual_wx250s")
    with pytest.raises(DataError, match="of one arm; bimanual_wx250s has 2 arms"):
        reference.export(open_source(tmp_path, first_camera=True), tmp_path / "out")
    assert not list(tmp_path.glob("out*"))
