"""Signs users in at quash, with Django's own forms and sessions, in the mode ``quash_issues``.

    AUTHENTICATION_BACKENDS = ["quash_django.backends.QuashBackend"]
    MIDDLEWARE += ["quash_django.middleware.SessionMiddleware"]    # after Django's AuthenticationMiddleware

Django's session keeps the names of the session at quash, and no token. So the session isn't refreshed, and ends when
its first refresh token would have expired.
"""

import base64
import http.cookies
import json
import re
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from quash_verify import QuashError, Unavailable

from .authentication import opened_sessions, users
from .client import sessions_api, shared_verifier
from .client.http import Answer
from .conf import SignsInAtQuash, quash_settings

__all__ = ["QuashBackend", "SignInRefused"]

DEVICE_COOKIE = "quash_device"
"""The browser's device token of quash: a lock of the account doesn't keep out a device that has one."""

_HOPS = 32
"""The most addresses of a header that are passed on, the newest. quash reads no more."""


class SignInRefused(ValidationError):
    """quash refuses a right password, or too many attempts. Forms and serializers show the explanation."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(_(answer.detail), code=answer.code or "throttled")
        self.status = 429 if answer.status == 429 else 403
        self.retry_after = answer.retry_after


class QuashBackend(ModelBackend, SignsInAtQuash):
    """Checks passwords at quash, where it opens a session. Permissions are those of this site's database."""

    @sensitive_variables()
    def authenticate(self, request: Any, username: Any = None, password: Any = None, **credentials: Any) -> Any:
        """Returns the user; None for a wrong password or an account without a user here.

        Raises ``SignInRefused`` if quash explains its refusal, and ``Unavailable`` if it can't be asked:
        ``SessionMiddleware`` answers 503 then.
        """
        model = get_user_model()
        username = credentials.get(model.USERNAME_FIELD) if username is None else username
        if not isinstance(username, str) or not isinstance(password, str):
            return None
        # Django REST framework wraps the request.
        request = getattr(request, "_request", request)
        names = _sign_in(request, {"username": username, model.USERNAME_FIELD: username, "password": password})
        if names is None:
            return None
        user = users.find(names["sub"])
        if user is None or not self.user_can_authenticate(user):
            opened_sessions.end(names)
            return None
        opened_sessions.note(request, user, names)
        return user

    async def aauthenticate(self, request: Any, username: Any = None, password: Any = None, **credentials: Any) -> Any:
        # That of ModelBackend would compare the password with the database's.
        return await sync_to_async(self.authenticate)(request, username, password, **credentials)


@sensitive_variables()
def _sign_in(request: Any, credentials: dict[str, str]) -> dict[str, Any] | None:
    """Returns the names of a new session at quash; None for a wrong password."""
    answer = sessions_api.request("POST", quash_settings().token_path, credentials, _headers(request))
    if answer.status == 200:
        if request is not None and "Quash-Device" in answer.headers:
            request.__dict__[DEVICE_COOKIE] = answer.headers["Quash-Device"]
        return _checked(answer)
    if answer.status == 429 or answer.status == 401 and answer.code:
        raise SignInRefused(answer)
    if answer.status == 401:
        return None
    if answer.status in (400, 413):
        # Such as an empty password, or a name that contains a null character.
        sessions_api.logger.warning("quash can't read a sign-in: %s", answer.detail)
        return None
    if answer.status != 503:
        sessions_api.logger.error(
            "quash answered a sign-in with %d: check QUASH['ISSUER'] and QUASH['TOKEN_PATH']", answer.status
        )
    raise _unavailable(answer.retry_after)


@sensitive_variables()
def _checked(answer: Answer) -> dict[str, Any]:
    """Checks the access token. Returns the names of its session."""
    try:
        live = shared_verifier.verifier().check(answer.body["access"])
        refresh = answer.body.get("refresh") or _cookie(answer)
        expiry = json.loads(base64.urlsafe_b64decode(refresh.split(".")[1] + "=="))["exp"]
        return opened_sessions.names_of(live, int(expiry))
    except Unavailable:
        raise
    except (QuashError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        # Never the value of an error that a token may be in.
        cause = str(error) if isinstance(error, QuashError) else type(error).__name__
        sessions_api.logger.error("the tokens that quash has just issued can't be used here: %s", cause)
    raise _unavailable(1)


def _cookie(answer: Answer) -> str:
    """Returns the refresh token where quash's setting ``cookies.refresh`` is on."""
    cookies = http.cookies.SimpleCookie("; ".join(answer.headers.get_all("Set-Cookie", [])))
    return cookies["__Host-quash-refresh"].value


def _unavailable(retry_after: int) -> Unavailable:
    return Unavailable("unavailable", _("Signing in isn't possible at the moment. Please try again."), retry_after)


def _headers(request: Any) -> dict[str, str]:
    """Passes the browser's address on as a proxy does. quash reads it if it trusts this site's address."""
    if request is None:
        return {}
    own = request.META.get("REMOTE_ADDR", "")
    quoted = f'for="[{own}]"' if ":" in own else own and f"for={own}"
    device = request.COOKIES.get(DEVICE_COOKIE, "")
    headers = {
        "X-Forwarded-For": _chain(request, "HTTP_X_FORWARDED_FOR", own),
        "Forwarded": _chain(request, "HTTP_FORWARDED", quoted),
        "User-Agent": re.sub(r"[^ -~]", "", request.META.get("HTTP_USER_AGENT", ""))[:500],
    }
    known = device if re.fullmatch(r"[A-Za-z0-9_-]{1,200}", device) else ""
    return {name: value for name, value in headers.items() if value} | {"Quash-Device": known}


def _chain(request: Any, header: str, own: str) -> str:
    """Returns a header's newest addresses, up to the first that can't be read, and this site's peer."""
    chain = [own] if own else []
    for address in reversed(request.META.get(header, "").split(",")[-_HOPS:]):
        if not re.fullmatch(r"[!-~]{1,100}", address.strip()):
            break
        chain.insert(0, address.strip())
    return ", ".join(chain)
