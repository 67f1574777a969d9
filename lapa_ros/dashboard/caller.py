# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Services called from the page: asynchronously, one of a name at a time, each with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from lapa_core.view.calls import CallBook

Level = Literal["good", "bad"]
Tell = Callable[[str, str, Level], None]
WATCH_PERIOD_S = 0.25


class ServiceCaller:
    """Calls `std_srvs/Trigger` services and tells what became of each.

    `press` may be called from any thread; `tell` is called from that one or the node's own.
    """

    def __init__(self, node: Node, names: Iterable[str], tell: Tell) -> None:
        self._tell = tell
        self._book = CallBook()
        self._lock = threading.Lock()
        self._services = {name: node.create_client(Trigger, name) for name in names}
        node.create_timer(WATCH_PERIOD_S, self._watch)

    def press(self, name: str) -> None:
        """Call a service."""
        client = self._services[name]
        if not client.service_is_ready():
            self._tell(name, "nobody offers this service: is its node running?", "bad")
            return
        with self._lock:
            number = self._book.begin(name, time.monotonic())
        if number is None:
            self._tell(name, "still waiting for the answer to the last call", "bad")
            return
        future = client.call_async(Trigger.Request())
        future.add_done_callback(partial(self._answered, name, number))

    def _answered(self, name: str, number: int, future: Future) -> None:
        with self._lock:
            awaited = self._book.answered(name, number)
        if not awaited:
            return
        if (error := future.exception()) is not None:  # an answer that cannot be read
            self._tell(name, f"{type(error).__name__}: {error}", "bad")
        elif (response := future.result()) is not None:
            self._tell(name, response.message, "good" if response.success else "bad")

    def _watch(self) -> None:
        with self._lock:
            late = self._book.late(time.monotonic())
        for name in late:
            self._tell(name, f"no answer within {self._book.timeout_s:g} s", "bad")
