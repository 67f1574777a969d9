# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Which request may come in: decided from its head alone, without a socket.

viser asks nobody who he is. So a page of another origin could open a websocket to a robot on
this computer (browsers allow that), or reach it under its own name (DNS rebinding); and off
loopback anybody in the network could. Against the first two `Host` and `Origin` are checked,
against the third a token, which the first visit turns into a cookie.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from lapa_core.errors import ConfigError, DataError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MIN_TOKEN = 16  # characters
GENERATE = "generate"
_TOKEN = re.compile(r"[A-Za-z0-9_.~-]+")  # what stands in a URL as it is
_METHODS = ("GET", "HEAD")
# A name or an address, and a port; nothing that two readers could take for two names.
_HOST = re.compile(r"([a-z0-9_.-]+|\[([0-9a-f:.]+)\])(:[0-9]{1,5})?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*")
_ONCE = ("host", "origin", "cookie", "upgrade", "connection", "sec-websocket-key")


@dataclass(frozen=True)
class Head:
    """The head of an HTTP request; header names in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Value of a header, or ""."""
        return next((value for key, value in self.headers if key == name), "")

    @property
    def upgrade(self) -> bool:
        """Whether it asks for a websocket."""
        words = [w.strip() for w in self.get("connection").lower().split(",")]
        return self.get("upgrade").lower() == "websocket" and "upgrade" in words


@dataclass(frozen=True)
class Verdict:
    """What becomes of a request.

    Attributes:
        status: 0 passes it on, 200 answers the first visit with the cookie, else refused.
        reason: why it is refused, for the page and the log.
    """

    status: int
    reason: str = ""


def parse_head(raw: bytes) -> Head:
    """Read a request's head, up to and with its empty line.

    Strict, because what is checked here must be what viser understands.

    Raises:
        DataError: not a plain HTTP/1.1 head, a body is announced, or a header that decides
            something stands twice.
    """
    first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or words[2] != b"HTTP/1.1" or not words[1].startswith(b"/"):
        raise DataError("not an HTTP/1.1 request")
    headers = []
    for line in lines:
        match = _HEADER.fullmatch(line)
        if match is None:
            raise DataError("a header line is malformed")
        headers.append((match[1].decode("ascii").lower(), match[2].decode("latin-1")))
    names = [name for name, _ in headers]
    if any(names.count(name) > 1 for name in _ONCE):
        raise DataError(f"one of {', '.join(_ONCE)} stands twice")
    if "transfer-encoding" in names or dict(headers).get("content-length", "0") != "0":
        raise DataError("a request with a body")
    if any(not 0x21 <= byte <= 0x7E for byte in words[1]):
        raise DataError("the address holds characters that are not ASCII")
    return Head(words[0].decode("latin-1"), words[1].decode("ascii"), tuple(headers))


class Admission:
    """Judges requests for one address.

    Attributes:
        token: what the first visit must bring, or "" where none is asked for.
        cookie: `name=value` that the first visit gets; the value is new at every start.
    """

    def __init__(self, host: str, token: str) -> None:
        """Take the address to bind to, and a token, `generate`, or "".

        Raises:
            ConfigError: off loopback without a token, or with one that is easily guessed.
        """
        self.loopback = host in LOOPBACK
        if token == GENERATE:
            token = secrets.token_urlsafe(24)
        if not self.loopback and not token:
            raise ConfigError(
                f"a page on {host} can be reached by others: it needs a token; valid: "
                f"token:={GENERATE}, or a token_file with at least {MIN_TOKEN} characters"
            )
        if token and (len(token) < MIN_TOKEN or not _TOKEN.fullmatch(token)):
            raise ConfigError(
                f"a token of {len(token)} characters; valid: at least {MIN_TOKEN} of the "
                f"letters, digits and -_.~, or {GENERATE}"
            )
        self.token = token
        self._session = secrets.token_urlsafe(32)
        self._name = "lapa_page_" + secrets.token_hex(4)  # other ports' cookies come along too

    @property
    def cookie(self) -> str:
        """`name=value`."""
        return f"{self._name}={self._session}"

    def judge(self, head: Head) -> Verdict:
        """Pass a request on, answer the first visit, or refuse it."""
        if head.method not in _METHODS:
            return Verdict(405, f"{head.method} is not answered here")
        if reason := self._stranger(head):
            return Verdict(403, reason)
        if not self.token or self._has_cookie(head):
            return Verdict(0)
        given = parse_qs(urlsplit(head.target).query).get("token", [""])[0]
        if _same(given, self.token) and not head.upgrade:
            return Verdict(200)
        return Verdict(403, "the token is wrong" if given else "a token is needed: ?token=...")

    def _stranger(self, head: Head) -> str:
        """Why this is no request of our own page, or ""."""
        host, origin = head.get("host").lower(), head.get("origin").lower()
        name = _hostname(host)
        if not name or (self.loopback and name not in LOOPBACK):
            return f"host {host!r} is not this computer"
        if head.upgrade and not origin:
            return "a websocket without an origin"
        if origin and origin not in (f"http://{host}", f"https://{host}"):
            return f"a page of {origin} asks for {host}"
        return ""

    def _has_cookie(self, head: Head) -> bool:
        for part in head.get("cookie").split(";"):
            name, _, value = part.strip().partition("=")
            if name == self._name and _same(value, self._session):
                return True
        return False


def _hostname(host: str) -> str:
    """The name in a Host header in lower case, without port; "" where it is none."""
    match = _HOST.fullmatch(host)
    return (match[2] or match[1]) if match else ""


def _same(given: str, expected: str) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8"))
