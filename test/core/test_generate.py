# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Generation: what is cached equals what is not, whatever came before."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from lapa_core.errors import DecodeError
from lapa_core.model import vocabulary
from lapa_core.model.cache import KeyValueCache
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.fresh import small_tokenizer
from lapa_core.model.lapa import LapaModel, causal_mask
from lapa_core.model.token_step import TokenStep
from lapa_core.model.vocabulary import Sequence1D, Table
from lapa_core.policy.generate import Generator, greedy, sampler

pytestmark = pytest.mark.torch

NUM_TOKENS = 14  # two arms: nothing may count on seven
WORDS = ("open the drawer", "put the small red cube on the plate")


@pytest.fixture(scope="module")
def checkpoint(debug_checkpoint) -> Checkpoint:
    return Checkpoint.from_pretrained(debug_checkpoint)


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 512, (2, 256))


def generator(checkpoint: Checkpoint, **changes) -> Generator:
    arguments = {"kind": "action", "num_tokens": NUM_TOKENS, "num_codes": 512, **changes}
    return Generator(checkpoint.lapa, checkpoint.tokenizer, **arguments)


def uncached(model: LapaModel, sequence: Sequence1D, tokens: np.ndarray) -> np.ndarray:
    """Scores of every token from one forward pass over everything, without a cache."""
    rows = np.asarray(tokens, dtype=np.int64)
    generated = Sequence1D(rows, np.full_like(rows, Table.ACTION), np.ones_like(rows))
    whole = sequence + generated
    ids, tables, mask = (torch.from_numpy(a)[None] for a in (whole.ids, whole.tables, whole.mask))
    with torch.inference_mode():
        hidden = model(ids, tables, mask)[0, len(sequence) - 1 : -1]
        return model.logits(hidden, Table.ACTION).numpy()


def test_cached_decoding_equals_one_forward_pass(checkpoint, codes):
    got = generator(checkpoint)(WORDS[0], codes[0])
    assert got.tokens.shape == (NUM_TOKENS,)
    expected = uncached(checkpoint.lapa, got.prompt, got.tokens)
    np.testing.assert_allclose(got.step_logits, expected, atol=1e-5, rtol=0)
    np.testing.assert_array_equal(got.tokens, expected.argmax(-1))


@pytest.fixture(scope="module")
def seeing(checkpoint: Checkpoint) -> LapaModel:
    """The same weights, whose image tokens see all of their picture."""
    model = LapaModel(copy.deepcopy(checkpoint.lapa.config)).eval()
    model.load_state_dict(checkpoint.lapa.state_dict())
    model.config.vision_whole = True
    return model


def test_a_picture_seen_whole_is_seen_alike_live_and_in_training(checkpoint, seeing, codes):
    made = generator(replace(checkpoint, lapa=seeing))
    got = made(WORDS[0], codes[0])
    np.testing.assert_array_equal(got.step_logits, made(WORDS[0], codes[0]).step_logits)
    expected = uncached(seeing, got.prompt, got.tokens)
    np.testing.assert_allclose(got.step_logits, expected, atol=1e-5, rtol=0)
    causal = generator(checkpoint)(WORDS[0], codes[0])
    assert np.abs(got.step_logits - causal.step_logits).max() > 1e-4
    # As training reads it: no pads on the left, no mask given, gradients on.
    rows = [a[a.size - int(got.prompt.mask.sum()) :] for a in (got.prompt.ids, got.prompt.tables)]
    ids, tables = (torch.from_numpy(np.append(r, v))[None] for r, v in
                   zip(rows, (got.tokens[:1], [Table.ACTION]), strict=True))  # fmt: skip
    seeing.train()
    hidden = seeing(ids, tables)[0, -2]
    seeing.eval()
    scores = seeing.logits(hidden, Table.ACTION).detach().numpy()
    np.testing.assert_allclose(scores, got.step_logits[0], atol=1e-5, rtol=0)


def test_an_image_token_sees_what_comes_later_in_its_picture_and_nothing_else_does(seeing, codes):
    def states(image: np.ndarray) -> tuple[torch.Tensor, int]:
        words = vocabulary.words(tokenizer, WORDS[0])
        row = words + vocabulary.images(image, 512)
        ids, tables = (torch.from_numpy(a)[None] for a in (row.ids, row.tables))
        with torch.inference_mode():
            return seeing(ids, tables)[0], len(words)

    tokenizer = small_tokenizer(512)
    other = codes[0].copy()
    other[200] = (other[200] + 1) % 512
    (one, start), (two, _) = states(codes[0]), states(other)
    moved = (one - two).abs().amax(-1)
    assert (moved[:start] == 0).all() and (moved[start:] > 0).all()


def test_the_words_kept_from_before_change_nothing(checkpoint, codes):
    """New image, new words, old words again: the same as with nothing kept, to the bit."""
    kept = generator(checkpoint)
    for words in (0, 0, 1, 0):
        for image in codes:
            again = kept(WORDS[words], image)
            fresh = generator(checkpoint)(WORDS[words], image)
            np.testing.assert_array_equal(again.step_logits, fresh.step_logits)
            np.testing.assert_array_equal(again.prompt.ids, fresh.prompt.ids)


