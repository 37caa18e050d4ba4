"""Remembers what the current request is doing: which sessions and tokens it has ended, and whether it is a refresh.

A log-out may verify a token after it has ended its session: dj-rest-auth calls Django's ``logout`` and then blacklists
the refresh token. Such a token passes until the request ends, otherwise a valid log-out would answer 401. It gains
nothing: quash refuses the tokens that the request issues in that session from the next request on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.core.signals import request_finished, request_started

_is_rotating: ContextVar[bool] = ContextVar("quash_rotating", default=False)


class _State:
    """Shared by the threads of an asynchronous request, which have copies of its context."""

    def __init__(self) -> None:
        self.ended: set[tuple[str, object]] = set()
        self.sent: int | None = None


# None outside of requests, where nothing is remembered.
_state: ContextVar[_State | None] = ContextVar("quash_request", default=None)


def note_ended(kind: str, name: str) -> None:
    """Notes that this request has ended a session or a token."""
    state = _state.get()
    if state is not None:
        state.ended.add((kind, name))


def has_ended(kind: str, name: object) -> bool:
    """Returns whether this request has ended a session or a token."""
    state = _state.get()
    return state is not None and (kind, name) in state.ended


def note_sent(seq: int) -> None:
    """Notes the number of an entry that this request has sent."""
    state = _state.get()
    if state is not None:
        state.sent = seq


def sent() -> int | None:
    """Returns the number of the newest entry that this request has sent."""
    state = _state.get()
    return None if state is None else state.sent


def is_rotating() -> bool:
    """Returns whether a refresh is under way, whose blacklisting of the old token ends no session."""
    return _is_rotating.get()


@contextmanager
def rotating() -> Iterator[None]:
    """Marks a refresh."""
    former = _is_rotating.set(True)
    try:
        yield
    finally:
        _is_rotating.reset(former)


def _begin(**_: object) -> None:
    _state.set(_State())


def _finish(**_: object) -> None:
    _state.set(None)


def connect() -> None:
    """Connects to the signals of requests."""
    request_started.connect(_begin, dispatch_uid="quash_django.request")
    request_finished.connect(_finish, dispatch_uid="quash_django.request")


def disconnect() -> None:
    """Disconnects from the signals, for tests."""
    request_started.disconnect(dispatch_uid="quash_django.request")
    request_finished.disconnect(dispatch_uid="quash_django.request")
    _state.set(None)
