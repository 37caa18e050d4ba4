"""Verifies quash's tokens in this process and refuses revoked ones, without a call to another service.

    from quash_verify import Verifier, Refused, Unavailable

    verifier = Verifier("https://id.example.org")   # the credential is in $QUASH_CREDENTIAL_FILE

    live = verifier.check(token)                    # or: await verifier.acheck(token)
    live.user_id, live.claims["role"]

Creating a ``Verifier`` starts nothing. The first check in a process starts a thread that follows the issuer, so one
verifier of the application serves under servers that fork their workers.
"""

import atexit
import weakref
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from . import _asyncio, _log, _native
from ._errors import Denied, QuashError, Refused, StartFailed, Unavailable
from ._native import Live, __version__
from ._revocation import Receipt, Revocation

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "Denied",
    "Live",
    "Metrics",
    "QuashError",
    "Receipt",
    "Refused",
    "Revocation",
    "StartFailed",
    "State",
    "Unavailable",
    "Verifier",
    "Watch",
    "WhenStale",
    "__version__",
]

WhenStale = Literal["introspect", "deny", "allow"] | tuple[Literal["allow_young"], float]
"""The treatment of valid tokens while the verifier is stale, and so may lack revocations: ask the issuer, deny,
accept, or accept those issued no longer ago than so many seconds."""

State = Literal["idle", "boot", "fresh", "stale", "behind"]
"""A verifier's knowledge compared with its issuer's log; ``idle``: nothing was started in this process."""


class Metrics(NamedTuple):
    """A verifier's state and counters in this process."""

    state: State
    cursor: int
    """The number of the newest known entry of the log."""
    lag: int
    """The number of entries that are known to exist but haven't been received."""
    entries: int
    """The number of revoked scopes."""
    accepted: int
    refused: int
    stale: int
    """The number of checks that couldn't be decided."""
    generation: int
    """The number of forks between this process and the one that imported the package."""
    instance: str | None
    """The id of this process's verifier, as the issuer lists it."""


class Verifier(_native.Verifier):
    """Verifies an issuer's tokens. An application has one; its processes and threads share it.

    ``credential`` defaults to ``$QUASH_CREDENTIAL``, or to the content of the file ``$QUASH_CREDENTIAL_FILE``. With
    ``namespace``, accepts the tokens of that namespace instead of quash's own: those of another system, such as Django
    with Simple JWT, that lets quash revoke them. ``secrets`` are then those that the other system signs with.
    """

    def __init__(
        self,
        issuer: str,
        *,
        credential: str | None = None,
        also_at: Sequence[str] = (),
        audience: Sequence[str] = (),
        secrets: Sequence[str | bytes] = (),
        namespace: str | None = None,
        when_stale: WhenStale = "introspect",
        start_within: float = 10.0,
        insecure_http: bool = False,
        _test_issuer: "_native.TestIssuer | None" = None,
    ) -> None:
        # `__new__` of the native part has read the arguments.
        _verifiers.add(self)

    async def acheck(self, token: str | bytes, *, when_stale: WhenStale | None = None) -> Live:
        """Like ``check``, without blocking the event loop."""
        live = self._check_now(token, when_stale)
        if live is not None:
            return live
        return cast(Live, await _asyncio.wait(self._begin_check, token, when_stale))

    async def aask(
        self,
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
        """Like ``ask``, without blocking the event loop."""
        names = (namespace, session, token, subject, position, issued_at, expires_at)
        if not self._ask_now(names, when_stale):
            await _asyncio.wait(self._begin_ask, names, when_stale)

    def revoke(
        self, namespace: str | None, revocations: Sequence[Revocation], *, key: str | None = None, wait: bool = False
    ) -> Receipt:
        """Revokes what another system has issued, by its names: 1 to 1,000 revocations, all of them or none. Without a
        namespace, ends sessions of quash's own by their ``sid``, or all sessions of a subject.

        A repeated call with the same ``key`` gets the first receipt again, for ten minutes: use one to repeat a call
        that has raised ``Unavailable``. With ``wait``, returns once every verifier knows the revocations or refuses
        tokens by itself. Raises ``ValueError`` for revocations that the issuer refuses, and ``StartFailed`` if the
        credential may not revoke in the namespace.
        """
        return Receipt(*self._revoke(namespace, revocations, key, wait))

    async def arevoke(
        self, namespace: str | None, revocations: Sequence[Revocation], *, key: str | None = None, wait: bool = False
    ) -> Receipt:
        """Like ``revoke``, without blocking the event loop."""
        return Receipt(*await _asyncio.wait(self._begin_revoke, namespace, revocations, key, wait))

    async def awarm(self) -> None:
        """Like ``warm``, without blocking the event loop."""
        await _asyncio.wait(self._begin_warm)

    async def acaught_up(self, seq: int, within: float = 0.05) -> bool:
        """Like ``caught_up``, without blocking the event loop."""
        return cast(bool, await _asyncio.wait(self._begin_caught_up, seq, within))

    def watch(self, token: str | bytes, *, when_stale: WhenStale | None = None) -> "Watch":
        """Checks a token for work that lasts longer than a request: use it in ``with`` or ``async with``."""
        return Watch(self, token, when_stale)

    def metrics(self) -> Metrics:
        """Returns the state and the counters of this process."""
        return Metrics(*self._metrics())


class Watch:
    """A token that is watched: ``live`` is the token, and ``ended()`` completes once it is no longer accepted."""

    def __init__(self, verifier: Verifier, token: str | bytes, when_stale: WhenStale | None = None) -> None:
        self._verifier = verifier
        self._token = token
        self._when_stale = when_stale
        self._native: _native.Watch | None = None
        self._answers: _native.Answers | None = None

    @property
    def live(self) -> Live:
        """The token as it was accepted."""
        return self._entered().live

    def fileno(self) -> int:
        """Returns a descriptor that becomes readable once the token is no longer accepted."""
        native = self._entered()
        if self._answers is None:
            self._answers = _native.Answers()
            native._begin_ended(self._answers, 0)
        return self._answers.fileno()

    async def ended(self) -> Denied:
        """Completes once the token is no longer accepted, with the reason."""
        return cast(Denied, await _asyncio.wait(self._entered()._begin_ended))

    def __enter__(self) -> "Self":
        self._native = self._verifier._watch(self._token, self._when_stale)
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    async def __aenter__(self) -> "Self":
        begin = self._verifier._begin_watch
        self._native = cast(_native.Watch, await _asyncio.wait(begin, self._token, self._when_stale))
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._close()

    def __await__(self) -> Generator[Any, None, "Self"]:
        raise TypeError("use `async with verifier.watch(token) as watch`")

    def _entered(self) -> _native.Watch:
        if self._native is None:
            raise RuntimeError("the token isn't watched: use `with` or `async with`")
        return self._native

    def _close(self) -> None:
        if self._native is not None:
            self._native.close()
        self._native = self._answers = None


_verifiers: "weakref.WeakSet[Verifier]" = weakref.WeakSet()


@atexit.register
def _exit() -> None:
    """Gives the leases back, otherwise the issuer would wait for this process until they expire. Takes a fifth of a
    second at most."""
    _native.begin_exit()
    for verifier in list(_verifiers):
        verifier.close()
    _log.pass_on()
    _native.end_waits()
