"""Simple JWT's tokens and serializers, guarded by quash.

With ``HOOK_SIMPLE_JWT``, which is the default, ``install`` wraps the methods of Simple JWT's own classes, so every
subclass and view is guarded. Without it, a site uses the classes and mixins of this module where it needs them.
"""

import functools
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import jwt
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext as _
from quash_verify import QuashError, Refused, Unavailable
from rest_framework_simplejwt import backends, serializers, tokens
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenBackendExpiredToken, TokenError
from rest_framework_simplejwt.settings import api_settings

from .authentication import native, unjudged
from .changes import outbox
from .changes.current_request import has_ended, is_rotating, rotating
from .changes.endings import end_blacklisted, end_claims, end_session_at_once
from .client import shared_verifier
from .conf import quash_settings
from .exceptions import VerifierUnavailable

__all__ = [
    "AccessToken",
    "GuardedTokenMixin",
    "LogInMixin",
    "LogOutMixin",
    "RefreshToken",
    "RotationMixin",
    "SlidingToken",
]

logger = logging.getLogger("quash_django")

# The position for tokens that this call issues, read before it checked a password or a token. A tuple of one.
_position: ContextVar[tuple[int | None] | None] = ContextVar("quash_position", default=None)
_passes_unjudged: ContextVar[bool] = ContextVar("quash_passes_unjudged", default=False)


@contextmanager
def issuing() -> Iterator[None]:
    """Reads the position for the tokens that the block issues. Enter it before checking a password."""
    if _position.get() is not None:
        yield
        return
    former = _position.set((shared_verifier.head(),))
    try:
        yield
    finally:
        _position.reset(former)


@contextmanager
def _rotating() -> Iterator[None]:
    with rotating(), issuing():
        yield


@contextmanager
def passing_unjudged() -> Iterator[None]:
    """Lets tokens pass that can't be judged now: a user must be able to log out while quash is unavailable."""
    former = _passes_unjudged.set(True)
    try:
        yield
    finally:
        _passes_unjudged.reset(former)


def begin_session(token: tokens.Token) -> None:
    """Puts a new token into a session of its own."""
    found = quash_settings()
    if found.session_claim not in token.payload:
        token.payload[found.session_claim] = secrets.token_hex(16)
        _write_position(token)
        if outbox.is_waiting(str(token.payload.get(api_settings.USER_ID_CLAIM))):
            dead = (
                "a new token ends with its transaction, which ends all sessions of its user: issue it after the commit, "
                "and mark the view `non_atomic_requests` if ATOMIC_REQUESTS is set"
            )
            if settings.DEBUG:
                # In production the user's change must not fail for it.
                raise ImproperlyConfigured(dead)
            logger.warning("%s", dead)


def renew_position(token: tokens.Token) -> None:
    """Gives a token that is issued anew its new position."""
    if quash_settings().session_claim in token.payload:
        _write_position(token)


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
        end_spent(token)
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


def end_spent(token: tokens.Token) -> None:
    """Ends the session of a refresh token that is refused as blacklisted, unless a refresh presents it.

    A log-out may present a token that was rotated since: its session, with younger tokens, must end nevertheless.
    """
    if is_rotating() or "log_out" not in quash_settings().end_on or not _is_refresh_token(token):
        return
    try:
        # A view may have skipped this check. Anybody can name a session, and only its tokens may end it.
        claims = token.get_token_backend().decode(cast(Any, token.token), verify=True)
    except TokenBackendExpiredToken:
        end_expired(token)
        return
    except TokenBackendError:
        return
    _end_session_of(token, claims)


def end_expired(token: tokens.Token) -> None:
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


def log_out(serializer: Any, attrs: dict[str, Any]) -> None:
    """Ends the session of a refresh token that ``TokenBlacklistSerializer`` has accepted."""
    if "log_out" in quash_settings().end_on:
        end_claims(serializer.token_class(attrs["refresh"], verify=False).payload, "log_out")


def _write_position(token: tokens.Token) -> None:
    name = quash_settings().position_claim
    known = _position.get()
    position = shared_verifier.head() if known is None else known[0]
    if position is None:
        # Revocations cover such a token by the second in which it was issued.
        token.payload.pop(name, None)
    else:
        token.payload[name] = position


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@contextmanager
def _ending_spent(token: tokens.Token) -> Iterator[None]:
    try:
        yield
    except TokenError:
        end_spent(token)
        raise


@contextmanager
def _ending_expired(token: tokens.Token) -> Iterator[None]:
    try:
        yield
    except TokenError as error:
        if isinstance(error.__cause__, TokenBackendExpiredToken):
            end_expired(token)
        raise


def _end_again(found: Any) -> None:
    """Ends the session of a token that was on the blacklist already, where no signal tells that a view blacklists it."""
    blacklisted, is_new = found
    if not is_new:
        end_blacklisted(blacklisted)


_HAS_BLACKLIST = hasattr(tokens.BlacklistMixin, "blacklist")
"""Whether the application `token_blacklist` was installed when Simple JWT was imported."""


