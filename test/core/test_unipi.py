# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The rival that plans in pictures: films of frames and words, imagined, and what is done then."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from filmed import picture, write
from recorded import EpisodeMaker, Script, wander

from lapa_core import cli
from lapa_core import robot as robots
from lapa_core.data.footage.pairs import PairParams
from lapa_core.data.footage.store import StoreParams
from lapa_core.errors import CheckpointError, ConfigError, DataError, StaleInput
from lapa_core.model.idm import Idm, IdmConfig
from lapa_core.train.laq import footage
from lapa_core.train.laq.footage import Footage, Report
from lapa_core.train.laq.options import SIZES as ENCODERS
from lapa_core.types import Observation

pytest.importorskip("diffusers")
from lapa_core.model import unipi
from lapa_core.model.unipi import Planner, PlannerConfig
from lapa_core.policy import unipi as acting
from lapa_core.policy.unipi import UnipiPolicy
from lapa_core.train.unipi import options, recipe
from lapa_core.train.unipi.films import films

pytestmark = pytest.mark.torch
SMALL = {**options.SIZES["debug"], "frames": 1, "gap_s": 0.2}


def test_a_film_goes_on_where_a_pair_begins_and_ends_in_its_last_picture() -> None:
    rows = np.array([[0, 2], [2, 4], [3, 5], [0, 2], [4, 7]])
    owner = np.array([0, 0, 0, 1, 0])
    report = Report(2, 0, len(rows), 0.0, Counter())
    found = films(Footage((), owner, rows, report), 3)
    np.testing.assert_array_equal(
        found.rows, [[0, 2, 4, 7], [2, 4, 7, 7], [3, 5, 5, 5], [0, 2, 2, 2], [4, 7, 7, 7]]
    )
    np.testing.assert_array_equal(films(Footage((), owner, rows, report), 1).rows, rows)
    with pytest.raises(ConfigError, match="1 frame to come or more, got 0"):
        films(Footage((), owner, rows, report), 0)


def told(folder: Path) -> Footage:
    """A square that goes to the side that the words beside its video say."""
    folder.mkdir()
    for number in range(24):
        side = 1 if number % 2 else -1
        places = 0.5 + side * np.array([0.0, 0.4])
        path = write(folder / f"{number}.mp4", [picture(p) for p in places])
        path.with_suffix(".txt").write_text(f"move the square {'right' if side > 0 else 'left'}")
    return footage.read(
        [folder], folder.with_name("cache"), params=StoreParams(size=16),
        wanted=[PairParams(gap_s=0.2, cuts=False)],
    )  # fmt: skip


@pytest.mark.slow  # 300 updates, some 40 s
def test_words_decide_what_is_imagined(tmp_path: Path) -> None:
    found = told(tmp_path / "video")
    assert len(found) == 24 and found.pictures(np.arange(2)).shape == (2, 2, 16, 16, 3)
    wanted = options.resolve("debug", steps=300, batch=16, lr=3e-3, validate_every=300,
                             save_every=300, validation=0.1)  # fmt: skip
    sizes = {**SMALL, "image_size": 16, "channels": (16, 32, 32), "sample_steps": 6}
    lines: list[str] = []
    recipe.pretrain(found, tmp_path / "planner", wanted, sizes, listed={}, say=lines.append)
    assert any("of 0 nobody says what is done" in line for line in lines)
    policy = _policy(tmp_path / "planner")
    middle = torch.from_numpy(found.pictures(np.arange(1))[:, 0]).permute(0, 3, 1, 2) / 255.0
    noise = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    places = []
    for side in ("left", "right"):
        ids = torch.from_numpy(unipi.tokens(policy._tokenizer, [f"move the square {side}"], 32))
        frame = policy._planner.imagine(middle, ids, noise)
        assert frame.shape == (1, 3, 1, 16, 16) and frame.min() >= 0 and frame.max() <= 1
        red = (frame[0, 0, 0] - frame[0, 2, 0]).clamp(min=0.2) - 0.2
        places.append(float((red.sum(0) * torch.arange(16)).sum() / red.sum()))
    assert places[0] < 5 < 10 < places[1], places


def _policy(planner: Path, seed: int = 0, gripper: float = 0.0) -> UnipiPolicy:
    """With an inverse dynamics model whose answer is always the same."""
    config = IdmConfig(
        **{**ENCODERS["debug"], "gap_s": 0.6}, dimensions=["x", "y", "z", "yaw", "gripper"],
        middle=[0.06, -0.03, 0.0, 0.3, gripper], spread=[1.0] * 5, edges=[[0.0]] * 5,
    )  # fmt: skip
    inverse = Idm(config)
    with torch.no_grad():
        inverse.all.weight.zero_()
        inverse.all.bias.zero_()
    robot = robots.load("wx250s")
    of = acting.interface(robot, robot.cameras[0].name, 0.6, inverse)
    from lapa_core.model.tokenizer import TextTokenizer

    tokenizer = TextTokenizer.from_file(planner / "tokenizer.model")
    return UnipiPolicy(unipi.load(planner), inverse, tokenizer, of, seed)


