"""This site's own access tokens, for work that lasts longer than a request: checked by Simple JWT's own code, and asked
about at quash until they end. The members are those of ``quash_verify``, so its middleware takes either.
"""

import asyncio
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from asgiref.sync import sync_to_async
from quash_verify import Denied, Refused, WhenStale, _native
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import InvalidToken, TokenError

from ..client import shared_verifier
from . import token_checks

AGAIN = 3.0
"""The longest time, in seconds, between two questions about a token: the verifier may have become stale."""


class SiteToken:
    """An access token of Simple JWT that was accepted a moment ago."""

    def __init__(self, claims: dict[str, Any]) -> None:
        self._question = token_checks.question(claims)
        self.claims: Mapping[str, Any] = MappingProxyType(claims)
        self.user_id: str = self._question["subject"] or ""
        self.session: str | None = self._question["session"]
        self.namespace: str | None = self._question["namespace"]
        self.expires_at: int = self._question["expires_at"]

    def says(self, name: str, value: Any) -> bool:
        """Returns whether a claim has this value, or is a list that contains it."""
        return _native.says(self.claims, name, value)

    async def ask(self, when_stale: WhenStale | None) -> None:
        """Asks quash. Raises ``Denied`` if the token isn't accepted any more."""
        await shared_verifier.verifier().aask(**self._question, when_stale=when_stale)
        if self.expires_at <= time.time():
            raise Refused("token_not_valid", "Token is expired")


class SiteVerifier:
    """Checks and watches access tokens of Simple JWT."""

    async def acheck(self, token: str, *, when_stale: WhenStale | None = None) -> SiteToken:
        """Returns the token. Raises ``Denied`` if it isn't accepted."""
        # Simple JWT may fetch a key.
        live = await sync_to_async(_read)(token)
        await live.ask(when_stale)
        return live

    def watch(self, token: str, *, when_stale: WhenStale | None = None) -> "SiteWatch":
        """Checks a token and watches it: use it in ``async with``."""
        return SiteWatch(self, token, when_stale)


class SiteWatch:
    """A token that is watched."""

    def __init__(self, verifier: SiteVerifier, token: str, when_stale: WhenStale | None) -> None:
        self._verifier = verifier
        self._token = token
        self._when_stale = when_stale

    async def __aenter__(self) -> "SiteWatch":
        self.live = await self._verifier.acheck(self._token, when_stale=self._when_stale)
        return self

    async def __aexit__(self, *exception: object) -> None:
        pass

    async def ended(self) -> Denied:
        """Completes once the token is no longer accepted, with the reason."""
        verifier = shared_verifier.verifier()
        while True:
            # Read before the question, so that no entry is missed.
            head = verifier.head()
            try:
                await self.live.ask(self._when_stale)
            except Denied as denied:
                return denied
            wait = min(AGAIN, max(0.0, self.live.expires_at - time.time()))
            if head is None:
                await asyncio.sleep(wait)
            else:
                await verifier.acaught_up(head + 1, wait)


def _read(token: str) -> SiteToken:
    try:
        # The caller asks again about a token that can't be checked now.
        with token_checks.passing_unjudged():
            return SiteToken(JWTAuthentication().get_validated_token(token.encode()).payload)
    except InvalidToken as invalid:
        raise Refused("token_not_valid", str(invalid.detail["detail"])) from invalid  # type: ignore[index,call-overload]
    except TokenError as invalid:
        raise Refused("token_not_valid", str(invalid)) from invalid
