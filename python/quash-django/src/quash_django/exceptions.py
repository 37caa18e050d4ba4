"""The exceptions that the package raises in requests to REST framework."""

from quash_verify import Unavailable
from rest_framework import status
from rest_framework.exceptions import APIException

__all__ = ["VerifierUnavailable"]


class VerifierUnavailable(APIException):
    """Whether a token has been revoked can't be told now: 503 with ``Retry-After``, never 401."""

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "unavailable"

    def __init__(self, unavailable: Unavailable) -> None:
        super().__init__({"detail": unavailable.detail, "code": unavailable.code}, unavailable.code)
        self.unavailable = unavailable
        # REST framework writes `Retry-After` from this.
        self.wait = unavailable.retry_after
