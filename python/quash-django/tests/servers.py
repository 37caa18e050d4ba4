"""A real quash server and a real gunicorn, for the tests."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("QUASH_TEST_BINARY", ROOT / "target/debug/quash"))
HERE = Path(__file__).parent
PASSWORD = "correct horse battery staple"
WORKERS = 4
# Longer than anything here takes on a busy machine.
PATIENCE = 30.0


def until(is_so: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    """Waits for a state."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < within, f"in vain for {within} s: {what}"
        time.sleep(0.001)


def environment(**more: str) -> dict[str, str]:
    """Returns the environment of the site of `worker_settings.py`."""
    paths = {"PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent / "src")])}
    return {**os.environ, **paths, "DJANGO_SETTINGS_MODULE": "worker_settings", **more}


def post(url: str, body: Any, token: str | None = None) -> Any:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.loads(answer.read() or b"{}")


class Quash:
    """A quash server on a data directory of its own."""

    url: str
    # The credential of the tests' site.
    secret: str

    def __init__(self, room: Path, *settings: str, config: Path | None = None) -> None:
        room.mkdir(parents=True, exist_ok=True)
        self.data = room / "data"
        # The log, and the mails of a server without an SMTP server.
        self.stderr = room / "stderr"
        self._settings = [word for setting in settings for word in ("--set", setting)]
        self._settings += [] if config is None else ["--config", str(config)]
        self._process: subprocess.Popen[str] | None = None
        self.start("127.0.0.1:0")

    def start(self, listen: str | None = None) -> None:
        listen = listen or self.url.removeprefix("http://")
        command = [str(BINARY), "serve", "--data-dir", str(self.data), "--listen", listen, *self._settings]
        with self.stderr.open("a") as stderr:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env={})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("quash is listening on "), self.stderr.read_text()
        self.url = line.removeprefix("quash is listening on ").strip()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def run(self, *args: str, stdin: str = "") -> str:
        command = [str(BINARY), *args, "--data-dir", str(self.data)]
        ended = subprocess.run(command, input=stdin, capture_output=True, text=True, env={}, timeout=PATIENCE)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def credential(self, name: str) -> str:
        """Returns the secret of a site whose users sign in at quash."""
        rights = ("feed", "introspect", "revoke", "accounts")
        return self.run("client", "add", name, *[word for right in rights for word in ("--right", right)]).strip()

    def sign_in(self, name: str = "dana", password: str = PASSWORD) -> dict[str, str]:
        pair: dict[str, str] = post(self.url + "/api/token/", {"username": name, "password": password})
        return pair

    def keeper(self) -> str:
        """Returns the credential of a site that sends its users."""
        rights = [word for right in ("feed", "introspect", "accounts") for word in ("--right", right)]
        return self.run("client", "add", f"site-{time.monotonic_ns()}", *rights).strip()

    def accounts(self) -> dict[str, dict[str, Any]]:
        """Returns all accounts by their subjects."""
        found: dict[str, dict[str, Any]] = {}
        after: list[str] = []
        while True:
            page = json.loads(self.run("account", "list", "--json", *after))
            found |= {account["subject"]: account for account in page["accounts"]}
            if page["next"] is None:
                return found
            after = ["--after", page["next"]]

    def is_live(self, pair: dict[str, str]) -> bool:
        """Returns whether quash accepts an access token."""
        request = urllib.request.Request(self.url + "/v1/me", headers={"Authorization": f"Bearer {pair['access']}"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE):
                return True
        except urllib.error.HTTPError as error:
            assert error.code == 401
            return False

    def log_out(self, pair: dict[str, str]) -> None:
        post(self.url + "/api/token/blacklist/", {"refresh": pair["refresh"]})


class Answer(NamedTuple):
    path: str
    status: int
    pid: int
    body: bytes
    at: float
    retry_after: str | None


class Site:
    """The site of `worker_settings.py` under gunicorn."""

    alive = "/alive/"

    def __init__(self, *arguments: str, **more: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        gunicorn = f"-m gunicorn --workers {WORKERS} --graceful-timeout 3 --bind 127.0.0.1:{port} --log-level warning"
        self.environment = environment(**more)
        self.process = subprocess.Popen(
            [sys.executable, *gunicorn.split(), *arguments, "worker_wsgi:application"],
            env=self.environment,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        # Workers would wait for a full pipe. It ends with the last of them.
        self._output = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        until(self._is_up, "the site answers")

    def get(self, token: str, path: str = "/me/", cookies: str = "") -> Answer:
        sent = {"Authorization": token and f"Bearer {token}", "Cookie": cookies}
        headers = {name: value for name, value in sent.items() if value}
        request = urllib.request.Request(self.url + path, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return self._answer(path, answer.status, answer)
        except urllib.error.HTTPError as error:
            return self._answer(path, error.code, error)

    def manage(self, *arguments: str, within: float = PATIENCE) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "django", *arguments]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=within)

    def end(self) -> float:
        """Asks it to end, and returns how long that took."""
        began = time.monotonic()
        os.kill(self.process.pid, signal.SIGTERM)
        assert "Traceback" not in self._printed(), self._output.decode()
        return time.monotonic() - began

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self._printed()

    def _printed(self) -> str:
        """Waits until the site has ended, and returns its output."""
        self._reader.join(20)
        assert not self._reader.is_alive(), "the site hasn't ended after 20 s"
        self.process.wait()
        return self._output.decode()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self._output = self.process.stdout.read()

    def _answer(self, path: str, status: int, answer: Any) -> Answer:
        body, headers = answer.read(), answer.headers
        return Answer(path, status, int(headers["X-Pid"]), body, time.monotonic(), headers["Retry-After"])

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self._printed()
        try:
            return self.get("", self.alive).status == 200
        except OSError:
            return False


class Presenting:
    """Threads that present a token, or cookies, again and again, each at one of the paths."""

    def __init__(self, site: Site, token: str = "", *paths: str, cookies: str = "") -> None:
        self._site, self._token, self._cookies = site, token, cookies
        self._stop = threading.Event()
        self.answers: list[Answer] = []
        self.failures: list[str] = []
        paths = paths or ("/who/" if cookies else "/me/",)
        self._threads = [threading.Thread(target=self._present, args=[paths[n % len(paths)]]) for n in range(8)]
        for thread in self._threads:
            thread.start()

    def _present(self, path: str) -> None:
        while not self._stop.is_set():
            try:
                self.answers.append(self._site.get(self._token, path, self._cookies))
            except OSError as error:
                self.failures.append(repr(error))

    def pids(self, status: int, since: float = 0.0, path: str | None = None) -> set[int]:
        answers = [answer for answer in list(self.answers) if path in (None, answer.path) and answer.at >= since]
        return {answer.pid for answer in answers if answer.status == status}

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
