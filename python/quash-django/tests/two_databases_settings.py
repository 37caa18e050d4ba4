"""The settings of a site whose users are in another database than the rest. A test chooses the router."""

import os
from typing import Any

from cheap_hashers import CHEAP
from worker_settings import *  # noqa: F403
from worker_settings import DATABASES

PASSWORD_HASHERS = CHEAP
DATABASES = {**DATABASES, "users": {**DATABASES["default"], "NAME": os.environ["SITE_DATABASE"] + ".users"}}
DATABASE_ROUTERS = [f"two_databases_settings.{os.environ['SITE_ROUTER']}"]


class Users:
    """Users in a database of their own."""

    there = {"auth", "contenttypes"}

    def db_for_read(self, model: Any, **_: Any) -> str:
        return "users" if model._meta.app_label in self.there else "default"

    db_for_write = db_for_read

    def allow_relation(self, one: Any, other: Any, **_: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool:
        return (db == "users") == (app_label in self.there)


class UsersAndOutbox(Users):
    """The same, with the tables of quash_django."""

    there = {*Users.there, "quash_django"}


class AsWritten(Users):
    """All tables are in both databases, and the site names one with each save."""

    def db_for_read(self, model: Any, **_: Any) -> str:
        return "default"

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool:
        return True
