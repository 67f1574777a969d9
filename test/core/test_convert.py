# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Conversion of released files: formats, completeness, safety and memory."""

import io
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import msgpack
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file

from benchmarks.synthetic_release import write_params
from lapa_core.cli import main
from lapa_core.errors import CheckpointError
from lapa_core.model.configuration import LapaConfig
from lapa_core.model.convert import lapa as convert_lapa
from lapa_core.model.convert import pickles, shards, streaming
from lapa_core.model.convert import vqgan as convert_vqgan

pytestmark = pytest.mark.torch


# --- an independent writer of the reference's format, on the msgpack library -----------------


def document(array: np.ndarray, dtype: str, chunk: int | None = None) -> bytes:
    """flax's encoding of one array; in chunks of that many elements where asked."""

    def ext(part: np.ndarray) -> msgpack.ExtType:
        return msgpack.ExtType(1, msgpack.packb((list(part.shape), dtype, part.tobytes())))

    if chunk is None:
        return msgpack.packb(ext(array))
    flat = array.reshape(-1)
    parts = [flat[i : i + chunk] for i in range(0, len(flat), chunk)]
    return msgpack.packb(
        {
            "__msgpack_chunked_array__": True,
            "shape": {str(i): n for i, n in enumerate(array.shape)},
            "chunks": {str(i): ext(p) for i, p in enumerate(parts)},
        }
    )


def record(name: str, value: bytes) -> bytes:
    return msgpack.packb((name.split("/"), value))


def tiny_config() -> LapaConfig:
    return LapaConfig(
        vocab_size=1000,
        vision_vocab_size=8448,
        hidden_size=8,
        intermediate_size=12,
        num_hidden_layers=3,
        num_attention_heads=2,
    )


def tiny_tensors(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = convert_lapa.expected(tiny_config())
    return {n: rng.normal(size=s).astype(np.float32) for n, s in shapes.items()}


def write(path: Path, tensors: dict[str, np.ndarray], chunk: int | None = None) -> Path:
    path.write_bytes(
        b"".join(record(n, document(t, "float32", chunk)) for n, t in tensors.items())
    )
    return path


# --- streaming msgpack -----------------------------------------------------------------------


def test_golden_chunked_sample(golden):
    path = golden / "formats/streaming_chunked_sample.msgpack"
    expected = np.load(golden / "formats/streaming_chunked_sample_expected.npz")
    index = streaming.index(path)
    assert {n.removesuffix("_as_f32") for n in expected.files} == set(index)
    with path.open("rb") as file:
        for name in expected.files:
            stored = index[name.removesuffix("_as_f32")]
            for layer in (None, *range(stored.shape[0])):
                got = stored.read(file, layer)
                if stored.dtype == "bfloat16":
                    got = (got.astype(np.uint32) << 16).view(np.float32)
                wanted = expected[name] if layer is None else expected[name][layer]
                np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("chunk", [None, 5, 64, 10**6])
def test_rows_are_found_across_chunks(tmp_path, chunk):
    tensors = tiny_tensors()
    path = write(tmp_path / "params", tensors, chunk)
    index = streaming.index(path)
    with path.open("rb") as file:
        for name, array in tensors.items():
            np.testing.assert_array_equal(index[name].read(file), array)
            np.testing.assert_array_equal(index[name].read(file, len(array) - 1), array[-1])


@pytest.mark.parametrize("keep", [1, 10, 200, -1])
def test_a_file_cut_short_is_refused(tmp_path, keep):
    path = write(tmp_path / "params", tiny_tensors())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="cut short"):
        streaming.index(path)


@pytest.mark.parametrize("content", [b"", b"\x93abc", b"{}", bytes(range(64, 192))])
def test_what_is_no_streaming_file_is_refused(tmp_path, content):
    (tmp_path / "params").write_bytes(content)
    with pytest.raises(CheckpointError):
        streaming.index(tmp_path / "params")


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_a_damaged_file_is_refused_or_read_but_never_a_crash(damage):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params"
        write(path, {"a/b": np.arange(12, dtype=np.float32).reshape(3, 4)}, chunk=5)
        content = bytearray(path.read_bytes())
        for place, value in damage:
            content[place % len(content)] = value
        path.write_bytes(content)
        try:
            index = streaming.index(path)
        except CheckpointError:
            return
        with path.open("rb") as file:
            for stored in index.values():
                stored.read(file)


def test_a_tensor_twice_and_a_strange_type_are_refused(tmp_path):
    value = document(np.zeros(3, np.float32), "float32")
    (tmp_path / "params").write_bytes(record("a/b", value) * 2)
    with pytest.raises(CheckpointError, match="a/b is stored twice"):
        streaming.index(tmp_path / "params")
    value = document(np.zeros(3, np.float64), "float64")
    (tmp_path / "params").write_bytes(record("a/b", value))
    with pytest.raises(CheckpointError, match="a/b is float64, valid: bfloat16"):
        streaming.index(tmp_path / "params")


