"""The import of users into a real quash server, in every hash format that Django has."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cheap_hashers import CHEAP, FORMATS
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from servers import BINARY, PASSWORD, ROOT, Quash, environment, until

from quash_django.client import shared_verifier
from quash_django.models import QuashAccount

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it"),
]

USERS = 1000


@pytest.fixture
def quash(tmp_path: Path) -> Iterator[Quash]:
    quash = Quash(tmp_path, "passwords.rehash=false")
    yield quash
    quash.stop()


@pytest.fixture(autouse=True)
def site(settings: Any, quash: Quash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.PASSWORD_HASHERS = [*CHEAP, "django.contrib.auth.hashers.MD5PasswordHasher"]
    # Users that this file's tests create reach quash by the import alone.
    settings.QUASH = {
        "ISSUER": quash.url,
        "CREDENTIAL": quash.keeper(),
        "MODE": "quash_issues",
        "PUSH_USERS": False,
    }
    monkeypatch.chdir(tmp_path)
    yield
    shared_verifier.install(None)


def may_sign_in(quash: Quash, name: str, password: str = PASSWORD) -> bool:
    try:
        return bool(quash.sign_in(name, password))
    except urllib.error.HTTPError as error:
        assert error.code == 401, error.read()
        return False


def add(name: str, **values: Any) -> User:
    user = User(username=name, password=values.pop("password", make_password(PASSWORD)), **values)
    user.save()
    return user


def test_a_thousand_users_sign_in_with_their_old_passwords(quash: Quash, capsys: Any) -> None:
    def user(number: int) -> User:
        password = make_password(f"secret {number}", hasher=FORMATS[number % len(FORMATS)])
        return User(username=f"user{number}", email=f"u{number}@example.org", password=password)

    User.objects.bulk_create(user(number) for number in range(USERS))
    call_command("quash_import")
    out = capsys.readouterr().out
    assert out == f"{USERS} users: {USERS} created, 0 changed, 0 unchanged, 0 refused\n"
    assert not Path("quash_import.json").exists()
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda n: may_sign_in(quash, f"user{n}", f"secret {n}"), range(USERS)))
    call_command("quash_import", "--batch", "300")
    assert f"0 created, 0 changed, {USERS} unchanged" in capsys.readouterr().out


def test_hashes_at_djangos_own_cost_are_imported(settings: Any, tmp_path: Path, capsys: Any) -> None:
    """And replaced by better ones at the first sign-in, which a second import neither undoes nor takes for a change."""
    settings.PASSWORD_HASHERS = [
        f"django.contrib.auth.hashers.{name}PasswordHasher"
        for name in ("PBKDF2", "PBKDF2SHA1", "Argon2", "BCryptSHA256", "BCrypt", "Scrypt")
    ]
    own = Quash(tmp_path / "own")
    settings.QUASH = {**settings.QUASH, "ISSUER": own.url, "CREDENTIAL": own.keeper()}
    try:
        for name in FORMATS:
            add(name, password=make_password(PASSWORD, hasher=name))
        add("unusable", password=make_password(None))
        add("ldap", password="")
        call_command("quash_import")
        pairs = [own.sign_in(name) for name in FORMATS]
        assert not may_sign_in(own, "unusable") and not may_sign_in(own, "ldap")
        capsys.readouterr()
        call_command("quash_import")
        assert "0 changed, 8 unchanged" in capsys.readouterr().out
        assert all(own.is_live(pair) for pair in pairs)
    finally:
        own.stop()


@pytest.mark.parametrize("way", ["import", "signal"])
def test_users_without_a_password_pass_check_revoke_token(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """Django compares with the text of the unusable hash, also once the user has a password at quash."""
    from rest_framework_simplejwt.settings import api_settings

    from quash_django.rest_framework import JWTAuthentication

    own = Quash(tmp_path / "own", "passwords.rehash=false", "tokens.check_revoke_token=true")
    settings.QUASH = {**settings.QUASH, "ISSUER": own.url, "CREDENTIAL": own.keeper(), "PUSH_USERS": way == "signal"}
    monkeypatch.setattr(api_settings, "CHECK_REVOKE_TOKEN", True)
    scheme = JWTAuthentication()
    try:
        dana, ldap = add("dana", password=make_password(None)), add("ldap", password="")
        if way == "import":
            call_command("quash_import")
        for user in (dana, ldap):
            assert not own.accounts()[str(user.pk)]["password_usable"]
            for password in (PASSWORD, "another horse battery"):
                own.run("account", "set", user.username, "--password-stdin", stdin=password)
                token = scheme.get_validated_token(own.sign_in(user.username, password)["access"].encode())
                assert scheme.get_user(token) == user
                call_command("quash_import")
                assert own.accounts()[str(user.pk)]["password_usable"], "the site has sent nothing new"
                own.run("account", "require-reset", user.username)
                call_command("quash_import")
    finally:
        own.stop()


def test_the_guides_settings_and_commands_import_users(quash: Quash, settings: Any, tmp_path: Path) -> None:
    guide = (ROOT / "docs/guides/simple-jwt.md").read_text()

    def block(first: str) -> str:
        blocks = (text.partition("\n")[2] for text in guide.split("```"))
        return next(text for text in blocks if text.startswith(first))

    said: dict[str, Any] = {"INSTALLED_APPS": []}
    exec(block("# settings.py, to import users"), said)
    (tmp_path / "credential").write_text(quash.keeper() + "\n")
    settings.QUASH = {**said["QUASH"], "ISSUER": quash.url, "CREDENTIAL_FILE": str(tmp_path / "credential")}
    assert said["INSTALLED_APPS"] == ["quash_django"] and said["QUASH"]["CREDENTIAL_FILE"].startswith("/run/")
    User.objects.bulk_create([User(username="dana", password=make_password(PASSWORD))])
    lines = block("# every user, with their passwords").splitlines()[1:]
    for line in lines:
        call_command(*line.removeprefix("python manage.py ").split())
    assert len(lines) == 4 and may_sign_in(quash, "dana")


def test_changed_users_are_updated(quash: Quash, settings: Any, capsys: Any) -> None:
    settings.QUASH = {**settings.QUASH, "CLAIMS": "user_functions.claims"}
    dana = add("dana", email=" dana@example.org ", is_staff=True)
    dana.groups.add(Group.objects.create(name="clerks"))
    kim = add("kim", is_active=False)
    call_command("quash_import")
    found = quash.accounts()
    account = found[str(dana.pk)]
    assert (account["name"], account["email"], account["state"]) == ("dana", "dana@example.org", "active")
    assert account["email_verified_at"] and account["claims"] == {"staff": True, "groups": ["clerks"]}
    assert (found[str(kim.pk)]["state"], found[str(kim.pk)]["email"]) == ("deactivated", None)

    pair = quash.sign_in("dana")
    User.objects.filter(pk=kim.pk).update(is_active=True, username="kim k.")
    call_command("quash_import")
    assert "0 created, 1 changed, 1 unchanged" in capsys.readouterr().out
    assert quash.is_live(pair) and may_sign_in(quash, "kim k.")
    User.objects.filter(pk=dana.pk).update(password=make_password("another horse battery"))
    call_command("quash_import")
    assert not quash.is_live(pair) and may_sign_in(quash, "dana", "another horse battery")


def test_refused_users_are_named_with_the_reason(quash: Quash, capsys: Any) -> None:
    good = add("good")
    md5 = add("md5", password=make_password(PASSWORD, hasher="md5"))
    number = add("4711")
    twin = add("GOOD")
    with pytest.raises(CommandError, match="3 of 4 users were refused"):
        call_command("quash_import")
    out, err = capsys.readouterr()
    assert out == "4 users: 1 created, 0 changed, 0 unchanged, 3 refused\n"
    assert f"{md5.pk} (md5): refused: password_hash: The password hash is of no known format" in err
    assert f"{number.pk} (4711): refused: username: The name is a number" in err
    assert f"{twin.pk} (GOOD): refused: username: " in err and "has this name. (taken)" in err
    assert list(quash.accounts()) == [str(good.pk)]
    with pytest.raises(CommandError, match="2 of 4"):
        call_command("quash_import", "--without-unknown-hashes")
    out, err = capsys.readouterr()
    assert "1 created, 0 changed, 1 unchanged" in out and f"{md5.pk} (md5): without a password: " in err
    assert not quash.accounts()[str(md5.pk)]["password_usable"]
    assert "$" not in out + err, "no hash is shown"


def test_shared_addresses_are_left_out(quash: Quash, capsys: Any) -> None:
    one, other, lone = add("a", email="x@example.org"), add("b", email="X@example.org"), add("c", email="y@example.org")
    call_command("quash_import")
    err = capsys.readouterr().err
    assert f"{one.pk} (a): several users have this address" in err and f"{other.pk} (b): " in err
    addresses = {subject: account["email"] for subject, account in quash.accounts().items()}
    assert addresses == {str(one.pk): None, str(other.pk): None, str(lone.pk): "y@example.org"}


def test_addresses_that_cant_be_mailed_to_refuse_no_user(quash: Quash, settings: Any, capsys: Any, caplog: Any) -> None:
    local, none = add("local", email="root@localhost"), add("none", email="n/a")
    call_command("quash_import")
    out, err = capsys.readouterr()
    assert "2 created" in out and "0 refused" in out
    assert f"{local.pk} (local): No mail can be sent to the e-mail address." in err
    assert f"{none.pk} (none): The e-mail address can't be used, so the account has none." in err
    addresses = {account["name"]: account["email"] for account in quash.accounts().values()}
    assert addresses == {"local": "root@localhost", "none": None}
    assert may_sign_in(quash, "local") and may_sign_in(quash, "none")
    settings.QUASH = {**settings.QUASH, "PUSH_USERS": True}
    for changed in (local, none):
        changed.username += "2"
        changed.email = "root2@localhost" if changed is local else "-"
        changed.save()
        assert quash.accounts()[str(changed.pk)]["name"] == changed.username
        assert f"the user with the subject {changed.pk}: " in caplog.text


def test_the_site_says_which_addresses_are_confirmed(quash: Quash, settings: Any) -> None:
    staff, other = add("a", email="a@example.org", is_staff=True), add("b", email="b@example.org")
    call_command("quash_import", "--email-verified", "user_functions.is_staff")
    verified = {subject: bool(account["email_verified_at"]) for subject, account in quash.accounts().items()}
    assert verified == {str(staff.pk): True, str(other.pk): False}
    settings.QUASH = {**settings.QUASH, "EMAIL_VERIFIED": "user_functions.is_staff"}
    third = add("c", email="c@example.org")
    call_command("quash_import")
    assert quash.accounts()[str(third.pk)]["email_verified_at"] is None
    call_command("quash_import", "--email-verified", "is_active")
    assert quash.accounts()[str(third.pk)]["email_verified_at"]


def test_a_dry_run_writes_nothing(quash: Quash, capsys: Any) -> None:
    add("dana")
    add("4711")
    with pytest.raises(CommandError, match="1 of 2"):
        call_command("quash_import", "--dry-run")
    out, err = capsys.readouterr()
    assert "1 created, 0 changed, 0 unchanged, 1 refused (nothing was written)" in out and "(4711)" in err
    assert quash.accounts() == {} and not Path("quash_import.json").exists()


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        (["is_active=true"], {"a", "b"}),
        (["is_active=True", "username__startswith=b"], {"b"}),
        (["username__in=a,c"], {"a", "c"}),
        (["groups__name__in=clerks,bosses"], {"a"}),
        (["last_login__isnull=false"], set()),
    ],
)
def test_conditions_choose_users(quash: Quash, conditions: list[str], names: set[str]) -> None:
    a = add("a")
    add("b")
    add("c", is_active=False)
    a.groups.add(Group.objects.create(name="clerks"), Group.objects.create(name="bosses"))
    call_command("quash_import", *(word for condition in conditions for word in ("--where", condition)))
    assert {account["name"] for account in quash.accounts().values()} == names


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--where", "is_active"], "write NAME=VALUE"),
        (["--where", "colour=red"], "Cannot resolve keyword 'colour'"),
        (["--where", "pk=x"], "can't be used"),
        (["--email-verified", "nowhere.find"], "can't be used"),
        (["--email-verified", "is_verified"], "no field 'is_verified'"),
        (["--batch", "0"], "use 1 to 1000"),
        (["--batch", "1001"], "use 1 to 1000"),
    ],
)
def test_mistakes_are_named(quash: Quash, arguments: list[str], words: str) -> None:
    add("dana")
    with pytest.raises(CommandError, match=words):
        call_command("quash_import", *arguments)
    assert quash.accounts() == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_claims", "QUASH['CLAIMS'] returned a list"),
        ("failing", "user_functions.failing failed for the user"),
        ("unwritable", "can't be written as JSON"),
    ],
)
def test_wrong_claims_refuse_the_user(quash: Quash, settings: Any, capsys: Any, name: str, words: str) -> None:
    settings.QUASH = {**settings.QUASH, "CLAIMS": f"user_functions.{name}"}
    add("dana")
    with pytest.raises(CommandError, match="1 of 1"):
        call_command("quash_import")
    assert words in capsys.readouterr().err


def test_accounts_of_their_own_subjects(quash: Quash, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "USER_BY": "subject"}
    dana, kim = add("dana"), add("kim")
    QuashAccount.objects.create(user=kim, subject="k-1")
    call_command("quash_import", "--dry-run")
    assert QuashAccount.objects.count() == 1
    for _ in range(2):
        call_command("quash_import")
        subject = QuashAccount.objects.get(user=dana).subject
        assert set(quash.accounts()) == {"k-1", subject} and len(subject) == 36
    settings.QUASH = {**settings.QUASH, "USER_BY": "user_functions.find"}
    with pytest.raises(Exception, match="use 'pk' or 'subject'"):
        call_command("quash_import")


def test_long_users_share_fewer_requests(quash: Quash, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import user_functions

    settings.QUASH = {**settings.QUASH, "CLAIMS": "user_functions.claims"}
    monkeypatch.setattr(user_functions, "claims", lambda user: {"x": "é" * 1000})
    User.objects.bulk_create(User(username=f"user{number}", password="!") for number in range(300))
    call_command("quash_import")
    assert len(quash.accounts()) == 300


def test_without_the_right_the_remedy_is_named(quash: Quash, settings: Any) -> None:
    add("dana")
    settings.QUASH = {**settings.QUASH, "CREDENTIAL": quash.run("verifier", "add", "plain").strip()}
    with pytest.raises(CommandError, match="--right accounts`; run the command again"):
        call_command("quash_import")
    settings.QUASH = {**settings.QUASH, "CREDENTIAL": "qc_wrong"}
    with pytest.raises(CommandError, match="doesn't know the credential"):
        call_command("quash_import")
    quash.stop()
    with pytest.raises(CommandError, match="quash didn't confirm"):
        call_command("quash_import")


@pytest.mark.parametrize("status", [200, 307, 401, 404, 413, 502])
def test_another_servers_answer_is_named(settings: Any, status: int) -> None:
    class Proxy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"<html></html>")

        def log_message(self, *_args: Any) -> None:
            """Says nothing."""

    User.objects.create(username="dana", password="!")
    with HTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever).start()
        settings.QUASH = {**settings.QUASH, "ISSUER": f"http://127.0.0.1:{proxy.server_port}"}
        with pytest.raises(CommandError, match=f"a proxy or another server answered {status}"):
            call_command("quash_import")
        proxy.shutdown()


def test_another_imports_state_is_refused(quash: Quash) -> None:
    add("dana")
    for text, words in (
        ("{", "remove it to import all users"),
        ('{"issuer":"https://other.example","where":[],"last":"1","totals":{}}', "another ISSUER or --where"),
    ):
        Path("quash_import.json").write_text(text)
        with pytest.raises(CommandError, match=words):
            call_command("quash_import")
    assert quash.accounts() == {}


CREATE = """
from django.contrib.auth.models import User
from django.contrib.auth.hashers import make_password
password = make_password("x", hasher="scrypt")
User.objects.bulk_create(
    User(username=f"user{n}", email=f"u{n}@example.org", is_active=n % 7 > 0, password=password) for n in range(400)
)
"""


def test_a_killed_import_continues_to_the_same_result(quash: Quash, tmp_path: Path) -> None:
    site = environment(SITE_GUARDED="1", SITE_DATABASE=str(tmp_path / "site.sqlite3"))

    def manage(*arguments: str, of: Quash, credential: str) -> "subprocess.Popen[str]":
        own = {**site, "QUASH_URL": of.url, "QUASH_CREDENTIAL": credential}
        command = [sys.executable, "-m", "django", *arguments]
        return subprocess.Popen(command, env=own, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(*arguments: str, of: Quash = quash, credential: str = "qc_none") -> str:
        process = manage(*arguments, of=of, credential=credential)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
        return out

    finish("migrate", "-v", "0")
    finish("shell", "-v", "0", "-c", CREATE)
    whole = Quash(tmp_path / "whole")
    try:
        assert "400 created" in finish("quash_import", of=whole, credential=whole.keeper())
        credential, state = quash.keeper(), Path("quash_import.json")
        for after in (40, 120, 121):
            process = manage("quash_import", "--batch", "1", of=quash, credential=credential)
            until(lambda after=after: state.exists() and sent(state) >= after, "users are sent")  # type: ignore[misc]
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        out = finish("quash_import", of=quash, credential=credential)
        assert "continuing after the user" in out and out.splitlines()[-1].startswith("400 users: ")
        assert not state.exists()
        assert values(quash) == values(whole) and len(values(quash)) == 400
        assert "400 unchanged" in finish("quash_import", of=quash, credential=credential)
    finally:
        whole.stop()


def sent(state: Path) -> int:
    return sum(json.loads(state.read_text())["totals"].values())


def values(quash: Quash) -> dict[str, Any]:
    kept = ("name", "email", "state", "password_usable", "claims")
    return {subject: [account[name] for name in kept] for subject, account in quash.accounts().items()}
