# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa finetune` from recorded episodes to a policy, and what it refuses in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from recorded import EpisodeMaker, Script, wander
from toy_demos import WORDS, toy_demos

from lapa_core.cli import main
from lapa_core.errors import CheckpointError, ConfigError

pytestmark = pytest.mark.torch
STEPS = 4
# Every picture of a made episode is of another colour, as if the scene were cut every step.
QUICK = ["--preset", "debug", "--cpu", "--no-cuts", "--variants", "1", "--tracker", "none"]


def script(seed: int, **others: Any) -> Script:
    steps = wander(seed, STEPS)
    return Script({round(1.0 + 0.2 * i, 3): s for i, s in enumerate(steps)}, 2.2, **others)


@pytest.fixture(scope="module")
def demos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "demos"
    for i in range(4):
        EpisodeMaker().write(folder / f"episode_{i:04d}", script(i), episode=i)
    return folder


def finetune(*words: object) -> int:
    return main(["finetune", *map(str, words)])


def test_recorded_episodes_become_a_policy(
    demos: Path, debug_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import numpy as np

    from lapa_core.policy.policy import Policy

    others = tmp_path / "words.txt"
    others.write_text(f"\ufeff# tidy\n{WORDS[0]} -> bin the red one | tidy up the red block\n")
    state = ["--state", "wx250s/x", "wx250s/gripper"]
    assert (
        finetune(
            demos, "--from", debug_checkpoint, "--output", tmp_path / "out", *QUICK, *state,
            "--steps", 6, "--chunk", 2, "--label-spread", 1.5, "--cache", tmp_path / "cache",
            "--tracker", "tensorboard", "--paraphrases", others,
        )
        == 0
    )  # fmt: skip
    shown = capsys.readouterr()
    assert f"{tmp_path / 'out'}: 6 updates, the best after 6" in shown.out
    assert "16 of" in shown.err and "quantisation error" in shown.err and "ETA" in shown.err
    assert "validation after 6: " in shown.err and " mm" in shown.err and " deg" in shown.err
    policy = Policy.from_checkpoint(tmp_path / "out")
    assert policy.trained and policy.chunk_length == 2
    assert policy.checkpoint.interface.state == ("wx250s/x", "wx250s/gripper")
    grey = np.full((48, 64, 3), 128, dtype=np.uint8)
    state = {"wx250s/x": 0.2, "wx250s/gripper": 1.0}
    assert policy.predict(grey, WORDS[0], state).tokens.shape == (14,)
    on = ["--from", tmp_path / "out", *QUICK, "--steps", 1, "--cache", tmp_path / "cache"]
    assert finetune(demos, *on, "--output", tmp_path / "on") == 0
    assert "--state as " in capsys.readouterr().err
    again = Policy.from_checkpoint(tmp_path / "on").checkpoint.interface
    assert again.state == ("wx250s/x", "wx250s/gripper")
    assert finetune(demos, *on, "--output", tmp_path / "off", "--state", "none") == 0
    assert Policy.from_checkpoint(tmp_path / "off").checkpoint.interface.state == ()
    files = {p.name for p in (tmp_path / "out.run").iterdir()}
    assert {"metrics.jsonl", "curves.png", "options.json", "tensorboard"} <= files
    events = list((tmp_path / "out.run/tensorboard").iterdir())
    assert events and events[0].stat().st_size > 500


def test_from_scratch_with_adapters_beside(
    demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2
    import numpy as np

    from lapa_core.model.checkpoint import Checkpoint

    assert (
        finetune(
            demos, "--from", "scratch", "--output", tmp_path / "out", *QUICK, "--steps", 2,
            "--model", "hidden_size=48", "--places", "--smooth-start", "--codebook",
            "--point-weight", 1, "--aim-bins", 16, "--read-steps", 2,
            "--method", "lora", "--keep-adapter", "--cache", tmp_path / "cache",
        )
        == 0
    )  # fmt: skip
    made = Checkpoint.from_pretrained(tmp_path / "out")
    assert (made.lapa.config.hidden_size, made.lapa.config.vision_positions) == (48, 257)
    assert made.interface.aim == ("wx250s/aim_x", "wx250s/aim_y")
    assert made.interface.num_tokens == 9
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.zeros((48, 64, 3), dtype=np.uint8))
    asked = ["--image", str(photo), "--instruction", WORDS[0]]
    assert main(["infer", str(tmp_path / "out"), *asked]) == 0
    assert "wx250s/aim_x" in capsys.readouterr().out
    adapter = json.loads((tmp_path / "out.run/adapter/adapter_config.json").read_text())
    assert adapter["peft_type"] == "LORA"
    assert (
        adapter["base_model_name_or_path"] == "scratch (debug, hidden_size 48, codebook, seed 0)"
    )
    metrics = (tmp_path / "out.run/metrics.jsonl").read_text().splitlines()
    assert json.loads(metrics[0])["train/loss_point"] > 0


def test_corrections_recorded_later_are_learnt_from_too(
    demos: Path, debug_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their episodes have the same numbers, and other steps."""
    later = tmp_path / "later"
    for i in range(2):
        EpisodeMaker().write(later / f"episode_{i:04d}", script(10 + i), episode=i)
    words = ["--from", debug_checkpoint, *QUICK, "--steps", 1, "--cache", tmp_path / "cache"]
    assert finetune(demos, "--also", later, *words, "--output", tmp_path / "out") == 0
    shown = capsys.readouterr().err
    assert f"{demos} and {later}: 24 of " in shown and "of 6 episodes are used" in shown
    moved = tmp_path / "moved"
    EpisodeMaker().write(moved / "episode_0000", script(3), episode=0)
    file = moved / "episode_0000" / "episode.yaml"
    file.write_text(file.read_text("utf-8").replace("step_time_s: 0.2", "step_time_s: 0.1"))
    said = refused(capsys, demos, "--also", moved, *words, "--output", tmp_path / "never")
    assert "not of one robot" in said and "step_time_s" in said
    assert str(moved) in said and not (tmp_path / "never").exists()
    words += ["--also-times", 0]
    said = refused(capsys, demos, "--also", later, *words, "--output", tmp_path / "never")
    assert "--also-times must be 1 or more, got 0" in said


def step_file(folder: Path) -> Path:
    """The reference's JSON: two episodes of four steps, pictures beside it."""
    import cv2
    import numpy as np

    chance = np.random.default_rng(0)
    steps = []
    for number in range(8):
        name = f"episode_{number // 4}/step_{number % 4}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture = chance.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{name}.png"), picture)
        actions = [*chance.normal(0, 0.01, 6).round(4).tolist(), float(number % 2)]
        steps.append({
            "id": name,
            "image": f"{name}.png",
            "conversations": [
                {"from": "human", "value": f"<image>\nWhat action should the robot take to "
                                           f"`{WORDS[0]}`"},
                {"from": "gpt", "value": "", "raw_actions": actions},
            ],
        })  # fmt: skip
    (folder / "steps.json").write_text(json.dumps(steps))
    return folder / "steps.json"


