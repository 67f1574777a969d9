# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""`lapa view`: plays a recorded episode in the browser. Needs no ROS."""

from __future__ import annotations

import argparse
import time
import webbrowser
from pathlib import Path

from lapa_core import robot as robots

TICK_S = 1.0 / 20.0


def run(parser: argparse.ArgumentParser, argv: list[str]) -> int:
    """Serve the page until Ctrl-C."""
    parser.add_argument("episode", type=Path, help="an episode's folder, or a data set's")
    parser.add_argument("--host", default="127.0.0.1", help="another address needs --token")
    parser.add_argument("--port", type=int, default=8081, help="0 takes a free one")
    parser.add_argument("--token", default="", help="at least 16 characters, or `generate`")
    parser.add_argument("--robot", default="", help="robot file instead of the recorded one")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    args = parser.parse_args(argv)
    from lapa_core.view.page import Page
    from lapa_core.view.player import Player

    robot = robots.load(args.robot) if args.robot else None
    page = Page("lapa view", args.host, args.port, args.token)
    try:
        player = Player(page, args.episode, robot=robot)
        print(f"open {page.url} (Ctrl-C ends)", flush=True)
        if not args.no_browser:
            webbrowser.open(page.url)
        while True:
            player.tick(time.monotonic())
            time.sleep(TICK_S)
    except KeyboardInterrupt:
        return 0
    finally:
        page.close()
