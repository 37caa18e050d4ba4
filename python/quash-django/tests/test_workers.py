"""gunicorn with four workers in front of a real quash server: after a log-out each worker refuses the token."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import BINARY, PASSWORD, WORKERS, Presenting, Quash, Site, until

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")

MIGRATE = "from django.contrib.auth.models import User; User.objects.create_user('dana', pk=17, password='x')"


@pytest.fixture(scope="module")
def quash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quash]:
    # With this algorithm Simple JWT can verify quash's tokens, too.
    quash = Quash(tmp_path_factory.mktemp("quash"), "tokens.algorithm=ES256")
    quash.run("account", "add", "dana", "--subject", "17", "--password-stdin", stdin=PASSWORD)
    yield quash
    quash.stop()


@pytest.fixture(params=["sync", "sync preload", "gthread", "gevent"])
def worker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def site_of(quash: Quash, worker: str, room: Path, **environment: str) -> Site:
    environment["SITE_DATABASE"] = str(room / "site.sqlite3")
    site = Site(
        "-k",
        worker.split()[0],
        *(["--threads", "4"] if worker == "gthread" else []),
        *(["--preload"] if "preload" in worker else []),
        QUASH_URL=quash.url,
        QUASH_CREDENTIAL=quash.run("verifier", "add", f"site-{time.monotonic_ns()}").strip(),
        **environment,
    )
    for command in (["migrate", "-v", "0"], ["shell", "-v", "0", "-c", MIGRATE]):
        ended = site.manage(*command)
        assert ended.returncode == 0, ended.stderr
    return site


def test_every_worker_refuses_at_once_and_exits(
    quash: Quash, worker: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    site = site_of(quash, worker, tmp_path, SITE_GUARDED="1")
    try:
        pair, other = quash.sign_in(), quash.sign_in()
        presenting = Presenting(site, pair["access"])
        try:
            until(lambda: len(presenting.pids(200)) == WORKERS, "every worker accepts the token")
            quash.log_out(pair)
            ended_at = time.monotonic()
            until(lambda: len(presenting.pids(401)) == WORKERS, "every worker refuses the token")
        finally:
            presenting.stop()
        late = [answer.at - ended_at for answer in presenting.answers if answer.status == 200 and answer.at > ended_at]
        assert {answer.status for answer in presenting.answers} == {200, 401} and not presenting.failures
        # An answer may have been under way when the session ended.
        assert max(late, default=0.0) < 1
        record_property("last acceptance after the log-out, ms", round(max(late, default=0.0) * 1000, 1))
        assert site.get(other["access"]).status == 200
        assert site.end() < 5
    finally:
        site.kill()


def test_without_the_package_a_log_out_changes_nothing(quash: Quash, tmp_path: Path) -> None:
    """The same site with Simple JWT alone, which verifies quash's tokens with its keys."""
    site = site_of(quash, "sync", tmp_path)
    try:
        pair = quash.sign_in()
        presenting = Presenting(site, pair["access"])
        try:
            until(lambda: len(presenting.pids(200)) == WORKERS, "every worker accepts the token")
            quash.log_out(pair)
            ended_at = time.monotonic()
            until(lambda: len(presenting.pids(200, ended_at)) == WORKERS, "every worker still accepts the token")
            time.sleep(0.5)
        finally:
            presenting.stop()
        assert {answer.status for answer in presenting.answers} == {200}
    finally:
        site.kill()


def test_an_unavailable_quash_answers_503_and_recovers(quash: Quash, tmp_path: Path) -> None:
    own = Quash(tmp_path, "tokens.algorithm=ES256")
    own.run("account", "add", "dana", "--subject", "17", "--password-stdin", stdin=PASSWORD)
    (tmp_path / "site").mkdir()
    site = site_of(own, "sync", tmp_path / "site", SITE_GUARDED="1")
    try:
        token = own.sign_in()["access"]
        until(lambda: site.get(token).status == 200, "the site accepts the token")
        own.stop()
        until(lambda: site.get(token).status == 503, "the verifiers are stale")
        assert site.get(token).retry_after == "1" and site.get("").status == 401
        own.start()
        pids: set[int] = set()

        def accepts() -> bool:
            answer = site.get(token)
            if answer.status == 200:
                pids.add(answer.pid)
            return len(pids) == WORKERS

        until(accepts, "every worker accepts the token again")
    finally:
        site.kill()
        own.stop()
    assert os.getpid() not in pids
