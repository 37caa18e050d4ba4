"""The events that end sessions: log-outs, and changes of the user model's rows."""

import logging
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import get_hasher, identify_hasher, is_password_usable
from django.contrib.auth.signals import user_logged_out
from django.core.exceptions import ImproperlyConfigured
from django.db.models import signals

from ..conf import quash_settings, user_id_field
from . import marks, outbox, saves
from .endings import end_blacklisted, end_session, end_subjects, subject_of

logger = logging.getLogger("quash_django")

_OLD = "_quash_old"


def connect() -> None:
    """Connects to the events."""
    user_logged_out.connect(_logged_out, dispatch_uid="quash_django")
    for model in user_models():
        # A receiver for every sender would slow down the deletion of all other models.
        signals.pre_save.connect(_before_save, sender=model, dispatch_uid="quash_django")
        # Deletions send it in their transaction.
        signals.post_delete.connect(_after_delete, sender=model, dispatch_uid="quash_django")
    saves.connect(get_user_model(), _after_save)
    if apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken

        saves.connect(BlacklistedToken, _blacklisted)
    connect_locks()


def connect_locks() -> None:
    """Connects to lock-outs, which end sessions in both modes: at Django's own log-in nothing else tells quash."""
    if apps.is_installed("axes"):
        from axes.signals import user_locked_out

        user_locked_out.disconnect(dispatch_uid="quash_django")
        user_locked_out.connect(_axes_locked, dispatch_uid="quash_django")
        # First, because sites refuse a locked name by raising in a receiver, which stops those after it.
        with user_locked_out.lock:
            user_locked_out.receivers.insert(0, user_locked_out.receivers.pop())
    if apps.is_installed("defender"):
        from defender.signals import username_block

        username_block.connect(_defender_blocked, dispatch_uid="quash_django")


def disconnect() -> None:
    """Disconnects from the events, for tests."""
    user_logged_out.disconnect(dispatch_uid="quash_django")
    for model in user_models():
        for signal in (signals.pre_save, signals.post_delete):
            signal.disconnect(sender=model, dispatch_uid="quash_django")
    saves.disconnect(get_user_model(), _after_save)
    if apps.is_installed("rest_framework_simplejwt.token_blacklist"):
        from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken

        saves.disconnect(BlacklistedToken, _blacklisted)
    if apps.is_installed("axes"):
        from axes.signals import user_locked_out

        user_locked_out.disconnect(dispatch_uid="quash_django")
    if apps.is_installed("defender"):
        from defender.signals import username_block

        username_block.disconnect(dispatch_uid="quash_django")


def user_models() -> Iterator[type]:
    """Returns the user model with its proxies and subclasses, which send signals of their own."""
    user_model = get_user_model()
    return (model for model in apps.get_models(include_auto_created=True) if issubclass(model, user_model))


def _ends_on(event: str) -> bool:
    return event in quash_settings().end_on


def _logged_out(*, request: Any, **_: Any) -> None:
    if _ends_on("log_out") and request is not None:
        end_session(request)


def _blacklisted(*, instance: Any, created: bool, using: str, **_: Any) -> None:
    if created:
        end_blacklisted(instance, using=using)


def _before_save(*, sender: Any, instance: Any, using: str, update_fields: Any, **_: Any) -> None:
    instance.__dict__[_OLD] = old_values(sender, instance, using, update_fields, _watched(sender))


def _after_save(*, sender: Any, instance: Any, raw: bool, using: str, update_fields: Any, **_: Any) -> None:
    old = instance.__dict__.pop(_OLD, None)
    if old is None:
        # A new user, or a change of other fields.
        return
    new = new_values(sender, instance, raw, using, update_fields, old)
    reason = _reason(instance, old, new, update_fields)
    id_name = id_field(sender)
    subjects = {str(old[id_name]), str(new[id_name])}
    if reason is not None:
        end_subjects(sorted(subjects), reason, using=using)
    if using != outbox.database():
        # `quash_reconcile` doesn't read this database.
        return
    is_other = old.get("password") != new.get("password")
    if is_other and reason is None and is_better_hash(instance, old, new, update_fields):
        # A change before it, which no signal has told of, remains to be found.
        marks.replace(str(new[id_name]), old["password"], new["password"])
    elif is_other or old.get("is_active") != new.get("is_active") or reason:
        marks.update(subjects, str(new[id_name]), new.get("password"), bool(new.get("is_active", True)))


