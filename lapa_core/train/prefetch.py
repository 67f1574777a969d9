# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Items made in a thread, while the ones before them are in use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from queue import Full, Queue
from typing import Any


class Prefetch:
    """Makes items in a thread, a few ahead of the one in use.

    Args:
        items: what to make, in order; an error in it is raised by `next`.
        ahead: items made before they are asked for.
        finish: applied to each item in the thread, such as page-locking.
    """

    _END = object()

    def __init__(
        self,
        items: Iterator[Any],
        ahead: int = 3,
        finish: Callable[[Any], Any] | None = None,
    ) -> None:
        self._items, self._finish = items, finish
        self._queue: Queue[Any] = Queue(ahead)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put(self._finish(item) if self._finish else item):
                    return
            self._put(self._END)
        except BaseException as error:  # handed to the thread that asks
            self._put(error)

    def _put(self, item: Any) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except Full:
                continue
        return False

    def __next__(self) -> Any:
        """The next item."""
        item = self._queue.get()
        if item is self._END:
            raise StopIteration
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Stop making more."""
        self._stopped.set()
        self._thread.join()
