# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""One training example as a token sequence, and many of them as a batch.

The sequence is the reference's to the token (docs/training_reference.md): words, proprioception
(which the reference has not), pictures, "</vision> <action>", the codes, "</action>", end. Knows
nothing of models, of losses, or of where the codes come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lapa_core.errors import DataError
from lapa_core.model import vocabulary
from lapa_core.model.tokenizer import TextTokenizer
from lapa_core.model.vocabulary import Sequence1D, Table
from lapa_core.types import FloatArray

REFERENCE_LENGTH = 384  # the reference pads every example to this, and cuts longer ones


@dataclass(frozen=True)
class Example:
    """A sequence and what is asked of it.

    Attributes:
        ids, tables: (T,) int64, an id and the `Table` it belongs to.
        loss: (T,) float32, weight of the prediction *of* token t; 0 where nothing is asked.
        values: (k, d) float64 true actions behind the action tokens, NaN where a step does not
            exist; None where only tokens are known.
    """

    ids: NDArray[np.int64]
    tables: NDArray[np.int64]
    loss: NDArray[np.float32]
    values: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass
class Batch:
    """Examples shifted by one and padded on the right; B examples, T tokens, K codes at most.

    Attributes:
        input_ids, input_tables: (B, T) int64 what the model reads, its pads `BOS_ID`.
        target_ids, target_tables: (B, T) int64 the token after each.
        loss: (B, T) float32 weight of each target, 0 at pads.
        lengths: (B,) int64 tokens of each row that are no pads.
        values: (B, k, d) float64 true actions, NaN where a step does not exist, or None.
        points: (B, c, a, 2) int64 place in each picture where each arm acts next and the tool's
            heading there (`train.pointing`), or -100; None
            where that is not asked for.
        changed: (B, N) float32 which image tokens will have changed by the end of the clip, NaN
            where that is not known (`train.latent.changes`), or None where it is not asked for.
        here: (B, s) float64 state, from which some of the codes follow (`model.ways`), or None
            where none do.
    """

    input_ids: Tensor
    input_tables: Tensor
    target_ids: Tensor
    target_tables: Tensor
    loss: Tensor
    lengths: Tensor
    values: Tensor | None = None
    points: Tensor | None = None
    changed: Tensor | None = None
    here: Tensor | None = None

    def __len__(self) -> int:
        return int(self.input_ids.shape[0])

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch on a device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(
            **{
                name: None if t is None else t.to(device, non_blocking=non_blocking)
                for name, t in moved.items()
            }
        )

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory, as `torch.utils.data.DataLoader` asks for it."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return Batch(**{n: None if t is None else t.pin_memory() for n, t in moved.items()})


def action_example(
    tokenizer: TextTokenizer,
    instruction: str,
    codes: NDArray[np.int64],
    num_codes: int,
    action_tokens: NDArray[np.int64],
    valid: NDArray[np.bool_] | None = None,
    state_tokens: NDArray[np.int64] | None = None,
    values: FloatArray | None = None,
    aim_tokens: NDArray[np.int64] | None = None,
    aim_bins: Sequence[int] = (),
) -> Example:
    """What an action model learns from one step.

    Args:
        tokenizer: of the words.
        instruction: in words.
        codes: (c, N) codes of the pictures, one row a camera.
        num_codes: size of the VQGAN's codebook.
        action_tokens: (k, d) tokens of this and the following steps.
        valid: (k,) which of the steps exist; None for all. The steps after the last are kept, so
            that all examples are of one length, but nothing is asked of them.
        state_tokens: (s,) ids of proprioception; None where the model reads none.
        values: (k, d) the actions themselves, for errors in millimetres and degrees.
        aim_tokens: (a,) codes of where the tools act next, said before the actions. The code
            after the last of `aim_bins` says that it is not known; it is read and not asked for.
        aim_bins: (a,) how many codes are places; 0 where the code follows from others and is not
            asked for.

    Raises:
        DataError: shapes do not fit, no step exists, or one exists after one that does not.
    """
    tokens = _rows(action_tokens, "action tokens")
    exists = np.ones(len(tokens), dtype=bool) if valid is None else np.asarray(valid, dtype=bool)
    _check_chunk(tokens, exists, values)
    body = vocabulary.words(tokenizer, instruction)
    if state_tokens is not None:
        body = body + vocabulary.state(state_tokens)
    body = body + vocabulary.images(_rows(codes, "picture codes"), num_codes)
    kept = np.where(exists[:, None], tokens, 0).ravel()
    asked = np.repeat(exists, tokens.shape[1]).astype(np.float32)
    if aim_tokens is not None:
        known = np.asarray(aim_tokens) < np.asarray(aim_bins)
        kept = np.concatenate([aim_tokens, kept])
        asked = np.concatenate([known.astype(np.float32), asked])
    if values is not None:
        values = np.where(exists[:, None], np.asarray(values, dtype=np.float64), np.nan)
    return _example(tokenizer, body, "action", kept, asked, values)


