"""The sessions and tokens that the current request has ended.

A log-out may verify a token after it has ended its session: dj-rest-auth calls Django's ``logout`` and then blacklists
the refresh token. Such a token passes until the request ends, otherwise a valid log-out would answer 401. It gains
nothing: whatever the request issues in that session is refused at the next one.
"""

from contextvars import ContextVar

from django.core.signals import request_finished, request_started

# None outside of requests, where nothing is remembered.
_ended: ContextVar[set[tuple[str, str]] | None] = ContextVar("quash_ended", default=None)


def note_ended(kind: str, name: str) -> None:
    """Notes that this request has ended a session or a token."""
    ended = _ended.get()
    if ended is not None:
        ended.add((kind, name))


def has_ended(kind: str, name: object) -> bool:
    """Returns whether this request has ended a session or a token."""
    ended = _ended.get()
    return bool(ended) and (kind, name) in (ended or ())


def _begin(**_: object) -> None:
    _ended.set(set())


def _finish(**_: object) -> None:
    _ended.set(None)


def connect() -> None:
    """Connects to the signals of requests."""
    request_started.connect(_begin, dispatch_uid="quash_django.request")
    request_finished.connect(_finish, dispatch_uid="quash_django.request")


def disconnect() -> None:
    """Disconnects from the signals, for tests."""
    request_started.disconnect(dispatch_uid="quash_django.request")
    request_finished.disconnect(dispatch_uid="quash_django.request")
    _ended.set(None)
