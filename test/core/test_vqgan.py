# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The image tokenizer beyond the golden codes: decoding, layouts, gradients, nearest codes."""

import copy

import pytest
import torch

from lapa_core.model.configuration import preset
from lapa_core.model.vqgan import Vqgan

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
