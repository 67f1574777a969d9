# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Words and an image's codes -> latent or action codes, with nothing computed twice.

The words before the image depend on the instruction alone: their keys and values are kept and
reused until it changes. Shapes are the same at every step: 128 slots of words, 257 of image,
the words after it, then one slot a code.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lapa_core.errors import DecodeError
from lapa_core.model import vocabulary
from lapa_core.model.cache import KeyValueCache
from lapa_core.model.lapa import LapaModel, causal_mask
from lapa_core.model.token_step import TokenStep
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.vocabulary import Sequence1D

Choose = Callable[[Tensor], Tensor]  # (rows,) scores -> () int64 code
# (place, codes before it) -> the code of that place, or None where it is to be chosen.
Given = Callable[[int, Sequence[Tensor]], "int | None"]
TOP_K = 50  # GenerationConfig's default, which the reference samples with


@dataclass(frozen=True)
class Generated:
    """What one generation gives.

    Attributes:
        tokens: (n,) int64 codes.
        step_logits: (n, rows) float32 scores that each was chosen from.
        prompt: everything the model read before.
        prefill_s, decode_s: time for the prompt (to the first code) and for the other codes.
    """

    tokens: NDArray[np.int64]
    step_logits: NDArray[np.float32]
    prompt: Sequence1D
    prefill_s: float
    decode_s: float


def greedy(scores: Tensor) -> Tensor:
    """The code with the highest score."""
    return scores.argmax()


def sampler(generator: torch.Generator) -> Choose:
    """Draw from the 50 highest scores at temperature 1, as the reference serves actions."""

    def choose(scores: Tensor) -> Tensor:
        top = scores.float().topk(min(TOP_K, len(scores)))
        drawn = torch.multinomial(top.values.softmax(-1).cpu(), 1, generator=generator)
        return top.indices[drawn.to(scores.device)][0]

    return choose


