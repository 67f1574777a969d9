# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Makes the pictures of docs/dashboard.md: the real nodes, a simulated arm, a real Chromium.

python tools/dashboard_pictures.py docs/images
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOP), str(TOP / "test" / "ros")]

from lapa_ros import environment  # noqa: E402

os.environ["ROS_DOMAIN_ID"] = environment.own_domain()
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.update(environment.dds_variables())
os.environ.setdefault("MUJOCO_GL", "egl")

import browser as browsers  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from lapa_ros.processes import NodeProcess, stop_all  # noqa: E402

SIZE = {"width": 1440, "height": 900}
TASK = "put the red block in the bin"


def pause(seconds: float) -> None:
    """Let the page and the arm go on."""
    threading.Event().wait(seconds)


def save(page: object, file: Path) -> None:
    """A JPEG of the page, without the warning that belongs to this browser."""
    warning = page.get_by_text("Software WebGL").locator("xpath=ancestor::*[@role='alert']")
    for index in range(warning.count()):
        warning.nth(index).evaluate("element => element.remove()")
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    image.save(file, quality=82, optimize=True)
    print(file, file.stat().st_size)


def drag(page: object, folder: Path, before: np.ndarray, picture: Path) -> None:
    """Pull at an arrow of the gizmo, and take the picture meanwhile."""
    pause(2.0)
    heads = browsers.arrow_heads(before, browsers.picture(page, folder / "after.png"))
    head, middle = np.array(heads[0], dtype=float), np.mean(heads, axis=0)
    page.mouse.move(*head)
    page.mouse.down()
    for step in range(1, 15):
        page.mouse.move(*(head + 4.0 * step * (head - middle) / np.linalg.norm(head - middle)))
        pause(0.1)
    pause(1.0)
    save(page, picture)
    page.mouse.up()


def dashboard(out: Path, folder: Path, nodes: list[NodeProcess]) -> None:
    """Enable, home, record, drag, save."""
    with browsers.chromium() as browser:
        page = browsers.opened(browser, browsers.address_of(nodes[-1]), SIZE)
        for name, seconds in (("Enable", 1.0), ("Home", 6.0)):
            page.get_by_role("button", name=name).first.click()
            pause(seconds)
        before = browsers.picture(page, folder / "before.png")
        page.keyboard.press("r")
        pause(2.0)
        page.get_by_role("checkbox").first.click()
        drag(page, folder, before, out / "dashboard.jpg")
        pause(2.0)
        page.keyboard.press("ArrowRight")
        page.get_by_text("1 of 150").first.wait_for(timeout=20_000)


def view(out: Path, recordings: Path) -> None:
    """The episode that was just recorded."""
    command = [sys.executable, "-m", "lapa_core.cli", "view", str(recordings)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--no-browser"], stdout=subprocess.PIPE, text=True, cwd=TOP
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        with browsers.chromium() as browser:
            page = browser.new_page()
            page.set_viewport_size(SIZE)
            page.goto(url)
            page.get_by_text("Speed").wait_for(timeout=40_000)
            pause(5.0)
            page.keyboard.press("Space")
            pause(5.0)
            page.keyboard.press("Space")
            pause(1.0)
            save(page, out / "dashboard_view.jpg")
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Both pictures, into the folder of the first argument."""
    out = Path(sys.argv[1])
    folder = Path(tempfile.mkdtemp())
    recordings = folder / "recordings"
    starts: list[tuple[str, dict[str, object]]] = [
        ("recorder_node", {"folder": str(recordings), "episodes": 150, "task": TASK}),
        ("teleop_node", {"device": "browser", "terminal": False}),
        ("sim_node", {"camera_rate_hz": 10.0}),  # the browser renders on the same cores
        ("arm_node", {"backend": "ros2_control"}),
        ("dashboard_node", {"port": 0, "alive_s": 8.0}),
    ]
    nodes: list[NodeProcess] = []
    try:
        for name, parameters in starts:
            nodes.append(NodeProcess(name, parameters, folder / f"{name}.log"))
        dashboard(out, folder, nodes)
    finally:
        stop_all(nodes)
    view(out, recordings)


if __name__ == "__main__":
    main()
