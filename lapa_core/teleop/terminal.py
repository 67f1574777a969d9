# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Reads single keys from a terminal in a thread of its own, and puts the terminal back in order.

Ctrl-C and Ctrl-Z keep their meaning. Escape sequences of arrow keys are told from a lone Escape
by what follows at once.
"""

from __future__ import annotations

import contextlib
import os
import select
import termios
import threading
import tty
from collections.abc import Callable

from lapa_core.errors import ConfigError

NO_TERMINAL = (
    "no terminal to read keys from: start this node with `ros2 run` in a terminal of its own "
    "(not from a launch file), or publish keys on teleop/keys"
)
SEQUENCES = {b"A": "up", b"B": "down", b"C": "right", b"D": "left"}
ESCAPE_S = 0.05  # the rest of an arrow key's sequence comes well within this


def keys(data: bytes) -> tuple[list[str], bytes]:
    """Names of the keys in what a terminal sent, and the beginning of a sequence not yet whole."""
    found: list[str] = []
    while data:
        if data[:1] != b"\x1b":
            found += [c for c in data[:1].decode("ascii", "ignore") if c]
            data = data[1:]
        elif data[1:2] not in (b"[", b"O"):
            if len(data) == 1:
                return found, data
            found.append("escape")
            data = data[1:]
        else:
            end = next((i for i in range(2, len(data)) if 0x40 <= data[i] <= 0x7E), None)
            if end is None:
                return found, data
            name = SEQUENCES.get(data[end : end + 1])
            found += [name] if name and end == 2 else []
            data = data[end + 1 :]
    return found, b""


class KeyReader:
    """Calls `on_key` from its own thread with the name of every key until it is closed.

    Attributes:
        ended: why no more keys come, or "".
    """

    def __init__(self, on_key: Callable[[str], None], fd: int = 0) -> None:
        """Begin to read.

        Raises:
            ConfigError: there is no terminal.
        """
        if not os.isatty(fd):
            raise ConfigError(NO_TERMINAL)
        self.ended = ""
        self._fd, self._on_key = fd, on_key
        self._before = termios.tcgetattr(fd)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._read, name="keys", daemon=True)
        tty.setcbreak(fd, termios.TCSANOW)
        self._thread.start()

    def close(self) -> None:
        """Stop reading and put the terminal back in order; may be called twice."""
        if self._thread.is_alive():
            os.write(self._waker, b".")
            self._thread.join(timeout=1.0)
        self._restore()

    def _read(self) -> None:
        rest = b""
        try:
            while True:
                ready, _, _ = select.select(
                    [self._fd, self._wake], [], [], ESCAPE_S if rest else None
                )
                if self._wake in ready:
                    return
                data = os.read(self._fd, 256) if ready else b""
                if ready and not data:
                    self.ended = "the terminal was closed"
                    return
                if rest == b"\x1b" and not data:  # nothing follows: it is the key itself
                    self._on_key("escape")
                    rest = b""
                    continue
                names, rest = keys(rest + data if data else b"")
                for name in names:
                    self._on_key(name)
        except OSError as error:
            self.ended = f"the terminal was closed ({error.strerror})"
        finally:
            self._restore()

    def _restore(self) -> None:
        with contextlib.suppress(termios.error, OSError):  # the terminal is gone
            termios.tcsetattr(self._fd, termios.TCSANOW, self._before)
