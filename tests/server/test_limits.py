"""Hostile and broken requests: each gets its answer, none a 500, and the server goes on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from made_models import make_images
from served import TOKEN, ask, exploring, send, serving, status_of
from softclass.model.file import open_model
from softclass.model.model import Model
from softclass.server import limits
from softclass.server.app import create_app
from softclass.server.explore import Explored
from softclass.server.limits import MAX_BODY, Deadlines
from softclass.server.page import served_page


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Where a small model is served; when all is done the server must still answer."""
    model = Model(open_model(make_images(1).data), threads=1)
    with exploring(Explored(model, "made", threads=1)) as address:
        found = int(address.rsplit(":", 1)[1].partition("/")[0])
        yield found
        assert ask(found, "/explore/api/model").status == 200


def request(port: int, line: str, *headers: str, body: bytes = b"") -> bytes:
    """A request with exactly these headers, and a right host."""
    lines = [line, f"Host: 127.0.0.1:{port}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


FORWARD = "POST /explore/api/forward HTTP/1.1"
BEARER = f"Authorization: Bearer {TOKEN}"
JSON = "Content-Type: application/json"


@pytest.mark.parametrize(
    ("expected", "headers", "body"),
    [
        (413, [f"Content-Length: {MAX_BODY + 1}"], b""),
        (413, ["Content-Length: 99999999999999999999"], b"x"),
        (400, ["Content-Length: -1"], b""),
        (400, ["Content-Length: +5"], b"12345"),
        (400, ["Content-Length: 5", "Content-Length: 6"], b"12345"),
        (400, ["Content-Length: 5", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
        (415, ["Content-Length: 5", "Content-Encoding: gzip"], b"12345"),
        (431, [f"X-Filler-{n}: x" for n in range(101)], b""),
        (431, ["X-Filler: " + "x" * 40_000], b""),
        (403, ["Connection: Upgrade", "Upgrade: websocket"], b""),
        (403, ["Origin: https://elsewhere.example"], b""),
        (403, ["Origin: null"], b""),
        (403, ["Sec-Fetch-Site: cross-site"], b""),
        (403, ["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate"], b""),
        (415, ["Content-Length: 2", "Content-Type: text/plain"], b"{}"),
        (415, ["Content-Length: 2"], b"{}"),
    ],
    ids=lambda value: value[0][:40] if isinstance(value, list) else None,
)
def test_a_request_is_refused_by_its_head(port: int, expected: int, headers: list[str], body: bytes) -> None:
    answer = send(port, request(port, FORWARD, BEARER, "Connection: close", *headers, body=body))

    assert status_of(answer) == expected


@pytest.mark.parametrize(
    "host",
    ["elsewhere.example", "127.0.0.1", "127.0.0.1:1", "localhost.elsewhere.example:{port}", "[::1]:{port}", ""],
)
def test_a_foreign_host_is_refused(port: int, host: str) -> None:
    answer = ask(port, "/explore", headers={"host": host.format(port=port)})

    assert answer.status == 421


def test_two_hosts_are_refused(port: int) -> None:
    answer = send(port, request(port, "GET /explore HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close"))

    assert status_of(answer) in (400, 421)


def test_endless_chunks_are_cut_at_the_limit(port: int) -> None:
    head = request(port, FORWARD, BEARER, JSON, "Transfer-Encoding: chunked")
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"

    answer = send(port, head, *([chunk] * 40))

    assert status_of(answer) == 413


def test_a_body_that_ends_early_is_no_bug(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request(port, FORWARD, BEARER, JSON, "Content-Length: 1000", body=b'{"image'))

    assert ask(port, "/explore/api/model").status == 200


@pytest.mark.parametrize("line", ["GET", "GET /explore", "\x00\x01\x02", "GET /explore HTTP/9.9", "PRI * HTTP/2.0"])
def test_what_is_no_http_is_refused(port: int, line: str) -> None:
    answer = send(port, line.encode() + b"\r\n\r\n")

    assert status_of(answer) in (400, 421)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/explore", "GET, HEAD"),
        ("PUT", "/explore/api/model", "GET, HEAD"),
        ("DELETE", "/explore/assets/page.js", "GET, HEAD"),
        ("GET", "/explore/api/forward", "POST"),
        ("OPTIONS", "/explore/api/forward", "POST"),
        ("TRACE", "/explore", "GET, HEAD"),
    ],
)
def test_other_methods_are_refused_and_the_right_ones_named(port: int, method: str, path: str, allowed: str) -> None:
    answer = ask(port, path, method=method)

    assert answer.status == 405
    assert sorted(answer.headers["allow"].split(", ")) == sorted(allowed.split(", "))


@pytest.mark.parametrize(
    "path",
    [
        "/explore/assets/..%2f..%2fcli%2fmain.py",
        "/explore/assets/../page.py",
        "/explore/assets/%2e%2e/page.py",
        "/explore/assets/..%5cpage.py",
        "/explore/assets/page.js%00",
        "/explore/assets/",
        "/explore/assets/package.json",
        "/explore/assets/demo/",
        "/explore/api/evaluation/..%2fmodel",
        "/explore/api/evaluation/%F0%9F%92%A9",
        "/explore/",
        "/nothing",
        "//explore",
    ],
)
def test_what_is_not_there_is_not_found(port: int, path: str) -> None:
    assert ask(port, path).status == 404


def test_ranges_are_not_served(port: int) -> None:
    whole = ask(port, "/explore/assets/page.js")

    answer = ask(port, "/explore/assets/page.js", headers={"range": "bytes=0-1," * 500 + "bytes=0-1"})

    assert (answer.status, answer.body) == (200, whole.body)


@pytest.mark.parametrize(
    "given", [None, "", "t", TOKEN[:-1], f"{TOKEN}t", TOKEN.upper(), "\xff" * 43], ids=lambda token: repr(token)[:8]
)
@pytest.mark.parametrize("path", ["model", "weights", "evaluation/x", "columns?x=a&y=b"])
def test_answers_need_the_token(port: int, path: str, given: str | None) -> None:
    answer = ask(port, f"/explore/api/{path}", token=given)

    assert answer.status == 401
    assert TOKEN.encode() not in answer.body


def test_the_token_in_the_address_does_not_count(port: int) -> None:
    assert ask(port, f"/explore/api/model?token={TOKEN}", token=None).status == 401
    assert ask(port, "/explore/api/forward", method="POST", body=b"{}", token=None).status == 401


@pytest.mark.parametrize(
    "path", ["/explore", "/explore/assets/page.js", "/explore/api/model", "/nothing", "/explore/api/x"]
)
def test_every_answer_has_the_safe_headers(port: int, path: str) -> None:
    headers = ask(port, f"/explore{path}").headers

    assert {name: headers[name] for name in limits.SAFE_HEADERS} == limits.SAFE_HEADERS
    assert "server" not in headers


def test_a_refusal_says_code_rule_and_place(port: int) -> None:
    answer = ask(port, "/explore/api/forward", method="POST", body=b"[1,\n 2")

    assert answer.status == 400
    assert answer.json == {
        "error": {"code": "SC222", "message": "the body must be JSON", "where": "line 2, column 3", "hint": ""}
    }


def test_a_connection_serves_several_requests(port: int) -> None:
    once = request(port, "GET /explore/api/model HTTP/1.1", BEARER)
    last = request(port, "GET /explore/api/model HTTP/1.1", BEARER, "Connection: close")

    assert send(port, once + last).count(b"HTTP/1.1 200 OK") == 2


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], 408),
        ([b"GET /explore HTTP/1.1\r\nHost:"], 408),
        ([b"BODY"], 408),
    ],
    ids=["silent", "slow header", "slow body"],
)
def test_who_is_too_slow_is_cut_off(
    port: int, pieces: list[bytes], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Deadlines, "SECONDS", {"header": 0.2, "body": 0.2, "write": 0.2})
    body = request(port, FORWARD, BEARER, JSON, "Content-Length: 100", body=b"{")

    answer = send(port, *[body if piece == b"BODY" else piece for piece in pieces])

    assert status_of(answer) == expected


