# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Batches of demonstrations: the steps of `sequences` with their pictures, states and actions.

n samples, k steps of a chunk, d dimensions, c cameras, N codes a picture, s numbers of state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lapa_core.data import spoken
from lapa_core.data.aims import of_demo
from lapa_core.data.demos import Demo, DemoSet
from lapa_core.data.views import View, in_world
from lapa_core.data.words import Wordings
from lapa_core.errors import DataError
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.vocabulary import Table
from lapa_core.model.ways import Ways
from lapa_core.robot import Robot
from lapa_core.train import examples
from lapa_core.train.examples import Example
from lapa_core.train.pointing import FINE, NOWHERE, TURNS
from lapa_core.train.sequences import Drawn, IntArray, Sequences


class Feed(Sequences):
    """All steps of some demonstrations as samples, and batches of them.

    Args:
        demos: at least one step.
        checkpoint: bins, tokenizer, chunk length, gripper polarity and state bins.
        paraphrases: instruction -> other words for it; one is drawn each time.
        word_noise: share of the samples whose instruction has words that nobody has heard.
        augment: draw among the variants of the pictures.
        pad_to: length of all sequences; 0 takes each batch's longest.
        seed: of the order and of all draws.
        views: how each camera sees, and the robot whose arms act: batches then tell in which
            cell of each picture; None asks for no such thing.
    """

    unit = "steps"

    def __init__(
        self,
        demos: DemoSet,
        checkpoint: Checkpoint,
        *,
        paraphrases: Mapping[str, Sequence[str]] | None = None,
        word_noise: float = 0.0,
        augment: bool = True,
        pad_to: int = 0,
        seed: int = 0,
        views: tuple[Robot, tuple[View, ...]] | None = None,
    ) -> None:
        if not demos.num_steps:
            raise DataError(f"{demos.report.source or 'the demonstrations'}: not one step to use")
        self._checkpoint = checkpoint
        self._chunk = checkpoint.interface.chunk_length
        self.demos = demos.demos
        self._number_samples()
        self._actions = checkpoint.interface.exchange_gripper(demos.actions())
        assert checkpoint.actions is not None  # the recipe made or read them
        self._tokens = checkpoint.actions.encode(self._actions).astype(np.int16)
        self._states = None
        if checkpoint.states is not None:
            self._states = checkpoint.states.encode(np.concatenate([d.state for d in self.demos]))
        self._here, self._aims, self._asked = None, None, ()
        if checkpoint.aims is not None:
            ways = Ways(checkpoint.aims, checkpoint.states)
            here = np.concatenate([d.state for d in self.demos])
            self._aims = ways.fill(aim_codes(self.demos, checkpoint.aims), here)
            self._asked = ways.asked
            self._here = here if ways.places else None
        said = [i for d in self.demos for i in d.instructions]
        super().__init__(
            Wordings(said, paraphrases or {}, word_noise, seed),
            self._template,
            variants=self.demos[0].codes.shape[0] if augment else 1,
            times=np.repeat([d.times for d in self.demos], [len(d) for d in self.demos]),
            pad_to=pad_to,
            seed=seed,
        )
        self._points = None if views is None else points_of(self.demos, *views)

    def _number_samples(self) -> None:
        """Place of every sample, and how many steps its chunk has."""
        lengths = [len(d) for d in self.demos]
        self._owner = np.repeat(np.arange(len(self.demos)), lengths)
        self._rows = np.concatenate([np.arange(n) for n in lengths])
        self._left = np.concatenate([steps_left(d, self._chunk) for d in self.demos])

    def _template(self, instruction: str) -> Example:
        """A sequence whose pictures, state and actions are all zero."""
        checkpoint = self._checkpoint
        cameras, codes = self.demos[0].codes.shape[2:]
        return examples.action_example(
            checkpoint.tokenizer,
            instruction,
            np.zeros((cameras, codes), dtype=np.int64),
            checkpoint.vqgan.num_codes,
            np.zeros((self._chunk, self._tokens.shape[1]), dtype=np.int64),
            state_tokens=None if self._states is None else np.zeros(self._states.shape[1], int),
            aim_tokens=None if self._aims is None else np.zeros(self._aims.shape[1], int),
            aim_bins=self._asked,
        )

    @property
    def picture_tokens(self) -> int:
        """Of a picture, its mark at the end included."""
        return int(self.demos[0].codes.shape[-1]) + 1

    def sources(self, drawn: Drawn) -> list[str]:
        """Names of the episodes they are from."""
        return sorted({self.demos[i].name for i in self._owner[drawn.samples]})

    def _fill(
        self, drawn: Drawn, ids: IntArray, tables: IntArray, loss: NDArray[np.float32]
    ) -> dict[str, Tensor]:
        """Write codes, state and actions where the templates have room.

        Gives (n, k, d) values and, where they are asked for, points.
        """
        samples = drawn.samples
        codes = np.stack(
            [
                self.demos[o].codes[v, r].ravel()
                for o, v, r in zip(
                    self._owner[samples], drawn.variants, self._rows[samples], strict=True
                )
            ]
        )
        ids[(tables == Table.VISION) & (ids == 0)] = codes.ravel()
        if self._states is not None:
            ids[tables == Table.STATE] = self._states[samples].ravel()
        steps = np.arange(self._chunk)
        exists = steps < self._left[samples][:, None]
        rows = samples[:, None] + np.minimum(steps, self._left[samples][:, None] - 1)
        tokens = np.where(exists[..., None], self._tokens[rows], 0)
        asked = np.repeat(exists, self._tokens.shape[1], axis=1).astype(np.float32)
        here = tables == Table.ACTION
        codes, weights = tokens.reshape(len(samples), -1), asked
        if self._aims is not None:
            said = self._aims[samples]
            known = said < np.array(self._asked)
            codes = np.concatenate([said, codes], axis=1)
            weights = np.concatenate([known.astype(np.float32), weights], axis=1)
        ids[here], loss[here] = codes.ravel(), weights.ravel()
        after = (here.cumsum(1) == here.sum(1, keepdims=True)) & ~here
        loss[after & ~exists[:, -1:]] = 0  # no end after steps that do not exist
        values = np.where(exists[..., None], self._actions[rows], np.nan)
        more = {"values": torch.from_numpy(values)}
        if self._points is not None:
            more["points"] = torch.from_numpy(self._points[samples])
        if self._here is not None:
            more["here"] = torch.from_numpy(self._here[samples])
        return more


