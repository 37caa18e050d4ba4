"""Checks against the in-memory issuer."""

import asyncio
import contextlib
import copy
import gc
import pickle
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import until

import quash_verify
from quash_verify import Denied, Refused, StartFailed, Unavailable, Verifier, WhenStale
from quash_verify.testing import TestIssuer


def test_a_valid_token_is_accepted(quash_issuer: TestIssuer) -> None:
    verifier = quash_issuer.verifier()
    token = quash_issuer.token("dana", role="clerk", groups=["a", "b"], level=3, rate=0.5, on=True, off=None)
    for presented in (token, token.encode()):
        live = verifier.check(presented)
        assert live.user_id == "dana"
        assert live.session == quash_issuer.session(token)
        assert live.claims["role"] == "clerk"
        assert live.claims["groups"] == ["a", "b"]
        assert (live.claims["level"], live.claims["rate"], live.claims["on"]) == (3, 0.5, True)
        assert live.expires_at == live.claims["exp"]
        assert live.says("role", "clerk") and live.says("groups", "b") and live.says("level", 3)
        assert not live.says("role", "boss") and not live.says("missing", None)


def test_claims_are_read_only_and_converted_once(quash_issuer: TestIssuer) -> None:
    live = quash_issuer.verifier().check(quash_issuer.token("dana"))
    assert isinstance(live.claims, Mapping) and live.claims is live.claims
    with pytest.raises(TypeError):
        live.claims["role"] = "boss"  # type: ignore[index]
    assert "dana" not in repr(live)


def test_a_claim_is_compared_only_with_json(quash_issuer: TestIssuer) -> None:
    live = quash_issuer.verifier().check(quash_issuer.token("dana"))
    with pytest.raises(TypeError, match="can't be compared with a object"):
        live.says("role", object())
    nested: Any = []
    for _ in range(40):
        nested = [nested]
    with pytest.raises(ValueError, match="nested"):
        live.says("role", nested)
    with pytest.raises(ValueError):
        live.says("role", float("nan"))


def test_revoked_tokens_are_refused(quash_issuer: TestIssuer) -> None:
    verifier = quash_issuer.verifier()
    first, second = quash_issuer.token("dana"), quash_issuer.token("dana")
    quash_issuer.revoke_session(first)
    with pytest.raises(Refused) as refused:
        verifier.check(first)
    assert (refused.value.code, refused.value.detail) == ("token_not_valid", "Token is blacklisted")
    # The set of a verifier has no causes.
    assert refused.value.reason is None and str(refused.value) == "Token is blacklisted"
    verifier.check(second)
    quash_issuer.revoke_subject("dana")
    with pytest.raises(Refused):
        verifier.check(second)
    verifier.check(quash_issuer.token("dana"))


def test_an_expired_token_is_refused(quash_issuer: TestIssuer) -> None:
    token = quash_issuer.token("dana", lifetime=60)
    quash_issuer.advance(61)
    with pytest.raises(Refused, match="Token is expired"):
        quash_issuer.verifier().check(token)


@pytest.mark.parametrize("token", ["", "a.b.c", "\ud800", b"\xff\xfe", "é", "a" * 100_000, "\0"])
def test_what_is_no_token_is_refused(quash_issuer: TestIssuer, token: str | bytes) -> None:
    with pytest.raises(Refused, match="Token is invalid"):
        quash_issuer.verifier().check(token)


@pytest.mark.parametrize("token", [None, 1, ["a"], bytearray(b"a")])
def test_other_types_are_errors_of_the_program(quash_issuer: TestIssuer, token: Any) -> None:
    with pytest.raises(TypeError, match="a token is str or bytes"):
        quash_issuer.verifier().check(token)


