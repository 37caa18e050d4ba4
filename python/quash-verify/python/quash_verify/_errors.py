"""The package's exceptions. The native module raises them, too."""


class QuashError(Exception):
    """The base of the package's exceptions."""


class Denied(QuashError):
    """A token isn't accepted, or can't be checked now."""

    code: str
    """The code for programs; the issuer documents it at ``/docs/errors/<code>``."""
    detail: str
    """The explanation."""

    def __init__(self, code: str, detail: str, *more: object) -> None:
        # All arguments are kept in `args`, so that exceptions can be pickled.
        super().__init__(code, detail, *more)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class Refused(Denied):
    """The token is refused: answer 401."""

    reason: str | None
    """The cause of the revocation, such as ``log_out``, if the token was revoked and the cause is known."""

    def __init__(self, code: str, detail: str, reason: str | None = None) -> None:
        super().__init__(code, detail, reason)
        self.reason = reason


class Unavailable(Denied):
    """Whether the token has been revoked can't be told now: answer 503, never 401. The token may be valid."""

    retry_after: int
    """The time, in seconds, after which a client may try again."""

    def __init__(self, code: str, detail: str, retry_after: int = 1) -> None:
        super().__init__(code, detail, retry_after)
        self.retry_after = retry_after


class StartFailed(QuashError):
    """The verifier can't start with its configuration. Waiting doesn't help."""

    remedy: str
    """The change that helps."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message, remedy)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.args[0]}: {self.remedy}"
