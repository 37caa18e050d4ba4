"""Verifiers while their issuer is away: a real server that is killed, and that returns."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import BINARY, PATIENCE, Server, until

from quash_verify import Denied, Refused, Unavailable, Verifier, WhenStale

pytestmark = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")

TERM = 8.0
"""The length of a lease, in seconds."""

# Whether a stale verifier accepts a token that is older than a lease and younger than an hour.
CHOICES: dict[WhenStale, bool] = {
    "introspect": False,
    "deny": False,
    ("allow_young", 1.0): False,
    ("allow_young", 3600.0): True,
    "allow": True,
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, f"feed.term={TERM:.0f}s")
    yield server
    server.stop()


def verifier(server: Server, when_stale: WhenStale) -> Verifier:
    return Verifier(server.url, credential=server.credential, when_stale=when_stale, start_within=PATIENCE)


def denied(verifier: Verifier, token: str) -> type[Denied] | None:
    try:
        verifier.check(token)
    except Denied as error:
        return type(error)
    return None


def test_each_choice_while_the_issuer_is_away(server: Server, record_property: Callable[[str, object], None]) -> None:
    verifiers = {choice: verifier(server, choice) for choice in CHOICES}
    live, ended = server.sign_in().access, server.sign_in()
    for each in verifiers.values():
        assert denied(each, live) is denied(each, ended.access) is None
    server.log_out(ended)
    for each in verifiers.values():
        until(lambda: denied(each, ended.access) is Refused, "the ended token is refused")
    server.stop()
    killed_at, accepted_at = time.monotonic(), dict.fromkeys(CHOICES, 0.0)
    fresh = set(CHOICES)
    while fresh:
        for choice, each in verifiers.items():
            began = time.monotonic()
            answer = denied(each, live)
            assert denied(each, ended.access) is Refused
            if each.state == "fresh":
                assert answer is None, "a valid token is accepted as long as the lease lasts"
            if answer is None:
                accepted_at[choice] = began - killed_at
            else:
                assert answer is Unavailable, "the token may be valid"
            if each.state == "stale":
                fresh.discard(choice)
    assert min(accepted_at.values()) > 0, "it was accepted after the kill"
    # However long it stays away.
    until(lambda: time.monotonic() - killed_at > TERM + 2, "some time")
    for choice, each in verifiers.items():
        assert denied(each, live) is (None if CHOICES[choice] else Unavailable), choice
        assert denied(each, ended.access) is Refused, choice
        if not CHOICES[choice]:
            assert accepted_at[choice] < TERM, f"{choice}: the lease had expired"

    server.start()
    began = time.monotonic()
    for choice, each in verifiers.items():
        until(lambda: each.state == "fresh", f"{choice}: the verifier is fresh")
    record_property("all fresh after, ms", round((time.monotonic() - began) * 1000))
    for each in verifiers.values():
        assert denied(each, live) is None and denied(each, ended.access) is Refused
        each.close()


def test_what_ended_before_a_verifier_returns_is_known_to_it(server: Server) -> None:
    """A verifier that accepts meanwhile learns at once what it has missed."""
    follower = verifier(server, "allow")
    pair, other = server.sign_in(), server.sign_in()
    assert denied(follower, pair.access) is denied(follower, other.access) is None
    address = server.url
    server.stop()
    until(lambda: follower.state == "stale", "the verifier is stale")
    # It returns at an address that the verifier doesn't know, as behind a broken network.
    server.start("127.0.0.1:0")
    server.log_out(pair)
    assert denied(follower, pair.access) is None
    server.stop()
    server.url = address
    server.start()
    until(lambda: follower.state == "fresh", "the verifier is fresh")
    assert denied(follower, pair.access) is Refused and denied(follower, other.access) is None
    follower.close()