def old_values(sender: Any, instance: Any, using: str, update_fields: Any, names: set[str]) -> dict[str, Any] | None:
    """Returns the values that a row has before it is saved; None if it is new or none of them is written."""
    if instance.pk is None or update_fields is not None and not names & set(update_fields):
        return None
    old: dict[str, Any] | None = sender._base_manager.using(using).filter(pk=instance.pk).values(*names).first()
    return old


def new_values(
    sender: Any, instance: Any, raw: bool, using: str, update_fields: Any, old: dict[str, Any]
) -> dict[str, Any]:
    """Returns the values that a row has since it was saved."""
    written = {name for name in old if update_fields is None or name in update_fields}
    new = {name: getattr(instance, name) if name in written else old[name] for name in old}
    # A fixture's row of a subclass leaves the row of its parent as it is.
    if raw or any(hasattr(value, "resolve_expression") for value in new.values()):
        new = sender._base_manager.using(using).filter(pk=instance.pk).values(*old).get()
    return new


def _reason(instance: Any, old: dict[str, Any], new: dict[str, Any], update_fields: Any) -> str | None:
    if old.get("is_active") and not new.get("is_active") and _ends_on("deactivation"):
        return "deactivated"
    if not _ends_on("password"):
        return None
    id_name = id_field(type(instance))
    if str(old[id_name]) != str(new[id_name]):
        return "name_changed"
    if old.get("password") == new.get("password") or is_better_hash(instance, old, new, update_fields):
        return None
    return "password_changed"


def is_better_hash(instance: Any, old: dict[str, Any], new: dict[str, Any], update_fields: Any) -> bool:
    """Returns whether ``check_password`` has stored another hash of the same password.

    It sets ``_password`` to None first. A site that assigns ``make_password(…)`` doesn't set it.
    """
    if update_fields is None or set(update_fields) != {"password"} or instance.__dict__.get("_password", "") is not None:
        return False
    if not is_password_usable(old["password"]) or not is_password_usable(new["password"]):
        return False
    preferred = get_hasher()
    try:
        former, present = identify_hasher(old["password"]), identify_hasher(new["password"])
    except ValueError:
        return False
    if present.algorithm != preferred.algorithm:
        return False
    return former.algorithm != preferred.algorithm or preferred.must_update(old["password"])


def _after_delete(*, instance: Any, using: str, **_: Any) -> None:
    if _ends_on("deletion"):
        subject = subject_of(instance)
        end_subjects([subject], "deleted", using=using)
        if using == outbox.database():
            marks.forget([subject])


def _axes_locked(*, request: Any = None, username: str | None = None, **_: Any) -> None:
    from axes.helpers import get_lockout_parameters

    # A lock of addresses, or of a name from one address, must not let an attacker log users out.
    if username and "username" in get_lockout_parameters(request, {"username": username}):
        _locked_out(username)


def _defender_blocked(*, username: str | None = None, **_: Any) -> None:
    from defender import config

    if username and not config.LOCKOUT_BY_IP_USERNAME:
        _locked_out(username)


def _locked_out(username: str) -> None:
    if not _ends_on("lock_out"):
        return
    model = get_user_model()
    user = model._default_manager.filter(**{model.USERNAME_FIELD: username}).first()
    if user is None:
        return
    try:
        subject = subject_of(user)
    except ImproperlyConfigured as error:
        # The failed log-in must not become an error.
        logger.warning("the lock-out of the user %s ends no session: %s", user.pk, error)
        return
    end_subjects([subject], "locked" if quash_settings().keeps_issuing else "revoked")


def _watched(model: Any) -> set[str]:
    names = {field.name for field in model._meta.concrete_fields}
    return ({"password", "is_active"} & names) | {id_field(model)}


def id_field(model: Any) -> str:
    name = user_id_field()
    return str((model._meta.pk if name == "pk" else model._meta.get_field(name)).attname)
