# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A linear layer that takes oneDNN's float32 product where torch would take MKL's.

torch gives float32 products on a CPU to MKL, whose kernels on AMD processors use half the width
of their registers: 210 GFLOP/s against oneDNN's 450 on two Zen 5 cores, and 20 GB/s against 45
for one row (docs/decisions/0013). oneDNN is inside torch for convolutions; `torch.compile` reaches
it by the operator used here, which takes plain weights and gives the same product in another
order of summation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn

_ONEDNN = (
    torch.ops.mkldnn._linear_pointwise
    if torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    else None
)


class Linear(nn.Linear):
    """`nn.Linear` without bias; its parameters, names and results are the same."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        weight = self.weight
        if (
            _ONEDNN is None
            or torch.is_grad_enabled()
            or torch.compiler.is_compiling()  # which takes the operator for constant weights only
            or weight.dtype != torch.float32
            or weight.device.type != "cpu"
            or x.dtype != torch.float32
        ):
            return F.linear(x, weight)
        return _ONEDNN(x, weight, None, "none", [], "")


def replace_linears(module: nn.Module) -> None:
    """Give every bias-free `nn.Linear` below `module` the forward pass above."""
    for name, child in module.named_children():
        if type(child) is nn.Linear and child.bias is None:
            faster = Linear(child.in_features, child.out_features, bias=False, device="meta")
            faster.weight = child.weight
            setattr(module, name, faster)
        else:
            replace_linears(child)
