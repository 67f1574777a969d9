# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The latent action quantiser (LAQ): two frames -> codes of what changed, and back."""

from pathlib import Path

import torch

from lapa_core.errors import CheckpointError
from lapa_core.model.laq.configuration import LaqConfig
from lapa_core.model.laq.laq import Laq, Quantised

__all__ = ["Laq", "LaqConfig", "Quantised", "load"]


def load(path: Path) -> Laq:
    """A LAQ from our folder, or from a file of the reference such as `laq_openx.pt`.

    Raises:
        CheckpointError: neither, or its tensors do not fit.
    """
    if path.is_file():
        from lapa_core.model.convert import laq as convert

        return convert.load(path)
    if not (path / "config.json").is_file():
        raise CheckpointError(f"{path} is no LAQ: neither a file, nor a folder with config.json")
    from lapa_core.model.checkpoint import load_model

    return load_model(Laq, path, torch.float32)
