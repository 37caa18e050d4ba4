"""The package's tables."""

import uuid

from django.conf import settings
from django.db import models


def new_subject() -> str:
    """Returns a subject for an account that no user has yet."""
    return str(uuid.uuid4())


class QuashAccount(models.Model):
    """The account at quash of a user of this site, where ``USER_BY`` is ``"subject"``."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="quash_account", primary_key=True
    )
    subject = models.CharField(max_length=255, unique=True)

    class Meta:
        db_table = "quash_account"
        verbose_name = "account at quash"
        verbose_name_plural = "accounts at quash"

    def __str__(self) -> str:
        return self.subject


class QuashOutbox(models.Model):
    """A revocation or a change of a user that quash hasn't confirmed yet.

    It is written in the transaction of the change that causes it, so it exists exactly if the change does.
    """

    # Also the key by which quash recognizes a repetition.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    message = models.JSONField()
    at_ms = models.BigIntegerField(db_index=True)
    # The time of the first attempt to send it: tokens from later sign-ins stay valid, except those with an old position
    # from the five seconds after it. quash was away then, so no newer one was known.
    before_ms = models.BigIntegerField(null=True)
    # The reason for which quash refused it at the last attempt. Workers of an older version write rows without it.
    refusal = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "quash_outbox"
        verbose_name = "waiting message"
        verbose_name_plural = "waiting messages"

    def __str__(self) -> str:
        return str(self.id)

    def summary(self) -> str:
        """Returns what the message says, for operators."""
        if "account" in self.message:
            return f"account {self.message['account']}: {', '.join(self.message['fields'])}"
        return ", ".join(f"{name} {value}" for name, value in self.message.items() if name != "exp")


class QuashMark(models.Model):
    """A user as ``quash_reconcile`` saw it at its last run."""

    subject = models.CharField(primary_key=True, max_length=255)
    # A keyed hash of the password field.
    fingerprint = models.CharField(max_length=64)
    is_active = models.BooleanField()

    class Meta:
        db_table = "quash_mark"
        verbose_name = "mark"
        verbose_name_plural = "marks"

    def __str__(self) -> str:
        return self.subject
