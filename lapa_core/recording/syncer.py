# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Brings a file to disk in a thread of its own, so that whoever writes it never waits for it.

It acts when asked, at most as often as it was told, and never twice at a time.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


class Syncer:
    """`fdatasync` of one open file, at most every `every_s`.

    Attributes:
        error: why the disk refused, once it has; what is on it is then not known.
        slowest_s: the longest a sync took.
    """

    def __init__(self, descriptor: int, clock: Callable[[], float], every_s: float) -> None:
        self.error: OSError | None = None
        self.slowest_s = 0.0
        self._descriptor = descriptor
        self._clock = clock
        self._every_s = every_s
        self._asked_s = clock()
        self._asked_to = 0
        self._wanted = threading.Event()
        self._stopping = False
        self._busy = False
        self._at_end: Callable[[], None] | None = None
        self._thread = threading.Thread(target=self._work, name="bag-sync", daemon=True)
        self._thread.start()

    def reached(self, position: int) -> None:
        """Say how long the file is; asks for a sync when one is due, and returns at once."""
        now = self._clock()
        due = position > self._asked_to and now - self._asked_s >= self._every_s
        if due and not self._busy:
            self._asked_s, self._asked_to = now, position
            self._busy = True
            self._wanted.set()

    def stop(self) -> None:
        """End the thread; waits for a sync under way, on a stalled disk without end."""
        self._stopping = True
        self._wanted.set()
        self._thread.join()

    def abandon(self, at_end: Callable[[], None]) -> None:
        """End the thread without waiting; it calls `at_end` when the descriptor is free."""
        self._at_end = at_end
        self._stopping = True
        self._wanted.set()

    def _work(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopping:
                break
            began = self._clock()
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                self.error = error
            self.slowest_s = max(self.slowest_s, self._clock() - began)
            self._busy = False
        if self._at_end is not None:
            self._at_end()
