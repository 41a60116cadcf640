"""The application and its server: routes to answers, on the loopback, until somebody stops it."""

from __future__ import annotations

import asyncio
import hmac
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol

from softclass.errors import DataError, MachineError, SoftclassError, TooLargeError, UsageError
from softclass.server.limits import (
    MAX_CONNECTIONS,
    SAFE_HEADERS,
    Application,
    Deadlines,
    Refusal,
    RequestLimits,
    check_token,
)
from softclass.server.page import ASSETS, Page, assets

HOST = "127.0.0.1"
API = "/explore/api/"
OPEN = "/explore/open/"
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Answers(Protocol):
    """What the routes of a model ask; each answer is JSON as bytes."""

    def model(self) -> bytes:
        """Facts of the model."""

    def weights(self) -> bytes:
        """Its weights."""

    def evaluation(self, name: str) -> bytes:
        """Rows of known class with what the model says."""

    def columns(self, x: str, y: str) -> bytes:
        """Two columns of numbers."""

    def forward(self, body: bytes) -> bytes:
        """All activations for one image or row."""


def create_app(
    page: Page, answers: Answers | None, token: str | None, tell: Callable[[Exception], None], *, key: str | None = None
) -> Starlette:
    """
    Return the application without its limits.

    Parameters
    ----------
    page : Page
        As it is served.
    answers : Answers or None
        Of a model; None for the demo, which needs none.
    token : str or None
        What a request for the answers must bear.
    tell : callable
        Gets an exception that nobody expected: a bug.
    key : str, optional
        What opens the page with its token, once: the address that a browser is started with can be read by every user
        of the machine, so the token does not stand in it.

    Returns
    -------
    Starlette
        The routes of the page.

    Examples
    --------
    >>> app = create_app(Page("<html>", "default-src 'none'"), None, None, print)
    >>> [route.path for route in app.routes]
    ['/', '/explore', '/explore/assets/{name:path}']
    """

    async def first(request: Request) -> Response:
        return RedirectResponse("/explore", status_code=307, headers=SAFE_HEADERS)

    async def whole(request: Request) -> Response:
        headers = {**SAFE_HEADERS, "content-security-policy": page.policy}
        return Response(page.text, headers=headers, media_type="text/html; charset=utf-8")

    async def asset(request: Request) -> Response:
        found = assets().get(request.path_params["name"])
        if found is None:
            raise HTTPException(404)
        return Response(found.content, headers=SAFE_HEADERS, media_type=found.type)

    routes = [Route("/", first), Route("/explore", whole), Route(f"{ASSETS}{{name:path}}", asset)]
    if answers is not None:
        routes += _routes(answers, token or "")
    if key is not None:
        routes.append(Route(f"{OPEN}{{key}}", _opening(key, token or "")))

    async def refused(request: Request, error: Exception) -> Response:
        return _refusal_response(_as_refusal(error, tell))

    kinds: Sequence[type[Exception]] = (HTTPException, Refusal, SoftclassError, ClientDisconnect)
    app = Starlette(routes=routes, exception_handlers=dict.fromkeys([*kinds, Exception], refused))
    app.router.redirect_slashes = False
    return app


