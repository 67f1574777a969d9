# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What a person sees of a run: one live line, metrics.jsonl, curves, TensorBoard or wandb.

Only the first process has one. Nothing here changes a weight.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, Protocol, TextIO

import torch

from lapa_core.errors import ConfigError
from lapa_core.train import curves

METRICS, CURVES = "metrics.jsonl", "curves.png"
SECONDS_BETWEEN_PICTURES = 20.0  # drawing takes half a second
_MISSING = "{} is not installed: pip install 'lapa_ros[{}]', or choose --tracker none"


class Tracker(Protocol):
    """Somewhere else that curves go."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """One entry."""

    def close(self) -> None:
        """The run has ended."""


class TensorBoard:
    """Event files in the run's folder."""

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise ConfigError(_MISSING.format("tensorboard", "train")) from None
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step or None)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """One entry."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()


class Wandb:
    """A run of Weights & Biases, which needs an account or WANDB_MODE=offline."""

    def __init__(self, folder: Path, step: int, options: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError:
            raise ConfigError(_MISSING.format("wandb", "wandb")) from None
        resumed = {"id": folder.name, "resume": "allow"} if step else {"id": folder.name}
        self._run = wandb.init(
            project="lapa", name=folder.name, dir=str(folder), config=dict(options), **resumed
        )

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """One entry."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Upload what is still here."""
        self._run.finish()


class Journal:
    """Metrics of a run, kept and shown.

    Args:
        folder: of the run.
        options: of the run, for a tracker that shows them.
        tracker: "tensorboard", "wandb" or "none".
        step: the run goes on after this many updates; later entries of a killed process go.
        out: where the live line goes.
        panels: curves that are drawn; none: no picture is made.
    """

    def __init__(
        self,
        folder: Path,
        options: Mapping[str, Any],
        tracker: str,
        step: int = 0,
        out: TextIO | None = None,
        panels: curves.Panels = curves.PANELS,
    ) -> None:
        self.folder, self._out, self._panels = folder, out or sys.stderr, panels
        self._rewind(step)
        self._file = (folder / METRICS).open("a", encoding="utf-8")
        self._tracker: Tracker | None = None
        if tracker == "tensorboard":
            self._tracker = TensorBoard(folder, step)
        elif tracker == "wandb":
            self._tracker = Wandb(folder, step, options)
        self._validated, self._line, self._drawn = "", "", time.monotonic()

    def _rewind(self, step: int) -> None:
        kept = [e for e in curves.read(self.folder / METRICS) if e["step"] <= step]
        partial = self.folder / f".{METRICS}"
        partial.write_text("".join(json.dumps(e) + "\n" for e in kept), encoding="utf-8")
        partial.replace(self.folder / METRICS)

    def add(self, step: int, values: Mapping[str, float], prefix: str) -> None:
        """Keep an entry, such as `train/loss`."""
        named = {f"{prefix}/{k}": v for k, v in values.items()}
        self._file.write(json.dumps({"step": step, **named}) + "\n")
        self._file.flush()
        if self._tracker:
            self._tracker.add(step, named)

    def validated(self, step: int, values: Mapping[str, float], told: str, best: bool) -> None:
        """Keep and remember a validation, and draw the curves anew, not too often."""
        self.add(step, values, "validation")
        found = told + (" (best)" if best else "")
        self._validated = f", val {found}"
        self.say(f"validation after {step}: {found}")
        if self._panels and time.monotonic() - self._drawn > SECONDS_BETWEEN_PICTURES:
            curves.draw(self.folder / METRICS, self.folder / CURVES, self._panels)
            self._drawn = time.monotonic()

    def show(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Replace the live line; where nobody watches, write another."""
        left = (steps - step) * values["seconds_per_step"]
        share = f" (MFU {100 * values['mfu']:.1f} %)" if values.get("mfu") else ""
        text = (
            f"{step}/{steps}  loss {values['loss']:.4f}, {values['samples_per_s']:.0f} samples/s, "
            f"{values['tokens_per_s']:.0f} tokens/s{share}, ETA {clock(left)}, "
            f"{values['memory_gb']:.2f} GB{self._validated}"
        )
        self.live(text)

    def live(self, text: str) -> None:
        """Replace the live line by another text."""
        if self._out.isatty():
            pad = " " * max(len(self._line) - len(text), 0)
            self._out.write(f"\r{text}{pad}")
        else:
            self._out.write(text + "\n")
        self._out.flush()
        self._line = text

    def say(self, text: str) -> None:
        """A line that stays."""
        start = "\n" if self._line and self._out.isatty() else ""
        self._out.write(f"{start}{text}\n")
        self._out.flush()
        self._line = ""

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Where an error ends the run, one more of the same disk must not take its place.
        with suppress(OSError) if kind else nullcontext():
            self.close()

    def close(self) -> None:
        """Draw the curves a last time, where there is room, and let go of the files."""
        with suppress(OSError):  # what ended the run is worth more than its curves
            self._file.close()
            if self._panels:
                curves.draw(self.folder / METRICS, self.folder / CURVES, self._panels)
        if self._tracker:
            self._tracker.close()
        if self._line and self._out.isatty():
            self._out.write("\n")


def memory_gb(device: torch.device) -> float:
    """Most memory this process has used: of the GPU, or resident in the computer."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
