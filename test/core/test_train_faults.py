# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A training that is killed, or meets a full disk or a NaN, loses nothing that was saved."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import training_child
from full_disk import largest_file
from toy_demos import WORDS, toy_demos

from lapa_core.errors import ConfigError, TrainingError

pytestmark = pytest.mark.torch
QUICK = {"steps": 12, "save_every": 1, "validate_every": 4, "ema": 0.9, "tracker": "none",
         "validation_samples": 4, "method": "full"}  # fmt: skip
LONG = {**QUICK, "steps": 90, "validate_every": 12, "lora_dropout": 0.1,
        "method": "lora", "keep": 3}  # fmt: skip


def states(out: Path) -> list[Path]:
    return sorted(out.with_name(out.name + ".run").glob("state-*"))


def weights(out: Path) -> tuple[bytes, bytes]:
    """The checkpoint's, and everything of the last saved state."""
    last = states(out)[-1] / "rank0.safetensors"
    return (out / "model.safetensors").read_bytes(), last.read_bytes()


def child(out: Path, options: dict[str, Any], begun: Any = None) -> Any:
    process = training_child.context().Process(
        target=training_child.run, args=(str(out), options, begun)
    )
    process.start()
    return process


def whole(out: Path, options: dict[str, Any]) -> float:
    """A run without a kill; gives its seconds."""
    begun = training_child.context().Event()
    process = child(out, options, begun)
    assert begun.wait(60)
    since = time.monotonic()
    process.join(300)
    assert process.exitcode == 0
    return time.monotonic() - since


def killed(out: Path, options: dict[str, Any], kills: int, seconds: float, seed: int) -> int:
    """Run to the end, killed at random moments on the way; gives how often.

    Each process first saves one state more than there was, or the run might never end; then it
    lives for up to two steps' time, of which `seconds` for all of them is the measure.
    """
    chance, hits = random.Random(seed), 0
    while True:
        begun = training_child.context().Event()
        process = child(out, options, begun)
        assert begun.wait(60)
        if hits == kills:
            process.join(300)
            assert process.exitcode == 0
            return hits
        wait_for_progress(out, process, chance.uniform(0, 2 * seconds / options["steps"]))
        if not process.is_alive():
            return hits
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        hits += process.exitcode == -signal.SIGKILL


def wait_for_progress(out: Path, process: Any, more: float) -> None:
    """Wait for a state that is newer than those there now, then `more` seconds."""
    known = states(out)[-1:]
    deadline = time.monotonic() + 60
    while process.is_alive() and states(out)[-1:] == known and time.monotonic() < deadline:
        time.sleep(0.002)
    process.join(more)


def test_a_run_killed_twice_ends_with_the_same_weights(tmp_path: Path) -> None:
    seconds = whole(tmp_path / "whole", QUICK)
    hits = killed(tmp_path / "cut", QUICK, kills=2, seconds=seconds, seed=1)
    assert hits == 2
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    for out in ("cut", "whole"):
        assert len(states(tmp_path / out)) == 2  # as many as `keep` says
    assert _steps(tmp_path / "cut") == _steps(tmp_path / "whole")


