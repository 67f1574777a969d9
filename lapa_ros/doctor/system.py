# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The computer itself: what kind it is, its cores, memory and disk. Knows nothing of ROS.

Everything is read below `root`, the file system's root, so that a made-up folder can stand for
another computer.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lapa_core.robot import Robot
from lapa_ros.doctor.finding import Finding, judge

ROOT = Path("/")
VENDORS = ("VirtualBox", "innotek", "VMware", "QEMU", "KVM", "Xen", "Parallels", "Virtual Machine")
MIN_CORES = 4  # control loop, cameras, driver and policy at once; two are enough for the demo
DISK_WARN_BYTES = 10e9
GIB = 2**30


def read(path: Path) -> str:
    """Text of a small file of /proc or /sys without its ends, "" where there is none."""
    try:
        return path.read_text(errors="replace").strip(" \n\t\0")
    except OSError:
        return ""


def platform(root: Path = ROOT) -> Finding:
    """A virtual machine, WSL or a Raspberry Pi: USB and the scheduler are then late at times."""
    what, expected = "computer", "a PC of its own, Linux"
    kernel = read(root / "proc/version")
    if "microsoft" in kernel.lower():
        return Finding(
            "warn", what, "Windows Subsystem for Linux", expected,
            "USB passed through usbipd adds milliseconds to every read of the servos: run the "
            "driver and arm_node on native Linux; simulation and policy_node may stay here",
        )  # fmt: skip
    board = read(root / "proc/device-tree/model")
    if "Raspberry Pi" in board:
        return Finding(
            "warn", what, board, expected,
            "run cameras and driver here, policy_node on a stronger machine; ask for 320x240 or "
            "compressed images, and watch the control period below",
        )  # fmt: skip
    virtual = virtual_machine(root)
    return judge(
        what,
        f"virtual machine ({virtual})" if virtual else "not virtual as far as can be seen",
        expected,
        warn="a virtual machine delays USB and wakes up late: run the driver and arm_node on the "
        "host; simulation and policy_node may stay here"
        if virtual
        else "",
    )


def virtual_machine(root: Path = ROOT) -> str:
    """Name of the hypervisor this machine runs under, or ""."""
    for name in ("sys_vendor", "product_name"):
        text = read(root / "sys/class/dmi/id" / name)
        if any(vendor.lower() in text.lower() for vendor in VENDORS):
            return text
    flags = read(root / "proc/cpuinfo")
    return "hypervisor flag of the CPU" if " hypervisor" in flags else ""


def processor(root: Path = ROOT, cores: int | None = None) -> list[Finding]:
    """Cores this process may use, their governor, and how busy they are."""
    cores = cores or len(os.sched_getaffinity(0))
    governor = read(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    found = [
        judge(
            "CPU cores",
            str(cores),
            f"{MIN_CORES} or more",
            warn="run policy_node on another machine or with num_threads:=1, and cameras at a "
            "lower rate"
            if cores < MIN_CORES
            else "",
        ),
    ]
    if governor:
        found.append(
            judge(
                "CPU governor",
                governor,
                "performance or schedutil",
                warn="sudo cpupower frequency-set -g performance"
                if governor in ("powersave", "conservative")
                else "",
            )
        )
    load = read(root / "proc/loadavg").split()
    if load:
        busy = float(load[0])
        found.append(
            judge(
                "CPU load",
                f"{busy:.1f} processes ready over the last minute",
                f"below {cores}, the number of cores",
                warn="something else computes here: look with `top`, stop it or move it"
                if busy > cores
                else "",
            )
        )
    return found


def memory_available(root: Path = ROOT) -> float:
    """Bytes that programs can still have, NaN where the kernel does not say."""
    for row in read(root / "proc/meminfo").splitlines():
        if row.startswith("MemAvailable:"):
            return float(row.split()[1]) * 1024.0
    return float("nan")


def disk(robot: Robot, folder: Path, free_bytes: float | None = None) -> Finding:
    """Room for recordings in `folder`, in minutes of all cameras uncompressed."""
    free = float(shutil.disk_usage(folder).free) if free_bytes is None else free_bytes
    rate = sum(c.width * c.height * 3 * c.rate_hz for c in robot.cameras)
    lasts = (
        f", {free / rate / 60.0:.0f} min of raw frames at {rate / 1e6:.0f} MB/s" if rate else ""
    )
    return judge(
        "free disk",
        f"{free / 1e9:.1f} GB{lasts}",
        f"{DISK_WARN_BYTES / 1e9:.0f} GB or more where recordings go",
        warn="free some, or record to another disk" if free < DISK_WARN_BYTES else "",
    )
