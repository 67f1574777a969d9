# Copyright (c) 2026 lapa_ros contributors
# SPDX-License-Identifier: MIT
"""Who gets to the page: real sockets, a real viser behind the gate."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import viser
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from lapa_core.errors import ConfigError, DataError
from lapa_core.view import gate as gates
from lapa_core.view import token as tokens
from lapa_core.view.admission import GENERATE, Admission, Head, parse_head
from lapa_core.view.page import Page

TOKEN = "a-token-of-enough-characters"
PROTOCOL = f"viser-v{viser.__version__}"
UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """On loopback, without a token."""
    page = Page("test")
    yield page
    page.close()


@pytest.fixture(scope="module")
def guarded() -> Iterator[Page]:
    """On an address that is not 127.0.0.1, with a token."""
    page = Page("test", "127.0.0.2", token=TOKEN)
    yield page
    page.close()


def ask(address: tuple[str, int], raw: str) -> str:
    """Send bytes and read until the other side closes."""
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(raw.encode("latin-1"))
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts).decode("latin-1")


def get(page: Page, path: str = "/", host: str = "", more: str = "") -> str:
    """Answer to a GET."""
    where = page.url.split("/")[2]
    name = where.split(":")[0].replace("localhost", "127.0.0.1")
    head = f"GET {path} HTTP/1.1\r\nHost: {host or where}\r\n{more}\r\n"
    return ask((name, page.gate.port), head)


def status(answer: str) -> int:
    return int(answer.split(" ")[1])


def test_the_page_comes_through_the_gate_and_into_no_frame(page: Page) -> None:
    answer = get(page, "/?anything=1")
    assert status(answer) == 200
    assert "<html" in answer
    assert "X-Frame-Options: DENY" in answer and "frame-ancestors 'none'" in answer


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8080", "10.0.0.7", "", "[::", "localhost."),
        *("evil@localhost", "localhost, evil", "localhost:1, evil", "localhost:", "[localhost]"),
    ],
)
def test_another_name_for_this_computer_is_refused(page: Page, host: str) -> None:
    """DNS rebinding: the page of evil.example asks evil.example, which now is 127.0.0.1."""
    raw = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"
    assert status(ask(("127.0.0.1", page.gate.port), raw)) == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9999", "[::1]:80", "LOCALHOST:1"])
def test_loopback_names_on_any_port_are_let_in(page: Page, host: str) -> None:
    """ssh -L gives the page another port."""
    assert status(get(page, host=host)) == 200


def test_a_websocket_is_for_our_own_page_alone(page: Page) -> None:
    """Cross-site websocket hijacking: browsers let any page open one, and send its Origin."""
    here = f"localhost:{page.gate.port}"
    for origin in ("https://evil.example", "http://localhost:1", "null", None):
        with pytest.raises(InvalidStatus, match="403"):
            connect(f"ws://{here}", origin=origin, subprotocols=[PROTOCOL])
    with connect(f"ws://{here}", origin=f"http://{here}", subprotocols=[PROTOCOL]) as socket:
        assert len(socket.recv(timeout=10)) > 16  # viser's first messages


def listening() -> set[int]:
    """TCP ports that this process listens on."""
    inodes = {
        m[1]
        for f in Path("/proc/self/fd").iterdir()
        if f.is_symlink() and (m := re.fullmatch(r"socket:\[(\d+)\]", str(f.readlink())))
    }
    ports = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                ports.add(int(fields[1].split(":")[1], 16))
    return ports


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="needs Linux' /proc")
def test_nothing_but_the_gate_listens() -> None:
    """viser's own port would be open to every user here, and to pages that try all ports."""
    before = listening()
    page = Page("test")
    try:
        assert listening() - before == {page.gate.port}
        folder = page._folder
        assert folder.stat().st_mode & 0o777 == 0o700
    finally:
        page.close()
    assert not folder.exists()
    assert listening() == before


def test_one_connection_serves_one_request(page: Page) -> None:
    """A second request on the same connection would not have been checked."""
    host = f"localhost:{page.gate.port}"
    good = f"GET /nothing HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n"
    assert ask(("127.0.0.1", page.gate.port), good + good).count("HTTP/1.1") == 1
    half = f"GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n\r\n"  # no upgrade at all
    assert ask(("127.0.0.1", page.gate.port), half + good).count("HTTP/1.1") == 1


def test_a_first_visit_with_the_token_gets_a_cookie(guarded: Page) -> None:
    assert guarded.url.endswith(f"?token={TOKEN}")
    answer = get(guarded, f"/?token={TOKEN}")
    assert status(answer) == 200
    cookie = re.search(r"Set-Cookie: (\S+); HttpOnly; SameSite=Strict", answer)
    assert cookie is not None
    assert TOKEN not in answer, "the token stays out of pages and cookies"
    assert status(get(guarded, more=f"Cookie: other=1; {cookie[1]}\r\n")) == 200
    where = f"127.0.0.2:{guarded.gate.port}"
    headers = {"Cookie": cookie[1]}
    with connect(
        f"ws://{where}",
        origin=f"http://{where}",
        subprotocols=[PROTOCOL],
        additional_headers=headers,
    ) as socket:
        assert len(socket.recv(timeout=10)) > 16


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/", ""),
        ("/?token=", ""),
        (f"/?token={TOKEN}x", ""),
        (f"/?token={TOKEN[:-1]}", ""),
        ("/", "Cookie: lapa_page=1\r\n"),
        (f"/?token={TOKEN}", UPGRADE + "Origin: http://HERE\r\n"),
        ("/", UPGRADE + "Origin: http://HERE\r\n"),
    ],
)
def test_a_missing_or_wrong_token_is_refused(guarded: Page, path: str, more: str) -> None:
    here = f"127.0.0.2:{guarded.gate.port}"
    refused = guarded.gate.refused
    answer = get(guarded, path, more=more.replace("HERE", here))
    assert status(answer) == 403
    assert "<html" not in answer
    assert guarded.gate.refused == refused + 1


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.2", "::", "192.168.1.5"])
def test_another_address_without_a_token_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"needs a token; valid: token:=generate"):
        Page("test", host)


