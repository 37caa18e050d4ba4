"""Lock-outs by django-axes and django-defender. `test_variants.py` runs these tests with their settings."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from model import Model
from rest_framework.exceptions import PermissionDenied
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken

from quash_django import receivers

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not apps.is_installed("axes"), reason="needs the settings locks_settings"),
]


def attack(times: int = 3) -> None:
    for _ in range(times):
        APIClient().post("/token/", {"username": "dana", "password": "wrong"}, REMOTE_ADDR="10.0.0.9")


def by_name(request: Any, credentials: Any) -> list[Any]:
    return ["username"]


def by_address(request: Any, credentials: Any) -> list[Any]:
    return ["ip_address"]


@pytest.mark.parametrize(
    ("parameters", "ended"),
    [
        (["username"], 1),
        (["ip_address", "username"], 1),
        (["ip_address"], 0),
        ([["username", "ip_address"]], 0),
        (["user_agent", ["username", "user_agent"]], 0),
        (by_name, 1),
        ("test_locks.by_name", 1),
        (by_address, 0),
    ],
)
def test_only_a_lock_of_the_name_alone_ends_sessions(
    shop: Model, dana: User, settings: Any, parameters: Any, ended: int
) -> None:
    settings.AXES_LOCKOUT_PARAMETERS = parameters
    token = str(AccessToken.for_user(dana))
    attack(2)
    assert shop.sent == []
    attack(1)
    assert shop.sent == [{"subject": str(dana.pk), "reason": "locked"}][:ended]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert client.get("/me/").status_code == (401 if ended else 200)


def test_a_lock_of_an_unknown_name_ends_nothing(shop: Model, settings: Any) -> None:
    settings.AXES_LOCKOUT_PARAMETERS = ["username"]
    attack()
    assert shop.sent == []


def test_a_site_may_refuse_in_a_receiver(shop: Model, dana: User, settings: Any) -> None:
    """Django doesn't call the receivers after one that raises."""
    from axes.signals import user_locked_out

    def refuse(**_: Any) -> None:
        raise PermissionDenied("too many failures")

    settings.AXES_LOCKOUT_PARAMETERS = ["username"]
    receivers.disconnect()
    user_locked_out.connect(refuse)
    try:
        receivers.connect()
        attack(2)
        answer = APIClient().post("/token/", {"username": "dana", "password": "wrong"})
    finally:
        user_locked_out.disconnect(refuse)
    assert answer.status_code == 403
    assert shop.sent == [{"subject": str(dana.pk), "reason": "locked"}]


@pytest.mark.parametrize("with_address", [False, True])
def test_defenders_lock_of_a_name_ends_sessions(
    shop: Model, dana: User, monkeypatch: pytest.MonkeyPatch, with_address: bool
) -> None:
    from defender import config
    from defender.signals import send_ip_block_signal, send_username_block_signal

    monkeypatch.setattr(config, "LOCKOUT_BY_IP_USERNAME", with_address)
    send_ip_block_signal("10.0.0.9")
    send_username_block_signal("dana")
    assert len(shop.sent) == (0 if with_address else 1)
