"""``manage.py quash_drain``."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from quash_django import outbox
from quash_django.management.watching import add_watch, watch_seconds


class Command(BaseCommand):
    help = "Sends revocations and changes of users that wait, such as those that a process lost when it exited."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_watch(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        watch = watch_seconds(options)
        while True:
            sent, waiting = outbox.drain()
            if sent or waiting or watch is None:
                self.stdout.write(f"{sent} sent, {waiting} waiting")
            if watch is None:
                if waiting:
                    raise CommandError(
                        "some messages wait: either they are younger than "
                        f"{outbox.GRACE} s, or quash hasn't confirmed them; `manage.py quash_check` says why"
                    )
                return
            time.sleep(watch)
