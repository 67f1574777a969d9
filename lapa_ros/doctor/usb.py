# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Serial ports of the servos: there, ours to open, and quick. Knows nothing of ROS.

The FTDI chip of a U2D2 keeps what it read for 16 ms by default; a bus read then takes longer
than the whole period of 100 Hz. Interbotix' udev rule sets 1 ms.
"""

from __future__ import annotations

import os
from pathlib import Path

from lapa_ros.doctor.finding import Finding, judge
from lapa_ros.doctor.system import ROOT, read

PATTERNS = ("ttyDXL*", "ttyUSB*")
# 0403:6014 is the U2D2; the rule of Interbotix' own package, and `ID_MM_DEVICE_IGNORE`, which
# keeps ModemManager from talking to the port.
RULE = (
    'SUBSYSTEM=="tty", ATTRS{idVendor}=="0403", ATTRS{idProduct}=="6014", '
    'ENV{ID_MM_DEVICE_IGNORE}="1", ATTR{device/latency_timer}="1", SYMLINK+="ttyDXL"'
)
INSTALL_RULE = (
    f"echo '{RULE}' | sudo tee /etc/udev/rules.d/99-interbotix-udev.rules && "
    "sudo udevadm control --reload && sudo udevadm trigger"
)


def ports(root: Path = ROOT) -> list[Path]:
    """Serial ports that may be a U2D2."""
    return sorted(p for pattern in PATTERNS for p in (root / "dev").glob(pattern))


def check(needed: bool, root: Path = ROOT) -> list[Finding]:
    """All about the ports.

    Args:
        needed: whether the robot's driver uses one; it may still be on another machine.
        root: the file system's root.
    """
    found = ports(root)
    if not found:
        return [
            judge(
                "serial port",
                "no /dev/ttyDXL* or /dev/ttyUSB*",
                "one a U2D2" if needed else "none needed by this backend",
                warn="plug in and power the U2D2 (`dmesg | tail` shows it), unless the driver "
                "runs on another machine"
                if needed
                else "",
            )
        ]
    return [
        *(access(p, root) for p in found),
        *latency(root, needed),
        *modem_manager(root),
    ]


def access(port: Path, root: Path = ROOT) -> Finding:
    """Whether this user may open the port."""
    allowed = os.access(port, os.R_OK | os.W_OK)
    return judge(
        f"serial port /{port.relative_to(root)}",
        "may be opened" if allowed else "may not be opened by this user",
        "read and write",
        fail="sudo usermod -aG dialout $USER, then log out and in" if not allowed else "",
    )


def latency(root: Path = ROOT, needed: bool = True) -> list[Finding]:
    """Latency timer of every USB serial chip [ms]."""
    found = []
    for file in sorted((root / "sys/bus/usb-serial/devices").glob("*/latency_timer")):
        name, text = file.parent.name, read(file)
        slow = (
            f"echo 1 | sudo tee /sys/bus/usb-serial/devices/{name}/latency_timer now, and for "
            f"good: {INSTALL_RULE}"
            if text != "1"
            else ""
        )
        found.append(
            judge(
                f"latency_timer of {name}",
                f"{text} ms",
                "1 ms: with 16 the bus is read at about 60 Hz at best",
                fail=slow if needed else "",
                warn=slow,
            )
        )
    return found


def modem_manager(root: Path = ROOT) -> list[Finding]:
    """ModemManager tries new serial ports with modem commands, in the middle of the servos'."""
    names = {read(p) for p in (root / "proc").glob("[0-9]*/comm")}
    if "ModemManager" not in names:
        return []
    return [
        Finding(
            "warn", "ModemManager", "running", "not running, or kept from the port",
            f"sudo systemctl disable --now ModemManager, or: {INSTALL_RULE}",
        )
    ]  # fmt: skip
