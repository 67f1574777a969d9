# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""An additional loss: after some layers, the image tokens must tell where the arm will act next.

A model that learns from nothing finds "which thing is meant, and where" only through the actions
that follow, which say little of it: most of them are "on, that way, as fast as allowed". Asked for
the picture's cell in which the tool acts next, it has the answer after a few thousand samples
(docs/log.md). The token that is meant must also tell where in its cell, as a cell is some
centimetres wide and fingers have one, and how the tool will be turned there. The answer comes from
the demonstration itself (`data.aims`) and the robot file's cameras (`data.views`). The heads are
used in training alone: what is saved is the model as it was.

B examples, c pictures, N image tokens each, a arms, D hidden size.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

from lapa_core.errors import ConfigError
from lapa_core.model.lapa import LapaModel
from lapa_core.model.vocabulary import Table
from lapa_core.train.examples import Batch

NOWHERE = -100  # cross_entropy's own mark of a target that does not count
FINE = 16  # places across a cell that are told apart; two pixels each in 8x8 cells
TURNS = 32  # headings that are told apart in half a turn, after which two fingers are the same
_SPREAD = 1.0  # of such places and headings, over which a target is spread: standard deviation


class Listener(nn.Module):
    """Hears what the image tokens are after some layers, for a loss of its own.

    Args:
        model: whose layers are listened to.
        layer: after how many of them; 0 is half of them.

    Raises:
        ConfigError: the model has no such layer.
    """

    def __init__(self, model: LapaModel, layer: int) -> None:
        super().__init__()
        layers = model.model.layers
        if not 0 <= layer <= len(layers):
            raise ConfigError(f"point_layer must be 0 to {len(layers)}, got {layer}")
        self.norm = nn.RMSNorm(model.config.hidden_size)
        self._heard: Tensor | None = None
        layers[(layer or (len(layers) + 1) // 2) - 1].register_forward_hook(self._listen)

    def _listen(self, module: nn.Module, inputs: Any, output: Any) -> None:
        del module, inputs
        self._heard = output[0] if isinstance(output, tuple) else output

    def seen(self, batch: Batch, pictures: int) -> Tensor:
        """(B, c, N, D) of the pictures' cells, once after the model's own forward."""
        assert self._heard is not None
        heard, self._heard = self._heard, None
        cells = heard[batch.input_tables == Table.VISION]
        return cells.view(len(batch), pictures, -1, heard.shape[-1])[:, :, :-1]  # no end mark


class Pointing(Listener):
    """Scores of all cells of a picture, of places in a cell and of headings, read from the tokens.

    The cells of one picture compete: each token has to decide "it is me" or not, with the words
    before it, and later layers can attend to the one that did.

    Args:
        model, layer: as of `Listener`.
        arms: that act.
    """

    def __init__(self, model: LapaModel, layer: int, arms: int) -> None:
        super().__init__(model, layer)
        width = model.config.hidden_size
        self.head = nn.Linear(width, arms)
        self.fine = nn.Linear(width, arms * 2 * FINE)
        self.turn = nn.Linear(width, arms * TURNS)

    def forward(self, batch: Batch) -> Tensor:
        """() which cell, where in it and how turned; after the model's own forward.

        Each is the mean over the pictures and arms whose place is known, where a heading that is
        not known counts as nothing lost.

        Args:
            batch: with `points` (B, c, a, 2): the place on a grid `FINE` times as fine as the
                cells in raster order, and the heading, one of `TURNS`; or `NOWHERE`.
        """
        assert batch.points is not None
        seen = self.seen(batch, batch.points.shape[1])
        side = round(seen.shape[2] ** 0.5)
        points, turn = batch.points.unbind(-1)
        known = points != NOWHERE
        place = torch.stack([points // (side * FINE), points % (side * FINE)], -1)
        cell = place // FINE
        cell = torch.where(known, cell[..., 0] * side + cell[..., 1], NOWHERE)
        with torch.autocast(seen.device.type, enabled=False):
            seen = self.norm(seen.float())
            which = F.cross_entropy(
                self.head(seen).transpose(2, 3).flatten(0, 2),
                cell.flatten(),
                ignore_index=NOWHERE,
                reduction="sum",
            )
            example, picture, arm = known.nonzero(as_tuple=True)
            meant = seen[example, picture, cell[known]]
            within = self._within(meant, arm, (place % FINE)[known])
            turned = self._turned(meant, arm, turn[known])
        return (which + within + turned) / known.sum().clamp(min=1)

    def _within(self, meant: Tensor, arm: Tensor, place: Tensor) -> Tensor:
        """() sum of how badly the token of a cell tells row and column.

        Args:
            meant: (m, D) normed states of the cells where something will be done.
            arm: (m,) by which arm.
            place: (m, 2) row and column in the cell, 0 .. FINE - 1.
        """
        scores = self.fine(meant).unflatten(-1, (-1, 2, FINE))[torch.arange(len(meant)), arm]
        grid = torch.arange(FINE, device=meant.device)
        wanted = (-0.5 * ((grid - place[..., None]) / _SPREAD) ** 2).softmax(-1)
        return -(wanted * scores.log_softmax(-1)).sum(-1).mean(-1).sum()

    def _turned(self, meant: Tensor, arm: Tensor, turn: Tensor) -> Tensor:
        """() sum over what is known of how badly the token tells the heading.

        Args:
            meant, arm: as of `_within`.
            turn: (m,) heading, 0 .. TURNS - 1, the last beside the first; or `NOWHERE`.
        """
        known = turn != NOWHERE
        scores = self.turn(meant).unflatten(-1, (-1, TURNS))[torch.arange(len(meant)), arm]
        apart = torch.arange(TURNS, device=meant.device) - turn[:, None]
        apart = (apart + TURNS // 2) % TURNS - TURNS // 2
        wanted = (-0.5 * (apart / _SPREAD) ** 2).softmax(-1)
        return -((wanted * scores.log_softmax(-1)).sum(-1) * known).sum()
