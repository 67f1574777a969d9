# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What share of a GPU's peak arithmetic a training uses (MFU, Chowdhery et al. 2022, PaLM B)."""

from __future__ import annotations

import re

import torch

from lapa_core.model.configuration import LapaConfig
from lapa_core.train import memory

# Dense bfloat16 TFLOP/s without sparsity, from the makers' data sheets; the first match counts.
PEAK_TFLOPS = {
    "GH200": 989, "H200": 989, "H100 PCIe": 756, "H100": 989, "A100": 312, "L40S": 362, "L4": 121,
    "RTX 4090": 165, "RTX 3090": 71, "A10": 125, "RTX A6000": 155,
}  # fmt: skip


def peak_tflops(device: torch.device) -> float | None:
    """The data sheet's TFLOP/s; None for a processor, and for a GPU that is not in the table."""
    if device.type != "cuda":
        return None
    return peak_of(torch.cuda.get_device_name(device))


def peak_of(name: str) -> float | None:
    """Of a GPU of this name, in which the table's words stand as such: an RTX A1000 is no A100."""
    found = (v for k, v in PEAK_TFLOPS.items() if re.search(rf"\b{re.escape(k)}\b", name))
    return next((float(v) for v in found), None)


def operations(config: LapaConfig, method: str, tokens: float, length: float) -> float:
    """Multiplications and additions that updates need, without those computed twice.

    Forward 2 a weight and token; backward the same for the inputs' gradients, and again for the
    weights' where they learn. Attention 4 T^2 h a layer forward, halved as half of it is masked,
    twice backward. Tables and heads are not counted: most tokens pass none.

    Args:
        config: sizes of the model.
        method: "full" where all weights learn, else adapters do.
        tokens: in all.
        length: T, of a sequence.
    """
    layers, _, _ = memory.parameters(config)
    products = (6 if method == "full" else 4) * layers * tokens
    attention = 3 * 4 * length * config.hidden_size * config.num_hidden_layers * tokens / 2
    return float(products + attention)