def latent_example(
    tokenizer: TextTokenizer,
    instruction: str,
    codes: NDArray[np.int64],
    num_codes: int,
    latent_tokens: NDArray[np.int64],
) -> Example:
    """What a latent model learns from one pair of frames.

    Args:
        tokenizer, instruction, codes, num_codes: as in `action_example`.
        latent_tokens: (4,) codes of the change between the frames. LAQ writes them as strings,
            which are read as the numbers they spell.

    Raises:
        DataError: shapes do not fit.
    """
    try:
        tokens = np.array([int(t) for t in latent_tokens], dtype=np.int64)
    except (TypeError, ValueError):
        raise DataError(f"latent tokens must be whole numbers, got {latent_tokens!r}") from None
    if not len(tokens) or tokens.min() < 0:
        raise DataError(f"latent tokens must be 0 or more, got {tokens.tolist()}")
    body = vocabulary.words(tokenizer, instruction) + vocabulary.images(
        _rows(codes, "picture codes"), num_codes
    )
    return _example(tokenizer, body, "latent", tokens, np.ones(len(tokens), np.float32), None)


def _example(
    tokenizer: TextTokenizer,
    body: Sequence1D,
    kind: str,
    codes: NDArray[np.int64],
    asked: NDArray[np.float32],
    values: FloatArray | None,
) -> Example:
    """The sequence with its codes. As in the reference, the words around them carry loss too."""
    opening, closing = (f(tokenizer, kind) for f in (vocabulary.opening, vocabulary.closing))
    before = body + vocabulary.suffix(tokenizer, kind)
    marks = np.full_like(codes, vocabulary.table_of(kind))
    sequence = before + Sequence1D(codes, marks, np.ones_like(codes)) + closing
    loss = np.zeros(len(sequence), dtype=np.float32)
    loss[len(before) - len(opening) : len(before)] = 1
    loss[len(before) : len(before) + len(codes)] = asked
    loss[len(before) + len(codes) :] = asked[-1]  # no end after steps that do not exist
    return Example(sequence.ids, sequence.tables, loss, values)


def collate(examples: Sequence[Example], pad_to: int | None = None, multiple_of: int = 8) -> Batch:
    """Put examples into one batch, padded to the longest.

    Args:
        examples: at least one.
        pad_to: pad to this many tokens instead; `REFERENCE_LENGTH` for the reference's batches.
        multiple_of: of the padded length where `pad_to` is None, so that shapes repeat.

    Raises:
        DataError: an example is longer than `pad_to`. (The reference cuts it, and shifts its
            loss by one token: docs/training_reference.md.)
    """
    longest = max(len(e) for e in examples) - 1
    if pad_to is not None and longest > pad_to:
        raise DataError(
            f"an example has {longest} tokens to read, and only {pad_to} are allowed; shorten "
            f"its instruction or allow more"
        )
    length = -(-longest // multiple_of) * multiple_of if pad_to is None else pad_to
    columns = {
        "input_ids": _padded([e.ids[:-1] for e in examples], length, vocabulary.BOS_ID),
        "input_tables": _padded([e.tables[:-1] for e in examples], length, Table.TEXT),
        "target_ids": _padded([e.ids[1:] for e in examples], length, vocabulary.BOS_ID),
        "target_tables": _padded([e.tables[1:] for e in examples], length, Table.TEXT),
        "loss": _padded([e.loss[1:] for e in examples], length, 0),
    }
    lengths = torch.tensor([len(e) - 1 for e in examples])
    return Batch(lengths=lengths, values=_values(examples), **columns)


def bucketed(
    lengths: Sequence[int] | NDArray[np.int64],
    batch_size: int,
    generator: np.random.Generator,
    window: int = 64,
) -> list[NDArray[np.int64]]:
    """One epoch's batches: shuffled, but with examples of like length together.

    Args:
        lengths: of all examples.
        batch_size: examples a batch; the last may be smaller.
        generator: decides the order.
        window: batches that are sorted among themselves. More means less padding and less chance.

    Returns:
        For each batch the numbers of its examples; every example once.
    """
    order = generator.permutation(len(lengths))
    sizes = np.asarray(lengths)
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), batch_size * window):
        part = order[start : start + batch_size * window]
        part = part[np.argsort(sizes[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    return [batches[i] for i in generator.permutation(len(batches))]


def _padded(rows: list[NDArray[np.generic]], length: int, fill: int) -> Tensor:
    out = np.full((len(rows), length), fill, dtype=rows[0].dtype)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return torch.from_numpy(out)


def _values(examples: Sequence[Example]) -> Tensor | None:
    known = [e.values for e in examples if e.values is not None]
    if not known:
        return None
    shapes = {v.shape for v in known}
    if len(known) < len(examples) or len(shapes) > 1:
        raise DataError(
            f"{len(known)} of {len(examples)} examples of a batch tell their actions, of the "
            f"shapes {sorted(shapes)}; all must, of one shape, or none"
        )
    return torch.from_numpy(np.stack(known))


def _rows(array: NDArray[np.integer], what: str) -> NDArray[np.int64]:
    rows = np.asarray(array).astype(np.int64)
    if rows.ndim != 2 or not rows.size or rows.min() < 0:
        raise DataError(f"{what} must be two-dimensional and 0 or more, got shape {rows.shape}")
    return rows


def _check_chunk(
    tokens: NDArray[np.int64], exists: NDArray[np.bool_], values: FloatArray | None
) -> None:
    if exists.shape != tokens.shape[:1]:
        raise DataError(f"validity of {exists.shape} steps for {len(tokens)} steps of actions")
    if not exists[0] or np.any(exists[1:] & ~exists[:-1]):
        raise DataError(f"the steps of a chunk that exist must be its first, got {exists}")
    if values is not None and np.shape(values) != tokens.shape:
        raise DataError(f"actions of shape {np.shape(values)} for tokens of {tokens.shape}")