def steps_left(demo: Demo, chunk: int) -> IntArray:
    """(n,) how many of the next `chunk` steps exist from each step on, as `Demo.chunk` says."""
    words = np.array(demo.instructions, dtype=object)
    ends = np.append((np.diff(demo.index) != 1) | (words[1:] != words[:-1]), True)
    where = np.flatnonzero(ends)
    place = np.arange(len(demo))
    return np.minimum(where[np.searchsorted(where, place)] - place + 1, chunk)


def aim_codes(demos: Sequence[Demo], bins: ActionTokenizer) -> IntArray:
    """(n, a) codes of what is said before acting; where it is not known, that after the bins.

    A code of its own: any place in its stead would be one that the actions are then learnt after.
    """
    found = []
    for demo in demos:
        places = spoken.of_demo(demo, bins.dimensions)
        known = np.isfinite(places)
        found.append(
            np.where(known, bins.encode(np.where(known, places, 0.0)), np.array(bins.num_bins))
        )
    return np.concatenate(found)


def points_of(demos: Sequence[Demo], robot: Robot, views: Sequence[View]) -> IntArray:
    """(n, c, a, 2) place in each picture where each arm acts next, and its tool's heading there.

    The place on a grid `FINE` times as fine as the pictures' cells, in raster order, the heading
    one of `TURNS`; each -100 where it is not known.

    Raises:
        DataError: the demonstrations do not say where the tools were.
    """
    side = round(demos[0].codes.shape[-1] ** 0.5)
    found = []
    for demo in demos:
        points = np.full((len(demo), len(views), len(robot.arms), 2), NOWHERE, dtype=np.int64)
        places = of_demo(demo)
        for a, arm in enumerate(robot.arms):
            where = in_world(arm, places[:, a, :3])
            for c, view in enumerate(views):
                seen = view.cells(where, side * FINE)
                points[:, c, a, 0] = np.where(seen < 0, NOWHERE, seen)
        points[..., 1] = _turns(places[..., 3])[:, None]
        found.append(points)
    return np.concatenate(found)


def _turns(heading: NDArray[np.float64]) -> IntArray:
    """Which of `TURNS` in half a turn a heading [rad] is; -100 where it is not known."""
    known = np.isfinite(heading)
    turn = np.floor(np.where(known, heading, 0.0) / np.pi * TURNS).astype(np.int64) % TURNS
    return np.where(known, turn, NOWHERE)
