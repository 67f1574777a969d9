# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Latent actions from real video files: the codes' keeper, what is said of them, the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from filmed import moving, write

from lapa_core import cli
from lapa_core.data.footage.pairs import PairParams
from lapa_core.data.footage.store import StoreParams
from lapa_core.errors import ConfigError, DataError
from lapa_core.model.laq import Laq, LaqConfig
from lapa_core.model.laq.quantiser import Quantiser
from lapa_core.train.laq import check, footage, options
from lapa_core.train.laq.codebook import AsReference, Steady
from lapa_core.train.laq.options import SIZES, LaqOptions

pytestmark = pytest.mark.torch


def quantiser(own: bool = True) -> Quantiser:
    torch.manual_seed(0)
    sizes = {**SIZES["debug"], "own_codebooks": own}
    return Quantiser(LaqConfig(**sizes))


def changes(step: int, n: int = 64) -> torch.Tensor:
    """(n, 4, 8) changes around ten unequally likely places, other ones at each place."""
    chance = torch.Generator().manual_seed(step)
    where = torch.randn(4, 10, 8, generator=torch.Generator().manual_seed(99)) * 3
    likely = torch.tensor([0.3, 0.2, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05])
    picked = torch.multinomial(likely, 4 * n, replacement=True, generator=chance).view(n, 4)
    noise = 0.3 * torch.randn(n, 4, 8, generator=chance)
    return where[torch.arange(4), picked] + noise


@pytest.mark.parametrize("own", [True, False])
def test_steady_codes_are_all_used_from_whatever_they_begin(own: bool) -> None:
    net = quantiser(own)
    net.codebook.data[1:] = 50.0  # all but one are where no change is
    keeper = Steady(net, LaqOptions(begin=5), seed=0, begun=False)
    for step in range(1, 200):
        seen = changes(step)
        keeper.saw(seen, net.codes(seen))
        keeper.update(step)
        assert keeper.ready == (step >= 5)
    found = check.of_codes(net.codes(changes(1000, 2000)).numpy(), 8)
    assert found["dead"] == 0
    if own:  # ten places, eight codes, at each of four
        assert found["used"] == 8 and found["perplexity"] > 5
    assert not net.codebook.requires_grad


def test_a_code_that_dies_begins_anew_where_changes_are() -> None:
    net = quantiser()
    keeper = Steady(net, LaqOptions(begin=1), seed=0, begun=False)
    for step in range(1, 60):
        seen = changes(step)
        keeper.saw(seen, net.codes(seen))
        keeper.update(step)
    keeper._books[2, 5] = 100.0
    keeper.sums[2, 5] = 100.0 * keeper.uses[2, 5]
    revived = 0
    for step in range(60, 600):
        seen = changes(step)
        keeper.saw(seen, net.codes(seen))
        revived += keeper.update(step)
    assert revived >= 1
    assert net.books()[2, 5].abs().max() < 20
    assert check.of_codes(net.codes(changes(1000, 2000)).numpy(), 8)["used"] == 8


def test_what_the_reference_does_puts_the_dead_on_the_living() -> None:
    net = quantiser(own=False)
    keeper = AsReference(net, seed=0)
    for _ in range(10):
        keeper.saw(torch.zeros(4, 4, 8), torch.tensor([[0, 0, 1, 1]] * 4))
    before = net.codebook.detach().clone()
    assert keeper.update(9) == 0 and keeper.update(10) == 6
    apart = torch.cdist(net.codebook.detach(), before[:2]).min(1).values
    assert float(apart.max()) < 1e-5
    assert keeper.update(5000) == 0  # and then never again


def test_many_codes_settle_too() -> None:
    """What is dead is told by a fair share, and that of 64 codes is small."""
    torch.manual_seed(0)
    net = Quantiser(LaqConfig(**{**SIZES["debug"], "codebook_size": 64}))
    keeper = Steady(net, LaqOptions(begin=2), seed=0, begun=False)
    revived = 0
    for step in range(1, 400):
        seen = torch.randn(64, 4, 8, generator=torch.Generator().manual_seed(step))
        keeper.saw(seen, net.codes(seen))
        gone = keeper.update(step)
        revived += gone if step > 300 else 0
    assert revived < 40
    few = Steady(net, LaqOptions(begin=1), seed=0, begun=False)
    few.saw(torch.randn(1, 4, 8), torch.zeros(1, 4, dtype=torch.int64))
    assert few.update(1) == 0 and few.ready  # fewer cells than codes


def test_the_reference_way_is_for_models_like_the_references() -> None:
    with pytest.raises(ConfigError, match="one codebook for all places"):
        AsReference(quantiser(own=True), seed=0)
    told = options.sizes("micro", LaqOptions(quantiser="reference"))
    assert told["reference_axes"] and not told["own_codebooks"] and not told["residual"]
    assert options.sizes("micro", LaqOptions(), codebook_size=5)["codebook_size"] == 5


