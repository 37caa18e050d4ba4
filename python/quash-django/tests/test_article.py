"""The guide's project under gunicorn, before and after its changed lines: which events end the access token."""

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin

import pytest
from chromium import CHROMIUM, Chromium
from servers import BINARY, PASSWORD, PATIENCE, ROOT, WORKERS, Presenting, Quash, Site, post, until

EXAMPLE = ROOT / "examples/django"
GUIDE = ROOT / "docs/guides/django.md"
NEW = "new@example.org"
NEW_PASSWORD = "another horse battery staple"
EVENTS = ["log_out", "reset_password", "deactivate", "lock_out", "lock_out_of_admin"]
USERS = f"""
from accounts.models import User
for name in {EVENTS}:
    User.objects.create_user(name + "@example.org", {PASSWORD!r}, is_verified=True)
User.objects.create_user("page@example.org", {PASSWORD!r}, is_verified=True)
User.objects.create_user("unverified@example.org", {PASSWORD!r})
User.objects.create_superuser("admin@example.org", {PASSWORD!r})
"""

RIGHTS = [word for right in ("feed", "introspect", "revoke", "accounts") for word in ("--right", right)]

needs_server = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")


def manage(folder: Path, settings: str, *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments, "--settings", f"shop.{settings}"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=4 * PATIENCE)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


class Browser:
    """Fills in forms, with the cookies that the site has set."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._cookies = CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self._cookies))

    def submit(self, path: str, **fields: str) -> None:
        url, page = self.fill_in(path, **fields)
        assert url is not None and "errorlist" not in page, page

    def fill_in(self, path: str, **fields: str) -> tuple[str | None, str]:
        """Returns the address and the text of the page that follows the form; no address if it is the same."""
        with self._opener.open(urljoin(self._url, path), timeout=PATIENCE) as form:
            form.read()
        token = next(cookie.value for cookie in self._cookies if cookie.name == "csrftoken")
        body = urlencode({**fields, "csrfmiddlewaretoken": token}).encode()
        with self._opener.open(form.url, body, timeout=PATIENCE) as answer:
            page = answer.read().decode()
        return answer.url if answer.url != form.url else None, page


class Project(Site):
    """The example under gunicorn, without quash."""

    alive = "/"
    settings = "settings"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = f"{folder}:{Path(__file__).parent}:{Path(__file__).parents[1] / 'src'}"
        super().__init__("--preload", DJANGO_SETTINGS_MODULE=f"shop.{self.settings}", PYTHONPATH=path)

    def sign_in(self, email: str, password: str = PASSWORD) -> Any:
        return post(self.url + "/api/token/", {"email": email, "password": password})

    def log_out(self, email: str, pair: Any) -> None:
        post(self.url + "/api/logout/", {"refresh": pair["refresh"]}, pair["access"])

    def reset_password(self, email: str, pair: Any) -> None:
        """By the link in Django's mail."""
        Browser(self.url).submit("/accounts/reset/", email=email)
        Browser(self.url).submit(self.link_for(email), new_password1=NEW_PASSWORD, new_password2=NEW_PASSWORD)

    def link_for(self, email: str) -> str:
        mails = [file.read_text() for file in (self.folder / "mails").iterdir()]
        [mail] = [mail for mail in mails if f"To: {email}\n" in mail]
        link = re.search(r"http://\S+", mail)
        assert link is not None
        return link[0]

    def deactivate(self, email: str, pair: Any) -> None:
        """In Django's admin."""
        browser = Browser(self.url)
        browser.submit("/admin/login/?next=/admin/", username="admin@example.org", password=PASSWORD)
        number = int(json.loads(self.get(pair["access"], "/api/orders/").body)["user"])
        browser.submit(f"/admin/accounts/user/{number}/change/", email=email, is_verified="on")

    def lock_out(self, email: str, pair: Any) -> None:
        """By django-axes."""
        for _ in range(5):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                self.sign_in(email, "wrong")

    def lock_out_of_admin(self, email: str, pair: Any) -> None:
        """By django-axes, at Django's own log-in."""
        browser = Browser(self.url)
        for _ in range(4):
            assert browser.fill_in("/admin/login/", username=email, password="wrong")[0] is None
        with pytest.raises(urllib.error.HTTPError, match="429"):
            browser.fill_in("/admin/login/", username=email, password="wrong")


