# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Raw images to JPEG in worker threads: `sensor_msgs/Image` bytes in, `CompressedImage` bytes out.

Works on serialised messages (CDR), so that nothing of ROS is needed. OpenCV releases the
interpreter while it encodes. What cannot become a JPEG without loss of meaning (depth, an
encoding that our decoder does not know) stays raw.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from rosbags.typesys import Stores, get_typestore

from lapa_core.data import messages

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
SUFFIX = "/compressed"  # where image_transport publishes what is made from a raw topic
# Compression artefacts are then below the noise of a webcam; image_transport's own default.
QUALITY = 95


@dataclass(frozen=True)
class Encoded:
    """What became of a raw image: `data` is a serialised message of `type`."""

    type: str
    data: bytes
    reason: str = ""  # why it stayed raw


@functools.cache
def typestore() -> Any:
    """Types whose layout has not changed from Humble to Jazzy."""
    return get_typestore(Stores.ROS2_JAZZY)


def type_hash() -> str:
    """RIHS01 hash of `CompressedImage`, as its publishers would tell it."""
    return str(typestore().hash_rihs01(COMPRESSED))


def encode(data: bytes, quality: int = QUALITY) -> Encoded:
    """Compress a serialised `sensor_msgs/Image`; stamp and frame stay as they are.

    Never raises: whatever cannot be compressed is kept as it came, with the reason.
    """
    try:
        return _encode(data, quality)
    except Exception as error:  # a broken message provokes anything, and must not end an episode
        return Encoded(IMAGE, data, str(error) or type(error).__name__)


def _encode(data: bytes, quality: int) -> Encoded:
    store = typestore()
    msg = store.deserialize_cdr(data, IMAGE)
    rgb = messages.image(msg)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        return Encoded(IMAGE, data, f"OpenCV could not encode {msg.width}x{msg.height} pixels")
    compressed = store.types[COMPRESSED](
        header=msg.header,
        format=f"{msg.encoding}; jpeg compressed bgr8",  # image_transport's words
        data=np.asarray(jpeg, dtype=np.uint8).reshape(-1),
    )
    return Encoded(COMPRESSED, bytes(store.serialize_cdr(compressed, COMPRESSED)))


class Workers:
    """Threads that encode and look at pictures; their work yields to nothing and blocks nobody."""

    def __init__(self, count: int = 2, quality: int = QUALITY) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="jpeg")
        self._quality = quality
        self._lock = threading.Lock()
        self.waiting = 0  # jobs given and not done

    def encode(self, data: bytes) -> Future[Encoded]:
        """Compress in a worker."""
        return self._submit(encode, data, self._quality)

    def look(self, job: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Do something else with a picture in a worker."""
        return self._submit(job, *arguments)

    def _submit(self, job: Callable[..., Any], *arguments: Any) -> Future[Any]:
        with self._lock:
            self.waiting += 1
        future = self._pool.submit(job, *arguments)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[Any]) -> None:
        with self._lock:
            self.waiting -= 1

    def close(self) -> None:
        """Finish what is under way."""
        self._pool.shutdown(wait=True)