def test_the_keepers_go_on_from_what_they_saved() -> None:
    made = []
    for saves in (False, True):
        net = quantiser()
        keeper = Steady(net, LaqOptions(begin=5), seed=0, begun=False)
        for step in range(1, 80):
            if saves and step in (3, 40):
                known = {k: t.clone() for k, t in keeper.tensors().items()}
                weights = {k: t.clone() for k, t in net.state_dict().items()}
                net = quantiser()
                net.load_state_dict(weights)
                keeper = Steady(net, LaqOptions(begin=5), seed=7, begun=False)
                keeper.load(known)
            seen = changes(step)
            keeper.saw(seen, net.codes(seen))
            keeper.update(step)
        made.append(net.codebook.detach())
    torch.testing.assert_close(made[0], made[1], atol=0, rtol=0)


def test_codes_are_judged_where_fewest_are_used() -> None:
    codes = np.stack([np.arange(80) % 8, np.arange(80) % 8, np.arange(80) % 2], axis=1)
    found = check.of_codes(codes, 8)
    assert (found["used"], found["dead"], found["joint"]) == (2, 0, 8)
    assert check.of_codes(codes, 8, own=True)["dead"] == 6
    assert found["perplexity"] == pytest.approx(2.0)
    present, future = np.zeros((4, 3, 2, 2)), np.ones((4, 3, 2, 2))
    copied = check.of_drawings(present + 0.1, present, future)
    assert copied["relative"] == pytest.approx(0.81) and copied["nearer"] == 0.0
    good = check.of_drawings(future * 0.8, present, future)
    full = {"used": 8.0, "perplexity": 7.0, "joint": 100.0, "dead": 0.0}
    assert check.verdict({**full, **good}, 8) == check.HEALTHY
    assert check.verdict({**full, **copied}, 8) == check.COPYING
    blurred = check.of_drawings(present - 0.1, present, future)
    assert check.verdict({**full, **blurred}, 8) == check.WORSE  # though that copies nothing
    half = check.of_drawings(present + 0.4, present, future)  # most of it, nearer what was
    assert half["nearer"] == 0.0 and check.verdict({**full, **half}, 8) == check.WEAK
    assert check.verdict({**full, **good, "used": 6.0}, 8) == check.WEAK
    assert check.verdict({**full, **good, "perplexity": 1.4}, 8) == check.COLLAPSING
    assert "collapsing" in check.said({**full, **good, "perplexity": 1.4}, 8)


def test_a_probe_tells_how_much_motion_codes_hold() -> None:
    chance = np.random.default_rng(0)
    codes = chance.integers(8, size=(400, 4))
    moves = np.stack([0.01 * codes[:, 0], 0.02 * codes[:, 2] - 0.01 * codes[:, 1]], axis=1)
    assert check.probe(codes, 8, moves) > 0.95
    assert check.probe(codes, 8, moves[chance.permutation(400)]) < 0.05
    noisy = moves + chance.normal(size=moves.shape) * moves.std(axis=0)
    assert 0.3 < check.probe(codes, 8, noisy) < 0.6  # half of it is noise
    moves[100:] = np.nan
    assert check.probe(codes, 8, moves) > 0.8
    moves[40:] = np.nan
    assert np.isnan(check.probe(codes, 8, moves))
    assert np.isnan(check.probe(codes, 8, np.zeros((400, 0))))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    for number in range(8):
        write(folder / f"{number}.mp4", moving(40, begin=number / 8))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


def command(videos: Path, output: Path, *more: str) -> list[str]:
    return ["pretrain", "laq", str(videos), "--output", str(output), "--preset", "debug",
            "--cpu", "--begin", "4", "--tracker", "none", *more]  # fmt: skip


