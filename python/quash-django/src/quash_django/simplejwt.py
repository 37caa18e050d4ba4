"""Simple JWT's tokens and serializers, guarded by quash.

With ``HOOK_SIMPLE_JWT``, which is the default, ``install`` wraps the methods of Simple JWT's own classes, so every
subclass and view is guarded. Without it, a site uses the classes and mixins of this module where it needs them.
"""

import functools
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from rest_framework_simplejwt import backends, serializers, tokens
from rest_framework_simplejwt.settings import api_settings

from .authentication import native, token_checks, unjudged
from .authentication.token_checks import ending_expired, ending_spent, passing_unjudged
from .changes import outbox
from .changes.current_request import rotating
from .changes.endings import end_blacklisted, end_claims
from .client import shared_verifier
from .conf import quash_settings

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
            with ending_expired(self):
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
            token_checks.verify(self)

    if _HAS_BLACKLIST:

        def check_blacklist(self) -> None:
            if is_installed():
                super().check_blacklist()  # type: ignore[misc]
                return
            with ending_spent(self):
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
        with ending_expired(self):
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
        token_checks.verify(self)

    return verify_with_quash


def _check_blacklist(original: Any) -> Any:
    def check_blacklist(self: Any) -> None:
        with ending_spent(self):
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
