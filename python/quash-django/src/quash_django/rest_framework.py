"""Authentication of Django REST framework with quash's own tokens, and a permission by their claims.

    REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["quash_django.rest_framework.JWTAuthentication"]}

The classes answer as Simple JWT's do. They read the request's header and find the user as its settings say, but the
native verifier checks the token, so an ended session is refused at its next request.
"""

import contextvars
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from django.contrib.auth.models import Group
from django.utils.translation import gettext as _
from quash_verify import Live, Refused, Unavailable, WhenStale, _native
from rest_framework.permissions import BasePermission, OperationHolderMixin
from rest_framework.request import Request
from rest_framework_simplejwt import authentication, models
from rest_framework_simplejwt.exceptions import AuthenticationFailed, InvalidToken, TokenError
from rest_framework_simplejwt.settings import api_settings
from rest_framework_simplejwt.tokens import AccessToken
from rest_framework_simplejwt.utils import aware_utcnow, get_md5_hash_password

from .authentication import users
from .client import shared_verifier
from .conf import quash_settings
from .exceptions import VerifierUnavailable

__all__ = [
    "HasClaim",
    "JWTAuthentication",
    "JWTStatelessUserAuthentication",
    "LiveToken",
    "LiveTokenUser",
    "VerifierUnavailable",
]


class LiveToken(AccessToken):
    """One of quash's tokens that was accepted a moment ago, as a token of Simple JWT. Claims are read on access."""

    def __init__(self, token: str | bytes | None = None, verify: bool = True, *, live: Live | None = None) -> None:
        """Checks ``token``, unless ``live`` is the result of a check."""
        if token is None:
            raise TokenError("quash issues these tokens: sign in at quash")
        self.raw = token.decode("latin-1") if isinstance(token, bytes) else token
        self.current_time = aware_utcnow()
        self.live = self._check(self.raw) if live is None else live
        self._payload: dict[str, Any] | None = None

    # In Simple JWT an attribute that verifying sets.
    @property
    def payload(self) -> dict[str, Any]:  # type: ignore[override]
        """The claims."""
        if self._payload is None:
            self._payload = dict(self.live.claims)
        return self._payload

    # The user's id is known without reading the claims, and most views need no other.
    def __getitem__(self, key: str) -> Any:
        return self.live.user_id if key == api_settings.USER_ID_CLAIM else self.payload[key]

    def __contains__(self, key: str) -> bool:
        return key == api_settings.USER_ID_CLAIM or key in self.payload

    def get(self, key: str, default: Any = None) -> Any:
        return self.live.user_id if key == api_settings.USER_ID_CLAIM else self.payload.get(key, default)

    @property
    def session(self) -> str | None:
        """The session's id."""
        return self.live.session

    def says(self, name: str, value: Any) -> bool:
        """Returns whether a claim has this value, or is a list that contains it."""
        return self.live.says(name, value)

    def verify(self) -> None:
        """Checks the token again, for work that lasts longer than a request."""
        self.live = self._check(self.raw)

    def __str__(self) -> str:
        """Returns the token as it was presented: the site can't sign it."""
        return self.raw

    def __repr__(self) -> str:
        return repr(self.live)

    @classmethod
    def for_user(cls, user: Any) -> NoReturn:
        raise TokenError("quash issues these tokens: sign in at quash")

    @staticmethod
    def _check(token: str | bytes) -> Live:
        try:
            return shared_verifier.verifier().check(token, when_stale=_when_stale.get())
        except Refused as refused:
            raise TokenError(_(refused.detail)) from refused
        except Unavailable as unavailable:
            raise VerifierUnavailable(unavailable) from unavailable


