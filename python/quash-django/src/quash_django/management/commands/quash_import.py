"""``manage.py quash_import``."""

import json
import os
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldError, ImproperlyConfigured, ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.db.models import Count, QuerySet
from django.db.models.functions import Lower, Trim
from quash_verify import QuashError

from quash_django.changes import accounts, outbox
from quash_django.client import accounts_api
from quash_django.conf import quash_settings

STATE = Path("quash_import.json")
"""The file in the current directory that says how far an import has come."""

OUTCOMES = ("created", "changed", "unchanged", "refused")


class Command(BaseCommand):
    help = (
        "Adds the site's users to quash with their password hashes, and updates those that it has. Run it again at any "
        "time: equal values change nothing, and an import that was interrupted continues where it ended."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="write nothing, and say what would be written")
        parser.add_argument("--batch", type=int, default=500, metavar="N", help="users in one request, 1 to 1000")
        parser.add_argument(
            "--where",
            action="append",
            default=[],
            metavar="EXPR",
            help="import only users with this value, as in QuerySet.filter: is_active=true, groups__name=staff, "
            "pk__in=1,2,3; repeat it for several conditions",
        )
        parser.add_argument(
            "--email-verified",
            metavar="PATH",
            help="the user's field, or the dotted path of a function that takes a user, which says whether the address "
            "is confirmed; without it that of QUASH['EMAIL_VERIFIED'], or every address is",
        )
        parser.add_argument(
            "--without-unknown-hashes",
            action="store_true",
            help="import users whose hash quash doesn't support without a password, instead of refusing them",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.is_dry: bool = options["dry_run"]
        self.is_lenient: bool = options["without_unknown_hashes"]
        self.using = outbox.database()
        self.totals: Counter[str] = Counter()
        if not 1 <= options["batch"] <= 1000:
            raise CommandError(f"--batch is {options['batch']}: use 1 to 1000")
        self.is_verified = _function(options["email_verified"])
        users = _chosen(get_user_model()._default_manager.using(self.using), options["where"])
        self.shared = _shared_addresses(self.using)
        progress = {"issuer": quash_settings().issuer, "where": options["where"]}
        last = None if self.is_dry else self._resume(progress)
        try:
            while page := _page(users if last is None else users.filter(pk__gt=last), options):
                self._send(page)
                last = page[-1].pk
                if not self.is_dry:
                    _write({**progress, "last": str(last), "totals": self.totals})
        except (QuashError, ValueError, KeyError, ImproperlyConfigured) as error:
            raise CommandError(f"stopped: {error}; run the command again to continue") from error
        if not self.is_dry:
            STATE.unlink(missing_ok=True)
        total = sum(self.totals.values())
        told = ", ".join(f"{self.totals[outcome]} {outcome}" for outcome in OUTCOMES)
        self.stdout.write(f"{total} users: {told}" + (" (nothing was written)" if self.is_dry else ""))
        if self.totals["refused"]:
            raise CommandError(f"{self.totals['refused']} of {total} users were refused; each is named above")

    def _resume(self, progress: dict[str, Any]) -> Any:
        """Returns the key of the last user that an interrupted import has sent."""
        if not STATE.exists():
            return None
        try:
            state = json.loads(STATE.read_text())
            last = get_user_model()._meta.pk.to_python(state["last"])
            self.totals = Counter({outcome: int(state["totals"].get(outcome, 0)) for outcome in OUTCOMES})
            same = all(state[name] == value for name, value in progress.items())
        except (OSError, ValueError, LookupError, TypeError, AttributeError, ValidationError) as error:
            raise CommandError(f"{STATE} can't be used ({error}): remove it to import all users") from error
        if not same:
            raise CommandError(f"{STATE} is of an import with another ISSUER or --where: finish that, or remove it")
        self.stdout.write(f"continuing after the user {last}, as {STATE} says")
        return last

    def _send(self, page: list[Any]) -> None:
        """Sends users, in several requests if they are too long for one."""
        subjects = accounts.subjects(page, self.using, adds=not self.is_dry)
        waiting: list[tuple[Any, dict[str, Any]]] = []
        size = 0
        for user in page:
            try:
                # In a dry run, a user may have no row in quash_account yet.
                account = {"subject": subjects.get(user.pk, f"(new) {user.pk}"), **self._values(user)}
                length = accounts_api.size(account)
            except ValueError as error:
                self._refuse(user, str(error))
                continue
            if waiting and size + length > accounts_api.BYTES:
                self._request_all(waiting)
                waiting, size = [], 0
            waiting.append((user, account))
            size += length
        if waiting:
            self._request_all(waiting)

    def _request_all(self, waiting: list[tuple[Any, dict[str, Any]]]) -> None:
        self._request(waiting)
        if not self.is_dry:
            self._push_changed(waiting)

    def _request(self, waiting: list[tuple[Any, dict[str, Any]]]) -> None:
        again = []
        for (user, account), outcome in zip(waiting, self._outcomes(waiting), strict=True):
            if outcome["outcome"] != "refused":
                self.totals[outcome["outcome"]] += 1
                if "warning" in outcome:
                    self.stderr.write(f"{_named(user)}: {outcome['warning']['detail']}")
            elif self.is_lenient and outcome["code"] == "hash_not_supported":
                self.stderr.write(f"{_named(user)}: without a password: {outcome['detail']}")
                again.append((user, {**account, "password_hash": accounts.only_mark(user)}))
            else:
                self._refuse(user, f"{outcome['field']}: {outcome['detail']} ({outcome['code']})")
        if again:
            self._request(again)

    def _push_changed(self, sent: list[tuple[Any, dict[str, Any]]]) -> None:
        """Sends users who were changed or deleted since they were read: the import may have undone it at quash."""
        newer = get_user_model()._default_manager.using(self.using).in_bulk([user.pk for user, _account in sent])
        for user, account in sent:
            if user.pk not in newer:
                outbox.add_deletion(account["subject"], using=self.using)
            elif self._differs(newer[user.pk], account):
                outbox.add_change(account["subject"], accounts.FIELDS, is_new=True, using=self.using)

    def _differs(self, user: Any, account: dict[str, Any]) -> bool:
        try:
            values, _is_shared = self._read(user)
        except ValueError:
            return True
        return any(account.get(name) != value for name, value in values.items())

    def _outcomes(self, waiting: list[tuple[Any, dict[str, Any]]]) -> list[dict[str, Any]]:
        return accounts_api.batch([account for _user, account in waiting], dry_run=self.is_dry)

    def _values(self, user: Any) -> dict[str, Any]:
        account, is_shared = self._read(user)
        if is_shared:
            self.stderr.write(f"{_named(user)}: several users have this address: it is left out")
        return account

    def _read(self, user: Any) -> tuple[dict[str, Any], bool]:
        """Returns the values of the user's account, and whether several users have the address, which is left out."""
        account = accounts.values(user, is_verified=self.is_verified)
        is_shared = account["email"] is not None and account["email"].lower() in self.shared
        if is_shared:
            account["email"] = None
        return account, is_shared

    def _refuse(self, user: Any, reason: str) -> None:
        self.stderr.write(f"{_named(user)}: refused: {reason}")
        self.totals["refused"] += 1


def _named(user: Any) -> str:
    return f"{user.pk} ({user.get_username()})"


def _function(path: str | None) -> Any:
    if path is None:
        return None
    try:
        return accounts.verification(path)
    except ImportError as error:
        raise CommandError(f"--email-verified can't be used ({error}): use a function's dotted path") from error


def _page(users: Any, options: dict[str, Any]) -> list[Any]:
    """Returns the next users. Whether the database can compare with a value shows only here."""
    try:
        return list(users[: options["batch"]])
    except (DatabaseError, OverflowError, ValueError) as error:
        if not options["where"]:
            raise
        raise CommandError(f"--where {' '.join(map(repr, options['where']))} can't be used: {error}") from error


def _chosen(users: Any, conditions: list[str]) -> QuerySet[Any]:
    """Returns the users that fulfil the conditions, in the order of their keys."""
    chosen: QuerySet[Any] = users.order_by("pk")
    for condition in conditions:
        name, is_given, text = condition.partition("=")
        lookup = name.rpartition("__")[2]
        value: Any = text.split(",") if lookup == "in" else text
        if text.lower() in ("true", "false"):
            value = text.lower() == "true"
        try:
            if not is_given:
                raise FieldError("write NAME=VALUE")
            chosen = chosen.filter(**{name.strip(): value})
        except (FieldError, ValidationError, ValueError, TypeError) as error:
            raise CommandError(f"--where {condition!r} can't be used: {error}") from error
    # A condition on a relation may find a user twice.
    return chosen.distinct() if conditions else chosen


def _shared_addresses(using: str) -> set[str]:
    """Returns the addresses that several users have, which no two accounts may."""
    model = get_user_model()
    name = accounts.address_field(model)
    if name is None:
        return set()
    users = model._default_manager.using(using).exclude(**{name: ""}).exclude(**{f"{name}__isnull": True})
    folded = users.annotate(folded=Lower(Trim(name))).order_by().values("folded").annotate(users=Count("pk"))
    return set(folded.filter(users__gt=1).values_list("folded", flat=True))


def _write(state: dict[str, Any]) -> None:
    # A kill in the middle must leave the former state.
    part = STATE.with_suffix(".part")
    try:
        part.write_text(json.dumps(state))
        os.replace(part, STATE)
    except OSError as error:
        raise CommandError(f"{STATE} can't be written ({error}): run the command in a directory of its own") from error
