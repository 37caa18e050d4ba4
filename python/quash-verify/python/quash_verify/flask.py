"""A decorator for Flask's views: ``flask.g.quash`` is the token of the request.

    @app.get("/orders")
    @guarded(verifier, require={"role": "clerk"})
    def orders(): …
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

import flask

from . import Denied, Live, Verifier, WhenStale
from ._web import Rejection, admit, token_of

__all__ = ["guarded"]

P = ParamSpec("P")
R = TypeVar("R")


def guarded(
    verifier: Verifier,
    *,
    require: Mapping[str, Any] = {},
    optional: bool = False,
    when_stale: WhenStale | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Passes on only requests with a valid token in ``Authorization: Bearer``.

    ``require`` names claims that must have a value, or be a list that contains it. With ``optional``, ``flask.g.quash``
    is None for a request without a token.
    """
    required = dict(require)

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                flask.g.quash = _caller()
            except Rejection as rejection:
                flask.abort(flask.Response(rejection.body, rejection.status, rejection.headers))
            return cast(R, flask.current_app.ensure_sync(view)(*args, **kwargs))

        def _caller() -> Live | None:
            values = [value.encode("latin-1") for value in flask.request.headers.getlist("Authorization")]
            token = token_of(values, None, optional=optional)
            if token is None:
                return None
            try:
                return admit(verifier.check(token, when_stale=when_stale), required)
            except Denied as denied:
                raise Rejection.of(denied) from denied

        return checked

    return decorate
