"""``manage.py quash_revoke``."""

import uuid
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management.base import BaseCommand, CommandError
from quash_verify import QuashError, Revocation, StartFailed

from quash_django.changes.endings import subject_of
from quash_django.client import shared_verifier
from quash_django.client.reasons import explained
from quash_django.conf import quash_settings


class Command(BaseCommand):
    help = "Ends all sessions of a user, or one session."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", nargs="?", help="the user's name or primary key")
        parser.add_argument(
            "--session", metavar="SID", help="the id of one session: the claim `sid`, or that of SESSION_CLAIM"
        )
        parser.add_argument("--wait", action="store_true", help="wait until every verifier has confirmed, or is stale")

    def handle(self, *args: Any, **options: Any) -> None:
        found = quash_settings()
        user, session = options["user"], options["session"]
        if (user is None) == (session is None):
            raise CommandError("name either a user or --session SID")
        if session == "":
            raise CommandError("--session is empty: give the id of a session, the claim `sid` or that of SESSION_CLAIM")
        try:
            revocation: Revocation = (
                {"subject": subject_of(self._user(user))} if session is None else {"session": session}
            )
            verifier = shared_verifier.verifier()
        except ImproperlyConfigured as error:
            raise CommandError(f"nothing was revoked: {error}") from error
        revocation["reason"] = "revoked"
        try:
            receipt = verifier.revoke(found.namespace, [revocation], key=str(uuid.uuid4()), wait=options["wait"])
        except StartFailed as error:
            what, remedy = explained(error)
            raise CommandError(f"nothing was revoked: {what}: {remedy}") from error
        except (QuashError, ValueError) as error:
            raise CommandError(f"nothing was revoked: {error}") from error
        words = f"revoked, as entry {receipt.seq}"
        if options["wait"]:
            words += f": {receipt.confirmed} verifiers confirmed in {receipt.ms} ms"
        self.stdout.write(words)
        if options["wait"] and (receipt.stale or receipt.not_bound):
            raise CommandError(
                f"{receipt.stale} verifiers are stale, {receipt.not_bound} not bound: `quash verifier list` on quash's "
                "machine names their hosts. quash forgets a process that was killed an hour after its last word"
            )

    @staticmethod
    def _user(name: str) -> Any:
        model = get_user_model()
        users = model._default_manager
        user = users.filter(**{model.USERNAME_FIELD: name}).first()
        if user is None:
            try:
                user = users.filter(pk=name).first()
            except (ValueError, ValidationError):
                pass
        if user is None:
            raise CommandError(f"there is no user {name!r}")
        return user
