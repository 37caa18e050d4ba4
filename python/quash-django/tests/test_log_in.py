"""Django's own log-in with ``QuashBackend`` and a real quash server."""

import base64
import json
import logging
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import AsyncClient, Client
from log_in_site import BACKEND, log_in, sessions, signed_in, the_site, who
from servers import BINARY, PASSWORD, Quash, post, until

from quash_django import end_user
from quash_django.backends import DEVICE_COOKIE, SignInRefused
from quash_django.changes import outbox
from quash_django.changes.endings import SESSION_KEY
from quash_django.client import sessions_api, shared_verifier
from quash_django.models import QuashAccount, QuashOutbox

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it"),
]


@pytest.fixture(params=["db", "signed_cookies"])
def site(request: pytest.FixtureRequest, settings: Any, quash: Quash) -> Iterator[Quash]:
    yield from the_site(settings, quash, request.param)


def test_a_log_in_opens_a_session_at_quash(site: Quash) -> None:
    before = len(sessions(site))
    client = signed_in(HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
    assert who(client) == "dana"
    own = client.session[SESSION_KEY]
    assert set(own) == {"sid", "sub", "seq", "iat", "exp"} and own["sub"] == "17"
    assert own["exp"] - own["iat"] == 24 * 3600
    (opened,) = sessions(site)[before:]
    assert opened["sid"] == own["sid"] and "Firefox" in str(opened)


def test_no_token_or_password_is_kept_or_logged(site: Quash, caplog: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        client = signed_in()
        assert log_in(Client(), "wrong").status_code == 200
        client.post("/log-out/")
    kept = json.dumps(dict(client.session)) + "".join(record.getMessage() for record in caplog.records)
    assert "eyJ" not in kept and PASSWORD not in kept and site.secret not in kept


def test_a_wrong_password_signs_nobody_in(simple: Quash) -> None:
    client = Client()
    answer = log_in(client, "wrong")
    assert answer.status_code == 200 and "Please enter a correct username and password" in answer.content.decode()
    assert who(client) == "nobody"
    for name, password in [("nobody", "x"), ("da\0na", "x"), ("", "x"), ("dana", ""), ("dana", "x" * 40_000)]:
        assert authenticate(None, username=name, password=password) is None
    assert authenticate(None, username="dana") is None and authenticate(None, username="\ud800", password="x") is None


def test_an_end_at_quash_signs_out(site: Quash, monkeypatch: pytest.MonkeyPatch) -> None:
    client, other = signed_in(), signed_in()
    cookies = client.cookies.copy()
    sid = client.session[SESSION_KEY]["sid"]
    site.run("session", "end", sid)
    until(lambda: who(client) == "nobody", "the session has ended")
    copy = Client()
    rows: list[Any] = []
    copy.cookies = cookies  # type: ignore[assignment]
    monkeypatch.setattr(outbox, "add", rows.extend)
    assert who(copy) == "nobody" and rows == [], "a copied cookie causes no further revocation"
    assert who(other) == "dana" and SESSION_KEY not in client.session and "_auth_user_id" not in client.session
    site.run("revoke", "account", "dana")
    until(lambda: who(other) == "nobody", "all sessions have ended")
    assert who(signed_in()) == "dana"


def test_a_copied_cookie_ends_with_the_log_out(site: Quash) -> None:
    client, thief = signed_in(), Client()
    thief.cookies = client.cookies.copy()  # type: ignore[assignment]
    assert who(thief) == "dana"
    before = {session["sid"] for session in sessions(site)}
    sid = client.session[SESSION_KEY]["sid"]
    client.post("/log-out/")
    assert (who(client), who(thief)) == ("nobody", "nobody")
    assert {session["sid"] for session in sessions(site)} == before - {sid}
    assert not QuashOutbox.objects.exists()


def test_a_log_out_without_quash_ends_the_session_later(simple: Quash) -> None:
    client, thief = signed_in(), Client()
    thief.cookies = client.cookies.copy()  # type: ignore[assignment]
    sid = client.session[SESSION_KEY]["sid"]
    simple.stop()
    try:
        assert client.post("/log-out/").status_code == 200
        assert who(client) == who(thief) == "nobody" and QuashOutbox.objects.count() == 1
    finally:
        simple.start()
    until(lambda: sid not in {session["sid"] for session in sessions(simple)}, "the session has ended")
    outbox._quiet_until = 0.0
    assert outbox.drain() == (1, 0)


def test_a_log_out_ends_the_tokens_of_its_session(site: Quash, monkeypatch: pytest.MonkeyPatch) -> None:
    request, tokens = sessions_api.request, []

    def recorded(*arguments: Any) -> Any:
        answer = request(*arguments)
        tokens.append(answer.body)
        return answer

    monkeypatch.setattr(sessions_api, "request", recorded)
    client = signed_in()
    (pair,) = tokens
    assert is_accepted(site, pair)
    client.post("/log-out/")
    assert not is_accepted(site, pair)


def is_accepted(quash: Quash, pair: dict[str, str]) -> bool:
    """Returns whether the access and the refresh token are."""
    found = set()
    for token in (pair["access"], pair["refresh"]):
        try:
            post(quash.url + "/api/token/verify/", {"token": token})
            found.add(True)
        except urllib.error.HTTPError as error:
            assert error.code == 401
            found.add(False)
    (both,) = found
    return both


def test_another_password_signs_out(site: Quash) -> None:
    client = signed_in()
    token = site.sign_in()["access"]
    body = {"current_password": PASSWORD, "new_password": "another horse battery"}
    post(site.url + "/v1/me/password", body, token)
    try:
        until(lambda: who(client) == "nobody", "the session has ended")
        assert log_in(Client(), "another horse battery").status_code == 302
    finally:
        site.run("account", "set", "dana", "--password-stdin", stdin=PASSWORD)


def test_other_claims_sign_nobody_out(site: Quash) -> None:
    client = signed_in()
    before = client.session[SESSION_KEY]
    site.run("account", "set", "dana", "--claims-stdin", stdin=json.dumps({"role": time.monotonic_ns()}))
    until(lambda: (shared_verifier.head() or 0) > before["seq"], "the entry has arrived")
    assert who(client) == "dana"
    after = client.session[SESSION_KEY]
    assert after == {**before, "seq": after["seq"]} and after["seq"] > before["seq"]


def test_a_session_lasts_as_long_as_at_quash(simple: Quash) -> None:
    client = signed_in()
    session = client.session
    session[SESSION_KEY] = {**session[SESSION_KEY], "exp": int(time.time())}
    session.save()
    assert who(client) == "nobody"


@pytest.mark.parametrize(
    ("forwarded", "peer", "address"),
    [
        (None, "203.0.113.5", "203.0.113.5"),
        ("198.51.100.1", "203.0.113.5", "203.0.113.5"),
        ("198.51.100.1, 203.0.113.9", "10.0.0.7", "203.0.113.9"),
        ("198.51.100.1, a\x7fb, 203.0.113.9:4711", "10.0.0.7", "203.0.113.9"),
        (", ".join(["198.51.100.1"] * 1000 + ["2001:db8::1"]), "10.0.0.7", "2001:db8::1"),
    ],
)
def test_quash_learns_the_browsers_address(simple: Quash, forwarded: str | None, peer: str, address: str) -> None:
    more = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    signed_in(REMOTE_ADDR=peer, **more)
    assert sessions(simple)[-1]["address"] == address


def test_quash_locks_out_the_browsers_network_not_the_site(simple: Quash) -> None:
    for number in range(50):
        log_in(Client(), "wrong", REMOTE_ADDR="203.0.113.77")
    answer = log_in(Client(), REMOTE_ADDR="203.0.113.77")
    assert answer.status_code == 200 and "Request was throttled." in answer.content.decode()
    simple.run("account", "unlock", "dana")
    assert who(signed_in(REMOTE_ADDR="203.0.113.78")) == "dana"
    basic = base64.b64encode(f"dana:{PASSWORD}".encode()).decode()
    outside = Client().get("/basic/", REMOTE_ADDR="203.0.113.77", HTTP_AUTHORIZATION=f"Basic {basic}")
    assert outside.status_code == 429 and int(outside["Retry-After"]) > 0


def test_forms_explain_a_refused_right_password(simple: Quash) -> None:
    simple.run("account", "add", "kim", "--email", "kim@example.org", "--password-stdin", stdin=PASSWORD)
    answer = Client().post("/log-in/", {"username": "kim", "password": PASSWORD})
    assert answer.status_code == 200 and "is not verified" in answer.content.decode()
    with pytest.raises(SignInRefused) as refused:
        authenticate(None, username="kim", password=PASSWORD)
    assert refused.value.code == "email_not_verified"
    basic = base64.b64encode(f"kim:{PASSWORD}".encode()).decode()
    outside = Client().get("/basic/", HTTP_AUTHORIZATION=f"Basic {basic}")
    assert outside.status_code == 403 and "is not verified" in outside.content.decode()


def test_an_account_without_an_active_user_here_signs_nobody_in(simple: Quash) -> None:
    simple.run("account", "add", "lee", "--subject", "18", "--password-stdin", stdin=PASSWORD)
    assert authenticate(None, username="lee", password=PASSWORD) is None
    User.objects.create_user("lee", pk=18, is_active=False)
    assert authenticate(None, username="lee", password=PASSWORD) is None
    assert sessions(simple, "lee") == []


def test_a_known_device_signs_in_during_a_lock(simple: Quash) -> None:
    client = signed_in(REMOTE_ADDR="203.0.113.21")
    cookie = client.cookies[DEVICE_COOKIE]
    assert cookie["httponly"] and cookie["samesite"] == "Lax" and not cookie["secure"]
    client.post("/log-out/")
    bound = Client()
    bound.cookies[DEVICE_COOKIE] = cookie.value
    assert log_in(bound, REMOTE_ADDR="203.0.113.21").status_code == 302
    for _ in range(6):
        log_in(Client(), "wrong", REMOTE_ADDR="203.0.113.22")
    assert log_in(Client(), REMOTE_ADDR="203.0.113.23").status_code == 200, "locked"
    assert who(bound) == "dana", "a lock spares the sessions of known devices"
    again = Client()
    again.cookies[DEVICE_COOKIE] = cookie.value
    assert log_in(again, REMOTE_ADDR="203.0.113.23").status_code == 302
    simple.run("account", "unlock", "dana")


def test_users_are_found_by_the_subject_of_their_account(simple: Quash, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "USER_BY": "subject"}
    kim = User.objects.create_user("kim")
    assert authenticate(None, username="dana", password=PASSWORD) is None
    QuashAccount.objects.create(user=kim, subject="17")
    client = signed_in()
    assert who(client) == "kim"
    with pytest.raises(ValueError, match="log_out_everywhere"):
        end_user(kim, reason="password_changed")
    end_user(kim)
    assert who(client) == "nobody" and sessions(simple) == []
    with pytest.raises(ImproperlyConfigured, match="quash_account"):
        end_user(User.objects.get(pk=17))


def test_sessions_left_behind_are_ended(simple: Quash) -> None:
    before = len(sessions(simple))
    client = signed_in()
    first = client.session[SESSION_KEY]["sid"]
    assert log_in(client).status_code == 302
    second = client.session[SESSION_KEY]["sid"]
    assert first != second
    basic = base64.b64encode(f"dana:{PASSWORD}".encode()).decode()
    for _ in range(3):
        assert Client().get("/basic/", HTTP_AUTHORIZATION=f"Basic {basic}").status_code == 200
    assert [session["sid"] for session in sessions(simple)][before:] == [second]


def test_a_log_in_may_take_two_requests(simple: Quash) -> None:
    before = len(sessions(simple))
    client = Client()
    for _ in range(2):
        assert client.post("/first-factor/", {"username": "dana", "password": PASSWORD}).content == b"passed"
    assert who(client) == "nobody" and len(sessions(simple)) == before + 1
    assert client.get("/second-factor/").status_code == 200
    assert who(client) == "dana" and client.session[SESSION_KEY]["sid"] == sessions(simple)[-1]["sid"]


def test_a_log_in_without_a_password_needs_another_backend(simple: Quash, settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [BACKEND, "django.contrib.auth.backends.ModelBackend"]
    client = Client()
    with pytest.raises(ImproperlyConfigured, match="backend="):
        client.get("/without-password/", {"backend": BACKEND})
    client.get("/without-password/", {"backend": "django.contrib.auth.backends.ModelBackend"})
    assert who(client) == "dana"


def test_asynchronous_sites_sign_in_at_quash(simple: Quash) -> None:
    from asgiref.sync import async_to_sync
    from django.contrib.auth import aauthenticate

    User.objects.filter(pk=17).update(password="")
    user = async_to_sync(aauthenticate)(None, username="dana", password=PASSWORD)
    assert user is not None and user.pk == 17
    client = AsyncClient()
    answer = async_to_sync(client.post)("/log-in/", {"username": "dana", "password": PASSWORD})
    assert answer.status_code == 302
    assert async_to_sync(client.get)("/who/").content == b"dana"


def test_quash_without_an_answer_is_503(simple: Quash, settings: Any, caplog: Any) -> None:
    settings.QUASH = {**settings.QUASH, "ISSUER": "http://127.0.0.1:9"}
    for _ in range(2):
        answer = log_in(Client())
        assert (answer.status_code, answer["Retry-After"]) == (503, "1")
        assert PASSWORD not in answer.content.decode() + caplog.text
    assert caplog.text.count("quash gave no answer at http://127.0.0.1:9") == 1


@pytest.mark.parametrize("change", [{"TOKEN_PATH": "/elsewhere/"}, {"AUDIENCE": ["another"]}])
def test_wrong_settings_are_503_and_named_in_the_log(
    simple: Quash, settings: Any, caplog: Any, change: dict[str, Any]
) -> None:
    settings.QUASH = {**settings.QUASH, **change}
    assert log_in(Client()).status_code == 503
    assert "TOKEN_PATH" in caplog.text or "can't be used here" in caplog.text
    assert PASSWORD not in caplog.text and "eyJ" not in caplog.text


def test_the_check_names_a_missing_right(simple: Quash, settings: Any, capsys: Any) -> None:
    call_command("quash_check")
    assert "ok   the credential can end sessions" in capsys.readouterr().out
    only_verifies = simple.run("verifier", "add", f"verifier-{time.monotonic_ns()}").strip()
    settings.QUASH = {**settings.QUASH, "CREDENTIAL": only_verifies}
    with pytest.raises(CommandError):
        call_command("quash_check")
    out = capsys.readouterr().out
    assert "FAIL the credential can't end sessions" in out and "--right revoke" in out


def test_another_address_of_quash_is_tried(simple: Quash, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "ISSUER": "http://127.0.0.1:9", "ALSO_AT": [simple.url]}
    assert who(signed_in()) == "dana"


def test_refresh_tokens_in_cookies_are_read(settings: Any, tmp_path: Path) -> None:
    quash = Quash(tmp_path, "cookies.refresh=on", "accounts.username_field=email")
    quash.run("account", "add", "dana", "--subject", "17", "--password-stdin", stdin=PASSWORD)
    quash.secret = quash.credential("site")
    run = the_site(settings, quash, "db")
    try:
        next(run)
        User.objects.filter(pk=17).update(email="dana@example.org")
        from quash_django.backends import _sign_in

        names = _sign_in(None, {"email": "dana", "password": PASSWORD})
        assert names is not None and names["exp"] - names["iat"] == 24 * 3600
    finally:
        next(run, None)
        quash.stop()
