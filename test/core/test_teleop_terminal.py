# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Keys of a real pseudo-terminal: read one by one, and the terminal left as it was."""

from __future__ import annotations

import os
import queue
import termios

import pytest

from lapa_core.errors import ConfigError
from lapa_core.teleop.terminal import KeyReader, keys


@pytest.mark.parametrize(
    ("data", "names", "rest"),
    [
        (b"w", ["w"], b""),
        (b"\x1b[C\x1b[D", ["right", "left"], b""),
        (b"\x1bOA", ["up"], b""),
        (b"\x1b", [], b"\x1b"),
        (b"a\x1b[", ["a"], b"\x1b["),
        (b"\x1bw", ["escape", "w"], b""),
        (b"\x1b[3~w", ["w"], b""),  # Delete: nothing here
        (b"\x1b[1;5Cw", ["w"], b""),  # Ctrl and an arrow is not the arrow
        ("é".encode(), [], b""),
    ],
)
def test_what_a_terminal_sends_is_told_apart(data: bytes, names: list[str], rest: bytes) -> None:
    assert keys(data) == (names, rest)


def test_keys_come_one_by_one_and_the_terminal_is_put_back() -> None:
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    found: queue.Queue[str] = queue.Queue()
    reader = KeyReader(found.put, slave)
    try:
        assert termios.tcgetattr(slave) != before
        assert termios.tcgetattr(slave)[3] & termios.ISIG  # Ctrl-C stays what it is
        for sent, expected in ((b"w", "w"), (b"\x1b", "escape"), (b"\x1b[C", "right")):
            os.write(master, sent)
            assert found.get(timeout=5.0) == expected
    finally:
        reader.close()
    assert termios.tcgetattr(slave) == before
    reader.close()
    os.close(master)
    os.close(slave)


def test_a_terminal_that_is_closed_ends_the_reading() -> None:
    master, slave = os.openpty()
    reader = KeyReader(lambda key: None, slave)
    os.close(master)
    reader._thread.join(timeout=5.0)
    assert "terminal was closed" in reader.ended
    reader.close()
    os.close(slave)


def test_without_a_terminal_it_says_what_to_do() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(ConfigError, match="in a terminal of its own"):
            KeyReader(lambda key: None, read)
    finally:
        os.close(read)
        os.close(write)