def test_who_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that is paused for too long is dropped, whatever the size of the buffers of the system."""
    said: list[str] = []

    async def wait() -> None:
        clocks = Deadlines(asyncio.get_running_loop(), said.append)
        clocks.start("write")
        clocks.start("body")
        clocks.stop("body")
        await asyncio.sleep(0.1)

    monkeypatch.setattr(Deadlines, "SECONDS", {"header": 0.01, "body": 0.01, "write": 0.01})
    with ThreadPoolExecutor(1) as pool:  # this thread may have a loop already, that of the browser
        pool.submit(asyncio.run, wait()).result()

    assert said == ["write"]


def test_too_many_connections_are_told_so(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("softclass.server.app.MAX_CONNECTIONS", 2)
    with socket.create_connection(("127.0.0.1", port)), socket.create_connection(("127.0.0.1", port)):
        answers = [send(port) for _ in range(2)]

    assert {status_of(answer) for answer in answers} == {503}


def test_a_bug_in_an_answer_is_told_to_the_terminal_and_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def model(self) -> bytes:
            raise ZeroDivisionError("a secret of the machine")

        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    bugs: list[Exception] = []
    with serving(lambda port: create_app(served_page("server"), Broken(), TOKEN, bugs.append)) as port:
        answer = ask(port, "/explore/api/model")

    assert answer.status == 500
    assert b"secret" not in answer.body
    assert [type(bug) for bug in bugs] == [ZeroDivisionError]


def test_the_key_opens_the_page_with_its_token_once() -> None:
    class Silent:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    page = served_page("server")
    with serving(lambda port: create_app(page, Silent(), TOKEN, lambda error: None, key="k" * 43)) as port:
        paths = ["/explore/open/" + key for key in ("", "x" * 43, "k" * 42, "k" * 43, "k" * 43)]
        answers = [ask(port, path, token=None) for path in paths]

    assert [answer.status for answer in answers] == [404, 404, 404, 303, 404]
    assert answers[3].headers["location"] == f"/explore#token={TOKEN}"
    assert [TOKEN in str(answer) for answer in answers] == [False, False, False, True, False]
