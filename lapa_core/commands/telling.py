# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""What commands tell a person while they work; results alone go to standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable

Counted = Callable[[int, int], None]


def say(text: str) -> None:
    """One line."""
    print(text, file=sys.stderr, flush=True)


def counted(before: str, after: str) -> Counted:
    """A line that counts, `before 3 of 10 after`, where a terminal shows it."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            sys.stderr.write(f"\r{before}{done} of {total}{after}{end}")
            sys.stderr.flush()

    return show


def silent(done: int, total: int) -> None:
    """Nothing, for the processes beside the first."""
    del done, total
