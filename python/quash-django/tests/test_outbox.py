"""Revocations in the caller's transaction, and their way to quash."""

import time
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import transaction
from model import Model

from quash_django import end_session, end_user
from quash_django.changes import outbox
from quash_django.models import QuashOutbox

pytestmark = pytest.mark.django_db(transaction=True)


class Undo(Exception):
    pass


def test_a_revocation_is_sent_once_the_transaction_commits(shop_on_commit: Model, dana: User) -> None:
    with transaction.atomic():
        dana.set_password("other")
        dana.save()
        assert shop_on_commit.sent == [] and QuashOutbox.objects.count() == 1
    assert shop_on_commit.sent == [{"subject": str(dana.pk), "reason": "password_changed"}]
    assert not QuashOutbox.objects.exists()


def test_a_token_of_the_transaction_that_ends_it_is_reported(shop_on_commit: Model, dana: User, caplog: Any) -> None:
    from rest_framework_simplejwt.tokens import AccessToken

    with transaction.atomic():
        AccessToken.for_user(dana)
        assert caplog.text == ""
        dana.set_password("other")
        dana.save()
        AccessToken.for_user(dana)
    assert "issue it after the commit" in caplog.text
    caplog.clear()
    AccessToken.for_user(dana)
    assert caplog.text == ""


def test_outside_of_a_transaction_it_is_sent_at_once(shop_on_commit: Model, dana: User) -> None:
    end_session("s-1")
    assert [sent["session"] for sent in shop_on_commit.sent] == ["s-1"] and not QuashOutbox.objects.exists()


def test_a_rolled_back_change_ends_nothing(shop_on_commit: Model, dana: User) -> None:
    with pytest.raises(Undo), transaction.atomic():
        dana.set_password("other")
        dana.save()
        raise Undo
    assert shop_on_commit.sent == [] and not QuashOutbox.objects.exists()
    # State left by the transaction affects neither the next transaction nor a change without one.
    with transaction.atomic():
        end_session("s-1")
    with pytest.raises(Undo), transaction.atomic():
        end_session("undone")
        raise Undo
    end_session("s-2")
    assert [sent.get("session") for sent in shop_on_commit.sent] == ["s-1", "s-2"]


@pytest.mark.parametrize("first", [True, False])
def test_a_rolled_back_savepoint_ends_nothing(shop_on_commit: Model, dana: User, first: bool) -> None:
    with transaction.atomic():
        if not first:
            end_session("kept")
        with pytest.raises(Undo), transaction.atomic():
            end_session("undone")
            raise Undo
        if first:
            end_session("kept")
    assert [sent["session"] for sent in shop_on_commit.sent] == ["kept"]


def test_revocations_of_one_transaction_share_a_request(shop_on_commit: Model, dana: User) -> None:
    with transaction.atomic():
        for number in range(2500):
            end_session(f"s-{number}")
    assert len(shop_on_commit.sent) == 2500 and len(shop_on_commit.keys) == 3
    assert len(set(shop_on_commit.keys)) == 3 and not QuashOutbox.objects.exists()


def test_the_key_follows_from_the_rows(shop_on_commit: Model) -> None:
    rows = [QuashOutbox(message={"session": str(n)}, at_ms=0) for n in range(3)]
    assert outbox._key(rows[:1]) == str(rows[0].pk)
    assert outbox._key(rows[:2]) == outbox._key(rows[1::-1]) != outbox._key(rows)
    assert uuid.UUID(outbox._key(rows))


def test_while_quash_is_unavailable_rows_wait(shop_on_commit: Model, dana: User) -> None:
    shop_on_commit.is_up = False
    before = time.time()
    dana.set_password("other")
    dana.save()
    (row,) = QuashOutbox.objects.all()
    assert row.before_ms is not None and row.before_ms / 1000 >= before - 0.001
    sent = {"subject": str(dana.pk), "reason": "password_changed", "before": row.before_ms / 1000}
    assert shop_on_commit.later == [([sent], str(row.pk))]
    shop_on_commit.is_up = True
    # Nothing is sent for a second, so that no request waits again.
    end_session("s-1")
    assert shop_on_commit.sent == [] and QuashOutbox.objects.count() == 2
    outbox._quiet_until = 0.0
    call_command("quash_drain")
    assert sent in shop_on_commit.sent and not QuashOutbox.objects.exists()


def test_a_lost_row_leaves_later_sign_ins_valid(shop_on_commit: Model, dana: User) -> None:
    """A process has exited between the commit and the request."""
    now, position = time.time(), shop_on_commit.seq
    QuashOutbox.objects.create(message={"subject": "17"}, at_ms=int((now - 60) * 1000))
    QuashOutbox.objects.create(message={"session": "s-1"}, at_ms=int((now - 60) * 1000))
    call_command("quash_drain")
    by_kind = {("subject" in sent): sent for sent in shop_on_commit.sent}
    assert by_kind[True]["before"] == int((now - 60) * 1000) / 1000 and "before" not in by_kind[False]
    shop_on_commit.ask("shop", subject="17", position=position, issued_at=int(now), expires_at=int(now) + 5)
    with pytest.raises(Exception, match="blacklisted"):
        shop_on_commit.ask("shop", subject="17", position=position, issued_at=int(now) - 61, expires_at=int(now) + 5)


