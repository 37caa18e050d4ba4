"""The sessions at quash that Django's sessions belong to, in the mode ``quash_issues``.

``QuashBackend`` opens one, and Django's log-in puts its names into Django's session. One that no Django session names
any more is ended.
"""

from typing import Any

from django.contrib.auth import BACKEND_SESSION_KEY
from django.contrib.auth import SESSION_KEY as USER_KEY
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest
from quash_verify import Live, QuashError

from ..changes.endings import SESSION_KEY, end_session
from ..client import sessions_api, shared_verifier
from ..client.http import as_site
from ..conf import quash_settings, signs_in_at_quash

_NAMES = "_quash_names"
_BEFORE = "_quash_session"
_PENDING = "_quash_pending"
"""The key of Django's session for a log-in that takes several requests, such as one with a second factor."""


def connect() -> None:
    """Connects to Django's log-in and log-out."""
    user_logged_in.connect(_logged_in, dispatch_uid="quash_django.opened")
    user_logged_out.connect(_logged_out, dispatch_uid="quash_django.opened")


def names_of(live: Live, expires_at: int) -> dict[str, Any]:
    """Returns what Django's session keeps of a session at quash: the names to ask about, and no token."""
    claims = live.claims
    return {
        "sid": live.session,
        "sub": live.user_id,
        "seq": claims["rsq"],
        "iat": claims["iat"],
        "exp": expires_at,
    }


def note(request: Any, user: Any, names: dict[str, Any]) -> None:
    """Notes the session that a user's password has opened, for the log-in that follows."""
    user.__dict__[_NAMES] = names
    if request is not None:
        _opened_in(request).append({**names, "user": str(user.pk)})


def end(names: dict[str, Any]) -> None:
    """Ends a session at quash."""
    end_session(names["sid"])


def note_present(request: HttpRequest, names: dict[str, Any]) -> None:
    """Notes the session that a request has come with."""
    request.__dict__[_BEFORE] = names


def settle(request: HttpRequest) -> None:
    """Ends the sessions that the request has left behind."""
    before = request.__dict__.pop(_BEFORE, None)
    kept = (request.session.get(SESSION_KEY) or {}).get("sid")
    opened = [names for names in request.__dict__.pop(_NAMES, []) if names["sid"] != kept]
    if opened and request.session.modified and USER_KEY not in request.session:
        # The view asks for a second factor.
        former, request.session[_PENDING] = request.session.get(_PENDING), opened.pop()
        opened += [former] if former else []
    if before and before["sid"] != kept and "log_out" in quash_settings().end_on:
        opened.append(before)
    for names in opened:
        end(names)


def renewed(names: dict[str, Any]) -> dict[str, Any] | None:
    """Returns a refused session with a newer position if quash says that it is live; None if it has ended.

    A change of claims revokes access tokens, whose clients get new ones, and refuses what was issued before it.
    """
    position = shared_verifier.head()
    question = {
        "session": names["sid"],
        "subject": names["sub"],
        "issued_at": names["iat"],
        "expires_at": names["exp"],
    }
    try:
        answer = sessions_api.request("POST", "/v1/revocations/query", question, as_site())
    except QuashError:
        return None
    if answer.status != 200 or answer.body != {"revoked": False}:
        return None
    return {**names, "seq": position}


def _logged_in(*, request: Any, user: Any, **_: Any) -> None:
    names = user.__dict__.pop(_NAMES, None)
    pending = request.session.pop(_PENDING, None)
    if names is None and isinstance(pending, dict) and pending.get("user") == str(user.pk):
        names = {name: value for name, value in pending.items() if name != "user"}
    elif pending is not None:
        _opened_in(request).append(pending)
    if names is not None:
        request.session[SESSION_KEY] = names
    elif SESSION_KEY not in request.session and signs_in_at_quash(request.session.get(BACKEND_SESSION_KEY)):
        raise ImproperlyConfigured(
            "QuashBackend can't log a user in without a password, because there is no session at quash: pass the user "
            "that authenticate() returns to login(), or name another of AUTHENTICATION_BACKENDS with backend="
        )


def _logged_out(*, request: Any, **_: Any) -> None:
    found = quash_settings()
    if not found.keeps_issuing and "log_out" in found.end_on and request is not None:
        end_session(request)
        _plain(request).__dict__.pop(_BEFORE, None)


def _opened_in(request: Any) -> list[dict[str, Any]]:
    opened: list[dict[str, Any]] = _plain(request).__dict__.setdefault(_NAMES, [])
    return opened


def _plain(request: Any) -> Any:
    # Django REST framework wraps the request.
    return getattr(request, "_request", request)
