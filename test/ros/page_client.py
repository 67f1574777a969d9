# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""A page without a browser: viser's own messages over a real websocket, through the gate."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import msgspec.msgpack
import viser
import zstandard
from harness import wait_for
from viser import _messages
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect


class PageClient:
    """Connects, remembers what the page would show, presses what a person would press.

    Attributes:
        notices: title and text of every notification.
        answers: whether it answers when the server asks if it is there.
    """

    def __init__(self, url: str) -> None:
        where = url.removeprefix("http://").rstrip("/")
        self.notices: list[tuple[str, str]] = []
        self.answers = True
        self._elements: dict[str, dict[str, Any]] = {}
        self._commands: dict[str, str] = {}
        self._places: dict[str, tuple[float, float, float]] = {}
        self._socket = connect(
            f"ws://{where}",
            origin=f"http://{where}",
            subprotocols=[f"viser-v{viser.__version__}"],
            max_size=None,
        )
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        camera = _messages.ViewerCameraMessage(
            wxyz=(1.0, 0.0, 0.0, 0.0), position=(1.0, 0.0, 0.0), fov=1.0, near=0.1, far=10.0,
            image_height=480, image_width=640, look_at=(0.0, 0.0, 0.0),
            up_direction=(0.0, 0.0, 1.0),
        )  # fmt: skip
        self._send(camera)  # viser counts a page from its first camera on
        wait_for(lambda: self.find("ESTOP (Esc)"), "the page")

    def close(self) -> None:
        """Close the page."""
        self._socket.close()
        self._thread.join(timeout=5.0)

    def find(self, label: str) -> str:
        """Id of the element with this label, "" before there is one."""
        for uuid, props in list(self._elements.items()):
            if props.get("label") == label:
                return uuid
        return ""

    def shows(self, text: str) -> bool:
        """Whether some text of the page holds these words."""
        return any(text in str(p.get("content", "")) for p in list(self._elements.values()))

    def press(self, label: str) -> None:
        """Click a button."""
        self.set(label, True)

    def set(self, label: str, value: object) -> None:
        """Give an input a value; of a group of buttons, press one."""
        uuid = self.find(label)
        assert uuid, f"the page has no {label!r}"
        self._send(_messages.GuiUpdateMessage(uuid, {"value": value}))

    def value(self, label: str, what: str = "value") -> Any:
        """Value of an input, or another property of it."""
        return self._elements[self.find(label)].get(what)

    def handle_at(self, arm: str) -> tuple[float, float, float] | None:
        """Where this page shows the handle of an arm."""
        return self._places.get(f"/{arm}/goal")

    def key(self, hotkey: str) -> None:
        """Press a key."""
        self._send(_messages.CommandTriggerMessage(self._commands[hotkey]))

    def drag(self, arm: str, phase: str, position: tuple[float, float, float]) -> None:
        """Grab, move or let go of the handle of an arm: `start`, `update`, `end`."""
        name = f"/{arm}/goal"
        if phase == "start":
            self._send(_messages.TransformControlsDragStartMessage(name))
        elif phase == "end":
            self._send(_messages.TransformControlsDragEndMessage(name))
        else:
            self._places[name] = position
            pose = (1.0, 0.0, 0.0, 0.0), position
            self._send(_messages.TransformControlsUpdateMessage(name, *pose))

    def _send(self, message: _messages.Message) -> None:
        self._socket.send(msgspec.msgpack.encode(message.as_serializable_dict([])))

    def _listen(self) -> None:
        try:
            while True:
                raw = self._socket.recv()
                assert isinstance(raw, bytes)
                size = int.from_bytes(raw[8:16], "little")
                packed = zstandard.ZstdDecompressor().decompress(
                    raw[16 : 16 + size], max_output_size=int.from_bytes(raw[:8], "little")
                )
                for message in msgspec.msgpack.decode(packed)["messages"]:
                    self._take(message)
        except ConnectionClosed:
            return

    def _take(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        handle: Callable[[dict[str, Any]], None] | None = {
            "GuiUpdateMessage": self._update,
            "RegisterCommandMessage": self._command,
            "NotificationShowMessage": self._notice,
            "SetPositionMessage": self._placed,
            "LocalStorageGetItemRequestMessage": self._asked,
        }.get(kind)
        if handle is not None:
            handle(message)
        elif kind.startswith("Gui") and "props" in message:
            value = {"value": message["value"]} if "value" in message else {}
            self._elements[message["uuid"]] = {**message["props"], **value}

    def _update(self, message: dict[str, Any]) -> None:
        self._elements.setdefault(message["uuid"], {}).update(message["updates"])

    def _command(self, message: dict[str, Any]) -> None:
        self._commands[message["props"]["hotkey"]] = message["uuid"]

    def _placed(self, message: dict[str, Any]) -> None:
        self._places[message["name"]] = tuple(message["position"])

    def _notice(self, message: dict[str, Any]) -> None:
        self.notices.append((message["props"]["title"], message["props"]["body"]))

    def _asked(self, message: dict[str, Any]) -> None:
        if self.answers:
            self._send(
                _messages.LocalStorageGetItemResponseMessage(None, None, message["request_uuid"])
            )
