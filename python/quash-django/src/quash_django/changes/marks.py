"""Finds changes of users that no signal reports: ``QuerySet.update()``, ``bulk_update`` and SQL."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from django.contrib.auth import get_user_model
from django.db import connections, transaction
from django.utils.crypto import salted_hmac

from ..conf import user_id_field
from ..models import QuashMark
from . import outbox
from .endings import end_subjects

CHUNK = 500


class Found(NamedTuple):
    """The result of a run."""

    users: int
    new: int
    changed: int
    deactivated: int
    deleted: int


class _User(NamedTuple):
    subject: str
    fingerprint: str
    is_active: bool


def fingerprint(password: Any) -> str:
    """Returns the keyed hash of a user's password field."""
    return salted_hmac("quash_django.marks", str(password), algorithm="sha256").hexdigest()


def update(subjects: set[str], subject: str, password: Any, is_active: bool) -> None:
    """Marks a change that was seen otherwise, so that no run reports it again."""
    marks = QuashMark.objects.using(outbox.database())
    if gone := subjects - {subject}:
        marks.filter(pk__in=gone).delete()
    marks.filter(pk=subject).update(fingerprint=fingerprint(password), is_active=is_active)


def replace(subject: str, former: Any, password: Any) -> None:
    """Marks a better hash of the same password, if the former one is that of the last run."""
    marks = QuashMark.objects.using(outbox.database())
    marks.filter(pk=subject, fingerprint=fingerprint(former)).update(fingerprint=fingerprint(password))


def forget(subjects: Iterable[str]) -> None:
    """Drops the marks of users that don't exist any more."""
    QuashMark.objects.using(outbox.database()).filter(pk__in=list(subjects)).delete()


def reconcile() -> Found:
    """Ends the sessions of users that differ from the last run. The first run only marks them."""
    using = outbox.database()
    marks = QuashMark.objects.using(using)
    users = new = changed = deactivated = deleted = 0
    for chunk in _chunks(_users(using)):
        users += len(chunk)
        known = marks.in_bulk([user.subject for user in chunk])
        fresh = [user for user in chunk if user.subject not in known]
        marks.bulk_create([_mark(user) for user in fresh], ignore_conflicts=True)
        new += len(fresh)
        suspects = [user.subject for user in chunk if user.subject in known and _mark_of(known[user.subject]) != user]
        if suspects:
            one, other = _end_changed(suspects, using)
            changed, deactivated = changed + one, deactivated + other
    for subjects in _chunks(marks.values_list("pk", flat=True).iterator(chunk_size=CHUNK)):
        existing = {user.subject for user in _users(using, subjects)}
        gone = [subject for subject in subjects if subject not in existing]
        if gone:
            with transaction.atomic(using=using):
                end_subjects(gone, "deleted")
                forget(gone)
            deleted += len(gone)
    return Found(users, new, changed, deactivated, deleted)


def _end_changed(subjects: list[str], using: str) -> tuple[int, int]:
    """Reads the suspects again under a lock: a change through Django may have been marked meanwhile."""
    marks = QuashMark.objects.using(using)
    with transaction.atomic(using=using):
        locked = marks.select_for_update() if connections[using].features.has_select_for_update else marks
        known = {mark.pk: mark for mark in locked.filter(pk__in=subjects)}
        users = [user for user in _users(using, subjects) if user.subject in known]
        changed = [user for user in users if known[user.subject].fingerprint != user.fingerprint]
        ended = {user.subject for user in changed}
        deactivated = [
            user for user in users if user.subject not in ended and known[user.subject].is_active and not user.is_active
        ]
        for group, reason in ((changed, "password_changed"), (deactivated, "deactivated")):
            end_subjects([user.subject for user in group], reason)
        # Only the marks that differ are written; a reactivated user's is one of them.
        marks.bulk_update([_mark(user) for user in users], ["fingerprint", "is_active"], batch_size=CHUNK // 2)
    return len(changed), len(deactivated)


def _users(using: str, subjects: list[str] | None = None) -> Iterator[_User]:
    model = get_user_model()
    has_active = any(field.name == "is_active" for field in model._meta.concrete_fields)
    names = [user_id_field(), "password", *(["is_active"] if has_active else [])]
    found = model._base_manager.using(using)
    rows = found.order_by("pk") if subjects is None else found.filter(**{f"{names[0]}__in": subjects})
    for row in rows.values_list(*names).iterator(chunk_size=CHUNK):
        yield _User(str(row[0]), fingerprint(row[1]), bool(row[2]) if has_active else True)


def _mark(user: _User) -> QuashMark:
    return QuashMark(subject=user.subject, fingerprint=user.fingerprint, is_active=user.is_active)


def _mark_of(mark: QuashMark) -> _User:
    return _User(mark.subject, mark.fingerprint, mark.is_active)


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    remaining = iter(items)
    while chunk := list(islice(remaining, CHUNK)):
        yield chunk
