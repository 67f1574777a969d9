# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""viser behind the gate: it listens on a Unix socket that only this user can open.

viser itself knows TCP ports alone, and any user of the computer, and any web page that tries all
ports, could reach such a one past the gate (docs/decisions/0044).
"""

from __future__ import annotations

import contextlib
import io
import json
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
from lapa_core.view import token as tokens
from lapa_core.view.admission import LOOPBACK, Admission
from lapa_core.view.gate import Gate

MAX_SOCKET_PATH = 100  # of 107 characters that Linux takes
# Keys in the browser.
# - Escape stops the arm wherever the focus is, also in a text: viser's hotkeys keep quiet in every
#   INPUT, which a checkbox is too. By the button, and by viser's own hotkey, sent anew from where
#   it listens: either is enough.
# - A held key would press a button many times: what repeats ends in the first listener.
# - What the mouse has used gives the focus back, so that the next arrow is a key of the page and
#   does not move a slider on; one that was reached by Tab keeps its arrows to itself.
# - viser turns the camera by arrow keys: they end once its hotkeys have seen them.
KEYS_SCRIPT = """
window.lapaEstop = ESTOP_ID;
if (!window.lapaKeys) {
  window.lapaKeys = true;
  const ours = ["ArrowRight", "ArrowLeft", "KeyR", "KeyU", "KeyB", "KeyY", "KeyN"];
  const root = document.documentElement;
  const role = (element) => element?.getAttribute?.("role") || "";
  const slides = (element) => element?.closest?.(".mantine-Slider-root");
  window.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.isTrusted && window.lapaEstop) {
      event.stopImmediatePropagation();
      if (event.repeat) return;
      const button = document.getElementById(window.lapaEstop);
      if (button) button.click();
      const escape = {key: "Escape", code: "Escape", bubbles: true, cancelable: true};
      root.dispatchEvent(new KeyboardEvent("keydown", escape));
    } else if (event.repeat && ours.includes(event.code)) event.stopImmediatePropagation();
  }, true);
  const giveBack = () => setTimeout(() => {
    const element = document.activeElement;
    const list = role(element) === "combobox";
    const open = list && element.getAttribute("aria-expanded") === "true";
    if (slides(element) || element?.type === "checkbox" || (list && !open))
      element.blur();
  });
  for (const name of ["click", "pointerup", "mouseup"])
    window.addEventListener(name, giveBack, true);
  window.addEventListener("keyup", (event) => {
    const used = {combobox: ["Enter"], "": [" "]}[role(event.target)] || [];
    if (used.includes(event.key)) giveBack();
  }, true);
  document.body.addEventListener("keydown", (event) => {
    if (event.code.startsWith("Arrow") && slides(event.target)) event.stopPropagation();
  });
  root.addEventListener("keydown", (event) => {
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
        address: the same without the token.
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
        self.address = f"http://{shown}:{self.gate.port}/"
        self.url = self.address + query

    def url_file(self) -> Path:
        """A file with the address and the token that only this user can open, while it is open."""
        file = self._folder / "url"
        tokens.write_secret(file, f"{self.url}\n")
        return file

    def take_keys(self, estop: str = "") -> None:
        """Make the keys of the page its own: see `KEYS_SCRIPT`.

        Args:
            estop: id of the button that Escape presses, or "" where there is none.
        """
        # Sent as viser itself sends scripts for its plots; every later page gets it too.
        script = KEYS_SCRIPT.replace("ESTOP_ID", json.dumps(estop))
        message = _messages.RunJavascriptMessage(source=script)
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