# --- every tensor accounted for --------------------------------------------------------------


def convert(released, params: Path, out: Path, **changes) -> None:
    config = tiny_config()
    bare = convert_lapa.Sources(params, changes.get("vqgan", released.vqgan), released.tokenizer)
    from lapa_core.model.interface import Interface

    facts = Interface(
        "latent", "unstated", (), ("front",), 0.2, 1, 4, False, True, "test", "unstated"
    )
    vqgan = convert_vqgan.read_vqgan_config(released.vqgan_config)
    convert_lapa.convert(bare, out, config, vqgan, facts, None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("transformer/dte/embedding"), "missing transformer/dte/embedding"),
        (lambda t: t.update({"opt/step": np.zeros(2, np.float32)}), "extra opt/step"),
        (
            lambda t: t.update({"lm_head/kernel": np.zeros((8, 999), np.float32)}),
            r"lm_head/kernel is \(8, 999\) instead of \(8, 1000\)",
        ),
    ],
)
def test_missing_extra_and_misshapen_tensors_are_named(released, tmp_path, change, message):
    tensors = tiny_tensors()
    change(tensors)
    params = write(tmp_path / "params", tensors)
    with pytest.raises(CheckpointError, match=message):
        convert(released, params, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["params"], "nothing half-done may stay"


def test_a_vqgan_of_other_sizes_is_named(released, tmp_path):
    params = write(tmp_path / "params", tiny_tensors())
    tree = pickle.loads(released.vqgan.read_bytes())
    del tree["quant_conv"]["bias"]
    tree["encoder"]["Conv_9"] = {"bias": np.zeros(3, np.float32)}
    (tmp_path / "vqgan").write_bytes(pickle.dumps(tree))
    with pytest.raises(CheckpointError, match=r"missing quant_conv\.bias; extra encoder\.Conv_9"):
        convert(released, params, tmp_path / "out", vqgan=tmp_path / "vqgan")
    assert not (tmp_path / "out").exists()


def test_layers_are_split_turned_and_permuted(released, tmp_path):
    tensors = tiny_tensors()
    convert(released, write(tmp_path / "params", tensors, chunk=100), tmp_path / "out")
    got = load_file(tmp_path / "out/model.safetensors")
    stack = "transformer/h/scan_decoder"
    for layer in range(3):
        down = tensors[f"{stack}/feed_forward/w2/kernel"][layer]
        np.testing.assert_array_equal(got[f"model.layers.{layer}.mlp.down_proj.weight"], down.T)
        # Two heads of four: 0 1 2 3 | 4 5 6 7 becomes 0 2 1 3 | 4 6 5 7.
        query = tensors[f"{stack}/attention/wq/kernel"][layer].T[[0, 2, 1, 3, 4, 6, 5, 7]]
        np.testing.assert_array_equal(got[f"model.layers.{layer}.self_attn.q_proj.weight"], query)


def test_shards_and_their_index_load(tmp_path):
    arrays = {f"t{i}": np.full((10, 10), i, np.float32) for i in range(5)}
    plan = [shards.Planned(n, "F32", a.shape, lambda a=a: a) for n, a in arrays.items()]
    shards.write(tmp_path, plan, shard_bytes=900)
    found = {}
    for file in sorted(tmp_path.glob("model-*-of-00003.safetensors")):
        found.update(load_file(file))
    assert set(found) == set(arrays)
    from lapa_core.model.headers import stored_shapes

    assert stored_shapes(tmp_path) == dict.fromkeys(arrays, (10, 10))


# --- pickles ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "dict_jax", "frozendict_jax", "frozendict_numpy"])
def test_every_container_variant_is_read_without_jax(golden, name):
    plain = pickles.load_tree(golden / "formats/pickle_plain.pkl")
    tree = pickles.load_tree(golden / f"formats/pickle_{name}.pkl")
    assert set(tree) == set(plain)
    for key, array in plain.items():
        np.testing.assert_array_equal(tree[key], array)
    assert "jax" not in sys.modules and "flax" not in sys.modules


@pytest.mark.parametrize("protocol", range(2, 6))
def test_every_pickle_protocol_is_read(tmp_path, protocol):
    tree = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}}
    (tmp_path / "p").write_bytes(pickle.dumps(tree, protocol=protocol))
    np.testing.assert_array_equal(pickles.load_tree(tmp_path / "p")["a/b"], tree["a"]["b"])


