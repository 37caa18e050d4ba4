"""Simple JWT's CHECK_REVOKE_TOKEN with quash's tokens: no hash that Django may have of a user locks the user out."""

import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cheap_hashers import CHEAP
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.settings import api_settings
from servers import BINARY, PASSWORD, Quash, post

from quash_django import push_user
from quash_django.changes import account_changes, outbox
from quash_django.checks.settings import check_settings
from quash_django.client import accounts_api, shared_verifier
from quash_django.models import QuashOutbox
from quash_django.rest_framework import JWTAuthentication

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it"),
]
OTHER = "another horse battery staple"
MD5 = "django.contrib.auth.hashers.MD5PasswordHasher"


@pytest.fixture
def quash(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Quash]:
    """A server whose tokens carry marks, and a site that compares them and sends its users there."""
    quash = Quash(tmp_path / "own", "passwords.rehash=false", "tokens.check_revoke_token=true")
    settings.PASSWORD_HASHERS = [*CHEAP, MD5]
    settings.QUASH = {"ISSUER": quash.url, "CREDENTIAL": quash.keeper(), "MODE": "quash_issues"}
    monkeypatch.setattr(api_settings, "CHECK_REVOKE_TOKEN", True)
    monkeypatch.chdir(tmp_path)
    shared_verifier.install(None)
    outbox._quiet_until = 0.0
    yield quash
    quash.stop()
    shared_verifier.install(None)


def passes(access: str) -> User:
    """Authenticates with an access token, as a view does."""
    scheme = JWTAuthentication()
    user: User = scheme.get_user(scheme.get_validated_token(access.encode()))
    return user


def set_at_quash(quash: Quash, name: str, password: str) -> None:
    quash.run("account", "set", name, "--password-stdin", stdin=password)


@pytest.mark.parametrize("hash", ["", "!no password, as Django writes it", "md5$salt$f7c3bc1d808e04732adf679965ccc34c"])
@pytest.mark.parametrize("way", ["import", "signal"])
def test_users_of_accounts_that_were_made_at_quash(quash: Quash, settings: Any, way: str, hash: str) -> None:
    settings.QUASH = {**settings.QUASH, "PUSH_USERS": way == "signal"}
    quash.run("account", "add", "dana", "--subject", "17", "--password-stdin", stdin=PASSWORD)
    pair = quash.sign_in("dana")
    dana = User.objects.create(pk=17, username="dana", password=hash)
    if way == "import":
        call_command("quash_import", "--without-unknown-hashes")
    assert quash.is_live(pair), "the password is the only one that the user has"
    assert passes(quash.sign_in("dana")["access"]) == dana
    # A password that is set here, too, is another one.
    dana.set_password(OTHER)
    dana.save()
    if way == "import":
        call_command("quash_import")
    assert not quash.is_live(pair) and passes(quash.sign_in("dana", OTHER)["access"]) == dana


def test_a_better_hash_that_django_stores_at_a_log_in(quash: Quash, settings: Any) -> None:
    User.objects.create_user("dana", password=PASSWORD, pk=17)
    pair = quash.sign_in("dana")
    assert passes(pair["access"])
    settings.PASSWORD_HASHERS = [*CHEAP[::-1], MD5]
    assert User.objects.get(pk=17).check_password(PASSWORD) and not QuashOutbox.objects.exists()
    with pytest.raises(AuthenticationFailed):
        # As with Simple JWT's own tokens: the client refreshes it.
        passes(pair["access"])
    assert quash.is_live(pair)
    assert passes(post(f"{quash.url}/api/token/refresh/", {"refresh": pair["refresh"]})["access"])
    assert passes(quash.sign_in("dana")["access"])
    # One that quash doesn't support is no other password, either.
    settings.PASSWORD_HASHERS = [MD5, *CHEAP]
    assert User.objects.get(pk=17).check_password(PASSWORD) and not QuashOutbox.objects.exists()
    assert User.objects.get(pk=17).password.startswith("md5$")
    assert passes(quash.sign_in("dana")["access"])
    call_command("quash_import", "--without-unknown-hashes")
    assert passes(quash.sign_in("dana")["access"])


