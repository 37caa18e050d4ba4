"""Ends Django's own sessions with quash.

    MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "quash_django.middleware.SessionMiddleware",
    ]

In the mode ``keep_issuing`` each session of a signed-in user gets an id at quash; in the mode ``quash_issues``
``QuashBackend`` opens one there. A session that has ended is emptied at its next request, so its user is signed out.
For sessions in ``signed_cookies`` there is no other way to end one.
"""

import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY as HASH_KEY
from django.contrib.auth import SESSION_KEY as USER_KEY
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from quash_verify import Refused, Unavailable

from .authentication import opened_sessions
from .backends import DEVICE_COOKIE, SignInRefused
from .changes import current_request
from .changes.endings import SESSION_KEY, subject_of
from .client import shared_verifier
from .conf import quash_settings

RENEWALS = 8
"""How many times in its lifetime a session that is in use gets a new time and position."""

DEVICE_AGE = 400 * 24 * 3600
"""How long browsers keep the device token, in seconds: no browser keeps a cookie for longer."""


class UnavailableMiddleware:
    """Answers 503 where a view can't tell whether a token has been revoked. Django REST framework's views need none."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        response: HttpResponseBase | Awaitable[HttpResponseBase] = self.get_response(request)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        # `VerifierUnavailable` has the verifier's exception. Its class needs Django REST framework.
        unavailable = getattr(exception, "unavailable", exception)
        if isinstance(unavailable, Unavailable):
            return _answer(503, unavailable.detail, unavailable.retry_after)
        return None


class SessionMiddleware(UnavailableMiddleware):
    """Asks quash about the session of each request. Belongs after Django's ``AuthenticationMiddleware``."""

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._acall(request)
        answer = self._before(request)
        if answer is not None:
            return answer
        response: HttpResponseBase = self.get_response(request)
        self._after(request, response)
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        # The session and the user are read from the database.
        answer = await sync_to_async(self._before)(request)
        if answer is not None:
            return answer
        response: HttpResponseBase = await self.get_response(request)
        await sync_to_async(self._after)(request, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answers where a view can't: signing in is impossible, or is refused outside of a form."""
        if isinstance(exception, SignInRefused):
            return _answer(exception.status, str(exception.message), exception.retry_after)
        return super().process_exception(request, exception)

    def _before(self, request: HttpRequest) -> HttpResponse | None:
        """Signs the user out if the session has ended. Returns an answer if that can't be told."""
        if not hasattr(request, "session") or not hasattr(request, "user"):
            raise ImproperlyConfigured(
                "quash_django.middleware.SessionMiddleware comes before Django's SessionMiddleware or "
                "AuthenticationMiddleware in MIDDLEWARE: put it after both"
            )
        keeps_issuing = quash_settings().keeps_issuing
        if USER_KEY not in request.session or keeps_issuing and not request.user.is_authenticated:
            if keeps_issuing and request.method not in ("GET", "HEAD", "OPTIONS", "TRACE"):
                # It may be a log-in, whose position must be older than the check of the password.
                request.__dict__[_POSITION] = shared_verifier.head()
            return None
        own: Any = request.session.get(SESSION_KEY)
        try:
            if keeps_issuing:
                self._ask_about_kept(request, own)
            else:
                self._ask_about_opened(request, own)
        except Refused:
            request.session.flush()
            self._sign_out(request)
        except Unavailable as unavailable:
            return _answer(503, unavailable.detail, unavailable.retry_after)
        return None

    def _ask_about_kept(self, request: HttpRequest, own: Any) -> None:
        request.__dict__[_HASH] = request.session.get(HASH_KEY)
        if not _is_ours(own):
            # It began before the middleware was installed.
            self._begin(request, shared_verifier.head())
            return
        position = shared_verifier.head() if self._is_due(request, own) else None
        shared_verifier.verifier().ask(
            quash_settings().namespace,
            session=own["sid"],
            subject=subject_of(request.user),
            position=own["seq"],
            issued_at=own["iat"],
            expires_at=own["iat"] + request.session.get_expiry_age(),
        )
        if position is not None:
            request.session[SESSION_KEY] = {**own, "seq": position, "iat": int(time.time())}

    def _ask_about_opened(self, request: HttpRequest, own: Any) -> None:
        if not _is_ours(own):
            # Another backend has signed the user in.
            return
        if own["exp"] <= time.time():
            raise Refused("token_not_valid", "The session has expired.")
        try:
            shared_verifier.verifier().ask(
                None,
                session=own["sid"],
                subject=own["sub"],
                position=own["seq"],
                issued_at=own["iat"],
                expires_at=own["exp"],
            )
        except Refused:
            renewed = opened_sessions.renewed(own)
            if renewed is None:
                raise
            request.session[SESSION_KEY] = renewed
        opened_sessions.note_present(request, own)

    def _after(self, request: HttpRequest, response: HttpResponseBase) -> None:
        if quash_settings().keeps_issuing:
            self._settle_kept(request)
            return
        opened_sessions.settle(request)
        device = request.__dict__.get(DEVICE_COOKIE)
        if device is not None:
            response.set_cookie(
                DEVICE_COOKIE, device, DEVICE_AGE, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
            )

    def _settle_kept(self, request: HttpRequest) -> None:
        """Gives a session that the view has begun its id, and one that Django keeps after a change a new position."""
        if USER_KEY not in request.session:
            return
        own: Any = request.session.get(SESSION_KEY)
        if not _is_ours(own):
            # A change of the password in this request, such as a reset, must not end the log-in that follows it.
            positions = (request.__dict__.get(_POSITION), current_request.sent())
            known = [number for number in positions if number is not None]
            self._begin(request, max(known) if known else shared_verifier.head())
        elif _HASH in request.__dict__ and request.session.get(HASH_KEY) != request.__dict__[_HASH]:
            # `update_session_auth_hash`: the user has changed the password in this session.
            request.session[SESSION_KEY] = {**own, "seq": shared_verifier.head(), "iat": int(time.time())}

    @staticmethod
    def _begin(request: HttpRequest, position: int | None) -> None:
        own = {"sid": secrets.token_hex(16), "seq": position, "iat": int(time.time())}
        request.session[SESSION_KEY] = own

    @staticmethod
    def _sign_out(request: HttpRequest) -> None:
        async def auser() -> AnonymousUser:
            return AnonymousUser()

        request.user = AnonymousUser()
        request.auser = auser

    @staticmethod
    def _is_due(request: HttpRequest, own: dict[str, Any]) -> bool:
        """Returns whether a session in use needs a new time, so that it isn't older than a token may be."""
        age: float = time.time() - own["iat"]
        return age > request.session.get_expiry_age() / RENEWALS


def _is_ours(own: Any) -> bool:
    return isinstance(own, dict) and isinstance(own.get("sid"), str) and isinstance(own.get("iat"), int)


def _answer(status: int, detail: str, retry_after: int) -> HttpResponse:
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": str(retry_after)} if status in (429, 503) else {})
    return HttpResponse(detail, status=status, content_type="text/plain; charset=utf-8", headers=headers)


_POSITION = "_quash_position"
_HASH = "_quash_hash"
