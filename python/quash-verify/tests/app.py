"""The application of the servers under test: says which process answers, and whether it accepts the token."""

import json
import os
from typing import Any

from quash_verify import Refused, Unavailable, Verifier
from quash_verify.asgi import GuardMiddleware

verifier = Verifier(os.environ["QUASH_URL"])
if os.environ.get("WARM"):
    # As an application that doesn't know the rules: the master of the workers follows the issuer.
    verifier.warm()


def answer(live: Any) -> bytes:
    metrics = verifier.metrics()
    return json.dumps({"pid": os.getpid(), "instance": metrics.instance, "user": live and live.user_id}).encode()


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    pid = [("X-Pid", str(os.getpid()))]
    if environ["PATH_INFO"] == "/alive":
        start_response("200 OK", pid)
        return [b"alive"]
    try:
        live = verifier.check(environ.get("HTTP_AUTHORIZATION", "").removeprefix("Bearer "))
    except Refused:
        start_response("401 Unauthorized", pid)
        return [b""]
    except Unavailable:
        start_response("503 Service Unavailable", pid)
        return [b""]
    start_response("200 OK", pid)
    return [answer(live)]


async def inner(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["quash"].user_id})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        return
    body = b"alive" if scope["path"] == "/alive" else answer(scope["quash"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


guarded = GuardMiddleware(inner, verifier)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    async def send_with_pid(message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"x-pid", str(os.getpid()).encode())]
        await send(message)

    if scope["type"] == "lifespan" or scope.get("path") == "/alive":
        await inner(scope, receive, send_with_pid)
    else:
        await guarded(scope, receive, send_with_pid)
