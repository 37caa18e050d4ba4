"""``manage.py quash_drain``."""

import time
from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from quash_django.changes import outbox
from quash_django.management.watching import add_watch, watch_seconds

SHOWN = 20
"""The most refused messages that are listed."""


class Command(BaseCommand):
    help = "Sends revocations and changes of users that wait, such as those that a process lost when it exited."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_watch(parser)
        parser.add_argument(
            "--discard", nargs="+", type=UUID, metavar="ID", help="remove refused messages instead of sending them"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["discard"]:
            self._discard(options["discard"])
            return
        watch = watch_seconds(options)
        while True:
            sent, waiting = outbox.drain()
            if sent or waiting or watch is None:
                self.stdout.write(f"{sent} sent, {waiting} waiting")
            if watch is None:
                if waiting:
                    raise CommandError(self._why(waiting))
                return
            time.sleep(watch)

    def _why(self, waiting: int) -> str:
        """Lists the refused messages. Returns why messages wait, and what to do."""
        refused = outbox.refused()
        for row in refused[:SHOWN]:
            self.stdout.write(f"{row.pk}  {row.summary()}: {row.refusal}")
        count = refused.count()
        causes = []
        if count:
            causes.append(
                f"{count} were refused: correct the cause, which the next run tries, or remove one with "
                "`manage.py quash_drain --discard ID`"
            )
        if waiting > count:
            causes.append(
                f"{waiting - count} are younger than {outbox.GRACE} s, or quash gave no answer: run this again, and "
                "`manage.py quash_check` if they stay"
            )
        return f"{waiting} messages wait; {'; '.join(causes)}"

    def _discard(self, ids: list[UUID]) -> None:
        refused = outbox.refused()
        found = list(refused.filter(pk__in=ids))
        if missing := set(ids) - {row.pk for row in found}:
            raise CommandError(f"no refused message has the id {missing.pop()}; nothing was removed")
        for row in found:
            row.delete()
            self.stdout.write(f"removed {row.summary()}")
