# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""An additional loss: after some layers, the image tokens must tell where the arm will act next.

A model that learns from nothing finds "which thing is meant, and where" only through the actions
that follow, which say little of it: most of them are "on, that way, as fast as allowed". Asked for
the picture's cell in which the tool acts next, it has the answer after a few thousand samples
(docs/log.md). The answer comes from the demonstration itself (`data.aims`) and the robot file's
cameras (`data.views`). The head is used in training alone: what is saved is the model as it was.

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


class Pointing(nn.Module):
    """Scores of all cells of a picture, read from the image tokens after a layer.

    The cells of one picture compete: each token has to decide "it is me" or not, with the words
    before it, and later layers can attend to the one that did.

    Args:
        model: whose layers are listened to.
        layer: after how many of them; 0 is half of them.
        arms: that act.

    Raises:
        ConfigError: the model has no such layer.
    """

    def __init__(self, model: LapaModel, layer: int, arms: int) -> None:
        super().__init__()
        layers = model.model.layers
        if not 0 <= layer <= len(layers):
            raise ConfigError(f"point_layer must be 0 to {len(layers)}, got {layer}")
        width = model.config.hidden_size
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, arms)
        self._heard: Tensor | None = None
        layers[(layer or (len(layers) + 1) // 2) - 1].register_forward_hook(self._listen)

    def _listen(self, module: nn.Module, inputs: Any, output: Any) -> None:
        del module, inputs
        self._heard = output[0] if isinstance(output, tuple) else output

    def forward(self, batch: Batch) -> Tensor:
        """() mean over the pictures and arms whose cell is known; after the model's own forward.

        Args:
            batch: with `points` (B, c, a), the cell or `NOWHERE`.
        """
        assert batch.points is not None and self._heard is not None
        heard, self._heard = self._heard, None
        pictures = batch.points.shape[1]
        seen = heard[batch.input_tables == Table.VISION].view(
            len(batch), pictures, -1, heard.shape[-1]
        )
        with torch.autocast(heard.device.type, enabled=False):
            scores = self.head(self.norm(seen[:, :, :-1].float()))  # without the mark at the end
        targets = batch.points.flatten()
        losses = F.cross_entropy(
            scores.transpose(2, 3).flatten(0, 2), targets, ignore_index=NOWHERE, reduction="sum"
        )
        return losses / (targets != NOWHERE).sum().clamp(min=1)
