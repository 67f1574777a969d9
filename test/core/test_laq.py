# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The latent action quantiser against numbers of the reference, and in sizes of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from lapa_core.data import images
from lapa_core.errors import CheckpointError, ConfigError
from lapa_core.model.convert import laq as convert
from lapa_core.model.laq import Laq, LaqConfig

pytestmark = pytest.mark.torch

SMALL = {"dim": 32, "quant_dim": 8, "spatial_depth": 1, "temporal_depth": 1, "dim_head": 16,
         "heads": 2}  # fmt: skip


@pytest.fixture(scope="module")
def told(golden: Path) -> dict[str, Any]:
    return dict(json.loads((golden / "laq" / "golden.json").read_text()))


@pytest.fixture(scope="module")
def numbers(golden: Path) -> dict[str, torch.Tensor]:
    with np.load(golden / "laq" / "laq_golden.npz") as file:
        return {k: torch.from_numpy(file[k].copy()).float() for k in file}


@pytest.fixture(scope="module")
def frames(golden: Path, told: dict[str, Any]) -> torch.Tensor:
    """(2, 3, 2, 256, 256) the two pairs."""

    def one(name: str) -> torch.Tensor:
        picture = images.decode_compressed((golden / "laq" / name).read_bytes(), "png")
        return torch.from_numpy(images.resize_for_laq(picture)).permute(2, 0, 1) / 255.0

    pairs = [torch.stack([one(n) for n in pair], dim=1) for pair in told["pairs"]]
    return torch.stack(pairs)


@pytest.fixture
def model(golden: Path) -> Laq:
    return convert.load(golden / "laq" / "laq.pt")


def small(**changes: Any) -> Laq:
    torch.manual_seed(0)
    return Laq(LaqConfig(**{**SMALL, **changes}))


def test_pictures_are_resized_as_the_reference_does(
    frames: torch.Tensor, told: dict[str, Any]
) -> None:
    for pair, stats in zip(frames, told["pixel_stats"], strict=True):
        levels = int((255 * pair).round().long().sum())
        assert abs(levels - stats["sum255"]) <= 4  # summed in float32 there: 24 bits of 2**26
        assert float(pair.std()) == pytest.approx(stats["std"], abs=1e-6)


def test_codes_and_drawings_are_the_references(
    model: Laq, frames: torch.Tensor, told: dict[str, Any], numbers: dict[str, torch.Tensor]
) -> None:
    sizes = {k: getattr(model.config, k) for k in told["arch"]}
    assert sizes == told["arch"]  # read from the tensors alone
    codes = model.encode(frames)
    assert codes.tolist() == told["codebook_indices_inference"]
    torch.testing.assert_close(
        model.position_bias(8, 8), numbers["spatial_bias"], atol=1e-5, rtol=0
    )
    drawn = model.draw(frames[:, :, 0], codes)[:, :, ::4, ::4]
    wanted = numbers["recon_inference_stride4"]  # stored with 11 bits
    torch.testing.assert_close(drawn, wanted, atol=1e-5, rtol=2**-11)
    chosen = torch.tensor([[0, 1, 2, 3]])
    drawn = model.draw(frames[:1, :, 0], chosen)[:, :, ::4, ::4]
    wanted = numbers["recon_user_tokens_0123_pair0_stride4"]
    torch.testing.assert_close(drawn, wanted, atol=1e-5, rtol=2**-11)


def test_a_training_step_is_the_references(
    model: Laq, frames: torch.Tensor, told: dict[str, Any], numbers: dict[str, torch.Tensor]
) -> None:
    noise = numbers["nsvq_random_vector_seed0"].reshape(2, 4, -1)
    found = model(frames, noise)
    assert found.codes.tolist() == told["codebook_indices_forward"]
    assert found.loss.item() == pytest.approx(told["train_loss_seed0"], abs=1e-6)
    drawn = found.drawn.detach()[:, :, ::4, ::4]
    wanted = numbers["recon_forward_seed0_stride4"]
    torch.testing.assert_close(drawn, wanted, atol=1e-5, rtol=2**-11)
    found.loss.backward()
    gradients = {
        "grad_vq_codebooks": model.quantiser.codebook.grad,
        "grad_to_pixels_bias": model.to_pixels.bias.grad,
        "grad_patch_ln_w": model.patches.norm_in.weight.grad,
    }
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, numbers[name], atol=1e-7, rtol=1e-4)


