"""Changes of users on their way to quash, in the mode ``quash_issues``.

A change is a row of the outbox that names the account and what has changed, never a value. The values are read when the
row is sent, so a row that waits sends the newest ones, and no table has a second copy of a hash. Only a better hash of
the same password has its marks in the row, which tokens contain as well.
"""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import router
from django.db.models import signals

from ..conf import quash_settings
from . import accounts, outbox, saves
from .receivers import id_field, is_better_hash, new_values, old_values, user_models

_OLD = "_quash_pushed"
_CONFIRMED = "_quash_confirmed"
_SUBJECT = "_quash_subject"
_USERS = "_quash_users"
_is_discarding = False


def connect() -> None:
    """Connects to the signals of the user model."""
    for model in user_models():
        signals.pre_save.connect(_before_save, sender=model, dispatch_uid="quash_django.pushes")
        signals.post_save.connect(_after_receivers, sender=model, dispatch_uid="quash_django.pushes")
        signals.pre_delete.connect(_before_delete, sender=model, dispatch_uid="quash_django.pushes")
        signals.post_delete.connect(_after_delete, sender=model, dispatch_uid="quash_django.pushes")
    saves.connect(get_user_model(), _after_save)
    for through in _relations():
        signals.m2m_changed.connect(_relation_changed, sender=through, dispatch_uid="quash_django.pushes")


def push_user(user: Any) -> None:
    """Sends a user's values to quash once the transaction commits, as ``quash_import`` does.

    For changes that Django sends no signal of: ``QuerySet.update()``, SQL, and what ``CLAIMS`` or ``EMAIL_VERIFIED``
    reads in other tables. Does nothing where changes of users aren't sent.
    """
    if _is_on():
        _push(user, set(accounts.FIELDS), router.db_for_write(type(user), instance=user), is_new=True)


@contextmanager
def discarded() -> Iterator[None]:
    """Sends nothing, for tests without a server."""
    global _is_discarding
    former, _is_discarding = _is_discarding, True
    try:
        yield
    finally:
        _is_discarding = former


def _is_on() -> bool:
    return not _is_discarding and quash_settings().pushes_users


def _push(
    user: Any, fields: Set[str], using: str, *, is_new: bool = False, better_hash: tuple[str, str] | None = None
) -> None:
    subject = accounts.subjects([user], using, adds=is_new).get(user.pk)
    if fields and subject is not None:
        outbox.add_change(subject, fields, is_new=is_new, using=using, better_hash=better_hash)


def _push_new(user: Any, using: str) -> None:
    """Sends a new user. If quash has the account already, and nobody has set a password here, its own stays."""
    hashed = accounts.FIELDS if accounts.has_password(user) else accounts.FIELDS - {"password_hash"} | {"password_mark"}
    _push(user, hashed, using, is_new=True)


def _before_save(*, sender: Any, instance: Any, using: str, update_fields: Any, **_: Any) -> None:
    if _is_on():
        names = {id_field(sender), *(name for _field, name in _watched(sender))}
        instance.__dict__[_OLD] = old_values(sender, instance, using, update_fields, names)
        instance.__dict__[_CONFIRMED] = _confirmed_before(sender, instance, using, update_fields)


def _after_save(
    *, sender: Any, instance: Any, created: bool, raw: bool, using: str, update_fields: Any, **_: Any
) -> None:
    old = instance.__dict__.pop(_OLD, None)
    if not _is_on():
        return
    if created:
        _push_new(instance, using)
        return
    fields, better_hash = set(), None
    if quash_settings().claims and _may_matter(update_fields):
        # They may follow from any field; equal ones change nothing.
        fields.add("claims")
    if old is not None:
        new = new_values(sender, instance, raw, using, update_fields, old)
        fields |= {field for field, name in _watched(sender) if old[name] != new[name]}
        if "password_hash" in fields and is_better_hash(instance, old, new, update_fields):
            # Of the same password: it ends nothing, but nodes compare tokens with it. quash applies the new mark only
            # if it knows the hash before, which no signal may have told of.
            fields = fields - {"password_hash"} | {"password_mark"}
            better_hash = (accounts.mark_of(old["password"]), accounts.mark_of(new["password"]))
        if _renames_account(sender, old, new):
            outbox.add_deletion(str(old[id_field(sender)]), using=using)
            _push_new(instance, using)
            return
    _push(instance, fields, using, better_hash=better_hash)


