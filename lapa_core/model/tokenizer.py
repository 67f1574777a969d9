# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Text -> ids with the released sentencepiece model, as the reference's slow tokenizer does it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

from lapa_core.errors import CheckpointError

# Cut out before sentencepiece sees the text; blanks around them are dropped (Hugging Face's
# slow tokenizers). `<vision>`, `<action>` and the like are ordinary text in LAPA.
_SPECIALS = {"<unk>": 0, "<s>": 1, "</s>": 2}
_BLANK = "\u2581"  # what sentencepiece writes for a blank
_SPLIT = re.compile("(" + "|".join(map(re.escape, _SPECIALS)) + ")")


class TextTokenizer:
    """A sentencepiece model that adds no beginning or end of its own."""

    def __init__(self, model: bytes, source: str = "tokenizer.model") -> None:
        self.model = model
        self._pieces = sentencepiece.SentencePieceProcessor()
        try:
            self._pieces.LoadFromSerializedProto(model)
        except RuntimeError:
            raise CheckpointError(f"{source} is not a sentencepiece model") from None
        for piece, index in _SPECIALS.items():
            if self._pieces.PieceToId(piece) != index:
                raise CheckpointError(
                    f"{source}: {piece} must be piece {index}, "
                    f"it is {self._pieces.PieceToId(piece)}"
                )

    @classmethod
    def from_file(cls, path: str | Path) -> TextTokenizer:
        """Read a `tokenizer.model`."""
        try:
            return cls(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise CheckpointError(f"cannot read the tokenizer {path}: {error.strerror}") from None

    @classmethod
    def train(
        cls, sentences: Iterable[str], vocab_size: int, whole: Iterable[str] = ()
    ) -> TextTokenizer:
        """Make a small byte-fallback model from a few sentences; the same ones give the same.

        Args:
            sentences: whose pieces it shall know.
            vocab_size: pieces at most.
            whole: texts that become one piece each, blanks and all. A blank at the beginning
                stands for the beginning of a text, too.
        """
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            byte_fallback=True,
            normalization_rule_name="identity",  # as LLaMA's; the others add 240 KB of tables
            hard_vocab_limit=False,
            user_defined_symbols=[text.replace(" ", _BLANK) for text in whole],
            num_threads=1,
            minloglevel=2,
        )
        return cls(model.getvalue(), "the trained tokenizer")

    def __len__(self) -> int:
        return int(self._pieces.GetPieceSize())

    def encode(self, text: str) -> list[int]:
        """Ids of the text."""
        parts = _SPLIT.split(text)  # text at even places, a special piece at odd ones
        ids: list[int] = []
        for i, part in enumerate(parts):
            if i % 2:
                ids.append(_SPECIALS[part])
                continue
            if i > 0:
                part = part.lstrip()
            if i < len(parts) - 1:
                part = part.rstrip()
            if part:
                ids += self._pieces.EncodeAsIds(part)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Text of the ids, for people to read."""
        return str(self._pieces.DecodeIds([int(i) for i in ids]))
