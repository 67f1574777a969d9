# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The faults of the soak: each begins at a known moment, lasts a while, and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from soak_robot import Cell

FREEZE_S = 2.0
CUT_S = 3.0
HOG_S = 4.0
HOGS_PER_CORE = 3


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        name: of its kind.
        lasts_s: seconds until it ends by itself or is ended.
        must_hold: whether the arm must stop. A busy computer need not stop it as long as deltas
            come in time, nor a clock that is set between two pictures: while the policy has
            authority every command follows a fresh delta.
        begin: starts it and returns the monotonic time [s] of it.
        end: undoes what is left of it.
    """

    name: str
    lasts_s: float
    must_hold: bool
    begin: Callable[[Cell], float]
    end: Callable[[Cell], None]


def available(cell: Cell) -> list[str]:
    """The faults that can be injected here."""
    missing = set()
    if not cell.has_namespace:
        missing.add("cut_network")
    if not cell.clock_file:
        missing |= {"clock_forward", "clock_back"}
    return [name for name in FAULTS if name not in missing]


def _kill(node: str) -> Callable[[Cell], float]:
    def begin(cell: Cell) -> float:
        now = time.monotonic()
        cell.nodes[node].kill()
        return now

    return begin


def _restart(node: str) -> Callable[[Cell], None]:
    return lambda cell: cell.restart(node)


def _freeze(node: str) -> Callable[[Cell], float]:
    def begin(cell: Cell) -> float:
        now = time.monotonic()
        cell.nodes[node].process.send_signal(signal.SIGSTOP)
        return now

    return begin


def _thaw(node: str) -> Callable[[Cell], None]:
    return lambda cell: cell.nodes[node].process.send_signal(signal.SIGCONT)


def _cut(cell: Cell) -> float:
    now = time.monotonic()
    subprocess.run(["ip", "link", "set", cell.link, "down"], check=True)
    return now


def _mend(cell: Cell) -> None:
    subprocess.run(["ip", "link", "set", cell.link, "up"], check=True)


def _set_clock(seconds: float) -> Callable[[Cell], float]:
    def begin(cell: Cell) -> float:
        cell.clock_offset_s += seconds
        now = time.monotonic()
        cell.write_clock()
        return now

    return begin


def _hog(cell: Cell) -> float:
    code = f"import time; end = time.monotonic() + {HOG_S}\nwhile time.monotonic() < end: pass"
    now = time.monotonic()
    for _ in range(HOGS_PER_CORE * (os.cpu_count() or 1)):
        cell.hogs.append(subprocess.Popen([sys.executable, "-c", code]))
    return now


def _wait_for_hogs(cell: Cell) -> None:
    while cell.hogs:
        cell.hogs.pop().wait()


def _nothing(cell: Cell) -> None:
    del cell


_ALL = (
    Fault("kill_policy", 1.0, True, _kill("policy_node"), _restart("policy_node")),
    Fault("kill_arm", 1.0, True, _kill("arm_node"), _restart("arm_node")),
    Fault("kill_sim", 1.0, True, _kill("sim_node"), _restart("sim_node")),
    Fault("freeze_policy", FREEZE_S, True, _freeze("policy_node"), _thaw("policy_node")),
    Fault("freeze_sim", FREEZE_S, True, _freeze("sim_node"), _thaw("sim_node")),
    Fault("freeze_arm", FREEZE_S, True, _freeze("arm_node"), _thaw("arm_node")),
    Fault("cut_network", CUT_S, True, _cut, _mend),
    Fault("clock_forward", 1.0, False, _set_clock(7.0), _nothing),
    Fault("clock_back", 1.0, False, _set_clock(-7.0), _nothing),
    Fault("hog", HOG_S, False, _hog, _wait_for_hogs),
)
FAULTS = {f.name: f for f in _ALL}
