# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""In which words a sample's instruction is said: its own, paraphrases, and words nobody has heard.

A small policy knows the sentences it was trained on and nothing else: of "topple the red block" it
knows the last three words, and if it has never heard an unknown one it may do nothing at all. The
other words and the table often tell enough, so it is taught to pass over what it does not
know. (After Iyyer et al. 2015, *Deep Unordered Composition Rivals Syntactic Methods*, where words
are dropped; here most become other ones.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

NOISY = 16  # noisy wordings of each instruction
UNKNOWN, DROPPED = 0.25, 0.1  # chances of a word
_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))
_LENGTHS = (2, 9)  # letters of a word that does not exist, from and below


class Wordings:
    """All wordings of a data set's instructions, and which of them each sample may have.

    Args:
        said: instruction of every sample.
        paraphrases: instruction -> other words for it.
        noise: share of the samples that get a noisy wording.
        seed: of the noise.

    Attributes:
        texts: all wordings.
        plain: (n,) number of the wording in which each sample was recorded.
    """

    def __init__(
        self,
        said: Sequence[str],
        paraphrases: Mapping[str, Sequence[str]],
        noise: float = 0.0,
        seed: int = 0,
    ) -> None:
        known: dict[str, int] = {}
        instruction = np.array([known.setdefault(text, len(known)) for text in said])
        clean = [(text, *paraphrases.get(text, ())) for text in known]
        wild = [self._wild(text, seed) if noise else () for text in known]
        all_of = [(*own, *others) for own, others in zip(clean, wild, strict=True)]
        first = np.cumsum([0, *(len(w) for w in all_of)])
        self.texts = [text for own in all_of for text in own]
        self.plain = first[instruction]
        self._clean = np.array([len(own) for own in clean])[instruction]
        self._noise = noise

    @staticmethod
    def _wild(text: str, seed: int) -> tuple[str, ...]:
        """Noisy wordings, the same for the same seed."""
        chance = np.random.default_rng([seed, *text.encode()])
        return tuple(noisy(text, chance) for _ in range(NOISY))

    def draw(
        self, chance: np.random.Generator, samples: NDArray[np.int64] | None = None
    ) -> NDArray[np.int64]:
        """(m,) number of a wording for each of (m,) samples, which may be among them several
        times; None: each once."""
        plain, clean = self.plain, self._clean
        if samples is not None:
            plain, clean = plain[samples], clean[samples]
        count = len(plain)
        wordings: NDArray[np.int64] = plain + chance.integers(clean)
        if self._noise:
            wild = chance.random(count) < self._noise
            others = plain + clean + chance.integers(NOISY, size=count)
            wordings[wild] = others[wild]
        return wordings


def noisy(instruction: str, chance: np.random.Generator) -> str:
    """The instruction with some words made unknown or left out, at least one of them.

    Args:
        instruction: words with spaces between them.
        chance: where the draws come from.
    """
    words = instruction.split()
    if not words:
        return instruction
    draws = chance.random(len(words))
    if draws.min() >= UNKNOWN + DROPPED:
        draws[chance.integers(len(words))] = 0.0
    said = []
    for word, draw in zip(words, draws, strict=True):
        if draw < UNKNOWN:
            said.append("".join(chance.choice(_LETTERS, size=chance.integers(*_LENGTHS))))
        elif draw >= UNKNOWN + DROPPED:
            said.append(word)
    return " ".join(said) or instruction
