# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which examples each update learns from: a function of the seed and the update's number alone.

So a run that is resumed needs no more than that number to go on with the same batches. Layout
and loss of a sequence are those of `examples.action_example`, called once for each wording; a
batch only fills the numbers in, in arrays, so that one core feeds a fast GPU.

n samples, k steps of a chunk, d dimensions, c cameras, N codes a picture, s numbers of state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lapa_core.data import spoken
from lapa_core.data.aims import of_demo
from lapa_core.data.demos import Demo, DemoSet
from lapa_core.data.views import View, in_world
from lapa_core.data.words import Wordings
from lapa_core.errors import DataError
from lapa_core.model.action_tokenizer import ActionTokenizer
from lapa_core.model.checkpoint import Checkpoint
from lapa_core.model.vocabulary import BOS_ID, Table
from lapa_core.robot import Robot
from lapa_core.train import examples
from lapa_core.train.examples import Batch, Example
from lapa_core.train.pointing import FINE, NOWHERE, TURNS

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """Samples of one batch: (n,) each.

    Attributes:
        samples: numbers of the samples.
        wordings: which alternative of the instruction.
        variants: which variant of the pictures.
    """

    samples: IntArray
    wordings: IntArray
    variants: IntArray


class Feed:
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
        self._checkpoint, self._augment, self._pad_to, self._seed = (
            checkpoint, augment, pad_to, seed,
        )  # fmt: skip
        self._chunk = checkpoint.interface.chunk_length
        self.demos = demos.demos
        self._number_samples()
        self._actions = checkpoint.interface.exchange_gripper(demos.actions())
        assert checkpoint.actions is not None  # the recipe made or read them
        self._tokens = checkpoint.actions.encode(self._actions).astype(np.int16)
        self._states = None
        if checkpoint.states is not None:
            self._states = checkpoint.states.encode(np.concatenate([d.state for d in self.demos]))
        self._aims = None if checkpoint.aims is None else aim_codes(self.demos, checkpoint.aims)
        said = [i for d in self.demos for i in d.instructions]
        self._wordings = Wordings(said, paraphrases or {}, word_noise, seed)
        self._templates = [self._template(t) for t in self._wordings.texts]
        self.lengths = np.array([len(t) for t in self._templates])
        self._points = None if views is None else points_of(self.demos, *views)
        self._plans: dict[tuple[int, int], list[Drawn]] = {}

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._rows)

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
            aim_bins=() if checkpoint.aims is None else checkpoint.aims.num_bins,
        )

    @property
    def picture_tokens(self) -> int:
        """Of a picture, its mark at the end included."""
        return int(self.demos[0].codes.shape[-1]) + 1

    # --- which ---------------------------------------------------------------------------------

    def batches_per_epoch(self, size: int) -> int:
        """Whole batches in the samples; at least one, which may be smaller."""
        return max(len(self) // size, 1)

    def draw(self, number: int, size: int) -> Drawn:
        """The samples of batch `number` (from 0, over all epochs)."""
        epoch, place = divmod(number, self.batches_per_epoch(size))
        plan = self._plans.get((epoch, size))
        if plan is None:  # another thread may ask for another epoch meanwhile
            plan = self._plan(epoch, size)
            self._plans = {(epoch, size): plan}
        return plan[place]

    def _plan(self, epoch: int, size: int) -> list[Drawn]:
        """Every sample at most once: what fills no whole batch waits for another epoch."""
        chance = np.random.default_rng((self._seed, epoch))
        wordings = self._wordings.draw(chance)
        variants = np.zeros(len(self), dtype=np.int64)
        if self._augment:
            variants = chance.integers(self.demos[0].codes.shape[0], size=len(self))
        found = examples.bucketed(self.lengths[wordings], size, chance)
        whole = [b for b in found if len(b) == size] or found
        return [Drawn(b, wordings[b], variants[b]) for b in whole]

    def in_order(self, samples: IntArray) -> Drawn:
        """These samples with the words they were recorded with and the plain pictures."""
        return Drawn(samples, self._wordings.plain[samples], np.zeros_like(samples))

    def episodes(self, drawn: Drawn) -> list[str]:
        """Names of the episodes they are from."""
        return sorted({self.demos[i].name for i in self._owner[drawn.samples]})

    # --- what ----------------------------------------------------------------------------------

    def batch(self, drawn: Drawn) -> Batch:
        """Equal to `examples.collate` of the samples' `action_example`s."""
        lengths = self.lengths[drawn.wordings]
        longest = int(lengths.max()) - 1
        if self._pad_to and longest > self._pad_to:
            raise DataError(
                f"an example has {longest} tokens to read, and only {self._pad_to} are allowed"
            )
        width = self._pad_to or -(-longest // 8) * 8
        shape = (len(lengths), width + 1)
        ids, tables = np.full(shape, BOS_ID, dtype=np.int64), np.full(shape, int(Table.TEXT))
        loss = np.zeros(shape, dtype=np.float32)
        for i, wording in enumerate(drawn.wordings):
            template = self._templates[wording]
            n = len(template)
            ids[i, :n], tables[i, :n], loss[i, :n] = template.ids, template.tables, template.loss
        values = self._fill(drawn, ids, tables, loss)
        # A row's last token is no input: it becomes a pad there.
        inputs, input_tables = ids[:, :-1].copy(), tables[:, :-1].copy()
        row = np.arange(len(lengths))
        short = lengths - 1 < width
        inputs[row[short], lengths[short] - 1] = BOS_ID
        input_tables[row[short], lengths[short] - 1] = Table.TEXT
        arrays = (
            inputs,
            input_tables,
            ids[:, 1:].copy(),
            tables[:, 1:].copy(),
            loss[:, 1:].copy(),
        )
        tensors = [torch.from_numpy(a) for a in (*arrays, lengths - 1, values)]
        if self._points is not None:
            tensors.append(torch.from_numpy(self._points[drawn.samples]))
        return Batch(*tensors)

    def _fill(
        self, drawn: Drawn, ids: IntArray, tables: IntArray, loss: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Write codes, state and actions where the templates have room; gives (n, k, d) values."""
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
            assert self._checkpoint.aims is not None
            known = said < np.array(self._checkpoint.aims.num_bins)
            codes = np.concatenate([said, codes], axis=1)
            weights = np.concatenate([known.astype(np.float32), weights], axis=1)
        ids[here], loss[here] = codes.ravel(), weights.ravel()
        after = (here.cumsum(1) == here.sum(1, keepdims=True)) & ~here
        loss[after & ~exists[:, -1:]] = 0  # no end after steps that do not exist
        return np.where(exists[..., None], self._actions[rows], np.nan)


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
