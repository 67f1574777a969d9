# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Image messages to RGB: through cv_bridge where it is installed and works, else our decoder.

apt's cv_bridge is built against NumPy 1 and breaks under a pip-installed NumPy 2; the PyPI
port knows only some encodings. So it is tried once, on an image with known pixels, and used
only for the encodings it got right; everything else goes to `lapa_core.data.messages`, whose
pixels are the same (a test compares the two wherever both run).
"""

from __future__ import annotations

import array
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from sensor_msgs.msg import Image

from lapa_core.data import messages
from lapa_core.types import ImageArray

# Encodings cv_bridge may take over; YUV and padded rows are left to our decoder.
CANDIDATES = ("rgb8", "bgr8", "mono8")
Decode = Callable[[Any], ImageArray]


def make() -> tuple[Decode, str]:
    """The decoder of this machine, and one sentence about which it is and why."""
    try:
        bridge = importlib.import_module("cv_bridge").CvBridge()
    except Exception as error:  # a broken binary raises anything from ImportError to SystemError
        return messages.image, f"images: our decoder (cv_bridge: {_first_line(error)})"
    trusted = {e for e in CANDIDATES if _agrees(bridge, e)}
    if not trusted:
        return messages.image, "images: our decoder (cv_bridge fails its check)"

    def decode(msg: Any) -> ImageArray:
        if getattr(msg, "encoding", None) not in trusted or not _is_plain(msg):
            return messages.image(msg)
        return np.asarray(bridge.imgmsg_to_cv2(msg, desired_encoding="rgb8"), dtype=np.uint8)

    return decode, f"images: cv_bridge for {', '.join(sorted(trusted))}, our decoder for the rest"


def _is_plain(msg: Any) -> bool:
    """No row padding and as many bytes as the size says: what cv_bridge does not check."""
    channels = 1 if msg.encoding == "mono8" else 3
    return bool(
        msg.step == msg.width * channels
        and len(msg.data) == msg.step * msg.height
        and msg.width > 0
        and msg.height > 0
    )


def _agrees(bridge: Any, encoding: str) -> bool:
    channels = 1 if encoding == "mono8" else 3
    data = np.arange(4 * 6 * channels, dtype=np.uint8)
    probe = Image(height=4, width=6, encoding=encoding, step=6 * channels)
    probe.data = array.array("B", data.tobytes())
    try:
        theirs = bridge.imgmsg_to_cv2(probe, desired_encoding="rgb8")
    except Exception:  # see `make`: what a broken build raises is not known; it loses its job
        return False
    return bool(np.array_equal(theirs, messages.image(probe)))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