def test_a_token_must_be_long_and_fit_an_address() -> None:
    for bad in ("short", "fifteen-letters", "spaces are not good here"):
        with pytest.raises(ConfigError, match="at least 16"):
            Admission("0.0.0.0", bad)
    made = Admission("0.0.0.0", GENERATE).token
    assert len(made) >= 16 and made != Admission("0.0.0.0", GENERATE).token


def test_an_address_that_is_taken_is_named(page: Page) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{page.gate.port}"):
        Page("test", port=page.gate.port)


@pytest.mark.parametrize(
    "raw",
    [
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n",
        b"GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n Origin: folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nA: b\nOrigin: x\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_heads_that_two_parsers_could_read_differently_are_refused(raw: bytes, page: Page) -> None:
    with pytest.raises(DataError):
        parse_head(raw)
    assert status(ask(("127.0.0.1", page.gate.port), raw.decode("latin-1"))) == 400


def test_other_methods_and_endless_heads_are_refused(page: Page) -> None:
    address = ("127.0.0.1", page.gate.port)
    assert status(ask(address, "DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n")) == 405
    long = "GET / HTTP/1.1\r\nHost: localhost\r\nA: " + 20000 * "a" + "\r\n\r\n"
    with contextlib.suppress(ConnectionResetError):  # closed before all of it was read
        assert status(ask(address, long)) == 400


def test_a_head_is_read_as_it_stands() -> None:
    raw = b"GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket"
    head = parse_head(raw + b"\r\n\r\n")
    assert head == Head(
        "GET",
        "/a?b",
        (("host", "x"), ("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")),
    )
    assert head.upgrade and head.get("origin") == ""


def test_no_page_may_ask_for_a_public_address(page: Page) -> None:
    """viser opens a tunnel to a relay on the internet for any page that asks."""
    from viser import _messages

    handlers = page.server._websock_server._incoming_handlers
    assert _messages.ShareUrlRequest not in handlers
    assert _messages.GuiUpdateMessage in handlers


def test_strangers_cannot_keep_the_owner_out(guarded: Page) -> None:
    """Connections that say nothing, more than there is room for: the oldest of them go."""
    address = ("127.0.0.2", guarded.gate.port)
    with contextlib.ExitStack() as stack:
        for number in range(gates.MAX_CONNECTIONS + gates.MAX_STRANGERS):
            silent = stack.enter_context(socket.create_connection(address, timeout=10))
            silent.sendall(b"GET / HT")
            if number % gates.MAX_STRANGERS == 0:
                assert status(get(guarded, f"/?token={TOKEN}")) == 200
        assert status(get(guarded, f"/?token={TOKEN}")) == 200
        assert len(guarded.gate._strangers) <= gates.MAX_OF_ADDRESS
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(1) == b"", "the newest is dropped too, when its time is over"


def test_those_let_in_have_a_limit_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "MAX_CONNECTIONS", 2)
    page = Page("test")
    here = f"localhost:{page.gate.port}"
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(
                    connect(f"ws://{here}", origin=f"http://{here}", subprotocols=[PROTOCOL])
                )
            assert status(get(page)) == 503
    finally:
        page.close()


def test_a_token_comes_from_a_file_that_nobody_else_can_read(tmp_path: Path) -> None:
    file = tmp_path / "token"
    tokens.write_secret(file, f"{TOKEN}\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert tokens.given("", str(file), {}) == TOKEN
    for mode in (0o640, 0o604):
        file.chmod(mode)
        with pytest.raises(ConfigError, match=f"{mode:04o}.*valid: .*mode 0600"):
            tokens.given("", str(file), {})
    file.chmod(0o600)
    os.truncate(file, 0)
    with pytest.raises(ConfigError, match="empty"):
        tokens.given("", str(file), {})
    with pytest.raises(ConfigError, match=r"token_file .*No such file"):
        tokens.given("", str(tmp_path / "none"), {})


def test_a_token_is_given_in_one_way() -> None:
    variable = {tokens.VARIABLE: TOKEN}
    assert tokens.given("", "", variable) == TOKEN
    assert tokens.given(GENERATE, "", {}) == GENERATE and tokens.given("", "", {}) == ""
    with pytest.raises(ConfigError, match=f"token and {tokens.VARIABLE} are set; valid: one"):
        tokens.given(GENERATE, "", variable)
    assert tokens.exposed(TOKEN) and not tokens.exposed(GENERATE) and not tokens.exposed("")


def test_the_address_with_the_token_is_kept_for_this_user_alone() -> None:
    page = Page("test", token=GENERATE)
    file = page.url_file()
    assert file.read_text().strip() == page.url and page.admission.token in page.url
    assert file.stat().st_mode & 0o777 == 0o600
    assert page.admission.token not in page.address
    page.close()
    assert not file.exists()
