"""Requests to quash that the native verifier doesn't make: sign-ins, and questions about sessions."""

import http.client
import json
import logging
import ssl
import time
from collections.abc import Mapping
from datetime import datetime
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from django.utils.dateparse import parse_datetime
from django.views.decorators.debug import sensitive_variables
from quash_verify import Unavailable
from quash_verify._credential import find as credential_of_environment

from .conf import credential, quash_settings

logger = logging.getLogger("quash_django")

TIMEOUT = 5.0
"""The longest wait, in seconds, for an address. quash answers 503 itself if a password waits for more than two."""

QUIET = 1.0
"""The time, in seconds, for which nothing is sent after no address has answered: requests must not wait again."""

LONGEST = 1 << 20
"""The longest answer, in bytes."""

_quiet_until = 0.0


class Answer(NamedTuple):
    """An answer of quash."""

    status: int
    headers: Message
    body: Any
    """The value of the JSON, or None."""

    @property
    def code(self) -> str:
        """quash's word for an error."""
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""

    @property
    def detail(self) -> str:
        """quash's explanation of an error. It quotes no input."""
        return str(self.body.get("detail", self.body)) if isinstance(self.body, dict) else ""

    @property
    def retry_after(self) -> int:
        seconds = self.headers.get("Retry-After", "")
        return int(seconds) if seconds.isdecimal() else 1


class Session(NamedTuple):
    """A live session of an account."""

    sid: str
    device: str | None
    address: str | None
    created_at: datetime | None
    last_used_at: datetime | None
    expires_at: datetime | None
    is_current: bool


@sensitive_variables()
def request(method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
    """Sends a request to the first address that answers.

    Raises ``Unavailable`` if none does.
    """
    global _quiet_until
    if time.monotonic() >= _quiet_until:
        found = quash_settings()
        for address in (found.issuer, *found.also_at):
            try:
                return _send(address, method, path, body, headers or {})
            except (OSError, http.client.HTTPException) as error:
                logger.error("quash gave no answer at %s: %s", address, str(error) or type(error).__name__)
        _quiet_until = time.monotonic() + QUIET
    raise Unavailable("unavailable", "quash can't be reached.", 1)


def as_site() -> dict[str, str]:
    """Returns the header that makes a request one of this site."""
    return {"Authorization": f"Bearer {credential(quash_settings()) or credential_of_environment()}"}


def sessions(subject: str, current: str | None = None) -> list[Session]:
    """Returns the live sessions of an account, oldest first; none if there is no such account.

    Raises ``Unavailable`` if quash doesn't list them.
    """
    found: list[Session] = []
    after = ""
    while True:
        path = f"/admin/v1/accounts/{quote(subject, safe='')}/sessions{after}"
        answer = request("GET", path, headers=as_site())
        if answer.status == 404 and answer.code == "not_found":
            return found
        if answer.status != 200:
            logger.error("quash doesn't list sessions: it answers %d: %s", answer.status, answer.detail)
            raise Unavailable("unavailable", "The sessions can't be listed at the moment.", answer.retry_after)
        found += [_session(listed, current) for listed in answer.body["sessions"]]
        if not answer.body["next"]:
            return found
        after = f"?after={answer.body['next']}"


def _session(listed: dict[str, Any], current: str | None) -> Session:
    created_at, last_used_at, expires_at = (
        parse_datetime(listed[name]) for name in ("created_at", "last_used_at", "expires_at")
    )
    is_current = listed["sid"] == current
    return Session(
        listed["sid"], listed["device"], listed["address"], created_at, last_used_at, expires_at, is_current
    )


@sensitive_variables()
def _send(address: str, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
    parts = urlsplit(address)
    host = str(parts.hostname)
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=TIMEOUT, context=ssl.create_default_context())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=TIMEOUT)
    )
    try:
        sent = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        headers = {"Accept": "application/json", **kind, **headers}
        connection.request(method, parts.path.rstrip("/") + path, sent, headers)
        answer = connection.getresponse()
        text = answer.read(LONGEST)
        try:
            return Answer(answer.status, answer.headers, json.loads(text))
        except ValueError:
            return Answer(answer.status, answer.headers, None)
    finally:
        connection.close()
