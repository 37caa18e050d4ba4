"""A site that issues its own tokens, in front of a real server: it asks about them, and revokes them by their names."""

import asyncio
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import BINARY, Server, python, until

from quash_verify import Receipt, Refused, Revocation, StartFailed, Unavailable, Verifier
from quash_verify.testing import TestIssuer

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")


class Shop(Server):
    """A server with the namespace "shop", and a credential for it."""

    def __init__(self, room: Path) -> None:
        super().__init__(room, "foreign.site.namespace=shop", "foreign.site.max_lifetime=1d")
        self.verifiers = self.credential
        self.credential = self.run("client", "add", "shop-site", "--namespace", "shop").strip()

    def verifier(self) -> Verifier:
        return Verifier(self.url, credential=self.credential)

    def env(self) -> dict[str, str]:
        return {"QUASH_URL": self.url, "QUASH_CREDENTIAL": self.credential, "SERVER": str(self.pid)}


@pytest.fixture(scope="module")
def shared_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A server that no test stops."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    yield shop
    shop.stop()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A server that the test may stop."""
    shop = Shop(tmp_path)
    yield shop
    shop.stop()


def is_refused(verifier: Verifier, session: str, **names: Any) -> bool:
    now = int(time.time())
    times: dict[str, Any] = {"issued_at": now, "expires_at": now + 300}
    try:
        verifier.ask("shop", session=session, when_stale="allow", **times, **names)
    except Refused:
        return True
    return False


def test_a_site_revokes_its_own_tokens(shared_shop: Shop) -> None:
    worker, other = shared_shop.verifier(), shared_shop.verifier()
    worker.warm()
    other.warm()
    old, now = worker.head(), int(time.time())
    assert not is_refused(worker, "s-1", subject="17", position=old)

    # A change of the password, in the same second as the sign-ins before and after it.
    receipt = worker.revoke("shop", [{"subject": "17", "reason": "password_changed"}], key="row-1")
    assert receipt == Receipt(receipt.seq, 1)
    for process in (worker, other):
        assert process.caught_up(receipt.seq, 2.0)
        assert is_refused(process, "s-1", subject="17", position=old)
        assert not is_refused(process, "s-2", subject="17", position=receipt.seq)
    assert worker.revoke("shop", [{"subject": "17"}], key="row-1") == receipt, "with the same key"

    receipt = other.revoke("shop", [{"session": "s-2", "exp": now + 300, "reason": "log_out"}], wait=True)
    assert receipt.written == 1 and receipt.stale == 0 and receipt.not_bound == 0
    assert receipt.confirmed is not None and receipt.confirmed >= 2 and receipt.ms is not None
    assert is_refused(worker, "s-2", subject="17", position=receipt.seq)
    worker.close()
    other.close()


def test_arevoke_and_aask_use_the_event_loop(shared_shop: Shop) -> None:
    async def main() -> None:
        verifier, now = shared_shop.verifier(), int(time.time())
        names: dict[str, Any] = {"session": "async", "issued_at": now, "expires_at": now + 300}
        await verifier.aask("shop", **names)
        receipt = await verifier.arevoke("shop", [{"session": "async"}], key="async", wait=True)
        assert receipt.confirmed is not None
        # A position that hasn't arrived yet is waited for.
        with pytest.raises(Refused):
            await verifier.aask("shop", position=receipt.seq, **names)
        verifier.close()

    asyncio.run(main())


def test_what_the_server_refuses_is_named(shared_shop: Shop) -> None:
    verifier, now = shared_shop.verifier(), int(time.time())
    with pytest.raises(ValueError, match="(?s)refused the revocations: .*before.*future"):
        verifier.revoke("shop", [{"subject": "17", "before": now + 3600}])
    with pytest.raises(StartFailed, match='may not revoke in the namespace "wiki"') as failed:
        verifier.revoke("wiki", [{"session": "a"}])
    assert "quash client add NAME --namespace wiki" in failed.value.remedy
    with pytest.raises(StartFailed, match='may not revoke in the namespace "wiki"'):
        asyncio.run(verifier.arevoke("wiki", [{"session": "a"}]))
    with pytest.raises(StartFailed, match='no namespace "wiki"') as failed:
        verifier.ask("wiki", session="a", issued_at=now, expires_at=now + 300)
    assert "[foreign.<name>]" in failed.value.remedy
    only_verifies = Verifier(shared_shop.url, credential=shared_shop.verifiers)
    with pytest.raises(StartFailed, match="may not revoke|refused the credential") as failed:
        only_verifies.revoke("shop", [{"session": "a"}])
    assert "quash client add NAME --namespace shop" in failed.value.remedy
    unknown = Verifier(shared_shop.url, credential="qn_unknown")
    with pytest.raises(StartFailed, match="refused the credential") as failed:
        unknown.revoke("shop", [{"session": "a"}])
    assert "qn_unknown" not in str(failed.value), "no error contains the credential"
    elsewhere = Verifier("ftp://id.example.org", credential="qn_unknown")
    with pytest.raises(StartFailed, match="https://host"):
        elsewhere.revoke("shop", [{"session": "a"}])
    with pytest.raises(StartFailed, match="https://host"):
        elsewhere.revoke_later("shop", [{"session": "a"}], "key")
    for each in (verifier, only_verifies, unknown, elsewhere):
        each.close()


def test_sessions_of_quash_end_without_a_namespace(shared_shop: Shop) -> None:
    issuer = TestIssuer()
    verifier, first, second = issuer.verifier(), issuer.token("17"), issuer.token("17")
    verifier.revoke(None, [{"session": issuer.session(first), "reason": "log_out"}])
    with pytest.raises(Refused):
        verifier.check(first)
    assert verifier.check(second).user_id == "17"
    verifier.revoke(None, [{"subject": "17"}])
    with pytest.raises(Refused):
        verifier.check(second)
    wrongs: list[Revocation] = [{"session": "f0c1"}, {"token": "9a7e"}, {"everything": True}]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="a session's `sid` or a subject"):
            verifier.revoke(None, [wrong])
    verifier.close()
    of_shop = shared_shop.verifier()
    with pytest.raises(StartFailed, match="may not revoke quash's own sessions") as failed:
        of_shop.revoke(None, [{"session": "0" * 32}])
    assert "quash client add NAME --right revoke" in failed.value.remedy
    of_shop.close()


def test_a_restarted_server_gets_what_waited(shop: Shop) -> None:
    verifier = shop.verifier()
    verifier.warm()
    shop.stop()
    began = time.monotonic()
    with pytest.raises(Unavailable, match="Send them again with the same key"):
        verifier.revoke("shop", [{"session": "s-1"}], key="row-1")
    verifier.revoke_later("shop", [{"session": "s-1"}], "row-1")
    verifier.revoke_later("shop", [{"session": "s-2"}], "row-2")
    assert time.monotonic() - began < 3
    shop.start()
    other = shop.verifier()
    for of in (verifier, other):
        for session in ("s-1", "s-2"):
            until(lambda: is_refused(of, session), f"{session} is refused")
    assert not is_refused(other, "s-3")
    verifier.close()
    other.close()


class Front(http.server.BaseHTTPRequestHandler):
    """A proxy before the server that answers revocations itself at first, with these statuses."""

    behind: str
    statuses: list[int]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.statuses:
            self._answer(self.statuses.pop(0), b"")
            return
        request = urllib.request.Request(self.behind + self.path, body, dict(self.headers))
        with urllib.request.urlopen(request) as answer:
            self._answer(answer.status, answer.read())

    def do_GET(self) -> None:
        self._answer(502, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def front(shop: Shop, *statuses: int) -> Iterator[Verifier]:
    """Returns a verifier that reaches the shop through a proxy."""
    handler = type("Front", (Front,), {"behind": shop.url, "statuses": list(statuses)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        verifier = Verifier(f"http://127.0.0.1:{proxy.server_port}", credential=shop.credential)
        yield verifier
        verifier.close()
        proxy.shutdown()


def test_revocations_are_sent_again_after_a_status_that_passes(shared_shop: Shop) -> None:
    with front(shared_shop, 429, 502) as verifier:
        verifier.revoke_later("shop", [{"session": "passes-1"}], "passes-1")
        verifier.revoke_later("shop", [{"session": "passes-2"}], "passes-2")
        other = shared_shop.verifier()
        for session in ("passes-1", "passes-2"):
            until(lambda: is_refused(other, session), f"{session} is refused")
        other.close()


def test_a_status_that_stays_drops_revocations_and_names_the_remedy(
    shared_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    with front(shared_shop, 404, 404) as verifier:
        with pytest.raises(StartFailed, match="answered revocations with status 404") as failed:
            verifier.revoke("shop", [{"session": "stays"}])
        assert "POST /v1/revocations must reach quash" in failed.value.remedy
        verifier.revoke_later("shop", [{"session": "stays-1"}, {"session": "stays-2"}], "stays-1")
        verifier.revoke_later("shop", [{"session": "stays-3"}], "stays-3")
        other = shared_shop.verifier()
        until(lambda: is_refused(other, "stays-3"), "the next one is refused")
        assert not is_refused(other, "stays-1")
        verifier.metrics()
        (record,) = [record for record in caplog.records if record.levelname == "ERROR"]
        assert record.getMessage().startswith("dropped revocations that can't be sent")
        for part in ("status 404", "check the address and the proxies", "shop", "revocations=2"):
            assert part in record.getMessage()
        other.close()


def test_an_unresponsive_server_is_given_up_after_two_seconds(shop: Shop) -> None:
    verifier = shop.verifier()
    verifier.warm()
    os.kill(shop.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="no answer in time"):
            verifier.revoke("shop", [{"session": "s-1"}])
        assert 1.5 < time.monotonic() - began < 4

        async def main() -> float:
            slowest = 0.0
            waiting = asyncio.ensure_future(verifier.arevoke("shop", [{"session": "s-1"}]))
            while not waiting.done():
                began = time.monotonic()
                await asyncio.sleep(0.01)
                slowest = max(slowest, time.monotonic() - began)
            with pytest.raises(Unavailable):
                await waiting
            return slowest

        assert asyncio.run(main()) < 1
    finally:
        os.kill(shop.pid, signal.SIGCONT)
    verifier.close()


def test_other_greenlets_run_while_one_revokes(shop: Shop) -> None:
    ended = python(
        """
