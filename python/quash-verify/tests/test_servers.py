"""Application servers with four workers, in front of a real issuer: each worker follows by itself, refuses a token as
soon as its session has ended, and exits when it is asked to."""

import http.client
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
from conftest import BINARY, PASSWORD, PATIENCE, SOAK, Server, until

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")

WORKERS = 4
SCRIPTS = Path(sys.executable).parent
GUNICORN = f"{sys.executable} -m gunicorn --workers {WORKERS} --graceful-timeout 3 --bind 127.0.0.1:PORT"
UWSGI = (
    f"{SCRIPTS}/uwsgi --master --die-on-term --need-app --disable-logging --worker-reload-mercy 3 --venv {sys.prefix}"
    f" --processes {WORKERS} --http-socket 127.0.0.1:PORT --module app:wsgi"
)
COMMANDS = {
    "sync": f"{GUNICORN} -k sync app:wsgi",
    "gthread": f"{GUNICORN} -k gthread --threads 4 app:wsgi",
    "gevent": f"{GUNICORN} -k gevent app:wsgi",
    "gunicorn asgi": f"{GUNICORN} -k asgi app:asgi",
    "uwsgi lazy-apps": f"{UWSGI} --lazy-apps",
    "uwsgi lazy-apps threads": f"{UWSGI} --lazy-apps --enable-threads",
    # Here the module is imported before uWSGI forks its workers.
    "uwsgi": UWSGI,
    "uwsgi threads": f"{UWSGI} --enable-threads --threads 2",
    "uvicorn": f"{sys.executable} -m uvicorn --workers {WORKERS} --log-level warning --port PORT app:asgi",
    "granian": f"{SCRIPTS}/granian --workers {WORKERS} --interface asgi --port PORT app:asgi",
    # The application starts the follower at import, in the master that forks the workers.
    "sync preload, warm": f"{GUNICORN} --preload -k sync app:wsgi",
    "gthread preload, warm": f"{GUNICORN} --preload -k gthread --threads 4 app:wsgi",
    "gevent preload, warm": f"{GUNICORN} --preload -k gevent app:wsgi",
    "uwsgi threads, warm": f"{UWSGI} --enable-threads --threads 2",
}


LOG_OUTS = 1_000 if SOAK else 10
# Of one account, fewer may log out in this time.
ACCOUNTS = 8


class Answer(NamedTuple):
    status: int
    pid: int
    body: bytes
    at: float


class Site:
    """An application server."""

    def __init__(self, name: str, quash: Server, workers: int = WORKERS, options: str = "") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = COMMANDS[name].replace("PORT", str(port)).replace(f"--workers {WORKERS} ", f"--workers {workers} ")
        command = command.replace("-k ", f"{options} -k ")
        self.url = f"http://127.0.0.1:{port}"
        here = str(Path(__file__).parent)
        path = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "QUASH_URL": quash.url, "QUASH_CREDENTIAL": quash.credential, "PYTHONPATH": path}
        if name.endswith("warm"):
            environment["WARM"] = "1"
        self.process = subprocess.Popen(
            command.split(),
            cwd=here,
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

    def open(self) -> "Connection":
        return Connection(self.url.removeprefix("http://"))

    def _is_up(self) -> bool:
        assert self.process.poll() is None, self.process.communicate()[0].decode()
        try:
            return self.get("", "/alive").status == 200
        except OSError:
            return False

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


class Connection:
    """A connection that is kept, and so stays with one worker."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=PATIENCE)

    def send(self, token: str) -> None:
        self._connection.request("GET", "/", headers={"Authorization": f"Bearer {token}"})

    def read(self) -> Answer:
        answer = self._connection.getresponse()
        body = answer.read()
        return Answer(answer.status, int(answer.headers["X-Pid"]), body, time.monotonic())

    def close(self) -> None:
        self._connection.close()


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
    words = COMMANDS[request.param].split()
    is_installed = importlib.util.find_spec(words[2]) if words[1] == "-m" else Path(words[0]).exists()
    if not is_installed:
        pytest.skip(f"{words[2] if words[1] == '-m' else words[0]} isn't installed")
    site = Site(request.param, shared_server)
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


@pytest.mark.soak
def test_the_slowest_of_eight_workers_refuses_soon(server: Server) -> None:
    """From the answer of the log-out to the refusal at the slowest worker, as a client of each worker sees it."""
    for number in range(ACCOUNTS):
        server.run("account", "add", f"user-{number}", "--password-stdin", stdin=PASSWORD)
    site = Site("gthread", server, workers=8, options="--keep-alive 60")
    connections: dict[int, Connection] = {}
    spans = []
    try:
        first = server.sign_in()

        def has_one_to_each_worker() -> bool:
            connection = site.open()
            connection.send(first.access)
            pid = connection.read().pid
            if connections.setdefault(pid, connection) is not connection:
                connection.close()
            return len(connections) == 8

        until(has_one_to_each_worker, "each worker has a connection")
        for number in range(LOG_OUTS):
            pair = server.sign_in(f"user-{number % ACCOUNTS}")
            for connection in connections.values():
                connection.send(pair.access)
                assert connection.read().status == 200
            server.log_out(pair)
            ended_at = time.monotonic()
            accepting, refused_at = list(connections.values()), 0.0
            while accepting:
                for connection in accepting:
                    connection.send(pair.access)
                answers = [(connection, connection.read()) for connection in accepting]
                accepting = [connection for connection, answer in answers if answer.status != 401]
                refused_at = max(answer.at for _, answer in answers)
                assert refused_at - ended_at < PATIENCE
            spans.append((refused_at - ended_at) * 1000)
    finally:
        site.kill()
    spans.sort()
    p50, p99 = spans[len(spans) // 2], spans[len(spans) * 99 // 100]
    print(f"{LOG_OUTS} log-outs, slowest of 8 workers: p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {spans[-1]:.1f} ms")


def test_an_unresponsive_issuer_blocks_no_other_request(server: Server) -> None:
    """Under gevent and asyncio, a check that waits for the issuer must not block the worker."""
    for command in ("gevent", "uvicorn"):
        site = Site(command, server, workers=1)
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
