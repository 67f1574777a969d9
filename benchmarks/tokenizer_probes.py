# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Small networks that are fitted to the codes of pictures, to see what the codes tell.

n pictures, N codes each, K entries of width D.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from numpy.typing import NDArray
from torch import Tensor, nn

from lapa_core.data import images
from lapa_core.model.vqgan import Vqgan

OPEN = 0.7  # of the fingers' way: holding a block of 28 mm they stand at 0.6
UPDATES, BATCH = 600, 16
Pictures = NDArray[np.uint8]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]


def codes_of(vqgan: Vqgan, pictures: Pictures) -> Codes:
    """(n, N) codes."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(pictures), BATCH):
            pixels = torch.from_numpy(images.normalise(pictures[start : start + BATCH]))
            found.append(vqgan.encode(pixels).numpy())
    return np.concatenate(found)


def _maps(vqgan: Vqgan, codes: Codes) -> Tensor:
    """(n, D, h, w) entries of the codebook, of mean 0 and deviation 1."""
    side = round(codes.shape[1] ** 0.5)
    entries = vqgan.entries(torch.from_numpy(codes)).detach()
    entries = (entries - entries.mean((0, 1))) / entries.std((0, 1))
    return entries.unflatten(1, (side, side)).permute(0, 3, 1, 2)


def fingers(
    vqgan: Vqgan,
    codes: Codes,
    position_m: NDArray[np.float32],
    opening: NDArray[np.float32],
    held: Mask,
) -> dict[str, Any]:
    """Share of states told right, open and closed weighed alike, in what was held back."""
    maps = _maps(vqgan, codes).contiguous()
    place = torch.from_numpy(position_m)
    place = (place - place.mean(0)) / place.std(0)
    label, kept = torch.from_numpy(opening > OPEN).long(), torch.from_numpy(held)
    return {
        "steps": len(label),
        "open": round(float(label.float().mean()), 3),
        "from_codes": _probe(_finger_network(maps.shape[1]), maps, label, kept),
        "from_position_alone": _probe(_position_network(), place, label, kept),
    }


def _finger_network(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(32, 2),
    )  # fmt: skip


def _position_network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(),
                         nn.Linear(64, 2))  # fmt: skip


def _probe(network: nn.Module, seen: Tensor, label: Tensor, held: Tensor) -> float:
    """Fit it; balanced accuracy on what was held back."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.reset_parameters()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    learn = torch.nonzero(~held).flatten()
    for _ in range(UPDATES):
        some = learn[torch.randint(len(learn), (64,))]
        loss = F.cross_entropy(network(seen[some]), label[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    with torch.inference_mode():
        right = network(seen[held]).argmax(1) == label[held]
    rates = [float(right[label[held] == k].float().mean()) for k in (0, 1)]
    return round(float(np.mean(rates)), 3)