class GuardedTokenMixin(tokens.Token):
    """Guards a class of tokens: put it before the class of Simple JWT."""

    def __init__(self, token: Any = None, verify: bool = True) -> None:
        if is_installed():
            super().__init__(token, verify)
        else:
            with _ending_expired(self):
                super().__init__(token, verify)
        if token is None and not is_installed():
            # Here rather than in `for_user`, where `BlacklistMixin` has already stored the token.
            begin_session(self)

    def set_iat(self, claim: str = "iat", at_time: Any = None) -> None:
        super().set_iat(claim, at_time)
        if not is_installed():
            renew_position(self)

    def verify(self) -> None:
        super().verify()
        if not is_installed():
            verify(self)

    if _HAS_BLACKLIST:

        def check_blacklist(self) -> None:
            if is_installed():
                super().check_blacklist()  # type: ignore[misc]
                return
            with _ending_spent(self):
                super().check_blacklist()  # type: ignore[misc]

        def blacklist(self) -> Any:
            if is_installed():
                return super().blacklist()  # type: ignore[misc]
            with unjudged.readable(self):
                found = super().blacklist()  # type: ignore[misc]
            _end_again(found)
            return found

    def get_token_backend(self) -> Any:
        backend = super().get_token_backend()
        return backend if is_installed() else native.Backend(backend)


class AccessToken(GuardedTokenMixin, tokens.AccessToken):
    """Simple JWT's class, guarded: for ``AUTH_TOKEN_CLASSES``."""


class RefreshToken(GuardedTokenMixin, tokens.RefreshToken):  # type: ignore[misc]
    """Simple JWT's class, guarded: for the ``token_class`` of serializers."""

    access_token_class = AccessToken


class SlidingToken(GuardedTokenMixin, tokens.SlidingToken):  # type: ignore[misc]
    """Simple JWT's class, guarded."""


class LogInMixin:
    """For serializers that check a password and issue tokens."""

    def validate(self, attrs: dict[str, Any]) -> Any:
        with issuing():
            return super().validate(attrs)  # type: ignore[misc]


class RotationMixin:
    """For serializers that refresh tokens."""

    def validate(self, attrs: dict[str, Any]) -> Any:
        with _rotating():
            return super().validate(attrs)  # type: ignore[misc]


class LogOutMixin:
    """For serializers that blacklist a refresh token."""

    def validate(self, attrs: dict[str, Any]) -> Any:
        with passing_unjudged():
            data = super().validate(attrs)  # type: ignore[misc]
        if not is_installed():
            log_out(self, attrs)
        return data


_originals: list[tuple[type, str, Any]] = []


def is_installed() -> bool:
    """Returns whether Simple JWT's own classes are guarded."""
    return bool(_originals)


def install() -> None:
    """Wraps the methods of Simple JWT's classes."""
    if is_installed():
        return
    _wrap(tokens.Token, "__init__", _init)
    _wrap(tokens.Token, "for_user", _for_user)
    _wrap(tokens.Token, "set_iat", _set_iat)
    _wrap(tokens.Token, "verify", _verify)
    _wrap(backends.TokenBackend, "decode", _decode)
    if _HAS_BLACKLIST:
        _wrap(tokens.BlacklistMixin, "check_blacklist", _check_blacklist)
        _wrap(tokens.BlacklistMixin, "blacklist", _blacklist_token)
    for name in ("TokenObtainSerializer", "TokenObtainPairSerializer", "TokenObtainSlidingSerializer"):
        _wrap(getattr(serializers, name), "validate", _within(issuing))
    for name in ("TokenRefreshSerializer", "TokenRefreshSlidingSerializer"):
        _wrap(getattr(serializers, name), "validate", _within(_rotating))
    _wrap(serializers.TokenBlacklistSerializer, "validate", _blacklist)


def uninstall() -> None:
    """Restores Simple JWT's classes, for tests."""
    while _originals:
        owner, name, original = _originals.pop()
        setattr(owner, name, original)


def _wrap(owner: type, name: str, wrapper: Callable[[Any], Any]) -> None:
    original = owner.__dict__[name]
    _originals.append((owner, name, original))
    if isinstance(original, classmethod):
        function = original.__func__
        setattr(owner, name, classmethod(cast(Any, functools.wraps(function)(wrapper(function)))))
    else:
        setattr(owner, name, functools.wraps(original)(wrapper(original)))


def _init(original: Any) -> Any:
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        with _ending_expired(self):
            original(self, *args, **kwargs)

    return init


def _for_user(original: Any) -> Any:
    def for_user(cls: Any, user: Any) -> Any:
        token = original(cls, user)
        begin_session(token)
        return token

    return for_user


def _set_iat(original: Any) -> Any:
    def set_iat(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        renew_position(self)

    return set_iat


def _verify(original: Any) -> Any:
    def verify_with_quash(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        verify(self)

    return verify_with_quash


def _check_blacklist(original: Any) -> Any:
    def check_blacklist(self: Any) -> None:
        with _ending_spent(self):
            original(self)

    return check_blacklist


def _blacklist_token(original: Any) -> Any:
    def blacklist(self: Any) -> Any:
        with unjudged.readable(self):
            found = original(self)
        _end_again(found)
        return found

    return blacklist


def _decode(original: Any) -> Any:
    def decode(self: Any, token: Any, verify: bool = True) -> Any:
        claims = native.decode(self, token) if verify else None
        return original(self, token, verify) if claims is None else claims

    return decode


def _within(block: Callable[[], Any]) -> Any:
    def wrapper(original: Any) -> Any:
        def validate(self: Any, attrs: Any) -> Any:
            with block():
                return original(self, attrs)

        return validate

    return wrapper


def _blacklist(original: Any) -> Any:
    def validate(self: Any, attrs: Any) -> Any:
        with passing_unjudged():
            data = original(self, attrs)
        log_out(self, attrs)
        return data

    return validate