def _opening(key: str, token: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that leads to the page with its token, for the first who has the key."""
    left = [key]

    async def endpoint(request: Request) -> Response:
        if not left or not hmac.compare_digest(request.path_params["key"].encode(), left[0].encode()):
            raise HTTPException(404)
        left.clear()
        return RedirectResponse(f"/explore#token={token}", status_code=303, headers=SAFE_HEADERS)

    return endpoint


def _routes(answers: Answers, token: str) -> list[Route]:
    """The routes of a model; each first looks at the token, then works in a thread of its own."""

    def guarded(answer: Callable[[Request], Awaitable[bytes]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            check_token(request.headers.get("authorization"), token)
            return Response(await answer(request), headers=SAFE_HEADERS, media_type="application/json")

        return endpoint

    async def model(request: Request) -> bytes:
        return await run_in_threadpool(answers.model)

    async def weights(request: Request) -> bytes:
        return await run_in_threadpool(answers.weights)

    async def evaluation(request: Request) -> bytes:
        return await run_in_threadpool(answers.evaluation, request.path_params["name"])

    async def columns(request: Request) -> bytes:
        asked = {name: request.query_params.getlist(name) for name in ("x", "y")}
        if set(request.query_params) != {"x", "y"} or any(len(given) != 1 for given in asked.values()):
            raise Refusal(400, "SC222", "x and y name one column each; nothing else is asked", "the query")
        return await run_in_threadpool(answers.columns, asked["x"][0], asked["y"][0])

    async def forward(request: Request) -> bytes:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refusal(415, "SC222", "the body must be application/json; it is another type", "Content-Type")
        return await run_in_threadpool(answers.forward, await request.body())

    return [
        Route(f"{API}model", guarded(model)),
        Route(f"{API}weights", guarded(weights)),
        Route(f"{API}evaluation/{{name:path}}", guarded(evaluation)),
        Route(f"{API}columns", guarded(columns)),
        Route(f"{API}forward", guarded(forward), methods=["POST"]),
    ]


def _as_refusal(error: Exception, tell: Callable[[Exception], None]) -> Refusal:
    """Return the answer to a failure; what a user's input cannot cause is told to the terminal."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HTTPException):
        rule = {404: "there is nothing at this address", 405: "this address takes another method"}
        headers = tuple((name.lower(), value) for name, value in (error.headers or {}).items())
        return Refusal(
            error.status_code, "SC221", rule.get(error.status_code, "the request is refused"), "", "", headers
        )
    if isinstance(error, TooLargeError):
        return Refusal(413, error.code, error.message, error.where, error.hint)
    if isinstance(error, DataError | UsageError):
        return Refusal(422, error.code, error.message, error.where, error.hint)
    if isinstance(error, ClientDisconnect):
        return Refusal(400, "SC222", "the body must be whole; it ended early")
    tell(error)
    return Refusal(500, "SC100", "a bug in softclass; the terminal says more")


def _refusal_response(refusal: Refusal) -> Response:
    headers = {**SAFE_HEADERS, **dict(refusal.headers)}
    return Response(refusal.body(), status_code=refusal.status, headers=headers, media_type="application/json")


class DeadlineProtocol(H11Protocol):
    """HTTP/1.1 in which nothing may take for ever: a header, a body, or the reading of an answer."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin a connection, unless there are too many."""
        super().connection_made(transport)
        self.deadlines = Deadlines(self.loop, self._expired)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.write(BUSY)
            transport.close()
            return
        self.deadlines.start("header")

    def connection_lost(self, exc: Exception | None) -> None:
        """End a connection and its clocks."""
        self.deadlines.stop("header", "body", "write")
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes; the clock of the header runs from the first one of a request."""
        if self.transport.is_closing():
            return
        self.deadlines.start("header")
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """Close where the client is still sending what nobody reads; else wait for the next request."""
        super().on_response_complete()
        if self.conn.their_state.__name__ == "SEND_BODY" and not self.transport.is_closing():
            self.transport.close()
        self._follow()

    def pause_writing(self) -> None:
        """Start the clock of a reader who does not read."""
        super().pause_writing()
        self.deadlines.start("write")

    def resume_writing(self) -> None:
        """Stop it again."""
        super().resume_writing()
        self.deadlines.stop("write")

    def _follow(self) -> None:
        """Run the clock of what is awaited: the rest of a header, the rest of a body, or none."""
        state = self.conn.their_state.__name__
        if state != "IDLE" or not self.conn.trailing_data[0]:
            self.deadlines.stop("header")
        if state == "SEND_BODY":
            self.deadlines.start("body")
        else:
            self.deadlines.stop("body")

    def _expired(self, what: str) -> None:
        if self.transport.is_closing():
            return
        if what == "write":
            self.transport.abort()
            return
        if self.conn.our_state.__name__ in ("IDLE", "SEND_RESPONSE"):
            self.transport.write(TOO_SLOW)
        self.transport.close()


class Server(uvicorn.Server):
    """A server that a signal stops in good order, once; the signal goes no further."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on a signal instead of handing it on; nothing to catch outside of the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        known = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {number: signal.signal(number, self.handle_exit) for number in known}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(port: int) -> socket.socket:
    """
    Return a socket that listens on the loopback.

    Parameters
    ----------
    port : int
        0 for one that is free.

    Raises
    ------
    UsageError, MachineError
        SC207, if there is no such port; SC609, if it cannot be had.

    Examples
    --------
    >>> with listen(0) as found:
    ...     found.getsockname()[0]
    '127.0.0.1'
    """
    if not 0 <= port <= 65535:
        raise UsageError("SC207", f"--port must be 0 to 65535; got {port}", where="softclass explore")
    try:
        return socket.create_server((HOST, port), backlog=128)
    except OSError as error:
        what = error.strerror or "the machine refuses it"
        raise MachineError(
            "SC609", f"port {port} of the loopback cannot be had; {what}", where="softclass explore",
            hint="Pass --port 0 for one that is free",
        ) from error  # fmt: skip


def limited(app: Application, port: int) -> RequestLimits:
    """
    Put the limits before an application that answers on a port of the loopback.

    Examples
    --------
    >>> sorted(limited(create_app(Page("", ""), None, None, print), 8000).hosts)
    [b'127.0.0.1:8000', b'localhost:8000']
    """
    return RequestLimits(app, [f"{HOST}:{port}", f"localhost:{port}"])


def make_server(app: Any) -> Server:
    """Return a server for an application; it prints nothing and keeps no log."""
    return Server(
        uvicorn.Config(
            app, http=DeadlineProtocol, ws="none", lifespan="off", loop="asyncio", log_config=None,
            log_level="critical", access_log=False, server_header=False, timeout_keep_alive=5,
            timeout_graceful_shutdown=3,
        )
    )  # fmt: skip
