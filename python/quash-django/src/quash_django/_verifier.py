"""The calls to the native verifier. Every other module of the package makes them through this one.

A process has one verifier. Creating it starts nothing; the first check in a process does. So nothing here may
run when Django starts, which happens in the master of gunicorn and uWSGI: only requests and commands may call it.
"""

import logging
from collections.abc import Sequence

import quash_verify
from django.core.signals import setting_changed
from quash_verify import Live, QuashError, Receipt, Revocation, Verifier, WhenStale

from .conf import credential, quash_settings

logger = logging.getLogger("quash_django")

_made: dict[str, Verifier] = {}


def verifier() -> Verifier:
    """Returns this process's verifier."""
    found = _made.get("verifier")
    if found is None:
        # No lock: a fork could leave it locked. Of two that threads create at once, one is never used.
        found = _made.setdefault("verifier", _make())
    return found


def install(replacement: Verifier | None) -> Verifier | None:
    """Replaces this process's verifier, for tests, and returns the former one."""
    former = _made.pop("verifier", None)
    if replacement is not None:
        _made["verifier"] = replacement
    return former


def check(token: str | bytes, *, when_stale: WhenStale | None = None) -> Live:
    """Checks one of quash's tokens."""
    return verifier().check(token, when_stale=when_stale)


def ask(
    namespace: str | None,
    *,
    session: str | None = None,
    token: str | None = None,
    subject: str | None = None,
    position: int | None = None,
    issued_at: int,
    expires_at: int,
    when_stale: WhenStale | None = None,
) -> None:
    """Asks about a token of the site, by its names. Raises ``Refused`` or ``Unavailable``."""
    verifier().ask(
        namespace,
        session=session,
        token=token,
        subject=subject,
        position=position,
        issued_at=issued_at,
        expires_at=expires_at,
        when_stale=when_stale,
    )


def revoke(namespace: str, revocations: Sequence[Revocation], *, key: str, wait: bool = False) -> Receipt:
    """Revokes, and returns the receipt."""
    return verifier().revoke(namespace, revocations, key=key, wait=wait)


def revoke_later(namespace: str, revocations: Sequence[Revocation], key: str) -> None:
    """Leaves revocations to the follower's thread, which tries until quash accepts them."""
    verifier().revoke_later(namespace, revocations, key)


def head() -> int | None:
    """Returns the number of the newest entry, the position of new tokens; None while it isn't known for sure."""
    own = verifier()
    if own.state == "idle":
        # A worker whose first request is a log-in must not issue a token without its position.
        try:
            own.warm()
        except QuashError as error:
            logger.error("new tokens have no position, because the verifier can't start: %s", error)
            return None
    return own.head()


def caught_up(seq: int) -> bool:
    """Waits up to 50 ms until this process knows an entry, and returns whether it does."""
    return verifier().caught_up(seq)


def _make() -> Verifier:
    found = quash_settings()
    return quash_verify.Verifier(
        found.issuer,
        credential=credential(found),
        also_at=found.also_at,
        audience=found.audience,
        secrets=found.secrets,
        when_stale=found.when_stale,
        start_within=found.start_within,
        insecure_http=found.insecure_http,
    )


def _forget(*, setting: str, **_: object) -> None:
    if setting == "QUASH":
        _made.clear()


setting_changed.connect(_forget, dispatch_uid="quash_django.verifier")