def _after_receivers(*, instance: Any, using: str, **_: Any) -> None:
    """Sends the address if it counts as confirmed now. Another receiver may have written what tells so."""
    confirmed = instance.__dict__.pop(_CONFIRMED, None)
    if _is_on() and confirmed is not None and confirmed != _confirmed(instance):
        _push(instance, {"email"}, using)


def _renames_account(sender: Any, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Returns whether the user has another account from now on: the name in tokens has changed."""
    return quash_settings().user_by == "pk" and str(old[id_field(sender)]) != str(new[id_field(sender)])


def _before_delete(*, instance: Any, using: str, **_: Any) -> None:
    if _is_on():
        # Its row in quash_account is deleted before the user is.
        subjects = accounts.subjects([instance], using, adds=False)
        instance.__dict__[_SUBJECT] = subjects.get(instance.pk)


def _after_delete(*, instance: Any, using: str, **_: Any) -> None:
    subject = instance.__dict__.pop(_SUBJECT, None)
    if subject is not None:
        outbox.add_deletion(subject, using=using)


def _relation_changed(
    *, sender: Any, instance: Any, action: str, reverse: bool, model: Any, pk_set: Any, using: str, **_: Any
) -> None:
    """Sends the claims of users whose groups or permissions have changed."""
    if not _is_on() or not quash_settings().claims or action in ("pre_add", "pre_remove"):
        return
    if not reverse:
        if action != "pre_clear":
            _push(instance, {"claims"}, using)
        return
    users = model._default_manager.using(using)
    if action == "pre_clear":
        # Afterwards nothing tells whose group it was.
        name = next(field.name for field in model._meta.many_to_many if field.remote_field.through is sender)
        instance.__dict__[_USERS] = list(users.filter(**{name: instance}))
        return
    changed = instance.__dict__.pop(_USERS, []) if action == "post_clear" else users.filter(pk__in=pk_set)
    for user in changed:
        _push(user, {"claims"}, using)


def _confirmed_before(sender: Any, instance: Any, using: str, update_fields: Any) -> bool | None:
    """Returns whether a row's address is confirmed before it is saved; None if it is new, or if a field says so."""
    path = quash_settings().email_verified
    if path is None or path in _fields(sender) or instance.pk is None or not _may_matter(update_fields):
        return None
    old = sender._base_manager.using(using).filter(pk=instance.pk).first()
    return None if old is None else _confirmed(old)


def _confirmed(user: Any) -> bool:
    try:
        return accounts.has_confirmed(user)
    except ValueError as error:
        # The user is saved in any case.
        outbox.logger.warning("%s", error)
        return False


def _may_matter(update_fields: Any) -> bool:
    """Returns whether a function of the site may return another value after this save."""
    return update_fields is None or bool(set(update_fields) - {"last_login"})


def _watched(model: Any) -> list[tuple[str, str]]:
    """Returns the names of the model's fields, each after the name of the value that it gives an account."""
    names = [
        ("username", model.USERNAME_FIELD),
        ("email", accounts.address_field(model)),
        ("email", quash_settings().email_verified),
        ("password_hash", "password"),
        ("state", "is_active"),
    ]
    known = _fields(model)
    return [(field, name) for field, name in names if name in known]


def _fields(model: Any) -> set[str]:
    return {field.name for field in model._meta.concrete_fields}


def _relations() -> Iterator[Any]:
    for name in ("groups", "user_permissions"):
        try:
            yield get_user_model()._meta.get_field(name).remote_field.through  # type: ignore[union-attr]
        except FieldDoesNotExist:
            pass


apush_user = sync_to_async(push_user)