def test_a_stale_verifier_follows_its_policy(quash_issuer: TestIssuer) -> None:
    verifier = quash_issuer.verifier()
    token, ended = quash_issuer.token("dana"), quash_issuer.token("dana")
    quash_issuer.revoke_session(ended)
    verifier.warm()
    quash_issuer.fall_silent()
    assert verifier.state == "stale"
    policies: list[WhenStale] = ["introspect", "deny", ("allow_young", 1.0)]
    for policy in policies:
        with pytest.raises(Unavailable) as unavailable:
            verifier.check(token, when_stale=policy)
        assert (unavailable.value.code, unavailable.value.retry_after) == ("unavailable", 1)
    assert verifier.check(token, when_stale="allow").user_id == "dana"
    assert verifier.check(token, when_stale=("allow_young", 60)).user_id == "dana"
    with pytest.raises(Refused):
        verifier.check(ended, when_stale="allow")
    quash_issuer.speak()
    assert verifier.check(token).user_id == "dana"


@pytest.mark.parametrize(
    ("policy", "error"),
    [("never", ValueError), (("allow_young",), TypeError), (("deny", 1.0), TypeError), (3, TypeError)],
)
def test_an_unknown_policy_is_named(quash_issuer: TestIssuer, policy: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="'introspect', 'deny', 'allow'"):
        quash_issuer.verifier(when_stale=policy)
    with pytest.raises(ValueError, match="allow_young is -1"):
        quash_issuer.verifier(when_stale=("allow_young", -1.0))


def test_acheck_decides_like_check(quash_issuer: TestIssuer) -> None:
    verifier = quash_issuer.verifier()
    token = quash_issuer.token("dana")

    async def main() -> None:
        # The first one starts the follower and waits, the second decides at once.
        assert (await verifier.acheck(token)).user_id == "dana"
        assert (await verifier.acheck(token.encode())).user_id == "dana"
        several = await asyncio.gather(*(verifier.acheck(token) for _ in range(50)))
        assert all(live.user_id == "dana" for live in several)
        quash_issuer.revoke_session(token)
        with pytest.raises(Refused):
            await verifier.acheck(token)

    asyncio.run(main())
    # Another loop has a descriptor of its own.
    with pytest.raises(Refused):
        asyncio.run(verifier.acheck(token))


def test_a_cancelled_wait_leaves_nothing_behind(quash_issuer: TestIssuer) -> None:
    async def main() -> None:
        verifier, token = quash_issuer.verifier(), quash_issuer.token("dana")
        async with verifier.watch(token) as watch:
            waiting = asyncio.ensure_future(watch.ended())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        loop = asyncio.get_running_loop()
        assert not quash_verify._asyncio._bridges[loop]._waiting

    asyncio.run(main())


def test_a_watched_token_ends(quash_issuer: TestIssuer) -> None:
    verifier = quash_issuer.verifier()

    async def main() -> Denied:
        token = quash_issuer.token("dana")
        async with verifier.watch(token) as watch:
            assert watch.live.user_id == "dana"
            ended = asyncio.ensure_future(watch.ended())
            await asyncio.sleep(0.01)
            assert not ended.done()
            quash_issuer.revoke_session(token)
            return await asyncio.wait_for(ended, 5)

    denied = asyncio.run(main())
    assert isinstance(denied, Refused) and denied.detail == "Token is blacklisted"


def test_a_watch_has_a_descriptor(quash_issuer: TestIssuer) -> None:
    import select

    token = quash_issuer.token("dana")
    with quash_issuer.verifier().watch(token) as watch:
        assert select.select([watch], [], [], 0)[0] == []
        quash_issuer.revoke_session(token)
        assert select.select([watch], [], [], 5)[0] == [watch]
    with pytest.raises(RuntimeError, match="use `with`"):
        watch.fileno()
    with pytest.raises(Refused), quash_issuer.verifier().watch(token):
        raise AssertionError("a revoked token isn't watched")


def test_making_a_verifier_starts_nothing(no_follower: None) -> None:
    verifier = Verifier("http://127.0.0.1:9", credential="qv_none")
    assert verifier.state == "idle" and verifier.metrics().instance is None
    assert followers() == 0


