# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The `lapa` command: what it prints, what it refuses, and how."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lapa_core import cli

pytestmark = pytest.mark.torch


def run(capsys, *argv: object) -> tuple[int, str, str]:
    code = cli.main([str(a) for a in argv])
    out, err = capsys.readouterr()
    return code, out, err


def infer(capsys, checkpoint, image, *more: object) -> dict:
    argv = ("infer", checkpoint, "--image", image, "--instruction", "open the drawer", "--json")
    code, out, err = run(capsys, *argv, *more)
    assert code == 0, err
    return json.loads(out)


@pytest.fixture
def image(golden):
    return golden / "images/img0.png"


def test_help_lists_every_command(capsys):
    code, out, _ = run(capsys, "--help")
    assert code == 0 and all(name in out for name in cli.COMMANDS)
    assert run(capsys)[0] == 2
    assert run(capsys, "--version")[1].startswith("lapa ")


def test_a_misspelt_command_names_the_right_one(capsys):
    code, _, err = run(capsys, "infr")
    assert code == 2 and "did you mean 'infer'" in err


@pytest.mark.parametrize("name", ["convert", "infer", "info", "init"])
def test_every_command_has_help(capsys, name):
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    assert f"usage: lapa {name}" in capsys.readouterr().out


def test_errors_are_one_line_and_code_two(capsys, tmp_path):
    for argv in (("info", tmp_path), ("init", tmp_path / "x", "--robot", "wx25")):
        code, out, err = run(capsys, *argv)
        assert code == 2 and out == ""
        assert err.startswith(f"lapa {argv[0]}: ") and err.count("\n") == 1
        assert "Traceback" not in err


def test_info_says_plainly_that_weights_are_random(capsys, debug_checkpoint):
    code, out, _ = run(capsys, "info", debug_checkpoint)
    assert code == 0
    assert "wx250s" in out and "never for moving a real robot" in out
    facts = json.loads(run(capsys, "info", debug_checkpoint, "--json")[1])
    assert facts["trained"] is False and facts["kind"] == "action"
    assert facts["action bins"] == [256] * 7


def test_info_of_a_trained_checkpoint_gives_no_warning(capsys, converted):
    code, out, _ = run(capsys, "info", converted["latent"])
    assert code == 0 and "latent" in out and "never" not in out


def test_infer_prints_kind_tokens_action_units_and_times(capsys, debug_checkpoint, image):
    result = infer(capsys, debug_checkpoint, image)
    assert result["kind"] == "action" and len(result["tokens"]) == 7
    assert result["dimensions"][0] == "wx250s/x" and result["dimensions"][6] == "wx250s/gripper"
    assert result["units"] == ["m", "m", "m", "rad", "rad", "rad", "open"]
    assert np.shape(result["action"]) == (1, 7)
    assert set(result["timings_ms"]) == {"preprocess", "vqgan", "prefill", "decode", "total"}
    argv = ("infer", debug_checkpoint, "--image", image, "--instruction", "open the drawer")
    code, out, _ = run(capsys, *argv)
    assert code == 0 and "wx250s/yaw" in out and "NOT trained" in out and "rad" in out


def test_infer_gives_the_references_tokens(capsys, golden, converted, image):
    """The whole way by command: convert, infer, dump."""
    words = json.loads((golden / "models/latent.json").read_text())["ex0"]
    expected = np.load(golden / "models/latent.npz")
    dump = converted["latent"].parent / "dump.npz"
    result = infer(capsys, converted["latent"], image, "--instruction", words, "--dump", dump)
    assert result["tokens"] == expected["ex0_fp32_tokens"].tolist()
    written = np.load(dump)
    for name in ("input_ids", "attention_mask", "vqgan_tokens"):
        np.testing.assert_array_equal(written[name], expected[f"ex0_{name}"])
    np.testing.assert_allclose(
        written["step_logits"], expected["ex0_fp32_step_logits"], atol=1e-4, rtol=0
    )


def test_reference_eos_is_for_latent_models(capsys, converted, debug_checkpoint, image):
    assert len(infer(capsys, converted["latent"], image, "--reference-eos")["tokens"]) == 4
    argv = ("infer", debug_checkpoint, "--image", image, "--instruction", "x", "--reference-eos")
    assert run(capsys, *argv)[0] == 2


def test_crop_and_bins_can_be_chosen(capsys, golden, debug_checkpoint, image):
    tokens = [
        infer(capsys, debug_checkpoint, image, flag)["tokens"]
        for flag in ("--center-crop", "--no-center-crop")
    ]
    default = infer(capsys, debug_checkpoint, image)
    assert default["tokens"] == tokens[0]
    code, _, err = run(
        capsys, "infer", debug_checkpoint, "--image", image, "--instruction", "open the drawer",
        "--bins", golden / "bins/a.csv",
    )  # fmt: skip
    assert code in (0, 2) and (code == 0 or "has no bin" in err)


def test_the_seed_repeats_a_sampled_action(capsys, debug_checkpoint, image):
    draws = [
        infer(capsys, debug_checkpoint, image, "--sample", "--seed", seed)["tokens"]
        for seed in (5, 5, 6)
    ]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("mode", ["RGBA", "L", "P", "LA"])
def test_pictures_that_are_not_rgb_are_converted(capsys, tmp_path, debug_checkpoint, image, mode):
    """The reference breaks on them."""
    with Image.open(image) as picture:
        picture.convert(mode).save(tmp_path / "picture.png")
    assert len(infer(capsys, debug_checkpoint, tmp_path / "picture.png")["tokens"]) == 7


def test_what_is_no_picture_is_refused(capsys, tmp_path, debug_checkpoint):
    (tmp_path / "a.png").write_bytes(b"nothing")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    for name in ("a.png", "deep.png", "none.png"):
        argv = ("infer", debug_checkpoint, "--image", tmp_path / name, "--instruction", "x")
        code, _, err = run(capsys, *argv)
        assert code == 2 and name in err and err.count("\n") == 1


def test_commands_are_imported_only_when_asked():
    """`lapa --help` is instant: it loads neither torch nor numpy."""
    code = (
        "import sys; from lapa_core import cli; cli.main(['--help']);"
        "print([m for m in ('torch', 'numpy', 'lapa_ros') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")
