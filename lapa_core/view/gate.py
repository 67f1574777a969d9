# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""The only port of a page: every connection is checked, then passed on to a Unix socket.

One request a connection: after its head nothing more of the client is read, except by a
websocket that the server has accepted. So no later request can come in unchecked.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from lapa_core.errors import ConfigError, DataError
from lapa_core.view.admission import Admission, Head, Verdict, parse_head

MAX_HEAD = 16 * 1024
HEAD_TIMEOUT_S = 2.0  # for the client; a browser sends it with the connection
ANSWER_TIMEOUT_S = 10.0  # for viser
MAX_CONNECTIONS = 64  # of those that were let in
MAX_STRANGERS = 32  # that were not, or not yet: in all, and of one address
MAX_OF_ADDRESS = 8  # a browser opens six at a time
BLOCK = 64 * 1024
END = b"\r\n\r\n"
# The page in a frame of another, and its address passed on in Referer: both are refused.
SAFE_HEADERS = (
    "X-Frame-Options: DENY\r\n"
    "Content-Security-Policy: frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n"
)
_PASSED = ("accept-encoding", "user-agent")  # of the client's headers, what viser may see
_WEBSOCKET = ("sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol")


class Gate:
    """Listens on a TCP port in a thread of its own.

    Attributes:
        port: the one it got.
        refused: how many requests were turned away.
    """

    def __init__(
        self,
        admission: Admission,
        host: str,
        port: int,
        upstream: Path,
        log: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Bind; `port` 0 takes a free one.

        Raises:
            ConfigError: the address cannot be had.
        """
        self.refused = 0
        self._admission, self._upstream, self._log = admission, upstream, log
        self._connections: set[asyncio.Task[None]] = set()
        self._strangers: dict[asyncio.StreamWriter, str] = {}  # address of each, oldest first
        self._admitted = 0
        self._socket = _bound(host, port)
        self.port = int(self._socket.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and end every connection."""
        with contextlib.suppress(RuntimeError):  # the loop has ended before
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, sock=self._socket, limit=MAX_HEAD)
        )
        self._loop.run_forever()
        server.close()
        for task in (running := list(self._connections)):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*running, return_exceptions=True))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        address = _address(writer)
        self._make_room(address)
        self._strangers[writer] = address
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (
            OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, asyncio.CancelledError,
        ):  # fmt: skip
            pass  # the client, or viser, went away, or we do
        finally:
            self._strangers.pop(writer, None)
            self._connections.discard(task)
            writer.close()

    def _make_room(self, address: str) -> None:
        """Drop the stranger who has waited longest, so that none can keep the owner out."""
        same = [writer for writer, other in self._strangers.items() if other == address]
        everybody = list(self._strangers)
        full = same if len(same) >= MAX_OF_ADDRESS else everybody
        if full is same or len(everybody) >= MAX_STRANGERS:
            self._log(f"dropped a silent connection of {self._strangers.pop(full[0])}")
            full[0].transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            raw = await asyncio.wait_for(reader.readuntil(END), HEAD_TIMEOUT_S)
            head = parse_head(raw)
        except (DataError, asyncio.LimitOverrunError) as error:
            await self._refuse(writer, Verdict(400, str(error)))
            return
        verdict = self._admission.judge(head)
        if verdict.status == 200:
            await self._welcome(writer)
        elif verdict.status:
            await self._refuse(writer, verdict)
        elif self._admitted >= MAX_CONNECTIONS:
            await self._refuse(writer, Verdict(503, "too many connections"))
        else:
            self._strangers.pop(writer, None)
            self._admitted += 1
            try:
                await self._pass_on(head, reader, writer)
            finally:
                self._admitted -= 1

    async def _pass_on(
        self, head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        back, forth = await asyncio.open_unix_connection(str(self._upstream), limit=MAX_HEAD)
        try:
            forth.write(_request(head))
            answer = await asyncio.wait_for(back.readuntil(END), ANSWER_TIMEOUT_S)
            if head.upgrade and answer.startswith(b"HTTP/1.1 101 "):
                writer.write(answer)
                await _both_ways((reader, forth), (back, writer))
                return
            writer.write(answer.removesuffix(b"\r\n") + SAFE_HEADERS.encode() + b"\r\n")
            await _copy(back, writer)
        finally:
            forth.close()

    async def _welcome(self, writer: asyncio.StreamWriter) -> None:
        """Give the cookie, and take the token out of the address and the history.

        By a page that leads on, not by a redirect: followed from another site's link, a
        redirect would not send a cookie that is `SameSite=Strict`.
        """
        cookie = f"Set-Cookie: {self._admission.cookie}; HttpOnly; SameSite=Strict; Path=/\r\n"
        page = '<!doctype html><meta http-equiv="refresh" content="0;url=/"><a href="/">Go on</a>'
        await _answer(writer, 200, page, cookie)

    async def _refuse(self, writer: asyncio.StreamWriter, verdict: Verdict) -> None:
        self.refused += 1
        self._log(f"refused {_address(writer)}: {verdict.reason}")
        text = f"{verdict.status} {HTTPStatus(verdict.status).phrase}: {verdict.reason}"
        await _answer(writer, verdict.status, f"<!doctype html><p>{html.escape(text)}</p>")


def _address(writer: asyncio.StreamWriter) -> str:
    peer = writer.get_extra_info("peername")
    return str(peer[0]) if peer else "somebody"


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error}") from None
    return bound


def _request(head: Head) -> bytes:
    """The request as viser gets it: written anew from what was checked, without cookies."""
    names = (*_PASSED, *(_WEBSOCKET if head.upgrade else ()))
    kept = [f"{name}: {head.get(name)}" for name in names if head.get(name)]
    more = ["Upgrade: websocket", "Connection: Upgrade"] if head.upgrade else ["Connection: close"]
    path = head.target.partition("?")[0]
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *kept, *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _answer(writer: asyncio.StreamWriter, status: int, page: str, more: str = "") -> None:
    body = page.encode()
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n" + SAFE_HEADERS + more + "\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()


async def _both_ways(
    *ways: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Copy until either side ends: then the other has nobody to talk to."""
    tasks = [asyncio.ensure_future(_copy(*way)) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(BLOCK):
        writer.write(block)
        await writer.drain()