from gevent import monkey
monkey.patch_all()
import gevent, os, signal, time
from quash_verify import Unavailable, Verifier
verifier = Verifier(os.environ["QUASH_URL"])
now = int(time.time())
names = {"session": "s-1", "issued_at": now, "expires_at": now + 300}
# The first call waits for the start.
verifier.ask("shop", **names)
assert verifier.revoke("shop", [{"session": "s-0"}], wait=True).written == 1
os.kill(int(os.environ["SERVER"]), signal.SIGSTOP)
def revoke(n):
    try: verifier.revoke("shop", [{"session": f"s-{n}"}])
    except Unavailable: return "unavailable"
def ask():
    # A position that never arrives.
    try: verifier.ask("shop", position=verifier.head() + 1, **names)
    except Unavailable: return "unavailable"
waiting = [gevent.spawn(revoke, n) for n in range(4)] + [gevent.spawn(ask)]
slowest = 0
while not all(greenlet.ready() for greenlet in waiting):
    began = time.monotonic()
    gevent.sleep(0.01)
    slowest = max(slowest, time.monotonic() - began)
os.kill(int(os.environ["SERVER"]), signal.SIGCONT)
print({greenlet.value for greenlet in waiting}, slowest < 1)
""",
        env=shop.env(),
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "{'unavailable'} True"), ended.stderr


FORKING = """
import os, sys, time, warnings
warnings.simplefilter("ignore")  # Python 3.12 and later warn of threads at each fork; this test is about that.
from quash_verify import Refused, Unavailable, Verifier
verifier = Verifier(os.environ["QUASH_URL"], start_within=30)
verifier.warm()
print("warm", flush=True)
sys.stdin.readline()  # The server is away.
verifier.revoke_later("shop", [{"session": "parents"}], "parents")
time.sleep(0.2)
pid = os.fork()
if pid:
    # The parent ends without sending anything.
    os._exit(0)
