"""Requests to quash's API for accounts, with the site's credential."""

import json
import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from django.core.serializers.json import DjangoJSONEncoder
from quash_verify import StartFailed, Unavailable

from ..conf import command, quash_settings
from .http import FAILURES, Answer, addresses, as_site, send

logger = logging.getLogger("quash_django")

PATIENCE = 2.0
"""How long a user's request waits for quash, in seconds, for the connection and for the answer."""

LONG = 35.0
"""The same for requests that take long: quash itself answers within 30 seconds."""

BYTES = 480 * 1024
"""The most bytes of accounts in a request; quash reads 512 KiB."""


class MarkDiffers(Exception):
    """quash can't tell that a hash is of the password that the account had."""


def change(subject: str, changes: dict[str, Any], *, wait: bool = False) -> int | None:
    """Changes an account. Returns the number of the entry, if the change ended anything.

    Raises ``KeyError`` if quash has no such account, ``ValueError`` if quash refuses a value, ``MarkDiffers`` if that is
    the mark of a hash, ``StartFailed`` if the credential may not change accounts, and ``Unavailable`` if quash gives no
    answer.
    """
    answer = _send("PATCH", f"/admin/v1/accounts/{quote(subject, safe='')}", changes, LONG if wait else PATIENCE, wait)
    note_warning(subject, answer)
    seq: int | None = answer["seq"]
    return seq


def batch(accounts: Sequence[dict[str, Any]], *, dry_run: bool = False, within: float = LONG) -> list[dict[str, Any]]:
    """Adds accounts, or changes those that exist. Returns the outcome of each. Raises as ``change`` does."""
    answer = _send("POST", "/admin/v1/accounts/batch", {"dry_run": dry_run, "accounts": accounts}, within, False)
    outcomes: list[dict[str, Any]] = answer["accounts"]
    return outcomes


def note_warning(subject: str, outcome: dict[str, Any]) -> None:
    """Logs what quash remarks on an account that it accepts."""
    if "warning" in outcome:
        logger.warning("the user with the subject %s: %s", subject, outcome["warning"]["detail"])


def size(account: dict[str, Any]) -> int:
    """Returns the bytes that an account takes in a request. Raises ``ValueError`` if it can't be written as JSON."""
    return len(_encoded(account))


def _send(method: str, path: str, body: Any, within: float, wait: bool) -> Any:
    headers = {**as_site(), "Prefer": "wait=effective"} if wait else as_site()
    data, cause = _encoded(body), ""
    for address in addresses():
        try:
            answer = send(address, method, path, data, headers, within)
        except FAILURES as error:
            cause = str(error) or type(error).__name__
            continue
        if 200 <= answer.status < 300 and isinstance(answer.body, dict):
            return answer.body
        refusal = _refusal(answer)
        if refusal is not None:
            raise refusal
        cause = f"it answered {answer.status}" if answer.code else f"a proxy or another server answered {answer.status}"
    raise Unavailable("unavailable", f"quash didn't confirm the change of accounts: {cause}", 1)


def _refusal(answer: Answer) -> Exception | None:
    """Returns the exception for an answer that another attempt won't change."""
    if not 400 <= answer.status < 500 or answer.status in (408, 429):
        return None
    if not answer.code:
        return StartFailed(
            f"a proxy or another server answered {answer.status} in place of quash",
            "check QUASH['ISSUER'], and that proxies pass on /admin/v1/ and bodies of 512 KiB",
        )
    if answer.status in (401, 403):
        found = quash_settings()
        remedy = f"create one with `{command(found, imports=True)}`"
        if found.keeps_issuing:
            # One credential can't have both kinds of rights.
            remedy = (
                "import with settings of their own, in which QUASH['MODE'] is 'quash_issues' and CREDENTIAL_FILE has "
                f"the line that `{command(found, imports=True)}` prints"
            )
        return StartFailed(
            "the credential may not change accounts" if answer.status == 403 else "quash doesn't know the credential",
            remedy,
        )
    detail = answer.detail
    if answer.code == "password_mark_differs":
        return MarkDiffers(detail)
    if answer.status == 404:
        # Its text distinguishes an unknown account from an unknown path.
        no_api = StartFailed("quash has no API for accounts at this address", "check QUASH['ISSUER'], and update quash")
        return KeyError(detail) if "account" in detail else no_api
    errors = answer.body.get("errors")
    shown = f" {json.dumps(errors)[:500]}" if errors else ""
    return ValueError(f"quash refused the accounts: {detail}{shown}")


def _encoded(body: Any) -> bytes:
    try:
        return json.dumps(body, cls=DjangoJSONEncoder, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"a value can't be written as JSON: {error}") from error
