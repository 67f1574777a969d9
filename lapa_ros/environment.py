# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The environment every process of ours runs in, so that DDS carries camera frames whole.

Measured with 640x480 frames at 30 Hz between two rclpy processes: by default 17 to 46 % reach
a best-effort subscriber; with this profile all do, and with the two malloc variables at a
median of 0.45 ms. `lapa demo`, the launch files and the tests all take it from here.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from lapa_core import paths
from lapa_core.errors import ConfigError

# Without these glibc gives a frame's memory back to the system after every message and
# faults it in again for the next one.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "1000000000"}
PROFILE_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"


def dds_variables(current: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Variables to add to `current`; what a user has set there himself is left alone."""
    wanted = {PROFILE_VARIABLE: str(paths.share("config/dds/fastdds.xml")), **MALLOC}
    return {name: value for name, value in wanted.items() if name not in current}


# Domains above 101 have ports that Linux also gives to clients: discovery then fails at times.
DOMAINS = range(1, 101)
_held: list[int] = []  # locks of this process's domains, open until it ends


def own_domain() -> str:
    """A ROS_DOMAIN_ID that no other run on this computer has; kept until this process ends.

    Neighbours on one domain would hear each other's robots.

    Raises:
        ConfigError: all hundred are taken.
    """
    first = os.getpid() % len(DOMAINS)
    for offset in range(len(DOMAINS)):
        domain = DOMAINS[(first + offset) % len(DOMAINS)]
        path = Path(tempfile.gettempdir()) / f"lapa_ros_domain_{domain}.lock"
        try:
            handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        except PermissionError:  # another user's
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        _held.append(handle)
        return str(domain)
    raise ConfigError("every ROS domain from 1 to 100 is in use here; set ROS_DOMAIN_ID")


def remove_dead_segments(older_than_s: float = 60.0, folder: Path = Path("/dev/shm")) -> int:
    """Remove shared memory that killed processes have left behind; returns its bytes.

    Fast DDS cannot remove the segment of a process that was killed, and with our profile each is
    64 MB of the computer's memory. A living process holds a lock on the `_el` file beside its
    segment (Fast DDS' RobustExclusiveLock; `fastdds shm clean` looks at the same). A process
    that just starts has the file before it has the lock, so young files are left alone.
    """
    freed = 0
    newest = time.time() - older_than_s  # stamps of files are of this clock
    for lock in folder.glob("fastrtps_*_el"):
        segment = lock.with_name(lock.name.removesuffix("_el"))
        try:
            if lock.stat().st_mtime > newest:
                continue
            with lock.open("rb") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                size = segment.stat().st_size if segment.exists() else 0
                segment.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
                freed += size
        except OSError:  # alive, another user's, or gone meanwhile
            continue
    return freed
