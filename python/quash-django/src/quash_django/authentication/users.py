"""The users of this site and the names of their accounts in quash's tokens, by the setting ``USER_BY``."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist, ValidationError

from ..conf import imported, quash_settings, user_id_field


def find(subject: str) -> Any:
    """Returns the user of this subject, or None."""
    by = quash_settings().user_by
    if by == "subject":
        return by_account(subject)
    if by != "pk":
        return imported(by)(subject)
    model = get_user_model()
    name = user_id_field()
    return model._default_manager.filter(**{name: subject}).first() if can_be(model, name, subject) else None


def by_account(subject: str) -> Any:
    """Returns the user of an account in the table ``quash_account``, or None."""
    from ..models import QuashAccount

    if "\0" in str(subject):
        return None
    account = QuashAccount.objects.filter(subject=subject).select_related("user").first()
    return account and account.user


def can_be(model: Any, name: str, value: str) -> bool:
    """Returns whether a field can have this value. With any other, a query would raise an error, and answer 500."""
    meta = model._meta
    try:
        field: Any = meta.pk if name == "pk" else meta.get_field(name)
        prepared = field.get_prep_value(value)
    except FieldDoesNotExist:
        return True
    except (TypeError, ValueError, OverflowError, ValidationError):
        return False
    return not (isinstance(prepared, str) and "\0" in prepared)