assert verifier.state == "idle"
verifier.revoke_later("shop", [{"session": "childs"}], "childs")
print("forked", flush=True)
sys.stdin.readline()  # The server is back.
verifier.warm()
def is_refused(session):
    now = int(time.time())
    try: verifier.ask("shop", session=session, issued_at=now, expires_at=now + 300)
    except Refused: return True
    return False
began = time.monotonic()
while not is_refused("childs") and time.monotonic() - began < 20: time.sleep(0.01)
time.sleep(2)
print(is_refused("childs"), is_refused("parents"), flush=True)
os._exit(0)
"""


def test_a_child_does_not_send_what_its_parent_queued(shop: Shop) -> None:
    command = [sys.executable, "-X", "faulthandler", "-c", FORKING]
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **shop.env()}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "warm\n"
        shop.stop()
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "forked\n"
        shop.start()
        print(file=process.stdin, flush=True)
        assert process.stdout.readline() == "True False\n"


LEAVING = """
import logging, os, sys, time
from quash_verify import Verifier
logging.basicConfig(level=logging.ERROR, format="%(levelname)s %(message)s", stream=sys.stdout)
verifier = Verifier(os.environ["QUASH_URL"])
verifier.warm()
"""


def test_an_exit_sends_what_was_just_queued(shared_shop: Shop) -> None:
    verifier = shared_shop.verifier()
    for n in range(3):
        code = LEAVING + f'verifier.revoke_later("shop", [{{"session": "exit-{n}"}}], "exit-{n}")'
        ended = python(code, env=shared_shop.env())
        assert (ended.returncode, ended.stderr, ended.stdout) == (0, "", "")
        until(lambda: is_refused(verifier, f"exit-{n}"), "the session is refused")
    verifier.close()


def test_an_exit_reports_what_it_loses(shop: Shop) -> None:
    ended = python(
        LEAVING
        + """