def test_the_command_learns_from_videos_and_says_what_of(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "laq"
    assert cli.main(command(videos, out)) == 0
    shown = capsys.readouterr()
    assert "8 clips" in shown.err and f"refused: {videos / 'broken.mp4'}" in shown.err
    assert "nothing so long after it" in shown.err
    assert "of repeating the present frame's" in shown.out
    told = json.loads((out / "training.json").read_text())
    assert told["verdict"] in (
        check.HEALTHY, check.COLLAPSING, check.COPYING, check.WORSE, check.WEAK,
    )  # fmt: skip
    assert set(told["validation"]) >= {"relative", "nearer", "used", "perplexity", "dead"}
    model = Laq.from_pretrained(out)
    assert model.encode(torch.rand(2, 3, 2, 64, 64)).shape == (2, 4)
    assert cli.main(command(videos, out)) == 2
    assert "--resume goes on with it" in capsys.readouterr().err
    assert cli.main(command(videos, tmp_path / "more", "--from", str(out), "--codes", "5")) == 2
    assert "has --codes 8, not 5" in capsys.readouterr().err
    assert cli.main(command(videos, tmp_path / "more", "--from", str(out), "--steps", "4")) == 0


def test_it_goes_on_as_if_it_had_never_stopped(videos: Path, tmp_path: Path) -> None:
    frames = str(tmp_path / "frames")
    # A constant rate, so that fewer updates are the beginning of more.
    rest = ("--cache", frames, "--threads", "1", "--seed", "3", "--warmup", "0")
    assert cli.main(command(videos, tmp_path / "whole", *rest)) == 0
    assert cli.main(command(videos, tmp_path / "cut", *rest, "--steps", "10")) == 0
    assert cli.main(command(videos, tmp_path / "cut", *rest, "--resume")) == 0
    for state in ("state-00000020",):
        one, other = (
            tmp_path / f"{name}.run" / state / "rank0.safetensors" for name in ("whole", "cut")
        )
        assert one.read_bytes() == other.read_bytes()


def test_folders_with_clips_of_the_same_names_are_all_read(videos: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for number, folder in enumerate((one, two)):
        folder.mkdir()
        write(folder / "same.mp4", moving(20 + 5 * number, begin=number / 3))
    (one / "broken.mp4").write_bytes(b"no video")
    write(two / "broken.mp4", moving(15))
    found = footage.read(
        [one, two],
        tmp_path / "cache",
        params=StoreParams(size=32),
        wanted=[PairParams()] * 2,
        workers=2,
    )
    assert sorted(len(c) for c in found.clips) == [15, 20, 25]
    assert list(found.report.refused) == [str(one / "broken.mp4")]
    learn, held = found.split(0.5, 0)
    assert not set(learn.owner.tolist()) & set(held.owner.tolist()) and len(held)


def test_each_source_has_its_own_gap(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Robots move in 0.6 s what people move in 2.4 s."""
    robot, people = tmp_path / "robot", tmp_path / "robot" / "people"
    for folder in (people, robot):
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / f"{folder.name}.mp4", moving(60))
    own = [PairParams(gap_s=0.6, still=0), PairParams(gap_s=2.4, still=0)]
    found = footage.read(
        [robot, people], tmp_path / "cache", params=StoreParams(size=32), wanted=own
    )
    inner = {n for n, clip in enumerate(found.sources) if clip.path.parent == people}
    assert len(found.clips) == 3 and len(inner) == 2  # found below both, once each
    for n, clip in enumerate(found.clips):
        apart = np.diff(clip.times_s[found.rows[found.owner == n]]).ravel()
        assert len(apart) and np.allclose(apart, 2.4 if n in inner else 0.6, rtol=0.25)
    command_line = command(videos, tmp_path / "laq", "--gap", "0.6", "--gap", "2.4")
    assert cli.main(command_line) == 2
    assert "--gap is given 2 times for 1 DATA" in capsys.readouterr().err
    idm = ["pretrain", "idm", str(robot), str(people), "--gap", "0.6", "--gap", "2.4"]
    assert cli.main([*idm, "--output", str(tmp_path / "idm"), "--cpu"]) == 2
    assert "needs one for all DATA, got 0.6, 2.4" in capsys.readouterr().err


def test_what_has_no_pair_is_not_held_back(tmp_path: Path) -> None:
    write(tmp_path / "good.mp4", moving(20))
    write(tmp_path / "one.mp4", moving(1))
    found = footage.read(
        [tmp_path], tmp_path / "cache", params=StoreParams(size=32), wanted=[PairParams()]
    )
    with pytest.raises(DataError, match="one clip cannot be split"):
        found.split(0.5, 0)
    learn, held = found.split(0.0, 0)
    assert len(learn) == len(found) and not len(held)


def test_wrong_wishes_are_refused(
    videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more, words in (
        (("--gap", "0"), "gap of a pair must be above 0"),
        (("--gap", "100"), "not one pair of pictures"),
        (("--dead-share", "1"), "dead_share must be below 1"),
        (("--begin", "20"), "codes begin after 20 updates, and there are 20"),
        (("--workers", "0"), "1 process or more, got 0"),
        (("--rate", "-1"), "rate must be 0 or more"),
        (("--length", "100"), "too many for"),
    ):
        assert cli.main(command(videos, tmp_path / "laq", *more)) == 2
        assert words in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    assert cli.main(command(videos, tmp_path / "other")) == 2
    assert "is no LAQ" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="quantiser"):
        LaqOptions(quantiser="none")
