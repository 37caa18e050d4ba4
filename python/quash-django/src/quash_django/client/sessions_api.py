"""Sign-ins at quash, and questions about sessions."""

import json
import logging
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from django.utils.dateparse import parse_datetime
from django.views.decorators.debug import sensitive_variables
from quash_verify import Unavailable

from .http import FAILURES, Answer, addresses, as_site, send

logger = logging.getLogger("quash_django")

TIMEOUT = 5.0
"""The longest wait, in seconds, for an address. quash answers 503 itself if a password waits for more than two."""

QUIET = 1.0
"""The time, in seconds, for which nothing is sent after no address has answered: requests must not wait again."""

_quiet_until = 0.0


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
        sent = None if body is None else json.dumps(body).encode()
        for address in addresses():
            try:
                return send(address, method, path, sent, headers or {}, TIMEOUT)
            except FAILURES as error:
                logger.error("quash gave no answer at %s: %s", address, str(error) or type(error).__name__)
        _quiet_until = time.monotonic() + QUIET
    raise Unavailable("unavailable", "quash can't be reached.", 1)


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
        if answer.status != 200 or not isinstance(answer.body, dict):
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
