# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The environment DDS runs in. Knows nothing of ROS: variables and files come as arguments.

Why the profile matters: see `lapa_ros/environment.py`; without it most 640x480 frames are lost
to a best-effort subscriber.
"""

from __future__ import annotations

import os
import shlex
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

from lapa_core import paths
from lapa_ros.doctor.finding import Finding, judge
from lapa_ros.doctor.system import ROOT, read
from lapa_ros.environment import MALLOC, PROFILE_VARIABLE, dds_variables

# Linux hands ports from 32768 on to clients; domain 102 begins at 7400 + 250 * 102 = 32900.
MAX_DOMAIN = 101
SEGMENT_BYTES = 2**26  # config/dds/fastdds.xml
SHM_FAIL_BYTES, SHM_WARN_BYTES = 2**26, 2**29  # one process, eight processes
RMEM_BYTES = 2**21  # twice a 640x480 rgb8 frame
# Fast DDS 3 (Kilted and newer) knows the second name too.
PROFILE_VARIABLES = (PROFILE_VARIABLE, "FASTDDS_DEFAULT_PROFILES_FILE")


def profile_path() -> str:
    """Where our Fast DDS profile lies."""
    return str(paths.share("config/dds/fastdds.xml"))


def middleware(identifier: str, variables: Mapping[str, str], whole: bool) -> list[Finding]:
    """Which DDS is used, and whether it was told to carry whole frames.

    Args:
        identifier: of the RMW implementation.
        variables: of the shell.
        whole: frames were heard and none was lost, so whoever sends them is set up well.
    """
    what = "DDS implementation"
    if "fastrtps" not in identifier:
        return [
            Finding(
                "warn", what, identifier, "rmw_fastrtps_cpp",
                "our profile is for Fast DDS: export RMW_IMPLEMENTATION=rmw_fastrtps_cpp for "
                "every node of the robot, or raise the socket buffers of the other DDS yourself",
            )
        ]  # fmt: skip
    return [Finding("ok", what, identifier), profile(variables, whole), malloc(variables, whole)]


def profile(variables: Mapping[str, str], whole: bool = False) -> Finding:
    """Whether programs started from this shell use a segment that holds camera frames."""
    what, expected = "Fast DDS profile", f"{PROFILE_VARIABLE} set, for camera drivers too"
    export = f"export {PROFILE_VARIABLE}={shlex.quote(profile_path())}"
    named = next((variables[v] for v in PROFILE_VARIABLES if variables.get(v)), "")
    if not named and whole:
        return Finding("ok", what, "not set in this shell, but frames arrive whole", expected)
    if not named:
        return Finding("warn", what, "not set in this shell", expected,
                       f"{export} before every camera driver; without it half the frames or more "
                       "are lost (our launch files set it for our nodes)")  # fmt: skip
    size = segment_size(Path(named))
    if size is None:
        return Finding("fail", what, f"{named} cannot be read", expected, export)
    return judge(
        what,
        f"{named}, shared-memory segment {size / 2**20:.1f} MiB",
        f"{SEGMENT_BYTES / 2**20:.0f} MiB or more",
        warn=export if size < SEGMENT_BYTES else "",
    )


def segment_size(path: Path) -> int | None:
    """Largest shared-memory segment of a Fast DDS profile [bytes], 0 without one.

    None where the file cannot be read.
    """
    try:
        tree = ElementTree.parse(path)
    except (OSError, ElementTree.ParseError):
        return None
    sizes = [e.text for e in tree.iter() if e.tag.rpartition("}")[2] == "segment_size"]
    return max((int(s) for s in sizes if s and s.strip().isdigit()), default=0)


def malloc(variables: Mapping[str, str], whole: bool = False) -> Finding:
    """Whether frames' memory is kept between messages: a quarter of the latency."""
    missing = [f"{k}={v}" for k, v in MALLOC.items() if k not in variables]
    return judge(
        "memory variables",
        f"{len(missing)} of {len(MALLOC)} not set in this shell" if missing else "set",
        "set, for camera drivers too: a frame then takes 0.5 ms instead of 1.7 ms",
        warn=f"export {' '.join(missing)}" if missing and not whole else "",
    )


