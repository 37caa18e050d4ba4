"""Sessions and tokens that another system has issued, by their names, against the in-memory issuer."""

import asyncio
import logging
import time
from typing import Any

import pytest
from conftest import until

from quash_verify import Receipt, Refused, Revocation, StartFailed, Unavailable, Verifier, WhenStale
from quash_verify.testing import TestIssuer


@pytest.fixture
def issuer() -> TestIssuer:
    return TestIssuer(namespace="shop")


def ask(issuer: TestIssuer, verifier: Verifier, **names: Any) -> None:
    """Asks about a token of the shop that is issued now, unless the names say otherwise."""
    now = issuer.now()
    verifier.ask("shop", **{"issued_at": now, "expires_at": now + 300, **names})


def test_names_that_are_not_revoked_are_accepted(issuer: TestIssuer) -> None:
    verifier = issuer.verifier()
    # The first call starts the follower and waits, the second decides at once.
    for _ in range(2):
        ask(issuer, verifier, session="f0c1", token="9a7e", subject="17", position=verifier.head())
    assert verifier.metrics().accepted == 2


@pytest.mark.parametrize(
    "revocation",
    [
        {"session": "f0c1", "reason": "log_out"},
        {"token": "9a7e", "exp": 1_900_000_000},
        {"subject": "17", "reason": "password_changed"},
        {"everything": True},
    ],
)
def test_revoked_names_are_refused(issuer: TestIssuer, revocation: Revocation) -> None:
    verifier = issuer.verifier()
    issuer.revoke_named("shop", revocation)
    for _ in range(2):
        with pytest.raises(Refused, match="Token is blacklisted"):
            ask(issuer, verifier, session="f0c1", token="9a7e", subject="17")
    if "everything" not in revocation:
        ask(issuer, verifier, session="other", token="other", subject="other")


def test_tokens_issued_after_a_revocation_are_accepted(issuer: TestIssuer) -> None:
    verifier = issuer.verifier()
    verifier.warm()
    before = verifier.head()
    seq = issuer.revoke_named("shop", {"subject": "17"})
    assert verifier.head() == seq
    # In the same second.
    ask(issuer, verifier, subject="17", position=seq)
    with pytest.raises(Refused):
        ask(issuer, verifier, subject="17", position=before)


def test_a_position_that_is_unknown_here_is_waited_for(issuer: TestIssuer) -> None:
    verifier = issuer.verifier()
    verifier.warm()
    head = verifier.head()
    assert head is not None
    with pytest.raises(Unavailable):
        ask(issuer, verifier, session="f0c1", position=head + 1)


def test_aask_decides_like_ask(issuer: TestIssuer) -> None:
    verifier = issuer.verifier()
    now = issuer.now()

    async def main() -> None:
        for _ in range(2):
            await verifier.aask("shop", session="f0c1", issued_at=now, expires_at=now + 300)
        issuer.revoke_named("shop", {"session": "f0c1"})
        for of in (verifier, issuer.verifier()):
            with pytest.raises(Refused):
                await of.aask("shop", session="f0c1", issued_at=now, expires_at=now + 300)

    asyncio.run(main())


def test_a_session_of_quash_itself_has_no_namespace(issuer: TestIssuer) -> None:
    verifier, token = issuer.verifier(), issuer.token("dana")
    session, now = issuer.session(token), issuer.now()
    verifier.ask(None, session=session, issued_at=now, expires_at=now + 300)
    issuer.revoke_session(session)
    with pytest.raises(Refused):
        verifier.ask(None, session=session, issued_at=now, expires_at=now + 300)
    with pytest.raises(Refused, match="Token is invalid"):
        verifier.ask(None, session="no id", issued_at=now, expires_at=now + 300)


def test_a_stale_verifier_follows_its_policy_for_names(issuer: TestIssuer) -> None:
    verifier = issuer.verifier()
    issuer.revoke_named("shop", {"session": "ended"})
    verifier.warm()
    issuer.fall_silent()
    policies: list[WhenStale] = ["introspect", "deny", ("allow_young", 0)]
    for policy in policies:
        with pytest.raises(Unavailable) as unavailable:
            ask(issuer, verifier, session="f0c1", when_stale=policy)
        assert (unavailable.value.code, unavailable.value.retry_after) == ("unavailable", 1)
    ask(issuer, verifier, session="f0c1", when_stale="allow")
    ask(issuer, verifier, session="f0c1", when_stale=("allow_young", 60))
    with pytest.raises(Refused):
        ask(issuer, verifier, session="ended", when_stale="allow")


def test_an_unknown_namespace_is_named_with_a_remedy(issuer: TestIssuer) -> None:
    verifier, now = issuer.verifier(), issuer.now()
    for _ in range(2):
        with pytest.raises(StartFailed, match='no namespace "shpo"') as failed:
            verifier.ask("shpo", session="f0c1", issued_at=now, expires_at=now + 300)
        assert "[foreign.<name>]" in failed.value.remedy


