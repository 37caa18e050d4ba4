"""A site in this process whose users sign in at a real quash server, and the clients of its users."""

import json
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import User
from django.test import Client
from servers import PASSWORD, Quash

from quash_django.changes import outbox
from quash_django.client import sessions_api, shared_verifier

BACKEND = "quash_django.backends.QuashBackend"


def the_site(settings: Any, quash: Quash, store: str) -> Iterator[Quash]:
    """Configures the site, and adds the user dana."""
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{store}"
    settings.AUTHENTICATION_BACKENDS = [BACKEND]
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "quash_django.middleware.SessionMiddleware"]
    settings.ROOT_URLCONF = "log_in_urls"
    settings.LOGIN_URL = "/log-in/"
    settings.QUASH = {"ISSUER": quash.url, "CREDENTIAL": quash.secret, "MODE": "quash_issues", "PUSH_USERS": False}
    sessions_api._quiet_until = outbox._quiet_until = 0.0
    User.objects.create_user("dana", pk=17)
    with outbox.sent_immediately():
        yield quash
    shared_verifier.verifier().close()


def log_in(client: Client, password: str = PASSWORD, **headers: Any) -> Any:
    return client.post("/log-in/", {"username": "dana", "password": password}, **headers)


def signed_in(**headers: Any) -> Client:
    client = Client()
    assert log_in(client, **headers).status_code == 302
    return client


def who(client: Client) -> str:
    return client.get("/who/").content.decode()


def sessions(quash: Quash, name: str = "dana") -> list[dict[str, Any]]:
    """The live sessions of an account at quash, oldest first."""
    listed = json.loads(quash.run("session", "list", name, "--json"))["sessions"]
    return [session for session in listed if session["state"] == "live"]
