# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Everything a run needs to go on as if it had never stopped, saved whole or not at all.

<run>/state-00000500/   facts.json, rank0.safetensors, rank1.safetensors, ...
A state is written beside its place, brought to the disk (fsync) and renamed, so that what bears
its name is complete whenever the process, or the machine, is stopped. Each process saves what it
holds: shards of its own, or on all but the first only its random numbers.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lapa_core.errors import ConfigError, TrainingError

FACTS = "facts.json"
_PREFIX = "state-"


class States:
    """The saved states of a run.

    Args:
        folder: of the run.
        keep: states kept; older ones are removed after a newer one is safe.
        rank, world: this process and their number; the others share the folder.
    """

    def __init__(self, folder: Path, keep: int = 2, rank: int = 0, world: int = 1) -> None:
        self.folder, self._keep, self._rank, self._world = folder, keep, rank, world

    def found(self) -> list[Path]:
        """Complete states, the oldest first."""
        return sorted(p for p in self.folder.glob(f"{_PREFIX}*") if (p / FACTS).is_file())

    def refuse_unless(self, resume: bool) -> None:
        """Raise a `ConfigError` where a run lies that is not to be gone on with."""
        if (known := self.facts()) and not resume:
            raise ConfigError(
                f"{self.folder} holds a run of {known['step']} updates; --resume goes on with it, "
                f"or choose another --output"
            )

    def open(
        self, facts: Mapping[str, Any], wrong: Sequence[str], compared: Sequence[str]
    ) -> None:
        """Make the folder, or see that the run there is the one to go on with.

        Args:
            facts: of the run that begins.
            wrong: options in which the two differ, in words.
            compared: names of the other facts that must agree.

        Raises:
            ConfigError: the run there was another one; says in what.
            TrainingError: the folder cannot be written.
        """
        if known := self.facts():
            found = list(wrong) + [
                f"{what}: {known.get(what)!r} then, {facts[what]!r} now"
                for what in compared
                if known.get(what) != facts[what]
            ]
            if found:
                raise ConfigError(
                    f"the run in {self.folder} was another one: {'; '.join(found)}. Give it the "
                    f"same options and data, or choose another --output"
                )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.clean()
            text = json.dumps(facts, indent=1) + "\n"
            (self.folder / "options.json").write_text(text, encoding="utf-8")
        except OSError as error:
            raise TrainingError(f"cannot write {self.folder}: {error.strerror}") from None

    def last(self) -> str:
        """The newest state, for a message."""
        found = self.found()
        return f"the last saved state is {found[-1]}" if found else "no state was saved yet"

    def write_part(self, step: int, tensors: Mapping[str, Tensor]) -> None:
        """Write this process' tensors of a state that `finish` makes one.

        Raises:
            TrainingError: it cannot be written; earlier states are as they were.
        """
        with self._named(step):
            partial = self._partial(step)
            partial.mkdir(parents=True, exist_ok=True)
            file = partial / f"rank{self._rank}.safetensors"
            save_file({k: t.detach().cpu().contiguous() for k, t in tensors.items()}, file)
            _sync(file)

    def finish(self, step: int, facts: Mapping[str, Any]) -> Path:
        """Give the state its name, once all processes have written; for the first one alone.

        Raises:
            TrainingError: as in `write_part`.
        """
        final = self.folder / f"{_PREFIX}{step:08d}"
        with self._named(step):
            partial = self._partial(step)
            content = {"step": step, "world": self._world, **facts}
            (partial / FACTS).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            _sync(partial / FACTS)
            _sync(partial)
            shutil.rmtree(final, ignore_errors=True)  # of a run that was taken back further
            partial.rename(final)
            _sync(self.folder)
        for old in self.found()[: -self._keep]:
            # First the facts, so that what is left of it is no state should this be cut short.
            (old / FACTS).unlink(missing_ok=True)
            shutil.rmtree(old, ignore_errors=True)
        return final

    def facts(self) -> dict[str, Any] | None:
        """Facts of the newest state; None where there is none."""
        found = self.found()
        return json.loads((found[-1] / FACTS).read_text("utf-8")) if found else None

    def tensors(self, sharded: bool = False) -> dict[str, Tensor]:
        """This process' tensors of the newest state.

        Args:
            sharded: every process has written its own weights; otherwise the first has written
                them for all, and the others their random numbers.

        Raises:
            TrainingError: it was saved by another number of processes, or cannot be read.
        """
        newest, facts = self.found()[-1], self.facts()
        assert facts is not None
        if facts["world"] != self._world:
            raise TrainingError(
                f"{newest} was saved by {facts['world']} processes and can be continued by as "
                f"many only, not by {self._world}"
            )
        found: dict[str, Tensor] = {}
        try:
            for rank in (self._rank,) if sharded else dict.fromkeys((0, self._rank)):
                with safe_open(newest / f"rank{rank}.safetensors", framework="pt") as file:
                    found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return found
        except (OSError, SafetensorError) as error:
            raise TrainingError(f"cannot read {newest}: {error}") from None

    def clean(self) -> None:
        """Remove what was begun and never finished; for the first process alone."""
        for partial in self.folder.glob(f".{_PREFIX}*"):
            shutil.rmtree(partial, ignore_errors=True)
        for cut in self.folder.glob(f"{_PREFIX}*"):
            if not (cut / FACTS).is_file():
                shutil.rmtree(cut, ignore_errors=True)

    def _partial(self, step: int) -> Path:
        return self.folder / f".{_PREFIX}{step:08d}.partial"

    @contextmanager
    def _named(self, step: int) -> Iterator[None]:
        try:
            yield
        except (OSError, SafetensorError) as error:  # the latter hides an OSError of its own
            shutil.rmtree(self._partial(step), ignore_errors=True)
            raise TrainingError(
                f"cannot save the state of step {step} in {self.folder}: {error}; {self.last()}"
            ) from None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
