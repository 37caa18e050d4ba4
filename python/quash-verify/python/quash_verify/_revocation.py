"""Revocations in the namespace of an application's own tokens, and the issuer's receipt for them."""

from typing import NamedTuple, TypedDict


class Revocation(TypedDict, total=False):
    """One scope to revoke: exactly one of ``session``, ``token``, ``subject`` and ``everything``."""

    session: str
    """The name of a session, all of whose tokens are refused."""
    token: str
    """The id of one token."""
    subject: str
    """The name of a user: tokens issued so far are refused."""
    everything: bool
    """True: all tokens of the namespace issued so far are refused."""
    before: float
    """The time of the event, in seconds since 1970, if it is reported late: tokens that a user got since stay valid.
    Has no effect on sessions and single tokens."""
    exp: int
    """The expiry of the session or token, in seconds since 1970; the default is the namespace's ``max_lifetime`` from
    now."""
    reason: str
    """A word of quash's audit, such as ``log_out`` or ``password_changed``."""


class Receipt(NamedTuple):
    """The issuer's confirmation that the revocations are in force."""

    seq: int
    """The number with which a verifier knows all of them: pass it to ``Verifier.caught_up``."""
    written: int
    """The number of entries written. Sessions and tokens that are revoked already aren't written again."""
    confirmed: int | None = None
    """The number of verifiers that have confirmed the revocations; None unless the call waited for them."""
    stale: int | None = None
    """The number of verifiers that refuse tokens because their lease has expired."""
    not_bound: int | None = None
    """The number of verifiers that accept tokens without a lease."""
    ms: int | None = None
    """The time until the last of them, in milliseconds."""
