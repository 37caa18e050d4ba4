"""A user model whose key is a UUID, with a proxy and a subclass."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


class Person(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)


class Proxy(Person):
    class Meta:
        proxy = True


class Staff(Person):
    desk = models.CharField(max_length=20)
