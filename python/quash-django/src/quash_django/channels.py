"""A guard for consumers of Channels, in the mode ``quash_issues``.

    class Orders(Guarded, AsyncJsonWebsocketConsumer):
        async def connect(self):
            await self.accept()          # self.live is the token

The socket is closed with 4401 when its token is no longer valid, and with 4503 where that can't be told.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from quash_verify import Live, WhenStale
from quash_verify.asgi import GuardMiddleware

from . import _verifier
from .conf import quash_settings

__all__ = ["Guarded"]

Scope = MutableMapping[str, Any]


class Guarded:
    """Belongs before ``AsyncConsumer`` or ``SyncConsumer`` in the bases of a consumer."""

    quash_when_stale: WhenStale | None = None
    quash_require: Mapping[str, Any] = {}
    """Claims that must have a value, or be a list that contains it."""

    live: Live

    def token_from(self, scope: Scope) -> str | None:
        """Returns the token of a handshake, from its header. Override it for a cookie or a subprotocol."""
        for name, value in scope["headers"]:
            if name.lower() == b"authorization":
                scheme, _, token = value.decode("latin-1").partition(" ")
                return token.strip() if scheme.lower() == "bearer" else None
        return None

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if quash_settings().keeps_issuing:
            raise ImproperlyConfigured(
                "quash_django.channels.Guarded needs QUASH['MODE'] = 'quash_issues': "
                "tokens of Simple JWT can't be watched"
            )
        token = self.token_from(scope)
        consume = super().__call__  # type: ignore[misc]

        async def inner(guarded: Scope, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
            self.live = guarded["quash"]
            await consume({**scope, "quash": self.live}, receive, send)

        headers = [] if token is None else [(b"authorization", b"Bearer " + token.encode("latin-1", "replace"))]
        guard = GuardMiddleware(
            inner, _verifier.verifier(), when_stale=self.quash_when_stale, require=self.quash_require
        )
        await guard({**scope, "headers": headers}, receive, send)
