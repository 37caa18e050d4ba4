"""The system checks. Each names the setting and the remedy."""

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

import quash_verify
from django.apps import apps
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, Warning
from django.db import connections, router
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from . import __version__, _atomic, accounts, outbox
from ._backends import configured
from .conf import QuashSettings, credential_fault, imported, read
from .models import QuashOutbox

SIMPLE_JWT = "5.5"
"""The version of Simple JWT whose methods the hooks wrap."""


def install() -> None:
    """Registers the checks."""
    checks.register(check_settings, "quash")
    checks.register(check_installation, "quash")
    checks.register(check_database, "quash")
    checks.register(check_views, "quash")
    checks.register(check_replaced_views, "quash")
    checks.register(check_transactions, "quash")


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
    backend = configured()
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
    from .middleware import SessionMiddleware

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


def check_views(**_: object) -> list[CheckMessage]:
    """Lists the views that accept tokens without asking quash."""
    found, _problems = read(getattr(settings, "QUASH", None))
    if found is None or importlib.util.find_spec("rest_framework_simplejwt") is None:
        return []
    if not getattr(settings, "ROOT_URLCONF", None) or not apps.is_installed("rest_framework"):
        return []
    if found.keeps_issuing and found.hook_simple_jwt:
        # Simple JWT's classes are guarded themselves.
        return []
    found_views = dict(_unguarded(get_resolver().url_patterns, "", found))
    unguarded = sorted(found_views)
    if not unguarded:
        return []
    replacements = sorted({_replacement(scheme) for scheme in found_views.values()})
    shown = ", ".join(unguarded[:10]) + (f" and {len(unguarded) - 10} more" if len(unguarded) > 10 else "")
    remedy = (
        "use the mixins of quash_django.simplejwt in AUTH_TOKEN_CLASSES, or set QUASH['HOOK_SIMPLE_JWT'] to True"
        if found.keeps_issuing
        else "in authentication_classes or DEFAULT_AUTHENTICATION_CLASSES use " + "; ".join(replacements)
    )
    return [Warning(f"these views accept tokens without asking quash: {shown}", hint=remedy, id="quash.W004")]


def check_replaced_views(**_: object) -> list[CheckMessage]:
    """Lists Simple JWT's views where quash issues the tokens: theirs are refused everywhere else."""
    found, _problems = read(getattr(settings, "QUASH", None))
    if found is None or found.keeps_issuing or importlib.util.find_spec("rest_framework_simplejwt") is None:
        return []
    if not getattr(settings, "ROOT_URLCONF", None) or not apps.is_installed("rest_framework"):
        return []
    from rest_framework_simplejwt.views import TokenViewBase

    views = _views(get_resolver().url_patterns, "")
    left = sorted(f"/{route}" for route, view, _given in views if _is_class(view, TokenViewBase))
    if not left:
        return []
    shown = ", ".join(left[:10]) + (f" and {len(left) - 10} more" if len(left) > 10 else "")
    return [
        Warning(
            f"these views issue or take tokens of Simple JWT, which the site doesn't accept: {shown}",
            hint=f"delete their paths, and let clients use those of {found.issuer}, such as {found.token_path}",
            id="quash.W009",
        )
    ]


def check_transactions(**_: object) -> list[CheckMessage]:
    """Lists views whose new tokens end with the transaction that issues them."""
    found, _problems = read(getattr(settings, "QUASH", None))
    if found is None or not found.keeps_issuing or "password" not in found.end_on:
        return []
    using = outbox.database()
    if not getattr(settings, "ROOT_URLCONF", None) or not connections.settings[using].get("ATOMIC_REQUESTS"):
        return []
    shown = ", ".join(
        f"/{route}"
        for route, callback in _callbacks(get_resolver().url_patterns, "")
        if _atomic.is_in_transaction(callback, using) and _atomic.issues_and_changes(callback, _class_of(callback))
    )
    if not shown:
        return []
    return [
        Warning(
            "these views seem to change a password and to issue tokens in one transaction, because of ATOMIC_REQUESTS: "
            f"{shown}. All tokens end that were issued before the change is committed, the new ones, too",
            hint="decorate them with django.db.transaction.non_atomic_requests, and put the change alone into "
            "`with transaction.atomic():`",
            id="quash.W011",
        )
    ]


def _is_class(view: Any, base: type) -> bool:
    return isinstance(view, type) and issubclass(view, base)


def _views(patterns: Sequence[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Returns each path with the class of its view and the arguments of `as_view`."""
    for route, callback in _callbacks(patterns, prefix):
        yield route, _class_of(callback), getattr(callback, "initkwargs", {})


def _callbacks(patterns: Sequence[URLPattern | URLResolver], prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _callbacks(pattern.url_patterns, route)
        else:
            yield route, pattern.callback


def _class_of(callback: Any) -> Any:
    return getattr(callback, "cls", None) or getattr(callback, "view_class", None)


def _replacement(scheme: type) -> str:
    """Returns the class that guards what this one of Simple JWT, or one of the site, authenticates."""
    from rest_framework_simplejwt import authentication

    of_simple_jwt = authentication.JWTAuthentication
    if issubclass(scheme, authentication.JWTStatelessUserAuthentication):
        of_simple_jwt = authentication.JWTStatelessUserAuthentication
    verb = "instead of" if scheme.__module__ == of_simple_jwt.__module__ else "as the base of"
    return f"quash_django.rest_framework.{of_simple_jwt.__name__} {verb} {scheme.__module__}.{scheme.__qualname__}"


def _unguarded(
    patterns: Sequence[URLPattern | URLResolver], prefix: str, found: QuashSettings
) -> Iterator[tuple[str, type]]:
    from rest_framework_simplejwt.authentication import JWTAuthentication

    for route, view, given in _views(patterns, prefix):
        # `as_view(authentication_classes=[…])` replaces those of the class.
        for scheme in given.get("authentication_classes", getattr(view, "authentication_classes", ())):
            if isinstance(scheme, type) and issubclass(scheme, JWTAuthentication) and not _is_guarded(scheme, found):
                yield f"/{route} ({scheme.__module__}.{scheme.__qualname__})", scheme


def _is_guarded(scheme: type, found: QuashSettings) -> bool:
    if found.keeps_issuing:
        from rest_framework_simplejwt.settings import api_settings

        from .simplejwt import GuardedTokenMixin

        return all(issubclass(token, GuardedTokenMixin) for token in api_settings.AUTH_TOKEN_CLASSES)
    from .rest_framework import LiveAuthenticationMixin

    return issubclass(scheme, LiveAuthenticationMixin)


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
