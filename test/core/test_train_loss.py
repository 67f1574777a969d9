# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Losses computed where they are asked for, soft targets, errors in millimetres, attention."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from lapa_core.errors import ConfigError, DataError
from lapa_core.model import attention, fresh
from lapa_core.model.action_tokenizer import GRIPPER_EDGES, ActionTokenizer
from lapa_core.model.configuration import preset
from lapa_core.model.lapa import LapaModel
from lapa_core.model.vocabulary import Table
from lapa_core.train import loss
from lapa_core.train.action_error import ActionError
from lapa_core.train.examples import action_example, collate, latent_example
from lapa_core.types import AXES

pytestmark = pytest.mark.torch

BINS = (256, 256, 256, 256, 256, 12, 2)


@pytest.fixture(scope="module")
def model() -> LapaModel:
    torch.manual_seed(3)
    return LapaModel(preset("debug").lapa_config())


@pytest.fixture(scope="module")
def bins() -> ActionTokenizer:
    edges = [np.linspace(-0.01, 0.01, n + 1) for n in BINS[:6]]
    return ActionTokenizer(tuple(f"arm/{a}" for a in AXES), (*edges, GRIPPER_EDGES))


def batch(kind="action", steps=2, rows=3, bins=None):
    tokenizer = fresh.small_tokenizer(512)
    rng = np.random.default_rng(0)
    made = []
    for i in range(rows):
        codes = rng.integers(0, 512, (1, 16))
        if kind == "latent":
            made.append(latent_example(tokenizer, "open it", codes, 512, rng.integers(0, 8, 4)))
            continue
        tokens = np.stack([rng.integers(0, n, steps) for n in BINS], axis=1)
        valid = np.arange(steps) < max(1, steps - i)
        values = None if bins is None else bins.decode(tokens)
        made.append(action_example(tokenizer, "open it", codes, 512, tokens, valid, values=values))
    return collate(made)


class Counting(torch.nn.Module):
    """Passes everything on and writes down how many positions each head scores."""

    def __init__(self, model: LapaModel) -> None:
        super().__init__()
        self.inner, self.scored = model, {}

    def forward(self, *args):
        return self.inner(*args)

    def logits(self, hidden, table):
        self.scored[table] = self.scored.get(table, 0) + hidden[..., 0].numel()
        return self.inner.logits(hidden, table)


def test_heads_score_only_what_is_asked(model):
    """Seven codes a step that exists; the text head is spared where it weighs nothing."""
    counting = Counting(model)
    got = loss.action_loss(counting, batch())
    assert counting.scored == {Table.ACTION: 4 * 7}  # of 6 steps, 4 exist
    assert got.counted == 28
    counting = Counting(model)
    loss.latent_loss(counting, batch("latent"), clean=True, text_weight=0)
    assert counting.scored == {Table.LATENT: 12}
    model.zero_grad()
    got.total.backward()
    assert model.lm_head.weight.grad is None
    assert model.vision_head.weight.grad is None
    assert model.action_head.weight.grad.abs().max() > 0


def test_each_example_weighs_the_same_whatever_its_length(model):
    """The mean is over an example's codes first (the reference's), not over all of the batch."""
    whole = batch()
    got = loss.action_loss(model, whole).total.item()
    alone = []
    for i in range(3):
        one = type(whole)(**{k: v if v is None else v[i : i + 1] for k, v in vars(whole).items()})
        alone.append(loss.action_loss(model, one).total.item())
    assert got == pytest.approx(np.mean(alone), abs=1e-6)
    assert got != pytest.approx(np.average(alone, weights=[2, 1, 1]), abs=1e-4)


def test_an_example_without_loss_counts_as_zero(model):
    """As in the reference: the denominator is the number of examples."""
    whole = batch()
    full = loss.action_loss(model, whole).total.item()
    rest = batch()
    rest.loss[0] = 0
    first = batch(rows=1)
    expected = full - loss.action_loss(model, first).total.item() / 3
    assert loss.action_loss(model, rest).total.item() == pytest.approx(expected, abs=1e-6)
    rest.loss[:] = 0
    assert loss.action_loss(model, rest).total.item() == 0


def scored(targets, rank, rows=256):
    n = len(targets)
    return loss.Scored(
        torch.zeros(n, rows),
        torch.tensor(targets),
        torch.ones(n),
        torch.zeros(n, dtype=torch.long),
        torch.tensor(rank),
    )


def test_spread_targets_stay_within_their_dimension():
    """Symmetric, of the asked width, nothing beyond the last bin, a gripper stays what it is."""
    soft = loss.spread_targets(scored([100, 255, 3, 1], [0, 8, 5, 13]), 2.0, BINS)
    torch.testing.assert_close(soft.sum(-1), torch.ones(4))
    place = torch.arange(256.0)
    assert (soft[0] * place).sum().item() == pytest.approx(100, abs=1e-3)
    spread = (soft[0] * (place - 100) ** 2).sum().sqrt().item()
    assert spread == pytest.approx(2.0, rel=0.01)
    assert soft[1].argmax() == 255
    assert soft[2, 12:].sum() == 0, "a dimension of 12 bins"
    assert soft[3, 2:].sum() == 0
    assert soft[3, 1] > 0.999, "a gripper of 2 bins"


