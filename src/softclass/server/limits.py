"""What a request may be, checked before anything is read: size, time, and who is asking.

`RequestLimits` is the outermost ASGI layer and answers by itself whatever it refuses. `Deadlines` are the clocks of one
connection: a server on the loopback is still reached by every page that a browser has open.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers: TypeAlias = Iterable[tuple[bytes, bytes]]

MAX_BODY = 16 * 2**20
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 * 2**10
MAX_TARGET_BYTES = 8 * 2**10
MAX_CONNECTIONS = 512
HEADER_SECONDS = 10.0
BODY_SECONDS = 30.0
WRITE_SECONDS = 30.0
LINGER_SECONDS = 1.0

# On every answer: nothing is guessed, kept, framed, or told to another site.
SAFE_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(eq=False)
class Refusal(Exception):
    """A request that is refused: the status of HTTP, the code, the rule and what came.

    Attributes
    ----------
    status : int
        Of HTTP, 400-499.
    code : str
        Of softclass.
    message : str
        The rule that was broken and what came.
    where : str
        The place in the request, such as ``row.bill_length``.
    hint : str
        What to do.
    headers : tuple of (str, str)
        To send along.
    """

    status: int
    code: str
    message: str
    where: str = ""
    hint: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def body(self) -> bytes:
        """Return the JSON object of the answer."""
        facts = {"code": self.code, "message": self.message, "where": self.where, "hint": self.hint}
        return json.dumps({"error": facts}, ensure_ascii=False).encode("utf-8", "backslashreplace")


class RequestLimits:
    """Refuses by its head what may not be read, and counts what is read.

    Parameters
    ----------
    app : ASGI application
        What answers the rest.
    hosts : iterable of str
        The names and ports under which the server may be called; no others, so that no foreign name can be made to
        point here.
    """

    def __init__(self, app: Application, hosts: Iterable[str]) -> None:
        self.app = app
        self.hosts = frozenset(host.encode() for host in hosts)
        self.origins = frozenset(b"http://" + host for host in self.hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        state = _Answer(receive, send)
        try:
            self.check(scope)
        except Refusal as refusal:
            await state.refuse(refusal)
            return
        left = MAX_BODY

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                await state.refuse(_too_large())
                return {"type": "http.disconnect"}
            return message

        await self.app(scope, counted, state.send)

    def check(self, scope: Scope) -> None:
        """Refuse a request by its head alone."""
        given: list[tuple[bytes, bytes]] = list(scope["headers"])
        size = sum(len(name) + len(value) + 4 for name, value in given)
        if len(given) > MAX_HEADERS or size > MAX_HEADER_BYTES or len(scope["raw_path"]) > MAX_TARGET_BYTES:
            raise Refusal(431, "SC221", f"at most {MAX_HEADERS} headers of {MAX_HEADER_BYTES:,} bytes; this has more")
        values: dict[bytes, list[bytes]] = {}
        for name, value in given:
            values.setdefault(name.lower(), []).append(value.strip())
        self._check_asker(values, scope)
        _check_length(values)

    def _check_asker(self, values: dict[bytes, list[bytes]], scope: Scope) -> None:
        """Refuse foreign names, foreign pages, and a change of protocol."""
        if len(values.get(b"host", ())) != 1 or values[b"host"][0].lower() not in self.hosts:
            raise Refusal(421, "SC221", "the host must be this server under its own name; it is another")
        if any(origin not in self.origins for origin in values.get(b"origin", ())):
            raise Refusal(403, "SC221", "the request must come from this page; it comes from another site")
        navigates = values.get(b"sec-fetch-mode") == [b"navigate"] and "/api/" not in scope["path"]
        if any(site not in (b"same-origin", b"none") for site in values.get(b"sec-fetch-site", ())) and not navigates:
            raise Refusal(403, "SC221", "the request must come from this page; it comes from another site")
        if b"upgrade" in values:
            raise Refusal(403, "SC221", "the protocol stays HTTP; another was asked for")


def _check_length(values: dict[bytes, list[bytes]]) -> None:
    """Refuse a body whose length is not clear or too much, before a byte of it is read."""
    lengths = values.get(b"content-length", [])
    if len(lengths) > 1 or (lengths and b"transfer-encoding" in values) or not all(map(bytes.isdigit, lengths)):
        raise Refusal(400, "SC222", "a body has one length, a whole number; this one has another", "Content-Length")
    if lengths and int(lengths[0]) > MAX_BODY:
        raise _too_large()
    if any(encoding.lower() != b"identity" for encoding in values.get(b"content-encoding", ())):
        raise Refusal(415, "SC222", "a body must come as it is, not encoded", "Content-Encoding")


def _too_large() -> Refusal:
    return Refusal(413, "SC223", f"a request may have {MAX_BODY:,} bytes; this one has more")


class _Answer:
    """Lets one answer out: of the application, or a refusal in its place."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._begun = False
        self._refused = False

    async def send(self, message: Message) -> None:
        """Pass on what the application says, unless the request was refused meanwhile."""
        if not self._refused:
            self._begun = True
            await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with a refusal and close the connection.

        A client that is still sending would not see an answer on a connection that is closed in its face, so for a
        moment what it sends is read and thrown away.
        """
        self._refused = True
        if self._begun:
            return
        body = refusal.body()
        headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
        every = [*headers.items(), *SAFE_HEADERS.items(), *refusal.headers]
        raw = [(name.encode("ascii"), value.encode("ascii")) for name, value in every]
        await self._send({"type": "http.response.start", "status": refusal.status, "headers": raw})
        await self._send({"type": "http.response.body", "body": body, "more_body": True})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while (await self._receive()).get("more_body", False):
                    pass
        await self._send({"type": "http.response.body", "body": b""})


def check_token(given: str | None, token: str) -> None:
    """
    Refuse a request that does not bear the token of this server.

    Parameters
    ----------
    given : str or None
        The header ``Authorization``.
    token : str
        What must stand there behind ``Bearer``.

    Raises
    ------
    Refusal
        401.

    Examples
    --------
    >>> check_token("Bearer abc", "abc")
    >>> check_token("Bearer abd", "abc")
    Traceback (most recent call last):
    ...
    softclass.server.limits.Refusal: ...
    """
    wanted = f"Bearer {token}".encode()
    if not hmac.compare_digest((given or "").encode("utf-8", "surrogatepass"), wanted):
        raise Refusal(
            401, "SC221", "the address must bear the token of this server; this one does not",
            hint="Open the page by the address that softclass explore printed",
            headers=(("www-authenticate", "Bearer"),),
        )  # fmt: skip


class Deadlines:
    """The clocks of one connection; each runs until the next event stops it.

    Parameters
    ----------
    loop : event loop
        Whose time counts.
    expire : callable
        Called with what took too long: ``"header"``, ``"body"`` or ``"write"``.
    """

    SECONDS = {"header": HEADER_SECONDS, "body": BODY_SECONDS, "write": WRITE_SECONDS}  # noqa: RUF012 - never changed

    def __init__(self, loop: asyncio.AbstractEventLoop, expire: Callable[[str], None]) -> None:
        self._loop = loop
        self._expire = expire
        self._running: dict[str, asyncio.TimerHandle] = {}

    def start(self, what: str) -> None:
        """Start a clock, unless it runs already."""
        if what not in self._running:
            self._running[what] = self._loop.call_later(self.SECONDS[what], self._expire, what)

    def stop(self, *names: str) -> None:
        """Stop clocks."""
        for what in names:
            handle = self._running.pop(what, None)
            if handle is not None:
                handle.cancel()
