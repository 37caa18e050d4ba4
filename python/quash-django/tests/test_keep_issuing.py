"""Simple JWT's own classes with the hooks: what ends a session, and what doesn't."""

import time
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import identify_hasher, make_password
from django.contrib.auth.models import User
from django.test import Client
from model import Model
from rest_framework.test import APIClient
from rest_framework_simplejwt import serializers, tokens
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.settings import api_settings

from quash_django import end_session, end_token, end_user
from quash_django.models import QuashOutbox

pytestmark = pytest.mark.django_db
HAS_BLACKLIST = "rest_framework_simplejwt.token_blacklist" in django_settings.INSTALLED_APPS
needs_blacklist = pytest.mark.skipif(not HAS_BLACKLIST, reason="the application token_blacklist isn't installed")


def sign_in(path: str = "/token/", password: str = "correct horse") -> dict[str, str]:
    answer = APIClient().post(path, {"username": "dana", "password": password})
    assert answer.status_code == 200, answer.content
    pair: dict[str, str] = answer.json()
    return pair


def bearer(token: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def me(token: str, path: str = "/me/") -> int:
    return int(bearer(token).get(path).status_code)


def claims(token: str) -> dict[str, Any]:
    return dict(tokens.UntypedToken(None).get_token_backend().decode(token, verify=False))  # type: ignore[arg-type]


def refresh(token: str) -> Any:
    return APIClient().post("/token/refresh/", {"refresh": token})


def test_all_tokens_of_a_sign_in_share_a_session(shop: Model, dana: User) -> None:
    one, other = sign_in(), sign_in()
    assert claims(one["access"])["qsid"] == claims(one["refresh"])["qsid"] != claims(other["access"])["qsid"]
    assert claims(one["access"])["qsq"] == claims(one["refresh"])["qsq"] == shop.seq
    assert claims(refresh(one["refresh"]).json()["access"])["qsid"] == claims(one["access"])["qsid"]
    assert me(one["access"]) == me(one["access"], "/stateless/") == 200
    assert shop.asked[-1]["session"] == claims(one["access"])["qsid"] and shop.asked[-1]["subject"] == str(dana.pk)


def log_out_at_the_view(pair: dict[str, str]) -> int:
    return int(APIClient().post("/token/blacklist/", {"refresh": pair["refresh"]}).status_code)


def log_out_of_a_tutorial(pair: dict[str, str]) -> int:
    return int(bearer(pair["access"]).post("/own-log-out/", {"refresh": pair["refresh"]}).status_code)


def log_out_of_django(pair: dict[str, str]) -> int:
    return int(bearer(pair["access"]).post("/django-log-out/").status_code)


def log_out_of_dj_rest_auth(pair: dict[str, str]) -> int:
    return int(bearer(pair["access"]).post("/auth/logout/", {"refresh": pair["refresh"]}).status_code)


def end_session_in_a_view(pair: dict[str, str]) -> int:
    return int(bearer(pair["access"]).post("/end-session/").status_code)


def end_session_by_its_id(pair: dict[str, str]) -> int:
    end_session(claims(pair["access"])["qsid"])
    return 200


def blacklist_in_the_admin(pair: dict[str, str]) -> int:
    from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

    BlacklistedToken.objects.create(token=OutstandingToken.objects.get(jti=claims(pair["refresh"])["jti"]))
    return 200


LOG_OUTS: list[Any] = [
    log_out_at_the_view,
    pytest.param(log_out_of_a_tutorial, marks=needs_blacklist),
    log_out_of_django,
    pytest.param(log_out_of_dj_rest_auth, marks=needs_blacklist),
    end_session_in_a_view,
    end_session_by_its_id,
    pytest.param(blacklist_in_the_admin, marks=needs_blacklist),
]


@pytest.mark.parametrize("log_out", LOG_OUTS, ids=lambda function: getattr(function, "__name__", ""))
def test_a_log_out_ends_the_session(shop: Model, dana: User, log_out: Any) -> None:
    pair, other = sign_in(), sign_in()
    younger = refresh(pair["refresh"]).json()["access"]
    assert log_out(pair) == 200
    assert [me(token) for token in (pair["access"], younger, other["access"])] == [401, 401, 200]
    assert refresh(pair["refresh"]).status_code == 401 and refresh(other["refresh"]).status_code == 200
    (sent,) = shop.sent
    assert sent == {"session": claims(pair["access"])["qsid"], "reason": "log_out"}
    assert not QuashOutbox.objects.exists()


def test_what_a_request_has_ended_passes_in_no_other(shop: Model, dana: User) -> None:
    from django.core.signals import request_started

    from quash_django.changes.current_request import has_ended

    pair = sign_in()
    sid = claims(pair["access"])["qsid"]
    assert log_out_at_the_view(pair) == 200 and not has_ended("session", sid)
    # A server may end a request without its signal.
    request_started.send(sender=None)
    end_session("s-1")
    assert has_ended("session", "s-1")
    request_started.send(sender=None)
    assert not has_ended("session", "s-1")


@needs_blacklist
def test_dj_rest_auth_logs_out_with_cookies(shop: Model, dana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its view ends the session before it verifies the refresh token, which must not answer 401."""
    from dj_rest_auth.app_settings import api_settings

    cookies = {"JWT_AUTH_COOKIE": "access", "JWT_AUTH_REFRESH_COOKIE": "refresh", "JWT_AUTH_HTTPONLY": True}
    for name, value in cookies.items():
        monkeypatch.setattr(api_settings, name, value, raising=False)
    client = APIClient()
    assert client.post("/auth/login/", {"username": "dana", "password": "correct horse"}).status_code == 200
    access, refresh_token = (client.cookies[name].value for name in ("access", "refresh"))
    assert client.get("/auth/user/").status_code == 200
    answer = client.post("/auth/logout/")
    assert (answer.status_code, answer.json()) == (200, {"detail": "Successfully logged out."})
    assert me(access) == 401 and refresh(refresh_token).status_code == 401
    assert {sent.get("session") for sent in shop.sent} == {claims(access)["qsid"]}


def test_a_refused_token_gets_simple_jwts_answer(shop: Model, dana: User) -> None:
    pair = sign_in()
    log_out_at_the_view(pair)
    answer = bearer(pair["access"]).get("/me/")
    assert answer.json()["code"] == "token_not_valid"
    assert answer.json()["messages"][0]["message"] == "Token is blacklisted"
    assert refresh(pair["refresh"]).json() == {"detail": "Token is blacklisted", "code": "token_not_valid"}
    assert APIClient().post("/token/verify/", {"token": pair["access"]}).status_code == 401
    assert log_out_at_the_view(pair) == 401


def test_without_the_hooks_a_log_out_changes_nothing(db: None, dana: User, settings: Any) -> None:
    settings.ROOT_URLCONF = "keep_urls"
    pair = sign_in()
    assert log_out_at_the_view(pair) == 200
    assert me(pair["access"]) == 200


@pytest.fixture
def rotation(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_settings, "ROTATE_REFRESH_TOKENS", True)
    monkeypatch.setattr(api_settings, "BLACKLIST_AFTER_ROTATION", True)


def test_a_rotation_ends_nothing(shop: Model, dana: User, rotation: None) -> None:
    pair = sign_in()
    shop.advance()
    successor = refresh(pair["refresh"]).json()
    assert shop.sent == []
    assert claims(successor["refresh"])["qsid"] == claims(pair["refresh"])["qsid"]
    # The new refresh token has a new position; the access token was made from the old one.
    assert claims(successor["refresh"])["qsq"] == shop.seq == claims(successor["access"])["qsq"] + 5
    assert me(pair["access"]) == me(successor["access"]) == 200
    if HAS_BLACKLIST:
        assert refresh(pair["refresh"]).status_code == 401
    assert log_out_at_the_view(successor) == 200
    assert me(pair["access"]) == me(successor["access"]) == 401


def blacklist_unverified(pair: dict[str, str]) -> int:
    tokens.RefreshToken(pair["refresh"], verify=False).blacklist()  # type: ignore[arg-type]
    return 401


def log_out_of_the_guide(pair: dict[str, str]) -> int:
    return int(APIClient().post("/guide-log-out/", {"refresh": pair["refresh"]}).status_code)


def log_out_of_dj_rest_auth_alone(pair: dict[str, str]) -> int:
    return int(APIClient().post("/auth/logout/", {"refresh": pair["refresh"]}).status_code)


SPENT: list[Any] = [log_out_at_the_view, log_out_of_the_guide, log_out_of_dj_rest_auth_alone, blacklist_unverified]


@needs_blacklist
@pytest.mark.parametrize("log_out", SPENT)
def test_a_log_out_with_a_rotated_token_ends_the_session(shop: Model, dana: User, rotation: None, log_out: Any) -> None:
    pair, other = sign_in(), sign_in()
    successor = refresh(pair["refresh"]).json()
    forged = pair["refresh"][:-4] + "AAAA"
    assert log_out_at_the_view({"refresh": forged}) == 401 and shop.sent == []
    assert log_out(pair) in (400, 401), "Simple JWT's own answer"
    assert [me(token) for token in (pair["access"], successor["access"], other["access"])] == [401, 401, 200]
    assert refresh(successor["refresh"]).status_code == 401
    ended = {"session": claims(pair["access"])["qsid"], "reason": "log_out"}
    assert shop.sent == [ended]
    # It has ended, and isn't ended again.
    assert log_out_at_the_view(pair) == 401 and shop.sent == [ended]


@needs_blacklist
def test_a_rotated_token_ends_nothing_elsewhere(
    shop: Model, dana: User, rotation: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = sign_in()
    successor = refresh(pair["refresh"]).json()
    assert refresh(pair["refresh"]).status_code == 401
    monkeypatch.setattr(api_settings, "BLACKLIST_AFTER_ROTATION", False)
    assert APIClient().post("/token/verify/", {"token": pair["refresh"]}).status_code == 200
    assert me(pair["refresh"]) == 401 and me(successor["access"]) == 200
    # A token that only the parameter of a view calls genuine.
    forged = tokens.RefreshToken(pair["refresh"][:-4] + "AAAA", verify=False)  # type: ignore[arg-type]
    with pytest.raises(TokenError):
        forged.check_blacklist()
    settings.QUASH = {**settings.QUASH, "END_ON": ["password"]}
    from quash_django.client import shared_verifier

    shared_verifier.install(shop)  # type: ignore[arg-type]
    assert log_out_at_the_view(pair) == 401 and shop.sent == [] and me(successor["access"]) == 200


@needs_blacklist
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_atomic", [False, True])
@pytest.mark.parametrize("is_up", [True, False])
def test_a_refused_log_out_is_not_rolled_back(
    shop_on_commit: Model, dana: User, rotation: None, monkeypatch: pytest.MonkeyPatch, is_atomic: bool, is_up: bool
) -> None:
    """REST framework rolls the transaction of a refused request back, with all that it has written."""
    from django.db import connection

    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", is_atomic)
    pair = sign_in()
    successor = refresh(pair["refresh"]).json()
    shop_on_commit.is_up = is_up
    assert log_out_at_the_view(pair) == 401
    ended = {"session": claims(pair["access"])["qsid"], "reason": "log_out"}
    if is_up:
        assert shop_on_commit.sent == [ended] and me(successor["access"]) == 401
    else:
        assert shop_on_commit.later[0][0] == [ended]


def test_sliding_tokens_are_guarded(shop: Model, dana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "rest_framework_simplejwt.authentication.api_settings.AUTH_TOKEN_CLASSES", [tokens.SlidingToken], raising=False
    )
    token = sign_in("/sliding/")["token"]
    assert me(token) == 200
    shop.advance()
    younger = APIClient().post("/sliding/refresh/", {"token": token}).json()["token"]
    assert claims(younger)["qsid"] == claims(token)["qsid"] and claims(younger)["qsq"] == shop.seq
    end_session(claims(token)["qsid"])
    assert me(token) == me(younger) == 401


def test_a_token_from_before_the_hooks_is_guarded(db: None, dana: User, settings: Any, request: Any) -> None:
    settings.ROOT_URLCONF = "keep_urls"
    old, kept = sign_in(), sign_in()
    shop: Model = request.getfixturevalue("shop")
    assert "qsid" not in claims(old["access"]) and me(old["access"]) == 200
    assert log_out_of_django(old) == 200
    assert shop.sent[0]["token"] == claims(old["access"])["jti"] and shop.sent[0]["exp"] == claims(old["access"])["exp"]
    assert me(old["access"]) == 401 and me(kept["access"]) == 200
    end_user(dana)
    assert me(kept["access"]) == 401


def test_a_token_without_its_time_is_refused(shop: Model, dana: User) -> None:
    token = tokens.AccessToken.for_user(dana)
    assert me(str(token)) == 200
    for broken in ({"iat": None}, {"qsid": 5}, {"qsq": "7"}, {"qsq": True}):
        other = tokens.AccessToken.for_user(dana)
        other.payload |= broken
        assert me(str(other)) == 401, broken


HOSTILE: list[Any] = [
    None, True, -1, 1.5, 2**63, 2**70, -(2**70), 1e308, "", "\0", "\ud800", "x" * 5000, [], ["x"], {}, {"a": [1]},
]  # fmt: skip


@pytest.mark.parametrize("claim", ["qsid", "qsq", "jti", "iat", "token_type", "sid", "rsq"])
def test_no_claim_causes_an_error(shop: Model, dana: User, claim: str) -> None:
    """The site's key may sign more than Simple JWT's tokens."""
    client = APIClient(raise_request_exception=False)
    for value in HOSTILE:
        access, spare = tokens.AccessToken.for_user(dana), tokens.RefreshToken.for_user(dana)
        access.payload[claim] = spare.payload[claim] = value
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {access}")
        answers = [client.get("/me/"), client.get("/stateless/"), client.post("/end-session/")]
        client.credentials()
        answers.append(client.post("/token/verify/", {"token": str(access)}))
        # Simple JWT's own queries fail for some of these ids.
        paths = ("refresh", "blacklist") if claim != "jti" else ()
        answers += [client.post(f"/token/{path}/", {"refresh": str(spare)}) for path in paths]
        assert {answer.status_code for answer in answers} <= {200, 400, 401}, (value, [a.status_code for a in answers])


def test_one_token_can_be_ended_alone(shop: Model, dana: User) -> None:
    pair = sign_in()
    assert end_token(pair["access"])
    assert me(pair["access"]) == 401
    assert me(refresh(pair["refresh"]).json()["access"]) == 200
    forged = pair["access"][:-4] + "AAAA"
    with pytest.raises(TokenError):
        end_token(forged)
    assert len(shop.sent) == 1


def change(name: str) -> Any:
    def changes(user: User) -> None:
        user = User.objects.get(pk=user.pk)
        if name == "set_password":
            user.set_password("other")
        elif name == "set_unusable_password":
            user.set_unusable_password()
        elif name == "assigned hash":
            user.password = make_password("other")
        elif name == "deactivation":
            user.is_active = False
        user.save()

    return changes


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("set_password", "password_changed"),
        ("set_unusable_password", "password_changed"),
        ("assigned hash", "password_changed"),
        ("deactivation", "deactivated"),
    ],
)
def test_a_change_of_the_user_ends_all_sessions(shop: Model, dana: User, name: str, reason: str) -> None:
    kim = User.objects.create_user("kim", password="correct horse")
    pair, another = sign_in(), str(tokens.AccessToken.for_user(kim))
    change(name)(dana)
    assert [me(pair["access"]), me(pair["access"], "/stateless/"), me(another)] == [401, 401, 200]
    assert refresh(pair["refresh"]).status_code == 401
    assert shop.sent == [{"subject": str(dana.pk), "reason": reason}]


@pytest.mark.parametrize("update_fields", [["password"], ["password", "first_name"], None])
def test_update_fields_hide_no_change(shop: Model, dana: User, update_fields: Any) -> None:
    dana.password = make_password("other")
    dana.save(update_fields=update_fields)
    assert [sent["reason"] for sent in shop.sent] == ["password_changed"]


def test_a_field_that_isnt_written_is_no_change(shop: Model, dana: User, django_assert_num_queries: Any) -> None:
    dana.password = make_password("other")
    with django_assert_num_queries(1):
        dana.save(update_fields=["last_login"])
    assert shop.sent == []
    User.objects.get(pk=dana.pk).save()
    assert shop.sent == []


def test_a_better_hash_is_no_change(shop: Model, dana: User) -> None:
    pair = sign_in()
    old = make_password("correct horse", hasher="scrypt")
    User.objects.filter(pk=dana.pk).update(password=old)
    # A sign-in stores the hash in the preferred form.
    younger = sign_in()
    assert identify_hasher(User.objects.get(pk=dana.pk).password).algorithm == "md5"
    assert shop.sent == [] and me(pair["access"]) == me(younger["access"]) == 200
    # The same write is a change if no log-in made it, whether the former hash needed another form or not.
    user = User.objects.get(pk=dana.pk)
    user.password = make_password("other")
    user.save(update_fields=["password"])
    assert len(shop.sent) == 1
    User.objects.filter(pk=dana.pk).update(password=old)
    user = User.objects.get(pk=dana.pk)
    user.password = make_password("third")
    user.save(update_fields=["password"])
    assert len(shop.sent) == 2


def test_a_new_user_is_no_change(shop: Model) -> None:
    User.objects.create_user("new", password="x")
    User.objects.create_user("with key", password="x", pk=4711)
    assert shop.sent == []


def test_a_deletion_ends_all_sessions(shop: Model, dana: User) -> None:
    kim, lee = User.objects.create_user("kim"), User.objects.create_user("lee")
    tokens_of_all = [str(tokens.AccessToken.for_user(user)) for user in (dana, kim, lee)]
    keys = [str(user.pk) for user in (dana, kim)]
    dana.delete()
    User.objects.filter(username="kim").delete()
    assert [sent["subject"] for sent in shop.sent] == keys and {sent["reason"] for sent in shop.sent} == {"deleted"}
    assert [me(token, "/stateless/") for token in tokens_of_all] == [401, 401, 200]


def test_a_sign_in_in_the_second_of_a_change_is_valid(shop: Model, dana: User) -> None:
    for number in range(8):
        pair = sign_in()
        answer = bearer(pair["access"]).post("/password/", {"password": "correct horse"})
        younger = answer.json()
        assert me(pair["access"]) == 401 and me(younger["access"]) == 200, number
        assert me(sign_in()["access"]) == 200


def test_the_position_is_read_before_the_password(shop: Model, dana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change while the old password is being checked must end what that check signs in."""

    def slow(**credentials: Any) -> Any:
        user = authenticate(**credentials)
        change("set_password")(dana)
        return user

    monkeypatch.setattr(serializers, "authenticate", slow)
    assert me(sign_in()["access"]) == 401


def test_without_a_known_position_tokens_have_none(shop: Model, dana: User) -> None:
    shop.vouches = False
    pair = sign_in()
    shop.vouches = True
    assert "qsq" not in claims(pair["access"]) and "qsid" in claims(pair["access"])
    assert me(pair["access"]) == 200
    end_user(dana)
    assert me(pair["access"]) == 401


def test_an_unavailable_verifier_answers_503(shop: Model, dana: User) -> None:
    pair = sign_in()
    shop.vouches = False
    for answer in (bearer(pair["access"]).get("/me/"), refresh(pair["refresh"])):
        assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "1", "unavailable")
    shop.vouches = True
    assert me(pair["access"]) == 200


def test_a_token_that_cannot_be_judged_can_be_logged_out(shop: Model, dana: User) -> None:
    pair = sign_in()
    shop.vouches = False
    assert log_out_at_the_view(pair) == 200
    assert me(pair["access"]) == 503
    shop.vouches = True
    assert me(pair["access"]) == refresh(pair["refresh"]).status_code == log_out_at_the_view(pair) == 401


def test_a_log_out_answers_as_before_while_quash_is_unavailable(shop: Model, dana: User) -> None:
    pair = sign_in()
    shop.is_up = False
    assert log_out_at_the_view(pair) == 200
    (row,) = QuashOutbox.objects.all()
    assert row.message["session"] == claims(pair["access"])["qsid"]
    assert shop.later == [([row.message], str(row.pk))]


def test_end_on_selects_the_events(shop: Model, dana: User, settings: Any) -> None:
    from quash_django.client import shared_verifier

    settings.QUASH = {**settings.QUASH, "END_ON": []}
    shared_verifier.install(shop)  # type: ignore[arg-type]
    pair = sign_in()
    for log_out in (log_out_of_django, log_out_at_the_view):
        assert log_out(pair) == 200
    change("set_password")(dana)
    change("deactivation")(dana)
    dana.delete()
    assert shop.sent == []


def test_other_models_are_still_deleted_fast(shop: Model) -> None:
    from django.contrib.auth.models import Group
    from django.db.models import signals

    assert not signals.post_delete.has_listeners(Group) and signals.post_delete.has_listeners(User)


def test_uninstalling_restores_simple_jwt(shop: Model) -> None:
    from quash_django import simplejwt

    wrapped = tokens.Token.verify
    simplejwt.uninstall()
    assert tokens.Token.verify is not wrapped and tokens.Token.verify.__module__ == "rest_framework_simplejwt.tokens"
    assert not hasattr(tokens.Token.verify, "__wrapped__")


def test_the_classes_of_the_module_need_no_hooks(shop: Model, dana: User) -> None:
    from quash_django import simplejwt

    simplejwt.uninstall()
    refresh_token = simplejwt.RefreshToken.for_user(dana)
    access = refresh_token.access_token
    assert access["qsid"] == refresh_token["qsid"] and access["qsq"] == refresh_token["qsq"] == shop.seq
    if HAS_BLACKLIST:
        from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

        stored = OutstandingToken.objects.get(jti=refresh_token["jti"]).token
        assert claims(stored)["qsid"] == refresh_token["qsid"]
    simplejwt.AccessToken(str(access))
    tokens.AccessToken(str(access))  # type: ignore[arg-type]
    end_session(access["qsid"])
    with pytest.raises(TokenError, match="blacklisted"):
        simplejwt.AccessToken(str(access))
    with pytest.raises(TokenError, match="blacklisted"):
        simplejwt.RefreshToken(str(refresh_token))
    tokens.AccessToken(str(access))  # type: ignore[arg-type]
    if HAS_BLACKLIST:
        for is_verified in (True, False):
            spent = simplejwt.RefreshToken.for_user(dana)
            with simplejwt._rotating():
                spent.blacklist()
            shop.sent.clear()
            with suppress(TokenError):
                simplejwt.RefreshToken(str(spent), verify=is_verified).blacklist()
            assert [sent["session"] for sent in shop.sent] == [spent["qsid"]]


def expired(text: str) -> str:
    token = tokens.RefreshToken(text, verify=False)  # type: ignore[arg-type]
    token.payload["exp"] = int(time.time()) - 10
    return str(token)


@needs_blacklist
@pytest.mark.parametrize("hook", [True, False])
@pytest.mark.parametrize("log_out", [log_out_at_the_view, log_out_of_the_guide, log_out_of_dj_rest_auth_alone])
def test_a_log_out_with_an_expired_token_ends_the_session(
    shop: Model, dana: User, log_out: Any, hook: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last access token, or a younger refresh token, may be valid for longer."""
    from quash_django import simplejwt

    pair, other = sign_in(), sign_in()
    text = expired(pair["refresh"])
    assert refresh(text).status_code == 401 and shop.sent == []
    assert log_out({"refresh": text[:-4] + "AAAA"}) in (400, 401) and shop.sent == []
    ended = {"session": claims(pair["access"])["qsid"], "reason": "log_out"}
    if hook:
        assert log_out({"refresh": text}) in (400, 401), "Simple JWT's own answer"
    else:
        simplejwt.uninstall()
        with pytest.raises(TokenError, match="expired"):
            simplejwt.RefreshToken(text)
    assert shop.sent == [ended]
    if hook:
        assert me(pair["access"]) == 401 and me(other["access"]) == 200


@needs_blacklist
@pytest.mark.parametrize("hook", [True, False])
def test_an_unjudged_refresh_token_only_logs_out(shop: Model, dana: User, hook: bool) -> None:
    from quash_django import simplejwt
    from quash_django.exceptions import VerifierUnavailable

    if not hook:
        simplejwt.uninstall()
    kind: Any = tokens.RefreshToken if hook else simplejwt.RefreshToken
    token, other = kind.for_user(dana), kind.for_user(dana)
    session, text = token["qsid"], str(token)
    shop.vouches = False
    unjudged = kind(text)
    uses: list[Any] = [
        lambda: unjudged["user_id"],
        lambda: unjudged.get("user_id"),
        lambda: "user_id" in unjudged,
        lambda: dict(unjudged.payload),
        lambda: unjudged.access_token,
        lambda: str(unjudged),
        unjudged.set_jti,
        unjudged.set_iat,
    ]
    for number, use in enumerate(uses):
        with pytest.raises(VerifierUnavailable):
            pytest.fail(f"{number} isn't refused: {use()}")
    unjudged.blacklist()
    assert [sent["session"] for sent in shop.sent] == [session]
    with pytest.raises(VerifierUnavailable):
        unjudged["user_id"]
    with pytest.raises(TokenError, match="blacklisted"):
        kind(text)
    if hook:
        assert refresh(str(other)).status_code == 503
        assert log_out_of_the_guide({"refresh": str(other)}) == 205


@pytest.mark.parametrize("name", ["UnavailableMiddleware", "SessionMiddleware"])
def test_plain_views_answer_503_where_a_token_cant_be_judged(
    shop: Model, dana: User, settings: Any, name: str, async_client: Any
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, f"quash_django.middleware.{name}"]
    token = sign_in()["access"]
    assert Client().get("/plain/", {"token": token}).content == str(dana.pk).encode()
    shop.vouches = False
    for answer in (
        Client().get("/plain/", {"token": token}),
        async_to_sync(async_client.get)("/plain-async/", {"token": token}),
    ):
        assert (answer.status_code, answer["Retry-After"], answer["Cache-Control"]) == (503, "1", "no-store")


def test_asking_adds_no_query(shop: Model, dana: User, django_assert_num_queries: Any) -> None:
    token = sign_in()["access"]
    with django_assert_num_queries(0):
        assert me(token, "/stateless/") == 200
    assert time.time() < claims(token)["exp"]
