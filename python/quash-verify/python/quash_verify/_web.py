"""The decision about one request, which the middlewares share. Its answers are those of the Rust layer."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from . import Denied, Live, _native

Require: TypeAlias = Mapping[str, Any]


class Rejection(Exception):
    """The answer to a request that isn't passed on."""

    def __init__(self, code: str, detail: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status, headers, body = _native.problem(code, detail)
        self.headers = headers
        self.body = body

    @classmethod
    def of(cls, denied: Denied) -> "Rejection":
        """Returns the answer for a token that isn't accepted."""
        return cls(denied.code, denied.detail)


def token_of(authorization: Sequence[bytes], cookie: str | None, *, optional: bool) -> str | None:
    """Returns a request's token, from its ``Authorization`` headers or else from a cookie.

    None only where a token is optional and absent.
    """
    token, code = _native.bearer(authorization)
    if token is not None:
        return token
    if code == "not_authenticated" and cookie:
        return cookie
    if code == "not_authenticated" and optional:
        return None
    raise Rejection(code or "internal_error")


def admit(live: Live, require: Require) -> Live:
    """Rejects a token that lacks a required claim."""
    if all(live.says(name, value) for name, value in require.items()):
        return live
    raise Rejection("claim_missing")

