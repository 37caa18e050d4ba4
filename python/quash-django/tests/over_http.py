"""The plugin of pytest that runs the tests of the hooks with a real quash server instead of the model:

    QUASH_TEST_BINARY=… PYTHONPATH=tests python -m pytest -p over_http tests/test_keep_issuing.py

It asks the server at each check, over HTTP. The native module will replace it.
"""

import json
import tempfile
import urllib.request
from pathlib import Path
from typing import Any

import model
from model import Receipt
from quash_verify import Refused, Unavailable
from servers import PATIENCE, Quash

SETTINGS = """
[foreign.shop]
namespace = "shop"
session_claim = "qsid"
position_claim = "qsq"
max_lifetime = "15d"
"""


class OverHttp(model.Model):
    """A real server, with the model's switches for its absence."""

    def __init__(self) -> None:
        super().__init__()
        self._room = tempfile.TemporaryDirectory()
        room = Path(self._room.name)
        (room / "quash.toml").write_text(SETTINGS)
        self._quash = Quash(room, config=room / "quash.toml")
        self._credential = self._quash.run("client", "add", "site", "--namespace", "shop").strip()
        self.seq = int(self._post("/v1/revocations", {"namespace": "shop", "revocations": [{"session": "-"}]})["seq"])

    def close(self) -> None:
        self._quash.stop()
        self._room.cleanup()

    def revoke(self, namespace: str, revocations: Any, *, key: str | None = None, wait: bool = False) -> Receipt:
        if not self.is_up:
            raise Unavailable("unavailable", "quash can't be reached", 1)
        headers = ({"Idempotency-Key": key} if key else {}) | ({"Prefer": "wait=effective"} if wait else {})
        answer = self._post("/v1/revocations", {"namespace": namespace, "revocations": list(revocations)}, headers)
        self.seq = max(self.seq, answer["seq"])
        self.sent += [dict(revocation) for revocation in revocations]
        self.keys.append(key)
        return Receipt(answer["seq"], answer["written"])

    def ask(self, namespace: str | None, *, when_stale: Any = None, **names: Any) -> None:
        self.asked.append(names)
        if not self.vouches:
            raise Unavailable("unavailable", "The service cannot tell now whether the token has been revoked.", 1)
        known = {name: value for name, value in names.items() if value is not None}
        if self._post("/v1/revocations/query", {"namespace": namespace, **known})["revoked"]:
            raise Refused("token_not_valid", "Token is blacklisted", None)

    def _post(self, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
        request = urllib.request.Request(
            self._quash.url + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._credential}", **(headers or {})},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.loads(answer.read())


model.Model = OverHttp  # type: ignore[misc]
