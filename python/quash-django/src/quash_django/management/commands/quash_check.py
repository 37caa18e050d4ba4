"""``manage.py quash_check``."""

import secrets
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core import checks
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from quash_verify import QuashError, StartFailed

from quash_django.changes import outbox
from quash_django.client import accounts_api, shared_verifier
from quash_django.client.reasons import explained
from quash_django.conf import QuashSettings, command, ends_sessions, quash_settings
from quash_django.models import QuashOutbox

PAST_DUE = 60
"""The age, in seconds, from which a waiting revocation is a failure."""

SHOWN = 20
"""The most refused messages that are listed."""


class Command(BaseCommand):
    help = "Checks the settings, the connection to quash, the credential's rights, the namespace and the clocks."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--deploy", action="store_true", help="also fail for warnings")

    def handle(self, *args: Any, **options: Any) -> None:
        failures = 0
        messages = checks.run_checks(tags=["quash"])
        # Nothing can be tried out without the credential, either.
        stopping = [message for message in messages if message.is_serious() or message.id == "quash.W008"]
        for message in messages:
            if message.is_silenced() and message not in stopping:
                continue
            is_failure = message in stopping or options["deploy"]
            failures += is_failure
            self._say("FAIL" if is_failure else "WARN", f"{message.id}: {message.msg}", message.hint)
        if not stopping:
            for is_good, what, remedy in self._probe(quash_settings()):
                failures += not is_good
                self._say("ok  " if is_good else "FAIL", what, None if is_good else remedy)
        if failures:
            raise CommandError(f"{failures} failed")

    def _probe(self, found: QuashSettings) -> Iterator[tuple[bool, str, str | None]]:
        verifier = shared_verifier.verifier()
        try:
            verifier.warm()
        except QuashError as error:
            what, remedy = explained(error)
            yield False, f"the verifier can't start: {what}", remedy
            return
        yield verifier.state == "fresh", f"the verifier is {verifier.state}", "check that quash can be reached"
        if found.keeps_issuing:
            yield self._asks(found)
            yield self._revokes(found)
            yield True, _verified_by(), None
        elif ends_sessions(found):
            yield self._ends()
        if found.pushes_users:
            yield self._changes_accounts()
        using = outbox.database()
        try:
            yield from self._waiting(using)
        except DatabaseError as error:
            remedy = (
                f"run `manage.py migrate quash_django --database {using}`, and before that, if DATABASE_ROUTERS didn't "
                f"permit the tables, `manage.py migrate --fake quash_django zero --database {using}`"
            )
            yield False, f"the table quash_outbox of the database {using!r} can't be read: {error}", remedy

    @staticmethod
    def _waiting(using: str) -> Iterator[tuple[bool, str, str | None]]:
        for row in outbox.refused()[:SHOWN]:
            remedy = f"correct the cause and run `manage.py quash_drain`, or remove it with `--discard {row.pk}`"
            yield False, f"quash refuses a message: {row.summary()}: {row.refusal}", remedy
        rows = QuashOutbox.objects.using(using).filter(refusal="")
        late = rows.filter(at_ms__lt=(time.time() - PAST_DUE) * 1000).count()
        yield not late, f"{late} messages wait for more than {PAST_DUE} s", "run `manage.py quash_drain` every minute"

    @staticmethod
    def _asks(found: QuashSettings) -> tuple[bool, str, str | None]:
        """Asks about a token with the longest lifetime that the site issues."""
        verifier = shared_verifier.verifier()
        longest = _longest_lifetime()
        now = int(time.time())
        try:
            verifier.ask(found.namespace, session="quash_check", issued_at=now, expires_at=now + longest)
        except QuashError as error:
            remedy = (
                f"set `max_lifetime` of [foreign.{found.namespace}] to at least {longest} s, which covers the site's "
                "tokens and sessions, and compare this machine's clock with quash's"
            )
            return False, f"a new token of the namespace {found.namespace!r} would be refused: {error}", remedy
        return True, f"new tokens of the namespace {found.namespace!r} are accepted", None

    @staticmethod
    def _revokes(found: QuashSettings) -> tuple[bool, str, str | None]:
        """Revokes a session that can't exist, and sees it refused."""
        verifier = shared_verifier.verifier()
        session = f"quash_check-{secrets.token_hex(8)}"
        now = int(time.time())
        try:
            receipt = verifier.revoke(
                str(found.namespace), [{"session": session, "exp": now + 60, "reason": "revoked"}], key=session
            )
        except QuashError as error:
            remedy = f"create the credential with `{command(found)}`"
            return False, f"the credential can't revoke: {error}", remedy
        if not verifier.caught_up(receipt.seq, 2.0):
            return False, "a revocation hasn't arrived here within 2 s", "check the connection to quash"
        try:
            verifier.ask(found.namespace, session=session, issued_at=now, expires_at=now + 60)
        except QuashError:
            return True, "a revoked session is refused", None
        return False, "a revoked session is accepted", "update quash-verify and quash to the same version"

    @staticmethod
    def _ends() -> tuple[bool, str, str | None]:
        """Ends a session that can't exist."""
        try:
            shared_verifier.verifier().revoke(None, [{"session": secrets.token_hex(16), "reason": "log_out"}])
        except QuashError as error:
            remedy = f"create the credential with `{command(quash_settings())}`"
            return False, f"the credential can't end sessions: {error}", remedy
        return True, "the credential can end sessions", None

    @staticmethod
    def _changes_accounts() -> tuple[bool, str, str | None]:
        """Asks what would become of an account that doesn't exist, with a hash as Django makes them."""
        hashed = make_password(secrets.token_hex(16))
        account = {"subject": "quash_check", "username": "quash_check", "password_hash": hashed}
        try:
            outcome = accounts_api.batch([account], dry_run=True)[0]
        except StartFailed as error:
            return False, error.args[0], f"{error.remedy}, or set QUASH['PUSH_USERS'] to False"
        except (QuashError, ValueError, KeyError) as error:
            return False, f"changes of users don't reach quash: {error}", "check quash's address and version"
        if outcome.get("field") == "password_hash":
            remedy = "put a hasher first that quash supports: until then a changed password is refused at quash"
            return False, f"quash refuses the first of PASSWORD_HASHERS: {outcome['detail']}", remedy
        return True, "the credential may change accounts", None

    def _say(self, mark: str, what: str, remedy: str | None) -> None:
        self.stdout.write(f"{mark} {what}" + (f"\n     {remedy}" if remedy else ""))


