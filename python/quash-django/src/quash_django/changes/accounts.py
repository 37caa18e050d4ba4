"""Users of the site as accounts at quash."""

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import md5, sha256
from operator import attrgetter
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import is_password_usable
from django.core.exceptions import ImproperlyConfigured
from django.utils.crypto import salted_hmac

from ..conf import imported, quash_settings, user_id_field

FIELDS = frozenset({"username", "email", "password_hash", "state", "claims"})
"""The fields of a user that quash stores."""

NAME_CHARS = 150
"""The most characters of a name at quash."""


def values(
    user: Any, fields: Iterable[str] = FIELDS, *, is_verified: Callable[[Any], Any] | None = None
) -> dict[str, Any]:
    """Returns a user's values as quash expects them. Raises ``ValueError`` if the site's own function fails to."""
    wanted = set(fields)
    account: dict[str, Any] = {}
    if "username" in wanted:
        account["username"] = user.get_username()
    if "email" in wanted:
        account["email"] = address_of(user)
        if account["email"] is not None:
            account["email_verified"] = has_confirmed(user, is_verified)
    if "password_hash" in wanted or "password_mark" in wanted and has_password(user):
        # An unusable one as well: with Simple JWT's CHECK_REVOKE_TOKEN, tokens are compared with its text. Only a user
        # without a password has a mark alone: quash must know any password that this user has got since.
        account["password_hash"] = user.password or None
    elif "password_mark" in wanted:
        account["password_mark"] = mark_of(user.password)
    if "state" in wanted:
        account["state"] = "active" if getattr(user, "is_active", True) else "deactivated"
    if "claims" in wanted:
        claims = _claims(user)
        if claims is not None:
            account["claims"] = claims
    return account


def values_of_deleted(subject: str) -> dict[str, Any]:
    """Returns the values of an account whose user doesn't exist any more: another user may have its name and address.

    quash deletes no account at a request: a subject is never used again, but a site may undo a deletion, or give the key
    to another user, who must not get the password.
    """
    name = f"deleted: {subject}"
    if len(name) > NAME_CHARS:
        name = f"deleted: {sha256(subject.encode()).hexdigest()}"
    # Not `None`, which leaves a password that was chosen at quash if the site has none.
    digest = salted_hmac("quash_django.deleted", subject, algorithm="sha256").digest()
    hashed = hash_of_no_password("deleted", digest)
    return {"state": "deactivated", "email": None, "username": name, "password_hash": hashed}


def hash_of_no_password(salt: str, digest: bytes) -> str:
    """Returns a hash that quash takes for that of another password, and that no password matches."""
    return f"pbkdf2_sha256$1${salt}${b64encode(digest).decode()}"


def mark_of(hashed: str) -> str:
    """Returns the mark of a user's hash: what Simple JWT's CHECK_REVOKE_TOKEN compares tokens with."""
    return md5(hashed.encode(), usedforsecurity=False).hexdigest().upper()


def only_mark(user: Any) -> str:
    """Returns what quash takes in place of a hash that it doesn't support: no password matches."""
    return f"!mark${mark_of(user.password)}"


def has_password(user: Any) -> bool:
    """Returns whether Django compares passwords with the user's hash. It is empty for users of LDAP."""
    return bool(user.password) and is_password_usable(user.password)


def address_of(user: Any) -> str | None:
    """Returns a user's address, if there is one."""
    address = getattr(user, address_field(type(user)) or "", None)
    return str(address).strip() or None if address else None


def address_field(model: Any) -> str | None:
    """Returns the name of the field with a user's address, if the model has one."""
    name = model.get_email_field_name()
    return name if any(field.name == name for field in model._meta.concrete_fields) else None


def subjects(users: Sequence[Any], using: str, *, adds: bool) -> dict[Any, str]:
    """Returns the subject of each user's account, by the users' keys.

    With ``USER_BY`` ``"subject"``, a user without a row in ``quash_account`` gets one if ``adds`` says so, and is left
    out otherwise.
    """
    by = quash_settings().user_by
    if by == "pk":
        return {user.pk: str(getattr(user, user_id_field())) for user in users}
    if by != "subject":
        raise ImproperlyConfigured(
            "QUASH['USER_BY'] is a function, which doesn't tell the subject of a user: use 'pk' or 'subject'"
        )
    from ..models import QuashAccount, new_subject

    known = QuashAccount.objects.using(using)
    keys = [user.pk for user in users]
    found = dict(known.filter(pk__in=keys).values_list("pk", "subject"))
    missing = [QuashAccount(user_id=key, subject=new_subject()) for key in keys if key not in found]
    if missing and adds:
        known.bulk_create(missing, ignore_conflicts=True)
        # Another process may have been faster.
        found |= known.filter(pk__in=keys).values_list("pk", "subject")
    return found


def find(subject: str, using: str) -> Any:
    """Returns the user with an account's subject, or None."""
    users = get_user_model()._default_manager.using(using)
    name = "quash_account__subject" if quash_settings().user_by == "subject" else user_id_field()
    return users.filter(**{name: subject}).first()


def verification(name: str) -> Callable[[Any], Any]:
    """Returns the function that a dotted path names, or one that reads the field of this name.

    Raises ``ImportError`` if there is none.
    """
    if "." in name:
        return imported(name)
    if not has_field(name):
        raise ImportError(f"the user model has no field {name!r}")
    return attrgetter(name)


def has_field(name: str) -> bool:
    """Returns whether the user model has a field or a property of this name, and no method."""
    model = get_user_model()
    if any(field.name == name for field in model._meta.concrete_fields):
        return True
    return hasattr(model, name) and not callable(getattr(model, name))


def has_confirmed(user: Any, given: Callable[[Any], Any] | None = None) -> bool:
    """Returns whether a user's address is confirmed. Raises ``ValueError`` if the site's own function fails to."""
    path = quash_settings().email_verified
    if given is None and path is None:
        # Django has sent mails to the address, such as those that reset a password.
        return True
    return bool(_ask(given or _function("EMAIL_VERIFIED", verification, str(path)), user))


def _claims(user: Any) -> dict[str, Any] | None:
    path = quash_settings().claims
    if path is None:
        return None
    claims = _ask(_function("CLAIMS", imported, path), user)
    if not isinstance(claims, Mapping):
        raise ValueError(f"QUASH['CLAIMS'] returned a {type(claims).__name__} for the user {user.pk}: return a dict")
    return dict(claims)


def _function(setting: str, find: Callable[[str], Any], path: str) -> Any:
    try:
        return find(path)
    except ImportError as error:
        raise ValueError(f"QUASH[{setting!r}] can't be imported ({error})") from error


def _ask(function: Callable[[Any], Any], user: Any) -> Any:
    """Calls a function of the site. Its failure must hold up no other user."""
    try:
        return function(user)
    except Exception as error:
        name = f"{function.__module__}.{getattr(function, '__qualname__', function)}"
        raise ValueError(f"{name} failed for the user {user.pk}: {error!r}") from error
