"""The smallest Django project with Simple JWT, as the benchmark's baseline. It rotates and blacklists tokens, and like
quash it answers only when the change is on disk. With PGDATABASE, its database is that one of PostgreSQL, which libpq
finds by its other variables, and whose commits wait for the disk; otherwise a file."""

import os
from datetime import timedelta
from pathlib import Path

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
# 64 bytes. Only for benchmarks: no other service accepts its tokens.
SECRET_KEY = "for-measuring-only-" + "x" * 45
ROOT_URLCONF = "urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
MIDDLEWARE = []
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "rest_framework_simplejwt",
    "rest_framework_simplejwt.token_blacklist",
]
POSTGRES = {
    "ENGINE": "django.db.backends.postgresql",
    "NAME": os.environ.get("PGDATABASE"),
    "CONN_MAX_AGE": None,
}
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": Path(__file__).resolve().parent / "db.sqlite3",
    "CONN_MAX_AGE": None,
    "OPTIONS": {
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
    },
}
DATABASES = {"default": POSTGRES if POSTGRES["NAME"] else SQLITE}
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(minutes=5),
    "REFRESH_TOKEN_LIFETIME": timedelta(days=1),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "ALGORITHM": "HS256",
    "SIGNING_KEY": SECRET_KEY,
}
