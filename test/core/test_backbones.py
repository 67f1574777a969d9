# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What latent pretraining begins with besides LAPA: LWM, and any Llama of Hugging Face."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from filmed import moving, write
from safetensors.torch import load_file, save_file
from test_convert import tiny_config, tiny_tensors
from test_convert import write as write_params
from transformers import LlamaConfig, LlamaForCausalLM

from lapa_core import cli
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.configuration import preset
from lapa_core.model.convert import lapa as convert_lapa
from lapa_core.model.fresh import small_tokenizer
from lapa_core.model.laq import Laq, LaqConfig
from lapa_core.model.vocabulary import Table
from lapa_core.model.vqgan import Vqgan
from lapa_core.train.laq.options import SIZES

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def vqgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image tokenizer with random weights."""
    folder = tmp_path_factory.mktemp("tokenizer") / "vqgan"
    torch.manual_seed(0)
    Vqgan(preset("debug").vqgan_config()).save_pretrained(folder)
    return folder


def llama(folder: Path, *, tied: bool = False, dtype: torch.dtype = torch.float32) -> Path:
    """A small Llama as on Hugging Face, whose heads share keys and values in pairs."""
    words = small_tokenizer(400)
    config = LlamaConfig(
        vocab_size=len(words) + 3, hidden_size=48, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, rope_theta=1e4, rms_norm_eps=1e-5,
        max_position_embeddings=512, tie_word_embeddings=tied, initializer_range=0.2,
    )  # fmt: skip
    torch.manual_seed(1)
    LlamaForCausalLM(config).to(dtype).save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(words.model)
    return folder


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()  # what transformers shows while it writes
    assert cli.main(["convert", *argv]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("tied", [False, True])
def test_a_llama_says_what_it_said_before(tmp_path: Path, vqgan: Path, tied: bool) -> None:
    source = llama(tmp_path / "llama", tied=tied)
    out = tmp_path / "out"
    assert cli.main(["convert", "llama", str(source), str(out), "--vqgan", str(vqgan)]) == 0
    made = Checkpoint.from_pretrained(out)
    ids = torch.tensor([made.tokenizer.encode("put the carrot on the plate, then wait")])
    before = LlamaForCausalLM.from_pretrained(source).eval()
    with torch.no_grad():
        states = made.lapa(ids, torch.full_like(ids, Table.TEXT))
        torch.testing.assert_close(
            made.lapa.logits(states, Table.TEXT), before(ids).logits, atol=1e-4, rtol=1e-4
        )
    assert made.interface.kind == "latent" and not made.interface.trained
    assert made.lapa.latent_head.weight.shape == (8, 48)


def test_in_bfloat16_its_angles_are_not_rounded_as_lapas_are(tmp_path: Path, vqgan: Path) -> None:
    source = llama(tmp_path / "llama", dtype=torch.bfloat16)
    out = tmp_path / "out"
    assert cli.main(["convert", "llama", str(source), str(out), "--vqgan", str(vqgan)]) == 0
    made = Checkpoint.from_pretrained(out, dtype="bfloat16")
    where = torch.tensor([[301]])
    found = made.lapa.model.rotary_emb(torch.zeros(1), where)[0][0, 0, 0]
    assert float(found) == pytest.approx(np.cos(301.0), abs=1e-4)
    stored = load_file(out / "model.safetensors")
    assert stored["model.layers.0.mlp.up_proj.weight"].dtype == torch.bfloat16


def test_pictures_that_look_alike_begin_alike(tmp_path: Path, vqgan: Path) -> None:
    source = llama(tmp_path / "llama")
    out = tmp_path / "out"
    assert cli.main(["convert", "llama", str(source), str(out), "--vqgan", str(vqgan)]) == 0
    made = Checkpoint.from_pretrained(out)
    book, table = made.vqgan.codebook.weight, made.lapa.vision_embed.weight[:512]
    book = book - book.mean(0)
    apart, between = torch.pdist(book), torch.pdist(table)
    assert float(torch.corrcoef(torch.stack([apart, between]).detach())[0, 1]) > 0.999


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mistral"}, "model_type is 'mistral'; valid: 'llama'"),
        ({"attention_bias": True}, "attention_bias is True; valid: False"),
        ({"rope_scaling": {"rope_type": "llama3"}}, "angles are scaled (llama3)"),
        ({"num_key_value_heads": 3}, "4 heads, 3 of keys and values"),
        ({"num_hidden_layers": 3}, "missing model.layers.2"),
    ],
)
def test_what_is_not_computed_here_is_refused(
    tmp_path: Path, vqgan: Path, capsys: pytest.CaptureFixture[str], change: dict, message: str
) -> None:
    source = llama(tmp_path / "llama")
    content = json.loads((source / "config.json").read_text())
    if "rope_scaling" in change:
        content.pop("rope_parameters", None)
    (source / "config.json").write_text(json.dumps(content | change))
    argv = ["llama", str(source), str(tmp_path / "out"), "--vqgan", str(vqgan)]
    assert message in refused(argv, capsys)
    assert not (tmp_path / "out").exists()


def test_a_llama_without_sentencepiece_is_refused(
    tmp_path: Path, vqgan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = llama(tmp_path / "llama")
    (source / "tokenizer.model").rename(source / "tokenizer.json")
    argv = ["llama", str(source), str(tmp_path / "out"), "--vqgan", str(vqgan)]
    assert "valid: Llamas with a sentencepiece tokenizer.model" in refused(argv, capsys)


def test_half_precision_and_other_types(
    tmp_path: Path, vqgan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = llama(tmp_path / "llama", dtype=torch.float16)
    argv = ["llama", str(source), str(tmp_path / "out"), "--vqgan", str(vqgan)]
    assert cli.main(["convert", *argv]) == 0
    tensors = load_file(source / "model.safetensors")
    save_file({n: t.double() for n, t in tensors.items()}, source / "model.safetensors")
    assert "is F64; valid: BF16, F16, F32" in refused(argv, capsys)


def lwm(released, tmp_path: Path) -> list[str]:
    """Arguments for files like those of LWM-Chat-1M, small."""
    config = tiny_config()
    tensors = tiny_tensors()
    for name in convert_lapa.LATENT_TABLES:
        del tensors[name]
    write_params(tmp_path / "params", tensors)
    sizes = {
        "vocab_size": 1000, "vision_vocab_size": 8448, "hidden_size": 8, "intermediate_size": 12,
        "num_hidden_layers": 3, "num_attention_heads": 2, "rms_norm_eps": config.rms_norm_eps,
        "theta": config.rope_theta, "max_sequence_length": 1048576,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    argv = ["lwm", str(tmp_path), str(tmp_path / "out")]
    argv += ["--config", str(tmp_path / "config.json"), "--vqgan", str(released.vqgan)]
    argv += ["--vqgan-config", str(released.vqgan_config)]
    return [*argv, "--tokenizer", str(released.tokenizer)]


def test_lwm_gets_tables_of_latent_codes_as_the_reference_draws_them(
    released, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = lwm(released, tmp_path)
    assert cli.main(["convert", *argv]) == 0
    made = Checkpoint.from_pretrained(tmp_path / "out")
    assert made.interface.kind == "latent" and not made.interface.trained
    words = tiny_tensors()["transformer/wte/embedding"]
    np.testing.assert_array_equal(made.lapa.model.embed_tokens.weight.detach(), words)
    table, head = made.lapa.latent_embed.weight, made.lapa.latent_head.weight
    assert table.shape == head.shape == (8, 8)
    assert float(table.std()) == pytest.approx(8**-0.5, rel=0.2)  # of the stored first axis
    assert not torch.equal(table, head)
    assert "LWM knows no actions: --robot" in refused([*argv, "--robot", "wx250s"], capsys)
    write_params(tmp_path / "params", tiny_tensors())  # LAPA's own
    assert "extra transformer/dte/embedding" in refused(argv, capsys)


def test_latent_pretraining_goes_on_from_a_llama(tmp_path: Path, vqgan: Path) -> None:
    torch.manual_seed(0)
    Laq(LaqConfig(**SIZES["debug"])).save_pretrained(tmp_path / "laq")
    (tmp_path / "videos").mkdir()
    for number in range(6):
        write(tmp_path / "videos" / f"{number}.mp4", moving(14, begin=number / 8))
        (tmp_path / "videos" / f"{number}.txt").write_text("push the square")
    shards, start = tmp_path / "shards", tmp_path / "start"
    networks = ["--laq", str(tmp_path / "laq"), "--vqgan", str(vqgan)]
    assert cli.main(["label", str(tmp_path / "videos"), *networks, "--output", str(shards)]) == 0
    source = llama(tmp_path / "llama")
    assert cli.main(["convert", "llama", str(source), str(start), "--vqgan", str(vqgan)]) == 0
    argv = ["pretrain", "latent", str(shards), "--from", str(start), "--preset", "debug", "--cpu"]
    more = ["--tracker", "none", "--steps", "40", "--lr", "3e-3", "--validate-every", "20"]
    assert cli.main([*argv, *more, "--output", str(tmp_path / "out")]) == 0
    made = Checkpoint.from_pretrained(tmp_path / "out")
    assert made.interface.trained and made.lapa.config.exact_angles
    assert made.statistics["validation"]["loss"] < np.log(8) - 0.1
