# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`main` of every node: start, spin until told to stop, end cleanly with a known exit code.

Exit codes: 0 stopped on purpose, 2 a named error (bad robot file, parameter, checkpoint).
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import NoReturn

import rclpy
from rclpy._rclpy_pybind11 import RCLError
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.signals import SignalHandlerOptions

from lapa_core.errors import LapaError
from lapa_ros import processes

WAKE_S = 0.2  # a node whose timers follow a simulation's clock has none while that stands still
BREAK_S = 0.5  # from a signal to the end of a callback that does not end; see processes.GRACE_S


def run(
    make_node: Callable[[], Node], args: Sequence[str] | None = None, last_words: bool = False
) -> int:
    """Create the node, spin it in this thread, destroy it; returns the exit code.

    SIGINT and SIGTERM leave a note, which is looked at between two callbacks: rclpy's own
    handlers end the context at once, under a callback that is about to publish. What the note
    does not reach in `BREAK_S`, as a model that loads for a minute, is broken off; never with
    `last_words`, for a node that may be telling a robot something.

    A node with a `close` method gets it called before it is destroyed, whatever ended it; it can
    still publish there. A method `interrupted` is called before `close` where SIGINT ended it, a
    person's Ctrl-C: not after an exception, nor on SIGTERM, which say nothing of what a person
    wants. One of `processes.NodeProcess` ends with the process that started it, as by SIGTERM.
    """
    signals: list[int] = []
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    _note_signals(signals, 0.0 if last_words else BREAK_S)
    processes.end_with_starter()
    node: Node | None = None
    try:
        node = make_node()
        # What was built so far lives as long as the process: keep the garbage collector from
        # walking it in the middle of a control period.
        gc.collect()
        gc.freeze()
        executor = rclpy.get_global_executor()
        executor.add_node(node)
        while rclpy.ok() and not signals:
            executor.spin_once(timeout_sec=WAKE_S)
        if signals[:1] == [signal.SIGINT]:
            _call(node, "interrupted")
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except LapaError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return 2
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        if node is not None:
            _call(node, "close")
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _note_signals(signals: list[int], break_s: float) -> None:
    """Append those that ask us to end; some time after the first raise KeyboardInterrupt."""

    def note(number: int, frame: FrameType | None) -> None:
        # Under `ros2 launch` a Ctrl-C comes twice: from the terminal and from launch.
        if not signals:
            signal.setitimer(signal.ITIMER_REAL, break_s)  # 0: never
        signals.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    signal.signal(signal.SIGALRM, signal.default_int_handler)


def _call(node: Node, name: str) -> None:
    """Call a method where the node has one."""
    method = getattr(node, name, None)
    if method is not None:
        method()


def main(
    make_node: Callable[[], Node], args: Sequence[str] | None = None, last_words: bool = False
) -> NoReturn:
    """`run` a node as a process of its own and end the process."""
    processes.leave(run(make_node, args, last_words))


def publish(node: Node, publisher: Publisher, msg: object) -> None:
    """Publish from a thread of the node's own, which may outlive the context by a message.

    `close` waits for such a thread, but not for ever.
    """
    try:
        publisher.publish(msg)
    except RCLError:
        if node.context.ok():
            raise


@contextlib.contextmanager
def spun(node: Node, niceness: int = 0) -> Iterator[Callable[[], None]]:
    """Spin a node in a thread of its own while the block runs, then destroy it.

    Gives a function that raises what a callback has raised, which ended that thread.
    """
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    failed: list[Exception] = []

    def spin() -> None:
        lower_thread_priority(niceness)
        try:
            executor.spin()
        except ExternalShutdownException:
            return
        except Exception as error:
            failed.append(error)

    def check() -> None:
        if failed:
            raise failed[0]

    thread = threading.Thread(target=spin, name="spin", daemon=True)
    thread.start()
    try:
        yield check
    finally:
        executor.shutdown()
        thread.join(timeout=2.0)
        node.destroy_node()


def lower_thread_priority(niceness: int) -> None:
    """Give way in the calling thread only; Linux keeps a niceness per thread.

    Elsewhere `os.setpriority` means the whole process, so nothing is done there.
    """
    if niceness > 0 and sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
