"""Checks of the views that the site's URLs lead to."""

import importlib.util
from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.db import connections
from django.urls import URLPattern, URLResolver, get_resolver

from ..changes import outbox
from ..conf import QuashSettings, read
from .atomic_views import is_in_transaction, issues_and_changes


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
        if is_in_transaction(callback, using) and issues_and_changes(callback, _class_of(callback))
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

        from ..simplejwt import GuardedTokenMixin

        return all(issubclass(token, GuardedTokenMixin) for token in api_settings.AUTH_TOKEN_CLASSES)
    from ..rest_framework import LiveAuthenticationMixin

    return issubclass(scheme, LiveAuthenticationMixin)
