# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The vocabulary and the prompt: the only place where ids and prompt words are written.

Four tables share one integer space; a parallel array of `Table` values says which table an id
is looked up in. Knows nothing of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lapa_core.errors import CheckpointError, DataError
from lapa_core.model.tokenizer import TextTokenizer

PROMPT_LENGTH = 128  # the reference pads (on the left) or cuts (on the left) the text to this
PAD_ID = 0  # `<unk>`, which the reference's tokenizer also pads with
BOS_ID = 1
EOS_ID = 2
# The reference stops at this *code*: it hands the tokenizer's eos id to `generate`, where it is
# compared with latent codes, and fills up with `PAD_ID`.
REFERENCE_EOS_CODE = 2

_BEFORE = "<s> <s> You are a helpful assistant. USER: What action should the robot take to `"
_AFTER = "` ASSISTANT: <vision>"
_VISION_END = "</vision>"
_CODE_START = {"latent": "<delta>", "action": "<action>"}
_CODE_END = {"latent": "</delta>", "action": "</action>"}
KINDS = tuple(_CODE_START)
# What every sequence says in the same words; a tokenizer of our own has a piece for each.
_TAGS = (_VISION_END, *_CODE_START.values(), *_CODE_END.values())
ALWAYS = (_BEFORE.removeprefix("<s> <s>"), _AFTER, *(f" {tag}" for tag in _TAGS))


class Table(IntEnum):
    """The embedding table an id belongs to."""

    TEXT = 0
    VISION = 1
    LATENT = 2
    ACTION = 3
    STATE = 4  # proprioception; the reference has none


@dataclass(frozen=True)
class Sequence1D:
    """Tokens in order.

    Attributes:
        ids: (T,) int64.
        tables: (T,) int64, a `Table` each.
        mask: (T,) int64, 0 at padding.
    """

    ids: NDArray[np.int64]
    tables: NDArray[np.int64]
    mask: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def __add__(self, other: Sequence1D) -> Sequence1D:
        return Sequence1D(
            np.concatenate([self.ids, other.ids]),
            np.concatenate([self.tables, other.tables]),
            np.concatenate([self.mask, other.mask]),
        )


def _text(ids: Sequence[int], num_pads: int = 0) -> Sequence1D:
    row = np.array([PAD_ID] * num_pads + list(ids), dtype=np.int64)
    mask = np.ones_like(row)
    mask[:num_pads] = 0
    return Sequence1D(row, np.full_like(row, Table.TEXT), mask)


def end_of_vision(num_codes: int) -> int:
    """Vision id that closes an image: 8193 for 8192 codes (8192 closes a video frame)."""
    return num_codes + 1


def end_of_frame(num_codes: int) -> int:
    """Vision id between two pictures of one prompt: 8192 for 8192 codes, as in LWM's videos."""
    return num_codes


def table_of(kind: str) -> Table:
    """Table of the codes that a model of this kind generates."""
    return {"latent": Table.LATENT, "action": Table.ACTION}[kind]


def prompt_text(instruction: str) -> str:
    """The words before the image, with the instruction in them."""
    return f"{_BEFORE}{instruction}{_AFTER}"


def words(tokenizer: TextTokenizer, instruction: str) -> Sequence1D:
    """The words before the image, at most `PROMPT_LENGTH` tokens, without padding.

    Longer text loses its first tokens, as in the reference.

    Raises:
        DataError: so long that the instruction itself would be cut, or empty.
    """
    if not instruction.strip():
        raise DataError("the instruction is empty")
    ids = tokenizer.encode(prompt_text(instruction))
    excess = len(ids) - PROMPT_LENGTH
    if excess > len(tokenizer.encode(_BEFORE)):
        raise DataError(
            f"the instruction is {excess} tokens too long for the {PROMPT_LENGTH} of the prompt"
        )
    return _text(ids[max(excess, 0) :])


def prefix(tokenizer: TextTokenizer, instruction: str) -> Sequence1D:
    """`words`, padded on the left to exactly `PROMPT_LENGTH` tokens."""
    ids = words(tokenizer, instruction).ids.tolist()
    return _text(ids, num_pads=PROMPT_LENGTH - len(ids))


def images(codes: NDArray[np.int64], num_codes: int) -> Sequence1D:
    """The pictures of one prompt, one after the other.

    Args:
        codes: (c, N) or (N,) codes in raster order; one picture is the reference's layout.
        num_codes: size of the VQGAN's codebook.
    """
    pictures = np.atleast_2d(np.asarray(codes, dtype=np.int64))
    ends = np.full((len(pictures), 1), end_of_frame(num_codes), dtype=np.int64)
    ends[-1] = end_of_vision(num_codes)
    row = np.concatenate([pictures, ends], axis=1).ravel()
    return Sequence1D(row, np.full_like(row, Table.VISION), np.ones_like(row))


def state(tokens: NDArray[np.int64]) -> Sequence1D:
    """(s,) proprioception ids, which stand before the pictures.

    A token sees what stands before it: so each token of a picture knows where the arm is, and
    whether it holds something, when it is to be told what matters in the picture.
    """
    row = np.asarray(tokens, dtype=np.int64)
    return Sequence1D(row, np.full_like(row, Table.STATE), np.ones_like(row))


def suffix(tokenizer: TextTokenizer, kind: str) -> Sequence1D:
    """The words between the image and the first generated code."""
    return _text(tokenizer.encode(f"{_VISION_END} {_CODE_START[kind]}"))


def opening(tokenizer: TextTokenizer, kind: str) -> Sequence1D:
    """The words that open the codes, with which `suffix` ends."""
    return _text(tokenizer.encode(_CODE_START[kind]))


def closing(tokenizer: TextTokenizer, kind: str) -> Sequence1D:
    """The words after the last code and the end of the sequence, as in training."""
    return _text([*tokenizer.encode(_CODE_END[kind]), EOS_ID])


def check_sizes(
    text_vocab: int, num_pieces: int, vision_vocab: int, entries: int, parts: int = 1
) -> None:
    """Refuse tables that the tokenizer or the VQGAN would read beyond.

    Args:
        text_vocab, num_pieces: rows of the text table, and pieces of the tokenizer.
        vision_vocab: rows of the vision table.
        entries, parts: of the VQGAN's codebook, and how many of them make a code.

    Raises:
        CheckpointError: naming the two numbers that do not fit.
    """
    if num_pieces > text_vocab:
        raise CheckpointError(
            f"the tokenizer has {num_pieces} pieces but the text table {text_vocab} rows"
        )
    if end_of_vision(entries * parts) >= vision_vocab:
        raise CheckpointError(
            f"the VQGAN has {entries * parts} entries and two marks, "
            f"but the vision table {vision_vocab} rows"
        )
