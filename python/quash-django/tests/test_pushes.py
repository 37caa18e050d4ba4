"""Changes of users reach a real quash server once they are committed."""

import asyncio
import itertools
import urllib.error
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from cheap_hashers import CHEAP
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.db import transaction
from django.db.models import F, Value, signals
from django.db.models.functions import Concat
from django.test import RequestFactory
from quash_verify import StartFailed, Unavailable
from servers import BINARY, PASSWORD, Quash
from user_functions import is_staff

from quash_django import apush_user, end_session, push_user
from quash_django.changes import outbox
from quash_django.checks.settings import check_settings
from quash_django.client import accounts_api, shared_verifier
from quash_django.models import QuashAccount, QuashOutbox
from quash_django.testing import quash_issuer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it"),
]
OTHER = "another horse battery staple"
# quash never uses a subject again.
SERIALS = itertools.count(1000)


class Undo(Exception):
    pass


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quash]:
    server = Quash(tmp_path_factory.mktemp("quash"))
    yield server
    server.stop()


@pytest.fixture
def quash(server: Quash, settings: Any) -> Iterator[Quash]:
    """A server that knows no user of the test's database, and a site that sends its users there."""
    for subject in server.accounts():
        server.run("account", "delete", "--subject", subject, "--yes")
    settings.PASSWORD_HASHERS = CHEAP
    settings.QUASH = {"ISSUER": server.url, "CREDENTIAL": server.keeper(), "MODE": "quash_issues"}
    shared_verifier.install(None)
    outbox._quiet_until = 0.0
    yield server
    shared_verifier.install(None)


@pytest.fixture
def dana(quash: Quash) -> User:
    user = User(pk=next(SERIALS), username="dana", email="dana@example.org", password=make_password(PASSWORD))
    user.save()
    return user


def account(quash: Quash, user: User) -> dict[str, Any]:
    return quash.accounts()[str(user.pk)]


def claims(pair: dict[str, str]) -> Any:
    import jwt

    return jwt.decode(pair["access"], options={"verify_signature": False})


def test_a_new_user_signs_in_at_quash(quash: Quash, dana: User) -> None:
    assert claims(quash.sign_in())["user_id"] == str(dana.pk)
    found = account(quash, dana)
    assert found["email"] == "dana@example.org" and found["email_verified_at"]
    assert not QuashOutbox.objects.exists()


def test_a_changed_password_works_at_quash_and_ends_sessions(quash: Quash, dana: User) -> None:
    pair, other = quash.sign_in(), quash.sign_in()
    dana.set_password(OTHER)
    dana.save()
    assert not quash.is_live(pair) and not quash.is_live(other)
    with pytest.raises(urllib.error.HTTPError):
        quash.sign_in()
    assert quash.is_live(quash.sign_in("dana", OTHER))
    dana.set_unusable_password()
    dana.save()
    assert not account(quash, dana)["password_usable"]


def test_a_new_user_without_a_password_leaves_that_of_the_account(quash: Quash) -> None:
    key = next(SERIALS)
    quash.run("account", "add", "lee", "--subject", str(key), "--password-stdin", stdin=PASSWORD)
    lee = User.objects.create_user("lee", "lee@example.org", pk=key)
    assert account(quash, lee)["email"] == "lee@example.org"
    pair = quash.sign_in("lee")
    lee.set_password(OTHER)
    lee.save()
    assert not quash.is_live(pair) and quash.sign_in("lee", OTHER)


def test_this_process_refuses_the_session_at_its_next_request(quash: Quash, dana: User) -> None:
    pair = quash.sign_in()
    verifier = shared_verifier.verifier()
    verifier.check(pair["access"])
    dana.set_password(OTHER)
    dana.save()
    with pytest.raises(Exception, match="blacklisted"):
        verifier.check(pair["access"])


def test_a_rolled_back_change_sends_nothing(quash: Quash, dana: User) -> None:
    pair = quash.sign_in()
    with pytest.raises(Undo), transaction.atomic():
        dana.set_password(OTHER)
        dana.is_active = False
        dana.save()
        assert QuashOutbox.objects.count() == 1
        raise Undo
    assert quash.is_live(pair) and quash.is_live(quash.sign_in()) and not QuashOutbox.objects.exists()
    with transaction.atomic():
        with pytest.raises(Undo), transaction.atomic():
            dana.save()
            raise Undo
        User.objects.get(pk=dana.pk).save()
    assert quash.is_live(pair)


