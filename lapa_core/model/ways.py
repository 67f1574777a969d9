# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a policy says before it acts and need not choose: how far it is to a place it has said.

The place is a code, where the tool was told to be is known, and the way between them follows: it
is computed, given to the model as if it had said it, and not asked for. The same in training,
validation and on the robot (decision 0071). n steps, a said codes, s numbers of state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lapa_core.data import spoken
from lapa_core.data.state import TARGET
from lapa_core.errors import ConfigError
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.model.state_tokenizer import StateTokenizer
from lapa_core.types import FloatArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Way:
    """One that follows: from which said code, and from which number of the state."""

    source: int
    state: int
    turns: bool


class Ways:
    """The ways among what a policy says.

    Args:
        aims: bins of what it says.
        states: what it reads; None: nothing.

    Attributes:
        places: place among the said codes -> what it follows from; empty where all are chosen.
        asked: (a,) bins of each place that is chosen, 0 where it follows.

    Raises:
        ConfigError: a way follows from a number of the state that is not read.
    """

    def __init__(self, aims: ActionTokenizer, states: StateTokenizer | None) -> None:
        self._edges, self._bins = aims.edges, aims.num_bins
        names = states.names if states else ()
        self.places: dict[int, Way] = {}
        for place, name in enumerate(aims.dimensions):
            arm, _, what = name.rpartition("/")
            kind, _, axis = what.partition("_")
            if kind != spoken.WAY:
                continue
            # From the pose that the next delta goes on from, not from where the arm has come to.
            if (here := f"{arm}/{TARGET}{axis}") not in names:
                raise ConfigError(
                    f"{name} follows from {here}, which is not read; give it with --state, of "
                    f"which there is {', '.join(names) or 'nothing'}"
                )
            source = aims.dimensions.index(f"{arm}/{spoken.PLACE}_{axis}")
            self.places[place] = Way(source, names.index(here), axis == spoken.TURN)
        chosen = [0 if p in self.places else n for p, n in enumerate(self._bins)]
        self.asked = tuple(chosen)

    def follow(self, place: int, said: IntArray, here: FloatArray) -> IntArray:
        """(n,) codes of a way.

        Args:
            place: one of `places`.
            said: (n,) codes of what it follows from; that after the bins says "not known", and
                so does the way's then.
            here: (n,) where the tool is told to be [m], or to be turned [rad].
        """
        way, rows = self.places[place], self._edges[place]
        edges = self._edges[way.source]
        known = said < self._bins[way.source]
        code = np.where(known, said, 0)
        far = (edges[code] + edges[code + 1]) / 2 - here
        if way.turns:
            far = (far + math.pi) % (2 * math.pi) - math.pi
        found = np.clip(np.searchsorted(rows, far, side="right") - 1, 0, len(rows) - 2)
        return np.where(known, found, self._bins[place]).astype(np.int64)

    def fill(self, said: IntArray, state: FloatArray) -> IntArray:
        """(n, a) codes with those that follow, of (n, s) states."""
        found = said.copy()
        for place, way in self.places.items():
            found[:, place] = self.follow(place, found[:, way.source], state[:, way.state])
        return found
