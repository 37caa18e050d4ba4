"""The native verification of Simple JWT's tokens, with a real server: it accepts only what Simple JWT's own code accepts,
and is used wherever it can be."""

import json
import random
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from conftest import BINARY
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from freezegun import freeze_time
from rest_framework.test import APIClient
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError, TokenError
from rest_framework_simplejwt.settings import api_settings
from with_server import WithServer

from quash_django import end_session, simplejwt
from quash_django.authentication import native
from quash_django.changes import outbox
from quash_django.client import shared_verifier
from quash_django.conf import quash_settings

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")
SECRET = django_settings.SECRET_KEY


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch, request: Any) -> Iterator[WithServer]:
    """A site whose key the server has."""
    monkeypatch.setattr("conftest.Model", WithServer)
    found: WithServer = request.getfixturevalue("shop_on_commit")
    with outbox.sent_immediately():
        yield found


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    said = {"token_type": "access", "exp": now + 300, "iat": now, "jti": "9a7e", "user_id": "17", "qsid": "f0c1"}
    return {name: value for name, value in {**said, **changes}.items() if value is not None}


def of_hs256(**options: Any) -> TokenBackend:
    return TokenBackend("HS256", SECRET, **options)


class OwnKey(TokenBackend):
    def get_verifying_key(self, token: Any) -> Any:
        return super().get_verifying_key(token)


class Counting(TokenBackend):
    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        return super().decode(token, verify)


@pytest.mark.parametrize(
    ("backend", "is_native"),
    [
        (of_hs256(), True),
        (of_hs256(issuer="https://shop.example"), True),
        (of_hs256(audience="shop"), True),
        (of_hs256(audience=["shop", "blog"]), True),
        (of_hs256(leeway=10), True),
        (of_hs256(leeway=timedelta(seconds=10)), True),
        (Counting("HS256", SECRET), True),
        (of_hs256(jwk_url="https://shop.example/jwks"), True),
        (OwnKey("HS256", SECRET), False),
        (TokenBackend("HS384", SECRET), False),
        (TokenBackend("HS256", SECRET + "x"), False),
    ],
)
def test_backends(shop: WithServer, backend: TokenBackend, is_native: bool) -> None:
    token = backend.encode(claims())
    expected = jwt.decode(token, options={"verify_signature": False})
    for form in (token, token.encode()):
        assert native.decode(backend, form) == (expected if is_native else None)
        assert backend.decode(form) == expected  # type: ignore[arg-type]
    for odd in (None, 5, [token], b"\xff", "", "a.b"):
        assert native.decode(backend, odd) is None
        with pytest.raises(TokenBackendError):
            backend.decode(odd)  # type: ignore[arg-type]
    forged = token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB")
    assert native.decode(backend, forged) is None
    with pytest.raises(TokenBackendError):
        backend.decode(forged)  # type: ignore[arg-type]


def test_keys_at_an_address_are_left_to_simple_jwt(shop: WithServer) -> None:
    backend = TokenBackend("RS256", None, "", jwk_url="https://shop.example/jwks")
    assert native.decode(backend, of_hs256().encode(claims())) is None


def test_a_public_key_is_compared_with_the_backends(shop: WithServer) -> None:
    """quash has no such key here, so nothing is accepted, but the key must be readable."""
    pair = Ed25519PrivateKey.generate()
    private = pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    backend = TokenBackend("EdDSA", private, public)
    token = backend.encode(claims())
    assert native.decode(backend, token) is None and backend.__dict__["_quash_key"][2] is not None
    assert native.decode(backend, "a.b.c") is None
    assert native.decode(TokenBackend("ES512", None, public), token) is None


# What PyJWT refuses although the namespace's rules don't.
@pytest.mark.parametrize(
    ("backend", "changes"),
    [
        (of_hs256(issuer="https://shop.example"), {}),
        (of_hs256(issuer="https://shop.example"), {"iss": "https://blog.example"}),
        (of_hs256(audience="shop"), {}),
        (of_hs256(audience="shop"), {"aud": "blog"}),
        (of_hs256(audience=["shop"]), {"aud": ["blog", "wiki"]}),
        (of_hs256(), {"jti": "9a7e", "sub": 17}),
    ],
)
def test_what_pyjwt_refuses_is_not_accepted(shop: WithServer, backend: TokenBackend, changes: dict[str, Any]) -> None:
    token = jwt.encode(claims(**changes), SECRET, "HS256")
    assert native.decode(backend, token) is None
    with pytest.raises(TokenBackendError):
        backend.decode(token)  # type: ignore[arg-type]


def test_the_sites_clock_decides_too(shop: WithServer) -> None:
    """Tests freeze Python's clock, and the leeway is Simple JWT's."""
    now = time.time()
    token = of_hs256().encode(claims())
    for moment, leeway, is_native in [(301, 0, False), (301, 10, True), (-5, 0, False), (-5, 10, True)]:
        with freeze_time(time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now + moment)), ignore=["quash_verify"]):
            backend = of_hs256(leeway=leeway)
            assert (native.decode(backend, token) is not None) == is_native, (moment, leeway)
            if not is_native:
                with pytest.raises(TokenBackendError):
                    backend.decode(token)  # type: ignore[arg-type]