@pytest.mark.parametrize(
    "names",
    [
        {"session": ""},
        {"session": "a" * 256},
        {"session": "\ud800"},
        {"token": "é" * 128},
        {"subject": ""},
        {"position": -1},
        {"position": 1 << 64},
        {"issued_at": 1 << 70},
        {"expires_at": 1 << 70},
        # A day is the longest that a token of this namespace may live.
        {"expires_at": 1_800_000_000 + 86_401},
        {"issued_at": 1_800_000_000 + 301},
    ],
)
def test_names_that_no_token_can_have_are_refused(issuer: TestIssuer, names: dict[str, Any]) -> None:
    verifier = issuer.verifier()
    for _ in range(2):
        with pytest.raises(Refused):
            ask(issuer, verifier, **{"session": "f0c1", **names})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"session": 17}, "session is str or None, not int"),
        ({"token": b"a"}, "token is str or None, not bytes"),
        ({"position": "1"}, "position is int, not str"),
        ({"position": None, "subject": 1}, "subject is str or None, not int"),
        ({"issued_at": 1.5}, "issued_at is int, not float"),
        ({"expires_at": None}, "expires_at is int, not NoneType"),
    ],
)
def test_other_types_of_names_are_errors_of_the_program(
    issuer: TestIssuer, names: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        ask(issuer, issuer.verifier(), **names)


def test_a_test_issuers_verifier_revokes_there(issuer: TestIssuer) -> None:
    verifier, other = issuer.verifier(), issuer.verifier()
    revocations: list[Revocation] = [{"session": "a"}, {"subject": "17", "before": issuer.now() - 10.5}]
    receipt = verifier.revoke("shop", tuple(revocations), key="row-1")
    assert receipt == Receipt(receipt.seq, 2, None, None, None, None)
    assert other.caught_up(receipt.seq)
    for of in (verifier, other):
        with pytest.raises(Refused):
            ask(issuer, of, session="a")
    ask(issuer, verifier, subject="17")
    receipt = asyncio.run(verifier.arevoke("shop", [{"session": "b"}], wait=True))
    assert (receipt.written, receipt.confirmed, receipt.stale) == (1, 1, 0)
    with pytest.raises(Refused):
        ask(issuer, verifier, session="b")


def test_a_silent_test_issuer_accepts_no_revocations(issuer: TestIssuer) -> None:
    verifier = issuer.verifier()
    verifier.warm()
    issuer.fall_silent()
    with pytest.raises(Unavailable, match="didn't confirm the revocations") as unavailable:
        verifier.revoke("shop", [{"session": "a"}])
    assert unavailable.value.retry_after == 1
    with pytest.raises(Unavailable):
        asyncio.run(verifier.arevoke("shop", [{"session": "a"}]))
    issuer.speak()
    assert verifier.revoke("shop", [{"session": "a"}]).written == 1


def test_another_namespace_needs_another_credential(issuer: TestIssuer, quash_issuer: TestIssuer) -> None:
    for of in (issuer, quash_issuer):
        with pytest.raises(StartFailed, match='may not revoke in the namespace "wiki"') as failed:
            of.verifier().revoke("wiki", [{"session": "a"}])
        assert "quash client add NAME --namespace wiki" in failed.value.remedy
        with pytest.raises(ValueError, match="TestIssuer.namespace=.wiki"):
            of.revoke_named("wiki", {"session": "a"})


MISTAKES: list[tuple[Any, type[Exception], str]] = [
    ([], ValueError, "1 to 1000 revocations in a call, not 0"),
    ([{"session": "a"}] * 1001, ValueError, "not 1001"),
    ({"session": "a"}, TypeError, "must be a list of dicts"),
    ("session", TypeError, "must be a list of dicts"),
    (None, TypeError, "not iterable"),
    (["session"], TypeError, r"revocations\[0\] must be a dict, not str"),
    ([{"session": "a"}, {}], ValueError, r"revocations\[1\] must have exactly one of .*, not 0 of them"),
    ([{"session": "a", "token": "b"}], ValueError, "not 2 of them"),
    ([{"sesion": "a"}], ValueError, 'another member, "sesion": use session'),
    ([{1: "a"}], ValueError, "another member, int: use"),
    ([{"session": 17}], TypeError, r'revocations\[0\]\["session"\] must be a str, not int'),
    ([{"session": ""}], ValueError, "1 to 255 bytes"),
    ([{"token": "é" * 128}], ValueError, "1 to 255 bytes"),
    ([{"subject": "\ud800"}], ValueError, "1 to 255 bytes in UTF-8"),
    ([{"everything": False}], ValueError, r'\["everything"\] must be True'),
    ([{"session": "a", "before": "now"}], TypeError, "must be a float, not str"),
    ([{"session": "a", "before": float("nan")}], ValueError, "a time in seconds since 1970"),
    ([{"session": "a", "before": 1e15}], ValueError, "a time in seconds since 1970"),
    ([{"session": "a", "exp": 1.5}], TypeError, "must be an int, not float"),
    ([{"session": "a", "exp": True}], TypeError, "must be an int, not bool"),
    ([{"session": "a", "exp": -1}], ValueError, "a time in seconds since 1970"),
    ([{"session": "a", "reason": "boredom"}], ValueError, "such as log_out or password_changed"),
]


@pytest.mark.parametrize(("revocations", "error", "message"), MISTAKES)
def test_mistakes_in_revocations_are_named(
    issuer: TestIssuer, revocations: Any, error: type[Exception], message: str
) -> None:
    verifier = issuer.verifier()
    with pytest.raises(error, match=message):
        verifier.revoke("shop", revocations)
    with pytest.raises(error, match=message):
        verifier.revoke_later("shop", revocations, "key")
    with pytest.raises(error, match=message):
        asyncio.run(verifier.arevoke("shop", revocations))
    assert verifier.state == "idle"


@pytest.mark.parametrize("key", ["", "a" * 256, "a\nb", "é"])
def test_keys_that_no_header_can_have_are_named(issuer: TestIssuer, key: str) -> None:
    with pytest.raises(ValueError, match="key must have 1 to 255 printable ASCII characters"):
        issuer.verifier().revoke("shop", [{"session": "a"}], key=key)
    with pytest.raises(ValueError, match="namespace is empty"):
        issuer.verifier().revoke("", [{"session": "a"}])


def is_refused(issuer: TestIssuer, verifier: Verifier, **names: Any) -> bool:
    try:
        ask(issuer, verifier, **{"when_stale": "allow", **names})
    except Refused:
        return True
    return False


def test_revocations_wait_until_the_issuer_answers(issuer: TestIssuer, caplog: pytest.LogCaptureFixture) -> None:
    verifier = issuer.verifier()
    verifier.warm()
    issuer.fall_silent()
    began = time.monotonic()
    verifier.revoke_later("shop", [{"session": "a"}, {"session": "b"}], "row-1")
    verifier.revoke_later("shop", [{"session": "c"}], "row-2")
    assert time.monotonic() - began < 0.5
    time.sleep(0.2)
    with caplog.at_level(logging.WARNING):
        assert not any(is_refused(issuer, verifier, session=name) for name in "abc")
    assert "the issuer hasn't confirmed revocations; trying again" in caplog.text
    issuer.speak()
    for name in "abc":
        until(lambda: is_refused(issuer, verifier, session=name), f"{name} is refused")


def test_revocations_that_wait_spare_later_sign_ins(issuer: TestIssuer) -> None:
    verifier = issuer.verifier()
    verifier.warm()
    issuer.fall_silent()
    old = issuer.now()
    verifier.revoke_later("shop", [{"subject": "17"}], "row-1")
    issuer.advance(20)
    new = issuer.now()
    issuer.speak()
    until(lambda: is_refused(issuer, verifier, subject="17", issued_at=old), "the older one is refused")
    assert new > old and not is_refused(issuer, verifier, subject="17", issued_at=new)


def test_refused_revocations_are_logged_and_hold_up_no_others(
    issuer: TestIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    verifier = issuer.verifier()
    verifier.revoke_later("wiki", [{"session": "a"}], "row-1")
    verifier.revoke_later("shop", [{"session": "a"}], "row-2")
    with caplog.at_level(logging.ERROR):
        until(lambda: is_refused(issuer, verifier, session="a"), "the second is sent")
        # Records reach Python with the next call.
        assert is_refused(issuer, verifier, session="a")
    assert "dropped revocations that can't be sent" in caplog.text
    assert "quash client add NAME --namespace wiki" in caplog.text


def test_ten_thousand_revocations_can_wait(issuer: TestIssuer) -> None:
    verifier = issuer.verifier()
    verifier.warm()
    issuer.fall_silent()
    for batch in range(10):
        verifier.revoke_later("shop", [{"session": f"{batch}-{n}"} for n in range(1000)], f"batch-{batch}")
    with pytest.raises(Unavailable, match="No more than 10000 revocations"):
        verifier.revoke_later("shop", [{"session": "one more"}], "one more")
    issuer.speak()
    until(lambda: is_refused(issuer, verifier, session="9-999"), "the last is sent")
    verifier.revoke_later("shop", [{"session": "one more"}], "one more")
    until(lambda: is_refused(issuer, verifier, session="one more"), "there is room again")


def test_a_closed_verifier_neither_asks_nor_revokes(issuer: TestIssuer) -> None:
    verifier = issuer.verifier()
    verifier.warm()
    verifier.close()
    with pytest.raises(Unavailable, match="closed"):
        ask(issuer, verifier, session="a")
    with pytest.raises(Unavailable, match="closed"):
        verifier.revoke("shop", [{"session": "a"}])
    with pytest.raises(Unavailable, match="closed"):
        verifier.revoke_later("shop", [{"session": "a"}], "key")