def test_only_what_has_changed_is_sent(quash: Quash, dana: User) -> None:
    pair = quash.sign_in()
    quash.run("account", "set", "dana", "--username", "dana at quash")
    dana.first_name = "Dana"
    dana.save()
    dana.last_login = dana.date_joined
    dana.save(update_fields=["last_login"])
    assert account(quash, dana)["name"] == "dana at quash" and quash.is_live(pair)
    dana.username = "dana lee"
    dana.save()
    assert account(quash, dana)["name"] == "dana lee" and quash.is_live(pair)
    dana.email = ""
    dana.save()
    assert account(quash, dana)["email"] is None and not quash.is_live(pair)


def test_expressions_are_sent_as_their_values(quash: Quash, dana: User) -> None:
    dana.username = Concat(F("username"), Value(" lee"))
    dana.save()
    assert account(quash, dana)["name"] == "dana lee"


def test_deactivation_and_deletion_end_sessions(quash: Quash, dana: User) -> None:
    pair = quash.sign_in()
    dana.is_active = False
    dana.save()
    assert not quash.is_live(pair) and account(quash, dana)["state"] == "deactivated"
    dana.is_active = True
    dana.save()
    pair, key = quash.sign_in(), str(dana.pk)
    User.objects.filter(pk=dana.pk).delete()
    assert not quash.is_live(pair) and quash.accounts()[key]["state"] == "deactivated"


@pytest.mark.parametrize("is_up", [True, False], ids=["at once", "later"])
def test_a_deleted_user_can_register_again(quash: Quash, dana: User, is_up: bool, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "CLAIMS": "user_functions.claims"}
    pair, key = quash.sign_in(), str(dana.pk)
    if not is_up:
        quash.stop()
    dana.delete()
    again = User.objects.create_user("Dana", "Dana@example.org", PASSWORD, pk=next(SERIALS))
    gone = User.objects.create_user("gone", "gone@example.org", PASSWORD, pk=next(SERIALS))
    gone.delete()
    if not is_up:
        quash.start()
        outbox._quiet_until = 0.0
        call_command("quash_drain")
    assert not QuashOutbox.objects.exists() and not quash.is_live(pair)
    assert claims(quash.sign_in("Dana"))["user_id"] == str(again.pk)
    found = quash.accounts()
    assert (found[key]["name"], found[key]["email"]) == (f"deleted: {key}", None)
    assert found[key]["state"] == "deactivated" and len(found) == (3 if is_up else 2)
    # A site that restores the user gets its account back.
    again.delete()
    User.objects.create_user("dana", "dana@example.org", PASSWORD, pk=int(key))
    assert claims(quash.sign_in())["user_id"] == key


