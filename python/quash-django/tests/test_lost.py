"""A change and its message exist together or not at all, whatever fails between the two."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core import serializers
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import signals
from model import Model
from servers import BINARY, PASSWORD, PATIENCE, Quash, environment, until

from quash_django.changes import outbox
from quash_django.models import QuashOutbox

needs_binary = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")
OTHER = "another horse battery staple"
NAMESPACE = """
[foreign.shop]
namespace = "shop"
session_claim = "qsid"
position_claim = "qsq"
max_lifetime = "2d"
"""
HASHERS = """
import os, signal
from cheap_hashers import CHEAP
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models.signals import post_save
settings.PASSWORD_HASHERS = CHEAP
"""
# A receiver of another application, which comes first in INSTALLED_APPS.
KILLED = """
def kill(**_):
    os.kill(os.getpid(), signal.SIGKILL)

post_save.connect(kill, sender=User)
post_save.receivers.insert(0, post_save.receivers.pop())
user = User.objects.get()
"""
CHANGES = [
    ("keep_issuing", f"user.set_password('{OTHER}'); user.save()"),
    ("quash_issues", "user.is_active = False; user.save(update_fields=['is_active'])"),
]


class Failed(Exception):
    pass


class Shell:
    """Processes of one site, on a database of their own."""

    def __init__(self, room: Path, mode: str) -> None:
        self.mode = mode
        (room / "quash.toml").write_text(NAMESPACE if mode == "keep_issuing" else "")
        self.quash = Quash(room, config=room / "quash.toml")
        credential = ["client", "add", "site", "--namespace", "shop"]
        secret = self.quash.run(*credential).strip() if mode == "keep_issuing" else self.quash.keeper()
        self._environment = environment(
            QUASH_URL=self.quash.url,
            QUASH_CREDENTIAL=secret,
            SITE_MODE=mode,
            SITE_GUARDED="1",
            SITE_DATABASE=str(room / "site.sqlite3"),
        )
        self.manage("migrate", "-v", "0")

    def manage(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "django", *arguments]
        return subprocess.run(command, env=self._environment | environment, capture_output=True, text=True, timeout=PATIENCE)

    def python(self, code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return self.manage("shell", "-v", "0", "-c", HASHERS + code, **environment)


@pytest.fixture
def shell(tmp_path: Path, request: Any) -> Iterator[Shell]:
    shell = Shell(tmp_path, request.param)
    yield shell
    shell.quash.stop()


@needs_binary
@pytest.mark.parametrize(("shell", "change"), CHANGES, indirect=["shell"])
def test_a_process_killed_after_the_change_loses_nothing(shell: Shell, change: str) -> None:
    made = shell.python(
        f"user = User.objects.create_user('dana', 'dana@example.org', '{PASSWORD}')\n"
        "from rest_framework_simplejwt.tokens import AccessToken\n"
        "print('token', AccessToken.for_user(user))\n"
    )
    token = made.stdout.split("token ")[-1].strip()
    issues = shell.mode == "quash_issues"
    pair = shell.quash.sign_in() if issues else {}
    ended = shell.python(KILLED + change)
    assert ended.returncode == -9, ended.stderr
    row = shell.python(
        "from quash_django.models import QuashOutbox\n"
        f"user = User.objects.get(); print(user.check_password('{PASSWORD}') and user.is_active)\n"
        "print(QuashOutbox.objects.count())\n"
    )
    assert row.stdout.split() == ["False", "1"], row.stderr
    until(lambda: "1 sent, 0 waiting" in shell.manage("quash_drain").stdout, "the drain has sent it")
    if issues:
        assert not shell.quash.is_live(pair)
        return
    refused = shell.python(
        "from rest_framework_simplejwt.tokens import AccessToken\n"
        "from rest_framework_simplejwt.exceptions import TokenError\n"
        "from quash_django.client import shared_verifier\n"
        "shared_verifier.verifier().warm()\n"
        f"try:\n    AccessToken('{token}')\nexcept TokenError as error:\n    print(error)\n"
    )
    assert "blacklisted" in refused.stdout, refused.stdout + refused.stderr


@needs_binary
@pytest.mark.parametrize("shell", ["quash_issues"], indirect=True)
def test_users_in_another_database_need_the_tables_there(shell: Shell) -> None:
    apart = {"DJANGO_SETTINGS_MODULE": "two_databases_settings", "SITE_ROUTER": "Users"}
    # Django counts the migrations as applied, although the router permits no table.
    shell.manage("migrate", "-v", "0", "--database", "users", "--skip-checks", **apart)
    for command in ("check", "quash_check"):
        ended = shell.manage(command, **apart)
        assert ended.returncode == 1 and "Traceback" not in ended.stderr
        assert "migrate quash_django --database users" in ended.stdout + ended.stderr
    apart["SITE_ROUTER"] = "UsersAndOutbox"
    ended = shell.manage("quash_check", **apart)
    assert "no such table" in ended.stdout and "migrate quash_django --database users" in ended.stdout
    assert "Traceback" not in ended.stderr
    shell.manage("migrate", "-v", "0", "--fake", "quash_django", "zero", "--database", "users", **apart)
    shell.manage("migrate", "-v", "0", "quash_django", "--database", "users", **apart)
    assert "FAIL" not in shell.manage("quash_check", **apart).stdout
    made = f"User.objects.create_user('dana', 'dana@example.org', '{PASSWORD}')"
    shell.python(made, **apart)
    pair = shell.quash.sign_in()
    ended = shell.python(f"user = User.objects.get(); user.set_password('{OTHER}'); user.save()", **apart)
    assert ended.returncode == 0 and not shell.quash.is_live(pair)


# A change in the second database, and what is known at quash before and after it is committed.
ELSEWHERE = """
from django.db import transaction
from quash_django.models import QuashOutbox

