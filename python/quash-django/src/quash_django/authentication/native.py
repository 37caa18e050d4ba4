"""Verifies tokens of Simple JWT with the native verifier, in place of PyJWT and of a question to quash.

This only ever accepts. Wherever the native verifier doesn't accept a token at once, or PyJWT might not, Simple JWT's
own code decides and quash is asked, so every refusal is Simple JWT's.
"""

import base64
import json
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import jwt
from quash_verify import _native
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.settings import api_settings

from ..client import shared_verifier
from ..conf import quash_settings

# The claims that `decode` has returned last, until their token asks quash about them.
_accepted: ContextVar[dict[str, Any] | None] = ContextVar("quash_accepted", default=None)

Names = tuple[str | None, Any, str | None, str | None, Any]


class Backend:
    """A backend of Simple JWT that verifies natively where it can."""

    def __init__(self, backend: TokenBackend) -> None:
        self._backend = backend

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        claims = decode(self._backend, token) if verify else None
        return self._backend.decode(token, verify) if claims is None else claims

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def decode(backend: TokenBackend, token: Any) -> dict[str, Any] | None:
    """Returns the claims of a token that isn't revoked and that PyJWT would accept; None where that isn't certain."""
    key = _key(backend, token) if isinstance(token, str | bytes) else None
    live = None if key is None else shared_verifier.verifier()._accept_now(token, key)
    if live is None:
        return None
    part = (token if isinstance(token, str) else token.decode()).split(".")[1]
    # As PyJWT reads them: the native verifier has another form for some claims.
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if live._names != names(claims) or not _would_accept(backend, claims):
        return None
    _accepted.set(claims)
    return claims


def has_accepted(claims: dict[str, Any]) -> bool:
    """Returns whether `decode` has returned these claims and this is the first question about them."""
    if _accepted.get() is not claims:
        return False
    _accepted.set(None)
    return True


def names(claims: dict[str, Any]) -> Names:
    """Returns the names in a token by which it can be revoked: namespace, session, token, subject and position."""
    found = quash_settings()
    jti = None if api_settings.JTI_CLAIM is None else claims.get(api_settings.JTI_CLAIM)
    subject = claims.get(api_settings.USER_ID_CLAIM)
    return (
        found.namespace,
        claims.get(found.session_claim),
        None if jti is None else str(jti),
        None if subject is None else str(subject),
        claims.get(found.position_claim),
    )


def _would_accept(backend: TokenBackend, claims: dict[str, Any]) -> bool:
    """Returns whether PyJWT accepts these claims, whose types and signature the native verifier has checked."""
    now, leeway = time.time(), 0.0 if backend.leeway is None else backend.get_leeway().total_seconds()
    return (
        int(claims["exp"]) > now - leeway
        and int(claims["iat"]) <= now + leeway
        and int(claims.get("nbf", 0)) <= now + leeway
        and isinstance(claims.get("sub", ""), str)
        and isinstance(claims.get("jti", ""), str)
        and (backend.issuer is None or claims.get("iss") == backend.issuer)
        and (backend.audience is None or not _listed(backend.audience).isdisjoint(_listed(claims.get("aud", ()))))
    )


def _listed(audience: str | Iterable[str]) -> set[str]:
    return {audience} if isinstance(audience, str) else set(audience)


def _key(backend: TokenBackend, token: Any) -> _native.Key | None:
    """Returns the key with which PyJWT would verify a token, for as long as the backend has the same."""
    is_secret = backend.algorithm.startswith("HS")
    if type(backend).get_verifying_key is not TokenBackend.get_verifying_key or not (
        is_secret or backend.jwks_client is None
    ):
        return None
    try:
        prepared = backend.get_verifying_key(token)
        # Another name of the algorithm, which PyJWT doesn't accept.
        if backend.algorithm == "EdDSA" and jwt.get_unverified_header(token)["alg"] != "EdDSA":
            return None
    except (jwt.PyJWTError, TypeError, ValueError, KeyError):
        # Simple JWT's own code reports it.
        return None
    known: tuple[Any, str, _native.Key | None] | None = backend.__dict__.get("_quash_key")
    if known is None or known[0] is not prepared or known[1] != backend.algorithm:
        known = backend.__dict__["_quash_key"] = (prepared, backend.algorithm, _read(backend.algorithm, prepared))
    return known[2]


def _read(algorithm: str, prepared: Any) -> _native.Key | None:
    try:
        if isinstance(prepared, bytes):
            return _native.Key(algorithm, prepared)
        if hasattr(prepared, "public_bytes"):
            from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

            return _native.Key(algorithm, prepared.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    except ValueError:
        # An algorithm or a form of key that only PyJWT knows.
        pass
    return None
