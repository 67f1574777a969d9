# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Images: pixels equal to the reference's, every encoding, every refusal."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lapa_core.data import images
from lapa_core.errors import DataError

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", ["img0", "img1", "img2"])
@pytest.mark.parametrize(("crop", "suffix"), [(False, "plain"), (True, "crop")])
def test_resized_pixels_equal_the_references(golden, name, crop, suffix):
    image = np.array(Image.open(golden / f"images/{name}.png"))
    expected = np.array(Image.open(golden / f"images/{name}_{suffix}.png"))
    np.testing.assert_array_equal(images.resize_for_model(image, crop), expected)


def test_normalised_in_float64_then_cast():
    ramp = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(
        images.normalise(ramp), (np.float64(ramp) / 127.5 - 1).astype(np.float32)
    )


def padded(rows: np.ndarray, pad: int) -> bytes:
    flat = rows.reshape(rows.shape[0], -1)
    return np.pad(flat, ((0, 0), (0, pad)), constant_values=77).tobytes()


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "layout"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("8UC3", RGB[..., ::-1]),
        ("rgba8", np.dstack([RGB, RGB[..., 0]])),
        ("bgra8", np.dstack([RGB[..., ::-1], RGB[..., 0]])),
    ],
)
def test_colour_encodings_lose_nothing(encoding, layout, pad):
    data = padded(np.ascontiguousarray(layout), pad)
    step = layout.shape[1] * layout.shape[2] + pad
    out = images.decode(data, height=6, width=8, step=step, encoding=encoding)
    np.testing.assert_array_equal(out, RGB)
    assert out.flags.owndata or out.base.flags.writeable


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_becomes_three_equal_channels(encoding):
    grey = RGB[..., 0]
    out = images.decode(padded(grey, 3), height=6, width=8, step=11, encoding=encoding)
    np.testing.assert_array_equal(out, np.dstack([grey] * 3))


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422_yuy2", (0, 1, 2, 3)), ("yuv422", (1, 0, 3, 2))]
)
def test_yuv_orders(encoding, order):
    """YUYV and UYVY of one colour, BT.601: Y 81, U 90, V 240 is red."""
    yuyv = np.array([81, 90, 81, 240], dtype=np.uint8)[list(order)]
    data = np.tile(yuyv, (4, 2)).tobytes()
    out = images.decode(data, height=4, width=4, step=8, encoding=encoding)
    assert out.shape == (4, 4, 3)
    np.testing.assert_allclose(out.reshape(-1, 3), [[255, 0, 0]] * 16, atol=2)


def test_unknown_encoding_lists_the_valid_ones():
    with pytest.raises(DataError, match=r"'rgb9'.*'rgb8', 'bgr8'.*did you mean 'rgb8'"):
        images.decode(b"", height=1, width=1, step=3, encoding="rgb9")


@pytest.mark.parametrize(
    ("height", "width", "step", "encoding", "message"),
    [
        (6, 8, 23, "rgb8", "step 23 is too small"),
        (7, 8, 24, "rgb8", "168 bytes, got 144"),
        (0, 8, 24, "rgb8", "holds nothing"),
        (6, 9, 24, "yuv422", "width is 9"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(height, width, step, encoding, message):
    with pytest.raises(DataError, match=message):
        images.decode(RGB.tobytes(), height=height, width=width, step=step, encoding=encoding)


def encoded(extension: str, image: np.ndarray = RGB) -> bytes:
    return cv2.imencode(extension, image[..., ::-1])[1].tobytes()


def test_png_is_exact_and_jpeg_is_near():
    np.testing.assert_array_equal(images.decode_compressed(encoded(".png"), "png"), RGB)
    smooth = np.full((16, 16, 3), (200, 100, 50), dtype=np.uint8)
    out = images.decode_compressed(encoded(".jpg", smooth), "rgb8; jpeg compressed bgr8")
    np.testing.assert_allclose(out, smooth, atol=3)


def test_what_it_is_comes_from_the_bytes():
    np.testing.assert_array_equal(images.decode_compressed(encoded(".png"), "jpeg"), RGB)


@pytest.mark.parametrize("data", [b"", b"abc", encoded(".bmp"), encoded(".png")[:40]])
def test_broken_compressed_images_are_refused(data):
    with pytest.raises(DataError, match=r"neither JPEG nor PNG|broken"):
        images.decode_compressed(data, "jpeg")


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 2000, 3), np.uint8),
    ],
)
def test_what_cannot_be_resized_is_refused(image):
    with pytest.raises(DataError):
        images.resize_for_model(image, center_crop=False)


def test_no_other_file_of_the_core_resizes():
    """What a policy sees is resized in one place; what people or filters look at anywhere."""
    root = Path(images.__file__).parents[1]
    users = {
        str(f.relative_to(root))
        for f in root.rglob("*.py")
        if "cv2.resize" in f.read_text(encoding="utf-8")
    }
    for_others = {"view/pictures.py", "audit/extract.py", "film.py", "data/cuts.py"}
    assert users - for_others == {"data/images.py"}
