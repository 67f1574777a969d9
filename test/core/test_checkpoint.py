# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The checkpoint folder: complete, strict, saved whole or not at all."""

import json
import resource
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from lapa_core import robot
from lapa_core.errors import CheckpointError, ConfigError
from lapa_core.model import checkpoint as checkpoint_module
from lapa_core.model import fresh
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.configuration import PRESETS, preset
from lapa_core.model.lapa import LapaModel
from lapa_core.model.vqgan import Vqgan

pytestmark = pytest.mark.torch


@pytest.fixture
def folder(debug_checkpoint, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(debug_checkpoint, tmp_path / "checkpoint")


def rewrite(path, change) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def test_what_is_saved_is_what_is_loaded(debug_checkpoint, tmp_path):
    first = Checkpoint.from_pretrained(debug_checkpoint)
    first.save_pretrained(tmp_path / "again")
    second = Checkpoint.from_pretrained(tmp_path / "again")
    assert second.interface == first.interface
    assert second.statistics == first.statistics
    assert second.tokenizer.model == first.tokenizer.model
    for a, b in zip(first.actions.edges, second.actions.edges, strict=True):
        np.testing.assert_array_equal(a, b)
    for part in ("lapa", "vqgan"):
        one, two = getattr(first, part).state_dict(), getattr(second, part).state_dict()
        assert one.keys() == two.keys()
        assert all(torch.equal(one[k], two[k]) for k in one)
    names = {p.relative_to(debug_checkpoint) for p in debug_checkpoint.rglob("*")}
    assert names == {p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*")}


def test_large_models_are_saved_in_shards_and_load(debug_checkpoint, tmp_path):
    loaded = Checkpoint.from_pretrained(debug_checkpoint)
    out = shutil.copytree(debug_checkpoint, tmp_path / "sharded")
    (out / "model.safetensors").unlink()
    loaded.lapa.save_pretrained(out, max_shard_size="200KB")
    assert len(list(out.glob("model-*.safetensors"))) > 1
    again = Checkpoint.from_pretrained(out)
    assert torch.equal(again.lapa.lm_head.weight, loaded.lapa.lm_head.weight)
    next(iter(out.glob("model-00002*.safetensors"))).unlink()
    with pytest.raises(CheckpointError, match="cannot read weights"):
        Checkpoint.from_pretrained(out)


@pytest.mark.parametrize("network", [".", "vqgan"])
def test_missing_extra_and_misshapen_tensors_are_named(folder, network):
    file = folder / network / "model.safetensors"
    whole = file.read_bytes()
    name = min(load_file(file))
    for change, message in (
        (lambda t: t.pop(name), f"missing {name}"),
        (lambda t: t.update(surplus=torch.zeros(2)), "extra surplus"),
        (lambda t: t.update({name: torch.zeros(3, 5, 7)}), rf"{name} is \(3, 5, 7\) instead of"),
    ):
        rewrite(file, change)
        with pytest.raises(CheckpointError, match=message):
            Checkpoint.from_pretrained(folder)
        file.write_bytes(whole)


def test_weights_cut_short_are_refused(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="its header tells of"):
        Checkpoint.from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 4}, "format 4, made by a newer lapa_ros, not readable here; valid: 2, 3"),
        ({"format": 1}, "format 1, made by an older lapa_ros, not readable here; valid: 2, 3"),
        ({"kind": "reward"}, "unknown kind 'reward'"),
        ({"num_tokens": 8}, "8 tokens are not 1 steps of 7 dimensions"),
        ({"center_crop": 1}, "center_crop is missing or wrong"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"cameras": [1]}, "cameras must list names"),
        ({"gripper": "open"}, r"unknown gripper 'open'.*'open_is_one'.*'open_is_zero'"),
        ({"step_time_s": 0}, "must all be above 0"),
    ],
)
def test_a_wrong_interface_is_refused(folder, change, message):
    path = folder / "interface.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CheckpointError, match=message):
        Checkpoint.from_pretrained(folder)


@pytest.mark.parametrize(
    "name", ["interface.json", "config.json", "model.safetensors", "tokenizer.model", "vqgan"]
)
def test_every_part_is_needed(folder, name):
    path = folder / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(CheckpointError, match=name):
        Checkpoint.from_pretrained(folder)