class Generator:
    """Generates `num_tokens` codes after each prompt.

    Args:
        kind: "latent" or "action", the table the codes are of.
        num_codes: size of the VQGAN's codebook.
        choose: picks a code from scores.
        reference_eos: stop at code 2 and fill with 0, as the reference does by mistake.
        num_bins: (d,) codes that mean something for each dimension of a step; one is chosen of
            those. None: of all rows.
    """

    def __init__(
        self,
        model: LapaModel,
        tokenizer: TextTokenizer,
        *,
        kind: str,
        num_tokens: int,
        num_codes: int,
        choose: Choose = greedy,
        reference_eos: bool = False,
        num_bins: Sequence[int] | None = None,
    ) -> None:
        self._bins = tuple(num_bins or ())
        self._model, self._tokenizer = model, tokenizer
        self._table = vocabulary.table_of(kind)
        self._num_tokens, self._num_codes = num_tokens, num_codes
        self._choose, self._reference_eos = choose, reference_eos
        self._suffix = vocabulary.suffix(tokenizer, kind)
        self._words: _Words | None = None

    def reset(self) -> None:
        """Forget the instruction, so that its words are read anew."""
        self._words = None

    @torch.inference_mode()
    def __call__(
        self,
        instruction: str,
        image_codes: NDArray[np.int64],
        state_tokens: NDArray[np.int64] | None = None,
        given: Given | None = None,
    ) -> Generated:
        """Generate after these words and pictures.

        Args:
            instruction: in words.
            image_codes: (N,) codes of the image, or (c, N) of several.
            state_tokens: (s,) ids of proprioception, where the model reads it.
            given: tells codes that are not to be chosen.

        Raises:
            DecodeError: a score is not finite.
        """
        start = time.perf_counter()
        body = vocabulary.images(image_codes, self._num_codes)
        if state_tokens is not None:
            body = vocabulary.state(state_tokens) + body
        body = body + self._suffix
        words = self._read_words(instruction, body)
        embeds = _embed(self._model, body)
        scores = [self._scores(words, embeds, vocabulary.PROMPT_LENGTH)]
        codes = [self._choose_at(0, scores[0], [], given)]
        self._synchronise()
        middle = time.perf_counter()
        self._decode(words, scores, codes, vocabulary.PROMPT_LENGTH + len(body), given)
        tokens = torch.stack(codes).cpu().numpy()
        step_logits = torch.stack(scores).cpu().numpy()
        end = time.perf_counter()
        if not np.all(np.isfinite(step_logits)):
            raise DecodeError("the model's scores are not finite; its weights may be broken")
        return Generated(tokens, step_logits, words.prefix + body, middle - start, end - middle)

    def _read_words(self, instruction: str, body: Sequence1D) -> _Words:
        """Keys and values of the words before the image, from memory where they are known."""
        length = vocabulary.PROMPT_LENGTH + len(body) + self._num_tokens
        known = self._words
        alike = known is not None and np.array_equal(known.tables, body.tables)
        if known and known.instruction == instruction and alike:
            return known
        prefix = vocabulary.prefix(self._tokenizer, instruction)
        num_pads = len(prefix) - int(prefix.mask.sum())
        cache = known.cache if known and known.cache.length == length else None
        cache = cache or self._model.new_cache(length)
        mask = torch.ones((1, length), device=self._model.device)
        mask[:, :num_pads] = 0
        # Added to the scores: one conversion now instead of one a layer and step.
        additive = torch.zeros((1, 1, length, length), device=mask.device)
        after = np.full(self._num_tokens, self._table)
        tables = np.concatenate([prefix.tables, body.tables, after])[None]
        whole = self._model.seen_whole(torch.from_numpy(tables).to(mask.device))
        additive.masked_fill_(~causal_mask(mask, length, whole), float("-inf"))
        step = TokenStep(self._model)  # anew, as the weights may have been moved meanwhile
        words = _Words(instruction, prefix, body.tables, num_pads, cache, additive, step)
        real = Sequence1D(*(a[num_pads:] for a in (prefix.ids, prefix.tables, prefix.mask)))
        self._words = None  # not to be found half-written if the next line fails
        self._pass(words, _embed(self._model, real), num_pads)
        self._words = words
        return words

    def _pass(self, words: _Words, embeds: Tensor, slot: int) -> Tensor:
        """Read (1, T, D) embeddings into the slots from `slot` on; gives their final states."""
        end = slot + embeds.shape[1]
        first, last = slot - words.num_pads, end - words.num_pads
        positions = torch.arange(first, last, device=embeds.device)[None]
        words.cache.rewind(slot)
        mask = words.mask[:, :, slot:end, :end]
        return self._model.backbone(embeds, positions, mask, words.cache)

    def _scores(self, words: _Words, embeds: Tensor, slot: int) -> Tensor:
        """(rows,) scores of the code that follows the embeddings."""
        return self._model.logits(self._pass(words, embeds, slot)[0, -1], self._table)

    def _decode(
        self, words: _Words, scores: list[Tensor], codes: list[Tensor], slot: int,
        given: Given | None,
    ) -> None:  # fmt: skip
        """Append the second to the last code; each one is read to find the next."""
        finished = False
        while (read := len(codes)) < self._num_tokens:
            self._append_given(codes, given)
            scores += self._read(words, codes[read - 1 : self._num_tokens - 1], slot + read - 1)
            if len(codes) == self._num_tokens:  # the last ones were given
                return
            if self._reference_eos:
                finished = finished or int(codes[-1]) == vocabulary.REFERENCE_EOS_CODE
            chosen = self._choose_at(len(codes), scores[-1], codes, given)
            codes.append(torch.full_like(chosen, vocabulary.PAD_ID) if finished else chosen)

    def _append_given(self, codes: list[Tensor], given: Given | None) -> None:
        """Append the codes of the next places as far as they are not to be chosen."""
        while given is not None and len(codes) < self._num_tokens:
            code = given(len(codes), codes)
            if code is None:
                return
            codes.append(torch.full_like(codes[-1], code))

    def _read(self, words: _Words, codes: list[Tensor], slot: int) -> list[Tensor]:
        """Read codes into the slots from `slot` on; gives the scores after each."""
        embedding, _ = self._model.tables()[self._table]
        # float32 as in the prefill. The reference's stream is bfloat16 here by accident of
        # types; keeping float32 is closer to its scores all the same (decisions/0011).
        embeds = embedding(torch.stack(codes)).float()
        if len(codes) == 1:
            position = slot - words.num_pads
            states = words.step(embeds, position, words.num_pads, words.cache)
        else:
            states = self._pass(words, embeds[None], slot)[0]
        return list(self._model.logits(states, self._table).unbind())

    def _choose_at(
        self, place: int, scores: Tensor, codes: list[Tensor], given: Given | None
    ) -> Tensor:
        """A code for this place: the one that is given, or of those that have a meaning there."""
        if given is not None and (code := given(place, codes)) is not None:
            return torch.tensor(code, device=scores.device)
        return self._choose(
            scores[: self._bins[place % len(self._bins)]] if self._bins else scores
        )

    def _synchronise(self) -> None:
        """Wait for the device, so that the stages' times are their own."""
        if self._model.device.type == "cuda":
            torch.cuda.synchronize(self._model.device)


@dataclass(frozen=True)
class _Words:
    """An instruction that has been read.

    Attributes:
        prefix: the words before the image, padded on the left.
        tables: of what comes between them and the codes.
        num_pads: slots of the cache that padding leaves empty.
        cache: with their keys and values; overwritten after them at every step.
        mask: (1, 1, slots, slots) added to attention scores.
        step: that reads one token more into the cache.
    """

    instruction: str
    prefix: Sequence1D
    tables: NDArray[np.int64]
    num_pads: int
    cache: KeyValueCache
    mask: Tensor
    step: TokenStep


def _embed(model: LapaModel, sequence: Sequence1D) -> Tensor:
    """(1, T, D) embeddings."""
    ids, tables = (
        torch.from_numpy(a)[None].to(model.device) for a in (sequence.ids, sequence.tables)
    )
    return model.embed(ids, tables)
