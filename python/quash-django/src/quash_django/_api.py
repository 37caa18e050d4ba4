"""Requests to quash's API for accounts, with the site's credential.

Users change rarely, so each request has a connection of its own, from the standard library. Like the native verifier it
follows no redirect and uses no proxy: either would get the credential.
"""

import functools
import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from django.core.serializers.json import DjangoJSONEncoder
from quash_verify import StartFailed, Unavailable, _credential

from .conf import command, credential, quash_settings

PATIENCE = 2.0
"""How long a user's request waits for quash, in seconds, for the connection and for the answer."""

LONG = 35.0
"""The same for requests that take long: quash itself answers within 30 seconds."""

BYTES = 480 * 1024
"""The most bytes of accounts in a request; quash reads 512 KiB."""


def change(subject: str, changes: dict[str, Any], *, wait: bool = False) -> int | None:
    """Changes an account. Returns the number of the entry, if the change ended anything.

    Raises ``KeyError`` if quash has no such account, ``ValueError`` if quash refuses a value, ``StartFailed`` if the
    credential may not change accounts, and ``Unavailable`` if quash gives no answer.
    """
    answer = _send("PATCH", f"/admin/v1/accounts/{quote(subject, safe='')}", changes, LONG if wait else PATIENCE, wait)
    seq: int | None = answer["seq"]
    return seq


def batch(accounts: Sequence[dict[str, Any]], *, dry_run: bool = False, within: float = LONG) -> list[dict[str, Any]]:
    """Adds accounts, or changes those that exist. Returns the outcome of each. Raises as ``change`` does."""
    answer = _send("POST", "/admin/v1/accounts/batch", {"dry_run": dry_run, "accounts": accounts}, within, False)
    outcomes: list[dict[str, Any]] = answer["accounts"]
    return outcomes


def size(account: dict[str, Any]) -> int:
    """Returns the bytes that an account takes in a request. Raises ``ValueError`` if it can't be written as JSON."""
    return len(_encoded(account))


def _send(method: str, path: str, body: Any, within: float, wait: bool) -> Any:
    found = quash_settings()
    secret = credential(found) or _credential.find()
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json", "Accept": "application/json"}
    if wait:
        headers["Prefer"] = "wait=effective"
    data, cause = _encoded(body), ""
    for address in (found.issuer, *found.also_at):
        request = urllib.request.Request(address.rstrip("/") + path, data, headers, method=method)
        try:
            with _opener().open(request, timeout=within) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                refusal = _refusal(error)
            if refusal is not None:
                raise refusal from None
            cause = f"it answered {error.code}"
        except (OSError, http.client.HTTPException, ValueError) as error:
            cause = str(getattr(error, "reason", error))
    raise Unavailable("unavailable", f"quash didn't confirm the change of accounts: {cause}", 1)


def _refusal(error: urllib.error.HTTPError) -> Exception | None:
    """Returns the exception for an answer that another attempt won't change."""
    if error.code in (401, 403):
        return StartFailed(
            "the credential may not change accounts" if error.code == 403 else "quash doesn't know the credential",
            f"create one with `{command(quash_settings(), imports=True)}`",
        )
    try:
        problem = json.loads(error.read(64 * 1024))
        detail = f"{problem['detail']} {json.dumps(problem.get('errors') or '')[:500]}".removesuffix(' ""')
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        detail = "its answer is malformed"
    if error.code == 404:
        # Its text distinguishes an unknown account from an unknown path.
        no_api = StartFailed("quash has no API for accounts at this address", "check QUASH['ISSUER'], and update quash")
        return KeyError(detail) if "account" in detail else no_api
    if 400 <= error.code < 500 and error.code not in (408, 429):
        return ValueError(f"quash refused the accounts: {detail}")
    return None


def _encoded(body: Any) -> bytes:
    try:
        return json.dumps(body, cls=DjangoJSONEncoder, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"a value can't be written as JSON: {error}") from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    # Reading the system's certificates takes tens of milliseconds, so only once in a process.
    secure = urllib.request.HTTPSHandler(context=ssl.create_default_context())
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects, secure)
