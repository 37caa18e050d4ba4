"""A guard for consumers of Channels.

    class Orders(Guarded, AsyncJsonWebsocketConsumer):
        async def connect(self):
            await self.accept()          # self.live is the token

The socket is closed with 4401 when its token is no longer valid, and with 4503 where that can't be told. With
``keep_issuing``, the token is one of Simple JWT, and ``live`` has the same members as with ``quash_issues``.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, cast

from quash_verify import Live, Verifier, WhenStale
from quash_verify.asgi import GuardMiddleware

from .client import shared_verifier
from .conf import quash_settings

if TYPE_CHECKING:
    from .authentication.site_tokens import SiteToken

__all__ = ["Guarded"]

Scope = MutableMapping[str, Any]


class Guarded:
    """Belongs before ``AsyncConsumer`` or ``SyncConsumer`` in the bases of a consumer."""

    quash_when_stale: WhenStale | None = None
    quash_require: Mapping[str, Any] = {}
    """Claims that must have a value, or be a list that contains it."""

    live: "Live | SiteToken"

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
        token = self.token_from(scope)
        consume = super().__call__  # type: ignore[misc]

        async def inner(guarded: Scope, receive: Callable[[], Awaitable[Any]], send: Any) -> None:
            self.live = guarded["quash"]
            await consume({**scope, "quash": self.live}, receive, send)

        headers = [] if token is None else [(b"authorization", b"Bearer " + token.encode("latin-1", "replace"))]
        guard = GuardMiddleware(inner, _accepted_by(), when_stale=self.quash_when_stale, require=self.quash_require)
        await guard({**scope, "headers": headers}, receive, send)


def _accepted_by() -> Verifier:
    if not quash_settings().keeps_issuing:
        return shared_verifier.verifier()
    from .authentication.site_tokens import SiteVerifier

    return cast(Verifier, SiteVerifier())
