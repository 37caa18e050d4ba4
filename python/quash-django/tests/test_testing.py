"""A site that keeps issuing its tokens, with the in-memory issuer: Simple JWT's classes, the hooks and the verifier."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from quash_verify.testing import TestIssuer
from rest_framework.test import APIClient

from quash_django.apps import guard_keep_issuing, unguard
from quash_django.changes import outbox
from quash_django.models import QuashOutbox
from quash_django.testing import quash_issuer

pytestmark = pytest.mark.django_db


@pytest.fixture
def keeping(settings: Any) -> Iterator[TestIssuer]:
    settings.ROOT_URLCONF = "keep_urls"
    settings.QUASH = {"ISSUER": "https://issuer.test", "CREDENTIAL": "qn_test", "NAMESPACE": "shop"}
    guard_keep_issuing(hook=True)
    outbox._quiet_until = 0.0
    with quash_issuer() as issuer:
        yield issuer
    unguard()


def sign_in() -> Any:
    answer = APIClient().post("/token/", {"username": "dana", "password": "correct horse"})
    assert answer.status_code == 200, answer.content
    return answer.json()


def me(pair: Any) -> int:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    return int(client.get("/me/").status_code)


def test_a_log_out_ends_one_session(keeping: TestIssuer, dana: User) -> None:
    one, other = sign_in(), sign_in()
    assert me(one) == me(other) == 200
    assert APIClient().post("/token/blacklist/", {"refresh": one["refresh"]}).status_code == 200
    assert (me(one), me(other)) == (401, 200)
    assert not QuashOutbox.objects.exists()


def test_a_password_ends_earlier_sessions_alone(keeping: TestIssuer, dana: User) -> None:
    old = sign_in()
    dana.set_password("correct horse")
    dana.save()
    # In the same second.
    new = sign_in()
    assert (me(old), me(new)) == (401, 200)


def test_the_issuer_revokes_by_name(keeping: TestIssuer, dana: User) -> None:
    pair = sign_in()
    keeping.revoke_named("shop", {"subject": str(dana.pk)})
    assert me(pair) == 401


def test_a_silent_issuer_is_unavailable(keeping: TestIssuer, dana: User) -> None:
    pair = sign_in()
    assert me(pair) == 200
    keeping.fall_silent()
    assert me(pair) == 503
    dana.set_password("another")
    dana.save()
    assert QuashOutbox.objects.count() == 1
