"""Revocations and changes of users on their way to quash.

A message is a row in the caller's transaction. When the transaction commits, the row is sent and deleted; if quash is
unavailable it stays, the follower's thread tries revocations again, and ``quash_drain`` sends what waits.
"""

import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from django.contrib.auth import get_user_model
from django.db import DatabaseError, connections, router, transaction
from django.db.models import Q, QuerySet
from quash_verify import QuashError, Revocation, StartFailed, Unavailable

from ..client import shared_verifier
from ..conf import quash_settings
from ..models import QuashOutbox
from . import account_changes, accounts, current_request

logger = logging.getLogger("quash_django")

MOST = 1000
"""The most revocations in one request to quash."""

MOST_CHANGES = 100
"""The most changed users of one transaction that a request waits for: each takes a request of its own."""

QUIET = 1.0
"""The time, in seconds, for which nothing is sent after quash gave no answer: requests must not wait again."""

LATE = 2.0
"""The age, in seconds, from which a row that is sent leaves out later sign-ins."""

GRACE = 5
"""The age, in seconds, from which a row that has never failed counts as lost by its process."""

_NAMES = uuid.UUID("6f3c1f0e-52a4-4be0-9d0f-0a7f7a5b6f10")
_HELD = "quash_held"
_quiet_until = 0.0
_is_immediate = False


def add(revocations: Iterable[Revocation], *, using: str | None = None) -> None:
    """Writes revocations in the caller's transaction, and sends them once it commits.

    ``using`` is the database of the change that causes them. If that isn't the one with the outbox, the row is written
    before the change commits, and sent afterwards: it may exist without its change, but not the reverse.
    """
    _add([dict(revocation) for revocation in revocations], using)


def add_change(
    subject: str,
    fields: Iterable[str],
    *,
    is_new: bool,
    using: str | None = None,
    better_hash: tuple[str, str] | None = None,
) -> None:
    """Writes that values of a user have changed, as ``add`` does. They are read from the database of the change.

    ``better_hash`` has the marks of the hash that the user had and of the better one of the same password.
    """
    message: dict[str, Any] = {"account": subject, "fields": sorted(fields), "new": is_new}
    if better_hash is not None:
        message["better_hash"] = list(better_hash)
    _add_message(message, using)


def add_deletion(subject: str, *, using: str | None = None) -> None:
    """Writes that a user was deleted, or has another subject now, as ``add_change`` does."""
    _add_message({"account": subject, "fields": sorted(accounts.FIELDS), "new": False, "deleted": True}, using)


def _add_message(message: dict[str, Any], using: str | None) -> None:
    elsewhere = using is not None and using != database()
    _add([message | ({"using": using} if elsewhere else {})], using)


def _add(messages: Sequence[dict[str, Any]], using: str | None) -> None:
    own = database()
    using = using or own
    now = _now_ms()
    rows = [QuashOutbox(message=message, at_ms=now) for message in messages]
    if not rows:
        return
    QuashOutbox.objects.using(own).bulk_create(rows)
    if _is_immediate:
        deliver(rows, own)
        return
    connection = connections[using]
    waiting = _waiting(using)
    if not connection.in_atomic_block and not connection.__dict__.get(_HELD):
        # A transaction that was rolled back has left its rows here.
        waiting.clear()
    if not connection.get_autocommit() and not (connection.in_atomic_block and connection.commit_on_exit):
        logger.warning("%d messages wait for quash_drain: the site manages its transactions itself", len(rows))
        return
    waiting.update({row.id: row for row in rows})
    transaction.on_commit(partial(_send_waiting, using, connection.in_atomic_block), using=using)


def is_waiting(subject: str) -> bool:
    """Returns whether the caller's transaction ends all sessions of a user once it commits."""
    open_ones = (one.alias for one in connections.all(initialized_only=True) if one.in_atomic_block)
    return any(row.message.get("subject") == subject for using in open_ones for row in _waiting(using).values())


def database() -> str:
    """Returns the alias of the user model's database, where the rows are."""
    return router.db_for_write(get_user_model())