@pytest.fixture(scope="module")
def planner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that has learnt nothing, in a folder."""
    folder = tmp_path_factory.mktemp("planner")
    torch.manual_seed(0)
    Planner(PlannerConfig(**options.SIZES["debug"])).save_pretrained(folder)
    from lapa_core.model.fresh import small_tokenizer

    (folder / "tokenizer.model").write_bytes(small_tokenizer(300, ["put it away"]).model)
    return folder


def test_the_steps_of_a_decision_come_to_the_motion(planner: Path) -> None:
    policy = _policy(planner)
    seen = Observation(0, {"front": np.zeros((48, 64, 3), np.uint8)}, "put it away")
    first, second = policy.infer(seen).chunk, policy.infer(seen).chunk
    assert first.deltas.shape == (3, 7) and first.due_s.tolist() == pytest.approx([0, 0.2, 0.4])
    np.testing.assert_allclose(first.deltas[:, :6].sum(0), [0.06, -0.03, 0, 0, 0, 0.3], atol=1e-9)
    assert first.deltas[:, 6].tolist() == [1, 1, 0]  # closed when it is there
    assert second.deltas[:, 6].tolist() == [0, 0, 0]
    policy.reset()
    assert policy.infer(seen).chunk.deltas[:, 6].tolist() == [1, 1, 0]
    with pytest.raises(StaleInput, match="unknown camera 'front'"):
        policy.infer(Observation(0, {}, "put it away"))


def test_an_imagination_is_its_noises(planner: Path) -> None:
    model = unipi.load(planner).eval()
    frame, ids = torch.rand(2, 3, 32, 32), torch.full((2, 32), 5)
    noise = torch.randn(2, 6, 32, 32)
    both = model.imagine(frame, ids, noise)
    torch.testing.assert_close(both[1:], model.imagine(frame[1:], ids[1:], noise[1:]),
                               atol=1e-5, rtol=0)  # fmt: skip
    assert not torch.allclose(both, model.imagine(frame, ids, noise.flip(0)), atol=1e-2)
    model.config.guidance = 1.0  # the words alone, in half the passes
    assert not torch.equal(both, model.imagine(frame, ids, noise))


def test_parts_that_do_not_fit_are_named(planner: Path, tmp_path: Path) -> None:
    two = robots.load("bimanual_wx250s")
    inverse = Idm(IdmConfig(**ENCODERS["debug"], gap_s=0.6))
    with pytest.raises(CheckpointError, match=r"in 0.6 s, the planner imagines 2.4 s ahead"):
        acting.interface(two, two.cameras[0].name, 2.4, inverse)
    with pytest.raises(CheckpointError, match="tells 1 numbers, bimanual_wx250s has 2 arms of 5"):
        acting.interface(two, two.cameras[0].name, 0.6, inverse)
    odd = Idm(IdmConfig(**ENCODERS["debug"], gap_s=0.5))
    with pytest.raises(CheckpointError, match=r"tells what is done in 0 s"):
        acting.interface(two, two.cameras[0].name, 0.6, Idm(IdmConfig(**ENCODERS["debug"])))
    one = robots.load("wx250s")
    odd.config.dimensions = list("abcde")
    with pytest.raises(CheckpointError, match=r"0.5 s ahead are no whole steps of wx250s's 0.2 s"):
        acting.interface(one, one.cameras[0].name, 0.5, odd)
    with pytest.raises(DataError, match=r"tokens; valid: at most 2"):
        unipi.tokens(_policy(planner)._tokenizer, ["put it away"], 2)
    with pytest.raises(ConfigError, match=r"pictures of a multiple of 2 pixels; got 2, 0.6 s, 31"):
        PlannerConfig(image_size=31, channels=(16, 16))
    with pytest.raises(CheckpointError, match="no folder of `lapa pretrain unipi`"):
        unipi.load(tmp_path)
    silent = footage.read(
        [write(tmp_path / "a.mp4", [picture(p) for p in np.linspace(0, 1, 9)])], tmp_path / "c",
        params=StoreParams(size=32), wanted=[PairParams(gap_s=0.2)],
    )  # fmt: skip
    wanted = options.resolve("debug", validation=0.0)
    with pytest.raises(DataError, match="nobody says what is done in this footage"):
        recipe.pretrain(silent, tmp_path / "p", wanted, SMALL, listed={})
    with pytest.raises(ConfigError, match=r"has gap_s 0.6, not 0.2"):
        recipe.pretrain(
            silent, tmp_path / "p", wanted, {"gap_s": 0.2}, listed={"a.mp4": "go"}, source=planner
        )


def test_by_the_commands_from_recordings_to_results(tmp_path: Path) -> None:
    for number in range(4):
        steps = {0.5 + 0.2 * i: d for i, d in enumerate(wander(number, 12))}
        EpisodeMaker().write(tmp_path / f"demos/episode_{number:06d}", Script(steps, 4.0))
    data = [str(tmp_path / "demos"), "--preset", "debug", "--cpu", "--cameras", "front"]
    out = {n: str(tmp_path / n) for n in ("idm", "planner", "policy")}
    assert cli.main(["pretrain", "idm", *data, "--output", out["idm"]]) == 0
    assert cli.main(["pretrain", "unipi", *data, "--output", out["planner"]]) == 0
    words = ["pretrain", "unipi", *data, "--from", out["planner"], "--idm", out["idm"],
             "--output", out["policy"]]  # fmt: skip
    assert cli.main(words) == 0
    assert cli.main([*words, "--resume"]) == 0
    assert (tmp_path / "planner/config.json").is_file()
    assert not (tmp_path / "planner/interface.json").exists()
    results = tmp_path / "eval"
    assert cli.main(
        ["eval", out["policy"], "--suite", "seen", "--episodes", "1", "--max-s", "2",
         "--image-size", "64x48", "--videos", "0", "--out", str(results)]
    ) == 0  # fmt: skip
    assert len((results / "trials.jsonl").read_text("utf-8").splitlines()) == 3
