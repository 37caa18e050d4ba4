"""Fixtures of the tests: a real quash server."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("QUASH_TEST_BINARY", ROOT / "target/debug/quash"))
PASSWORD = "correct horse battery staple"
# Longer than anything here takes on a busy machine.
PATIENCE = 30.0
# Set for the long forms of the tests: `cargo xtask soak python`.
SOAK = bool(os.environ.get("QUASH_SOAK"))


class Pair(NamedTuple):
    access: str
    refresh: str


class Server:
    """A server on a data directory of its own."""

    url: str

    def __init__(self, room: Path, *settings: str) -> None:
        self._data = room / "data"
        self._settings = [word for setting in settings for word in ("--set", setting)]
        self._process: subprocess.Popen[str] | None = None
        self.start("127.0.0.1:0")
        self.run("account", "add", "dana", "--password-stdin", stdin=PASSWORD)
        self.credential = self.run("verifier", "add", "api").strip()

    def start(self, listen: str | None = None) -> None:
        listen = listen or self.url.removeprefix("http://")
        command = [str(BINARY), "serve", "--data-dir", str(self._data), "--listen", listen, *self._settings]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line.startswith("quash is listening on "), line
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
        command = [str(BINARY), *args, "--data-dir", str(self._data)]
        ended = subprocess.run(command, input=stdin, capture_output=True, text=True, env={}, timeout=PATIENCE)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def sign_in(self, name: str = "dana") -> Pair:
        pair = self._post("/api/token/", {"username": name, "password": PASSWORD})
        return Pair(pair["access"], pair["refresh"])

    def log_out(self, pair: Pair) -> None:
        self._post("/api/token/blacklist/", {"refresh": pair.refresh})

    def _post(self, path: str, body: dict[str, str]) -> Any:
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read() or b"{}")


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that no test stops."""
    server = Server(tmp_path_factory.mktemp("quash"))
    yield server
    server.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that the test may stop."""
    server = Server(tmp_path)
    yield server
    server.stop()


def until(is_so: Callable[[], bool], what: str, within: float = PATIENCE) -> float:
    """Waits for a state and returns how many seconds that took."""
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < within, f"in vain for {within} s: {what}"
        time.sleep(0.001)
    return time.monotonic() - began


def python(
    code: str, *args: str, env: dict[str, str], within: float = PATIENCE
) -> "subprocess.CompletedProcess[str]":
    """Runs a program of Python to its end."""
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code, *args],
        capture_output=True,
        text=True,
        timeout=within,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **env},
    )
