"""An ASGI middleware that passes on only requests and sockets with a valid token."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AsyncExitStack
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeAlias

from . import Denied, Live, Refused, Verifier, Watch, WhenStale
from ._web import Rejection, admit, token_of

__all__ = ["GuardMiddleware"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApp: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

# Close codes of WebSockets, in the range for applications (RFC 6455 7.4.2).
REFUSED = 4401
UNAVAILABLE = 4503


class GuardMiddleware:
    """Checks each request's token; the application finds it in ``scope["quash"]`` (None where it is optional).

    ``require`` names claims that must have a value, or be a list that contains it. ``cookie`` names a cookie that may
    carry the token. A WebSocket whose token is no longer valid is closed with 4401, and with 4503 where that can't be
    told, unless ``close_sockets`` is false.
    """

    def __init__(
        self,
        app: ASGIApp,
        verifier: Verifier,
        *,
        optional: bool = False,
        when_stale: WhenStale | None = None,
        require: Mapping[str, Any] = {},
        cookie: str | None = None,
        close_sockets: bool = True,
    ) -> None:
        self.app = app
        self._verifier = verifier
        self._optional = optional
        self._when_stale = when_stale
        self._require = dict(require)
        self._cookie = cookie
        self._close_sockets = close_sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        try:
            token = self._token(scope["headers"])
            live = None if token is None else await self._check(token)
        except Rejection as rejection:
            await (_answer if scope["type"] == "http" else _refuse_handshake)(rejection, scope, receive, send)
            return
        scope["quash"] = live
        if token is None or scope["type"] == "http" or not self._close_sockets:
            await self.app(scope, receive, send)
        else:
            await self._serve_socket(token, scope, receive, send)

    def _token(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        headers = list(headers)
        authorization = [value for name, value in headers if name.lower() == b"authorization"]
        cookie = _cookie(headers, self._cookie) if self._cookie else None
        return token_of(authorization, cookie, optional=self._optional)

    async def _check(self, token: str) -> Live:
        try:
            live = await self._verifier.acheck(token, when_stale=self._when_stale)
        except Denied as denied:
            raise Rejection.of(denied) from denied
        return admit(live, self._require)

    async def _serve_socket(self, token: str, scope: Scope, receive: Receive, send: Send) -> None:
        async with AsyncExitStack() as stack:
            try:
                watch = await stack.enter_async_context(self._verifier.watch(token, when_stale=self._when_stale))
            except Denied as denied:
                # The token has ended since it was checked.
                await _refuse_handshake(Rejection.of(denied), scope, receive, send)
                return
            await _Socket(self.app, watch).serve(scope, receive, send)


class _Socket:
    """One WebSocket, whose application ends when its token does."""

    def __init__(self, app: ASGIApp, watch: Watch) -> None:
        self._app = app
        self._watch = watch
        self._is_closed = False

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        ended = asyncio.ensure_future(self._watch.ended())
        events: set[asyncio.Future[Any]] = set()

        async def receive_or_end() -> Message:
            """Tells the application that the client left, once its token isn't accepted."""
            event = asyncio.ensure_future(receive())
            events.add(event)
            event.add_done_callback(events.discard)
            await asyncio.wait({event, ended}, return_when=asyncio.FIRST_COMPLETED)
            if event.done():
                return event.result()
            event.cancel()
            await self._close(ended.result(), send)
            return {"type": "websocket.disconnect", "code": _close_code(ended.result())}

        async def send_unless_closed(message: Message) -> None:
            if self._is_closed:
                return
            if message["type"] == "websocket.close":
                self._is_closed = True
            await send(message)

        application = asyncio.ensure_future(self._app(scope, receive_or_end, send_unless_closed))
        try:
            await asyncio.wait({application, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not application.done():
                await self._close(ended.result(), send)
            await application
        finally:
            for future in (ended, application, *events):
                future.cancel()

    async def _close(self, denied: Denied, send: Send) -> None:
        if not self._is_closed:
            self._is_closed = True
            await send({"type": "websocket.close", "code": _close_code(denied), "reason": denied.detail})


def _close_code(denied: Denied) -> int:
    return REFUSED if isinstance(denied, Refused) else UNAVAILABLE


def _cookie(headers: Iterable[tuple[bytes, bytes]], name: str) -> str | None:
    cookies: SimpleCookie = SimpleCookie()
    for header, value in headers:
        if header.lower() == b"cookie":
            try:
                cookies.load(value.decode("latin-1"))
            except CookieError:
                continue
    return cookies[name].value if name in cookies else None


async def _answer(rejection: Rejection, scope: Scope, receive: Receive, send: Send) -> None:
    headers = [(name.encode(), value.encode()) for name, value in rejection.headers]
    headers.append((b"content-length", str(len(rejection.body)).encode()))
    await send({"type": "http.response.start", "status": rejection.status, "headers": headers})
    await send({"type": "http.response.body", "body": rejection.body})


async def _refuse_handshake(rejection: Rejection, scope: Scope, receive: Receive, send: Send) -> None:
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    if "websocket.http.response" in scope.get("extensions", {}):
        headers = [(name.encode(), value.encode()) for name, value in rejection.headers]
        headers.append((b"content-length", str(len(rejection.body)).encode()))
        start = {"type": "websocket.http.response.start", "status": rejection.status, "headers": headers}
        await send(start)
        await send({"type": "websocket.http.response.body", "body": rejection.body})
    else:
        # The server answers 403.
        await send({"type": "websocket.close", "code": REFUSED if rejection.status == 401 else UNAVAILABLE})
