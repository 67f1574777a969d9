# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A `PreTrainedModel` that loads all of its tensors and nothing else, or not at all.

transformers itself would fill what is missing with random numbers and warn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from lapa_core.model import headers


class StrictModel(PreTrainedModel):
    """Compares names and shapes in the files' headers before it loads."""

    @classmethod
    def from_pretrained(
        cls, folder: str | Path, *args: Any, config: PretrainedConfig | None = None, **kwargs: Any
    ) -> StrictModel:
        """Load from a local folder.

        Raises:
            CheckpointError: naming missing, extra and misshapen tensors.
        """
        config = config or cls.config_class.from_pretrained(folder)
        check_tensors(cls, config, Path(folder))
        return super().from_pretrained(folder, *args, config=config, **kwargs)


def check_tensors(kind: type[PreTrainedModel], config: PretrainedConfig, folder: Path) -> None:
    """Compare names and shapes in the files' headers with the model's; nothing is loaded."""
    with torch.device("meta"):
        wanted = {k: tuple(v.shape) for k, v in kind(config).state_dict().items()}
    headers.check_names(wanted, headers.stored_shapes(folder), str(folder))
