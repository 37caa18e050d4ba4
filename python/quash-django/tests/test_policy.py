"""Every row of `quash policy show`, up to a refusal at a Django worker: the event takes place at a real quash server,
and a worker of gunicorn in another process refuses the token."""

import base64
import json
import shutil
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from servers import BINARY, PASSWORD, Quash, Site, post, until

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")

SETTINGS = """
[tokens]
user_id_field = "username"

[accounts]
numeric_names = true

[sessions]
max_per_account = 2

[rotation]
grace = "0s"

[foreign.shop]
namespace = "shop"
session_claim = "qsid"
position_claim = "qsq"
max_lifetime = "2d"
"""
NEW_PASSWORD = "another horse battery staple"
# The keys of the users of both sites. Each row has a user of its own; the first one only watches.
USERS = range(100, 160)
ADD_USERS = f"""
from django.contrib.auth.models import User
from django.core.management import call_command
call_command("migrate", verbosity=0)
User.objects.bulk_create(User(pk=key, username=str(key)) for key in range({USERS.start}, {USERS.stop}))
for user in User.objects.all(): user.set_password({PASSWORD!r}); user.save()
"""


class Walk(NamedTuple):
    """The start of each row: a user who is signed in at quash and at the shop, which issues its own tokens."""

    quash: Quash
    client: str  # The shop's credential.
    name: str
    pair: Any
    shops: Any

    def post(self, path: str, body: Any, token: str | None = None) -> Any:
        return post(self.quash.url + path, body, token)

    def command(self, *arguments: str, stdin: str = "") -> str:
        return self.quash.run(*arguments, stdin=stdin)

    def set(self, *arguments: str, stdin: str = "") -> None:
        self.command("account", "set", "--name", self.name, *arguments, stdin=stdin)

    def refresh(self, pair: Any) -> Any:
        return self.post("/api/token/refresh/", {"refresh": pair["refresh"]})

    def is_refused_a_refresh(self, pair: Any) -> None:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            self.refresh(pair)


def claims(token: str) -> Any:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def sign_in_over_the_limit(walk: Walk) -> None:
    for _ in range(2):
        walk.quash.sign_in(walk.name)


def use_a_spent_token(walk: Walk) -> None:
    walk.refresh(walk.pair)
    walk.is_refused_a_refresh(walk.pair)


def use_a_token_from_the_future(walk: Walk) -> None:
    """The disk loses the latest changes, without a trace."""
    quash, copy = walk.quash, walk.quash.data.with_name("copy")
    quash.stop()
    shutil.copytree(quash.data, copy, ignore=shutil.ignore_patterns("control.*"))
    quash.start()
    newest = walk.refresh(walk.refresh(walk.pair))
    quash.stop()
    shutil.rmtree(quash.data)
    copy.rename(quash.data)
    quash.start()
    walk.is_refused_a_refresh(newest)


def change_the_password(walk: Walk) -> None:
    other = walk.quash.sign_in(walk.name)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    walk.post("/v1/me/password", body, other["access"])


def reset_the_password(walk: Walk) -> None:
    walk.post("/v1/password-reset", {"username": walk.name})
    log, mail = walk.quash.data.with_name("stderr"), f"to {walk.name}@example.org: Reset your password"
    until(lambda: mail in log.read_text(), "the mail is printed")
    token = log.read_text().partition(mail)[2].partition("?token=")[2].split()[0]
    walk.post("/v1/password-reset/confirm", {"token": token, "new_password": NEW_PASSWORD})


def revoke_the_key(walk: Walk) -> None:
    keys = json.loads(walk.command("key", "list", "--json"))["keys"]
    walk.command("revoke", "key", next(key["kid"] for key in keys if key["state"] == "current"))


def restore_the_store(walk: Walk) -> None:
    backup = walk.quash.data.with_name("backup")
    walk.command("backup", str(backup))
    walk.quash.stop()
    walk.command("restore", str(backup))
    walk.quash.start()


def in_the_namespace(member: str, flag: str, claim: str | None) -> list[Callable[[Walk], object]]:
    """By a client and by a command."""

    def by_a_client(walk: Walk) -> None:
        item = {member: True if claim is None else claims(walk.shops["access"])[claim]}
        walk.post("/v1/revocations", {"namespace": "shop", "revocations": [item]}, walk.client)

    def by_a_command(walk: Walk) -> None:
        name = "--yes" if claim is None else claims(walk.shops["access"])[claim]
        walk.command("revoke", "namespace", "shop", flag, name)

    return [by_a_client, by_a_command]


