"""The settings of the sites under test. A test changes them with the fixture ``settings``."""

import os
from datetime import timedelta

SECRET_KEY = "a secret of the tests, with more than 32 bytes"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "site_urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("SITE_DATABASE", ":memory:")}}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "rest_framework",
    "drf_spectacular",
    "quash_django",
]
# For the sites that keep issuing. Whether the application is installed is read when Simple JWT is imported.
if os.environ.get("SITE_BLACKLIST", "1"):
    INSTALLED_APPS += ["rest_framework_simplejwt.token_blacklist"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
# Hashing with the real cost would only slow the tests down.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
]
SIMPLE_JWT = {"ACCESS_TOKEN_LIFETIME": timedelta(minutes=5)}
QUASH = {"ISSUER": "https://issuer.test", "CREDENTIAL": "qn_test", "MODE": "quash_issues"}
REST_AUTH = {"TOKEN_MODEL": None, "USE_JWT": True, "SESSION_LOGIN": True, "JWT_AUTH_HTTPONLY": False}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["dj_rest_auth.jwt_auth.JWTCookieAuthentication"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
STATIC_URL = "/static/"
