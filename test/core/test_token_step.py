# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One more token read in few calls gives what the backbone gives."""

import copy

import pytest
import torch
from torch import nn

from lapa_core.model import token_step
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.lapa import LapaModel, causal_mask
from lapa_core.model.token_step import TokenStep

pytestmark = pytest.mark.torch

PADS, READ, MORE = 3, 20, 6  # slots of padding, tokens at once, tokens one by one


@pytest.fixture
def model(debug_checkpoint) -> LapaModel:
    return copy.deepcopy(Checkpoint.from_pretrained(debug_checkpoint).lapa)


def compare(model: LapaModel, dtype: torch.dtype, atol: float) -> None:
    """Token by token, with both, from the same cache."""
    torch.manual_seed(0)
    model = model.to(dtype)
    slots = PADS + READ + MORE
    cache = model.new_cache(slots)
    cache.advance(PADS)
    given = torch.randn(1, READ + MORE, model.config.hidden_size)
    mask = torch.ones(1, slots)
    mask[:, :PADS] = 0
    step = TokenStep(model)
    with torch.inference_mode():
        seen = causal_mask(mask, slots)[:, :, PADS : PADS + READ, : PADS + READ]
        model.backbone(given[:, :READ], torch.arange(READ)[None], seen, cache)
        for at in range(READ, READ + MORE):
            row, slot = given[:, at], PADS + at
            wanted = model.backbone(
                row[None], torch.tensor([[at]]), causal_mask(mask[:, : slot + 1], 1), cache
            )
            kept = [layer.clone() for layer in cache.layers]
            for layer in cache.layers:
                layer[:, :, :, slot] = torch.nan  # it must write its own
            got = step(row, at, PADS, cache)
            assert wanted.abs().mean() > 0.1 and got.dtype == wanted.dtype
            torch.testing.assert_close(got, wanted[0], atol=atol, rtol=0)
            for mine, theirs in zip(cache.layers, kept, strict=True):
                torch.testing.assert_close(mine, theirs, atol=atol, rtol=0)


def test_a_token_is_read_as_by_the_backbone(model):
    compare(model, torch.float32, 1e-5)


def test_in_bfloat16_it_rounds_where_the_backbone_does(model):
    compare(model, torch.bfloat16, 0.04)  # two steps of bfloat16 at 2 to 4


def test_large_matrices_go_through_their_layers(model, monkeypatch):
    monkeypatch.setattr(token_step, "SMALL", 0)
    compare(model, torch.float32, 1e-5)


class Adapted(nn.Module):
    """What an adapter or a quantised layer is: something with a forward pass of its own."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.weight = inner.weight  # which alone would not give the product

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * 1.5


def test_layers_of_another_kind_compute_themselves(model):
    for layer in model.model.layers:
        layer.self_attn.k_proj = Adapted(layer.self_attn.k_proj)
        layer.mlp.down_proj = Adapted(layer.mlp.down_proj)
    compare(model, torch.float32, 1e-5)
