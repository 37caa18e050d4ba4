"""Calls functions in the transaction that writes a row.

Django sends ``post_save`` once the row is committed, unless the site has begun a transaction. If the process is killed
in between, or another receiver raises first, the change would exist without its revocation.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any

from django.db import router, transaction

from . import outbox

_FUNCTIONS = "_quash_saves"


def connect(model: Any, function: Callable[..., None]) -> None:
    """Calls ``function`` after each row of the model, its proxies and its subclasses is written, also from a fixture.

    It gets what receivers of ``post_save`` get, and if it raises, the row isn't written either.
    """
    if _FUNCTIONS not in model.__dict__:
        setattr(model, _FUNCTIONS, [])
        model._save_table = _in_one_transaction(model._save_table)
        model.save_base = _sending_afterwards(model.save_base)
    if function not in getattr(model, _FUNCTIONS):
        getattr(model, _FUNCTIONS).append(function)


def disconnect(model: Any, function: Callable[..., None]) -> None:
    """Undoes ``connect``, for tests."""
    if function in getattr(model, _FUNCTIONS, []):
        getattr(model, _FUNCTIONS).remove(function)


def _in_one_transaction(write: Callable[..., bool]) -> Callable[..., bool]:
    @wraps(write)
    def written(
        self: Any,
        raw: bool = False,
        cls: Any = None,
        force_insert: bool = False,
        force_update: bool = False,
        using: Any = None,
        update_fields: Any = None,
    ) -> bool:
        if cls is not self._meta.concrete_model:
            # The row of a parent: that of the model itself follows in the same transaction.
            return write(self, raw, cls, force_insert, force_update, using, update_fields)
        # A log-in writes nothing that matters, and needs no further queries.
        is_log_in = update_fields is not None and set(update_fields) <= {"last_login"}
        with nullcontext() if is_log_in else transaction.atomic(using=using, savepoint=False):
            is_updated = write(self, raw, cls, force_insert, force_update, using, update_fields)
            names = {"created": not is_updated, "raw": raw, "using": using, "update_fields": update_fields}
            for function in getattr(self, _FUNCTIONS):
                function(sender=type(self), instance=self, **names)
        return is_updated

    return written


def _sending_afterwards(save: Callable[..., None]) -> Callable[..., None]:
    """Sends after the receivers of ``post_save``: what ``CLAIMS`` reads may be written by one of them."""

    @wraps(save)
    def saved(self: Any, *args: Any, **options: Any) -> None:
        using = options.get("using") or router.db_for_write(type(self), instance=self)
        with outbox.sent_afterwards(using):
            save(self, *args, **options)

    return saved