class Evil:
    """Would make a file when unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return (os.system, (f"touch {self.target}",))


class EvilOpen(Evil):
    def __reduce__(self):
        return (io.open, (str(self.target), "w"))


@pytest.mark.parametrize("kind", [Evil, EvilOpen])
def test_a_malicious_pickle_is_refused_and_nothing_runs(released, tmp_path, kind):
    target = tmp_path / "made_by_the_pickle"
    (tmp_path / "vqgan").write_bytes(pickle.dumps({"encoder": kind(target)}))
    pickle.loads(pickle.dumps(kind(tmp_path / "proof")))  # it does work elsewhere
    assert (tmp_path / "proof").exists()
    params = write(tmp_path / "params", tiny_tensors())
    with pytest.raises(CheckpointError, match="refused: the pickle wants"):
        convert(released, params, tmp_path / "out", vqgan=tmp_path / "vqgan")
    assert not target.exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps({"a": "text"})])
def test_pickles_of_other_things_are_refused(tmp_path, content):
    (tmp_path / "vqgan").write_bytes(content)
    with pytest.raises(CheckpointError):
        pickles.load_tree(tmp_path / "vqgan")


# --- the command -----------------------------------------------------------------------------


def test_missing_source_files_are_one_clean_line(tmp_path, capsys):
    assert main(["convert", "lapa", str(tmp_path), str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("lapa convert: ") and error.count("\n") == 1


def test_robot_and_bins_are_recorded(released, golden, tmp_path):
    out = tmp_path / "out"
    argv = ["convert", "lapa", str(tmp_path), str(out), "--robot", "wx250s"]
    argv += ["--params", str(released.params["llama_action"]), "--vqgan", str(released.vqgan)]
    argv += ["--config", str(released.config["llama_action"])]
    argv += ["--vqgan-config", str(released.vqgan_config)]
    argv += ["--tokenizer", str(released.tokenizer), "--bins", str(golden / "bins/a.csv")]
    assert main(argv) == 0
    from lapa_core import robot
    from lapa_core.policy import Policy

    policy = Policy.from_checkpoint(out)
    policy.check_robot(robot.load("wx250s"))
    assert policy.trained and policy.kind == "action"


# --- memory ----------------------------------------------------------------------------------


def counting_block() -> np.ndarray:
    """2 MB that are repeated through the file: every place in it can be told from the others."""
    return np.random.default_rng(0).integers(0, 2**15, 2**20, dtype=np.uint16)


def _check_layer_across_chunks(out: Path, layer: int) -> None:
    """The layer of w2 that begins in the first chunk and ends in the second."""
    name = f"model.layers.{layer}.mlp.down_proj.weight"
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert len(index["weight_map"]) == 32 * 9 + 7
    with safe_open(out / index["weight_map"][name], framework="pt") as file:
        got = file.get_tensor(name)
    count = got.numel()
    assert layer * count < 2**29 < (layer + 1) * count
    block = counting_block()
    flat = block[(np.arange(count) + layer * count) % len(block)].view(np.int16)
    stored = torch.from_numpy(flat).view(torch.bfloat16).reshape(got.shape[::-1])
    assert torch.equal(got.view(torch.int16), stored.T.contiguous().view(torch.int16))


_CHILD = """
import resource, sys
from lapa_core.cli import main
code = main(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
sys.exit(code)
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_peak_memory_does_not_grow_with_the_file(released, tmp_path, repository):
    """Over 3 GB of file, its largest tensor chunked: peak under twice that tensor and 1 GB."""
    sizes = {
        "vocab_size": 1000, "vision_vocab_size": 8448, "delta_vocab_size": 8,
        "hidden_size": 1024, "intermediate_size": 19000, "num_hidden_layers": 32,
        "num_attention_heads": 8, "rms_norm_eps": 1e-6, "theta": 5e7,
        "max_sequence_length": 8192,
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    params = tmp_path / "params"
    try:
        largest = write_params(
            params,
            convert_lapa.read_lapa_config(tmp_path / "config.json"),
            counting_block().tobytes(),
        )
        size = params.stat().st_size
        assert size > 3e9 and largest > 2**30
        argv = ["convert", "lapa", str(tmp_path), str(tmp_path / "out")]
        argv += ["--config", str(tmp_path / "config.json"), "--vqgan", str(released.vqgan)]
        argv += ["--vqgan-config", str(released.vqgan_config)]
        argv += ["--tokenizer", str(released.tokenizer)]
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, *argv],
            capture_output=True,
            text=True,
            cwd=repository,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        peak = int(done.stdout.split("peak ")[1])
        print(
            f"file {size / 1e9:.2f} GB, largest {largest / 1e9:.2f} GB, peak {peak / 1e9:.2f} GB"
        )
        assert peak < 2 * largest + 1e9
        _check_layer_across_chunks(tmp_path / "out", layer=27)
    finally:
        for file in tmp_path.rglob("*"):
            if file.is_file() and file.stat().st_size > 1e8:
                file.unlink()


def test_rss_unit_is_kilobytes():
    """The proof above reads `ru_maxrss` in KiB, as Linux gives it."""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 10_000
