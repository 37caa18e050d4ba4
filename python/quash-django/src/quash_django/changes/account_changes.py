"""Sends the values of a changed user to quash."""

import logging
import secrets
from collections.abc import Iterable, Sequence, Set
from typing import Any

from quash_verify import Unavailable

from ..client import accounts_api
from ..conf import quash_settings
from . import accounts

logger = logging.getLogger("quash_django")

ATTEMPTS = 3
"""How often a user's values are sent while they change."""


def send(
    subject: str, fields: Set[str], *, is_new: bool, using: str, better_hashes: Sequence[tuple[str, str]] = ()
) -> tuple[int | None, dict[str, ValueError]]:
    """Sends a user's values. Returns the number of the entry, if the change ended anything, and the refused fields.

    ``better_hashes`` has the marks of hashes of the same password that replaced each other in the table. A refused
    value, or a function of the site that fails, holds up no other value. Raises ``QuashError`` if quash doesn't answer,
    or doesn't accept the credential.
    """
    if is_new or not better_hashes or "password_hash" in fields:
        return _send_values(subject, fields, is_new=is_new, using=using, notes_hash=is_new)
    fields = fields - {"password_mark"}
    try:
        is_known = _send_mark(subject, better_hashes, using)
    except KeyError:
        # A user that wasn't imported.
        return None, {}
    except ValueError as error:
        seq, refused = _send_values(subject, fields, is_new=False, using=using)
        return seq, refused | {"password_mark": error}
    if is_known:
        return _send_values(subject, fields, is_new=False, using=using)
    seq, refused = _send_values(subject, fields | {"password_hash"}, is_new=False, using=using, notes_hash=True)
    if seq is not None:
        logger.warning(
            "quash didn't know the hash that the user with the subject %s had before Django stored a better one, such as "
            "after QuerySet.update(): it has the better one now, and the user's sessions have ended",
            subject,
        )
    if "password_hash" in refused:
        # The row names the mark, and is sent again as long as that is refused.
        refused["password_mark"] = refused.pop("password_hash")
    return seq, refused


def send_deletion(subject: str, using: str) -> int | None:
    """Ends what a deleted user had, if another user has the subject since: ``send`` sends that one's values alone.

    Returns the number of the entry, and raises what ``send`` raises.
    """
    if accounts.find(subject, using) is None:
        return None
    try:
        return _request(subject, accounts.values_of_deleted(subject))
    except KeyError:
        return None
    except ValueError as error:
        # The next user's own password replaces the former one.
        logger.error("%s", error)
        return None


def _send_mark(subject: str, better_hashes: Iterable[tuple[str, str]], using: str) -> bool:
    """Sends the mark of the user's hash. Returns whether quash knows it: it must have known one of those before it.

    It may not have, if a hash was changed without a signal. The hashes follow each other from mark to mark, because the
    clocks of several machines may differ. A mark that was sent before changes nothing.
    """
    user = accounts.find(subject, using)
    if user is None:
        return False
    newest = mark = accounts.mark_of(user.password)
    former, known = {after: before for before, after in better_hashes}, []
    while mark in former:
        mark = former.pop(mark)
        known.append(mark)
    for before in reversed(known):
        try:
            accounts_api.change(subject, {"password_mark": newest, "password_mark_before": before})
            return True
        except accounts_api.MarkDiffers:
            pass
    return False


def _send_values(
    subject: str, fields: Set[str], *, is_new: bool, using: str, notes_hash: bool = False
) -> tuple[int | None, dict[str, ValueError]]:
    """Sends values that are read now, together or, if quash refuses that, one by one.

    ``notes_hash`` says that a refused hash ends a password only if the site hasn't had this hash before.
    """
    if not fields:
        return None, {}
    try:
        return _send(subject, fields, is_new=is_new, using=using), {}
    except KeyError:
        # A user that wasn't imported.
        return None, {}
    except ValueError as error:
        refusal = error
    seq, refused = None, {}
    for field in sorted(fields, key=_order(subject, using).index):
        try:
            seq = _send_alone(subject, field, using, notes_hash=notes_hash) or seq
        except KeyError:
            # A new user is added with all values or not at all.
            return None, dict.fromkeys(fields, refusal) if is_new else {}
        except ValueError as error:
            refused[field] = error
    return seq, refused


