"""A FastAPI dependency that gives a path operation its caller's token.

    Caller = Annotated[Live, Depends(guard(verifier))]

    @app.get("/orders")
    async def orders(caller: Caller) -> ...
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, overload

from fastapi import HTTPException, Request, Response

from . import Denied, Live, Verifier, WhenStale
from ._web import Rejection, admit, token_of

__all__ = ["guard"]


class _Rejected(HTTPException):
    """A rejection. An application that replaces all of Starlette's handlers still answers its status."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.status, rejection.code, dict(rejection.headers))
        self.rejection = rejection


@overload
def guard(
    verifier: Verifier,
    *,
    require: Mapping[str, Any] = {},
    optional: Literal[False] = False,
    when_stale: WhenStale | None = None,
) -> Callable[[Request], Awaitable[Live]]: ...


@overload
def guard(
    verifier: Verifier,
    *,
    require: Mapping[str, Any] = {},
    optional: bool,
    when_stale: WhenStale | None = None,
) -> Callable[[Request], Awaitable[Live | None]]: ...


def guard(
    verifier: Verifier,
    *,
    require: Mapping[str, Any] = {},
    optional: bool = False,
    when_stale: WhenStale | None = None,
) -> Callable[[Request], Awaitable[Live | None]]:
    """Returns a dependency that checks the token in ``Authorization: Bearer``.

    ``require`` names claims that must have a value, or be a list that contains it. With ``optional``, a request
    without a token gets None; an invalid token is still refused.
    """
    required = dict(require)

    async def caller(request: Request) -> Live | None:
        try:
            values = [value.encode("latin-1") for value in request.headers.getlist("authorization")]
            token = token_of(values, None, optional=optional)
            if token is None:
                return None
            return admit(await verifier.acheck(token, when_stale=when_stale), required)
        except (Denied, Rejection) as error:
            rejection = Rejection.of(error) if isinstance(error, Denied) else error
            _install(request)
            raise _Rejected(rejection) from error

    return caller


def _install(request: Request) -> None:
    """Makes Starlette answer a rejection as it is, where FastAPI would answer its own JSON."""
    by_class, _ = request.scope.get("starlette.exception_handlers", ({}, {}))
    by_class.setdefault(_Rejected, _answer)


def _answer(request: Request, rejected: _Rejected) -> Response:
    rejection = rejected.rejection
    return Response(rejection.body, rejection.status, dict(rejection.headers))