def test_the_references_json_becomes_a_policy(
    debug_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = step_file(tmp_path / "data")
    words = [file, "--from", debug_checkpoint, "--output", tmp_path / "out", *QUICK, "--steps", 2]
    assert "does not say whose steps it has; give --robot" in refused(capsys, *words)
    words += ["--robot", "wx250s"]
    assert "one camera; valid --cameras: front" in refused(capsys, *words, "--cameras", "wrist")
    assert "valid --state: none" in refused(capsys, *words, "--state", "wx250s/x")
    assert finetune(*words) == 0
    assert "8 of 8" in capsys.readouterr().err
    codes = sorted((tmp_path / "data/steps.json.tokens").iterdir())
    assert len(codes) == 2
    before = [f.stat().st_mtime_ns for f in codes]
    assert finetune(*words[:-2], "--robot", "wx250s", "--resume", "--steps", 3) == 0
    assert [f.stat().st_mtime_ns for f in codes] == before


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert finetune(*words) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("lapa finetune: ") or len(said) > 1
    return "\n".join(said)


def test_what_cannot_be_trained_on_is_said_in_one_line(
    demos: Path, debug_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_what = ["--from", debug_checkpoint, "--output", tmp_path / "out", *QUICK]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert str(empty) in refused(capsys, empty, *with_what)
    assert "no data set at" in refused(capsys, tmp_path / "missing", *with_what)
    said = refused(capsys, demos, *with_what, "--cameras", "wrist", "--cache", tmp_path / "c")
    assert "wrist" in said and "front" in said
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "episode_0000").symlink_to(demos / "episode_0000")
    EpisodeMaker("vx300s").write(mixed / "episode_0001", script(1), episode=1)
    said = refused(capsys, mixed, *with_what, "--cache", tmp_path / "c")
    assert "not of one robot" in said and "vx300s" in said and "wx250s" in said
    assert "needs DEMOS" in refused(capsys, "--preset", "debug")
    assert "needs CUDA" in refused(capsys, demos, *with_what, "--method", "qlora")
    assert not (tmp_path / "out").exists()


def test_a_slip_of_the_operator_is_said_before_anything_is_read(
    debug_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Options that would do nothing, an output that would be spoilt, a folder without a name."""
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    at = ["--output", tmp_path / "out", *QUICK]
    there = ["--from", debug_checkpoint]
    assert "no episode that ended" in refused(capsys, ".", *there, *at)
    slips = [
        ([".", *there, *QUICK, "--output", "."], "exists and is no checkpoint"),
        ([".", *there, *QUICK, "--output", debug_checkpoint], "is what the training begins with"),
        ([".", *there, *at, "--model", "hidden_size=64", "--codebook"],
         "--codebook, --model would do nothing"),
        ([".", *there, *at, "--robot", "wx250s"], "--robot would do nothing: valid with a JSON"),
        (["a.json", *there, *at, "--labels", "executed"], "--labels would do nothing: a.json"),
        ([".", *there, *at, "--mapping", "m.yaml", "--flagged"], "--flagged would do nothing"),
        ([".", *there, *at, "--cameras", "front", "front"], "camera front is asked for more than"),
        (["--plan", "--gpu-memory", "0"], "--gpu-memory must be above 0, got 0"),
    ]  # fmt: skip
    for words, said in slips:
        assert said in refused(capsys, *words)


def test_an_output_that_is_no_checkpoint_is_left_alone(
    demos: Path, debug_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("years of work")
    words = [demos, "--from", debug_checkpoint, "--output", tmp_path / "thesis", *QUICK]
    assert "is no checkpoint" in refused(capsys, *words, "--cache", tmp_path / "cache")
    assert (tmp_path / "thesis/chapter.tex").read_text() == "years of work"


def test_going_on_with_the_actions_of_a_checkpoint(tmp_path: Path) -> None:
    """Its bins stay its own; a checkpoint of other numbers is refused."""
    from dataclasses import replace

    from lapa_core.train.finetune import finetune as train
    from lapa_core.train.presets import resolve
    from lapa_core.train.start import Start, ready

    options = resolve("debug", steps=2, tracker="none")
    train(Start.scratch("debug", sentences=WORDS), toy_demos(4, 5), tmp_path / "a", options)
    kept = resolve("debug", action_head="keep")
    first = Start.checkpoint(tmp_path / "a")
    before = first.lapa.action_head.weight.clone()
    second = ready(first, toy_demos(4, 5, seed=1), kept)
    assert second.actions is first.actions
    assert second.lapa.action_head.weight.equal(before)
    smooth = resolve("debug", action_head="keep", places=True, smooth_start=True)
    third = Start.checkpoint(tmp_path / "a")
    learnt = third.lapa.action_embed.weight.clone()
    made = ready(third, toy_demos(4, 5, seed=1), smooth)
    assert made.lapa.action_embed.weight.equal(learnt)  # only what is new is drawn smooth
    places = made.lapa.vision_position.weight
    assert places.abs().sum() > 0
    made.save_pretrained(tmp_path / "b")
    fourth = ready(Start.checkpoint(tmp_path / "b"), toy_demos(4, 5), replace(smooth, seed=7))
    assert fourth.lapa.vision_position.weight.equal(places)
    anew = ready(Start.checkpoint(tmp_path / "b"), toy_demos(4, 5),
                 replace(smooth, action_head="new"))  # fmt: skip
    assert not anew.lapa.action_embed.weight.equal(learnt)
    with pytest.raises(ConfigError, match="below the action table's 32 rows"):
        ready(Start.checkpoint(tmp_path / "b"), toy_demos(4, 5), replace(smooth, aim_bins=64,
                                                                        num_bins=256))  # fmt: skip
    other = replace(toy_demos(4, 5), step_time_s=0.1)
    with pytest.raises(CheckpointError, match=r"step_time_s: 0.2 there, 0.1 here"):
        ready(Start.checkpoint(tmp_path / "a"), other, kept)
    with pytest.raises(ConfigError, match="multiple of twice the 3 num_attention_heads"):
        Start.scratch("debug", sentences=WORDS, changes={"num_attention_heads": 3})
    with pytest.raises(CheckpointError, match="has no actions to keep"):
        ready(Start.scratch("debug"), toy_demos(4, 5), kept)


def test_paraphrases_are_read_and_a_wrong_line_is_named(tmp_path: Path) -> None:
    from lapa_core.train.finetune import read_paraphrases

    file = tmp_path / "words.txt"
    file.write_text(
        f"# other words\n{WORDS[0]} -> bin it | tidy up\n\n{WORDS[0]} -> away with it\n"
    )
    assert read_paraphrases(file, {*WORDS}) == {WORDS[0]: ("bin it", "tidy up", "away with it")}
    with pytest.raises(ConfigError, match="none of the instructions: fly"):
        read_paraphrases(file, {"fly"})
    file.write_text(f"{WORDS[0]} = bin it\n")
    with pytest.raises(ConfigError, match=r"words.txt:1: must be"):
        read_paraphrases(file, {*WORDS})


def test_the_plan_counts_this_models_weights(capsys: pytest.CaptureFixture[str]) -> None:
    """On paper and in the model: the same number of weights; QLoRA of 7B fits 24 GB."""
    from lapa_core.model.configuration import preset
    from lapa_core.model.lapa import LapaModel
    from lapa_core.train import adapters, memory

    config = preset("debug").lapa_config()
    model = LapaModel(config)
    assert sum(memory.parameters(config)) == sum(p.numel() for p in model.parameters())
    before = sum(p.numel() for p in model.parameters())
    import torch

    from lapa_core.train.presets import resolve

    adapters.adapt(model, resolve("debug", method="lora", lora_rank=5), torch.device("cpu"))
    assert memory.adapters(config, 5) == sum(p.numel() for p in model.parameters()) - before
    assert finetune("--preset", "7b", "--plan", "--gpu-memory", 24) == 0
    rows = capsys.readouterr().out.splitlines()
    (qlora,) = (r for r in rows if r.startswith("QLoRA 32, 4 bits, checkpointing"))
    assert qlora.endswith("fits") and "6.81 G weights" in rows[0]
    (full,) = (r for r in rows if r.startswith("full, float32 weights   "))
    assert full.endswith("GPUs, sharded")


@pytest.mark.parametrize(("method", "kept"), [("full", (34, 8)), ("lora", (28, 8))])
def test_the_plan_knows_what_a_layer_keeps(
    method: str, kept: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that autograd really saves, a token and layer, against the formula's."""
    import torch

    from lapa_core.model import attention
    from lapa_core.model.configuration import preset
    from lapa_core.model.lapa import LapaModel
    from lapa_core.train import adapters, memory
    from lapa_core.train.presets import resolve

    monkeypatch.setattr(attention, "_LONGEST_WHOLE", 0)  # blockwise, as on a GPU
    assert memory._KEPT[method] == kept
    kind = torch.bfloat16 if method == "lora" else torch.float32

    def saved(layers: int, hidden: int) -> int:
        sizes = {
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "intermediate_size": 2 * hidden,
        }
        model = LapaModel(preset("debug").lapa_config(**sizes)).to(kind).train()
        adapters.adapt(model, resolve("debug", method=method, lora_rank=1), torch.device("cpu"))
        own = {p.untyped_storage().data_ptr() for p in model.parameters()}
        found: dict[int, int] = {}
        alive = []

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            is_weight = tensor.ndim == 2 and hidden in tensor.shape and tensor.shape[0] != 256
            if storage.data_ptr() not in own and not is_weight:  # copies of autocast
                found[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
            return tensor

        ids = torch.zeros((2, 128), dtype=torch.long)
        with (
            torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t),
            torch.autocast("cpu", torch.bfloat16),
        ):
            model(ids, ids)
        return sum(found.values())

    measured = (saved(2, 64) - saved(1, 64)) / 256
    formula = kept[0] * 64 + kept[1] * 128
    assert measured == pytest.approx(formula, rel=0.06)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_adapters_are_gathered_from_their_shards(tmp_path: Path) -> None:
    """Every process takes part in it; the first one alone would wait for the others for ever."""
    from safetensors.torch import load_file

    code = (
        "import sys; from pathlib import Path; from toy_demos import *\n"
        "from lapa_core.train.finetune import finetune\n"
        "from lapa_core.train.presets import resolve\n"
        "from lapa_core.train.start import Start\n"
        "o = resolve('debug', steps=1, tracker='none', shard=True, method='lora')\n"
        "finetune(Start.scratch('debug', sentences=WORDS), toy_demos(4, 12),\n"
        "         Path(sys.argv[1]), o, keep_adapter=True)\n"
    )
    (tmp_path / "train.py").write_text(code)
    here = Path(__file__).parent
    path = f"{here}:{here.parent.parent}"
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    two = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    argv = [sys.executable, *two, str(tmp_path / "train.py"), str(tmp_path / "out")]
    subprocess.run(argv, env=env, check=True, timeout=280)
    kept = load_file(tmp_path / "out.run/adapter/adapter_model.safetensors")
    name = "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight"
    assert kept[name].shape == (32, 32)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("shard", [False, True])
def test_two_processes_learn_what_one_does(shard: bool, tmp_path: Path) -> None:
    """DDP, and weights split over the processes (FSDP): one command, the same weights."""
    from safetensors.torch import load_file

    code = (
        "import sys; from pathlib import Path; from toy_demos import *\n"
        "from lapa_core.train.finetune import finetune\n"
        "from lapa_core.train.presets import resolve\n"
        "from lapa_core.train.start import Start\n"
        "o = resolve('debug', steps=int(sys.argv[2]), batch=int(sys.argv[3]), tracker='none',\n"
        "            ema=0.9, shard=sys.argv[4] == 'True', validate_every=3, save_every=3)\n"
        "finetune(Start.scratch('debug', sentences=WORDS), toy_demos(8, 12, state=1),\n"
        "         Path(sys.argv[1]), o, resume=True)\n"
    )
    script_file = tmp_path / "train.py"
    script_file.write_text(code)
    here = Path(__file__).parent
    path = f"{here}:{here.parent.parent}"
    env = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    two = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

    def run(launcher: list[str], *words: object) -> None:
        argv = [sys.executable, *launcher, str(script_file), *map(str, words)]
        subprocess.run(argv, env=env, check=True, timeout=300)

    run([], tmp_path / "one", 6, 8, False)
    run(two, tmp_path / "two", 3, 4, shard)
    run(two, tmp_path / "two", 6, 4, shard)
    one, both = (load_file(tmp_path / n / "model.safetensors") for n in ("one", "two"))
    assert one.keys() == both.keys()
    for name, tensor in one.items():
        assert float((both[name] - tensor).abs().max()) < 2e-4, name
