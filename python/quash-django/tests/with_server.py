"""The plugin of pytest that runs tests of the hooks with a real quash server and the native verifier, which also verifies
the site's access tokens, instead of the model:

    QUASH_TEST_BINARY=… PYTHONPATH=tests python -m pytest -p with_server tests/test_keep_issuing.py
"""

import atexit
import functools
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import model
from quash_verify import Receipt, Unavailable, Verifier
from servers import Quash, until

SETTINGS = """
[foreign.shop]
namespace = "shop"
algorithm = "HS256"
shared_secret_file = "{secret}"
insecure_short_secret = true
session_claim = "qsid"
position_claim = "qsq"
max_lifetime = "100d"
"""


class Site(NamedTuple):
    url: str
    credential: str
    secret: str


@functools.cache
def site(secret: str) -> Site:
    """A server for this process, which has a site's secret, and the site's credential."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    room = Path(folder.name)
    (room / "django.secret").touch(mode=0o600)
    (room / "django.secret").write_text(secret)
    (room / "quash.toml").write_text(SETTINGS.format(secret=room / "django.secret"))
    quash = Quash(room, config=room / "quash.toml")
    atexit.register(quash.stop)
    return Site(quash.url, quash.run("client", "add", "site", "--namespace", "shop").strip(), secret)


class WithServer(model.Model):
    """The native verifier and a real server, with the model's switches for their absence."""

    # The second of the last revocation in this process.
    revoked_in = 0

    def __init__(self, namespace: str | None = "shop") -> None:
        from django.conf import settings

        super().__init__(namespace)
        # All tests have the same users, and a revocation covers tokens of its second that have no position.
        until(lambda: time.time() >= WithServer.revoked_in + 1, "the second of the last revocation is over")
        found = site(settings.SECRET_KEY)
        self._verifier = Verifier(found.url, credential=found.credential, namespace="shop", secrets=[found.secret])
        self._verifier.warm()
        self.seq = self._verifier.head() or 0

    def close(self) -> None:
        self._verifier.close()

    def advance(self) -> None:
        super().advance()
        assert self._verifier.caught_up(self.seq, 2.0)

    def head(self) -> int | None:
        return self._verifier.head() if self.vouches else None

    def caught_up(self, seq: int, within: float = 0.05) -> bool:
        # A busy machine may need longer than the requests of a site wait.
        return self._verifier.caught_up(seq, 2.0)

    def revoke(self, namespace: str | None, revocations: Any, *, key: str | None = None, wait: bool = False) -> Any:
        if not self.is_up:
            raise Unavailable("unavailable", "quash can't be reached", 1)
        WithServer.revoked_in = int(time.time())
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

    def _accept_now(self, token: Any, key: Any) -> Any:
        live = self._verifier._accept_now(token, key) if self.vouches else None
        if live is not None and live._names is not None:
            self.accepted += 1
            _namespace, session, jti, subject, position = live._names
            self.asked.append({"session": session, "token": jti, "subject": subject, "position": position})
        return live


model.Model = WithServer  # type: ignore[misc]
