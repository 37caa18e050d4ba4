"""Safety in processes: forks, exits, signals, logs. Each runs in a process of its own, since a fault is a hang."""

import os
import signal
import time

import pytest
from conftest import BINARY, SOAK, Server, python

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")

FORKS = 10_000 if SOAK else 200
EXITS = 100 if SOAK else 5


def given(server: Server, token: str = "", **more: str) -> dict[str, str]:
    return {"QUASH_URL": server.url, "QUASH_CREDENTIAL": server.credential, "TOKEN": token, **more}


PREPARED = """
import os, sys, threading, time, signal
from quash_verify import Verifier, Refused, Unavailable, StartFailed
TOKEN = os.environ["TOKEN"]
verifier = Verifier(os.environ["QUASH_URL"])
"""

FORKING = (
    PREPARED
    + """
import select, warnings
warnings.simplefilter("ignore")  # Python 3.12 and later warn of threads at each fork; this test is about that.
forks, together = int(sys.argv[1]), 8
stop = False
def check():
    while not stop:
        verifier.check(TOKEN)
threads = [threading.Thread(target=check, daemon=True) for _ in range(3)]
assert verifier.state == "idle"
verifier.warm()
for thread in threads: thread.start()
own, seen = verifier.metrics().instance, set()

def child(pipe):
    try:
        assert verifier.state == "idle", verifier.state
        assert verifier.check(TOKEN).user_id
        assert verifier.state in ("fresh", "behind"), verifier.state
        metrics = verifier.metrics()
        assert metrics.generation == 1, metrics
        os.write(pipe, f"{metrics.instance}\\n".encode())
        os._exit(0)
    except BaseException as error:
        print(repr(error), file=sys.stderr, flush=True)
        os._exit(1)

for begin in range(0, forks, together):
    children = []
    for _ in range(min(together, forks - begin)):
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(writer)
        os.close(writer)
        children.append((pid, reader))
    for pid, reader in children:
        ready, _, _ = select.select([reader], [], [], 30)
        if not ready:
            os.kill(pid, signal.SIGKILL)
            sys.exit(f"a child hangs after {len(seen)} forks")
        seen.add(os.read(reader, 100).decode().strip())
        os.close(reader)
        _, status = os.waitpid(pid, 0)
        assert status == 0, status
stop = True
for thread in threads: thread.join()
assert verifier.check(TOKEN).user_id
print(len(seen), own in seen)
"""
)


@pytest.mark.soak
def test_children_of_a_busy_process_start_by_themselves(shared_server: Server) -> None:
    token = shared_server.sign_in().access
    began = time.monotonic()
    ended = python(FORKING, str(FORKS), within=120 + FORKS / 5, env=given(shared_server, token))
    print(f"{FORKS} forks in {time.monotonic() - began:.0f} s")
    assert (ended.returncode, ended.stderr) == (0, "")
    # Each child has an instance of its own, and none has its parent's.
    assert ended.stdout.split() == [str(FORKS), "False"]


EXITING = {
    "idle": "",
    "following": "verifier.check(TOKEN)",
    "with waiting tasks": """
import asyncio
async def main():
    async with verifier.watch(TOKEN) as watch:
        task = asyncio.ensure_future(watch.ended())
        await asyncio.sleep(0.01)
asyncio.run(main())
watch = verifier.watch(TOKEN).__enter__()
watch.fileno()
""",
    "with busy threads": """
def check():
    while True:
        try: verifier.check(TOKEN)
        except Unavailable: pass
for _ in range(4): threading.Thread(target=check, daemon=True).start()
time.sleep(0.05)
""",
    "while it starts": """
def warm():
    try: verifier.warm()
    except Unavailable: pass
threading.Thread(target=warm, daemon=True).start()
""",
    "by sys.exit in a thread's time": "verifier.warm(); sys.exit(0)",
    "without handlers": "verifier.warm(); sys.stdout.flush(); os._exit(0)",
}


@pytest.mark.soak
@pytest.mark.parametrize("how", EXITING)
def test_a_process_exits(shared_server: Server, how: str) -> None:
    token = shared_server.sign_in().access
    began = time.monotonic()
    for _ in range(EXITS):
        ended = python(PREPARED + EXITING[how], within=10, env=given(shared_server, token))
        assert (ended.returncode, ended.stderr) == (0, "")
    print(f"{EXITS} exits {how} in {time.monotonic() - began:.0f} s")


