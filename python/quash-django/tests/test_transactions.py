"""ATOMIC_REQUESTS: new tokens of a view that changes the password, and the system check that names such views."""

import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from model import Model
from rest_framework.test import APIClient

from quash_django.checks.views import check_transactions

PATHS = ["/change/", "/right-change/", "/serializer/", "/reset/", "/right-reset/"]
WRONG = ["/change/", "/serializer/", "/reset/"]


@pytest.fixture
def site(shop_on_commit: Model, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Model:
    settings.ROOT_URLCONF = "transaction_urls"
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    return shop_on_commit


def refreshes(pair: dict[str, str]) -> bool:
    status = APIClient().post("/token/refresh/", {"refresh": pair["refresh"]}).status_code
    assert status in (200, 401)
    return bool(status == 200)


def change(path: str) -> tuple[dict[str, str], dict[str, str]]:
    """Signs in and changes the password. Returns the old and the new pair."""
    old = APIClient().post("/token/", {"username": "dana", "password": "correct horse"}).json()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {old['access']}")
    answer = client.post(path, {"password": "another horse"})
    assert answer.status_code == 200, answer.content
    return old, answer.json()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_atomic", [True, False])
@pytest.mark.parametrize("path", PATHS)
def test_new_tokens_are_live_once_the_change_is_committed_first(
    site: Model, dana: User, path: str, is_atomic: bool, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic)
    caplog.set_level(logging.WARNING, "quash_django")
    old, new = change(path)
    assert not refreshes(old)
    is_wrong = is_atomic and path in WRONG
    assert refreshes(new) is not is_wrong
    assert ("`non_atomic_requests`" in caplog.text) is is_wrong


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", WRONG)
def test_dead_tokens_are_an_error_in_development(site: Model, dana: User, path: str, settings: Any) -> None:
    settings.DEBUG = True
    with pytest.raises(ImproperlyConfigured, match="`non_atomic_requests`"):
        change(path)


@pytest.mark.django_db(transaction=True)
def test_a_new_users_tokens_are_live(site: Model) -> None:
    pair = APIClient().post("/register/", {"name": "kim"}).json()
    assert refreshes(pair)


def test_the_system_check_names_such_views(site: Model, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (warning,) = check_transactions()
    assert warning.id == "quash.W011" and all(path in warning.msg for path in WRONG), warning
    assert warning.msg.count("/") == 2 * len(WRONG), "no other"
    assert warning.hint is not None and "non_atomic_requests" in warning.hint
    settings.QUASH = {**settings.QUASH, "END_ON": ["log_out"]}
    assert check_transactions() == []
    del settings.QUASH["END_ON"]
    settings.QUASH = {**settings.QUASH}
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", False)
    assert check_transactions() == []


def test_the_articles_views_are_not_named(site: Model, settings: Any) -> None:
    settings.ROOT_URLCONF = "keep_urls"
    (warning,) = check_transactions()
    assert "/password/" in warning.msg and warning.msg.count("/") == 2, "this one alone"
