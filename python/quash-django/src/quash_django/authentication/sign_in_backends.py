"""Which of ``AUTHENTICATION_BACKENDS`` sign users in at quash."""

from django.conf import settings
from django.contrib.auth import load_backend


class SignsInAtQuash:
    """The base of the backends that sign users in at quash."""


def signs_in_at_quash(path: object) -> bool:
    """Returns whether a backend's dotted path names one that does."""
    return isinstance(path, str) and isinstance(load_backend(path), SignsInAtQuash)


def configured() -> str | None:
    """Returns the first of ``AUTHENTICATION_BACKENDS`` that signs users in at quash."""
    for path in settings.AUTHENTICATION_BACKENDS:
        try:
            if signs_in_at_quash(path):
                return path
        except ImportError:
            # Django reports it at the first log-in.
            continue
    return None
