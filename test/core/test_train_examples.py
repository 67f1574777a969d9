# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Examples and batches: what a sequence holds and what is asked of it; padding is nothing."""

import numpy as np
import pytest
import torch

from lapa_core.errors import DataError
from lapa_core.model import fresh, vocabulary
from lapa_core.model.configuration import preset
from lapa_core.model.lapa import LapaModel
from lapa_core.model.vocabulary import Table
from lapa_core.train import loss
from lapa_core.train.examples import (
    REFERENCE_LENGTH,
    action_example,
    bucketed,
    collate,
    latent_example,
)

pytestmark = pytest.mark.torch

WORDS = ("open the drawer", "move the red cube to the left of the bowl", "close the microwave")


@pytest.fixture(scope="module")
def tokenizer():
    return fresh.small_tokenizer(512)


@pytest.fixture(scope="module")
def model() -> LapaModel:
    torch.manual_seed(3)
    return LapaModel(preset("debug").lapa_config())


def made(tokenizer, words=WORDS[0], steps=1, seed=0, **others):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 512, (1, 256))
    return action_example(tokenizer, words, codes, 512, rng.integers(0, 200, (steps, 7)), **others)


def test_the_prompt_is_what_a_policy_reads(tokenizer, debug_checkpoint):
    """The tokens before the first code are the generator's prompt, without its padding."""
    from lapa_core.model.checkpoint import Checkpoint
    from lapa_core.policy.generate import Generator

    checkpoint = Checkpoint.from_pretrained(debug_checkpoint)
    codes = np.random.default_rng(1).integers(0, 512, (1, 256))
    generator = Generator(
        checkpoint.lapa, checkpoint.tokenizer, kind="action", num_tokens=7, num_codes=512
    )
    prompt = generator(WORDS[1], codes[0]).prompt
    example = action_example(
        checkpoint.tokenizer, WORDS[1], codes, 512, np.zeros((1, 7), np.int64)
    )
    real = prompt.mask.astype(bool)
    np.testing.assert_array_equal(example.ids[: real.sum()], prompt.ids[real])
    np.testing.assert_array_equal(example.tables[: real.sum()], prompt.tables[real])
    assert (example.tables[real.sum() :][:7] == Table.ACTION).all()


def test_cameras_and_state_stand_before_the_words_that_open_the_codes(tokenizer):
    rng = np.random.default_rng(0)
    codes, actions = rng.integers(0, 512, (2, 256)), rng.integers(0, 200, (3, 7))
    example = action_example(
        tokenizer, WORDS[0], codes, 512, actions, state_tokens=np.array([5, 6, 7])
    )
    pictures = example.ids[example.tables == Table.VISION]
    np.testing.assert_array_equal(pictures[:256], codes[0])
    assert pictures[256] == vocabulary.end_of_frame(512)
    np.testing.assert_array_equal(pictures[257:513], codes[1])
    assert pictures[513] == vocabulary.end_of_vision(512)
    order = example.tables[np.diff(example.tables, prepend=-1) != 0].tolist()
    assert order == [Table.TEXT, Table.STATE, Table.VISION, Table.TEXT, Table.ACTION, Table.TEXT]
    np.testing.assert_array_equal(example.ids[example.tables == Table.STATE], [5, 6, 7])
    np.testing.assert_array_equal(example.ids[example.tables == Table.ACTION], actions.ravel())


def test_nothing_is_asked_of_steps_that_do_not_exist(tokenizer):
    """They keep their place, hold no token of a neighbour, and the words after them count not."""
    values = np.arange(21.0).reshape(3, 7)
    short = made(tokenizer, steps=3, valid=np.array([True, True, False]), values=values)
    whole = made(tokenizer, steps=3, values=values)
    assert len(short) == len(whole)
    action = short.tables == Table.ACTION
    np.testing.assert_array_equal(short.loss[action], [1] * 14 + [0] * 7)
    assert (short.ids[action][14:] == 0).all()
    assert short.loss[np.flatnonzero(action)[-1] :].sum() == 0
    assert whole.loss[np.flatnonzero(action)[-1] :].sum() > 1
    assert np.isnan(short.values[2]).all()
    np.testing.assert_array_equal(short.values[:2], values[:2])


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"valid": np.array([False, True])}, "must be its first"),
        ({"valid": np.array([True])}, "validity of"),
        ({"values": np.zeros((1, 7))}, r"actions of shape \(1, 7\)"),
    ],
)
def test_chunks_that_do_not_fit_are_refused(tokenizer, others, said):
    with pytest.raises(DataError, match=said):
        made(tokenizer, steps=2, **others)


def test_latent_codes_that_are_no_numbers_are_refused(tokenizer):
    with pytest.raises(DataError, match="whole numbers"):
        latent_example(tokenizer, "go", np.zeros((1, 4)), 512, ["a", "1"])
    with pytest.raises(DataError, match="0 or more"):
        latent_example(tokenizer, "go", np.zeros((1, 4)), 512, [-1, 1])


def test_all_actions_of_a_batch_are_known_or_none(tokenizer):
    known = made(tokenizer, values=np.ones((1, 7)))
    assert collate([known, known]).values.shape == (2, 1, 7)
    assert collate([made(tokenizer)]).values is None
    with pytest.raises(DataError, match="1 of 2 examples"):
        collate([known, made(tokenizer)])


@pytest.mark.parametrize("kind", ["action", "latent"])
def test_less_padding_changes_neither_loss_nor_gradients(tokenizer, model, kind):
    """Batches of their own length against the reference's 384, within 1e-6."""
    rows = [made(tokenizer, words, seed=i) for i, words in enumerate(WORDS)]
    if kind == "latent":
        codes = np.random.default_rng(0).integers(0, 512, (3, 1, 256))
        rows = [
            latent_example(tokenizer, w, c, 512, [1, 7, 0, 3])
            for w, c in zip(WORDS, codes, strict=True)
        ]
    short, padded = collate(rows), collate(rows, pad_to=REFERENCE_LENGTH)
    assert short.input_ids.shape[1] < 330 < padded.input_ids.shape[1]
    assert short.input_ids.shape[1] % 8 == 0
    objective = loss.Objective(model, kind)
    results = []
    for batch in (short, padded):
        model.zero_grad()
        total = objective(batch).total
        total.backward()
        grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        results.append((total.item(), grads))
    (one, mine), (other, theirs) = results
    assert one == pytest.approx(other, abs=1e-6)
    assert mine.keys() == theirs.keys()
    assert max(g.abs().max() for g in mine.values()) > 1e-3, "gradients that could differ"
    for name, gradient in mine.items():
        torch.testing.assert_close(gradient, theirs[name], atol=1e-6, rtol=0, msg=name)


def test_buckets_hold_every_example_once_and_waste_less():
    lengths = np.random.default_rng(0).integers(290, 400, 1003)
    batches = bucketed(lengths, 32, np.random.default_rng(1))
    assert sorted(np.concatenate(batches)) == list(range(1003))
    assert max(map(len, batches)) == 32

    def waste(parts) -> int:
        return sum(lengths[p].max() * len(p) - lengths[p].sum() for p in parts)

    shuffled = np.random.default_rng(1).permutation(1003)
    plain = [shuffled[i : i + 32] for i in range(0, 1003, 32)]
    assert waste(batches) < 0.2 * waste(plain)
    again = bucketed(lengths, 32, np.random.default_rng(1))
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))
    other = bucketed(lengths, 32, np.random.default_rng(2))
    assert not np.array_equal(batches[0], other[0])
