"""Measures quash-verify on this machine: `python tests/figures.py [NAME]`. The module and the server should be optimized.

Each figure is a line `figure NAME VALUE 0`, which `cargo xtask bench` reads.
"""

import asyncio
import http.client
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import Server

from quash_verify import Verifier
from quash_verify.testing import TestIssuer

REQUESTS = 300
STARTS = 20


def least(call: Callable[[], object], seconds: float = 2.0) -> float:
    """Returns the least time of a call, in nanoseconds, over rounds of about 2 ms."""
    count, best, end = 1000, float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter_ns()
        for _ in range(count):
            call()
        took = time.perf_counter_ns() - began
        best = min(best, took / count)
        count = max(1, int(2e6 / (took / count)))
    return best


async def least_await(verifier: Verifier, token: str, seconds: float = 2.0) -> float:
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter_ns()
        for _ in range(1000):
            await verifier.acheck(token)
        best = min(best, (time.perf_counter_ns() - began) / 1000)
    return best


@contextmanager
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as room:
        namespace = ("foreign.shop.namespace=shop", "foreign.shop.max_lifetime=1d")
        server = Server(Path(room), "log.level=error", *namespace)
        try:
            yield server
        finally:
            server.stop()


def check() -> float:
    with server() as quash:
        verifier, token = Verifier(quash.url, credential=quash.credential), quash.sign_in().access
        return least(lambda: verifier.check(token))


def acheck() -> float:
    with server() as quash:
        verifier, token = Verifier(quash.url, credential=quash.credential), quash.sign_in().access
        return asyncio.run(least_await(verifier, token))


def ask() -> float:
    issuer = TestIssuer(namespace="shop")
    verifier, now = issuer.verifier(), issuer.now()
    position, expires_at = verifier.head(), now + 300
    return least(
        lambda: verifier.ask(
            "shop", session="f0c1", subject="17", position=position, issued_at=now, expires_at=expires_at
        )
    )


def cpu_of_a_start(verifier: Verifier, token: str) -> float:
    """Returns the CPU time, in ms, that a child needs for its first check."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        used = resource.getrusage(resource.RUSAGE_SELF)
        before = used.ru_utime + used.ru_stime
        verifier.check(token)
        used = resource.getrusage(resource.RUSAGE_SELF)
        os.write(writer, str((used.ru_utime + used.ru_stime - before) * 1e3).encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    figure = float(os.read(reader, 100))
    os.close(reader)
    return figure


def start() -> float:
    with server() as quash:
        verifier, token = Verifier(quash.url, credential=quash.credential), quash.sign_in().access
        return statistics.median(cpu_of_a_start(verifier, token) for _ in range(STARTS))


def private_kib() -> int:
    with open("/proc/self/smaps_rollup") as smaps:
        return sum(int(line.split()[1]) for line in smaps if line.startswith("Private"))


def memory() -> float:
    """Returns the private memory, in MB, that a process needs in addition to Python's."""
    with server() as quash:
        token = quash.sign_in().access
        verifier, before = Verifier(quash.url, credential=quash.credential), private_kib()
        verifier.check(token)
        return (private_kib() - before) * 1024 / 1e6


def revocations(verifiers: int) -> float:
    """Returns the time of a request that revokes, in ms; with verifiers, until they have confirmed it."""
    with server() as quash:
        credential = quash.run("client", "add", "shop", "--namespace", "shop").strip()
        following = [Verifier(quash.url, credential=quash.credential) for _ in range(verifiers)]
        for verifier in following:
            verifier.warm()
        headers = {"Authorization": f"Bearer {credential}", "Content-Type": "application/json"}
        if verifiers:
            headers["Prefer"] = "wait=effective"
        connection = http.client.HTTPConnection(quash.url.removeprefix("http://"))
        spans = []
        for number in range(REQUESTS):
            body = json.dumps({"namespace": "shop", "revocations": [{"session": f"session-{number}"}]})
            began = time.perf_counter()
            connection.request("POST", "/v1/revocations", body, headers)
            answer = connection.getresponse()
            text = answer.read()
            spans.append((time.perf_counter() - began) * 1e3)
            assert answer.status == 200, text
        return statistics.median(spans)


FIGURES: dict[str, Callable[[], float]] = {
    "check of a known token": check,
    "await acheck": acheck,
    "ask": ask,
    "CPU of a start": start,
    "memory of a follower": memory,
    "POST /v1/revocations": lambda: revocations(0),
    "POST /v1/revocations for 8 verifiers": lambda: revocations(8),
}

if __name__ == "__main__":
    for name in sys.argv[1:] or FIGURES:
        print(f"figure {name} {FIGURES[name]():.2f} 0")
