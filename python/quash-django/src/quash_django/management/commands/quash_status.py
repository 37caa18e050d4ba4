"""``manage.py quash_status``."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from quash_verify import QuashError

from quash_django.changes import outbox
from quash_django.client import shared_verifier
from quash_django.client.reasons import explained
from quash_django.conf import credential_fault, quash_settings
from quash_django.models import QuashMark, QuashOutbox


class Command(BaseCommand):
    help = "Starts a verifier in this process and shows its state, and the messages that wait in the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        found = quash_settings()
        fault = credential_fault(found)
        if fault is not None:
            raise CommandError(f"{fault[0]}; `manage.py quash_check` names the remedy")
        status: dict[str, Any] = {"mode": found.mode, "issuer": found.issuer}
        try:
            shared_verifier.verifier().warm()
        except QuashError as error:
            status["error"] = ": ".join(explained(error))
        metrics = shared_verifier.verifier().metrics()
        status |= {"state": metrics.state, "newest entry": metrics.cursor, "revoked scopes": metrics.entries}
        using = outbox.database()
        rows = QuashOutbox.objects.using(using)
        status["waiting messages"] = rows.count()
        oldest = rows.order_by("at_ms").first()
        if oldest is not None:
            status["oldest waits for seconds"] = round((outbox._now_ms() - oldest.at_ms) / 1000)
        if found.keeps_issuing:
            status["namespace"] = found.namespace
            status["users seen by quash_reconcile"] = QuashMark.objects.using(using).count()
        if options["json"]:
            self.stdout.write(json.dumps({name.replace(" ", "_"): value for name, value in status.items()}))
            return
        width = max(map(len, status))
        for name, value in status.items():
            self.stdout.write(f"{name:<{width}}  {value}")