import signal
os.kill(int(os.environ["SERVER"]), signal.SIGKILL)
verifier.revoke_later("shop", [{"session": "s-1"}, {"session": "s-2"}], "key")
time.sleep(0.2)
began = time.monotonic()
verifier.close()
assert time.monotonic() - began < 1
""",
        env=shop.env(),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "ERROR the process ends with revocations that the issuer hasn't confirmed lost=2" in ended.stdout


def test_a_process_exits_while_threads_revoke(shop: Shop) -> None:
    for _ in range(5):
        ended = python(
            """
import logging, os, threading, time
from quash_verify import Unavailable, Verifier
logging.disable()  # Some revocations still wait at the exit.
verifier = Verifier(os.environ["QUASH_URL"])
verifier.warm()
def work(thread):
    n = 0
    while True:
        n += 1
        now = int(time.time())
        try:
            verifier.ask("shop", subject="17", issued_at=now, expires_at=now + 300)
            verifier.revoke_later("shop", [{"session": f"{thread}-{n}"}], f"{thread}-{n}")
            if n % 8 == 0: verifier.revoke("shop", [{"session": f"{thread}"}])
        except Unavailable: pass
for thread in range(4): threading.Thread(target=work, args=(thread,), daemon=True).start()
time.sleep(0.2)
""",
            within=10,
            env=shop.env(),
        )
        assert (ended.returncode, ended.stderr) == (0, "")


def test_threads_queue_and_ask_at_once(shared_shop: Shop) -> None:
    verifier, failures = shared_shop.verifier(), []
    together = threading.Barrier(8)

    def work(thread: int) -> None:
        together.wait()
        try:
            for n in range(20):
                verifier.revoke_later("shop", [{"session": f"t-{thread}-{n}"}], f"t-{thread}-{n}")
                is_refused(verifier, f"t-{thread}-{n}")
            verifier.revoke("shop", [{"session": f"t-{thread}"}])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not failures
    for number in range(8):
        until(lambda: is_refused(verifier, f"t-{number}-19"), "the last is refused")
    verifier.close()
