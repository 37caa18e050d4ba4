"""Django's own sessions with the middleware, and the admin's action."""

import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncClient, Client
from django.utils.decorators import async_only_middleware
from model import Model

from quash_django import end_session, end_user
from quash_django.changes.endings import SESSION_KEY
from quash_django.models import QuashOutbox

pytestmark = pytest.mark.django_db
STORES = ["db", "signed_cookies"]


@pytest.fixture(params=STORES)
def site(request: pytest.FixtureRequest, settings: Any, shop: Model) -> Model:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{request.param}"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "quash_django.middleware.SessionMiddleware"]
    settings.LOGIN_REDIRECT_URL = "/who/"
    return shop


def signed_in(password: str = "correct horse") -> Client:
    client = Client()
    assert client.post("/log-in/", {"username": "dana", "password": password}).status_code == 302
    return client


def who(client: Client) -> str:
    return client.get("/who/").content.decode()


def test_an_ended_session_is_signed_out(site: Model, dana: User) -> None:
    client, other = signed_in(), signed_in()
    assert who(client) == who(other) == "dana"
    sid = client.session[SESSION_KEY]["sid"]
    assert sid != other.session[SESSION_KEY]["sid"]
    end_session(sid)
    assert (who(client), who(other)) == ("nobody", "dana")
    assert "_auth_user_id" not in client.session
    assert client.get("/who-async/").content == b"nobody"
    end_user(dana)
    assert who(other) == "nobody"
    assert who(signed_in()) == "dana"


def test_a_copied_cookie_ends_with_the_log_out(site: Model, dana: User) -> None:
    client, thief = signed_in(), Client()
    thief.cookies = client.cookies.copy()  # type: ignore[assignment]
    assert who(thief) == "dana"
    client.post("/log-out/")
    assert (who(client), who(thief)) == ("nobody", "nobody")
    assert [set(sent) for sent in site.sent] == [{"session", "reason"}]


def test_a_changed_password_keeps_the_session_that_changed_it(site: Model, dana: User) -> None:
    client, other = signed_in(), signed_in()
    form = {"old_password": "correct horse", "new_password1": "other horse 7", "new_password2": "other horse 7"}
    assert client.post("/change/", form).status_code == 302
    assert site.sent[0]["reason"] == "password_changed"
    assert (who(client), who(other)) == ("dana", "nobody")


def test_a_reset_may_sign_in(site: Model, dana: User) -> None:
    other, client = signed_in(), Client()
    assert client.post("/reset/").status_code == 200
    assert (who(client), who(other)) == ("dana", "nobody")


def test_a_log_in_is_older_than_a_change_during_it(site: Model, dana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.contrib.auth import authenticate as real

    def slow(*arguments: Any, **credentials: Any) -> Any:
        user = real(*arguments, **credentials)
        # In another process.
        site.revoke("shop", [{"subject": str(dana.pk)}])
        return user

    monkeypatch.setattr("django.contrib.auth.forms.authenticate", slow)
    assert who(signed_in()) == "nobody"


def test_a_session_from_before_the_middleware_gets_an_id(site: Model, dana: User) -> None:
    client = Client()
    client.force_login(dana)
    assert who(client) == "dana"
    sid = client.session[SESSION_KEY]["sid"]
    assert who(client) == "dana" and client.session[SESSION_KEY]["sid"] == sid
    end_session(sid)
    assert who(client) == "nobody"


def test_a_session_in_use_becomes_no_older_than_a_token_may_be(site: Model, dana: User) -> None:
    client = signed_in()
    session = client.session
    old = dict(session[SESSION_KEY])
    session[SESSION_KEY] = {**old, "iat": int(time.time()) - 1_000_000}
    session.save()
    if "signed_cookies" in session.__class__.__module__:
        client.cookies["sessionid"] = str(session.session_key)
    site.advance()
    assert who(client) == "dana"
    new = client.session[SESSION_KEY]
    assert new["sid"] == old["sid"] and new["seq"] == site.seq and new["iat"] >= int(time.time()) - 5


def test_an_unavailable_verifier_answers_503(site: Model, dana: User) -> None:
    client = signed_in()
    site.vouches = False
    answer = client.get("/who/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "1")
    assert who(Client()) == "nobody"
    site.vouches = True
    assert who(client) == "dana"


@async_only_middleware
def reads_the_user(get_response: Any) -> Any:
    async def middleware(request: Any) -> Any:
        await request.auser()
        return await get_response(request)

    return middleware


def test_asynchronous_sites_are_guarded(site: Model, dana: User, settings: Any) -> None:
    from asgiref.sync import async_to_sync

    client = signed_in()
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:-1], "test_sessions.reads_the_user", settings.MIDDLEWARE[-1]]
    asynchronous = AsyncClient()
    asynchronous.cookies = client.cookies.copy()  # type: ignore[assignment]

    def get() -> bytes:
        return bytes(async_to_sync(asynchronous.get)("/who-async/").content)

    assert get() == b"dana"
    end_session(client.session[SESSION_KEY]["sid"])
    assert get() == b"nobody"


def test_wrong_places_are_named(site: Model, settings: Any) -> None:
    settings.MIDDLEWARE = ["quash_django.middleware.SessionMiddleware", *settings.MIDDLEWARE[:-1]]
    with pytest.raises(ImproperlyConfigured, match="put it after both"):
        Client().get("/who/")


def test_the_admin_ends_all_sessions_of_users(shop: Model, dana: User) -> None:
    kim = User.objects.create_user("kim")
    boss = User.objects.create_superuser("boss", password="x")
    client = Client()
    client.force_login(boss)
    form = {"action": "end_all_sessions", "_selected_action": [dana.pk, kim.pk]}
    assert "End all sessions" in client.get("/admin/auth/user/").content.decode()
    assert client.post("/admin/auth/user/", form).status_code == 302
    assert {sent["subject"] for sent in shop.sent} == {str(dana.pk), str(kim.pk)}
    assert {sent["reason"] for sent in shop.sent} == {"revoked"}
    from django.contrib.admin.models import LogEntry

    assert LogEntry.objects.filter(user=boss, change_message="Ended all sessions.").count() == 2


def test_the_admin_says_how_sessions_end(shop: Model, dana: User) -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("boss", password="x"))
    page = client.get(f"/admin/auth/user/{dana.pk}/change/").content.decode()
    assert "The action “End all sessions” ends them." in page


def test_the_admin_needs_the_permission(shop: Model, dana: User) -> None:
    from django.contrib.auth.models import Permission

    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_user"))
    client = Client()
    client.force_login(viewer)
    assert "End all sessions" not in client.get("/admin/auth/user/").content.decode()
    client.post("/admin/auth/user/", {"action": "end_all_sessions", "_selected_action": [dana.pk]})
    assert shop.sent == []


def test_waiting_revocations_are_read_only(shop: Model) -> None:
    boss = User.objects.create_superuser("boss", password="x")
    QuashOutbox.objects.create(message={"session": "s-1"}, at_ms=0)
    client = Client()
    client.force_login(boss)
    assert "s-1" in client.get("/admin/quash_django/quashoutbox/").content.decode()
    assert client.get("/admin/quash_django/quashoutbox/add/").status_code == 403
