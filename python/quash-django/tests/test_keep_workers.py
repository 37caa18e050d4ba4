"""gunicorn with four workers that issue their own tokens, in front of a real quash server."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import BINARY, WORKERS, Presenting, Quash, Site, post, until
from site_settings import SECRET_KEY

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")

USER = "from django.contrib.auth.models import User; User.objects.create_user('dana', password='correct horse')"
CHANGE = "from django.contrib.auth.models import User; u = User.objects.get(); u.set_password('new'); u.save()"
SETTINGS = """
[foreign.shop]
namespace = "shop"
session_claim = "qsid"
position_claim = "qsq"
max_lifetime = "2d"
"""
KEY = """
algorithm = "HS256"
shared_secret_file = "{secret}"
"""


@pytest.fixture(params=["native", "PyJWT"])
def how(request: Any) -> str:
    """How the site verifies its tokens: quash has its key or hasn't."""
    return str(request.param)


@pytest.fixture
def quash(tmp_path: Path, how: str) -> Iterator[Quash]:
    """A server of the test's own: another one would wait for the killed workers of earlier tests."""
    (tmp_path / "django.secret").touch(mode=0o600)
    (tmp_path / "django.secret").write_text(SECRET_KEY)
    key = KEY.format(secret=tmp_path / "django.secret") if how == "native" else ""
    (tmp_path / "quash.toml").write_text(SETTINGS + key)
    quash = Quash(tmp_path, config=tmp_path / "quash.toml")
    yield quash
    quash.stop()


@pytest.fixture
def site(quash: Quash, tmp_path: Path) -> Iterator[Site]:
    credential = quash.run("client", "add", f"site-{time.monotonic_ns()}", "--namespace", "shop").strip()
    site = Site(
        QUASH_URL=quash.url,
        QUASH_CREDENTIAL=credential,
        SITE_MODE="keep_issuing",
        SITE_GUARDED="1",
        SITE_DATABASE=str(tmp_path / "site.sqlite3"),
    )
    for command in (["migrate", "-v", "0"], ["shell", "-v", "0", "-c", USER]):
        ended = site.manage(*command)
        assert ended.returncode == 0, ended.stderr
    yield site
    site.kill()


def log_out(site: Site, pair: Any) -> None:
    post(site.url + "/api/token/blacklist/", {"refresh": pair["refresh"]})


def change_the_password(site: Site, pair: Any) -> None:
    """In another process."""
    ended = site.manage("shell", "-v", "0", "-c", CHANGE)
    assert ended.returncode == 0, ended.stderr


def revoke(site: Site, pair: Any) -> None:
    ended = site.manage("quash_revoke", "dana", "--wait")
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("end", [log_out, change_the_password, revoke])
def test_every_worker_refuses_at_once(site: Site, end: Any, record_property: Any) -> None:
    pair = post(site.url + "/api/token/", {"username": "dana", "password": "correct horse"})
    presenting = Presenting(site, pair["access"])
    try:
        until(lambda: len(presenting.pids(200)) == WORKERS, "every worker accepts the token")
        end(site, pair)
        ended_at = time.monotonic()
        until(lambda: len(presenting.pids(401)) == WORKERS, "every worker refuses the token")
    finally:
        presenting.stop()
    late = [answer.at - ended_at for answer in presenting.answers if answer.status == 200 and answer.at > ended_at]
    assert {answer.status for answer in presenting.answers} == {200, 401} and not presenting.failures
    assert max(late, default=0.0) < 1
    record_property("last acceptance after the end, ms", round(max(late, default=0.0) * 1000, 1))


def test_the_check_finds_nothing_wrong(site: Site, how: str) -> None:
    ended = site.manage("quash_check")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    verified = "access tokens are verified natively" if how == "native" else "access tokens are verified by PyJWT"
    assert verified in ended.stdout, ended.stdout
