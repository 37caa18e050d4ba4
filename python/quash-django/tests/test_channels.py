"""A consumer of Channels whose socket ends with its token."""

import asyncio
from typing import Any

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.testing import WebsocketCommunicator
from django.core.exceptions import ImproperlyConfigured
from model import Model
from quash_verify.testing import TestIssuer

from quash_django.channels import Guarded

pytestmark = pytest.mark.django_db(transaction=True)


class Echo(Guarded, AsyncWebsocketConsumer):  # type: ignore[misc]
    async def connect(self) -> None:
        await self.accept()
        await self.send(self.live.user_id)


class SyncEcho(Guarded, WebsocketConsumer):  # type: ignore[misc]
    def connect(self) -> None:
        self.accept()
        self.send(self.live.user_id)


class Clerks(Echo):
    quash_require = {"role": "clerk"}


class FromProtocol(Echo):
    def token_from(self, scope: Any) -> str | None:
        return next(iter(scope["subprotocols"]), None)


def socket_of(consumer: Any, token: str | None = None, **more: Any) -> Any:
    headers = [] if token is None else [(b"authorization", f"Bearer {token}".encode())]
    return WebsocketCommunicator(consumer.as_asgi(), "/", headers=headers, **more)


@pytest.mark.parametrize("consumer", [Echo, SyncEcho])
def test_a_socket_is_closed_when_its_token_ends(issuer: TestIssuer, consumer: Any) -> None:
    async def test() -> None:
        token = issuer.token("dana")
        socket = socket_of(consumer, token)
        assert (await socket.connect())[0]
        assert await socket.receive_from() == "dana"
        issuer.revoke_session(token)
        closed = await socket.receive_output(timeout=5)
        assert (closed["type"], closed["code"]) == ("websocket.close", 4401)
        await socket.wait()

    asyncio.run(test())


def test_handshakes_need_a_token(issuer: TestIssuer) -> None:
    async def test() -> None:
        ended = issuer.token("dana")
        issuer.revoke_session(ended)
        for consumer, token in ((Echo, None), (Echo, "a.b.c"), (Echo, ended), (Clerks, issuer.token("dana"))):
            assert not (await socket_of(consumer, token).connect())[0]
        assert (await socket_of(Clerks, issuer.token("dana", role="clerk")).connect())[0]
        assert (await socket_of(FromProtocol, subprotocols=[issuer.token("dana")]).connect())[0]
        assert not (await socket_of(FromProtocol, subprotocols=["é"]).connect())[0]

    asyncio.run(test())


def test_the_other_mode_is_named(shop: Model) -> None:
    with pytest.raises(ImproperlyConfigured, match="quash_issues"):
        asyncio.run(socket_of(Echo, "x").connect())
