"""The middlewares, against the in-memory issuer: their answers are those of the Rust layer."""

import asyncio
import json
from typing import Annotated, Any

import pytest

from quash_verify import Live, Verifier, Watch, WhenStale
from quash_verify.asgi import GuardMiddleware
from quash_verify.testing import TestIssuer

REFUSED = {
    "type": "/docs/errors/token_not_valid",
    "title": "Token not valid",
    "status": 401,
    "detail": "Token is blacklisted",
    "code": "token_not_valid",
}
HEADERS = {
    "content-type": "application/problem+json",
    "cache-control": "no-store",
    "pragma": "no-cache",
    "www-authenticate": 'Bearer realm="api"',
}


def cases(issuer: TestIssuer) -> list[tuple[dict[str, str], int, str]]:
    """Returns requests' headers, and the status and the code of each answer."""
    ended = issuer.token("dana", role="clerk")
    issuer.revoke_session(ended)
    return [
        ({"Authorization": f"Bearer {issuer.token('dana', role='clerk')}"}, 200, ""),
        ({"authorization": f"bearer {issuer.token('dana', role=['a', 'clerk'])}"}, 200, ""),
        ({"Authorization": f"Bearer {issuer.token('dana')}"}, 403, "claim_missing"),
        ({"Authorization": f"Bearer {ended}"}, 401, "token_not_valid"),
        ({"Authorization": "Bearer a.b.c"}, 401, "token_not_valid"),
        ({"Authorization": "Bearer \xe9"}, 401, "token_not_valid"),
        ({"Authorization": "Bearer a b"}, 401, "bad_authorization_header"),
        ({"Authorization": "Bearer"}, 401, "bad_authorization_header"),
        ({"Authorization": "Basic abc"}, 401, "not_authenticated"),
        ({}, 401, "not_authenticated"),
    ]


def check(status: int, code: str, got: tuple[int, dict[str, str], bytes]) -> None:
    got_status, headers, body = got
    assert got_status == status, (code, got)
    if code:
        problem = json.loads(body)
        assert (problem["code"], problem["status"]) == (code, status)
        assert headers["content-type"] == "application/problem+json"
        assert ("www-authenticate" in headers) == (status in (401, 403))


async def request(app: Any, headers: dict[str, str], path: str = "/") -> tuple[int, dict[str, str], bytes]:
    """Sends a request to an ASGI application."""
    sent: list[Any] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    answered = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:])


