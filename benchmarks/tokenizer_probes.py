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
from lapa_core.train.vqgan.parts import Head, drawing_loss

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


def draw_by_head(
    vqgan: Vqgan, codes: Codes, pictures: Pictures, held: Mask
) -> tuple[Pictures, Pictures]:
    """Fit a light head; the held back pictures at half their size, as they are and as drawn."""
    torch.manual_seed(0)
    config: Any = vqgan.config
    head, maps = Head(config), _maps(vqgan, codes, standard=False)
    wanted = F.avg_pool2d(torch.from_numpy(images.normalise(pictures)).permute(0, 3, 1, 2), 2)
    behind = wanted[:: max(len(wanted) // 99, 1)].median(0).values
    learn = torch.nonzero(torch.from_numpy(~held)).flatten()
    optimizer = torch.optim.AdamW(head.parameters(), lr=2e-3, weight_decay=1e-3)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, UPDATES)
    fixed = torch.ones(BATCH, dtype=torch.bool)
    for _ in range(UPDATES):
        some = learn[torch.randint(len(learn), (BATCH,))]
        loss, _ = drawing_loss(
            head(maps[some]), wanted[some], behind.expand(BATCH, -1, -1, -1), fixed, reach=2
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        fall.step()
    with torch.inference_mode():
        drawn = torch.cat([head(part) for part in maps[torch.from_numpy(held)].split(BATCH)])
    return _levels(wanted[torch.from_numpy(held)]), _levels(drawn)


def _levels(pictures: Tensor) -> Pictures:
    levels = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).numpy()


def _maps(vqgan: Vqgan, codes: Codes, standard: bool) -> Tensor:
    """(n, D, h, w) entries of the codebook, of mean 0 and deviation 1 if wanted."""
    side = round(codes.shape[1] ** 0.5)
    entries = vqgan.entries(torch.from_numpy(codes)).detach()
    if standard:
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
    maps = _maps(vqgan, codes, standard=True).contiguous()
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