def _verified_by() -> str:
    """Says whether the native verifier accepts the tokens that this site issues."""
    try:
        import jwt
        from rest_framework_simplejwt.settings import api_settings
        from rest_framework_simplejwt.tokens import AccessToken

        from quash_django import simplejwt
        from quash_django.authentication import native
    except ImportError:
        return "Simple JWT isn't installed"
    token = AccessToken()
    token[api_settings.USER_ID_CLAIM] = "quash_check"
    simplejwt.begin_session(token)
    try:
        text = str(token)
    except (jwt.PyJWTError, TypeError, ValueError) as error:
        return f"this site can't issue tokens ({error})"
    if native.decode(token.get_token_backend(), text) is not None:
        return "access tokens are verified natively"
    return "access tokens are verified by PyJWT: quash has no key of this site, or other names of its claims"


def _longest_lifetime() -> int:
    """Returns the time, in seconds, for which quash must remember a revocation of this site."""
    longest = [300]
    try:
        from rest_framework_simplejwt.settings import api_settings
    except ImportError:
        pass
    else:
        # The access token of the last refresh is valid after the refresh token has expired.
        longest.append(int((api_settings.REFRESH_TOKEN_LIFETIME + api_settings.ACCESS_TOKEN_LIFETIME).total_seconds()))
        longest.append(int(api_settings.SLIDING_TOKEN_REFRESH_LIFETIME.total_seconds()))
    if "quash_django.middleware.SessionMiddleware" in settings.MIDDLEWARE:
        longest.append(settings.SESSION_COOKIE_AGE)
    return max(longest)
