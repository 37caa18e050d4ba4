"""A consumer of Channels whose socket ends with its token."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import User
from quash_verify.testing import TestIssuer
from rest_framework_simplejwt.tokens import AccessToken

from quash_django.apps import guard_keep_issuing, unguard
from quash_django.channels import Guarded
from quash_django.testing import quash_issuer

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


@pytest.fixture
def keeping(settings: Any) -> Iterator[TestIssuer]:
    """A site that keeps issuing its tokens, and asks an in-memory issuer about them."""
    settings.QUASH = {"ISSUER": "https://issuer.test", "CREDENTIAL": "qn_test", "NAMESPACE": "shop"}
    guard_keep_issuing(hook=True)
    try:
        with quash_issuer() as issuer:
            yield issuer
    finally:
        unguard()


def access_of(user: User, **claims: Any) -> AccessToken:
    token = AccessToken.for_user(user)
    token.payload.update(claims)
    return token


async def closed_with(socket: Any) -> int:
    closed = await socket.receive_output(timeout=5)
    await socket.wait()
    assert closed["type"] == "websocket.close"
    return int(closed["code"])


@pytest.mark.parametrize("consumer", [Echo, SyncEcho])
def test_sockets_end_with_the_sites_own_tokens(keeping: TestIssuer, dana: User, consumer: Any) -> None:
    def end_the_session(token: AccessToken) -> None:
        keeping.revoke_named("shop", {"session": token["qsid"]})

    async def test(end: Any, code: int) -> None:
        token, other = access_of(dana), access_of(User(pk=dana.pk + 1))
        socket, others = socket_of(consumer, str(token)), socket_of(consumer, str(other))
        for opened, user in ((socket, dana.pk), (others, dana.pk + 1)):
            assert (await opened.connect())[0]
            assert await opened.receive_from() == str(user)
        end(token)
        assert await closed_with(socket) == code
        if code == 4401:
            assert await others.receive_nothing()
        await others.disconnect()
        assert not (await socket_of(consumer, str(token)).connect())[0]
        keeping.speak()

    asyncio.run(test(end_the_session, 4401))
    asyncio.run(test(lambda token: keeping.revoke_named("shop", {"subject": str(dana.pk)}), 4401))
    asyncio.run(test(lambda token: keeping.fall_silent(), 4503))


def test_handshakes_need_a_token_of_the_site(keeping: TestIssuer, dana: User) -> None:
    async def test() -> None:
        ended, late = access_of(dana), access_of(dana)
        keeping.revoke_named("shop", {"session": ended["qsid"]})
        late.set_exp(lifetime=timedelta(seconds=-1))
        refused = (ended, late, keeping.token(dana.pk), access_of(dana, iat=None), access_of(dana, qsid=5), "a.b.c")
        for token in refused:
            assert not (await socket_of(Echo, str(token)).connect())[0]
        for role, is_open in (("clerk", True), (["guest", "clerk"], True), ("guest", False), (None, False)):
            assert (await socket_of(Clerks, str(access_of(dana, role=role))).connect())[0] is is_open

    asyncio.run(test())


def test_a_consumer_chooses_while_quash_is_away(keeping: TestIssuer, dana: User) -> None:
    class Open(Echo):
        quash_when_stale = "allow"

        async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
            await self.send(f"{text_data}")

    async def test() -> None:
        token = access_of(dana)
        socket = socket_of(Open, str(token))
        assert (await socket.connect())[0] and await socket.receive_from() == str(dana.pk)
        keeping.fall_silent()
        for _ in range(50):
            await socket.send_to("hi")
            assert await socket.receive_from() == "hi"
        assert (await socket_of(Open, str(token)).connect())[0]
        assert not (await socket_of(Echo, str(token)).connect())[0]
        keeping.revoke_named("shop", {"session": token["qsid"]})
        assert await closed_with(socket) == 4401

    asyncio.run(test())


def test_a_socket_ends_when_the_sites_token_expires(keeping: TestIssuer, dana: User) -> None:
    async def test() -> None:
        token = access_of(dana)
        token.set_exp(lifetime=timedelta(seconds=2))
        socket = socket_of(Echo, str(token))
        assert (await socket.connect())[0] and await socket.receive_from() == str(dana.pk)
        assert await closed_with(socket) == 4401

    asyncio.run(test())
