"""Lock-outs by django-axes and django-defender. `test_variants.py` runs these tests with their settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cheap_hashers import CHEAP
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from model import Model
from rest_framework.exceptions import PermissionDenied
from rest_framework.test import APIClient
from rest_framework_simplejwt.tokens import AccessToken
from servers import BINARY, Quash

from quash_django.changes import outbox, pushes, receivers
from quash_django.client import shared_verifier
from quash_django.conf import command, quash_settings
from quash_django.testing import QuashAPIClient, quash_issuer

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


@pytest.fixture
def issues(settings: Any) -> Iterator[Model]:
    """A site whose tokens quash issues."""
    settings.ROOT_URLCONF = "keep_urls"
    settings.AXES_LOCKOUT_PARAMETERS = ["username"]
    receivers.connect_locks()
    model = Model(None)
    shared_verifier.install(model)  # type: ignore[arg-type]
    with outbox.sent_immediately(), pushes.discarded():
        yield model
    shared_verifier.install(None)
    receivers.disconnect()


def test_sessions_of_quash_end_too(issues: Model, dana: User) -> None:
    attack()
    # quash refuses another reason for sessions of its own.
    assert issues.sent == [{"subject": str(dana.pk), "reason": "revoked"}]
    assert "--right revoke --right accounts" in command(quash_settings())


def test_a_sites_own_tests_see_the_end(dana: User, settings: Any) -> None:
    settings.AXES_LOCKOUT_PARAMETERS = ["username"]
    receivers.connect_locks()
    with quash_issuer() as issuer:
        client = QuashAPIClient(issuer)
        client.login_as(dana)
        assert client.get("/me/").status_code == 200
        settings.ROOT_URLCONF = "keep_urls"
        attack()
        settings.ROOT_URLCONF = "site_urls"
        assert client.get("/me/").status_code == 401
    receivers.disconnect()


def test_the_site_may_leave_them(issues: Model, dana: User, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "END_ON": ["log_out"]}
    attack()
    assert issues.sent == [] and "revoke" not in command(quash_settings())


def test_a_user_without_a_known_subject_is_locked_all_the_same(issues: Model, dana: User, settings: Any) -> None:
    for by in ("subject", "user_functions.find"):
        settings.QUASH = {**settings.QUASH, "USER_BY": by}
        attack()
    assert issues.sent == []


@pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")
def test_check_names_a_command_with_all_rights(tmp_path: Path, settings: Any, capsys: Any) -> None:
    quash = Quash(tmp_path)
    shared_verifier.install(None)
    try:
        settings.PASSWORD_HASHERS = CHEAP
        settings.QUASH = {"ISSUER": quash.url, "CREDENTIAL": quash.keeper(), "MODE": "quash_issues"}
        with pytest.raises(CommandError, match="1 failed"):
            call_command("quash_check")
        assert "--right feed --right introspect --right revoke --right accounts`" in capsys.readouterr().out
        settings.QUASH = {**settings.QUASH, "CREDENTIAL": quash.credential("site")}
        shared_verifier.install(None)
        call_command("quash_check")
        assert "ok   the credential can end sessions" in capsys.readouterr().out
    finally:
        shared_verifier.install(None)
        quash.stop()


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