@pytest.mark.parametrize("name", ["interface.json", "config.json", "action_statistics.json"])
@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe"])
def test_a_damaged_file_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        Checkpoint.from_pretrained(folder)


def test_a_folder_that_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint folder"):
        Checkpoint.from_pretrained(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"is no checkpoint: cannot read interface\.json"):
        Checkpoint.from_pretrained(tmp_path)


def test_a_failed_save_leaves_the_old_checkpoint(folder):
    """The disk takes no more than 64 KB a file: the system refuses the weights in the middle."""
    loaded = Checkpoint.from_pretrained(folder)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(CheckpointError, match="cannot write"):
            loaded.save_pretrained(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_a_failed_rename_puts_the_old_checkpoint_back(tmp_path):
    old, aside = tmp_path / "checkpoint", tmp_path / "aside"
    old.mkdir()
    (old / "interface.json").write_text("old")
    with pytest.raises(FileNotFoundError):
        checkpoint_module._replace(old, tmp_path / "vanished", aside)
    assert (old / "interface.json").read_text() == "old" and not aside.exists()


def test_a_save_replaces_a_checkpoint_but_nothing_else(folder, tmp_path):
    loaded = Checkpoint.from_pretrained(folder)
    (folder / "left_over.txt").write_text("old")
    loaded.save_pretrained(folder)
    assert not (folder / "left_over.txt").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match="exists and is no checkpoint"):
        loaded.save_pretrained(tmp_path / "mine")
    assert (tmp_path / "mine/thesis.tex").exists()


def test_others_may_read_what_is_saved(debug_checkpoint):
    for path in debug_checkpoint.rglob("*"):
        assert path.stat().st_mode & 0o044 == 0o044, path


def test_presets_have_the_references_sizes():
    """Parameter counts of the reference's own models (7B and 200m with the action table)."""
    counts = {}
    for name in PRESETS:
        with torch.device("meta"):
            networks = (LapaModel(preset(name).lapa_config()), Vqgan(preset(name).vqgan_config()))
        counts[name] = [sum(p.numel() for p in n.parameters()) for n in networks]
    assert counts["7b"] == [6_809_784_320, 146_244_675]
    assert counts["200m"] == [230_208_512, 146_244_675]
    assert sum(counts["micro"]) < 6e6
    assert sum(counts["debug"]) < 1e6
    with torch.device("meta"):
        latent = LapaModel(preset("7b").lapa_config(action_vocab_size=0))
    assert sum(p.numel() for p in latent.parameters()) == 6_807_687_168
    with pytest.raises(ConfigError, match=r"unknown preset 'mikro'.*did you mean 'micro'"):
        preset("mikro")


def test_a_fresh_checkpoint_is_the_same_for_the_same_seed():
    wx250s = robot.load("wx250s")
    made = [fresh.checkpoint("debug", wx250s, seed=s) for s in (1, 1, 2)]
    weights = [m.lapa.action_head.weight for m in made]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_fresh_bins_stay_within_the_robots_steps():
    wx250s = robot.load("wx250s")
    bins = fresh.synthetic_bins(wx250s, 256)
    assert bins.num_bins == (256,) * 7
    limits = [wx250s.arms[0].max_translation_m] * 3 + [wx250s.arms[0].max_rotation_rad] * 3
    for row, limit in zip(bins.edges[:6], limits, strict=True):
        np.testing.assert_allclose([row[0], row[-1]], [-limit, limit])
        np.testing.assert_allclose(row, -row[::-1], atol=1e-15)
    np.testing.assert_allclose(bins.decode(np.array([0] * 6 + [0]))[6], 0.0, atol=1e-12)
    np.testing.assert_allclose(bins.decode(np.array([0] * 6 + [255]))[6], 1.0)


def test_a_saved_file_is_named_for_weights_never_loaded_loosely(debug_checkpoint):
    """transformers would fill missing weights at random with a warning; here it is an error."""
    config = LapaModel.config_class.from_pretrained(debug_checkpoint)
    config.num_hidden_layers += 1
    with pytest.raises(CheckpointError, match=r"missing model\.layers\.2"):
        LapaModel.from_pretrained(debug_checkpoint, config=config)
    assert isinstance(LapaModel.from_pretrained(debug_checkpoint), LapaModel)