def test_three_steps_are_the_references(
    model: Laq, frames: torch.Tensor, told: dict[str, Any]
) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.99))
    torch.manual_seed(0)
    losses = []
    for _ in range(3):
        noise = torch.randn(8, model.config.quant_dim).reshape(2, 4, -1)
        loss = model(frames, noise).loss
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        if not losses:
            assert norm.item() == pytest.approx(told["grad_global_norm"], rel=1e-5)
        optimizer.step()
        losses.append(loss.item())
    assert losses == pytest.approx(told["three_step_losses_seed0_adam_lr1e4_clip0p5"], abs=1e-6)


def test_the_full_size_has_the_names_and_shapes_of_the_released_file(golden: Path) -> None:
    lines = (golden / "laq" / "full_size.txt").read_text().splitlines()
    wanted = {}
    weights = 0
    for line in lines:
        name, shape, kind = line.split()
        wanted[name] = tuple(map(int, shape.split("x")))
        weights += int(np.prod(wanted[name])) if kind == "param" else 0
    with torch.device("meta"):
        model = Laq(LaqConfig())
    found = {convert.reference_name(k): tuple(v.shape) for k, v in model.state_dict().items()}
    assert found | convert.unused(model.config) == wanted
    assert (len(wanted), weights) == (493, 343_796_080)


def test_a_file_is_read_back_and_what_does_not_fit_is_named(model: Laq, tmp_path: Path) -> None:
    path = tmp_path / "laq.pt"
    convert.save(model, path)
    state = torch.load(path, weights_only=True)
    assert len(state) == len(model.state_dict()) + len(convert.unused(model.config))
    torch.save({f"module.{k}": v for k, v in state.items()}, path)  # as DDP writes it
    again = convert.load(path)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, atol=0, rtol=0)
    lacking = {k: v for k, v in state.items() if k != "vq.project_out.bias"}
    torch.save(lacking | {"vq.extra": torch.zeros(1)}, path)
    with pytest.raises(
        CheckpointError, match=r"vq\.project_out\.bias.*vq\.extra|vq\.extra.*vq\.p"
    ):
        convert.load(path)
    torch.save({k: v for k, v in state.items() if not k.startswith("vq")}, path)
    with pytest.raises(CheckpointError, match=r"no LAQ of the reference.*vq\.codebooks"):
        convert.load(path)
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match="no state dictionary"):
        convert.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="cannot read"):
        convert.load(path)


@pytest.mark.parametrize(
    ("length", "image", "patch", "grid", "windows"),
    [
        (1, 256, 32, (1, 1), [(3, 3), (4, 4)]),
        (2, 256, 32, (2, 1), [(3, 3), (3, 4)]),
        (4, 256, 32, (2, 2), [(3, 3), (3, 3)]),
        (16, 256, 16, (4, 4), [(3, 3), (3, 3)]),
        (64, 256, 16, (8, 8), [(3, 3)]),
        # What the reference does not know.
        (4, 256, 16, (2, 2), [(3, 3), (3, 3), (3, 3)]),
        (8, 256, 32, (4, 2), [(3, 3), (1, 3)]),
        (3, 128, 16, (3, 1), [(3, 3), (2, 4)]),
        (6, 96, 16, (3, 2), [(3, 3), (1, 2)]),
    ],
)
def test_a_latent_action_may_have_any_length(
    length: int, image: int, patch: int, grid: tuple[int, int], windows: list[tuple[int, int]]
) -> None:
    model = small(code_seq_len=length, image_size=image, patch_size=patch)
    assert model.config.code_grid == grid
    assert [c.kernel_size for c in model.quantiser.convolutions] == windows
    frames = torch.rand(2, 3, 2, image, image)
    found = model(frames, torch.randn(2, length, 8))
    assert found.codes.shape == (2, length)
    assert found.drawn.shape == (2, 3, image, image)
    assert model.draw(frames[:, :, 0], found.codes).shape == (2, 3, image, image)


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="do not fill"):
        LaqConfig(image_size=100)
    with pytest.raises(ConfigError, match="1 or more codes of 2 or more, got 4 of 1"):
        LaqConfig(codebook_size=1)
    with pytest.raises(ConfigError, match="8 x 8 codes are too many for 8 x 8 patches"):
        small(code_seq_len=64)