def deliver(rows: Sequence[QuashOutbox], using: str, *, is_drain: bool = False) -> int:
    """Sends rows and deletes them. Returns how many quash has confirmed; the others stay, with the follower as well
    unless ``is_drain``: a drain tries again by itself.

    Raises nothing that quash or the network causes: the answer to the user must not change.
    """
    found = quash_settings()
    changes = [row for row in rows if "account" in row.message]
    delivered = _deliver_changes(changes, using, is_drain=is_drain) if changes else 0
    rows = [row for row in rows if "account" not in row.message]
    for start in range(0, len(rows), MOST):
        batch = rows[start : start + MOST]
        try:
            _raise_if_quiet()
            receipt = shared_verifier.verifier().revoke(
                found.namespace,
                [_revocation(row) for row in batch],
                key=_key(batch),
                wait=found.wait_for_verifiers and not is_drain,
            )
        except (StartFailed, Unavailable) as error:
            _keep(batch, using, error, is_drain)
            continue
        except (QuashError, ValueError) as error:
            if len(batch) > 1:
                # One row that quash refuses must not hold up the others.
                halves = (batch[: len(batch) // 2], batch[len(batch) // 2 :])
                delivered += sum(deliver(half, using, is_drain=is_drain) for half in halves)
            else:
                _keep(batch, using, error, is_drain)
            continue
        delivered += len(batch)
        _confirmed(batch, using, receipt.seq)
    return delivered


def _deliver_changes(rows: Sequence[QuashOutbox], using: str, *, is_drain: bool) -> int:
    """Sends the values of users that have changed, one user at a time."""
    if not quash_settings().pushes_users:
        unsent = "changes of users aren't sent with the present MODE, USER_BY and PUSH_USERS in QUASH"
        _keep(rows, using, ValueError(unsent), is_drain)
        return 0
    by_account: dict[tuple[str, str], list[QuashOutbox]] = {}
    for row in rows:
        by_account.setdefault((row.message["account"], row.message.get("using", using)), []).append(row)
    delivered = 0
    for number, ((subject, source), own) in enumerate(by_account.items()):
        if number >= MOST_CHANGES and not is_drain:
            logger.info("%d changed users wait for quash_drain", len(by_account) - number)
            break
        if source not in connections:
            _keep(own, using, ValueError(f"the database {source!r} of the change isn't in DATABASES"), is_drain)
            continue
        fields = {field for row in own for field in row.message["fields"]}
        try:
            _raise_if_quiet()
            is_new = any(row.message["new"] for row in own)
            marked = [row.message for row in own if "password_mark" in row.message["fields"]]
            # A worker of an older version writes none: what it stored is known from its hash alone.
            has_marks = all("better_hash" in message for message in marked)
            marks = [message["better_hash"] for message in marked] if has_marks else []
            was_deleted = any(row.message.get("deleted") for row in own)
            ended = account_changes.send_deletion(subject, source) if was_deleted else None
            seq, refused = account_changes.send(subject, fields, is_new=is_new, using=source, better_hashes=marks)
            seq = seq or ended
        except QuashError as error:
            _keep(own, using, error, is_drain)
            continue
        confirmed = [row for row in own if not refused.keys() & set(row.message["fields"])]
        for row in own:
            if row not in confirmed:
                row.message["fields"] = [field for field in row.message["fields"] if field in refused]
                # Sent again, it would end what the next user of the subject has since.
                row.message.pop("deleted", None)
                _keep([row], using, refused[row.message["fields"][0]], is_drain)
        delivered += len(confirmed)
        _confirmed(confirmed, using, seq)
    return delivered


def _confirmed(rows: Sequence[QuashOutbox], using: str, seq: int | None) -> None:
    try:
        QuashOutbox.objects.using(using).filter(pk__in=[row.pk for row in rows]).delete()
    except DatabaseError:
        # They are sent again, which changes nothing.
        logger.exception("failed to delete messages that quash has confirmed")
    if seq is not None:
        catch_up(seq)


def drain(using: str | None = None) -> tuple[int, int]:
    """Sends the rows that wait. Returns how many quash has confirmed, and how many still wait."""
    using = using or database()
    waiting = QuashOutbox.objects.using(using)
    # Younger ones are being sent by their own process: sent twice, they would end sign-ins between the two.
    left = Q(before_ms__isnull=False) | Q(at_ms__lt=_now_ms() - GRACE * 1000)
    delivered, following = 0, left
    while rows := list(waiting.filter(following).order_by("at_ms", "pk")[:MOST]):
        delivered += deliver(rows, using, is_drain=True)
        if time.monotonic() < _quiet_until:
            break
        # Those that quash refuses stay, and must not hold up later ones.
        last = rows[-1]
        following = left & (Q(at_ms__gt=last.at_ms) | Q(at_ms=last.at_ms, pk__gt=last.pk))
    return delivered, waiting.count()


def refused() -> "QuerySet[QuashOutbox]":
    """Returns the rows that quash refused at the last attempt, the oldest first."""
    rows: QuerySet[QuashOutbox] = QuashOutbox.objects.using(database()).exclude(refusal="").order_by("at_ms", "pk")
    return rows


@contextmanager
def sent_immediately() -> Iterator[None]:
    """Sends without waiting for the end of the transaction, for tests that never commit one."""
    global _is_immediate
    former, _is_immediate = _is_immediate, True
    try:
        yield
    finally:
        _is_immediate = former


@contextmanager
def sent_afterwards(using: str) -> Iterator[None]:
    """Sends what is committed in a database meanwhile at the end of the block, also if the block raises."""
    connection = connections[using]
    depth = connection.__dict__.get(_HELD, 0)
    connection.__dict__[_HELD] = depth + 1
    try:
        yield
    finally:
        connection.__dict__[_HELD] = depth
        if not connection.in_atomic_block:
            _send_waiting(using, True)


def _send_waiting(using: str, was_atomic: bool) -> None:
    if connections[using].__dict__.get(_HELD):
        return
    waiting, own = _waiting(using), database()
    rows = list(waiting.values())
    waiting.clear()
    if not rows:
        # An earlier callback of the same transaction has sent them.
        return
    try:
        if was_atomic:
            # A savepoint may have been rolled back.
            keys = [row.pk for row in rows]
            kept: set[uuid.UUID] = set()
            for start in range(0, len(keys), MOST // 2):
                part = QuashOutbox.objects.using(own).filter(pk__in=keys[start : start + MOST // 2])
                kept.update(part.values_list("pk", flat=True))
            rows = [row for row in rows if row.pk in kept]
        deliver(rows, own)
    except Exception:
        # The change has been committed: its answer must not become an error.
        logger.exception("failed to send messages; quash_drain sends them")


def _keep(batch: Sequence[QuashOutbox], using: str, error: Exception, is_drain: bool) -> None:
    """Keeps rows that quash hasn't confirmed, and leaves them to the follower's thread."""
    global _quiet_until
    if isinstance(error, Unavailable) and time.monotonic() >= _quiet_until:
        _quiet_until = time.monotonic() + QUIET
    logger.error("%d messages wait, because quash hasn't confirmed them: %s", len(batch), error)
    now = _now_ms()
    try:
        fresh = [row for row in batch if row.before_ms is None]
        for row in fresh:
            # A process has lost the older ones at its exit.
            row.before_ms = now if now - row.at_ms < LATE * 1000 else row.at_ms
        if not isinstance(error, Unavailable):
            for row in batch:
                row.refusal = str(error)[:1000]
        changed = ["before_ms", "message", "refusal"]
        QuashOutbox.objects.using(using).bulk_update(batch, changed, batch_size=MOST // 4)
        if is_drain or "account" in batch[0].message or not isinstance(error, StartFailed | Unavailable):
            # A message that quash refuses now is refused later, too.
            return
        revocations = [_revocation(row) for row in batch]
        shared_verifier.verifier().revoke_later(quash_settings().namespace, revocations, _key(batch))
    except Exception:
        # The rows are in the database, and the answer to the user must not change.
        logger.exception("failed to leave revocations to the follower; quash_drain sends them")


def _revocation(row: QuashOutbox) -> Revocation:
    revocation = dict(row.message)
    before = row.before_ms
    if before is None and _now_ms() - row.at_ms > LATE * 1000:
        before = row.at_ms
    if before is not None and ("subject" in revocation or "everything" in revocation):
        revocation.setdefault("before", before / 1000)
    return cast(Revocation, revocation)


def _key(batch: Sequence[QuashOutbox]) -> str:
    """Returns the batch's idempotency key: another batch must not get this one's answer."""
    if len(batch) == 1:
        return str(batch[0].pk)
    return str(uuid.uuid5(_NAMES, ",".join(sorted(str(row.pk) for row in batch))))


def catch_up(seq: int) -> None:
    """Waits a moment for an entry that this request has caused: its next one, and new tokens, come after it."""
    current_request.note_sent(seq)
    try:
        shared_verifier.verifier().caught_up(seq)
    except QuashError as error:
        logger.warning("this process hasn't received its own revocation yet: %s", error)


def _raise_if_quiet() -> None:
    if time.monotonic() < _quiet_until:
        raise Unavailable("unavailable", "quash gave no answer a moment ago", 1)


def _waiting(using: str) -> dict[uuid.UUID, QuashOutbox]:
    # A connection belongs to one thread.
    return cast("dict[uuid.UUID, QuashOutbox]", connections[using].__dict__.setdefault("quash_waiting", {}))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
