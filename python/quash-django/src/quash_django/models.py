"""The package's tables."""

from django.conf import settings
from django.db import models


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
