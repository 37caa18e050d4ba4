"""This process's native verifier, which all other modules of the package share.

A process has one verifier. Creating it starts nothing; the first check in a process does. So nothing here may
run when Django starts, which happens in the master of gunicorn and uWSGI: only requests and commands may call it.
"""

import importlib.util
import logging

import quash_verify
from django.core.signals import setting_changed
from quash_verify import QuashError, Unavailable, Verifier

from ..conf import QuashSettings, credential, quash_settings

logger = logging.getLogger("quash_django")

_made: dict[str, Verifier] = {}


def verifier() -> Verifier:
    """Returns this process's verifier."""
    found = _made.get("verifier")
    if found is None:
        # No lock: a fork could leave it locked. Of two that threads create at once, one is never used.
        found = _made.setdefault("verifier", _make())
    return found


def install(replacement: Verifier | None) -> Verifier | None:
    """Replaces this process's verifier, for tests, and returns the former one."""
    former = _made.pop("verifier", None)
    if replacement is not None:
        _made["verifier"] = replacement
    return former


def head() -> int | None:
    """Returns the number of the newest entry, the position of new tokens; None while it isn't known for sure."""
    own = verifier()
    if own.state == "idle":
        # A worker whose first request is a log-in must not issue a token without its position.
        try:
            own.warm()
        except QuashError as error:
            why = f"{quash_settings().issuer} doesn't answer" if isinstance(error, Unavailable) else error
            logger.error("new tokens have no position, because the verifier can't start: %s", why)
            return None
    return own.head()


def _make() -> Verifier:
    found = quash_settings()
    return quash_verify.Verifier(
        found.issuer,
        credential=credential(found),
        also_at=found.also_at,
        audience=found.audience,
        secrets=_secrets(found),
        namespace=found.namespace,
        when_stale=found.when_stale,
        start_within=found.start_within,
        insecure_http=found.insecure_http,
    )


def _secrets(found: QuashSettings) -> tuple[str | bytes, ...]:
    """Returns the secrets that tokens may be signed with. Those of Simple JWT are this site's own."""
    if found.secrets is not None:
        return found.secrets
    if not found.keeps_issuing or importlib.util.find_spec("rest_framework_simplejwt") is None:
        return ()
    from rest_framework_simplejwt.settings import api_settings

    key = api_settings.SIGNING_KEY
    return (key,) if str(api_settings.ALGORITHM).startswith("HS") and isinstance(key, str | bytes) and key else ()


def _forget(*, setting: str, **_: object) -> None:
    if setting == "QUASH":
        _made.clear()


setting_changed.connect(_forget, dispatch_uid="quash_django.verifier")
