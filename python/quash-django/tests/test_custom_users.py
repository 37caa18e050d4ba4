"""A user model whose key is a UUID. `test_variants.py` runs these tests with its settings."""

from pathlib import Path
from typing import Any

import pytest
from cheap_hashers import CHEAP
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core import serializers
from django.core.management import call_command
from django.db import DatabaseError
from model import Model
from quash_verify.testing import TestIssuer
from rest_framework.test import APIClient
from rest_framework_simplejwt.settings import api_settings
from servers import BINARY, PASSWORD, Quash
from test_lost import no_room

from quash_django.client import shared_verifier

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(django_settings.AUTH_USER_MODEL == "auth.User", reason="needs the settings custom_settings"),
]


@pytest.mark.parametrize("subject", ["17", "x", "0d6c1a0e-9a3c-4b6f-8d8c-2f9a4e1b7c55"])
def test_a_subject_of_another_type_is_an_unknown_user(issuer: TestIssuer, subject: str) -> None:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issuer.token(subject)}")
    assert client.get("/me/").json() == {"detail": "User not found", "code": "user_not_found"}


def test_the_user_is_found_by_its_key(issuer: TestIssuer) -> None:
    user = get_user_model().objects.create_user("dana")
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {issuer.token(user.pk)}")
    assert client.get("/me/").json()["user"] == "dana"


@pytest.mark.parametrize("kind", ["Person", "Proxy", "Staff"])
def test_proxies_and_subclasses_are_users(shop: Model, kind: str) -> None:
    from custom_users import models

    user: Any = getattr(models, kind).objects.create_user("dana", password="x")
    assert shop.sent == []
    user.set_password("y")
    user.save()
    assert shop.sent == [{"subject": str(user.pk), "reason": "password_changed"}]
    user.save()
    assert len(shop.sent) == 1
    key = str(user.pk)
    user.delete()
    assert {sent["subject"] for sent in shop.sent} == {key} and shop.sent[-1]["reason"] == "deleted"


@pytest.mark.parametrize("update_fields", [None, ["username"]])
def test_another_name_in_tokens_ends_the_old_and_the_new(
    shop: Model, monkeypatch: pytest.MonkeyPatch, update_fields: Any
) -> None:
    monkeypatch.setattr(api_settings, "USER_ID_FIELD", "username", raising=False)
    user = get_user_model().objects.create_user("dana", password="x")
    user.username = "kim"
    user.save(update_fields=update_fields)
    # A token with the new name belongs to its former owner.
    assert [(sent["subject"], sent["reason"]) for sent in shop.sent] == [
        ("dana", "name_changed"),
        ("kim", "name_changed"),
    ]


@pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")
@pytest.mark.django_db(transaction=True)
def test_changes_of_such_users_reach_quash(settings: Any, tmp_path: Path) -> None:
    from custom_users import models

    quash = Quash(tmp_path)
    settings.QUASH = {"ISSUER": quash.url, "CREDENTIAL": quash.keeper(), "MODE": "quash_issues"}
    settings.PASSWORD_HASHERS = CHEAP
    shared_verifier.install(None)
    try:
        for kind in ("Person", "Proxy", "Staff"):
            user: Any = getattr(models, kind).objects.create_user(kind, password=PASSWORD)
            pair, key = quash.sign_in(kind), str(user.pk)
            user.username = f"{kind} 2"
            user.save()
            assert quash.accounts()[key]["name"] == f"{kind} 2" and quash.is_live(pair)
            user.set_password("another horse battery")
            user.save()
            assert not quash.is_live(pair)
            user.delete()
            assert quash.accounts()[key]["state"] == "deactivated"
        # Rows are read in the order of their keys, which are UUIDs.
        get_user_model().objects.bulk_create(get_user_model()(username=f"user{n}", password="!") for n in range(20))
        call_command("quash_import", "--batch", "3")
        assert len(quash.accounts()) == 23
    finally:
        quash.stop()
        shared_verifier.install(None)


def test_reconcile_knows_such_users(shop: Model) -> None:
    from quash_django.changes.marks import reconcile

    user = get_user_model().objects.create_user("dana", password="x")
    assert reconcile() == (1, 1, 0, 0, 0)
    get_user_model().objects.update(password="!")
    assert reconcile() == (1, 0, 1, 0, 0)
    assert shop.sent == [{"subject": str(user.pk), "reason": "password_changed"}]
    get_user_model().objects.all()._raw_delete(using="default")
    assert reconcile() == (0, 0, 0, 0, 1)


@pytest.mark.parametrize("kind", ["Person", "Proxy", "Staff"])
@pytest.mark.django_db(transaction=True)
def test_their_changes_exist_only_with_the_row(shop_on_commit: Model, kind: str) -> None:
    from custom_users import models

    user: Any = getattr(models, kind).objects.create_user("dana", password="x")
    key = str(user.pk)
    user.set_password("y")
    fixture = next(serializers.deserialize("python", serializers.serialize("python", [user])))
    with no_room(), pytest.raises(DatabaseError, match="no room"):
        user.save()
    assert models.Person.objects.get().check_password("x")
    fixture.save()
    if kind == "Staff":
        # Its fixture has the columns of its own table alone.
        assert shop_on_commit.sent == []
        user.save()
    assert shop_on_commit.sent == [{"subject": key, "reason": "password_changed"}]
