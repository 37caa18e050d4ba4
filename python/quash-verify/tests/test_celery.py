"""Celery's prefork pool with four processes, in front of a real issuer: each process follows by itself, refuses a token
as soon as its session has ended, and exits when it is asked to."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BINARY, PATIENCE, Server, until

if importlib.util.find_spec("celery") is None:
    pytest.skip("celery isn't installed", allow_module_level=True)

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")

PROCESSES = 4
WORKER = f"-m celery --app jobs worker --pool prefork --concurrency {PROCESSES} --loglevel warning -O fair"
QUIET = "--without-gossip --without-mingle --without-heartbeat"
# The tasks that wait, so that each process has one.
WAITING = 4 * PROCESSES


class Jobs:
    """A Celery worker, and a client that gives it tasks."""

    def __init__(self, room: Path, quash: Server, environment: dict[str, str]) -> None:
        self._answers, self._queue = room / "answers", room / "queue"
        self._queue.mkdir()
        here = str(Path(__file__).parent)
        self._environment = {
            **os.environ,
            "QUASH_URL": quash.url,
            "QUASH_CREDENTIAL": quash.credential,
            "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])),
            "JOBS_ROOM": str(room),
            **environment,
        }
        self.worker = subprocess.Popen(
            [sys.executable, *WORKER.split(), *QUIET.split()],
            env=self._environment,
            cwd=room,
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._client: subprocess.Popen[bytes] | None = None

    def present(self, token: str) -> None:
        """Presents a token again and again from now on."""
        environment = {**self._environment, "TOKEN": token, "WAITING": str(WAITING)}
        self._client = subprocess.Popen([sys.executable, "-c", CLIENT], env=environment)

    def present_no_more(self) -> None:
        if self._client is not None:
            self._client.kill()
            self._client.wait()

    def answers(self) -> list[Any]:
        assert self.worker.poll() is None, self.worker.communicate()[0].decode()
        text = self._answers.read_text() if self._answers.exists() else ""
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def instances(self, status: int) -> set[tuple[int, str]]:
        return {(answer["pid"], answer["instance"]) for answer in self.answers() if answer["status"] == status}

    def end(self) -> None:
        """Asks the worker to end, as its documentation says: only the master. That takes Celery six seconds."""
        self.present_no_more()
        os.kill(self.worker.pid, signal.SIGTERM)
        output, _ = self.worker.communicate(timeout=PATIENCE)
        assert self.worker.returncode == 0 and b"Traceback" not in output, output.decode()

    def kill(self) -> None:
        self.present_no_more()
        if self.worker.poll() is None:
            os.killpg(self.worker.pid, signal.SIGKILL)
            self.worker.communicate()


# The client keeps some tasks waiting.
CLIENT = """
import os, time
import jobs
while True:
    if len(os.listdir(f"{jobs.ROOM}/queue")) < int(os.environ["WAITING"]):
        jobs.check.delay(os.environ["TOKEN"])
    else:
        time.sleep(0.002)
"""


@pytest.fixture(params=["cold", "warm"])
def jobs(request: pytest.FixtureRequest, shared_server: Server, tmp_path: Path) -> Iterator[Jobs]:
    jobs = Jobs(tmp_path, shared_server, {"WARM": "1"} if request.param == "warm" else {})
    yield jobs
    jobs.kill()


def test_every_process_refuses_at_once_and_exits(
    jobs: Jobs, shared_server: Server, record_property: Callable[[str, object], None]
) -> None:
    pair = shared_server.sign_in()
    jobs.present(pair.access)
    until(lambda: len(jobs.instances(200)) == PROCESSES, "every process accepts the token")
    instances = jobs.instances(200)
    assert len({instance for _, instance in instances}) == PROCESSES
    shared_server.log_out(pair)
    ended_at = time.monotonic()
    until(lambda: jobs.instances(401) == instances, "every process refuses the token")
    answers = jobs.answers()
    assert {answer["status"] for answer in answers} == {200, 401}
    # A task may have been under way when the session ended.
    late = [answer["at"] - ended_at for answer in answers if answer["status"] == 200]
    assert max(late) < 1
    record_property("last acceptance after the log-out, ms", round(max(late) * 1000, 1))
    jobs.end()