async def app(scope: Any, receive: Any, send: Any) -> None:
    live = scope["quash"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": (live.user_id if live else "-").encode()})


def test_asgi_requests(quash_issuer: TestIssuer) -> None:
    guarded = GuardMiddleware(app, quash_issuer.verifier(), require={"role": "clerk"})
    for headers, status, code in cases(quash_issuer):
        check(status, code, asyncio.run(request(guarded, headers)))


def test_a_refusal_is_the_problem_of_the_rust_layer(quash_issuer: TestIssuer) -> None:
    token = quash_issuer.token("dana")
    quash_issuer.revoke_session(token)
    guarded = GuardMiddleware(app, quash_issuer.verifier())
    status, headers, body = asyncio.run(request(guarded, {"Authorization": f"Bearer {token}"}))
    assert (status, json.loads(body)) == (401, REFUSED)
    assert headers == {**HEADERS, "content-length": str(len(body))}
    quash_issuer.fall_silent()
    token = quash_issuer.token("dana")
    status, headers, _ = asyncio.run(request(guarded, {"Authorization": f"Bearer {token}"}))
    assert (status, headers["retry-after"]) == (503, "1") and "www-authenticate" not in headers


def test_an_optional_token_may_be_absent_but_not_invalid(quash_issuer: TestIssuer) -> None:
    guarded = GuardMiddleware(app, quash_issuer.verifier(), optional=True)
    assert asyncio.run(request(guarded, {}))[::2] == (200, b"-")
    assert asyncio.run(request(guarded, {"Authorization": "Bearer x"}))[0] == 401


def test_a_cookie_may_carry_the_token(quash_issuer: TestIssuer) -> None:
    token = quash_issuer.token("dana")
    guarded = GuardMiddleware(app, quash_issuer.verifier(), cookie="access")
    assert asyncio.run(request(guarded, {"Cookie": f"a=b; access={token}"}))[::2] == (200, b"dana")
    assert asyncio.run(request(guarded, {"Cookie": "a=b"}))[0] == 401
    # A header that isn't a token doesn't fall back to the cookie.
    both = {"Cookie": f"access={token}", "Authorization": "Bearer a b"}
    assert asyncio.run(request(guarded, both))[0] == 401


class Socket:
    """A WebSocket's client."""

    def __init__(self, app: Any, token: str | None, **scope: Any) -> None:
        headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
        self.events: asyncio.Queue[Any] = asyncio.Queue()
        self.sent: asyncio.Queue[Any] = asyncio.Queue()
        self.events.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": "/", "headers": headers, **scope}
        self.task = asyncio.ensure_future(app(scope, self.events.get, self.sent.put))

    async def next(self) -> Any:
        return await asyncio.wait_for(self.sent.get(), 5)


async def echo(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": f"{scope['quash'].user_id}: {event['text']}"})
    scope["state"].append(event)


def test_a_socket_is_closed_when_its_token_ends(quash_issuer: TestIssuer) -> None:
    async def main(end: Any, code: int) -> None:
        state: list[Any] = []
        token = quash_issuer.token("dana")
        socket = Socket(GuardMiddleware(echo, quash_issuer.verifier()), token, state=state)
        assert (await socket.next())["type"] == "websocket.accept"
        await socket.events.put({"type": "websocket.receive", "text": "hi"})
        assert (await socket.next())["text"] == "dana: hi"
        end(token)
        closed = await socket.next()
        assert (closed["type"], closed["code"]) == ("websocket.close", code)
        await asyncio.wait_for(socket.task, 5)
        # The application sees a client that has left.
        assert state == [{"type": "websocket.disconnect", "code": code}]

    asyncio.run(main(quash_issuer.revoke_session, 4401))
    asyncio.run(main(lambda _: quash_issuer.advance(301), 4401))
    asyncio.run(main(lambda _: quash_issuer.fall_silent(), 4503))


def test_a_socket_whose_client_leaves_is_left_alone(quash_issuer: TestIssuer) -> None:
    async def main() -> None:
        state: list[Any] = []
        socket = Socket(GuardMiddleware(echo, quash_issuer.verifier()), quash_issuer.token("dana"), state=state)
        await socket.next()
        await socket.events.put({"type": "websocket.disconnect", "code": 1001})
        await asyncio.wait_for(socket.task, 5)
        assert state == [{"type": "websocket.disconnect", "code": 1001}] and socket.sent.empty()

    asyncio.run(main())


def test_a_handshake_without_a_valid_token_is_refused(quash_issuer: TestIssuer) -> None:
    async def main() -> None:
        guarded = GuardMiddleware(echo, quash_issuer.verifier())
        socket = Socket(guarded, "a.b.c")
        assert await socket.next() == {"type": "websocket.close", "code": 4401}
        socket = Socket(guarded, None, extensions={"websocket.http.response": {}})
        start, body = await socket.next(), await socket.next()
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 401)
        assert json.loads(body["body"])["code"] == "not_authenticated"

    asyncio.run(main())


def test_a_token_that_ends_during_the_handshake_is_refused(quash_issuer: TestIssuer) -> None:
    class Late(Verifier):
        def watch(self, token: str | bytes, *, when_stale: WhenStale | None = None) -> Watch:
            quash_issuer.revoke_session(str(token))
            return super().watch(token, when_stale=when_stale)

    async def main() -> None:
        verifier = Late("https://issuer.test", _test_issuer=quash_issuer)
        socket = Socket(GuardMiddleware(echo, verifier), quash_issuer.token("dana"), state=[])
        assert await socket.next() == {"type": "websocket.close", "code": 4401}
        await asyncio.wait_for(socket.task, 5)

    asyncio.run(main())


def test_open_sockets_follow_the_policy_of_their_guard(quash_issuer: TestIssuer) -> None:
    async def main(verifier: Verifier, when_stale: WhenStale, is_open: bool) -> None:
        guarded = GuardMiddleware(echo, verifier, when_stale=when_stale)
        socket = Socket(guarded, quash_issuer.token("dana"), state=[])
        assert (await socket.next())["type"] == "websocket.accept"
        quash_issuer.fall_silent()
        if is_open:
            for _ in range(50):
                await socket.events.put({"type": "websocket.receive", "text": "hi"})
                assert (await socket.next())["text"] == "dana: hi"
            await socket.events.put({"type": "websocket.disconnect", "code": 1001})
        else:
            assert (await socket.next())["code"] == 4503
        await asyncio.wait_for(socket.task, 5)
        quash_issuer.speak()

    asyncio.run(main(quash_issuer.verifier(when_stale="deny"), "allow", True))
    asyncio.run(main(quash_issuer.verifier(when_stale="allow"), "deny", False))


def test_an_error_of_the_application_reaches_the_server(quash_issuer: TestIssuer) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        socket = Socket(GuardMiddleware(broken, quash_issuer.verifier()), quash_issuer.token("dana"))
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(socket.task, 5)

    asyncio.run(main())


def test_fastapi(quash_issuer: TestIssuer) -> None:
    pytest.importorskip("fastapi")
    import fastapi

    from quash_verify.fastapi import guard

    verifier: Verifier = quash_issuer.verifier()
    application = fastapi.FastAPI()
    Clerk = Annotated[Live, fastapi.Depends(guard(verifier, require={"role": "clerk"}))]
    Anyone = Annotated[Live | None, fastapi.Depends(guard(verifier, optional=True))]

    @application.get("/")
    async def orders(caller: Clerk) -> str:
        return caller.user_id

    @application.get("/open")
    async def open_to_all(caller: Anyone) -> str:
        return caller.user_id if caller else "-"

    for headers, status, code in cases(quash_issuer):
        check(status, code, asyncio.run(request(application, headers)))
    assert asyncio.run(request(application, {}, "/open"))[::2] == (200, b'"-"')
    assert asyncio.run(request(application, {"Authorization": "Bearer x"}, "/open"))[0] == 401


def test_flask(quash_issuer: TestIssuer) -> None:
    pytest.importorskip("flask")
    import flask

    from quash_verify.flask import guarded

    application = flask.Flask("test")

    @application.get("/")
    @guarded(quash_issuer.verifier(), require={"role": "clerk"})
    def orders() -> str:
        return str(flask.g.quash.user_id)

    client = application.test_client()
    for headers, status, code in cases(quash_issuer):
        answer = client.get("/", headers=headers)
        names = {name.lower(): value for name, value in answer.headers.items()}
        check(status, code, (answer.status_code, names, answer.data))
