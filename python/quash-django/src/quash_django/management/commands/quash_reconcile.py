"""``manage.py quash_reconcile``."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from quash_django.changes import marks
from quash_django.conf import quash_settings
from quash_django.management.watching import add_watch, watch_seconds


class Command(BaseCommand):
    help = (
        "Ends the sessions of users whose password, activity or existence changed since the last run without a signal: "
        "by QuerySet.update(), bulk_update or SQL. The first run only records the users."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_watch(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        watch = watch_seconds(options)
        if not quash_settings().keeps_issuing:
            raise CommandError("QUASH['MODE'] is 'quash_issues': run quash_import, which sends what has changed")
        while True:
            found = marks.reconcile()
            ended = found.changed + found.deactivated + found.deleted
            if ended or found.new or watch is None:
                self.stdout.write(
                    f"{found.users} users: {found.new} new, {found.changed} with another password, "
                    f"{found.deactivated} deactivated, {found.deleted} deleted"
                )
            if watch is None:
                return
            time.sleep(watch)
