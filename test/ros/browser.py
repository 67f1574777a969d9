# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A real browser for the page: Chromium without a screen, driven by its own mouse and keys."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from harness import wait_for
from PIL import Image

from lapa_ros.processes import NodeProcess

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or ""
MISSING = (
    "playwright is not installed"
    if importlib.util.find_spec("playwright") is None
    else "no chromium here; CHROMIUM names one"
    if not CHROMIUM
    else ""
)
ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
SIZE = {"width": 1280, "height": 800}
NOTICES_PX = 260  # notifications come and go above


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def address_of(node: NodeProcess) -> str:
    """What a dashboard says about where its page is."""

    def told() -> str:
        assert node.running(), node.last_lines()
        log = node.log.read_text(errors="replace")
        if match := re.search(r"open the address with the token in (\S+)", log):
            return Path(match[1]).read_text().strip()
        match = re.search(r"open (http\S+)", log)
        return match[1] if match else ""

    return str(wait_for(told, "the address of the page", deadline_s=40.0))


def opened(browser: Any, url: str, size: dict[str, int] | None = None) -> Any:
    """The page, once it shows buttons and a robot."""
    page = browser.new_page()
    page.set_viewport_size(size or SIZE)
    page.goto(url)
    page.get_by_role("button", name="ESTOP (Esc)").wait_for(timeout=40_000)
    page.locator("canvas").first.wait_for(timeout=40_000)
    warning = page.get_by_text("Software WebGL rendering detected")
    warning.wait_for(timeout=20_000)
    return page


def picture(page: Any, file: Path) -> np.ndarray:
    """(H, W, 3) int of the page now; what is not the robot's part is black."""
    page.screenshot(path=file)
    shown = np.asarray(Image.open(file).convert("RGB")).astype(int)
    canvas = page.locator("canvas").first.bounding_box()
    left, right = round(canvas["x"]) + 5, round(canvas["x"] + canvas["width"]) - 5
    cut = np.zeros_like(shown)
    cut[NOTICES_PX:, left:right] = shown[NOTICES_PX:, left:right]
    return cut


def arrow_heads(before: np.ndarray, after: np.ndarray) -> list[tuple[int, int]]:
    """Places (x, y) to grab a gizmo by, that one picture has and the other has not.

    Its arrows are plainly coloured, and are what reaches furthest from its middle.
    """
    new = np.abs(after - before).max(axis=2) > 40
    colourful = (after.max(axis=2) - after.min(axis=2)) > 110
    ys, xs = np.nonzero(new & colourful)
    places = np.stack([xs, ys], axis=1)
    assert len(places) > 30, "no gizmo is to be seen"
    middle = np.median(places, axis=0)
    away = np.linalg.norm(places - middle, axis=1)
    found: list[tuple[int, int]] = []
    for index in np.argsort(-away):
        # A little inwards from the very tip, which is a pixel or two wide.
        x, y = middle + 0.93 * (places[index] - middle)
        if all(np.hypot(x - a, y - b) > 12 for a, b in found):
            found.append((round(float(x)), round(float(y))))
        if len(found) == 6:
            break
    return found