def changed_unseen(password: str) -> None:
    """Changes the password in the table, with no signal."""
    User.objects.filter(pk=17).update(password=make_password(password))


def log_in_at_django(settings: Any, password: str, *hashers: str) -> None:
    """Logs in at Django, which stores a hash by the first of the hashers."""
    settings.PASSWORD_HASHERS = [*hashers, *CHEAP, MD5]
    former = User.objects.get(pk=17).password
    assert User.objects.get(pk=17).check_password(password)
    assert User.objects.get(pk=17).password != former
    for row in QuashOutbox.objects.all():
        assert "$" not in str(row.message), "no table has a second copy of a hash"


def send_what_waits(quash: Quash) -> None:
    quash.start()
    outbox._quiet_until = 0.0
    call_command("quash_drain")
    assert not QuashOutbox.objects.exists()


def is_refused(quash: Quash, password: str) -> bool:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        quash.sign_in("dana", password)
    return True


def assert_known(quash: Quash, password: str, capsys: Any) -> None:
    """The user signs in with a password, and an import has nothing new to send."""
    pair = quash.sign_in("dana", password)
    assert passes(pair["access"]).pk == 17
    capsys.readouterr()
    call_command("quash_import")
    assert "1 users: 0 created, 0 changed, 1 unchanged, 0 refused" in capsys.readouterr().out
    assert quash.is_live(pair)


@pytest.mark.parametrize("is_up", [True, False], ids=["at once", "later"])
def test_a_better_hash_of_a_password_that_was_changed_unseen(
    quash: Quash, settings: Any, capsys: Any, is_up: bool
) -> None:
    User.objects.create_user("dana", password=PASSWORD, pk=17)
    pair = quash.sign_in("dana")
    if not is_up:
        quash.stop()
    changed_unseen(OTHER)
    log_in_at_django(settings, OTHER, CHEAP[1])
    if not is_up:
        send_what_waits(quash)
    assert not QuashOutbox.objects.exists()
    assert not quash.is_live(pair) and is_refused(quash, PASSWORD)
    assert_known(quash, OTHER, capsys)


@pytest.mark.parametrize("is_unseen", [False, True], ids=["none", "one"])
def test_several_better_hashes_that_wait(quash: Quash, settings: Any, capsys: Any, is_unseen: bool) -> None:
    User.objects.create_user("dana", password=PASSWORD, pk=17)
    pair = quash.sign_in("dana")
    quash.stop()
    log_in_at_django(settings, PASSWORD, CHEAP[1])
    if is_unseen:
        changed_unseen(OTHER)
    log_in_at_django(settings, OTHER if is_unseen else PASSWORD, CHEAP[2])
    log_in_at_django(settings, OTHER if is_unseen else PASSWORD, CHEAP[3])
    assert QuashOutbox.objects.count() == 3
    send_what_waits(quash)
    assert quash.is_live(pair) is not is_unseen
    assert_known(quash, OTHER if is_unseen else PASSWORD, capsys)


