"""A server of the page in a thread, and ways to ask it politely or not."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from softclass.server.app import create_app, limited, listen, make_server
from softclass.server.page import served_page

TOKEN = "t" * 43
SECONDS = 20.0


@contextmanager
def serving(make: Callable[[int], Any]) -> Iterator[int]:
    """Run the application that `make` returns for a port; give the port."""
    with listen(0) as listening:
        port = listening.getsockname()[1]
        server = make_server(limited(make(port), port))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join(timeout=SECONDS)
            assert not thread.is_alive()


@contextmanager
def exploring(explored: Any) -> Iterator[str]:
    """Serve a model, or the demo if there is none; give the address. A bug in an answer fails the test."""
    bugs: list[Exception] = []
    page = served_page("demo" if explored is None else "server")
    token = None if explored is None else TOKEN
    with serving(lambda port: create_app(page, explored, token, bugs.append)) as port:
        yield f"http://127.0.0.1:{port}/explore"
    assert bugs == []


@dataclass(frozen=True)
class Answer:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int, path: str, *, method: str = "GET", body: bytes | None = None, token: str | None = TOKEN,
    headers: Mapping[str, str] | None = None,
) -> Answer:  # fmt: skip
    """Send one request as a page of ours would."""
    every = {"authorization": f"Bearer {token}"} if token is not None else {}
    if body is not None:
        every["content-type"] = "application/json"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(method, path, body=body, headers={**every, **(headers or {})})
        found = connection.getresponse()
        return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
    finally:
        connection.close()


def send(port: int, *pieces: bytes, seconds: float = SECONDS) -> bytes:
    """Send bytes as they are and return all that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # the server has heard enough
            for piece in pieces:
                connection.sendall(piece)
        received = b""
        while more := connection.recv(65536):
            received += more
        return received


def status_of(answer: bytes) -> int:
    """The status of an answer that came as bytes."""
    return int(answer.split(b" ", 2)[1])
