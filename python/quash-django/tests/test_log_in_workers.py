"""gunicorn with four workers whose users sign in at a real quash server, with Django's forms and sessions."""

import http.cookiejar
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import BINARY, PASSWORD, PATIENCE, WORKERS, Answer, Presenting, Quash, Site, post, until

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")

USER = "from django.contrib.auth.models import User; User.objects.create_user('dana', pk=17)"


@pytest.fixture
def quash(tmp_path: Path) -> Iterator[Quash]:
    quash = Quash(tmp_path)
    quash.run("account", "add", "dana", "--subject", "17", "--password-stdin", stdin=PASSWORD)
    yield quash
    quash.stop()


@pytest.fixture(params=["db", "signed_cookies"])
def site(request: pytest.FixtureRequest, quash: Quash, tmp_path: Path) -> Iterator[Site]:
    yield from the_site(quash, tmp_path, SITE_SESSIONS=request.param)


def the_site(quash: Quash, room: Path, **environment: str) -> Iterator[Site]:
    site = Site(
        QUASH_URL=quash.url,
        QUASH_CREDENTIAL=quash.credential("site"),
        SITE_GUARDED="1",
        SITE_DATABASE=str(room / "site.sqlite3"),
        **environment,
    )
    try:
        for command in (["migrate", "-v", "0"], ["shell", "-v", "0", "-c", USER]):
            ended = site.manage(*command)
            assert ended.returncode == 0, ended.stderr
        yield site
        site.end()
    finally:
        site.kill()


class Browser:
    """A browser with cookies, which posts forms as their pages say."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))

    @property
    def cookies(self) -> str:
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._cookies)

    def post(self, page: str, path: str, fields: dict[str, str]) -> int:
        html = self._open(page)[1]
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', html)
        assert token is not None
        return self._open(path, fields | {"csrfmiddlewaretoken": token[1]})[0]

    def log_in(self) -> int:
        return self.post("/log-in/", "/log-in/", {"username": "dana", "password": PASSWORD})

    def _open(self, path: str, fields: dict[str, str] | None = None) -> tuple[int, str]:
        body = None if fields is None else urllib.parse.urlencode(fields).encode()
        try:
            with self._opener.open(self._site.url + path, body, PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def end_one(quash: Quash, browser: Browser, site: Site) -> None:
    """The user ends the session in another place."""
    token = quash.sign_in()["access"]
    headers = {"Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(quash.url + "/v1/me/sessions", headers=headers)) as answer:
        listed = json.load(answer)["sessions"]
    (sid,) = [session["sid"] for session in listed if not session["current"]]
    request = urllib.request.Request(f"{quash.url}/v1/me/sessions/{sid}", headers=headers, method="DELETE")
    urllib.request.urlopen(request, timeout=PATIENCE).close()


def change_the_password(quash: Quash, browser: Browser, site: Site) -> None:
    body = {"current_password": PASSWORD, "new_password": "another horse battery"}
    post(quash.url + "/v1/me/password", body, quash.sign_in()["access"])


def log_out(quash: Quash, browser: Browser, site: Site) -> None:
    assert browser.post("/log-in/", "/log-out/", {}) == 200


@pytest.mark.parametrize("end", [end_one, change_the_password, log_out])
def test_every_worker_signs_out_at_once(
    quash: Quash, site: Site, end: Callable[[Quash, Browser, Site], None], record_property: Any
) -> None:
    browser = Browser(site)
    assert browser.log_in() == 200
    presenting = Presenting(site, cookies=browser.cookies)
    try:
        until(lambda: len(presenting.pids(200)) == WORKERS, "every worker knows the user")
        end(quash, browser, site)
        ended_at = time.monotonic()
        until(lambda: len(presenting.pids(401)) == WORKERS, "every worker has signed the user out")
    finally:
        presenting.stop()
    late = [answer.at - ended_at for answer in presenting.answers if answer.status == 200 and answer.at > ended_at]
    assert {answer.status for answer in presenting.answers} == {200, 401} and not presenting.failures
    assert max(late, default=0.0) < 1
    record_property("last acceptance after the end, ms", round(max(late, default=0.0) * 1000, 1))


def test_an_unavailable_quash_answers_503_and_recovers(quash: Quash, site: Site) -> None:
    browser, ended = Browser(site), Browser(site)
    assert (browser.log_in(), ended.log_in()) == (200, 200)
    cookies, copied = browser.cookies, ended.cookies
    assert ended.post("/log-in/", "/log-out/", {}) == 200
    every_worker(site, cookies, 200)
    quash.stop()
    assert {answer.retry_after for answer in every_worker(site, cookies, 503)} == {"1"}
    assert site.get("", "/who/").status == 401 and Browser(site).log_in() == 503
    quash.start()
    every_worker(site, cookies, 200)
    assert site.get("", "/who/", copied).status == 401
    # A worker whose last sign-in got no answer asks again after a second.
    until(lambda: Browser(site).log_in() == 200, "users can sign in again", within=5)


def test_a_site_may_go_on_without_quash(quash: Quash, tmp_path: Path) -> None:
    for site in the_site(quash, tmp_path, SITE_SESSIONS="signed_cookies", SITE_WHEN_STALE='"allow"'):
        browser, ended = Browser(site), Browser(site)
        assert (browser.log_in(), ended.log_in()) == (200, 200)
        cookies, copied = browser.cookies, ended.cookies
        assert ended.post("/log-in/", "/log-out/", {}) == 200
        every_worker(site, cookies, 200)
        every_worker(site, copied, 401)
        quash.stop()
        # The verifiers are stale after the lease's term.
        stale_at = time.monotonic() + 12
        while time.monotonic() < stale_at:
            assert site.get("", "/who/", cookies).status == 200
        every_worker(site, cookies, 200)
        assert {answer.status for answer in every_worker(site, copied, 401)} == {401}
        assert Browser(site).log_in() == 503


def every_worker(site: Site, cookies: str, status: int) -> list[Answer]:
    """Waits until every worker gives this answer, and returns these answers."""
    answers: dict[int, Answer] = {}

    def all_answer() -> bool:
        answer = site.get("", "/who/", cookies)
        if answer.status == status:
            answers[answer.pid] = answer
        return len(answers) == WORKERS

    until(all_answer, f"every worker answers {status}")
    return list(answers.values())
