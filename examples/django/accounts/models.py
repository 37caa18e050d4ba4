"""Users that sign in by e-mail."""

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models


class UserManager(BaseUserManager):
    def create_user(self, email, password=None, **fields):
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email, password=None, **fields):
        return self.create_user(email, password, is_staff=True, is_superuser=True, is_verified=True, **fields)


class User(AbstractUser):
    username = None
    email = models.EmailField(unique=True)
    is_verified = models.BooleanField(default=False, help_text="The user has followed the link in our mail.")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []
    objects = UserManager()


def name_of(request, credentials):
    """Returns the name of a failed sign-in for django-axes: Simple JWT calls it `email`, Django's form `username`."""
    return credentials and (credentials.get("email") or credentials.get("username"))
