"""HTTP requests to quash that the native verifier doesn't make.

They are rare, so each has a connection of its own, from the standard library. Like the native verifier it follows no
redirect and uses no proxy: either would get the credential.
"""

import functools
import http.client
import json
import ssl
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.views.decorators.debug import sensitive_variables
from quash_verify import _credential

from ..conf import credential, quash_settings

LONGEST = 1 << 20
"""The longest answer, in bytes."""

FAILURES = (OSError, http.client.HTTPException)
"""The exceptions of ``send`` if there is no answer."""


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


def addresses() -> tuple[str, ...]:
    """Returns quash's addresses, in the order in which they are tried."""
    found = quash_settings()
    return (found.issuer, *found.also_at)


def as_site() -> dict[str, str]:
    """Returns the header that makes a request one of this site."""
    return {"Authorization": f"Bearer {credential(quash_settings()) or _credential.find()}"}


@sensitive_variables()
def send(
    address: str, method: str, path: str, body: bytes | None, headers: Mapping[str, str], within: float
) -> Answer:
    """Sends a request, with a body of JSON. Waits so many seconds for the connection, and for the answer."""
    parts = urlsplit(address)
    host = str(parts.hostname)
    connection = (
        http.client.HTTPSConnection(host, parts.port, timeout=within, context=_certificates())
        if parts.scheme == "https"
        else http.client.HTTPConnection(host, parts.port, timeout=within)
    )
    try:
        kind = {} if body is None else {"Content-Type": "application/json"}
        headers = {"Accept": "application/json", **kind, **headers}
        connection.request(method, parts.path.rstrip("/") + path, body, headers)
        answer = connection.getresponse()
        text = answer.read(LONGEST)
        try:
            return Answer(answer.status, answer.headers, json.loads(text))
        except ValueError:
            return Answer(answer.status, answer.headers, None)
    finally:
        connection.close()


@functools.cache
def _certificates() -> ssl.SSLContext:
    # Reading the system's certificates takes tens of milliseconds, so only once in a process.
    return ssl.create_default_context()
