"""The page on which users end their sessions, and the list on a user's page of the admin, with a real quash server."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from log_in_site import BACKEND, sessions, signed_in, who
from quash_verify.testing import TestIssuer
from servers import BINARY, Quash

from quash_django.changes.endings import SESSION_KEY
from quash_django.testing import log_in

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it"),
]
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
def clean(simple: Quash) -> Quash:
    simple.run("revoke", "account", "dana")
    return simple


def sid(client: Client) -> str:
    return str(client.session[SESSION_KEY]["sid"])


def test_the_page_lists_the_users_sessions(clean: Quash) -> None:
    client = signed_in(HTTP_USER_AGENT=FIREFOX, REMOTE_ADDR="203.0.113.5")
    other = signed_in(HTTP_USER_AGENT="<script>", REMOTE_ADDR="203.0.113.6")
    answer = client.get("/sessions/")
    html = answer.content.decode()
    assert answer.status_code == 200 and "no-store" in answer["Cache-Control"]
    assert re.findall(r'<th scope="row">(.*?)</th>', html) == ["Firefox on Linux (this session)", "&lt;script&gt;"]
    assert re.findall(r"<td>(203.*?)</td>", html) == ["203.0.113.5", "203.0.113.6"]
    assert re.findall(r'name="session" value="(\w+)"', html) == [sid(client), sid(other)]
    assert html.count("csrfmiddlewaretoken") == 3 and "<script>" not in html
    assert Client().get("/sessions/")["Location"] == "/log-in/?next=/sessions/"


def test_a_user_ends_a_session_or_all_others(clean: Quash) -> None:
    client, second, third, fourth = (signed_in() for _ in range(4))
    assert client.post("/sessions/", {"session": sid(second)})["Location"] == "/sessions/"
    assert [who(each) for each in (client, second, third)] == ["dana", "nobody", "dana"]
    client.post("/sessions/", {"others": "1"})
    assert [who(each) for each in (client, third, fourth)] == ["dana", "nobody", "nobody"]
    assert [session["sid"] for session in sessions(clean)] == [sid(client)]
    client.post("/sessions/", {"session": sid(client)})
    assert who(client) == "nobody" and sessions(clean) == []


def test_nobody_ends_sessions_of_others(clean: Quash) -> None:
    clean.run("account", "add", "noor", "--password-stdin", stdin="another horse battery")
    own = {session["sid"] for session in sessions(clean, "noor")}
    client = signed_in()
    for wrong in [*own, "x", "", "0" * 32]:
        assert client.post("/sessions/", {"session": wrong}).status_code == 404
    assert client.post("/sessions/", {}).status_code == 404
    assert {session["sid"] for session in sessions(clean, "noor")} == own


def test_posts_need_the_page(clean: Quash) -> None:
    client = signed_in()
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies.copy()  # type: ignore[assignment]
    assert strict.post("/sessions/", {"others": "1"}).status_code == 403
    assert Client().post("/sessions/", {"others": "1"})["Location"] == "/log-in/?next=/sessions/"


def test_the_page_without_quash_is_503(clean: Quash, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client = signed_in()
    monkeypatch.setattr("quash_django.client.sessions_api.TIMEOUT", 0.0)
    answer = client.get("/sessions/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")


def test_the_admin_lists_a_users_sessions(clean: Quash) -> None:
    signed_in(HTTP_USER_AGENT=FIREFOX, REMOTE_ADDR="203.0.113.5")
    User.objects.filter(pk=17).update(is_staff=True, is_superuser=True)
    boss = signed_in()
    html = boss.get("/admin/auth/user/17/change/").content.decode()
    assert "Live sessions" in html and "Firefox on Linux" in html and "203.0.113.5" in html
    assert 'name="session"' not in html
    assert "Live sessions" not in boss.get("/admin/auth/user/add/").content.decode()
    kim = User.objects.create_user("kim")
    assert "none" in boss.get(f"/admin/auth/user/{kim.pk}/change/").content.decode()
    boss.post("/admin/auth/user/", {"action": "end_all_sessions", "_selected_action": ["17"]})
    assert sessions(clean) == []


def test_the_admin_without_quash_shows_the_user(clean: Quash, monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.filter(pk=17).update(is_staff=True, is_superuser=True)
    boss = signed_in()
    monkeypatch.setattr("quash_django.client.sessions_api.TIMEOUT", 0.0)
    html = boss.get("/admin/auth/user/17/change/").content.decode()
    assert "The list isn&#x27;t available: quash can&#x27;t be reached." in html


def test_sites_sign_users_in_in_their_own_tests(issuer: TestIssuer, dana: User, settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [BACKEND]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "quash_django.middleware.SessionMiddleware"]
    settings.ROOT_URLCONF = "log_in_urls"
    client = Client()
    token = log_in(client, dana, issuer)
    assert who(client) == "dana"
    issuer.revoke_session(token)
    assert who(client) == "nobody"