def test_another_subject_frees_the_name(quash: Quash, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from rest_framework_simplejwt.settings import api_settings

    monkeypatch.setattr(api_settings, "USER_ID_FIELD", "email", raising=False)
    kim = User.objects.create_user("kim", "kim@example.org", PASSWORD)
    pair = quash.sign_in("kim")
    kim.email = "k" * 60 + "@" + 2 * ("d" * 40 + ".") + "example.org"
    kim.save()
    assert not quash.is_live(pair) and claims(quash.sign_in("kim"))["user_id"] == kim.email
    kim.delete()
    assert {found["state"] for found in quash.accounts().values()} == {"deactivated"}
    assert not QuashOutbox.objects.exists()


def test_a_better_hash_is_no_other_password(quash: Quash, dana: User, settings: Any) -> None:
    pair = quash.sign_in()
    settings.PASSWORD_HASHERS = CHEAP[::-1]
    old = User.objects.get(pk=dana.pk)
    assert old.check_password(PASSWORD) and User.objects.get(pk=dana.pk).password.startswith("scrypt$")
    assert quash.is_live(pair) and quash.is_live(quash.sign_in())


def test_claims_follow_from_the_user_and_its_groups(quash: Quash, dana: User, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "CLAIMS": "user_functions.claims"}
    clerks, bosses = Group.objects.create(name="clerks"), Group.objects.create(name="bosses")

    def said() -> Any:
        found = claims(quash.sign_in())
        return found["staff"], found["groups"]

    dana.is_staff = True
    dana.save()
    pair = quash.sign_in()
    assert said() == (True, [])
    dana.groups.add(clerks)
    assert said() == (True, ["clerks"]) and not quash.is_live(pair), "its access token names no group"
    bosses.user_set.add(dana)
    assert said() == (True, ["bosses", "clerks"])
    clerks.user_set.clear()
    assert said() == (True, ["bosses"])
    dana.groups.clear()
    assert said() == (True, [])
    pair = quash.sign_in()
    dana.user_permissions.add(*Permission.objects.all()[:1])
    dana.save()
    assert quash.is_live(pair), "equal claims end nothing"


def test_a_failing_function_holds_up_no_other(quash: Quash, dana: User, settings: Any, caplog: Any) -> None:
    settings.QUASH = {**settings.QUASH, "CLAIMS": "user_functions.failing"}
    dana.first_name = "Dana"
    dana.save()
    assert QuashOutbox.objects.count() == 1 and "a fault of the site" in caplog.text
    settings.QUASH = {**settings.QUASH, "CLAIMS": "user_functions.claims"}
    call_command("quash_drain")
    assert claims(quash.sign_in())["groups"] == []


@pytest.mark.parametrize("told_by", ["is_staff", "is_known", "user_functions.is_staff"])
def test_users_sign_in_once_their_address_is_confirmed(
    quash: Quash, settings: Any, told_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(User, "is_known", property(is_staff), raising=False)
    settings.QUASH = {**settings.QUASH, "EMAIL_VERIFIED": told_by}
    kim = User.objects.create_user("kim", "kim@example.org", PASSWORD, pk=next(SERIALS))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        quash.sign_in("kim")
    kim.is_staff = True
    kim.save(update_fields=["is_staff"])
    pair = quash.sign_in("kim")
    assert not QuashOutbox.objects.exists()
    quash.run("account", "set", "kim", "--email", "other@example.org", "--verified")
    kim.first_name = "Kim"
    kim.save()
    assert account(quash, kim)["email"] == "other@example.org", "nothing else sends the address"
    assert not quash.is_live(pair)
    kim.email = "new@example.org"
    kim.save()
    found = account(quash, kim)
    assert found["email"] == "new@example.org" and found["email_verified_at"]


def test_a_receiver_that_changes_more_holds_up_no_message(quash: Quash, dana: User, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "EMAIL_VERIFIED": "user_functions.is_staff"}
    kim = User.objects.create_user("kim", "kim@example.org", PASSWORD, pk=next(SERIALS))
    pair = quash.sign_in()

    def deactivate(instance: User, **_: Any) -> None:
        if instance.pk == kim.pk:
            User.objects.get(pk=dana.pk).save()
            dana.is_active = False
            dana.save()

    signals.post_save.connect(deactivate, sender=User)
    try:
        # The address counts as confirmed from now on, which another receiver of the package sees.
        kim.is_staff = True
        kim.set_password(OTHER)
        kim.save()
    finally:
        signals.post_save.disconnect(deactivate, sender=User)
    assert quash.sign_in("kim", OTHER) and not quash.is_live(pair) and not QuashOutbox.objects.exists()


def test_a_failing_function_stops_no_save(quash: Quash, dana: User, settings: Any, caplog: Any) -> None:
    settings.QUASH = {**settings.QUASH, "EMAIL_VERIFIED": "user_functions.failing"}
    dana.username = "dana lee"
    dana.email = "new@example.org"
    dana.save()
    assert User.objects.get(pk=dana.pk).username == "dana lee" and "a fault of the site" in caplog.text
    assert QuashOutbox.objects.count() == 1, "it waits until the function works"


@pytest.mark.parametrize("setting", ["CLAIMS", "EMAIL_VERIFIED"])
def test_a_missing_function_holds_up_no_other(quash: Quash, dana: User, settings: Any, setting: str) -> None:
    settings.QUASH = {**settings.QUASH, setting: "nowhere.function"}
    with transaction.atomic():
        dana.email = "new@example.org"
        dana.save()
        kim = User.objects.create_user("kim", password=PASSWORD, pk=next(SERIALS))
        kim.delete()
    address = "new@example.org" if setting == "CLAIMS" else "dana@example.org"
    assert account(quash, dana)["email"] == address and QuashOutbox.objects.count() == 1
    settings.QUASH = {name: value for name, value in settings.QUASH.items() if name != setting}
    outbox._quiet_until = 0.0
    call_command("quash_drain")
    assert account(quash, dana)["email"] == "new@example.org"


def test_a_site_sends_a_user_itself(quash: Quash, dana: User, settings: Any) -> None:
    pair = quash.sign_in()
    User.objects.filter(pk=dana.pk).update(username="dana lee")
    with pytest.raises(Undo), transaction.atomic():
        push_user(dana)
        raise Undo
    assert account(quash, dana)["name"] == "dana"
    push_user(dana)
    assert account(quash, dana)["name"] == "dana lee" and quash.is_live(pair)
    User.objects.bulk_create([User(pk=next(SERIALS), username="kim", password=make_password(PASSWORD))])
    asyncio.run(apush_user(User.objects.get(username="kim")))
    assert quash.sign_in("kim")
    User.objects.filter(username="kim").update(password=make_password(None))
    push_user(User.objects.get(username="kim"))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        quash.sign_in("kim")
    settings.QUASH = {**settings.QUASH, "PUSH_USERS": False}
    User.objects.filter(pk=dana.pk).update(username="dana")
    push_user(dana)
    assert account(quash, dana)["name"] == "dana lee"


def test_without_claims_groups_send_nothing(quash: Quash, dana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_api, "_send", lambda *_: pytest.fail("a request"))
    Group.objects.create(name="clerks").user_set.add(dana)
    dana.groups.clear()
    assert not QuashOutbox.objects.exists()


def test_changes_wait_while_quash_is_unavailable(quash: Quash, dana: User, capsys: Any) -> None:
    quash.stop()
    try:
        dana.set_password(OTHER)
        dana.save()
        dana.username = "dana lee"
        dana.save()
        rows = list(QuashOutbox.objects.order_by("at_ms"))
        assert [row.message["fields"] for row in rows] == [["password_hash"], ["username"]]
        assert all(dana.password not in str(row.message) for row in rows), "no table has a second copy of a hash"
        with pytest.raises(CommandError, match="quash_check"):
            call_command("quash_drain")
    finally:
        quash.start()
    outbox._quiet_until = 0.0
    call_command("quash_drain")
    assert "2 sent, 0 waiting" in capsys.readouterr().out
    assert quash.is_live(quash.sign_in("dana lee", OTHER))


def test_the_newest_value_wins_when_requests_cross(
    quash: Quash, dana: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, sent = accounts_api.change, []

    def crossing(subject: str, changes: dict[str, Any], **options: Any) -> Any:
        sent.append(changes["username"])
        if len(sent) == 1:
            # Another process commits a newer value and sends it before this request arrives.
            User.objects.filter(pk=dana.pk).update(username="newest")
            real(subject, {"username": "newest"})
        return real(subject, changes, **options)

    monkeypatch.setattr(accounts_api, "change", crossing)
    dana.username = "older"
    dana.save()
    assert account(quash, dana)["name"] == "newest" and sent == ["older", "newest"]


def test_a_refused_change_waits_and_is_logged(quash: Quash, dana: User, caplog: Any) -> None:
    User.objects.create(pk=next(SERIALS), username="kim", password="!")
    kim = User.objects.get(username="kim")
    kim.email = "dana@example.org"
    kim.save()
    assert QuashOutbox.objects.count() == 1 and "Another account has this e-mail address" in caplog.text
    outbox._quiet_until = 0.0
    dana.username = "dana lee"
    dana.save()
    assert account(quash, dana)["name"] == "dana lee", "it holds up no other"
    # The newest value is sent later.
    kim.email = "kim@example.org"
    kim.save()
    call_command("quash_drain")
    assert account(quash, kim)["email"] == "kim@example.org" and not QuashOutbox.objects.exists()


def test_a_refused_value_holds_up_no_other_of_the_user(quash: Quash, dana: User, settings: Any) -> None:
    User.objects.create(pk=next(SERIALS), username="kim", password="!", email="kim@example.org")
    pair = quash.sign_in()
    dana.email = "KIM@example.org"
    dana.first_name = "Dana"
    dana.is_active = False
    dana.save()
    assert not quash.is_live(pair) and account(quash, dana)["state"] == "deactivated"
    (row,) = QuashOutbox.objects.all()
    assert row.message["fields"] == ["email"], "the address is taken"
    dana.is_active = True
    dana.save()
    pair = quash.sign_in()
    dana.set_password(OTHER)
    dana.save()
    assert not quash.is_live(pair) and quash.sign_in("dana", OTHER)
    assert list(QuashOutbox.objects.all()) == [row]
    settings.QUASH = {**settings.QUASH, "CLAIMS": "user_functions.failing"}
    dana.username = "dana lee"
    dana.is_active = False
    dana.save()
    found = account(quash, dana)
    assert (found["state"], found["name"]) == ("deactivated", "dana lee")
    settings.QUASH = {**settings.QUASH, "CLAIMS": "user_functions.claims"}
    dana.email = "dana@example.org"
    dana.is_active = True
    dana.save()
    call_command("quash_drain")
    assert not QuashOutbox.objects.exists() and quash.sign_in("dana lee", OTHER)


def test_a_new_user_is_added_as_a_whole(quash: Quash, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "CLAIMS": "user_functions.failing"}
    User.objects.create_user("kim", "kim@example.org", PASSWORD, pk=next(SERIALS))
    assert quash.accounts() == {} and QuashOutbox.objects.count() == 1
    settings.QUASH = {**settings.QUASH, "CLAIMS": "user_functions.claims"}
    call_command("quash_drain")
    assert quash.sign_in("kim") and not QuashOutbox.objects.exists()


def test_a_password_that_quash_refuses_ends_the_old_one(
    quash: Quash, dana: User, settings: Any, caplog: Any, capsys: Any
) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher", *CHEAP]
    for _ in range(2):
        pair = quash.sign_in()
        dana.set_password(OTHER)
        dana.username = "dana"
        dana.save()
        assert not quash.is_live(pair) and not QuashOutbox.objects.exists()
        for password in (PASSWORD, OTHER):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                quash.sign_in("dana", password)
        assert f"the subject {dana.pk} can't sign in" in caplog.text and dana.password not in caplog.text
        # The user resets it at quash, and then in Django again.
        quash.run("account", "set", "dana", "--password-stdin", stdin=PASSWORD)
    with pytest.raises(CommandError, match="1 failed"):
        call_command("quash_check")
    assert "FAIL quash refuses the first of PASSWORD_HASHERS" in capsys.readouterr().out


def test_refused_rows_hold_up_no_later_ones(
    quash: Quash, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(outbox, "MOST", 3)
    monkeypatch.setattr(outbox, "GRACE", -1)
    # quash knows the format of the last one's hash alone.
    users = [User(pk=next(SERIALS), username=f"kim {n}", password="md5$x$y") for n in range(10)]
    users.append(User(pk=next(SERIALS), username="dana", password=make_password(PASSWORD)))
    User.objects.bulk_create(users)
    for number, user in enumerate(users):
        message = {"account": str(user.pk), "fields": ["password_hash", "username"], "new": True}
        QuashOutbox.objects.create(message=message, at_ms=number // 4)
    with pytest.raises(CommandError):
        call_command("quash_drain")
    assert "1 sent, 10 waiting" in capsys.readouterr().out and quash.sign_in()


def test_refused_messages_are_named_and_can_be_removed(
    quash: Quash, dana: User, settings: Any, capsys: Any
) -> None:
    kim = User.objects.create(pk=next(SERIALS), username="kim", password="!", email="kim@example.org")
    for user in (dana, kim):
        user.email = "dana@example.org" if user == kim else "kim@example.org"
        user.save()
    row = QuashOutbox.objects.get(message__account=str(kim.pk))
    said = f"account {kim.pk}: email"
    # Without waiting for a minute, and with the reason.
    with pytest.raises(CommandError, match="2 failed"):
        call_command("quash_check")
    out = capsys.readouterr().out
    assert said in out and "Another account has this e-mail address" in out and f"--discard {row.pk}" in out
    assert "FAIL 0 messages" not in out
    with pytest.raises(CommandError, match="2 were refused.*--discard ID"):
        call_command("quash_drain")
    assert f"{row.pk}  {said}" in capsys.readouterr().out
    with pytest.raises(CommandError, match="nothing was removed"):
        call_command("quash_drain", "--discard", str(row.pk), str(uuid.uuid4()))
    call_command("quash_drain", "--discard", str(row.pk))
    assert f"removed {said}" in capsys.readouterr().out
    (other,) = QuashOutbox.objects.all()
    # quash being away doesn't make it less refused.
    quash.stop()
    try:
        with pytest.raises(CommandError, match="1 were refused"):
            call_command("quash_drain")
    finally:
        quash.start()
    outbox._quiet_until = 0.0
    settings.QUASH = {**settings.QUASH, "PUSH_USERS": False}
    with pytest.raises(CommandError, match="1 were refused"):
        call_command("quash_drain")
    assert "aren't sent with the present MODE" in capsys.readouterr().out
    call_command("quash_drain", "--discard", str(other.pk))
    call_command("quash_drain")


def test_a_session_that_cant_exist_leaves_no_message(quash: Quash, settings: Any, caplog: Any) -> None:
    settings.QUASH = {**settings.QUASH, "CREDENTIAL": quash.credential(f"site-{uuid.uuid4().hex}")}
    request: Any = RequestFactory().get("/")
    for name in ("", "abc", "x" * 300, "a\0b", "\ud800"):
        assert end_session(name) is False
        request.session = {"_quash": {"sid": name}}
        assert end_session(request) is False
    assert not QuashOutbox.objects.exists() and "quash_django" not in caplog.text
    assert end_session("0" * 32) is True and not QuashOutbox.objects.exists()
    # Something else that quash refuses stays, and nothing tries to send it later.
    outbox.add([{"session": "x" * 256, "reason": "log_out"}])
    assert QuashOutbox.objects.get().refusal
    (record,) = [record for record in caplog.records if record.name == "quash_django"]
    assert record.exc_info is None and "quash hasn't confirmed" in record.message


def test_users_that_were_not_imported_are_left_alone(quash: Quash, dana: User) -> None:
    User.objects.bulk_create([User(pk=next(SERIALS), username="kim", password="!")])
    kim = User.objects.get(username="kim")
    kim.username = "kim k."
    kim.save()
    kim.delete()
    assert list(quash.accounts()) == [str(dana.pk)] and not QuashOutbox.objects.exists()


def test_users_with_subjects_of_their_own(quash: Quash, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "USER_BY": "subject"}
    kim = User.objects.create(username="kim", password=make_password(PASSWORD))
    subject = QuashAccount.objects.get(user=kim).subject
    assert claims(quash.sign_in("kim"))["user_id"] == subject
    kim.username = "kim k."
    kim.save()
    assert quash.accounts()[subject]["name"] == "kim k."
    kim.delete()
    assert quash.accounts()[subject]["state"] == "deactivated"


def test_many_users_of_one_transaction_are_left_to_drain(
    quash: Quash, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MOST_CHANGES", 3)
    monkeypatch.setattr(outbox, "GRACE", -1)
    with transaction.atomic():
        for number in range(5):
            User.objects.create(username=f"many {number}", password="!", pk=next(SERIALS))
    assert len(quash.accounts()) == 3 and QuashOutbox.objects.count() == 2
    call_command("quash_drain")
    assert len(quash.accounts()) == 5


def test_the_settings_can_turn_it_off(quash: Quash, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "PUSH_USERS": False}
    kim = User.objects.create(username="kim")
    kim.delete()
    settings.QUASH = {**settings.QUASH, "PUSH_USERS": True, "USER_BY": "user_functions.find"}
    User.objects.create(username="kim").delete()
    assert not QuashOutbox.objects.exists() and quash.accounts() == {}
    assert [message.id for message in check_settings()] == ["quash.W001", "quash.W007"]


def test_a_sites_own_tests_need_no_server(quash: Quash) -> None:
    with quash_issuer():
        User.objects.create(username="kim").delete()
    assert not QuashOutbox.objects.exists() and quash.accounts() == {}


def test_check_asks_whether_the_credential_may(quash: Quash, settings: Any, capsys: Any) -> None:
    call_command("quash_check")
    assert "the credential may change accounts" in capsys.readouterr().out
    settings.QUASH = {**settings.QUASH, "CREDENTIAL": quash.run("verifier", "add", "plain").strip()}
    with pytest.raises(CommandError, match="1 failed"):
        call_command("quash_check")
    out = capsys.readouterr().out
    assert "--right accounts" in out and "PUSH_USERS" in out


def test_requests_follow_no_redirect_and_no_proxy(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    seen: list[str] = []

    class Redirects(BaseHTTPRequestHandler):
        def do_PATCH(self) -> None:
            seen.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/stolen")
            self.end_headers()

        def do_POST(self) -> None:
            self.send_error(404)

        def log_message(self, *_: Any) -> None:
            pass

    listening = HTTPServer(("127.0.0.1", 0), Redirects)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    settings.QUASH = {"ISSUER": f"http://127.0.0.1:{listening.server_port}", "CREDENTIAL": "x", "MODE": "quash_issues"}
    try:
        with pytest.raises(Unavailable, match="another server answered 307"):
            accounts_api.change("a/b", {})
        # Another address, or a proxy without this path.
        with pytest.raises(StartFailed, match="another server answered 404"):
            accounts_api.batch([])
    finally:
        listening.shutdown()
    assert seen == ["/admin/v1/accounts/a%2Fb"]
