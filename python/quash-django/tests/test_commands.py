"""The commands, with changes that no signal reports."""

import json
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from model import Model
from quash_verify.testing import TestIssuer
from rest_framework.test import APIClient

from quash_django.changes import outbox
from quash_django.changes.marks import reconcile
from quash_django.models import QuashMark, QuashOutbox

pytestmark = pytest.mark.django_db


@pytest.fixture
def users(shop: Model) -> list[User]:
    users = [User.objects.create_user(f"user{number}", password="correct horse") for number in range(1203)]
    assert reconcile() == (1203, 1203, 0, 0, 0) and reconcile() == (1203, 0, 0, 0, 0)
    assert shop.sent == []
    return users


def test_reconcile_finds_changes_without_signals(shop: Model, users: list[User]) -> None:
    ids = [user.pk for user in users]
    User.objects.filter(pk=ids[0]).update(password=make_password("other"))
    User.objects.filter(pk__in=ids[700:702]).update(is_active=False)
    User.objects.filter(pk=ids[1]).update(is_active=False, password=make_password("other"))
    User.objects.filter(pk=ids[5])._raw_delete(using="default")
    assert shop.sent == []
    assert reconcile() == (1202, 0, 2, 2, 1)
    assert [(sent["subject"], sent["reason"]) for sent in shop.sent] == [
        (str(ids[0]), "password_changed"),
        (str(ids[1]), "password_changed"),
        (str(ids[700]), "deactivated"),
        (str(ids[701]), "deactivated"),
        (str(ids[5]), "deleted"),
    ]
    User.objects.filter(pk=ids[700]).update(is_active=True)
    assert reconcile() == (1202, 0, 0, 0, 0) == reconcile()
    assert len(shop.sent) == 5


def test_reconcile_ends_no_session_that_a_signal_has_ended(shop: Model, users: list[User]) -> None:
    users[0].set_password("other")
    users[0].save()
    users[1].is_active = False
    users[1].save()
    users[2].delete()
    # A better hash of the same password.
    User.objects.filter(pk=users[3].pk).update(password=make_password("correct horse", hasher="scrypt"))
    QuashMark.objects.all().delete()
    reconcile()
    shop.sent.clear()
    assert User.objects.get(pk=users[3].pk).check_password("correct horse")
    users[4].set_password("other")
    users[4].save()
    assert len(shop.sent) == 1
    assert reconcile() == (1202, 0, 0, 0, 0) and len(shop.sent) == 1


def test_reconcile_finds_a_change_before_a_better_hash(shop: Model, dana: User, settings: Any) -> None:
    reconcile()
    User.objects.filter(pk=dana.pk).update(password=make_password("other", hasher="scrypt"))
    # Django stores a better hash at a log-in, which is of the same password, but not of the last run's.
    assert User.objects.get(pk=dana.pk).check_password("other") and shop.sent == []
    assert reconcile() == (1, 0, 1, 0, 0)
    assert [(sent["subject"], sent["reason"]) for sent in shop.sent] == [(str(dana.pk), "password_changed")]
    settings.PASSWORD_HASHERS = settings.PASSWORD_HASHERS[::-1]
    User.objects.filter(pk=dana.pk).update(is_active=False)
    former = User.objects.get(pk=dana.pk).password
    assert User.objects.get(pk=dana.pk).check_password("other")
    assert User.objects.get(pk=dana.pk).password != former
    assert reconcile() == (1, 0, 0, 1, 0) and shop.sent[-1]["reason"] == "deactivated"


def test_marks_contain_no_password(shop: Model, users: list[User]) -> None:
    mark = QuashMark.objects.first()
    assert mark is not None and len(mark.fingerprint) == 64 and users[0].password not in mark.fingerprint


def test_reconcile_says_what_it_found(shop: Model, dana: User, capsys: Any) -> None:
    call_command("quash_reconcile")
    assert "1 users: 1 new, 0 with another password" in capsys.readouterr().out


def test_revoke_ends_a_user_or_a_session(shop: Model, dana: User, capsys: Any) -> None:
    call_command("quash_revoke", "dana")
    call_command("quash_revoke", str(dana.pk))
    call_command("quash_revoke", "--session", "s-1")
    subject = {"subject": str(dana.pk), "reason": "revoked"}
    assert shop.sent == [subject, subject, {"session": "s-1", "reason": "revoked"}]
    assert f"as entry {shop.seq}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["kim"], "no user 'kim'"), ([], "either a user or"), (["dana", "--session", "x"], "either a user or")],
)
def test_revoke_names_the_mistake(shop: Model, dana: User, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("quash_revoke", *arguments)
    assert shop.sent == []


def test_revoke_fails_while_quash_is_unavailable(shop: Model, dana: User) -> None:
    shop.is_up = False
    with pytest.raises(CommandError, match="nothing was revoked"):
        call_command("quash_revoke", "dana")
    assert not QuashOutbox.objects.exists()


def test_revoke_ends_sessions_that_quash_has_opened(issuer: TestIssuer, dana: User) -> None:
    first, second = issuer.token(dana.pk), issuer.token(dana.pk)
    call_command("quash_revoke", "--session", issuer.session(first))
    client = APIClient()

    def status(token: str) -> int:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return int(client.get("/me/").status_code)

    assert (status(first), status(second)) == (401, 200)
    call_command("quash_revoke", "dana")
    assert (status(second), status(issuer.token(dana.pk))) == (401, 200)
    with pytest.raises(CommandError, match="nothing was revoked"):
        call_command("quash_revoke", "--session", "s-1")


def test_reconcile_is_of_the_other_mode(issuer: TestIssuer) -> None:
    with pytest.raises(CommandError, match="run quash_import"):
        call_command("quash_reconcile")


def test_status_shows_the_verifier(issuer: Any, capsys: Any) -> None:
    call_command("quash_status", "--json")
    status = json.loads(capsys.readouterr().out)
    assert (status["mode"], status["state"]) == ("quash_issues", "fresh")
    call_command("quash_status")
    assert "state" in capsys.readouterr().out


def test_check_probes_the_connection(issuer: Any, capsys: Any, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "PUSH_USERS": False}
    from quash_django.client import shared_verifier

    shared_verifier.install(issuer.verifier())
    call_command("quash_check")
    out = capsys.readouterr().out
    assert "ok   the verifier is fresh" in out
    # The credential is in the settings.
    assert "WARN quash.W001: " in out and "use CREDENTIAL_FILE" in out
    with pytest.raises(CommandError, match="failed"):
        call_command("quash_check", "--deploy")
    assert "FAIL quash.W001: " in capsys.readouterr().out
    settings.SILENCED_SYSTEM_CHECKS = ["quash.W001"]
    call_command("quash_check")
    assert "W001" not in capsys.readouterr().out


def test_check_revokes_and_sees_it(shop: Model, capsys: Any, monkeypatch: Any) -> None:
    from quash_django.management.commands.quash_check import Command

    monkeypatch.setattr(shop, "metrics", lambda: None, raising=False)
    call_command("quash_check")
    out = capsys.readouterr().out
    assert "new tokens of the namespace 'shop' are accepted" in out and "a revoked session is refused" in out
    QuashOutbox.objects.create(message={"session": "s"}, at_ms=outbox._now_ms() - 120_000)
    shop.is_up = False
    with pytest.raises(CommandError, match="2 failed"):
        call_command("quash_check")
    out = capsys.readouterr().out
    assert "quash client add NAME --namespace shop" in out and "1 messages wait" in out
    assert Command.help
