"""Tokens that another system has issued and signed, verified natively, against a real server."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import BINARY, ROOT, Server, until

from quash_verify import QuashError, Refused, Revocation, StartFailed, Unavailable, Verifier
from quash_verify.testing import TestIssuer

SECRET = "a secret of Django, with more than 32 bytes"
HOSTILE = json.loads((ROOT / "crates/quash-core/tests/hostile/tokens.json").read_text())
needs_binary = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def signed(claims: dict[str, Any], secret: str = SECRET) -> str:
    """Signs as Simple JWT does."""
    text = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    mac = hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


def claims(verifier: Verifier, now: int | None = None, **others: Any) -> dict[str, Any]:
    now = int(time.time()) if now is None else now
    names = {"jti": "9a7e", "user_id": "17", "qsid": "f0c1", "qsq": verifier.head()}
    return {"token_type": "access", "exp": now + 300, "iat": now, **names, "role": "clerk", **others}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Server]:
    """A server with the namespace "shop", whose secret it has."""
    (tmp_path / "django.secret").touch(mode=0o600)
    (tmp_path / "django.secret").write_text(SECRET)
    names = ("session_claim=qsid", "position_claim=qsq", "algorithm=HS256", "max_lifetime=1h")
    of_shop = ("namespace=shop", *names, f"shared_secret_file={tmp_path / 'django.secret'}")
    server = Server(tmp_path, *(f"foreign.shop.{setting}" for setting in of_shop))
    server.credential = server.run("client", "add", "site", "--namespace", "shop").strip()
    yield server
    server.stop()


def follow(server: Server, **options: Any) -> Verifier:
    verifier = Verifier(server.url, credential=server.credential, **{"namespace": "shop", **options})
    verifier.warm()
    return verifier


@needs_binary
def test_a_token_is_accepted_until_it_is_revoked(site: Server) -> None:
    verifier = follow(site, secrets=[SECRET])
    token = signed(claims(verifier))
    live = verifier.check(token)
    assert (live.user_id, live.namespace, live.session) == ("17", "shop", "f0c1")
    assert live.claims["role"] == "clerk" and live.claims["qsid"] == "f0c1" and live.says("role", "clerk")
    assert asyncio.run(verifier.acheck(token.encode())).user_id == "17"
    other = signed(claims(verifier, qsid="another"))
    receipt = verifier.revoke("shop", [{"session": "f0c1", "reason": "log_out"}])
    assert verifier.caught_up(receipt.seq, 5.0)
    with pytest.raises(Refused, match="Token is blacklisted"):
        verifier.check(token)
    assert verifier.check(other).session == "another"
    with pytest.raises(Refused):
        verifier.check(site.sign_in().access)
    verifier.close()


@needs_binary
@pytest.mark.parametrize(
    "changes",
    [
        {"iat": None},
        {"exp": 4102444800},
        {"iat": 4102444700, "exp": 4102444800},
        {"token_type": "refresh"},
        {"sid": "a"},
        {"rsq": 1},
        {"gen": 0},
        {"user_id": "x" * 256},
        {"qsid": 5},
    ],
)
def test_the_rules_of_a_namespace(site: Server, changes: dict[str, Any]) -> None:
    verifier = follow(site, secrets=[SECRET])
    assert verifier.check(signed(claims(verifier))).namespace == "shop"
    with pytest.raises(Refused):
        verifier.check(signed({name: value for name, value in claims(verifier, **changes).items() if value is not None}))
    verifier.close()


@needs_binary
def test_without_the_secret_tokens_are_refused_and_names_are_answered(site: Server) -> None:
    for secrets in ([], ["another secret, also of more than 32 bytes"]):
        verifier = follow(site, secrets=secrets)
        with pytest.raises(Refused):
            verifier.check(signed(claims(verifier)))
        now = int(time.time())
        verifier.ask("shop", session="f0c1", issued_at=now, expires_at=now + 300)
        verifier.close()
    with pytest.raises(StartFailed, match="no such namespace"):
        follow(site, namespace="shpo")


@needs_binary
def test_a_stale_verifier_asks_about_the_names(site: Server) -> None:
    verifier = follow(site, secrets=[SECRET])
    token = signed(claims(verifier))
    site.stop()
    until(lambda: verifier.state == "stale", "the lease ends")
    with pytest.raises(Unavailable):
        verifier.check(token)
    assert verifier.check(token, when_stale="allow").user_id == "17"
    site.start()
    until(lambda: verifier.state == "fresh", "the server answers again")
    assert verifier.check(token).user_id == "17"
    # The server, which is asked about a position that doesn't exist yet, can't vouch for it either.
    with pytest.raises(QuashError):
        verifier.check(signed(claims(verifier, qsq=(verifier.head() or 0) + 1)))
    verifier.close()


class Published(BaseHTTPRequestHandler):
    """A site that publishes its keys."""

    keys: list[dict[str, Any]] = []

    def do_GET(self) -> None:
        body = json.dumps({"keys": self.keys}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@needs_binary
def test_hostile_tokens_get_their_verdict(tmp_path: Path) -> None:
    """The keys of the site reach the verifier from its JWKS, over the server and the feed."""
    Published.keys = HOSTILE["profiles"]["A"]["keys"]
    published = HTTPServer(("127.0.0.1", 0), Published)
    threading.Thread(target=published.serve_forever, daemon=True).start()
    settings = (
        "namespace=shop",
        "max_lifetime=36000d",
        f"jwks_url=http://127.0.0.1:{published.server_port}/",
        "issuer=https://auth.example",
        "audience=api",
    )
    server = Server(tmp_path, *(f"foreign.shop.{setting}" for setting in settings))
    try:
        verifier = follow(server)
        # Those of the other profile are signed with a secret.
        cases = [case for case in HOSTILE["cases"] if case["profile"] == "A"]
        until(lambda: verdict(verifier, cases[0]["token"]), "the keys arrive")
        assert len(cases) == 62
        assert [case["id"] for case in cases if verdict(verifier, case["token"]) == bool(case["error"])] == []
        verifier.close()
    finally:
        server.stop()
        published.shutdown()


def verdict(verifier: Verifier, token: str) -> bool:
    try:
        verifier.check(token)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("revocation", [{"session": "f0c1"}, {"token": "9a7e"}, {"subject": "17"}, {"everything": True}])
def test_the_in_memory_issuer_has_the_secret_of_a_namespace(revocation: Revocation) -> None:
    issuer = TestIssuer(namespace="shop", secret=SECRET)
    verifier = issuer.verifier()
    verifier.warm()
    token = signed(claims(verifier, issuer.now()))
    assert verifier.check(token).namespace == "shop"
    issuer.revoke_named("shop", revocation)
    with pytest.raises(Refused):
        verifier.check(token)
    with pytest.raises(Refused):
        verifier.check(issuer.token("17"))
    for arguments in ({"secret": SECRET}, {"namespace": "shop", "secret": ""}):
        with pytest.raises(ValueError, match="that of a namespace"):
            TestIssuer(**arguments)
