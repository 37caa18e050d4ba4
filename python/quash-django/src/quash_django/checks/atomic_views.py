"""Finds views that change a password and issue tokens within the transaction of ``ATOMIC_REQUESTS``.

Tokens of such a view are revoked at once. The old sessions must end after the change is committed, because otherwise a
client could sign in with the old password in between; and all tokens issued before that end with them. This module
searches the names in a view's code; ``changes.outbox.is_waiting`` finds the other calls when they happen.
"""

from collections.abc import Iterator
from inspect import unwrap
from types import CodeType, FunctionType
from typing import Any

ISSUING = frozenset({"for_user"})
"""Names in code that issues tokens for a user. Simple JWT's own views check a password, and change none."""

CHANGING = frozenset(
    {"set_password", "set_unusable_password", "make_password", "SetPasswordForm", "PasswordChangeForm"}
)
"""Names in code that changes a password."""

DEPTH = 3
"""The number of nested calls of the site's own functions that are followed."""

NEW = ("create", "perform_create", "register", "sign_up", "signup")
"""Beginnings of the names of functions that create a user, who has no old sessions."""

_FOREIGN = ("django.", "rest_framework.", "rest_framework_simplejwt.", "quash_django.", "builtins")


def is_in_transaction(callback: Any, using: str) -> bool:
    """Returns whether Django calls a view within a transaction, where ``ATOMIC_REQUESTS`` is set."""
    return using not in getattr(callback, "_non_atomic_requests", ())


def issues_and_changes(callback: Any, view: Any) -> bool:
    """Returns whether a view issues tokens and changes a password, as far as its code tells."""
    names: set[str] = set()
    for function in _functions(callback, view):
        _collect(function, names, set(), DEPTH)
    return bool(names & ISSUING) and bool(names & CHANGING)


def _functions(callback: Any, view: Any) -> Iterator[FunctionType]:
    """Returns the functions of a view, and those of its serializer and its form."""
    if view is None:
        function = unwrap(callback)
        if isinstance(function, FunctionType):
            yield function
        return
    for owner in (view, getattr(view, "serializer_class", None), getattr(view, "form_class", None)):
        for base in owner.__mro__ if isinstance(owner, type) else ():
            if not _is_foreign(base.__module__):
                yield from (member for member in vars(base).values() if isinstance(member, FunctionType))


def _collect(function: FunctionType, names: set[str], seen: set[FunctionType], depth: int) -> None:
    if function in seen:
        return
    seen.add(function)
    own = set(_names(function.__code__))
    is_new = function.__name__.startswith(NEW) or "create_user" in own
    names |= own - CHANGING if is_new else own
    if depth == 0:
        return
    for name in own:
        called = function.__globals__.get(name)
        if isinstance(called, FunctionType) and not _is_foreign(called.__module__):
            _collect(called, names, seen, depth - 1)
        elif isinstance(called, type) and not _is_foreign(called.__module__):
            for member in vars(called).values():
                if isinstance(member, FunctionType):
                    _collect(member, names, seen, depth - 1)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _is_foreign(module: str) -> bool:
    return f"{module}.".startswith(_FOREIGN)