@pytest.mark.parametrize("reference_axes", [True, False])
def test_a_pair_knows_nothing_of_the_others(reference_axes: bool) -> None:
    model = small(reference_axes=reference_axes).eval()
    frames = torch.rand(3, 3, 2, 256, 256)
    together = model(frames, torch.ones(3, 4, 8)).change
    alone = model(frames[1:2], torch.ones(1, 4, 8)).change
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)


def test_the_axes_of_the_reference_are_an_option() -> None:
    frames = torch.rand(1, 3, 2, 256, 256)
    noise = torch.ones(1, 4, 8)
    ours, theirs = (small(reference_axes=r)(frames, noise) for r in (False, True))
    assert not torch.allclose(ours.change, theirs.change, atol=1e-4)
    # Undone: the vector of a code reaches the decoder whole.
    model = small(reference_axes=False)
    vectors = torch.randn(2, 4, 8)
    one = model.quantiser.context(vectors)[:, 2]
    torch.testing.assert_close(one, model.quantiser.project_out(vectors[:, 2]))


def test_places_may_have_codebooks_of_their_own() -> None:
    model = small(own_codebooks=True)
    assert model.quantiser.codebook.shape == (4 * 8, 8)
    change = torch.randn(5, 4, 8)
    codes = model.quantiser.codes(change)
    books = model.quantiser.codebook.view(4, 8, 8)
    for place in range(4):
        far = (change[:, place, None] - books[place]).norm(dim=-1)
        assert codes[:, place].tolist() == far.argmin(-1).tolist()
        torch.testing.assert_close(
            model.quantiser.entries(codes)[:, place], books[place][codes[:, place]]
        )
    with pytest.raises(ConfigError, match="the reference has one codebook"):
        convert.save(model, Path("unused.pt"))


def test_the_second_frame_is_drawn_from_the_first_alone() -> None:
    model = small().eval()
    frames = torch.rand(1, 3, 2, 256, 256)
    codes = torch.zeros(1, 4, dtype=torch.int64)
    drawn = model.draw(frames[:, :, 0], codes)
    assert not torch.allclose(drawn, model.draw(frames[:, :, 1], codes), atol=1e-3)
    assert not torch.allclose(drawn, model.draw(frames[:, :, 0], codes + 1), atol=1e-4)


def test_codes_are_chosen_in_full_precision(model: Laq, frames: torch.Tensor) -> None:
    noise = torch.ones(2, 4, model.config.quant_dim)
    exact = model(frames, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(frames, noise)
        codes = model.encode(frames)
        change = model.compare(frames)[1]
    assert rough.change.dtype == torch.float32
    exactly = (change.float().unsqueeze(2) - model.quantiser.books()).norm(dim=-1).argmin(-1)
    assert codes.tolist() == exactly.tolist()
    assert rough.loss.item() == pytest.approx(exact.loss.item(), rel=0.02)


def test_a_picture_that_is_none_is_refused() -> None:
    for wrong in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)):
        with pytest.raises(Exception, match=r"expected \(H, W, 3\) uint8"):
            images.resize_for_laq(wrong)
    wide = np.zeros((60, 200, 3), np.uint8)
    wide[:, 100:] = 255
    found = images.resize_for_laq(wide)
    assert found.shape == (256, 256, 3)
    # Antialiased or not, an enlarged edge stays where it was.
    assert np.abs(found.astype(int) - cv2.resize(wide, (256, 256))).max() <= 2
