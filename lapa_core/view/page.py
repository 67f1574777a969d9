# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""viser behind the gate: it listens on a Unix socket that only this user can open.

viser itself knows TCP ports alone, and any user of the computer, and any web page that tries all
ports, could reach such a one past the gate (docs/decisions/0044).
"""

from __future__ import annotations

import contextlib
import io
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import viser
import websockets.asyncio.server as websocket_server
from viser import _messages

from lapa_core.errors import ConfigError
from lapa_core.view.admission import LOOPBACK, Admission
from lapa_core.view.gate import Gate

MAX_SOCKET_PATH = 100  # of 107 characters that Linux takes
# viser turns the camera by arrow keys too, and a held key would press a button many times: the
# first listener ends what repeats, the second ends what viser's hotkeys have already seen.
KEYS_SCRIPT = """
if (!window.lapaKeys) {
  window.lapaKeys = true;
  const ours = ["ArrowRight", "ArrowLeft", "Escape", "KeyR", "KeyU"];
  window.addEventListener("keydown", (event) => {
    if (event.repeat && ours.includes(event.code)) event.stopImmediatePropagation();
  }, true);
  document.documentElement.addEventListener("keydown", (event) => {
    if (event.code.startsWith("Arrow") && event.target.tagName !== "INPUT"
        && event.target.tagName !== "TEXTAREA") event.stopPropagation();
  });
}
"""


class Page:
    """A viser server that is reached through the gate alone.

    Attributes:
        server: viser's.
        url: where to open it, with the token where one is needed.
    """

    def __init__(
        self,
        title: str,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str = "",
        log: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Start both; `port` 0 takes a free one.

        Raises:
            ConfigError: the address cannot be had, or may not without a token.
        """
        self.admission = Admission(host, token)
        self._folder = Path(tempfile.mkdtemp(prefix="lapa_page_"))  # for this user alone: 0700
        if len(str(self._folder)) > MAX_SOCKET_PATH:
            self._folder.rmdir()
            self._folder = Path(tempfile.mkdtemp(prefix="lapa_page_", dir="/tmp"))
        path = self._folder / "viser"
        try:
            self.gate = Gate(self.admission, host, port, path, log)
        except ConfigError:
            self._folder.rmdir()
            raise
        self.server = _viser_at(path)
        self.server.gui.set_panel_label(title)
        self.server.gui.configure_theme(show_logo=False, show_share_button=False)
        shown = "localhost" if host in LOOPBACK else f"[{host}]" if ":" in host else host
        query = f"?token={self.admission.token}" if self.admission.token else ""
        self.url = f"http://{shown}:{self.gate.port}/{query}"

    def take_keys(self) -> None:
        """Keep viser's camera from turning by the keys that press our buttons."""
        # Sent as viser itself sends scripts for its plots; every later page gets it too.
        message = _messages.RunJavascriptMessage(source=KEYS_SCRIPT)
        self.server._websock_server.queue_message(message)

    def close(self) -> None:
        """End every connection and both servers."""
        self.gate.close()
        with contextlib.redirect_stdout(io.StringIO()):
            self.server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def _viser_at(path: Path) -> viser.ViserServer:
    """A viser server on a Unix socket.

    Raises:
        ConfigError: this version of viser opens its port in another way.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound.bind(str(path))
    with _serving_on(bound) as used, contextlib.redirect_stdout(io.StringIO()):
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
    if not used:
        server.stop()
        raise ConfigError(
            f"viser {viser.__version__} cannot be kept off the network by this version of lapa"
        )
    # A page may ask viser for a public address at a relay on the internet. Never of a robot.
    for message in (_messages.ShareUrlRequest, _messages.ShareUrlDisconnect):
        server._websock_server.unregister_handler(message)
    return server


@contextlib.contextmanager
def _serving_on(bound: socket.socket) -> Iterator[list[bool]]:
    """Let what calls websockets' `serve` meanwhile listen on `bound`; notes when it did."""
    used: list[bool] = []
    serve = websocket_server.serve

    def serve_here(handler: Any, host: str, port: int, **options: Any) -> Any:
        del host, port
        used.append(True)
        return serve(handler, unix=True, sock=bound, **options)

    websocket_server.serve = serve_here  # type: ignore[assignment,misc]
    try:
        yield used
    finally:
        websocket_server.serve = serve  # type: ignore[misc]