def test_drain_says_what_still_waits(shop_on_commit: Model, dana: User, capsys: Any) -> None:
    shop_on_commit.is_up = False
    for _ in range(3):
        end_user(dana)
    outbox._quiet_until = 0.0
    with pytest.raises(CommandError, match="quash_check"):
        call_command("quash_drain")
    assert "0 sent, 3 waiting" in capsys.readouterr().out
    # Once by each change: a drain tries again by itself.
    assert len(shop_on_commit.later) == 3
    shop_on_commit.is_up = True
    outbox._quiet_until = 0.0
    call_command("quash_drain")
    assert "3 sent, 0 waiting" in capsys.readouterr().out
    with pytest.raises(CommandError, match="more than 0"):
        call_command("quash_drain", "--watch", "0")


def test_drain_leaves_rows_that_are_being_sent(shop_on_commit: Model, dana: User) -> None:
    QuashOutbox.objects.create(message={"subject": "17"}, at_ms=outbox._now_ms())
    assert outbox.drain() == (0, 1) and shop_on_commit.sent == []


def test_drain_sends_more_rows_than_fit_into_a_request(shop_on_commit: Model, dana: User) -> None:
    QuashOutbox.objects.bulk_create(QuashOutbox(message={"session": str(n)}, at_ms=n // 10) for n in range(2300))
    assert outbox.drain() == (2300, 0)
    assert len({sent["session"] for sent in shop_on_commit.sent}) == 2300


def test_a_refused_row_holds_up_no_other(
    shop_on_commit: Model, dana: User, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    real = shop_on_commit.revoke

    def refusing(namespace: str, revocations: Any, **options: Any) -> Any:
        if any(revocation.get("session") == "bad" for revocation in revocations):
            raise ValueError("revocations[1] can't be used")
        return real(namespace, revocations, **options)

    monkeypatch.setattr(shop_on_commit, "revoke", refusing)
    with transaction.atomic():
        for name in ("one", "bad", "two"):
            end_session(name)
    assert {sent["session"] for sent in shop_on_commit.sent} == {"one", "two"}
    assert [row.message["session"] for row in QuashOutbox.objects.all()] == ["bad"]
    assert "can't be used" in caplog.text
    QuashOutbox.objects.create(message={"session": "three"}, at_ms=0)
    assert outbox.drain() == (1, 1)


def test_many_refused_rows_hold_up_no_later_ones(
    shop_on_commit: Model, dana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, requests = shop_on_commit.revoke, []

    def refusing(namespace: str, revocations: Any, **options: Any) -> Any:
        requests.append(len(revocations))
        if any(revocation["session"].startswith("bad") for revocation in revocations):
            raise ValueError("it can't be used")
        return real(namespace, revocations, **options)

    monkeypatch.setattr(shop_on_commit, "revoke", refusing)
    bad = [QuashOutbox(message={"session": f"bad {n}"}, at_ms=n // 10) for n in range(1100)]
    QuashOutbox.objects.bulk_create([*bad, QuashOutbox(message={"session": "good"}, at_ms=1000)])
    assert outbox.drain() == (1, 1100) and [sent["session"] for sent in shop_on_commit.sent] == ["good"]
    QuashOutbox.objects.exclude(pk=bad[0].pk).delete()
    QuashOutbox.objects.bulk_create(QuashOutbox(message={"session": f"{n}"}, at_ms=0) for n in range(999))
    requests.clear()
    assert outbox.drain() == (999, 1) and len(requests) < 25


def test_an_unexpected_fault_changes_no_answer(
    shop_on_commit: Model, dana: User, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(shop_on_commit, "revoke", fail)
    end_session("s-1")
    assert QuashOutbox.objects.count() == 1 and "quash_drain" in caplog.text


def test_names_that_a_namespace_refuses_leave_no_message(shop_on_commit: Model) -> None:
    for name in ("", "x" * 256, "\u00e9" * 128, "a\0b", "\ud800"):
        assert end_session(name) is False
    assert end_session("\u00e9" * 127) and end_session("x" * 255)
    assert len(shop_on_commit.sent) == 2 and not QuashOutbox.objects.exists()


def test_async_functions_end_as_well(shop_on_commit: Model, dana: User) -> None:
    from asgiref.sync import async_to_sync

    from quash_django import aend_session, aend_user

    async_to_sync(aend_session)("s-1")
    async_to_sync(aend_user)(dana, reason="revoked")
    assert [set(sent) - {"reason"} for sent in shop_on_commit.sent] == [{"session"}, {"subject"}]
