"""An in-memory issuer for an application's tests: it issues and revokes tokens without a server. Its clock moves only
when the test moves it. The pytest fixture ``quash_issuer`` gives one to a test."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from . import Verifier, WhenStale, _native

__all__ = ["TestIssuer"]


class TestIssuer(_native.TestIssuer):
    """An in-memory issuer. Its keys follow from a fixed seed: never accept its tokens outside of tests.

    With ``namespace``, its verifiers also ``ask`` and ``revoke`` there. Tokens in it live for a day at most; take their
    times from ``now()``, the issuer's clock. With ``secret``, its verifiers check the access tokens that another system
    signs with it (HS256) instead of the issuer's own; their session and position are named ``qsid`` and ``qsq``.
    """

    # Not a class of tests, although its name begins with Test.
    __test__ = False

    def __init__(self, namespace: str | None = None, secret: str | bytes | None = None) -> None:
        # `__new__` of the native part has read the arguments.
        self._sessions: dict[str, str] = {}

    def verifier(self, *, when_stale: WhenStale = "introspect") -> Verifier:
        """Returns a verifier that sees every revocation at once. It can't ask the issuer, so ``introspect`` denies."""
        return Verifier("https://issuer.test", when_stale=when_stale, _test_issuer=self)

    def token(
        self, subject: object, *, session: str | None = None, lifetime: float = 300.0, **claims: Any
    ) -> str:
        """Issues a token, in a new session unless ``session`` names one. Names of standard claims are ignored."""
        return self.token_with(subject, claims, session=session, lifetime=lifetime)

    def token_with(
        self, subject: object, claims: Mapping[str, Any], *, session: str | None = None, lifetime: float = 300.0
    ) -> str:
        """Like ``token``, for claims whose names aren't names of Python."""
        text, of = self._token(str(subject), session, lifetime, dict(claims))
        self._sessions[text] = of
        return text

    def session(self, token: str) -> str:
        """Returns the session of a token that this issuer has issued."""
        return self._sessions[token]

    def revoke_session(self, token_or_session: str) -> None:
        """Ends a session, named by itself or by one of its tokens: its tokens are refused from now on."""
        self._revoke_session(self._sessions.get(token_or_session, token_or_session))

    def advance(self, span: float | timedelta) -> None:
        """Advances the clock by seconds. Verifiers stay fresh."""
        self._advance(span.total_seconds() if isinstance(span, timedelta) else span)