def _order(subject: str, using: str) -> Sequence[str]:
    """Returns the fields in the order in which they are sent one by one: first what takes access away."""
    others = ["password_hash", "password_mark", "claims", "email", "username"]
    user = accounts.find(subject, using)
    is_active = user is not None and accounts.values(user, {"state"})["state"] == "active"
    return [*others, "state"] if is_active else ["state", *others]


def _send_alone(subject: str, field: str, using: str, *, notes_hash: bool) -> int | None:
    seq = None
    for _ in range(ATTEMPTS):
        user = accounts.find(subject, using)
        try:
            return _send(subject, {field}, is_new=False, using=using) or seq
        except ValueError as error:
            if field not in ("password_hash", "password_mark"):
                raise
            if notes_hash and user is not None:
                seq = _note_hash(subject, user, error)
            else:
                seq = _end_password(subject, user, error)
        newer = accounts.find(subject, using)
        if newer is None or user is not None and newer.password == user.password:
            return seq
        # Another process may have sent a newer hash before this ended the password.
    raise Unavailable("unavailable", f"the user with the subject {subject} changes too fast", 1)


def _note_hash(subject: str, user: Any, error: ValueError) -> int | None:
    """Sends what stands for a hash that quash refuses. It ends nothing if the site has had this hash before."""
    seq = _request(subject, {"password_hash": accounts.only_mark(user)})
    logger.error(
        "the user with the subject %s can't sign in at quash with the password of this site: quash refuses its hash (%s)",
        subject,
        error,
    )
    return seq


def _end_password(subject: str, user: Any, error: ValueError) -> int | None:
    """Ends the old password and its sessions where quash refuses the new one's hash."""
    # Not `None`, which ends nothing if this site has sent it before, or if the account had no password.
    hashed = accounts.hash_of_no_password(secrets.token_hex(8), secrets.token_bytes(32))
    seq = _request(subject, {"password_hash": hashed})
    if user is not None:
        # So quash knows that it never had the password, and takes a better hash that it supports.
        seq = _request(subject, {"password_hash": accounts.only_mark(user)}) or seq
    logger.error(
        "the user with the subject %s can't sign in at quash until the password is set again, or until a log-in at Django: "
        "quash refuses its hash (%s). The old password and its sessions have ended: put a hasher that quash supports "
        "first in PASSWORD_HASHERS",
        subject,
        error,
    )
    return seq


def _send(subject: str, fields: Set[str], *, is_new: bool, using: str) -> int | None:
    """Sends values until they are the newest. Raises ``KeyError`` if quash has no such account, and adds none."""
    seq = sent = None
    for _ in range(ATTEMPTS):
        user = accounts.find(subject, using)
        changes = accounts.values(user, fields) if user is not None else _changes_of_deleted(subject, fields)
        if changes == sent:
            return seq
        # Only a new account gets an unusable hash: one that exists keeps the password that it has at quash.
        added = accounts.values(user, {"password_hash"}) if is_new and user is not None else None
        # Another process may commit a newer value now, and its request may arrive before this one: so they are read
        # again afterwards.
        seq = _request(subject, changes, added) or seq
        sent = changes
    raise Unavailable("unavailable", f"the user with the subject {subject} changes too fast", 1)


def _changes_of_deleted(subject: str, fields: Set[str]) -> dict[str, Any]:
    # Also where the rows name other fields.
    wanted = fields | {"state"}
    return {name: value for name, value in accounts.values_of_deleted(subject).items() if name in wanted}


def _request(subject: str, changes: dict[str, Any], added: dict[str, Any] | None = None) -> int | None:
    """Sends changes. With ``added``, a missing account is added, with these values, too."""
    adds = added is not None and "username" in changes
    # An account in a batch has no password if none is sent, so a change comes first.
    if not adds or "password_hash" not in changes:
        try:
            return accounts_api.change(subject, changes, wait=quash_settings().wait_for_verifiers)
        except KeyError:
            if not adds:
                raise
    account = {"subject": subject, **(added or {}), **changes}
    # The hash says it.
    account.pop("password_mark", None)
    outcome = accounts_api.batch([account], within=accounts_api.PATIENCE)[0]
    if outcome["outcome"] == "refused":
        raise ValueError(f"quash refused the account {subject}: {outcome['field']}: {outcome['detail']}")
    accounts_api.note_warning(subject, outcome)
    return None
