"""Asks quash about tokens that Simple JWT has verified, and ends the sessions of refresh tokens that are refused."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import jwt
from django.utils.translation import gettext as _
from quash_verify import QuashError, Refused, Unavailable
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken, TokenError
from rest_framework_simplejwt.settings import api_settings

from ..changes.current_request import has_ended, is_rotating
from ..changes.endings import end_session_at_once
from ..client import shared_verifier
from ..conf import quash_settings
from ..exceptions import VerifierUnavailable
from . import native, unjudged

_passes_unjudged: ContextVar[bool] = ContextVar("quash_passes_unjudged", default=False)


@contextmanager
def passing_unjudged() -> Iterator[None]:
    """Lets tokens pass that can't be judged now: a user must be able to log out while quash is unavailable."""
    former = _passes_unjudged.set(True)
    try:
        yield
    finally:
        _passes_unjudged.reset(former)


def verify(token: tokens.Token) -> None:
    """Asks quash about a token that Simple JWT has verified. Raises ``TokenError`` if it was revoked."""
    claims = token.payload
    if native.has_accepted(claims):
        return
    asked = question(claims)
    if has_ended("session", asked["session"]) or has_ended("token", asked["token"]):
        return
    try:
        shared_verifier.verifier().ask(**asked)
    except Refused as refused:
        _end_spent(token)
        raise TokenError(_(refused.detail)) from refused
    except Unavailable as unavailable:
        if _passes_unjudged.get():
            return
        if _is_refresh_token(token) and hasattr(token, "blacklist") and not is_rotating():
            # A log-out must succeed now, too.
            unjudged.withhold(token, unavailable)
            return
        raise VerifierUnavailable(unavailable) from unavailable


def question(claims: dict[str, Any]) -> dict[str, Any]:
    """Returns what quash is asked about a token. Raises ``TokenError`` if no answer would be certain."""
    namespace, session, jti, subject, position = native.names(claims)
    issued_at, expires_at = claims.get("iat"), claims.get("exp")
    if not _is_integer(issued_at) or not _is_integer(expires_at):
        # Whether it is older than a revocation can't be known.
        raise TokenError(_("Token is invalid"))
    if not isinstance(session, str | None) or (position is not None and not _is_integer(position)):
        raise TokenError(_("Token is invalid"))
    return {
        "namespace": namespace,
        "session": session,
        "token": jti,
        "subject": subject,
        "position": position,
        "issued_at": issued_at,
        "expires_at": expires_at,
    }


@contextmanager
def ending_spent(token: tokens.Token) -> Iterator[None]:
    """Ends the session of a token that the block refuses as blacklisted."""
    try:
        yield
    except TokenError:
        _end_spent(token)
        raise


@contextmanager
def ending_expired(token: tokens.Token) -> Iterator[None]:
    """Ends the session of a token that the block refuses as expired."""
    try:
        yield
    except TokenError as error:
        if isinstance(error.__cause__, TokenBackendExpiredToken):
            _end_expired(token)
        raise


def _end_spent(token: tokens.Token) -> None:
    """Ends the session of a refresh token that is refused as blacklisted, unless a refresh presents it.

    A log-out may present a token that was rotated since: its session, with younger tokens, must end nevertheless.
    """
    if is_rotating() or "log_out" not in quash_settings().end_on or not _is_refresh_token(token):
        return
    try:
        # A view may have skipped this check. Anybody can name a session, and only its tokens may end it.
        claims = token.get_token_backend().decode(cast(Any, token.token), verify=True)
    except TokenBackendExpiredToken:
        _end_expired(token)
        return
    except TokenBackendError:
        return
    _end_session_of(token, claims)


def _end_expired(token: tokens.Token) -> None:
    """Ends the session of a genuine refresh token that has expired, unless a refresh presents it.

    A younger refresh token of the session, or its last access token, may be valid for longer.
    """
    if is_rotating() or "log_out" not in quash_settings().end_on or not _is_refresh_token(token):
        return
    backend = token.get_token_backend()
    text = cast(Any, token.token)
    try:
        # As the backend does, but for the expiry.
        claims = jwt.decode(
            text,
            backend.get_verifying_key(text),
            algorithms=[backend.algorithm],
            audience=backend.audience,
            issuer=backend.issuer,
            leeway=backend.get_leeway(),
            options={"verify_aud": backend.audience is not None, "verify_exp": False},
        )
    except (jwt.InvalidTokenError, TokenBackendError):
        return
    _end_session_of(token, claims)


def _end_session_of(token: tokens.Token, claims: dict[str, Any]) -> None:
    session = claims.get(quash_settings().session_claim)
    if claims.get(api_settings.TOKEN_TYPE_CLAIM) != token.token_type or not isinstance(session, str):
        return
    now = int(time.time())
    try:
        shared_verifier.verifier().ask(quash_settings().namespace, session=session, issued_at=now, expires_at=now + 1)
    except Refused:
        # It has ended already, as after most log-outs.
        return
    except QuashError:
        # Whether it has can't be told now.
        pass
    end_session_at_once(session, "log_out")


def _is_refresh_token(token: tokens.Token) -> bool:
    # Each request presents a sliding token, too.
    return isinstance(token, tokens.BlacklistMixin) and not isinstance(token, tokens.SlidingToken)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
