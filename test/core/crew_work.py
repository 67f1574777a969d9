# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Work for the processes of `lapa_core.crew`, quick to import."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lapa_core.errors import DataError


@contextmanager
def doubler() -> Iterator[Callable[[int], int]]:
    yield lambda number: 2 * number


@contextmanager
def faulty() -> Iterator[Callable[[int], int]]:
    def fail(number: int) -> int:
        if number == 3:
            raise DataError("three is too much")
        return number

    yield fail


@contextmanager
def mortal() -> Iterator[Callable[[int], int]]:
    def die(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    yield die
