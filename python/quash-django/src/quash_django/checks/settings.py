"""Checks of the setting ``QUASH``, and of what it needs: packages, middleware and tables."""

import importlib.metadata
from collections.abc import Iterator

import quash_verify
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db import router
from django.utils.module_loading import import_string

from .. import __version__
from ..changes import accounts, outbox
from ..conf import QuashSettings, credential_fault, imported, read, sign_in_backend
from ..models import QuashOutbox

SIMPLE_JWT = "5.5"
"""The version of Simple JWT whose methods the hooks wrap."""


def check_settings(**_: object) -> list[CheckMessage]:
    """Reads ``QUASH``."""
    found, problems = read(getattr(settings, "QUASH", None))
    messages: list[CheckMessage] = [Error(text, hint=remedy, id=id) for id, text, remedy in problems]
    if found is None:
        return messages
    if found.credential is not None and settings.QUASH.get("CREDENTIAL"):
        messages.append(
            Warning(
                "QUASH['CREDENTIAL'] is a secret that Django's error reports show",
                hint="use CREDENTIAL_FILE, or $QUASH_CREDENTIAL in the environment",
                id="quash.W001",
            )
        )
    if not found.keeps_issuing and found.push_users and not found.pushes_users:
        messages.append(
            Warning(
                "changes of users don't reach quash: QUASH['USER_BY'] is a function, which doesn't tell their subjects",
                hint="use 'pk' or 'subject', or set PUSH_USERS to False",
                id="quash.W007",
            )
        )
    compares_hashes = getattr(settings, "SIMPLE_JWT", {}).get("CHECK_REVOKE_TOKEN", False)
    if not found.keeps_issuing and not found.pushes_users and compares_hashes:
        messages.append(
            Warning(
                "SIMPLE_JWT['CHECK_REVOKE_TOKEN'] compares tokens with the site's password hashes, which quash doesn't "
                "get: it locks out each user whose password is set here",
                hint="remove CHECK_REVOKE_TOKEN: quash itself ends the sessions of another password",
                id="quash.W010",
            )
        )
    functions = {"USER_BY": found.user_by, "CLAIMS": found.claims, "EMAIL_VERIFIED": found.email_verified}
    for name, value in functions.items():
        if value is None or "." not in value:
            continue
        try:
            imported(value)
        except ImportError as error:
            text = f"QUASH[{name!r}] can't be used ({error})"
            messages.append(Error(text, hint="give the dotted path of a function", id="quash.E010"))
    fault = credential_fault(found)
    if fault is not None:
        # No error: `migrate` and `collectstatic` run where the secret isn't, too.
        what, remedy = fault
        messages.append(Warning(what, hint=remedy, id="quash.W008"))
    field = found.email_verified
    if field is not None and "." not in field and not accounts.has_field(field):
        text = f"QUASH['EMAIL_VERIFIED'] is {field!r}, but the user model has no such field"
        messages.append(Error(text, hint="name a field, or the dotted path of a function", id="quash.E010"))
    return messages


def check_installation(**_: object) -> list[CheckMessage]:
    """Compares what the settings need with what is installed."""
    found, _problems = read(getattr(settings, "QUASH", None))
    if found is None:
        return []
    messages: list[CheckMessage] = []
    if _minor(quash_verify.__version__) != _minor(__version__):
        messages.append(
            Error(
                f"quash-verify {quash_verify.__version__} doesn't belong to quash-django {__version__}",
                hint=f"install quash-verify {_minor(__version__)}",
                id="quash.E011",
            )
        )
    messages += _check_simple_jwt(found)
    messages += _check_backend(found)
    return messages


def check_database(**_: object) -> list[CheckMessage]:
    """Checks that the tables are where messages are written: in the transaction of a user's change."""
    using = outbox.database()
    if router.allow_migrate_model(using, QuashOutbox):
        return []
    return [
        Error(
            f"users are in the database {using!r}, where DATABASE_ROUTERS permit no tables of quash_django: "
            "no user can be changed",
            hint=f"let `allow_migrate` permit 'quash_django' in {using!r}, and run "
            f"`manage.py migrate quash_django --database {using}`",
            id="quash.E015",
        )
    ]


def _check_backend(found: QuashSettings) -> Iterator[CheckMessage]:
    backend = sign_in_backend()
    if backend is None:
        return
    if found.keeps_issuing:
        yield Error(
            f"AUTHENTICATION_BACKENDS has {backend}, but QUASH['MODE'] is 'keep_issuing'",
            hint="set MODE to 'quash_issues', or remove the backend",
            id="quash.E013",
        )
    elif not any(_is_session_middleware(path) for path in settings.MIDDLEWARE):
        yield Error(
            f"AUTHENTICATION_BACKENDS has {backend}, but sessions aren't checked: an ended one stays signed in",
            hint="add quash_django.middleware.SessionMiddleware to MIDDLEWARE, after Django's AuthenticationMiddleware",
            id="quash.E014",
        )


def _is_session_middleware(path: str) -> bool:
    from ..middleware import SessionMiddleware

    try:
        found = import_string(path)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, SessionMiddleware)


def _check_simple_jwt(found: QuashSettings) -> Iterator[CheckMessage]:
    try:
        version = importlib.metadata.version("djangorestframework-simplejwt")
    except importlib.metadata.PackageNotFoundError:
        if found.keeps_issuing and found.hook_simple_jwt:
            yield Error(
                "QUASH['HOOK_SIMPLE_JWT'] is True, but Simple JWT isn't installed",
                hint="install quash-django[simplejwt], or set HOOK_SIMPLE_JWT to False",
                id="quash.E012",
            )
        return
    if found.keeps_issuing and found.hook_simple_jwt and _minor(version) != SIMPLE_JWT:
        yield Warning(
            f"Simple JWT {version} hasn't been tested with quash-django {__version__}",
            hint=f"install djangorestframework-simplejwt {SIMPLE_JWT}, or update quash-django",
            id="quash.W006",
        )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
