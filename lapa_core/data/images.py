# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The only image decoder, resizer and normaliser: camera bytes -> RGB -> what the VQGAN sees.

Knows nothing of ROS messages or torch. The resize is the reference's, to the bit: two successive
cv2 bilinear resizes of uint8 (fixed-point, no antialiasing), because the weights learned from
those pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lapa_core.errors import DataError, unknown
from lapa_core.types import ImageArray

MODEL_SIZE = 256
# The reference crops int(256 * 0.9) = 230 rows, centred, and all 256 columns: its `ratio`
# argument scales the width, not the shape of the crop.
CROP_ROWS = slice(13, 243)


@dataclass(frozen=True)
class _Encoding:
    channels: int
    to_rgb: Callable[[ImageArray], ImageArray]


def _convert(code: int) -> Callable[[ImageArray], ImageArray]:
    return lambda image: np.asarray(cv2.cvtColor(image, code), dtype=np.uint8)


# Names and layouts of sensor_msgs/image_encodings.hpp. `8UC3` has no colour order there; the
# drivers that send it (OpenCV captures) mean BGR.
_ENCODINGS = {
    "rgb8": _Encoding(3, np.ascontiguousarray),
    "bgr8": _Encoding(3, _convert(cv2.COLOR_BGR2RGB)),
    "rgba8": _Encoding(4, _convert(cv2.COLOR_RGBA2RGB)),
    "bgra8": _Encoding(4, _convert(cv2.COLOR_BGRA2RGB)),
    "mono8": _Encoding(1, _convert(cv2.COLOR_GRAY2RGB)),
    "8UC1": _Encoding(1, _convert(cv2.COLOR_GRAY2RGB)),
    "8UC3": _Encoding(3, _convert(cv2.COLOR_BGR2RGB)),
    "yuv422_yuy2": _Encoding(2, _convert(cv2.COLOR_YUV2RGB_YUY2)),
    "yuv422": _Encoding(2, _convert(cv2.COLOR_YUV2RGB_UYVY)),
}
ENCODINGS = tuple(_ENCODINGS)


def decode(
    data: bytes | bytearray | memoryview | NDArray[np.uint8],
    *,
    height: int,
    width: int,
    step: int,
    encoding: str,
    is_bigendian: int = 0,
) -> ImageArray:
    """Decode the fields of a `sensor_msgs/Image`.

    Args:
        data: `height * step` bytes.
        height, width: pixels.
        step: bytes a row, padding included.
        encoding: one of `ENCODINGS`.
        is_bigendian: without effect, all encodings have 8 bits a channel.

    Returns:
        (height, width, 3) RGB, a copy that owns its memory.

    Raises:
        DataError: unknown encoding, or sizes that do not fit together.
    """
    if encoding not in _ENCODINGS:
        raise DataError(unknown("encoding", encoding, ENCODINGS, "an image"))
    layout = _ENCODINGS[encoding]
    if height < 1 or width < 1:
        raise DataError(f"an image of {width}x{height} pixels holds nothing")
    if layout.channels == 2 and width % 2:
        raise DataError(f"{encoding} shares colour between two pixels, but width is {width}")
    row_bytes = width * layout.channels
    if step < row_bytes:
        raise DataError(f"step {step} is too small for {width} pixels of {encoding} ({row_bytes})")
    flat = np.frombuffer(data, dtype=np.uint8)
    if flat.size != height * step:
        raise DataError(
            f"{encoding} image of {width}x{height}, step {step}, must have "
            f"{height * step} bytes, got {flat.size}"
        )
    pixels = flat.reshape(height, step)[:, :row_bytes].reshape(height, width, layout.channels)
    rgb = layout.to_rgb(np.ascontiguousarray(pixels))
    return rgb.copy() if np.shares_memory(rgb, flat) else rgb


def decode_compressed(data: bytes | bytearray | memoryview, format: str) -> ImageArray:
    """Decode the fields of a `sensor_msgs/CompressedImage` holding JPEG or PNG.

    Args:
        data: the file's bytes; what they are is read from them, not from `format`.
        format: the message's own claim, such as `rgb8; jpeg compressed bgr8`, for the error.

    Returns:
        (H, W, 3) RGB; grey and alpha are converted.

    Raises:
        DataError: neither JPEG nor PNG, or broken.
    """
    flat = np.frombuffer(data, dtype=np.uint8)
    head = flat[:8].tobytes()
    if not (head.startswith(b"\xff\xd8\xff") or head == b"\x89PNG\r\n\x1a\n"):
        raise DataError(f"compressed image (format {format!r}) is neither JPEG nor PNG")
    # IMREAD_COLOR would also turn the picture by its EXIF tag, which no camera stream means.
    bgr = cv2.imdecode(flat, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if bgr is None:
        raise DataError(f"compressed image (format {format!r}, {flat.size} bytes) is broken")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def resize_for_model(image: ImageArray, center_crop: bool) -> ImageArray:
    """Resize as the reference does: long side to 256, then to 256x256 whatever the shape.

    Args:
        image: (H, W, 3) RGB.
        center_crop: also cut rows 13..242 and resize again, as the reference serves actions.

    Returns:
        (256, 256, 3) uint8.

    Raises:
        DataError: not such an image, or too elongated to keep one pixel.
    """
    _check(image)
    height, width = image.shape[:2]
    scale = MODEL_SIZE / max(height, width)
    # Half to even, as albumentations 1.3 (LongestMaxSize) rounds.
    inner = (round(width * scale), round(height * scale))
    if min(inner) == 0:
        raise DataError(f"{width}x{height} pixels are too elongated to resize to {MODEL_SIZE}")
    if scale != 1.0:
        image = resize(image, inner)
    if image.shape[:2] != (MODEL_SIZE, MODEL_SIZE):
        image = resize(image, (MODEL_SIZE, MODEL_SIZE))
    if center_crop:
        image = resize(image[CROP_ROWS], (MODEL_SIZE, MODEL_SIZE))
    return np.ascontiguousarray(image)


def resize_for_laq(image: ImageArray, side: int = MODEL_SIZE) -> ImageArray:
    """Resize as the reference does for its latent action quantiser: antialiased, to a square.

    Args:
        image: (H, W, 3) RGB.
        side: of the square; 256 in the reference.

    Returns:
        (side, side, 3) uint8.

    Raises:
        DataError: not such an image.
    """
    _check(image)
    if image.shape[:2] == (side, side):
        return np.ascontiguousarray(image)
    return np.array(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR))


def _check(image: ImageArray) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise DataError(f"expected (H, W, 3) uint8, got {image.shape} {image.dtype}")
    height, width = image.shape[:2]
    if height == 0 or width == 0:
        raise DataError(f"an image of {width}x{height} pixels holds nothing")


def resize(image: ImageArray, size: tuple[int, int]) -> ImageArray:
    """A picture in another size of (width, height), as everything that a model sees is resized."""
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def normalise(image: ImageArray) -> NDArray[np.float32]:
    """Map uint8 0 .. 255 to float32 -1 .. 1; divided in float64, then cast, as the reference."""
    return _NORMALISED[image]


# 256 possible values: looked up rather than computed, with the same bits.
_NORMALISED: NDArray[np.float32] = (np.arange(256) / 127.5 - 1.0).astype(np.float32)
