# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The image tokenizer beyond the golden codes: decoding, layouts, gradients, nearest codes."""

import copy

import pytest
import torch

from lapa_core.errors import CheckpointError, ConfigError
from lapa_core.model.configuration import VqganConfig, preset
from lapa_core.model.lapa import LapaModel
from lapa_core.model.vocabulary import Table, check_sizes, end_of_frame
from lapa_core.model.vqgan import Vqgan, code_rows
from lapa_core.train.initialise import vision_from_codebook

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def vqgan() -> Vqgan:
    torch.manual_seed(0)
    return Vqgan(preset("debug").vqgan_config()).eval()


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(2, 3, 16, 16, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=256, mode="bilinear").permute(0, 2, 3, 1)


@torch.inference_mode()
def test_codes_become_an_image_again(vqgan, pixels):
    codes = vqgan.encode(pixels)
    assert codes.shape == (2, 256) and codes.dtype == torch.int64
    assert codes.min() >= 0 and codes.max() < vqgan.num_codes
    image = vqgan.decode(codes)
    assert image.shape == (2, 256, 256, 3)
    assert image.min() >= -1 and image.max() <= 1 and image.std() > 0
    assert torch.equal(image, vqgan.decode(codes))
    other = codes.clone()
    other[0, 0] = (other[0, 0] + 7) % vqgan.num_codes
    changed = (vqgan.decode(other) != image).flatten(1).any(1)
    assert changed.tolist() == [True, False]


@torch.inference_mode()
def test_a_code_is_the_nearest_entry(vqgan, pixels):
    z = vqgan.latents(pixels)
    distance = torch.cdist(z.double(), vqgan.codebook.weight.double()[None])
    assert torch.equal(vqgan.encode(pixels), distance.argmin(-1))


@torch.inference_mode()
def test_each_image_of_a_batch_is_encoded_alone(vqgan, pixels):
    alone = torch.cat([vqgan.encode(p[None]) for p in pixels])
    assert torch.equal(vqgan.encode(pixels), alone)


def test_the_fast_layout_gives_the_same_codes(vqgan, pixels):
    fast = copy.deepcopy(vqgan).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        assert torch.equal(fast.encode(pixels), vqgan.encode(pixels))


def test_in_place_steps_are_for_inference_only(vqgan, pixels):
    """With gradients nothing is overwritten, and the encoder gives the same latents."""
    z = vqgan.latents(pixels)
    with torch.inference_mode():
        torch.testing.assert_close(z.detach(), vqgan.latents(pixels), atol=0, rtol=0)
    z.square().sum().backward()
    assert vqgan.encoder.conv_in.weight.grad.abs().sum() > 0
    vqgan.zero_grad(set_to_none=True)


# --- codes of several parts ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def paired() -> Vqgan:
    """Codes of two parts."""
    torch.manual_seed(0)
    sizes = {**preset("debug").vqgan, "num_embeddings": 32, "code_parts": 2}
    return Vqgan(VqganConfig(**sizes)).eval()


@torch.inference_mode()
def test_each_part_of_a_code_is_the_nearest_entry_of_its_own(paired, pixels):
    z = paired.latents(pixels)
    half = z.shape[-1] // 2
    first, second = paired.codebook.weight.split(32)
    one = torch.cdist(z[..., :half].double(), first.double()[None]).argmin(-1)
    two = torch.cdist(z[..., half:].double(), second.double()[None]).argmin(-1)
    codes = paired.encode(pixels)
    assert torch.equal(codes, 32 * one + two) and paired.num_codes == 1024
    assert len(codes.unique()) > 32
    assert torch.equal(paired.entries(codes), torch.cat([first[one], second[two]], -1))
    assert paired.decode(codes).shape == (2, 256, 256, 3)


def test_a_model_reads_a_code_as_the_sum_of_its_parts(paired):
    config = preset("debug").lapa_config(
        vision_vocab_size=66, vision_parts=2, vision_entries=32, action_vocab_size=8
    )
    model = LapaModel(config)
    before = model.vision_embed.weight.detach().clone()
    vision_from_codebook(model, paired)
    rows = model.vision_embed.weight.detach()
    assert torch.equal(rows[64:], before[64:]) and not torch.equal(rows[:64], before[:64])
    ids = torch.tensor([[5, 33, 1023, end_of_frame(paired.num_codes), 7]])
    tables = torch.tensor([[Table.VISION] * 4 + [Table.TEXT]])
    read = model.embed(ids, tables)[0]
    expected = [rows[0] + rows[32 + 5], rows[1] + rows[32 + 1], rows[31] + rows[32 + 31], rows[64]]
    torch.testing.assert_close(read[:4], torch.stack(expected))
    torch.testing.assert_close(read[4], model.model.embed_tokens.weight[7])
    assert code_rows(torch.tensor([33]), 32, 2).tolist() == [[1, 33]]


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="16 cannot be shared by 3 parts"):
        Vqgan(VqganConfig(**{**preset("debug").vqgan, "code_parts": 3}))
    with pytest.raises(CheckpointError, match="64 entries and two marks"):
        check_sizes(512, 100, 65, 32, 2)
