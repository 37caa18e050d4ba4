"""The authentication classes for quash's tokens, through requests to views of REST framework."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ImproperlyConfigured
from quash_verify.testing import TestIssuer
from rest_framework.test import APIClient
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken

from quash_django import end_session, end_token
from quash_django.rest_framework import HasClaim, LiveToken
from quash_django.testing import QuashAPIClient, quash_issuer

pytestmark = pytest.mark.django_db


def with_token(token: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def test_a_token_of_quash_signs_its_user_in(issuer: TestIssuer, dana: User) -> None:
    client = QuashAPIClient(issuer)
    client.login_as(dana, role="clerk")
    answer = client.get("/me/")
    assert (answer.status_code, answer.json()) == (200, {"user": "dana", "role": "clerk"})


def test_an_ended_session_is_refused_at_the_next_request(issuer: TestIssuer, dana: User) -> None:
    client = QuashAPIClient(issuer)
    token = client.login_as(dana)
    other = QuashAPIClient(issuer)
    other.login_as(dana)
    assert client.get("/me/").status_code == 200
    issuer.revoke_session(token)
    answer = client.get("/me/")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'
    assert answer.json() == {
        "detail": "Given token not valid for any token type",
        "code": "token_not_valid",
        "messages": [{"token_class": "AccessToken", "token_type": "access", "message": "Token is blacklisted"}],
    }
    assert other.get("/me/").status_code == 200


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b.c", "a.b", "..", "é", "eyJhbGciOiJub25lIn0.e30.", "a" * 100_000, "a b", " "],
    ids=["empty", "x", "a.b.c", "a.b", "dots", "not ascii", "none", "long", "two", "blank"],
)
@pytest.mark.parametrize("path", ["/me/", "/stateless/"])
def test_hostile_tokens_get_simple_jwts_answer(issuer: TestIssuer, token: str, path: str) -> None:
    ours = with_token(token).get(path)
    theirs = with_token(token).get("/unguarded/")
    assert ours.status_code == theirs.status_code == 401
    assert set(ours.json()) == set(theirs.json())
    assert (ours.json()["detail"], ours.json().get("code")) == (theirs.json()["detail"], theirs.json().get("code"))
    assert ours["WWW-Authenticate"] == theirs["WWW-Authenticate"]


def test_an_expired_token_gets_simple_jwts_answer(issuer: TestIssuer, dana: User) -> None:
    from datetime import timedelta

    token = issuer.token(dana.pk)
    issuer.advance(600)
    answer = with_token(token).get("/me/").json()
    old = AccessToken.for_user(dana)
    old.set_exp(lifetime=-timedelta(seconds=5))
    assert answer == with_token(str(old)).get("/unguarded/").json()


def test_a_token_of_the_site_is_refused(issuer: TestIssuer, dana: User) -> None:
    assert with_token(str(AccessToken.for_user(dana))).get("/me/").status_code == 401


@pytest.mark.parametrize(
    "subject", ["0d6c1a0e-9a3c-4b6f-8d8c-2f9a4e1b7c55", "x", "1.5", "99999999999999999999999", "-1", "9"]
)
def test_a_subject_of_another_type_is_an_unknown_user(issuer: TestIssuer, dana: User, subject: str) -> None:
    answer = with_token(issuer.token(subject)).get("/me/")
    assert answer.status_code == 401
    assert answer.json() == {"detail": "User not found", "code": "user_not_found"}


def test_simple_jwt_alone_fails_for_a_subject_of_another_type(dana: User) -> None:
    """The reason for the test above."""
    token = AccessToken.for_user(dana)
    token["user_id"] = "x"
    client = with_token(str(token))
    with pytest.raises(ValueError):
        client.get("/unguarded/")


def test_an_inactive_user_is_refused(issuer: TestIssuer, dana: User) -> None:
    client = QuashAPIClient(issuer)
    client.login_as(dana)
    User.objects.update(is_active=False)
    assert client.get("/me/").json()["code"] == "user_inactive"


def test_an_unavailable_verifier_answers_503(dana: User) -> None:
    with quash_issuer(when_stale="deny") as issuer:
        client = QuashAPIClient(issuer)
        client.login_as(dana)
        assert client.get("/me/").status_code == 200
        issuer.fall_silent()
        answer = client.get("/me/")
        assert (answer.status_code, answer["Retry-After"]) == (503, "1")
        assert answer.json()["code"] == "unavailable"
        # This view has `quash_when_stale = "allow"`.
        assert client.get("/young/").status_code == 200
        assert client.get("/me/").status_code == 503
        issuer.speak()
        assert client.get("/me/").status_code == 200


def test_requests_without_a_token_are_anonymous(issuer: TestIssuer) -> None:
    assert APIClient().get("/me/").json() == {"detail": "Authentication credentials were not provided."}
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Basic eDp5")
    assert client.get("/me/").status_code == 401


def test_the_stateless_user_comes_from_claims(issuer: TestIssuer, django_assert_num_queries: Any) -> None:
    client = QuashAPIClient(issuer)
    client.login_as("17", is_staff=True, is_superuser="false", groups=["clerk", 7, "boss"])
    with django_assert_num_queries(0):
        answer = client.get("/stateless/").json()
    assert answer == {"id": "17", "staff": True, "super": False, "groups": ["clerk", "boss"], "is clerk": True}


@pytest.mark.parametrize("claims", [{"is_staff": "true"}, {"is_staff": 1}, {"groups": "clerk"}, {}])
def test_only_true_makes_staff_and_only_a_list_groups(issuer: TestIssuer, claims: Any) -> None:
    client = QuashAPIClient(issuer)
    client.login_as("17", **claims)
    answer = client.get("/stateless/").json()
    assert (answer["staff"], answer["groups"], answer["is clerk"]) == (False, [], False)


@pytest.mark.parametrize(
    ("claims", "clerks", "either"),
    [
        ({"role": "clerk"}, 200, 200),
        ({"role": ["boss", "clerk"]}, 200, 200),
        ({"role": "boss"}, 403, 200),
        ({"role": "Clerk"}, 403, 403),
        ({"role": ["clerks"]}, 403, 403),
        ({}, 403, 403),
    ],
)
def test_has_claim_permits_by_value(issuer: TestIssuer, claims: Any, clerks: int, either: int) -> None:
    client = QuashAPIClient(issuer)
    client.login_as("17", **claims)
    answer = client.get("/clerks/")
    assert answer.status_code == clerks
    assert client.get("/clerks-or-bosses/").status_code == either
    assert APIClient().get("/clerks/").status_code == 401


def test_has_claim_names_the_cause(issuer: TestIssuer) -> None:
    class Request:
        auth = None
        user = AnonymousUser()

    permission = HasClaim("role", "clerk")
    assert not permission().has_permission(Request(), None)  # type: ignore[arg-type]
    Request.auth = {"role": True}  # type: ignore[assignment]
    assert not HasClaim("role", 1).has_permission(Request(), None)  # type: ignore[arg-type]
    assert permission.code == "claim_missing"


def test_a_live_token_is_a_mapping_like_simple_jwts(issuer: TestIssuer) -> None:
    raw = issuer.token("17", role="clerk")
    token = LiveToken(raw.encode())
    assert isinstance(token, AccessToken)
    assert token["user_id"] == "17" and token.get("role") == "clerk" and "absent" not in token
    assert token.get("absent", 5) == 5 and token.session == issuer.session(raw)
    assert str(token) == raw and json.dumps(token.payload)
    assert raw not in repr(token) and "17" not in repr(token)
    token.verify()
    issuer.revoke_session(raw)
    with pytest.raises(TokenError, match="blacklisted"):
        token.verify()
    with pytest.raises(TokenError, match="sign in at quash"):
        LiveToken.for_user(None)
    with pytest.raises(TokenError, match="sign in at quash"):
        LiveToken()


def test_a_request_with_a_token_ends_its_session(issuer: TestIssuer, dana: User) -> None:
    client = QuashAPIClient(issuer)
    token = client.login_as(dana)

    class Request:
        auth = LiveToken(token)

    assert end_session(Request())  # type: ignore[arg-type]
    assert client.get("/me/").status_code == 401
    with pytest.raises(ImproperlyConfigured, match="end_session"):
        end_token(token)


def test_accounts_are_found_by_subject(issuer: TestIssuer, dana: User, settings: Any) -> None:
    from quash_django.models import QuashAccount

    settings.QUASH = {**settings.QUASH, "USER_BY": "subject"}
    from quash_django.client import shared_verifier

    shared_verifier.install(issuer.verifier())
    QuashAccount.objects.create(user=dana, subject="s-1")
    assert with_token(issuer.token("s-1")).get("/me/").json()["user"] == "dana"
    assert with_token(issuer.token(dana.pk)).get("/me/").json()["code"] == "user_not_found"


def find_user(subject: str) -> User | None:
    user: User | None = User.objects.filter(username=subject).first()
    return user


def test_accounts_are_found_by_a_function(issuer: TestIssuer, dana: User, settings: Any) -> None:
    settings.QUASH = {**settings.QUASH, "USER_BY": "test_rest_framework.find_user"}
    from quash_django.client import shared_verifier

    shared_verifier.install(issuer.verifier())
    assert with_token(issuer.token("dana")).get("/me/").status_code == 200
    assert with_token(issuer.token("kim")).get("/me/").json()["code"] == "user_not_found"


@pytest.mark.parametrize("by", ["pk", "test_rest_framework.find_user"])
def test_simple_jwts_own_checks_apply(
    issuer: TestIssuer, dana: User, settings: Any, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    from rest_framework_simplejwt.settings import api_settings
    from rest_framework_simplejwt.utils import get_md5_hash_password

    from quash_django.client import shared_verifier

    settings.QUASH = {**settings.QUASH, "USER_BY": by}
    shared_verifier.install(issuer.verifier())
    subject = dana.pk if by == "pk" else "dana"
    good = issuer.token(subject, hash_password=get_md5_hash_password(dana.password))
    monkeypatch.setattr(api_settings, "CHECK_REVOKE_TOKEN", True, raising=False)
    assert with_token(good).get("/me/").status_code == 200
    assert with_token(issuer.token(subject)).get("/me/").json()["code"] == "password_changed"
    User.objects.update(is_active=False)
    assert with_token(good).get("/me/").json()["code"] == "user_inactive"
