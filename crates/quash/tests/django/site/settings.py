"""A typical site: Django REST framework with Simple JWT, SQLite, and no authentication of its own. Its settings of Simple
JWT are in `site_jwt.py`, which a test writes."""

from pathlib import Path

from site_jwt import SIMPLE_JWT  # noqa: F401

HERE = Path(__file__).resolve().parent

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = (HERE.parent / "django.secret").read_text().strip()
ROOT_URLCONF = "urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "rest_framework_simplejwt",
    "rest_framework_simplejwt.token_blacklist",
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / "db.sqlite3"}}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
}
