"""The rules by which quash matches revocations in a namespace, in memory: the model that the hooks are tested with.

It is no part of the package. `with_server.py` runs the same tests with the native verifier and a real server instead.
"""

import time
from typing import Any, NamedTuple

from quash_verify import Refused, Unavailable


class Receipt(NamedTuple):
    seq: int
    written: int
    confirmed: int | None = None
    stale: int | None = None
    not_bound: int | None = None
    ms: int | None = None


class Model:
    """A verifier and its issuer in one."""

    state = "fresh"

    def __init__(self, namespace: str | None = "shop") -> None:
        self.namespace = namespace
        self.seq = 100
        self.sent: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.later: list[tuple[list[dict[str, Any]], str]] = []
        self.asked: list[dict[str, Any]] = []
        self.accepted = 0
        self.is_up = True
        self.vouches = True
        self._entries: list[tuple[int, int, dict[str, Any]]] = []

    def advance(self) -> None:
        """Something else is revoked."""
        for number in range(5):
            self.revoke("shop", [{"session": f"other-{number}"}])
        del self.sent[-5:], self.keys[-5:]

    def warm(self) -> None:
        pass

    def close(self) -> None:
        pass

    def head(self) -> int | None:
        return self.seq if self.vouches else None

    def caught_up(self, seq: int, within: float = 0.05) -> bool:
        return self.seq >= seq

    def revoke(self, namespace: str | None, revocations: Any, *, key: str | None = None, wait: bool = False) -> Receipt:
        assert namespace == self.namespace and 1 <= len(revocations) <= 1000
        if not self.is_up:
            raise Unavailable("unavailable", "quash can't be reached", 1)
        for revocation in revocations:
            assert set(revocation) <= {"session", "token", "subject", "everything", "before", "exp", "reason"}
            assert len(set(revocation) & {"session", "token", "subject", "everything"}) == 1
            self.seq += 1
            self._entries.append((self.seq, int(time.time()), dict(revocation)))
            self.sent.append(dict(revocation))
        self.keys.append(key)
        return Receipt(self.seq, len(revocations))

    def revoke_later(self, namespace: str, revocations: Any, key: str) -> None:
        self.later.append(([dict(revocation) for revocation in revocations], key))

    def _accept_now(self, token: Any, key: Any) -> Any:
        """The model verifies no tokens."""
        return None

    def ask(
        self,
        namespace: str | None,
        *,
        session: str | None = None,
        token: str | None = None,
        subject: str | None = None,
        position: int | None = None,
        issued_at: int,
        expires_at: int,
        when_stale: Any = None,
    ) -> None:
        self.asked.append({"session": session, "token": token, "subject": subject, "position": position})
        if not self.vouches:
            raise Unavailable("unavailable", "The service cannot tell now whether the token has been revoked.", 1)
        for seq, at, entry in self._entries:
            if any(entry.get(kind, "") == name for kind, name in (("session", session), ("token", token))):
                raise Refused("token_not_valid", "Token is blacklisted", entry.get("reason"))
            if entry.get("everything") or ("subject" in entry and entry["subject"] == subject):
                until = entry.get("before")
                if position is not None:
                    is_covered = position < seq and (until is None or issued_at <= until + 5)
                else:
                    is_covered = issued_at <= int(until if until is not None else at)
                if is_covered:
                    raise Refused("token_not_valid", "Token is blacklisted", entry.get("reason"))
