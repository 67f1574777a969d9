# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The shards of a corpus on Ray's machines: `lapa label --ray`.

Ray Data spreads the shards' numbers over actors, each with both networks loaded, and starts a
lost one anew; that a shard is whole or absent is the plan's business, here as anywhere. The
footage, the networks and the shards lie where all machines see them under the same paths.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import Any

from lapa_core.errors import AccessError, ConfigError, LapaError
from lapa_core.label import job as jobs
from lapa_core.label.job import Job, Outcome
from lapa_core.label.plan import Plan


class Maker:
    """An actor: both networks, and one shard a call."""

    def __init__(self, job: Job, plan: Plan) -> None:
        self._stack = ExitStack()
        self._make = self._stack.enter_context(jobs.labelling(job, plan))

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """`shard` -> `made`, an outcome or what was wrong, as rows can hold it."""
        try:
            made: Outcome | LapaError = self._make(int(row["shard"]))
        except LapaError as error:
            made = error
        return {"made": pickle.dumps(made)}


def run(
    plan: Plan,
    job: Job,
    missing: Sequence[int],
    take: Callable[[Outcome], None],
    workers: int,
    address: str,
) -> None:
    """Make these shards.

    Args:
        plan: of all shards.
        job: by which networks.
        missing: numbers of the shards.
        take: told each shard's outcome, as they come.
        workers: actors.
        address: of a Ray cluster, such as `auto`; `local` is Ray on this machine alone, begun and
            ended with the job.

    Raises:
        LapaError: of the work; shards made are whole.
        ConfigError: Ray is missing, or no cluster is there.
        AccessError: Ray gave up.
    """
    ray = library()
    try:
        ray.init(address=address, log_to_driver=False)
    except (ConnectionError, ValueError) as error:
        raise ConfigError(f"no Ray cluster at {address}: {error}") from None
    try:
        rows = ray.data.from_items(
            [{"shard": n} for n in missing], override_num_blocks=len(missing)
        )
        gpus = 1 if job.device.startswith("cuda") else 0
        made = rows.map(
            Maker, fn_constructor_args=(job, plan), concurrency=workers, num_cpus=1, num_gpus=gpus
        )
        for row in made.iter_rows():
            found = pickle.loads(row["made"])  # of our own actor
            if isinstance(found, LapaError):
                raise found
            take(found)
    except ray.exceptions.RayError as error:
        raise AccessError(f"Ray gave up: {error}") from None
    finally:
        ray.shutdown()


def library() -> ModuleType:
    """Ray with its data sets; a `ConfigError` where it is missing."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError("--ray needs Ray: pip install 'lapa_ros[ray]'") from None
    ray.data.DataContext.get_current().enable_progress_bars = False
    module: ModuleType = ray
    return module