WALKS: dict[str, list[Callable[[Walk], object]]] = {
    "log_out": [lambda walk: walk.quash.log_out(walk.pair)],
    "session_ended": [lambda walk: walk.command("session", "end", claims(walk.pair["access"])["sid"])],
    "over_limit": [sign_in_over_the_limit],
    "log_out_everywhere": [lambda walk: walk.post("/v1/me/sessions/end-all", {}, walk.pair["access"])],
    "log_out_elsewhere": [
        lambda walk: walk.post("/v1/me/sessions/end-others", {}, walk.quash.sign_in(walk.name)["access"])
    ],
    "reuse": [use_a_spent_token],
    "token_from_the_future": [use_a_token_from_the_future],
    "password_changed": [change_the_password],
    "password_reset": [reset_the_password],
    "password_set": [lambda walk: walk.set("--password-stdin", stdin=NEW_PASSWORD)],
    "email_changed": [lambda walk: walk.set("--email", f"new-{walk.name}@example.org", "--verified")],
    "name_changed": [lambda walk: walk.set("--username", f"9{walk.name}")],
    "deactivated": [lambda walk: walk.command("account", "deactivate", "--name", walk.name)],
    "deleted": [lambda walk: walk.command("account", "delete", "--name", walk.name, "--yes")],
    "locked": [lambda walk: walk.command("account", "lock", "--name", walk.name)],
    "claims_changed": [lambda walk: walk.set("--claims-stdin", stdin='{"role": "reader"}')],
    "key_removed": [revoke_the_key],
    "account_revoked": [lambda walk: walk.command("revoke", "account", "--name", walk.name)],
    "everything_revoked": [lambda walk: walk.command("revoke", "everything", "--yes")],
    "store_restored": [restore_the_store],
    "namespace_session_revoked": in_the_namespace("session", "--session", "qsid"),
    "namespace_token_revoked": in_the_namespace("token", "--token-id", "jti"),
    "namespace_subject_revoked": in_the_namespace("subject", "--subject", "user_id"),
    "namespace_revoked": in_the_namespace("everything", "--everything", None),
}
# The rows that end tokens of all users, and those that end tokens of both sites.
OF_ALL_USERS = {"key_removed", "everything_revoked", "store_restored", "namespace_revoked"}
OF_BOTH_SITES = {"everything_revoked", "store_restored"}


def rows() -> list[str]:
    """The rows of the table that the binary prints."""
    if not BINARY.exists():
        return []
    command = [str(BINARY), "policy", "show", "--json", "--data-dir", "/nonexistent"]
    shown = subprocess.run(command, capture_output=True, check=True, env={}).stdout
    return [row["road"] for row in json.loads(shown)["roads"]]


class Sites:
    """A quash server, a site that accepts its tokens, and a shop that goes on issuing its own; a worker each."""

    def __init__(self, room: Path) -> None:
        (room / "quash.toml").write_text(SETTINGS)
        self.quash = Quash(room, config=room / "quash.toml")
        self.client = self.quash.run("client", "add", "shop", "--namespace", "shop").strip()
        self.site = self._site(room / "site.sqlite3", self.quash.run("verifier", "add", "site").strip())
        self.shop = self._site(room / "shop.sqlite3", self.client, SITE_MODE="keep_issuing")
        self._users = iter(USERS)
        self.other = self.walk()

    def walk(self) -> Walk:
        """A new user."""
        name = str(next(self._users))
        address = f"{name}@example.org"
        add = ["account", "add", name, "--email", address, "--verified", "--password-stdin"]
        self.quash.run(*add, stdin=PASSWORD)
        return self.sign_in(name)

    def sign_in(self, name: str) -> Walk:
        shops = post(self.shop.url + "/api/token/", {"username": name, "password": PASSWORD})
        return Walk(self.quash, self.client, name, self.quash.sign_in(name), shops)

    def close(self) -> None:
        for each in (self.site, self.shop):
            each.kill()
        self.quash.stop()

    def _site(self, database: Path, credential: str, **environment: str) -> Site:
        environment = {"SITE_DATABASE": str(database), "SITE_GUARDED": "1", **environment}
        site = Site(
            "--workers", "1", QUASH_URL=self.quash.url, QUASH_CREDENTIAL=credential, **environment
        )
        ended = site.manage("shell", "-v", "0", "-c", ADD_USERS)
        assert ended.returncode == 0, ended.stderr
        return site


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    sites = Sites(tmp_path_factory.mktemp("policy"))
    yield sites
    sites.close()


@pytest.mark.parametrize("row", rows())
def test_every_row_ends_at_a_django_worker(sites: Sites, row: str) -> None:
    assert row in WALKS, f"{row} has no walk: add one, with a refusal at a worker"
    for event in WALKS[row]:
        walk = sites.walk()
        if row.startswith("namespace_"):
            refused = [(sites.shop, walk.shops, sites.other.shops)]
        else:
            refused = [(sites.site, walk.pair, sites.other.pair)]
            if row in OF_BOTH_SITES:
                refused.append((sites.shop, walk.shops, sites.other.shops))
        for site, pair, other in refused:
            for token in (pair["access"], other["access"]):
                until(lambda: site.get(token).status == 200, "the worker accepts the token")
        event(walk)
        for site, pair, other in refused:
            until(lambda: site.get(pair["access"]).status == 401, "the worker refuses the token")
            assert json.loads(site.get(pair["access"]).body)["code"] == "token_not_valid"
            if row not in OF_ALL_USERS:
                assert site.get(other["access"]).status == 200
        if row in OF_ALL_USERS:
            sites.other = sites.sign_in(sites.other.name)


def test_every_walk_has_its_row() -> None:
    assert list(WALKS) == rows()