class KeepIssuing(Project):
    """With quash, which ends Simple JWT's tokens."""

    settings = "settings_keep_issuing"
    config = "quash.toml"
    credential = ["client", "add", "site", "--namespace", "shop"]

    def __init__(self, folder: Path) -> None:
        self.quash = Quash(folder, config=folder / self.config)
        try:
            (folder / "credential").write_text(self.quash.run(*self.credential))
            settings = folder / f"shop/{self.settings}.py"
            settings.write_text(settings.read_text().replace("http://127.0.0.1:7827", self.quash.url))
            manage(folder, self.settings, "migrate", "-v", "0")
            self.move_users(folder)
            super().__init__(folder)
        except BaseException:
            self.quash.stop()
            raise

    def move_users(self, folder: Path) -> None:
        """They stay at the site."""

    def kill(self) -> None:
        super().kill()
        self.quash.stop()


class QuashIssues(KeepIssuing):
    """With quash, where users sign in. All else stays at the site."""

    settings = "settings_quash_issues"
    config = "quash_issues.toml"
    credential = ["client", "add", "site", *RIGHTS]

    def move_users(self, folder: Path) -> None:
        assert f"{len(EVENTS) + 3} created" in manage(folder, self.settings, "quash_import")

    def sign_in(self, email: str, password: str = PASSWORD) -> Any:
        return post(self.quash.url + "/api/token/", {"email": email, "password": password})

    def log_out(self, email: str, pair: Any) -> None:
        post(self.quash.url + "/api/logout/", {"refresh": pair["refresh"]}, pair["access"])


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with its users, as it is before quash."""
    folder = tmp_path_factory.mktemp("example") / "site"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns(".venv", "db.sqlite3", "mails", "quash-data"))
    manage(folder, "settings", "migrate", "-v", "0")
    manage(folder, "settings", "shell", "-v", "0", "-c", USERS)
    return folder


@pytest.fixture(scope="module")
def before(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    yield from running(Project, example, tmp_path_factory.mktemp("before"))


@pytest.fixture(scope="module", params=[KeepIssuing, QuashIssues])
def after(
    example: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Project]:
    yield from running(request.param, example, tmp_path_factory.mktemp("after"))


def running(kind: type[Project], example: Path, room: Path) -> Iterator[Project]:
    project = kind(shutil.copytree(example, room / "site"))
    yield project
    project.kill()


def expect(project: Project, token: str, expected: Mapping[str, int]) -> None:
    """Presents a token at each path until every worker has given the expected answer."""
    presenting = Presenting(project, token, *expected)
    try:
        until(
            lambda: all(len(presenting.pids(status, path=path)) == WORKERS for path, status in expected.items()),
            f"every worker answers {expected}",
        )
    finally:
        presenting.stop()
    assert {answer.status for answer in presenting.answers} <= {200, 401} and not presenting.failures
    for path, status in expected.items():
        assert {project.get(token, path).status for _ in range(2 * WORKERS)} == {status}


def end(project: Project, event: str, expected: Mapping[str, int]) -> None:
    """Presents a user's token before and after an event."""
    email = f"{event}@example.org"
    pair = project.sign_in(email)
    expect(project, pair["access"], dict.fromkeys(expected, 200))
    getattr(project, event)(email, pair)
    expect(project, pair["access"], expected)


@needs_server
@pytest.mark.parametrize("event", EVENTS)
def test_every_worker_refuses_the_token_after(after: Project, event: str) -> None:
    end(after, event, {"/api/me/": 401, "/api/orders/": 401})
    if event == "reset_password":
        pair = after.sign_in("reset_password@example.org", NEW_PASSWORD)
        assert after.get(pair["access"], "/api/me/").status == 200
        with pytest.raises(urllib.error.HTTPError, match="401"):
            after.sign_in("reset_password@example.org")


@needs_server
@pytest.mark.parametrize("event", EVENTS)
def test_without_quash_the_token_survives(before: Project, event: str) -> None:
    # Simple JWT notices a deactivation where it reads the user at each request.
    end(before, event, {"/api/me/": 401 if event == "deactivate" else 200, "/api/orders/": 200})


@needs_server
def test_an_unverified_user_cannot_sign_in(after: Project) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        after.sign_in("unverified@example.org")