class ClaimGroups:
    """The groups that a token names, with the read-only methods of a manager that views use most."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def all(self) -> "ClaimGroups":
        return self

    def filter(self, *, name: str | None = None, name__in: Any = None) -> "ClaimGroups":
        names = [own for own in self._names if name is None or own == name]
        return ClaimGroups(tuple(own for own in names if name__in is None or own in name__in))

    def values_list(self, *fields: str, flat: bool = False) -> list[Any]:
        if fields != ("name",):
            raise NotImplementedError("a token has only the names of groups: use values_list('name')")
        return list(self._names) if flat else [(name,) for name in self._names]

    def exists(self) -> bool:
        return bool(self._names)

    def count(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[Group]:
        return (Group(name=name) for name in self._names)

    def __len__(self) -> int:
        return len(self._names)


class LiveTokenUser(models.TokenUser):
    """A user without a row in the database: ``is_staff``, ``is_superuser`` and ``groups`` are claims of the token."""

    @property
    def is_staff(self) -> bool:
        # A text such as "false" must not make an administrator.
        return self.token.get("is_staff") is True

    @property
    def is_superuser(self) -> bool:
        return self.token.get("is_superuser") is True

    @property
    def groups(self) -> ClaimGroups:  # type: ignore[override]
        names = self.token.get("groups")
        return ClaimGroups(tuple(n for n in names if isinstance(n, str)) if isinstance(names, list | tuple) else ())


class LiveAuthenticationMixin(authentication.JWTAuthentication):
    """Checks quash's tokens. A view may set ``quash_when_stale`` to treat its requests otherwise than the setting."""

    def authenticate(self, request: Request) -> Any:
        view = (getattr(request, "parser_context", None) or {}).get("view")
        own = _when_stale.set(getattr(view, "quash_when_stale", None))
        try:
            return super().authenticate(request)
        finally:
            _when_stale.reset(own)

    def get_validated_token(self, raw_token: bytes) -> LiveToken:
        try:
            return LiveToken(raw_token)
        except TokenError as error:
            # The body that Simple JWT answers where it expects access tokens.
            message = {
                "token_class": AccessToken.__name__,
                "token_type": AccessToken.token_type,
                "message": error.args[0],
            }
            raise InvalidToken(
                {"detail": _("Given token not valid for any token type"), "messages": [message]}
            ) from error


class JWTAuthentication(LiveAuthenticationMixin):
    """Simple JWT's class for quash's tokens. ``request.user`` is the user of the database."""

    def get_user(self, validated_token: Any) -> Any:
        by = quash_settings().user_by
        subject = validated_token.live.user_id
        if by == "pk":
            if not users.can_be(self.user_model, api_settings.USER_ID_FIELD, subject):
                raise _user_not_found()
            return super().get_user(validated_token)
        user = users.find(subject)
        if user is None:
            raise _user_not_found()
        if api_settings.CHECK_USER_IS_ACTIVE and not user.is_active:
            raise AuthenticationFailed(_("User is inactive"), code="user_inactive")
        if api_settings.CHECK_REVOKE_TOKEN:
            known = validated_token.get(api_settings.REVOKE_TOKEN_CLAIM)
            if known != get_md5_hash_password(user.password):
                raise AuthenticationFailed(_("The user's password has been changed."), code="password_changed")
        return user


class JWTStatelessUserAuthentication(LiveAuthenticationMixin, authentication.JWTStatelessUserAuthentication):
    """Simple JWT's class for quash's tokens. ``request.user`` is a ``LiveTokenUser``, without a query."""

    def get_user(self, validated_token: Any) -> Any:
        chosen = api_settings.TOKEN_USER_CLASS
        return (LiveTokenUser if chosen is models.TokenUser else chosen)(validated_token)


class HasClaim(OperationHolderMixin, BasePermission):
    """Permits requests whose token has a claim with this value, or a list that contains it.

    permission_classes = [HasClaim("role", "clerk")]
    """

    code = "claim_missing"
    message = "The token lacks a claim that is required here."

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value

    def __call__(self) -> "HasClaim":
        # REST framework calls what `permission_classes` contains.
        return self

    # The stubs of REST framework type these for classes only.
    def __and__(self, other: Any) -> Any:
        return super().__and__(other)

    def __or__(self, other: Any) -> Any:
        return super().__or__(other)

    def __invert__(self) -> Any:
        return super().__invert__()

    def has_permission(self, request: Request, view: Any) -> bool:
        token = request.auth
        if isinstance(token, LiveToken):
            return token.says(self.name, self.value)
        claims = getattr(token, "payload", token)
        return isinstance(claims, Mapping) and _native.says(claims, self.name, self.value)


def _user_not_found() -> AuthenticationFailed:
    return AuthenticationFailed(_("User not found"), code="user_not_found")


_when_stale: contextvars.ContextVar[WhenStale | None] = contextvars.ContextVar("quash_when_stale", default=None)
