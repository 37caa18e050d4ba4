"""Application servers with four workers, in front of a real issuer: each worker follows by itself, refuses a token as
soon as its session has ended, and exits when it is asked to."""

import importlib.util
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import BINARY, PATIENCE, Server, until

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")

WORKERS = 4
GUNICORN = [sys.executable, "-m", "gunicorn", "--workers", str(WORKERS), "--graceful-timeout", "3"]
COMMANDS = {
    "sync": [*GUNICORN, "--worker-class", "sync", "app:wsgi"],
    "gthread": [*GUNICORN, "--worker-class", "gthread", "--threads", "4", "app:wsgi"],
    "gevent": [*GUNICORN, "--worker-class", "gevent", "app:wsgi"],
    "sync preload": [*GUNICORN, "--preload", "--worker-class", "sync", "app:wsgi"],
    "gthread preload": [*GUNICORN, "--preload", "--worker-class", "gthread", "--threads", "4", "app:wsgi"],
    "gevent preload": [*GUNICORN, "--preload", "--worker-class", "gevent", "app:wsgi"],
    "uvicorn": [sys.executable, "-m", "uvicorn", "--workers", str(WORKERS), "--log-level", "warning", "app:asgi"],
}


class Answer(NamedTuple):
    status: int
    pid: int
    body: bytes
    at: float


class Site:
    """An application server."""

    def __init__(self, command: list[str], quash: Server) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        place = ["--bind", f"127.0.0.1:{port}"] if "gunicorn" in command else ["--port", str(port)]
        self.url = f"http://127.0.0.1:{port}"
        environment = {**os.environ, "QUASH_URL": quash.url, "QUASH_CREDENTIAL": quash.credential}
        if "--preload" in command:
            environment["WARM"] = "1"
        self.process = subprocess.Popen(
            [*command[:-1], *place, command[-1]],
            cwd=Path(__file__).parent,
            env=environment,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        until(self._is_up, "the server answers")

    def get(self, token: str, path: str = "/") -> Answer:
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {token}"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                body = answer.read()
                return Answer(answer.status, int(answer.headers["X-Pid"]), body, time.monotonic())
        except urllib.error.HTTPError as error:
            return Answer(error.code, int(error.headers["X-Pid"]), error.read(), time.monotonic())

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[0].decode()
        try:
            return self.get("", "/alive").status == 200
        except OSError:
            return False

    def workers(self) -> set[int]:
        """Returns the processes below the server's, which may have helpers."""
        listed = subprocess.run(
            ["ps", "--ppid", str(self.process.pid), "-o", "pid="], capture_output=True, text=True
        )
        return {int(pid) for pid in listed.stdout.split()}

    def end(self, group: bool) -> float:
        """Asks it to end, and returns how long that took."""
        began = time.monotonic()
        (os.killpg if group else os.kill)(self.process.pid, signal.SIGTERM)
        output, _ = self.process.communicate(timeout=20)
        assert b"FATAL" not in output and b"Traceback" not in output, output.decode()
        return time.monotonic() - began

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()


class Presenting:
    """Threads that present a token again and again."""

    def __init__(self, site: Site, token: str) -> None:
        self._site, self._token = site, token
        self._stop = threading.Event()
        self.answers: list[Answer] = []
        self.failures: list[str] = []
        self._threads = [threading.Thread(target=self._present) for _ in range(8)]
        for thread in self._threads:
            thread.start()

    def _present(self) -> None:
        while not self._stop.is_set():
            try:
                self.answers.append(self._site.get(self._token))
            except OSError as error:
                self.failures.append(repr(error))

    def pids(self, status: int) -> set[int]:
        return {answer.pid for answer in list(self.answers) if answer.status == status}

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)


@pytest.fixture(params=COMMANDS)
def site(request: pytest.FixtureRequest, shared_server: Server) -> Iterator[Site]:
    command = COMMANDS[request.param]
    if importlib.util.find_spec(command[2]) is None:
        pytest.skip(f"{command[2]} isn't installed")
    site = Site(command, shared_server)
    yield site
    site.kill()


@pytest.mark.parametrize("group", [False, True], ids=["master", "group"])
def test_every_worker_refuses_at_once_and_exits(
    site: Site, shared_server: Server, group: bool, record_property: Callable[[str, object], None]
) -> None:
    pair = shared_server.sign_in()
    presenting = Presenting(site, pair.access)
    try:
        until(lambda: len(presenting.pids(200)) == WORKERS, "every worker accepts the token")
        instances = {
            json.loads(answer.body)["instance"]: answer.pid for answer in list(presenting.answers) if answer.status == 200
        }
        assert len(instances) == WORKERS and None not in instances
        shared_server.log_out(pair)
        ended_at = time.monotonic()
        until(lambda: len(presenting.pids(401)) == WORKERS, "every worker refuses the token")
    finally:
        presenting.stop()
    late = [answer.at - ended_at for answer in presenting.answers if answer.status == 200 and answer.at > ended_at]
    # An answer may have been under way when the session ended.
    assert max(late, default=0) < 1
    assert {answer.status for answer in presenting.answers} == {200, 401} and not presenting.failures
    record_property("last acceptance after the log-out, ms", round(max(late, default=0) * 1000, 1))
    assert site.end(group) < 5


def test_an_unresponsive_issuer_blocks_no_other_request(server: Server) -> None:
    """Under gevent and asyncio, a check that waits for the issuer must not block the worker."""
    for command in ("gevent", "uvicorn"):
        one = [word.replace(str(WORKERS), "1") if word == str(WORKERS) else word for word in COMMANDS[command]]
        site = Site(one, server)
        token = server.sign_in().access
        try:
            assert site.get(token).status == 200
            os.kill(server.pid, signal.SIGSTOP)
            # After the lease's term the verifier asks the issuer, which doesn't answer, about each token.
            until(lambda: site.get(token).status == 503, "the verifier is stale")
            waiting = [threading.Thread(target=site.get, args=(token,)) for _ in range(4)]
            for thread in waiting:
                thread.start()
            slowest = 0.0
            while any(thread.is_alive() for thread in waiting):
                began = time.monotonic()
                assert site.get(token, "/alive").status == 200
                slowest = max(slowest, time.monotonic() - began)
            assert slowest < 0.5, command
        finally:
            os.kill(server.pid, signal.SIGCONT)
            site.kill()