# The threads of the followers of earlier tests, whose verifiers a framework's cache keeps alive.
FORMER: set[str] = set()


def followers() -> int:
    """Returns how many followers run that this test has started."""
    return len(threads() - FORMER)


def threads() -> set[str]:
    """Returns the threads of the followers in this process."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            if (task / "comm").read_text() == "quash-verify\n":
                found.add(task.name)
    return found


@pytest.fixture
def no_follower() -> Iterator[None]:
    """Leaves out the followers of earlier tests."""
    gc.collect()
    FORMER.update(threads())
    yield
    FORMER.clear()


def test_the_head_counts_revocations_while_it_can_be_vouched_for(quash_issuer: TestIssuer) -> None:
    verifier = quash_issuer.verifier()
    assert verifier.head() is None
    verifier.warm()
    head = verifier.head()
    assert head is not None and verifier.caught_up(head) and not verifier.caught_up(head + 1, within=0.01)
    quash_issuer.revoke_subject("dana")
    assert verifier.head() == head + 1 and verifier.caught_up(head + 1)
    assert asyncio.run(verifier.acaught_up(head + 1))
    assert not asyncio.run(verifier.acaught_up(head + 2, within=0))
    quash_issuer.fall_silent()
    assert verifier.head() is None
    with pytest.raises(ValueError, match="within is NaN"):
        verifier.caught_up(head, within=float("nan"))


def test_counters_count(quash_issuer: TestIssuer) -> None:
    verifier, token = quash_issuer.verifier(), quash_issuer.token("dana")
    assert verifier.metrics().state == "idle"
    verifier.check(token)
    verifier.check(token)
    with pytest.raises(Refused):
        verifier.check("a.b.c")
    metrics = verifier.metrics()
    assert (metrics.state, metrics.accepted, metrics.refused, metrics.stale) == ("fresh", 2, 1, 0)


def test_a_verifier_cannot_be_pickled(quash_issuer: TestIssuer) -> None:
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="create one in each process"):
            copied(quash_issuer.verifier())


def test_errors_can_be_pickled() -> None:
    for error in (Refused("a", "b", "c"), Unavailable("a", "b", 3), StartFailed("a", "b"), Denied("a", "b")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and vars(again) == vars(error) and str(again) == str(error)


def test_a_closed_verifier_denies(no_follower: None, quash_issuer: TestIssuer) -> None:
    verifier, token = quash_issuer.verifier(), quash_issuer.token("dana")
    verifier.check(token)
    assert followers() == 1
    verifier.close()
    assert followers() == 0
    assert verifier.state == "idle"
    with pytest.raises(Unavailable, match="closed"):
        verifier.check(token)
    with pytest.raises(Unavailable, match="closed"):
        verifier.warm()
    verifier.close()


def test_a_dropped_verifier_ends_its_thread(no_follower: None, quash_issuer: TestIssuer) -> None:
    verifier = quash_issuer.verifier()
    verifier.check(quash_issuer.token("dana"))
    assert followers() == 1
    del verifier
    until(lambda: followers() == 0, "the thread has ended")


def test_many_threads_start_one_follower(no_follower: None, quash_issuer: TestIssuer) -> None:
    verifier, token = quash_issuer.verifier(), quash_issuer.token("dana")
    together, accepted = threading.Barrier(16), []

    def check() -> None:
        together.wait()
        accepted.append(verifier.check(token).user_id)

    workers = [threading.Thread(target=check) for _ in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert accepted == ["dana"] * 16
    assert followers() == 1


def test_a_test_issuer_names_its_errors(quash_issuer: TestIssuer) -> None:
    with pytest.raises(ValueError, match="is no session's id"):
        quash_issuer.revoke_session("x")
    with pytest.raises(ValueError, match="lifetime is -1"):
        quash_issuer.token("dana", lifetime=-1)
    with pytest.raises(TypeError, match="can't be compared|JSON"):
        quash_issuer.token("dana", role=object())