def told(when):
    print(when, QuashOutbox.objects.count(), known())

user = User.objects.db_manager("users").create_user("dana", password="{password}")
began()
with transaction.atomic(using="users"):
    user.set_password("{other}")
    user.save(using="users")
    told("within")
told("after")
try:
    with transaction.atomic(using="users"):
        user.is_active = False
        user.save(using="users")
        raise ZeroDivisionError
except ZeroDivisionError:
    told("rolled back")
"""
KNOWN = {
    "keep_issuing": """
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

def began():
    global token
    token = str(AccessToken.for_user(user))

def known():
    try:
        AccessToken(token)
        return True
    except TokenError:
        return False
""",
    "quash_issues": """
import json, os, urllib.error, urllib.request

def began():
    pass

def known():
    body = json.dumps({"username": "dana", "password": PASSWORD}).encode()
    request = urllib.request.Request(os.environ["QUASH_URL"] + "/api/token/", body, {"Content-Type": "application/json"})
    try:
        return urllib.request.urlopen(request).status == 200
    except urllib.error.HTTPError as error:
        assert error.code == 401, error.read()
        return False
""",
}


@needs_binary
@pytest.mark.parametrize("shell", ["keep_issuing", "quash_issues"], indirect=True)
def test_a_change_in_another_database_is_sent_once_it_is_committed(shell: Shell) -> None:
    both = {"DJANGO_SETTINGS_MODULE": "two_databases_settings", "SITE_ROUTER": "AsWritten"}
    assert shell.manage("migrate", "-v", "0", "--database", "users", **both).returncode == 0
    code = f"PASSWORD = {PASSWORD!r}\n" + KNOWN[shell.mode] + ELSEWHERE.format(password=PASSWORD, other=OTHER)
    ended = shell.python(code, **both)
    assert ended.returncode == 0, ended.stderr
    lines = [line for line in ended.stdout.splitlines() if line.startswith(("within", "after", "rolled"))]
    # The message of a change that was rolled back is sent later: it is one revocation too many, or repeats the
    # account's current values.
    assert lines == ["within 1 True", "after 0 False", "rolled back 1 False"], ended.stdout + ended.stderr
    if shell.mode == "quash_issues":
        until(lambda: "0 waiting" in shell.manage("quash_drain", **both).stdout, "the drain has sent it", PATIENCE)
        assert shell.quash.sign_in(password=OTHER), "the account is still active"


@contextmanager
def no_room() -> Iterator[None]:
    """Makes each INSERT into the outbox fail."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TRIGGER no_room BEFORE INSERT ON quash_outbox BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        try:
            yield
        finally:
            cursor.execute("DROP TRIGGER no_room")


@contextmanager
def first_receiver(receiver: Any, signal: Any = signals.post_save, sender: Any = User) -> Iterator[None]:
    """Connects a receiver before those of quash_django."""
    signal.connect(receiver, sender=sender)
    signal.receivers.insert(0, signal.receivers.pop())
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)


def fail(**_: Any) -> None:
    raise Failed


