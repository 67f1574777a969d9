# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Keeps the memory of one inference for the next one.

glibc asks the system for every block of 32 MB or more and gives it back when it is freed. The
VQGAN's activations are such blocks, and the system clears each page anew: about 180 of 710 ms an
image (docs/decisions/0016).
"""

from __future__ import annotations

import ctypes
import sys

# <malloc.h>
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEEP_BYTES = 2**30


def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GB of freed memory; False where the C library is another."""
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all(mallopt(key, _KEEP_BYTES) == 1 for key in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD))