def test_random_claims_have_one_meaning(shop: WithServer) -> None:
    """PyJWT accepts each token that is accepted natively, with the same claims."""
    chance, now = random.Random(7), int(time.time())
    values = [None, True, 0, 5, -1, 1.5, 1e300, "", "17", "x" * 300, [], ["shop"], {}, {"a": [1]}, now, now + 60, now - 60]
    names = [*claims(), "nbf", "sub", "aud", "iss", "sid", "rsq", "gen", "qsq", "role", "id"]
    backends = [of_hs256(), of_hs256(audience="shop"), of_hs256(issuer="17", leeway=30)]
    accepted = 0
    for _ in range(3000):
        changed = claims()
        for name in chance.sample(names, chance.choice([0, 1, 1, 2])):
            changed[name] = chance.choice(values)
        part = json.dumps(changed)
        token = jwt.api_jws.encode(part.encode(), SECRET, "HS256")
        backend = chance.choice(backends)
        found = native.decode(backend, token)
        if found is not None:
            accepted += 1
            simplejwt.uninstall()
            try:
                assert backend.decode(token) == found == json.loads(part), part  # type: ignore[arg-type]
            finally:
                simplejwt.install()
    assert accepted > 300


@pytest.mark.django_db
def test_requests_are_verified_natively(shop: WithServer, dana: User) -> None:
    pair = APIClient().post("/token/", {"username": "dana", "password": "correct horse"}).json()
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    before = (shop.accepted, len(shop.asked))
    assert client.get("/me/").status_code == client.get("/stateless/").status_code == 200
    # An accepted token is named once, by the native check.
    assert (shop.accepted, len(shop.asked)) == (before[0] + 2, before[1] + 2)
    refreshed = APIClient().post("/token/refresh/", {"refresh": pair["refresh"]})
    assert refreshed.status_code == 200 and shop.accepted == before[0] + 2, "only access tokens are"
    end_session(tokens.AccessToken(pair["access"])["qsid"])
    answer = client.get("/me/")
    assert (answer.status_code, answer.json()["messages"][0]["message"]) == (401, "Token is blacklisted")


@pytest.mark.django_db
def test_a_second_verification_asks_again(shop: WithServer, dana: User) -> None:
    token = tokens.AccessToken(str(tokens.AccessToken.for_user(dana)))  # type: ignore[arg-type]
    accepted = shop.accepted
    end_session(token["qsid"])
    with pytest.raises(TokenError, match="blacklisted"):
        token.verify()
    assert shop.accepted == accepted == 1


@pytest.mark.django_db
def test_simple_jwts_own_settings_apply(shop: WithServer, dana: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Types, ids and the password's hash are checked by Simple JWT itself."""
    access = tokens.AccessToken.for_user(dana)
    assert tokens.AccessToken(str(access)).payload == access.payload and shop.accepted == 1  # type: ignore[arg-type]
    with pytest.raises(TokenError, match="wrong type"):
        tokens.SlidingToken(str(access))
    monkeypatch.setattr(api_settings, "JTI_CLAIM", "id")
    with pytest.raises(TokenError, match="has no id"):
        tokens.AccessToken(str(access))  # type: ignore[arg-type]
    monkeypatch.undo()
    monkeypatch.setattr(api_settings, "TOKEN_TYPE_CLAIM", "kind")
    with pytest.raises(TokenError, match="has no type"):
        tokens.AccessToken(str(access))  # type: ignore[arg-type]
    monkeypatch.undo()
    # Another name of the user's id than in quash's settings: PyJWT decides, and quash is asked about this user.
    monkeypatch.setattr(api_settings, "USER_ID_CLAIM", "uid")
    accepted = shop.accepted
    other = tokens.AccessToken.for_user(dana)
    tokens.AccessToken(str(other))  # type: ignore[arg-type]
    assert shop.accepted == accepted and shop.asked[-1]["subject"] == str(dana.pk)
    monkeypatch.undo()
    monkeypatch.setattr(api_settings, "CHECK_REVOKE_TOKEN", True)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {tokens.AccessToken.for_user(dana)}")
    assert client.get("/me/").status_code == 200
    User.objects.filter(pk=dana.pk).update(password="other")
    assert client.get("/me/").status_code == 401


@pytest.mark.django_db
def test_the_classes_without_hooks_verify_natively(shop: WithServer, dana: User) -> None:
    simplejwt.uninstall()
    access = simplejwt.RefreshToken.for_user(dana).access_token
    assert simplejwt.AccessToken(str(access)).payload == access.payload and shop.accepted == 1
    tokens.AccessToken(str(access))  # type: ignore[arg-type]
    assert shop.accepted == 1
    end_session(access["qsid"])
    with pytest.raises(TokenError, match="blacklisted"):
        simplejwt.AccessToken(str(access))


@pytest.mark.parametrize(
    ("changes", "simple_jwt", "expected"),
    [
        ({}, {}, (SECRET,)),
        ({"SECRETS": []}, {}, ()),
        ({"SECRETS": ["a", b"b"]}, {}, ("a", b"b")),
        ({}, {"ALGORITHM": "RS256", "SIGNING_KEY": "a private key"}, ()),
        ({"MODE": "quash_issues", "NAMESPACE": None}, {}, ()),
    ],
)
def test_the_secrets_are_simple_jwts(
    settings: Any, monkeypatch: pytest.MonkeyPatch, changes: Any, simple_jwt: Any, expected: Any
) -> None:
    settings.QUASH = {"ISSUER": "https://issuer.test", "CREDENTIAL": "qn_test", "NAMESPACE": "shop", **changes}
    for name, value in simple_jwt.items():
        monkeypatch.setattr(api_settings, name, value)
    assert shared_verifier._secrets(quash_settings()) == expected
    assert SECRET not in repr(quash_settings())