@pytest.mark.django_db(transaction=True)
class TestInOneProcess:
    def test_a_receiver_that_raises_loses_nothing(self, shop_on_commit: Model, dana: User) -> None:
        dana.set_password(OTHER)
        with first_receiver(fail), pytest.raises(Failed):
            dana.save()
        assert User.objects.get().check_password(OTHER)
        assert shop_on_commit.sent == [{"subject": str(dana.pk), "reason": "password_changed"}]
        with first_receiver(fail), pytest.raises(Failed):
            async_to_sync(dana.asave)()
        with first_receiver(fail), pytest.raises(Failed):
            User.objects.update_or_create(pk=dana.pk, defaults={"is_active": False})
        assert User.objects.get().is_active, "Django writes it in a transaction"
        assert len(shop_on_commit.sent) == 1

    def test_a_row_that_cant_be_written_undoes_the_change(self, shop_on_commit: Model, dana: User) -> None:
        from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
        from rest_framework_simplejwt.tokens import RefreshToken

        RefreshToken.for_user(dana)
        dana.set_password(OTHER)
        with no_room():
            for change in (dana.save, async_to_sync(dana.asave), dana.delete, User.objects.all().delete):
                with pytest.raises(DatabaseError, match="no room"):
                    change()
            with pytest.raises(DatabaseError, match="no room"):
                BlacklistedToken.objects.create(token=OutstandingToken.objects.get())
            with pytest.raises(DatabaseError), transaction.atomic():
                # The site's transaction is lost, as with any other failure of `save`.
                with suppress(DatabaseError):
                    dana.save()
                User.objects.create_user("kim")
            (fixture,) = serializers.deserialize("python", serializers.serialize("python", [dana]))
            with pytest.raises(DatabaseError, match="no room"):
                fixture.save()
        assert User.objects.get(pk=dana.pk).check_password("correct horse") and User.objects.count() == 1
        assert not BlacklistedToken.objects.exists() and shop_on_commit.sent == []

    def test_a_token_that_ends_with_its_transaction_is_an_error_in_development(
        self, shop_on_commit: Model, dana: User, settings: Any, caplog: Any
    ) -> None:
        from rest_framework_simplejwt.tokens import RefreshToken

        def change() -> None:
            with transaction.atomic():
                dana.set_password(OTHER)
                dana.save()
                RefreshToken.for_user(dana)

        change()
        assert "`non_atomic_requests`" in caplog.text
        settings.DEBUG = True
        with pytest.raises(ImproperlyConfigured, match="`non_atomic_requests`"):
            change()

    def test_fixtures_end_sessions(self, shop_on_commit: Model, dana: User, tmp_path: Path) -> None:
        dana.set_password(OTHER)
        (tmp_path / "users.json").write_text(serializers.serialize("json", [dana]))
        call_command("loaddata", str(tmp_path / "users.json"), "-v", "0")
        assert shop_on_commit.sent == [{"subject": str(dana.pk), "reason": "password_changed"}]

    def test_an_undone_savepoint_takes_the_row_along(self, shop_on_commit: Model, dana: User) -> None:
        with transaction.atomic():
            dana.set_password(OTHER)
            with pytest.raises(Failed), transaction.atomic():
                dana.save()
                raise Failed
            assert not QuashOutbox.objects.exists()
            User.objects.create_user("kim")
        assert shop_on_commit.sent == []

    def test_a_site_that_commits_itself_keeps_the_row(
        self, shop_on_commit: Model, dana: User, caplog: Any
    ) -> None:
        transaction.set_autocommit(False)
        try:
            dana.set_password(OTHER)
            dana.save()
            transaction.commit()
            assert shop_on_commit.sent == [] and "manages its transactions" in caplog.text
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)
        assert QuashOutbox.objects.count() == 1 and shop_on_commit.sent == []

    def test_a_log_in_needs_no_transaction(
        self, shop_on_commit: Model, dana: User, django_assert_num_queries: Any
    ) -> None:
        with django_assert_num_queries(1):
            dana.save(update_fields=["last_login"])


@needs_binary
@pytest.mark.django_db(transaction=True)
def test_claims_from_a_row_of_another_receiver_are_sent(
    tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many sites write a profile when a user has been created."""
    import user_functions
    from cheap_hashers import CHEAP

    from quash_django.client import shared_verifier

    quash = Quash(tmp_path)
    settings.PASSWORD_HASHERS = CHEAP
    settings.QUASH = {"ISSUER": quash.url, "CREDENTIAL": quash.keeper(), "MODE": "quash_issues"}
    settings.QUASH |= {"CLAIMS": "user_functions.profile"}
    known: dict[Any, str] = {}
    monkeypatch.setattr(user_functions, "profile", lambda user: {"role": known[user.pk]}, raising=False)
    shared_verifier.install(None)
    outbox._quiet_until = 0.0

    def write(instance: User, **_: Any) -> None:
        known[instance.pk] = "clerk"

    try:
        with first_receiver(write):
            User.objects.create_user("dana", "dana@example.org", PASSWORD)
        assert quash.sign_in() and not QuashOutbox.objects.exists()
    finally:
        quash.stop()
        shared_verifier.install(None)