def test_a_better_hash_that_is_sent_twice(
    quash: Quash, settings: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.create_user("dana", password=PASSWORD, pk=17)
    pair = quash.sign_in("dana")
    monkeypatch.setattr(outbox, "GRACE", -1)
    with monkeypatch.context() as patched:
        # The process ends before it deletes the rows.
        patched.setattr(outbox, "_confirmed", lambda *_: None)
        log_in_at_django(settings, PASSWORD, CHEAP[1])
        outbox.drain()
        log_in_at_django(settings, PASSWORD, CHEAP[2])
        outbox.drain()
    assert QuashOutbox.objects.count() == 2 and quash.is_live(pair)
    # A password that is changed at quash meanwhile stays.
    set_at_quash(quash, "dana", OTHER)
    pair = quash.sign_in("dana", OTHER)
    call_command("quash_drain")
    assert not QuashOutbox.objects.exists() and quash.is_live(pair)
    assert_known(quash, OTHER, capsys)


def test_better_hashes_of_workers_whose_clocks_differ(quash: Quash, settings: Any, capsys: Any) -> None:
    User.objects.create_user("dana", password=PASSWORD, pk=17)
    pair = quash.sign_in("dana")
    quash.stop()
    for hasher in CHEAP[1:4]:
        log_in_at_django(settings, PASSWORD, hasher)
    oldest, middle, newest = QuashOutbox.objects.order_by("at_ms")
    QuashOutbox.objects.filter(pk=newest.pk).update(at_ms=oldest.at_ms - 2000)
    QuashOutbox.objects.filter(pk=middle.pk).update(at_ms=oldest.at_ms - 1000)
    send_what_waits(quash)
    assert quash.is_live(pair)
    assert_known(quash, PASSWORD, capsys)


@pytest.mark.parametrize("numbers", [[0], [1], [0, 1]], ids=["before", "after", "alone"])
def test_better_hashes_of_workers_that_write_no_marks(
    quash: Quash, settings: Any, capsys: Any, numbers: list[int]
) -> None:
    User.objects.create_user("dana", password=PASSWORD, pk=17)
    quash.stop()
    log_in_at_django(settings, PASSWORD, CHEAP[1])
    log_in_at_django(settings, PASSWORD, CHEAP[2])
    rows = list(QuashOutbox.objects.order_by("at_ms"))
    for number in numbers:
        del rows[number].message["better_hash"]
    QuashOutbox.objects.bulk_update(rows, ["message"])
    send_what_waits(quash)
    assert_known(quash, PASSWORD, capsys)


def test_a_better_hash_that_is_followed_by_a_change(quash: Quash, settings: Any, capsys: Any) -> None:
    dana = User.objects.create_user("dana", password=PASSWORD, pk=17)
    quash.stop()
    log_in_at_django(settings, PASSWORD, CHEAP[1])
    # Of a change that was seen, the hash itself is sent; the marks of the first row don't matter any more.
    dana.set_password(OTHER)
    dana.save()
    send_what_waits(quash)
    assert is_refused(quash, PASSWORD)
    assert_known(quash, OTHER, capsys)
    # One that isn't seen is found at the next log-in.
    quash.stop()
    log_in_at_django(settings, OTHER, CHEAP[2])
    changed_unseen(PASSWORD)
    send_what_waits(quash)
    log_in_at_django(settings, PASSWORD, CHEAP[3])
    assert is_refused(quash, OTHER)
    assert_known(quash, PASSWORD, capsys)


@pytest.mark.parametrize("way", ["unseen", "without a password"])
def test_better_hashes_for_accounts_that_were_made_at_quash(
    quash: Quash, settings: Any, capsys: Any, way: str
) -> None:
    quash.run("account", "add", "dana", "--subject", "17", "--password-stdin", stdin=PASSWORD)
    pair = quash.sign_in("dana")
    quash.stop()
    if way == "unseen":
        User.objects.bulk_create([User(pk=17, username="dana")])
    else:
        User.objects.create_user("dana", pk=17)
    changed_unseen(OTHER)
    log_in_at_django(settings, OTHER, CHEAP[1])
    send_what_waits(quash)
    assert not quash.is_live(pair) and is_refused(quash, PASSWORD)
    assert_known(quash, OTHER, capsys)


def test_a_better_hash_of_a_password_that_quash_never_had(quash: Quash, settings: Any, capsys: Any, caplog: Any) -> None:
    User.objects.bulk_create([User(pk=17, username="dana", password=make_password(PASSWORD, hasher="md5"))])
    call_command("quash_import", "--without-unknown-hashes")
    assert is_refused(quash, PASSWORD)
    log_in_at_django(settings, PASSWORD, CHEAP[1])
    assert_known(quash, PASSWORD, capsys)
    # The same after a better hash that quash refuses, of a password that was changed unseen.
    pair = quash.sign_in("dana")
    changed_unseen(OTHER)
    log_in_at_django(settings, OTHER, MD5)
    assert "with the password of this site" in caplog.text and "md5$" not in caplog.text
    assert not quash.is_live(pair) and is_refused(quash, PASSWORD) and is_refused(quash, OTHER)
    set_at_quash(quash, "dana", PASSWORD)
    assert passes(quash.sign_in("dana")["access"]).pk == 17
    quash.run("account", "require-reset", "dana")
    log_in_at_django(settings, OTHER, CHEAP[2])
    assert is_refused(quash, OTHER), "quash asks for another password"


def test_a_supported_hash_after_one_that_quash_refuses(quash: Quash, settings: Any, capsys: Any) -> None:
    dana = User.objects.create_user("dana", password=PASSWORD, pk=17)
    settings.PASSWORD_HASHERS = [MD5, *CHEAP]
    dana.set_password(OTHER)
    dana.save()
    assert is_refused(quash, PASSWORD) and is_refused(quash, OTHER)
    # The site puts a supported hasher first.
    log_in_at_django(settings, OTHER, CHEAP[0])
    assert_known(quash, OTHER, capsys)


def test_a_hash_that_quash_refuses(quash: Quash, settings: Any, caplog: Any) -> None:
    dana = User.objects.create_user("dana", password=PASSWORD, pk=17)
    pair = quash.sign_in("dana")
    settings.PASSWORD_HASHERS = [MD5, *CHEAP]
    dana.set_password(OTHER)
    dana.save()
    assert not quash.is_live(pair)
    set_at_quash(quash, "dana", PASSWORD)
    pair = quash.sign_in("dana")
    assert passes(pair["access"]) == dana
    # The site has nothing new.
    push_user(dana)
    call_command("quash_import", "--without-unknown-hashes")
    assert quash.is_live(pair) and passes(quash.sign_in("dana")["access"]) == dana
    assert "with the password of this site" in caplog.text and dana.password not in caplog.text


def test_the_import_leaves_out_an_unknown_hash(quash: Quash, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "PUSH_USERS": False}
    dana = User.objects.create(pk=17, username="dana", password=make_password(PASSWORD, hasher="md5"))
    call_command("quash_import", "--without-unknown-hashes")
    assert not quash.accounts()["17"]["password_usable"]
    set_at_quash(quash, "dana", OTHER)
    pair = quash.sign_in("dana", OTHER)
    assert passes(pair["access"]) == dana
    call_command("quash_import", "--without-unknown-hashes")
    assert quash.is_live(pair), "the site has sent nothing new"


def test_an_assigned_hash_is_one_of_another_password(quash: Quash, settings: Any, capsys: Any) -> None:
    User.objects.create_user("dana", password=PASSWORD, pk=17)
    pair = quash.sign_in("dana")
    # An upgrade of Django makes all hashes outdated.
    settings.PASSWORD_HASHERS = [CHEAP[1], *CHEAP]
    dana = User.objects.get(pk=17)
    dana.password = make_password(OTHER)
    dana.save(update_fields=["password"])
    assert not quash.is_live(pair) and is_refused(quash, PASSWORD)
    assert_known(quash, OTHER, capsys)


def test_a_supported_hash_that_is_sent_while_quash_refuses_another(
    quash: Quash, settings: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dana = User.objects.create_user("dana", password=PASSWORD, pk=17)
    end_password = account_changes._end_password

    def end_after_a_change(*arguments: Any) -> int | None:
        monkeypatch.setattr(account_changes, "_end_password", end_password)
        settings.PASSWORD_HASHERS = [*CHEAP, MD5]
        newer = User.objects.get(pk=17)
        newer.set_password("third horse battery staple")
        newer.save()
        return end_password(*arguments)

    monkeypatch.setattr(account_changes, "_end_password", end_after_a_change)
    settings.PASSWORD_HASHERS = [MD5, *CHEAP]
    dana.set_password(OTHER)
    dana.save()
    assert is_refused(quash, PASSWORD) and is_refused(quash, OTHER)
    assert_known(quash, "third horse battery staple", capsys)


def test_changes_during_an_import_stay(
    quash: Quash, settings: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dana = User.objects.create_user("dana", password=PASSWORD, pk=17)
    kim = User.objects.create_user("kim", password=PASSWORD, pk=18)
    batch = accounts_api.batch

    def batch_after_changes(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(accounts_api, "batch", batch)
        dana.set_password(OTHER)
        dana.save()
        kim.delete()
        return batch(*arguments, **options)

    monkeypatch.setattr(accounts_api, "batch", batch_after_changes)
    call_command("quash_import")
    assert is_refused(quash, PASSWORD) and quash.accounts()["18"]["state"] == "deactivated"
    assert_known(quash, OTHER, capsys)


@pytest.mark.parametrize("is_up", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize("hash", ["of the site", "", "!no password"])
def test_the_next_user_of_a_subject_gets_no_password(quash: Quash, settings: Any, hash: str, is_up: bool) -> None:
    if hash == "of the site":
        dana = User.objects.create_user("dana", password=PASSWORD, pk=17)
    else:
        dana = User.objects.create(username="dana", password=hash, pk=17)
        set_at_quash(quash, "dana", PASSWORD)
    pair = quash.sign_in("dana")
    if not is_up:
        quash.stop()
    dana.delete()
    again = User.objects.create(username="dana", password="" if hash == "" else make_password(None), pk=17)
    if not is_up:
        send_what_waits(quash)
    assert not quash.is_live(pair) and is_refused(quash, PASSWORD)
    set_at_quash(quash, "dana", OTHER)
    assert passes(quash.sign_in("dana", OTHER)["access"]) == again


def test_the_next_user_of_a_subject_that_is_added_without_a_signal(quash: Quash, settings: Any, capsys: Any) -> None:
    dana = User.objects.create_user("dana", "dana@example.org", PASSWORD, pk=17)
    pair = quash.sign_in("dana")
    User.objects.create_user("kim", "kim@example.org", PASSWORD, pk=18)
    quash.stop()
    dana.delete()
    # quash refuses the address for now. What the user does meanwhile isn't undone.
    User.objects.bulk_create([User(pk=17, username="dana", email="kim@example.org", password=make_password(OTHER))])
    quash.start()
    outbox._quiet_until = 0.0
    with pytest.raises(CommandError):
        call_command("quash_drain")
    assert is_refused(quash, PASSWORD) and not quash.is_live(pair)
    pair = quash.sign_in("dana", OTHER)
    with pytest.raises(CommandError):
        call_command("quash_drain")
    assert quash.is_live(pair)
    call_command("quash_drain", "--discard", str(QuashOutbox.objects.get().pk))
    User.objects.filter(pk=17).update(email="")
    User.objects.filter(pk=18).delete()
    assert_known(quash, OTHER, capsys)


def test_a_site_that_sends_no_hashes_is_warned(quash: Quash, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def ids() -> list[str | None]:
        return [message.id for message in check_settings()]

    # Without a signal, at which Simple JWT would replace the object that other tests have imported.
    monkeypatch.setattr("django.conf.settings.SIMPLE_JWT", {"CHECK_REVOKE_TOKEN": True}, raising=False)
    assert "quash.W010" not in ids()
    settings.QUASH = {**settings.QUASH, "PUSH_USERS": False}
    assert "quash.W010" in ids()
    monkeypatch.setattr("django.conf.settings.SIMPLE_JWT", {"CHECK_REVOKE_TOKEN": False}, raising=False)
    assert "quash.W010" not in ids()
