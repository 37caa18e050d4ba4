"""The plugin of pytest that runs the tests of the hooks with the native verifier and a real quash server instead of the
model:

    QUASH_TEST_BINARY=… PYTHONPATH=tests python -m pytest -p with_server tests/test_keep_issuing.py
"""

import tempfile
from pathlib import Path
from typing import Any

import model
from quash_verify import Receipt, Unavailable, Verifier
from servers import Quash

SETTINGS = """
[foreign.shop]
namespace = "shop"
session_claim = "qsid"
position_claim = "qsq"
max_lifetime = "15d"
"""


class WithServer(model.Model):
    """A real server and its verifier, with the model's switches for their absence."""

    def __init__(self) -> None:
        super().__init__()
        self._room = tempfile.TemporaryDirectory()
        room = Path(self._room.name)
        (room / "quash.toml").write_text(SETTINGS)
        self._quash = Quash(room, config=room / "quash.toml")
        credential = self._quash.run("client", "add", "site", "--namespace", "shop").strip()
        self._verifier = Verifier(self._quash.url, credential=credential)
        self._verifier.warm()
        self.seq = self._verifier.head() or 0

    def close(self) -> None:
        self._verifier.close()
        self._quash.stop()
        self._room.cleanup()

    def advance(self) -> None:
        super().advance()
        assert self._verifier.caught_up(self.seq, 2.0)

    def head(self) -> int | None:
        return self._verifier.head() if self.vouches else None

    def caught_up(self, seq: int, within: float = 0.05) -> bool:
        # A busy machine may need longer than the requests of a site wait.
        return self._verifier.caught_up(seq, 2.0)

    def revoke(self, namespace: str, revocations: Any, *, key: str | None = None, wait: bool = False) -> Any:
        if not self.is_up:
            raise Unavailable("unavailable", "quash can't be reached", 1)
        receipt: Receipt = self._verifier.revoke(namespace, revocations, key=key, wait=wait)
        self.seq = max(self.seq, receipt.seq)
        self.sent += [dict(revocation) for revocation in revocations]
        self.keys.append(key)
        return receipt

    def ask(self, namespace: str | None, *, when_stale: Any = None, **names: Any) -> None:
        self.asked.append(names)
        if not self.vouches:
            raise Unavailable("unavailable", "The service cannot tell now whether the token has been revoked.", 1)
        self._verifier.ask(namespace, when_stale=when_stale, **names)


model.Model = WithServer  # type: ignore[misc]
