"""A site under gunicorn that issues its own tokens, while its quash is away: a real server that is killed, and that
returns. Revocations made meanwhile aren't lost, even if the worker that made them is killed."""

import json
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
from servers import BINARY, WORKERS, Presenting, Quash, Site, post, until

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")

TERM = 12
"""The length of a lease, in seconds."""
USER = "from django.contrib.auth.models import User; User.objects.create_user('dana', password='correct horse')"
SETTINGS = f"""
[feed]
term = "{TERM}s"

[foreign.shop]
namespace = "shop"
session_claim = "qsid"
position_claim = "qsq"
max_lifetime = "2d"
"""
# Whether a stale site accepts a token that is older than a lease.
CHOICES: list[tuple[Any, bool]] = [
    ("introspect", False),
    ("deny", False),
    (("allow_young", 1), False),
    (("allow_young", 3600), True),
    ("allow", True),
]


@pytest.fixture
def quash(tmp_path: Path) -> Iterator[Quash]:
    (tmp_path / "quash.toml").write_text(SETTINGS)
    quash = Quash(tmp_path, config=tmp_path / "quash.toml")
    yield quash
    quash.stop()


@pytest.fixture
def start(quash: Quash, tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Starts gunicorn with the site; all that a test starts have one database."""
    credential = quash.run("client", "add", "site", "--namespace", "shop").strip()
    sites: list[Site] = []

    def start_site(*arguments: str, when_stale: Any = "introspect") -> Site:
        site = Site(
            *arguments,
            QUASH_URL=quash.url,
            QUASH_CREDENTIAL=credential,
            SITE_MODE="keep_issuing",
            SITE_GUARDED="1",
            SITE_WHEN_STALE=json.dumps(when_stale),
            SITE_DATABASE=str(tmp_path / "site.sqlite3"),
        )
        if not sites:
            manage(site, "migrate", "-v", "0")
            manage(site, "shell", "-v", "0", "-c", USER)
        sites.append(site)
        return site

    yield start_site
    for site in sites:
        site.kill()


def manage(site: Site, *arguments: str) -> str:
    ended = site.manage(*arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def sign_in(site: Site) -> Any:
    return post(site.url + "/api/token/", {"username": "dana", "password": "correct horse"})


def log_out(site: Site, pair: Any) -> None:
    post(site.url + "/api/token/blacklist/", {"refresh": pair["refresh"]})


def waiting(site: Site) -> int:
    """Returns how many revocations wait in the site's database."""
    with closing(sqlite3.connect(site.environment["SITE_DATABASE"])) as database:
        return int(database.execute("SELECT count(*) FROM quash_outbox").fetchone()[0])


def test_each_choice_while_quash_is_away(quash: Quash, start: Callable[..., Site]) -> None:
    sites = [(start("--workers", "1", when_stale=choice), choice, accepts) for choice, accepts in CHOICES]
    first = sites[0][0]
    live, ended = sign_in(first)["access"], sign_in(first)
    for site, _, _ in sites:
        assert site.get(live).status == site.get(ended["access"]).status == 200
    log_out(first, ended)
    for site, _, _ in sites:
        until(lambda: site.get(ended["access"]).status == 401, "the ended token is refused")
    quash.stop()
    killed_at = time.monotonic()
    for site, _, _ in sites:
        assert site.get(live).status == 200, "a valid token is accepted as long as the lease lasts"
        assert site.get(ended["access"]).status == 401
    for site, choice, accepts in sites:
        while time.monotonic() - killed_at < TERM:
            assert site.get(live).status in (200, 503) and site.get(ended["access"]).status == 401, choice
        answer = site.get(live)
        assert (answer.status, answer.retry_after) == ((200, None) if accepts else (503, "1")), choice
        assert site.get(ended["access"]).status == 401, choice
    quash.start()
    for site, choice, _ in sites:
        until(lambda: site.get(live).status == 200, f"{choice}: the token is accepted again")
        assert site.get(ended["access"]).status == 401, choice


def test_a_log_out_made_meanwhile_is_sent_when_quash_is_back(quash: Quash, start: Callable[..., Site]) -> None:
    site = start(when_stale="allow")
    pair, other = sign_in(site), sign_in(site)
    presenting = Presenting(site, pair["access"])
    try:
        until(lambda: len(presenting.pids(200)) == WORKERS, "every worker accepts the token")
        quash.stop()
        log_out(site, pair)
        assert waiting(site) == 1 and not presenting.pids(401)
        quash.start()
        until(lambda: len(presenting.pids(401)) == WORKERS, "every worker refuses the token")
    finally:
        presenting.stop()
    assert {answer.status for answer in presenting.answers} == {200, 401} and not presenting.failures
    assert site.get(other["access"]).status == 200
    # The thread that has sent it can't delete its row.
    until(lambda: "0 waiting" in site.manage("quash_drain").stdout, "nothing waits any more")


def test_a_log_out_is_accepted_unless_it_needs_an_access_token(quash: Quash, start: Callable[..., Site]) -> None:
    """As the guide says: a view that requires an access token answers 503, and has ended nothing."""
    site = start("--workers", "1")
    pair, other, third = sign_in(site), sign_in(site), sign_in(site)
    assert site.get(pair["access"]).status == 200
    quash.stop()
    until(lambda: site.get(pair["access"]).status == 503, "the site is stale")
    with pytest.raises(HTTPError) as refused:
        post(site.url + "/api/logout/", {"refresh": pair["refresh"]}, pair["access"])
    assert (refused.value.code, refused.value.headers["Retry-After"]) == (503, "1")
    assert waiting(site) == 0
    log_out(site, other)
    post(site.url + "/api/logout/", {"refresh": third["refresh"]})
    assert waiting(site) == 2 and sign_in(site)
    quash.start()
    ended = (other["access"], third["access"])
    until(lambda: all(site.get(token).status == 401 for token in ended), "the log-outs are sent")
    assert site.get(pair["access"]).status == 200
    post(site.url + "/api/logout/", {"refresh": pair["refresh"]}, pair["access"])
    until(lambda: site.get(pair["access"]).status == 401, "the repeated log-out ends the session")


@pytest.mark.parametrize("how", ["down", "unresponsive"])
def test_a_log_out_of_a_killed_worker_is_not_lost(quash: Quash, start: Callable[..., Site], how: str) -> None:
    site = start("--workers", "1")
    pair, other = sign_in(site), sign_in(site)
    assert site.get(pair["access"]).status == 200
    if how == "down":
        quash.stop()
        log_out(site, pair)
        site.kill()
    else:
        # The worker is killed while its request waits for an answer, and quash before it reads the request.
        os.kill(quash.pid, signal.SIGSTOP)
        request = threading.Thread(target=log_out_in_vain, args=(site, pair))
        request.start()
        until(lambda: waiting(site) == 1, "the row is written")
        site.kill()
        request.join()
        quash.stop()
    quash.start()
    site = start()
    assert waiting(site) == 1 and site.get(pair["access"]).status == 200
    until(lambda: "0 waiting" in site.manage("quash_drain").stdout, "the drain has sent it")
    until(lambda: site.get(pair["access"]).status == 401, "the token is refused")
    assert site.get(other["access"]).status == 200


def log_out_in_vain(site: Site, pair: Any) -> None:
    with suppress(OSError):
        log_out(site, pair)