def test_spreading_prefers_near_misses(model):
    """Without it a miss by one bin costs what a miss by a hundred costs."""
    near, far = scored([100], [0]), scored([100], [0])
    near.logits[0, 101] = far.logits[0, 200] = 8
    plain = [loss.action_loss_of(s, 1).total.item() for s in (near, far)]
    soft = [loss.action_loss_of(s, 1, 3.0, BINS).total.item() for s in (near, far)]
    assert plain[0] == pytest.approx(plain[1])
    assert soft[0] < soft[1] - 0.5
    hardly = loss.action_loss_of(near, 1, 1e-2, BINS).total.item()
    assert hardly == pytest.approx(plain[0], abs=1e-5)
    shown = loss.action_loss_of(near, 1, 3.0, BINS).parts["action"].item()
    assert shown == pytest.approx(plain[0]), "curves show the same loss with and without"
    with pytest.raises(ConfigError, match="needs num_bins"):
        loss.action_loss(model, batch(), spread_bins=1.0)


def test_scores_are_float32_under_autocast(model):
    with torch.autocast("cpu", torch.bfloat16):
        got = loss.score_actions(model, batch())
    assert got.logits.dtype == torch.float32
    exact = loss.score_actions(model, batch()).logits
    assert (got.logits - exact).abs().max() < 0.05


def test_an_axis_that_hardly_moves_counts_as_little_as_it_does(bins):
    """Roll and pitch off by six times of what they move, the rest exact: still far from 1."""
    rng = np.random.default_rng(1)
    values = np.append(rng.uniform(-0.01, 0.01, (500, 6)), rng.integers(0, 2, (500, 1)), axis=1)
    values[:, 3:5] *= 0.05
    off = values.copy()
    off[:, 3:5] += 0.0015
    error = ActionError(bins)
    tokens, said = bins.encode(values), bins.encode(off)
    error.add(F.one_hot(torch.from_numpy(said), 256).numpy(), tokens, values)
    moved = np.abs(values[:, 3:6] - np.median(values[:, 3:6], axis=0)).mean(axis=0)
    assert (5 * moved[:2] < 0.0015).all()
    assert error.summary()["relative"] == pytest.approx(2 * 0.0015 / moved.sum() / 3, rel=0.2)


def test_error_of_perfect_and_of_constant_predictions(model, bins):
    """Exact tokens leave the bins' own error; the best constant has `relative` 1."""
    rng = np.random.default_rng(0)
    values = np.append(rng.uniform(-0.01, 0.01, (500, 6)), rng.integers(0, 2, (500, 1)), axis=1)
    tokens = bins.encode(values)
    exact = ActionError(bins)
    exact.add(F.one_hot(torch.from_numpy(tokens), 256).numpy(), tokens, values)
    got = exact.summary()
    assert len(exact) == 500
    assert 0 < got["arm/x_mm"] < 0.02 / 256 * 1e3 / 2
    assert got["gripper_accuracy"] == got["arm/gripper_accuracy"] == 1
    assert got["undecodable"] == 0
    assert got["relative"] < 0.05
    flat = ActionError(bins)
    constant = bins.encode(np.median(values, axis=0))
    flat.add(np.broadcast_to(np.eye(256)[constant], (500, 7, 256)), tokens, values)
    assert flat.summary()["relative"] == pytest.approx(1, abs=0.01)
    one = np.zeros((1, 7))
    off = ActionError(bins)
    wrong = bins.encode(one + np.array([0.003, 0.004, 0, 0, 0, 0, 1]))[0]
    off.add(np.eye(256)[wrong][None], bins.encode(one), one)
    got = off.summary()
    assert got["arm/y_mm"] == pytest.approx(4, abs=0.1)
    assert got["arm/yaw_deg"] == pytest.approx(np.degrees(0.01 / 12), abs=0.01)
    assert got["translation_mm"] == pytest.approx(5, abs=0.1)
    assert got["rotation_deg"] == pytest.approx(np.degrees(0.01 / 12), abs=0.01)
    assert got["gripper_accuracy"] == 0


def test_error_of_a_batch_counts_steps_that_exist(model, bins):
    """Tokens beyond a dimension's bins are counted, for a live policy holds on them."""
    some = batch(bins=bins)
    got = loss.score_actions(model, some)
    errors = ActionError(bins)
    errors.add_batch(got, some)
    assert len(errors) == 4
    got.logits[:] = 0
    got.logits[:, 200] = 1  # no bin of the sixth dimension, nor of the gripper
    errors = ActionError(bins)
    errors.add_batch(got, some)
    assert errors.undecodable == 8
    assert errors.summary()["undecodable"] == 8 / 28
    with pytest.raises(DataError, match="no action was predicted"):
        ActionError(bins).summary()
    with pytest.raises(DataError, match="do not fit the dimensions"):
        errors.add(np.zeros((4, 6, 256)), np.zeros((4, 6), np.int64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("length", [70, 1100])
def test_attention_without_a_mask_is_causal(dtype, length):
    """Against float64 with a mask written out: values, and gradients of all three."""
    torch.manual_seed(0)
    parts = [torch.randn(1, 2, length, 12).to(dtype) for _ in range(4)]
    results = []
    for double in (False, True):
        q, k, v, g = (p.double() if double else p.clone() for p in parts)
        leaves = [x.requires_grad_() for x in (q, k, v)]
        if double:
            mask = torch.ones(length, length).tril().bool()
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            out = attention.causal(q, k, v, None, 0.0)
        out.backward(g)
        results.append([out.detach(), *(x.grad for x in leaves)])
    largest = {torch.float32: 1e-6, torch.bfloat16: 0.015}[dtype]
    for mine, exact in zip(*results, strict=True):
        assert ((mine.double() - exact).norm() / exact.norm()) < largest
        assert mine.dtype == dtype


def test_without_a_mask_a_model_gives_what_it_gives_with_one(model):
    """Right pads are seen by nobody, so training needs no mask."""
    some = batch()
    ones = torch.ones_like(some.input_ids)
    with torch.no_grad():
        free = model(some.input_ids, some.input_tables)
        masked = model(some.input_ids, some.input_tables, ones)
    torch.testing.assert_close(free, masked, atol=1e-5, rtol=0)
