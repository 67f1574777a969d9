# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The reference's JSON or jsonl with pictures beside it -> demonstrations with codes.

The codes of an episode are kept in the cache under a name made of its pictures' bytes, the VQGAN
and the choices. The rest is read from the file each time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lapa_core.data import demo_file, reference_demos
from lapa_core.data.demos import DemoSet
from lapa_core.errors import ConfigError, DataError, RecordingError
from lapa_core.model.vqgan import Vqgan
from lapa_core.robot import Robot
from lapa_core.train.codes import Codes, frozen, looks, weights_hash
from lapa_core.train.encoding import TokenParams

SUFFIXES = (".json", ".jsonl")
FORMAT = 1  # to be raised with every change of what the codes are made of


def is_step_file(path: Path) -> bool:
    """Whether this is one of the reference's files, by its name."""
    return path.suffix in SUFFIXES and not path.is_dir()


def build(
    path: Path,
    robot: Robot,
    *,
    vqgan: Vqgan,
    cache: Path,
    params: TokenParams,
    images_root: Path | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> DemoSet:
    """Make the demonstrations of a JSON or jsonl file.

    Args:
        path: the file.
        robot: whose demonstrations they are; see `reference_demos.demo_set`.
        vqgan: frozen.
        cache: folder of the codes, made where it is missing.
        params: crop, looks and seed count; the file has one camera and no recorder's findings.
        images_root: what the pictures' names are relative to; None: the file's folder.
        progress: told the name of each episode.

    Raises:
        ConfigError: a choice that the file cannot meet.
        DataError: see `reference_demos.demo_set`.
        RecordingError: the cache cannot be written.
    """
    if not path.is_file():
        raise DataError(f"no file at {path}")
    _check(path, robot, params)
    cache.mkdir(parents=True, exist_ok=True)
    demo_file.clean(cache)
    vqgan = frozen(vqgan)
    weights = weights_hash(vqgan)

    def encode(episode: str, pictures: Sequence[Path]) -> NDArray[np.uint32]:
        progress(episode)
        key = [FORMAT, episode, weights, params.center_crop, params.variants, params.seed]
        file = cache / f"{_key([*key, asdict(params.augment)], pictures)}.npy"
        try:
            return np.asarray(np.load(file, allow_pickle=False), dtype=np.uint32)
        except (OSError, ValueError, EOFError):
            made = _encode(vqgan, episode, pictures, params)
        _keep(file, made)
        return made

    found = reference_demos.demo_set(path, robot, encode, images_root)
    return found if params.state else _without_state(found)


def _check(path: Path, robot: Robot, params: TokenParams) -> None:
    if params.state and params.state != robot.dimensions:
        raise ConfigError(
            f"{path} has the state of all dimensions or none; valid --state: none, or "
            + " ".join(robot.dimensions)
        )
    first = robot.cameras[0].name
    if params.cameras not in ((), (first,)):
        raise ConfigError(f"{path} has one camera; valid --cameras: {first}")


def _without_state(found: DemoSet) -> DemoSet:
    demos = tuple(replace(d, state=np.empty((len(d), 0))) for d in found.demos)
    return replace(found, demos=demos, state_names=())


def _encode(
    vqgan: Vqgan, episode: str, pictures: Sequence[Path], params: TokenParams
) -> NDArray[np.uint32]:
    """(v, n, N) codes."""
    codes = Codes(vqgan)
    for step, file in enumerate(pictures):
        codes.add(looks(reference_demos.read_image(file), params, episode, step))
    return codes.finish(len(pictures), 1, params.variants)[:, :, 0]


def _key(parts: list[object], pictures: Sequence[Path]) -> str:
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for picture in pictures:
        try:
            digest.update(hashlib.sha256(picture.read_bytes()).digest())
        except OSError as error:
            raise DataError(f"picture {picture} cannot be read: {error.strerror}") from None
    return digest.hexdigest()[:40]


def _keep(file: Path, codes: NDArray[np.uint32]) -> None:
    half = demo_file.partial(file)
    try:
        with half.open("wb") as stream:
            np.save(stream, codes)
        half.replace(file)
    except OSError as error:
        raise RecordingError(f"cannot write {file}: {error.strerror or error}") from None
    finally:
        half.unlink(missing_ok=True)
