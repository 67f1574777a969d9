# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Keeps the memory of one inference for the next one.

glibc gives every block above 32 MB at most back to the system when it is freed. The VQGAN's
activations are such blocks, so the system hands out and clears the same 600 MB anew at every
image: about 150 of 700 ms (docs/decisions/0016).
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
