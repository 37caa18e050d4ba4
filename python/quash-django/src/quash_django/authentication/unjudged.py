"""Refresh tokens that can't be judged while quash is away: they can be blacklisted, and serve for nothing else."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, NoReturn

from quash_verify import Unavailable

from ..exceptions import VerifierUnavailable


class UnjudgedClaims(MutableMapping[str, Any]):
    """The claims of such a token. Reading them raises the error that the token's check would have raised."""

    def __init__(self, claims: dict[str, Any], unavailable: Unavailable) -> None:
        self._claims = claims
        self._unavailable = unavailable

    def _refuse(self) -> NoReturn:
        raise VerifierUnavailable(self._unavailable) from self._unavailable

    def __getitem__(self, name: str) -> Any:
        self._refuse()

    def __setitem__(self, name: str, value: Any) -> None:
        self._refuse()

    def __delitem__(self, name: str) -> None:
        self._refuse()

    def __iter__(self) -> Iterator[str]:
        self._refuse()

    def __len__(self) -> int:
        self._refuse()

    def copy(self) -> NoReturn:
        self._refuse()


def withhold(token: Any, unavailable: Unavailable) -> None:
    """Lets a token be blacklisted alone."""
    token.payload = UnjudgedClaims(token.payload, unavailable)


@contextmanager
def readable(token: Any) -> Iterator[None]:
    """Gives a token its claims for the block, which blacklists it."""
    held = token.payload
    if isinstance(held, UnjudgedClaims):
        token.payload = held._claims
    try:
        yield
    finally:
        token.payload = held