def click_through(project: Project, expected: int) -> str:
    """Signs in and out on the page, and calls the protected view until every worker has answered. Returns the token."""
    # One of the addresses that quash_issues.toml names.
    address = "localhost:8000"
    browser = Chromium(f"MAP {address} {project.url.removeprefix('http://')}")

    def shown() -> list[str]:
        lines: list[str] = browser.text("#answers").splitlines()
        return lines

    try:
        browser.open(f"http://{address}/")
        browser.click("#sign-out")
        browser.until(lambda: shown() == ["Sign in first."], "the page says what to do first")
        browser.click("[name=email]")
        browser.type("page@example.org")
        browser.click("[name=password]")
        browser.type(PASSWORD)
        browser.click("#sign-in button")
        browser.until(lambda: len(shown()) == 2, "the sign-in is answered")
        assert shown()[1].endswith("/api/token/: 200 "), shown()
        browser.click("#call")
        browser.until(lambda: len(shown()) == 3, "the protected view answers")
        assert shown()[2] == "/api/me/: 200 "
        browser.click("#sign-out")
        browser.until(lambda: len(shown()) == 4, "the log-out is answered")
        assert re.search(r"/api/logout/: 20[05] $", shown()[3]), shown()
        seen = len(browser.loaded)

        def workers() -> set[str | None]:
            return {answer.pid for answer in browser.loaded[seen:] if answer.path == "/api/me/"}

        def called() -> bool:
            browser.click("#call", 8)
            return len(workers()) == WORKERS

        browser.until(called, "every worker has answered")
        answers = {answer.status for answer in browser.loaded[seen:] if answer.path == "/api/me/"}
        assert answers == {expected} and len(workers()) == WORKERS and not browser.complaints
        text = "Token is blacklisted" if expected == 401 else ""
        assert all(f"/api/me/: {expected} " in line and text in line for line in shown()[4:] if line)
        return browser.sent_headers["/api/me/"]["Authorization"].removeprefix("Bearer ")
    finally:
        browser.stop()


@needs_server
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_in_a_browser_shows_a_dead_token(after: Project) -> None:
    token = click_through(after, 401)
    expect(after, token, {"/api/me/": 401, "/api/orders/": 401})


@needs_server
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_in_a_browser_shows_a_live_token_without_quash(before: Project) -> None:
    expect(before, click_through(before, 200), {"/api/me/": 200, "/api/orders/": 200})


@needs_server
@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_the_page_says_what_went_wrong(before: Project) -> None:
    actions = ["sign-out", "sign-in", "call", "stop", "call", "sign-out"]
    command = ["node", str(Path(__file__).parent / "page.mjs"), before.url + "/", *actions]
    environment = {**before.environment, "PASSWORD": PASSWORD}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 0, ended.stderr
    first, signed_in, called, unanswered, lost = ended.stdout.splitlines()
    assert first == "Sign in first." and (signed_in, called) == ("/api/token/: 200 ", "/api/me/: 200 ")
    for path, line in (("/api/me/", unanswered), ("/api/logout/", lost)):
        assert line.startswith(f"{path}: no answer (") and line.endswith("The server doesn't run.")


@needs_server
def test_a_new_user_signs_in_once_verified(before: Project) -> None:
    register(before)


@needs_server
def test_a_new_user_still_signs_in_once_verified(after: Project) -> None:
    register(after)
    if isinstance(after, QuashIssues):
        [account] = [account for account in after.quash.accounts().values() if account["email"] == NEW]
        assert account["email_verified_at"]


def register(project: Project) -> None:
    post(project.url + "/api/register/", {"email": NEW, "password": PASSWORD})
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        project.sign_in(NEW)
    assert "No active account" not in refused.value.read().decode(), "the password is right"
    with urllib.request.urlopen(project.link_for(NEW), timeout=PATIENCE) as answer:
        assert answer.status == 200
    assert project.get(project.sign_in(NEW)["access"], "/api/me/").status == 200


@pytest.mark.parametrize("mode", ["keep_issuing", "quash_issues"])
def test_the_guide_shows_all_changed_lines_and_they_are_few(mode: str) -> None:
    path = f"shop/settings_{mode}.py"
    shown = re.search(rf"^```python\n# {path}, in part\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert shown is not None
    head = (EXAMPLE / path).read_text().removesuffix(shown[1]).splitlines()
    assert all(line.startswith(('"""', "from ")) or not line for line in head)
    assert len(shown[1].splitlines()) <= 10


def test_quash_replaces_three_views_and_no_other() -> None:
    before, after = (
        set(re.findall(r'path\("(.*?)"', (EXAMPLE / f"shop/{name}.py").read_text()))
        for name in ("urls", "urls_quash_issues")
    )
    assert before - after == {"api/token/", "api/token/refresh/", "api/logout/"} and after < before