def _steps(out: Path) -> list[str]:
    lines = (out.with_name(out.name + ".run") / "metrics.jsonl").read_text().splitlines()
    return [line.partition(",")[0] for line in lines]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_20_times_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Adapters, dropout, a moving average: all that a state holds."""
    seconds = whole(tmp_path / "whole", LONG)
    hits = killed(tmp_path / "cut", LONG, kills=20, seconds=seconds, seed=2)
    assert hits == 20
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


@pytest.mark.slow
def test_a_run_told_to_end_saves_first(tmp_path: Path) -> None:
    options = {**LONG, "steps": 400, "save_every": 400, "validate_every": 400}
    begun = training_child.context().Event()
    process = child(tmp_path / "out", options, begun)
    metrics = tmp_path / "out.run/metrics.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)
    assert process.exitcode == 3
    (saved,) = states(tmp_path / "out")
    assert 0 < int(saved.name.removeprefix("state-")) < 400


# --- in this process ----------------------------------------------------------------------------


def train(
    out: Path,
    *,
    resume: bool = False,
    words: int = 0,
    paraphrases: dict[str, tuple[str, ...]] | None = None,
    **options: Any,
) -> Any:
    from lapa_core.train.finetune import finetune
    from lapa_core.train.presets import resolve
    from lapa_core.train.start import Start

    demos = toy_demos(4, 6, seed=words)
    start = Start.scratch("debug", sentences=WORDS)
    plain = {"tracker": "none", "validate_every": 4, "validation_samples": 2}
    chosen = resolve("debug", **{**plain, **options})
    return finetune(start, demos, out, chosen, paraphrases=paraphrases, resume=resume)


def test_a_failed_save_leaves_the_last_good_state_and_checkpoint(tmp_path: Path) -> None:
    """And with room again the run ends as it would have."""
    train(tmp_path / "whole", steps=8)
    train(tmp_path / "out", steps=4)
    (good,) = states(tmp_path / "out")
    before = weights(tmp_path / "out")
    with (
        largest_file(60_000),
        pytest.raises(TrainingError, match=r"cannot save the state of step 6 .* last saved state"),
    ):
        train(tmp_path / "out", resume=True, steps=8, save_every=6)
    assert states(tmp_path / "out") == [good] and weights(tmp_path / "out") == before
    train(tmp_path / "out", resume=True, steps=8)
    assert weights(tmp_path / "out") == weights(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, which root alone may")
@pytest.mark.parametrize("megabytes", [2, 3, 4])
def test_a_disk_that_fills_up(tmp_path: Path, megabytes: int) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    size = f"size={megabytes}m"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(disk)], check=True)
    try:
        with pytest.raises(TrainingError, match="No space left") as caught:
            train(disk / "out", steps=200, save_every=1, keep=50, validate_every=200)
        assert "\n" not in str(caught.value)
        for state in states(disk / "out"):
            assert (state / "facts.json").is_file()
        shutil.copytree(disk, tmp_path / "rescued")
        made = len(states(tmp_path / "rescued/out"))
        if made:
            step = int(states(tmp_path / "rescued/out")[-1].name.removeprefix("state-"))
            train(tmp_path / "rescued/out", resume=True, steps=step + 1, validate_every=200)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_loss_that_is_no_number_names_step_and_episodes(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        train(tmp_path / "out", steps=40, lr=1e30, save_every=1)
    said = str(caught.value)
    assert "loss" in said and "nan" in said and "episode_000" in said and "state-0000000" in said
    good = states(tmp_path / "out")[-1]
    assert said.startswith(f"step {int(good.name[6:]) + 1}:")


def test_a_run_is_not_begun_over_and_not_continued_as_another(tmp_path: Path) -> None:
    train(tmp_path / "out", steps=2)
    with pytest.raises(ConfigError, match=r"holds a run of 2 updates; --resume"):
        train(tmp_path / "out", steps=4)
    with pytest.raises(ConfigError, match=r"lr: 0.003 then, 0.001 now"):
        train(tmp_path / "out", steps=4, lr=0.001, resume=True)
    with pytest.raises(ConfigError, match="data: "):
        train(tmp_path / "out", steps=4, words=1, resume=True)
    with pytest.raises(ConfigError, match="paraphrases: "):
        train(tmp_path / "out", steps=4, paraphrases={WORDS[0]: ("bin it",)}, resume=True)
    assert train(tmp_path / "out", steps=4, resume=True).step == 4


def test_a_state_of_other_sizes_is_named() -> None:
    from torch import nn

    from lapa_core.train import contents
    from lapa_core.train.optimizer import adamw

    small, large = nn.Linear(2, 3), nn.Linear(2, 4)
    saved = contents.gather(small, adamw(small.parameters()))
    with pytest.raises(TrainingError, match=r"weight is of \(3, 2\) there and of \(4, 2\) here"):
        contents.scatter(saved, large, adamw(large.parameters()))


def test_where_the_tools_were_is_part_of_the_demonstrations() -> None:
    """The aim is learnt from it, so a run with another is another run."""
    from dataclasses import replace

    import numpy as np

    from lapa_core.train.finetune import fingerprint

    demos = toy_demos(2, 4)
    moved = [replace(d, tool=np.full((4, 3), 0.1)) for d in demos.demos]
    assert fingerprint(demos) != fingerprint(replace(demos, demos=tuple(moved)))


def test_a_model_that_does_not_fit_is_said_in_one_line(tmp_path: Path) -> None:
    from types import SimpleNamespace

    import torch

    from lapa_core.model.configuration import preset
    from lapa_core.model.lapa import LapaModel
    from lapa_core.train import loop
    from lapa_core.train.placing import make_accelerator
    from lapa_core.train.presets import resolve
    from lapa_core.train.state import States
    from lapa_core.train.validation import Trainee

    class TooLarge(Trainee):
        """Does not fit the device that it is put on."""

        def to(self, *args: Any, **others: Any) -> Any:
            raise torch.OutOfMemoryError("tried to allocate 26.96 GiB")

    task: Any = SimpleNamespace(trainee=TooLarge(LapaModel(preset("debug").lapa_config())))
    with pytest.raises(TrainingError, match=r"not enough memory on the GPU.*--method lora"):
        loop.train(task, resolve("debug"), States(tmp_path), make_accelerator(cpu=True), {})


def test_what_was_never_finished_is_no_state(tmp_path: Path) -> None:
    import torch

    from lapa_core.train.state import States

    kept = States(tmp_path, keep=2)
    for step in (1, 2, 3):
        kept.write_part(step, {"weight/a": torch.full((2,), float(step))})
        kept.finish(step, {})
    assert [p.name for p in kept.found()] == ["state-00000002", "state-00000003"]
    cut = tmp_path / "state-00000009"
    shutil.copytree(kept.found()[-1], cut)
    (cut / "facts.json").unlink()
    kept.write_part(10, {"weight/a": torch.zeros(2)})
    assert kept.tensors()["weight/a"].tolist() == [3, 3]
    kept.clean()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["state-00000002", "state-00000003"]
    with pytest.raises(TrainingError, match="by 1 processes and can be continued by as many only"):
        States(tmp_path, world=2).tensors()


def test_processes_that_do_not_know_of_each_other_do_not_begin(monkeypatch) -> None:
    """Two that torchrun had started without GPUs both took themselves for the first."""
    from lapa_core.train.placing import make_accelerator

    assert make_accelerator().num_processes == 1
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"2 processes were started .* give --cpu"):
        make_accelerator()
    monkeypatch.setenv("WORLD_SIZE", "")
    make_accelerator()
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(ConfigError, match="4 processes were started"):
        make_accelerator()