def test_the_words_are_read_once(checkpoint, codes, monkeypatch):
    """The second step passes image, words after it and codes through the model, nothing more."""
    passes: list[int] = []
    layer = checkpoint.lapa.model.layers[0]
    hook = layer.register_forward_pre_hook(
        lambda _m, args: passes.append(args[0].shape[1]), with_kwargs=False
    )
    read = TokenStep.__call__
    monkeypatch.setattr(TokenStep, "__call__", lambda *a: passes.append(len(a[1])) or read(*a))
    kept = generator(checkpoint)
    kept(WORDS[0], codes[0])
    first = list(passes)
    passes.clear()
    kept(WORDS[0], codes[1])
    hook.remove()
    suffix = len(vocabulary.suffix(checkpoint.tokenizer, "action"))
    assert passes == [257 + suffix] + [1] * (NUM_TOKENS - 1)
    assert first[1:] == passes and first[0] < vocabulary.PROMPT_LENGTH


def test_a_failed_reading_of_words_is_not_remembered(checkpoint, codes):
    kept = generator(checkpoint)
    expected = kept(WORDS[0], codes[0]).step_logits
    hook = checkpoint.lapa.model.layers[1].register_forward_pre_hook(_interrupt)
    with pytest.raises(KeyboardInterrupt):
        kept(WORDS[1], codes[0])
    hook.remove()
    np.testing.assert_array_equal(kept(WORDS[0], codes[0]).step_logits, expected)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_later_token_changes_no_earlier_score(checkpoint, codes):
    got = generator(checkpoint)(WORDS[0], codes[0])
    other = got.tokens.copy()
    other[-2] = (other[-2] + 1) % 256
    before, after = (uncached(checkpoint.lapa, got.prompt, t) for t in (got.tokens, other))
    np.testing.assert_array_equal(before[:-1], after[:-1])
    assert not np.array_equal(before[-1], after[-1])


def test_padding_on_the_left_changes_nothing(checkpoint, codes):
    """Scores do not depend on how many slots are padding, and padding gives no NaN."""
    body = vocabulary.images(codes[0], 512)
    words = vocabulary.prefix(checkpoint.tokenizer, WORDS[0])
    num_pads = int((words.mask == 0).sum())
    bare = Sequence1D(*(a[num_pads:] for a in (words.ids, words.tables, words.mask)))
    token = np.zeros(1, dtype=np.int64)
    padded, plain = (uncached(checkpoint.lapa, s + body, token) for s in (words, bare))
    np.testing.assert_allclose(padded, plain, atol=1e-5, rtol=0)


def test_rows_of_padding_see_themselves():
    mask = causal_mask(torch.tensor([[0, 0, 1, 1]]), 4)[0, 0]
    assert mask.tolist() == [
        [True, False, False, False],
        [False, True, False, False],
        [False, False, True, False],
        [False, False, True, True],
    ]


def test_scores_that_are_not_finite_are_refused(debug_checkpoint, codes):
    broken = Checkpoint.from_pretrained(debug_checkpoint)
    with torch.no_grad():
        broken.lapa.action_head.weight[3, 5] = torch.nan
    with pytest.raises(DecodeError, match="not finite"):
        generator(broken)(WORDS[0], codes[0])


def test_sampling_is_top_fifty_at_temperature_one():
    """10000 draws against the softmax over the 50 highest scores."""
    scores = torch.linspace(-3, 3, 256)[torch.randperm(256, generator=torch.Generator())]
    choose = sampler(torch.Generator().manual_seed(0))
    drawn = torch.stack([choose(scores) for _ in range(10_000)])
    top = scores.topk(50)
    assert set(drawn.tolist()) <= set(top.indices.tolist())
    share = torch.bincount(drawn, minlength=256)[top.indices] / len(drawn)
    torch.testing.assert_close(share, top.values.softmax(-1), atol=0.01, rtol=0)


def test_the_seed_decides_the_draw(checkpoint, codes):
    draws = [
        generator(checkpoint, choose=sampler(torch.Generator().manual_seed(s)))(WORDS[0], codes[0])
        for s in (1, 1, 2)
    ]
    np.testing.assert_array_equal(draws[0].tokens, draws[1].tokens)
    assert not np.array_equal(draws[0].tokens, draws[2].tokens)
    assert greedy(torch.tensor([0.0, 2.0, 1.0])) == 1


def test_the_cache_is_rounded_to_the_models_type():
    cache = KeyValueCache(1, (1, 1, 4, 2), torch.device("cpu"), torch.bfloat16)
    keys = torch.full((1, 1, 2, 2), 1.001)
    got, _ = cache.update(keys, keys, 0)
    assert got.shape == (1, 1, 2, 2) and torch.all(got == 1.0)
    cache.advance(2)
    assert cache.update(keys, keys, 0)[0].shape == (1, 1, 4, 2)
    with pytest.raises(RuntimeError):
        cache.advance(2)
        cache.update(keys, keys, 0)


def test_gradients_reach_every_table(checkpoint):
    """Training uses the same forward pass."""
    model = checkpoint.lapa
    ids = torch.arange(8)[None]
    tables = torch.tensor([[0, 0, 1, 1, 2, 2, 3, 3]])
    hidden = model(ids, tables)
    sum(model.logits(hidden, t).square().mean() for t in model.tables()).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    model.zero_grad(set_to_none=True)
    assert without == []


def test_a_code_is_chosen_of_the_bins_its_dimension_has(checkpoint, codes):
    bins = (4, *[256] * 6)
    free = generator(checkpoint)(WORDS[0], codes[0])
    bound = generator(checkpoint, num_bins=bins)(WORDS[0], codes[0])
    assert free.tokens[0] >= 4  # else this would test nothing
    expected = [row[: bins[i % 7]].argmax() for i, row in enumerate(bound.step_logits)]
    np.testing.assert_array_equal(bound.tokens, expected)