def domain(variables: Mapping[str, str]) -> Finding:
    """ROS_DOMAIN_ID: alone on its number, and of ports that Linux leaves alone."""
    what, text = "ROS_DOMAIN_ID", variables.get("ROS_DOMAIN_ID", "")
    expected = f"1 to {MAX_DOMAIN}, a number of your own in every terminal"
    export = "export ROS_DOMAIN_ID=42 (any number nobody near you uses) in every terminal"
    if text and not text.isdigit():
        return Finding("fail", what, f"{text!r} is no number", expected, export)
    number = int(text or 0)
    alone = confined(variables)
    if number > MAX_DOMAIN:
        return Finding("warn", what, str(number), expected,
                       f"its ports are given to other programs at times: {export}")  # fmt: skip
    return judge(
        what,
        f"{number}{'' if text else ' (not set)'}{', this machine only' if alone else ''}",
        expected,
        warn=f"neighbours on the network share it and hear each other's robots: {export}"
        if number == 0 and not alone
        else "",
    )


def confined(variables: Mapping[str, str]) -> bool:
    """Whether discovery stays on this machine."""
    return (
        variables.get("ROS_LOCALHOST_ONLY") == "1"
        or variables.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper() == "LOCALHOST"
    )


def discovery(variables: Mapping[str, str]) -> Finding:
    """How far other nodes are looked for."""
    what, expected = "discovery", "SUBNET across machines, LOCALHOST on one"
    reach = variables.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "").upper()
    localhost = variables.get("ROS_LOCALHOST_ONLY", "")
    measured = f"ROS_AUTOMATIC_DISCOVERY_RANGE={reach or 'not set'}"
    if localhost:
        measured += f", ROS_LOCALHOST_ONLY={localhost}"
    if reach == "OFF":
        return Finding("fail", what, measured, expected,
                       "no node finds another: unset ROS_AUTOMATIC_DISCOVERY_RANGE")  # fmt: skip
    humble = variables.get("ROS_DISTRO") == "humble"
    return judge(
        what,
        measured,
        expected,
        warn="Humble does not read that variable: export ROS_LOCALHOST_ONLY=1"
        if humble and reach and not localhost
        else "",
    )


def shared_memory(root: Path = ROOT, free_bytes: float | None = None) -> Finding:
    """Room in /dev/shm, where Fast DDS keeps one segment a process."""
    folder = root / "dev/shm"
    if free_bytes is None:
        if not folder.is_dir():
            return Finding("fail", "/dev/shm", "not there", "a tmpfs",
                           "sudo mount -t tmpfs tmpfs /dev/shm")  # fmt: skip
        free_bytes = float(shutil.disk_usage(folder).free)
    measured = f"{free_bytes / 2**20:.0f} MiB free"
    mend = (
        "stop all nodes, then rm -f /dev/shm/fastrtps_*; in a container: --ipc=host or "
        "--shm-size=2g"
    )
    return judge(
        "/dev/shm",
        measured,
        f"{SHM_WARN_BYTES / 2**20:.0f} MiB or more: {SEGMENT_BYTES / 2**20:.0f} MiB a process",
        fail=mend if free_bytes < SHM_FAIL_BYTES else "",
        warn=mend if free_bytes < SHM_WARN_BYTES else "",
    )


def receive_buffer(variables: Mapping[str, str], lost: bool, root: Path = ROOT) -> list[Finding]:
    """Socket buffer for frames from other machines; nothing where only this machine is heard.

    Args:
        variables: of the shell.
        lost: whether frames were lost just now; only then the size is held against anybody.
        root: the file system's root.
    """
    text = read(root / "proc/sys/net/core/rmem_max")
    if not text.isdigit() or confined(variables):
        return []
    return [
        judge(
            "net.core.rmem_max",
            f"{text} bytes",
            f"{RMEM_BYTES} or more where frames come over the network",
            warn="if the camera is on another machine: sudo sysctl -w net.core.rmem_max=8388608"
            if int(text) < RMEM_BYTES and lost
            else "",
        )
    ]


def environment(
    variables: Mapping[str, str], identifier: str, whole: bool, root: Path = ROOT
) -> list[Finding]:
    """All of the above, for the variables of the shell the doctor was started from."""
    return [
        *middleware(identifier, variables, whole),
        domain(variables),
        discovery(variables),
        shared_memory(root),
    ]


def prepare() -> dict[str, str]:
    """Give this process what our nodes have; returns the variables as they were before.

    Must come before the first DDS participant. The doctor then hears as policy_node hears.
    """
    before = dict(os.environ)
    os.environ.update(dds_variables())
    return before
