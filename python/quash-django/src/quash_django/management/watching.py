"""The option ``--watch`` of commands that can repeat."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError


def add_watch(parser: ArgumentParser) -> None:
    parser.add_argument("--watch", type=float, metavar="SECONDS", help="repeat after so many seconds")


def watch_seconds(options: dict[str, Any]) -> float | None:
    """Returns the seconds between two runs; None: the command runs once."""
    watch: float | None = options["watch"]
    if watch is not None and not watch > 0:
        raise CommandError(f"--watch is {watch}: use more than 0 seconds")
    return watch