def test_the_follower_blocks_every_signal(shared_server: Server) -> None:
    ended = python(
        PREPARED
        + """
before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
verifier.warm()
assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before, "the caller's mask is as before"
for task in os.listdir("/proc/self/task"):
    with open(f"/proc/self/task/{task}/comm") as comm, open(f"/proc/self/task/{task}/status") as status:
        if comm.read().strip() == "quash-verify":
            print(*(line.split()[1] for line in status if line.startswith("SigBlk")))
""",
        env=given(shared_server),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    blocked = int(ended.stdout.strip(), 16)
    # KILL and STOP can't be blocked; glibc keeps 32 and 33 for itself.
    wanted = {number for number in range(1, 65)} - {signal.SIGKILL, signal.SIGSTOP, 32, 33}
    assert {number for number in range(1, 65) if blocked >> (number - 1) & 1} >= wanted


def test_signals_reach_a_thread_that_waits() -> None:
    # Nothing listens on the port: the check waits for ten seconds.
    ended = python(
        PREPARED
        + """
class Interrupted(Exception): pass
def interrupt(*_): raise Interrupted
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.2)
began = time.monotonic()
try: verifier.check(TOKEN)
except Interrupted: print(time.monotonic() - began < 2)
""",
        env={"QUASH_URL": "http://127.0.0.1:9", "QUASH_CREDENTIAL": "qv_x", "TOKEN": "a.b.c"},
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "True"), ended.stderr


def test_the_followers_records_reach_logging(server: Server) -> None:
    ended = python(
        PREPARED
        + """
import logging
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s", stream=sys.stdout)
verifier.check(TOKEN)
os.kill(int(os.environ["SERVER"]), signal.SIGKILL)
while verifier.state != "stale": time.sleep(0.05)
time.sleep(0.5)
try: verifier.check(TOKEN, when_stale="deny")
except Unavailable: pass
# A child has none of its parent's records.
import warnings; warnings.simplefilter("ignore")
if os.fork() == 0:
    from quash_verify import _native
    print("child", _native.take_records(), flush=True)
    os._exit(0)
os.wait()
""",
        env=given(server, server.sign_in().access, SERVER=str(server.pid)),
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "WARNING quash_verify the verifier is stale" in ended.stdout
    assert ended.stdout.strip().endswith("child []")


def test_an_absent_issuer_is_unavailable(server: Server) -> None:
    token = server.sign_in().access
    server.stop()
    ended = python(
        PREPARED
        + """
verifier = Verifier(os.environ["QUASH_URL"], start_within=0.5)
def check():
    began = time.monotonic()
    try: return verifier.check(TOKEN).user_id, time.monotonic() - began
    except Unavailable as unavailable: return unavailable.code, time.monotonic() - began
code, took = check()
assert code == "unavailable" and 0.4 < took < 2, (code, took)
code, took = check()
assert code == "unavailable" and took < 0.2, (code, took)
print("unavailable")
""",
        env=given(server, token),
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "unavailable"), ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message", "remedy"),
    [
        ("'ftp://x', credential='qv_x'", "address", "https://host"),
        ("'http://id.example.org', credential='qv_x'", "neither https nor local", "insecure_http=True"),
        ("'http://127.0.0.1:9'", "credential is missing", "quash verifier add NAME"),
        ("os.environ['QUASH_URL'], credential='qv_wrong'", "refused the credential", "quash verifier list"),
    ],
)
def test_a_configuration_that_cannot_work_is_named(
    shared_server: Server, arguments: str, message: str, remedy: str
) -> None:
    ended = python(
        f"""
import os
from quash_verify import Verifier, StartFailed
for call in ("warm", "check"):
    verifier = Verifier({arguments})
    try: verifier.warm() if call == "warm" else verifier.check("a.b.c")
    except StartFailed as failed: print(failed, "|", failed.remedy)
""",
        env={"QUASH_URL": shared_server.url},
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert message in line and remedy in line.partition("|")[2]


def test_the_credentials_file_is_read(shared_server: Server, tmp_path: "os.PathLike[str]") -> None:
    path = os.path.join(tmp_path, "credential")
    code = "import os; from quash_verify import Verifier; v = Verifier(os.environ['QUASH_URL']); v.warm(); print(v.state)"
    ended = python(code, env={"QUASH_URL": shared_server.url, "QUASH_CREDENTIAL_FILE": path})
    assert "StartFailed: the credential's file can't be read" in ended.stderr
    with open(path, "w") as file:
        file.write(shared_server.credential + "\n")
    ended = python(code, env={"QUASH_URL": shared_server.url, "QUASH_CREDENTIAL_FILE": path})
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "fresh", "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(shared_server: Server, method: str, tmp_path: "os.PathLike[str]") -> None:
    path = os.path.join(tmp_path, "many.py")
    with open(path, "w") as file:
        file.write(
            PREPARED
            + """
import multiprocessing, warnings
warnings.simplefilter("ignore")
def work(_):
    assert verifier.check(TOKEN).user_id
    return verifier.metrics().instance
if __name__ == "__main__":
    verifier.warm()
    with multiprocessing.get_context(sys.argv[1]).Pool(4) as pool:
        instances = set(pool.map(work, range(64), chunksize=1))
    assert verifier.metrics().instance not in instances
    assert None not in instances
    print("done")
"""
        )
    ended = python(
        f"import runpy, sys; sys.argv = ['many.py', {method!r}]; runpy.run_path({path!r}, run_name='__main__')"
        if method == "fork"
        else f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, {path!r}, {method!r}]))",
        env=given(shared_server, shared_server.sign_in().access),
    )
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "done", "")
