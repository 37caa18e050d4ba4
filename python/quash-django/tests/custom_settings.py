"""The settings of a site with a user model of its own."""

from site_settings import *  # noqa: F403
from site_settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "custom_users"]
AUTH_USER_MODEL = "custom_users.Person"
