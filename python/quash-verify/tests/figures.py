"""Measures quash-verify on this machine: `python tests/figures.py`. The module should be optimized."""

import asyncio
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from conftest import Server

from quash_verify import Refused, Verifier
from quash_verify.testing import TestIssuer


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


def private_kib() -> int:
    with open("/proc/self/smaps_rollup") as smaps:
        return sum(int(line.split()[1]) for line in smaps if line.startswith("Private"))


def start_in_child(verifier: Verifier, token: str) -> tuple[float, float]:
    """Returns the CPU time and the time, in ms, that a child needs for its first check."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        used = resource.getrusage(resource.RUSAGE_SELF)
        before, began = used.ru_utime + used.ru_stime, time.perf_counter()
        verifier.check(token)
        took = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_SELF)
        os.write(writer, f"{(used.ru_utime + used.ru_stime - before) * 1e3} {took * 1e3}".encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    figures = [float(figure) for figure in os.read(reader, 100).split()]
    os.close(reader)
    return figures[0], figures[1]


def refusal_after_log_out(server: Server, verifier: Verifier) -> float:
    """Returns the time, in ms, from the log-out's answer until this process refuses the token."""
    pair = server.sign_in()
    verifier.check(pair.access)
    server.log_out(pair)
    began = time.perf_counter()
    try:
        while True:
            verifier.check(pair.access)
    except Refused:
        return (time.perf_counter() - began) * 1e3


def main() -> None:
    with tempfile.TemporaryDirectory() as room:
        server = Server(Path(room), "log.level=error")
        try:
            token = server.sign_in().access
            verifier = Verifier(server.url, credential=server.credential)
            starts = sorted(start_in_child(verifier, token) for _ in range(20))
            print(f"start in a child: CPU p50 {starts[10][0]:.1f} ms; " f"time {sorted(t for _, t in starts)[10]:.1f} ms")
            before = private_kib()
            verifier.check(token)
            print(f"private memory of the follower: {(private_kib() - before) / 1024:.1f} MiB")
            print(f"check of a known token: {least(lambda: verifier.check(token)):.0f} ns")
            print(f"await acheck: {asyncio.run(least_await(verifier, token)):.0f} ns")
            spans = sorted(refusal_after_log_out(server, verifier) for _ in range(int(sys.argv[1]) if sys.argv[1:] else 100))
            print(f"log-out to refusal: p50 {spans[len(spans) // 2]:.2f} ms, max {spans[-1]:.2f} ms")
            began = time.perf_counter()
            verifier.close()
            print(f"close: {(time.perf_counter() - began) * 1e3:.1f} ms, {threading.active_count()} thread of Python")
        finally:
            server.stop()
    issuer = TestIssuer(namespace="shop")
    verifier, token = issuer.verifier(), issuer.token("dana")
    verifier.check(token)
    empty = least(lambda: None)
    print(f"with the test issuer: {least(lambda: verifier.check(token)):.0f} ns, of which the loop takes {empty:.0f}")
    position, now = verifier.head(), issuer.now()
    asked = least(
        lambda: verifier.ask(
            "shop", session="f0c1", subject="17", position=position, issued_at=now, expires_at=now + 300
        )
    )
    print(f"ask: {asked:.0f} ns")


if __name__ == "__main__":
    main()
