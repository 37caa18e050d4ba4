"""The settings of the site that gunicorn serves. Only with SITE_GUARDED it has the lines of quash-django."""

import json
import os
from datetime import timedelta
from typing import Any

from site_settings import *  # noqa: F403
from site_settings import INSTALLED_APPS

ISSUER = os.environ["QUASH_URL"]
MODE = os.environ.get("SITE_MODE", "quash_issues")
GUARDED = bool(os.environ.get("SITE_GUARDED"))
ROOT_URLCONF = "worker_urls"
INSTALLED_APPS = [app for app in INSTALLED_APPS if GUARDED or app != "quash_django"]
CHECKS = "quash_django" if GUARDED and MODE == "quash_issues" else "rest_framework_simplejwt"
CLASS = "rest_framework.JWTAuthentication" if CHECKS == "quash_django" else "authentication.JWTAuthentication"
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": [f"{CHECKS}.{CLASS}"]}
if MODE == "quash_issues":
    _simple_jwt: dict[str, Any] = {"ALGORITHM": "ES256", "JWK_URL": f"{ISSUER}/.well-known/jwks.json"}
    QUASH = {"ISSUER": ISSUER, "MODE": MODE}
else:
    _simple_jwt = {"ACCESS_TOKEN_LIFETIME": timedelta(minutes=5), "ROTATE_REFRESH_TOKENS": True}
    QUASH = {"ISSUER": ISSUER, "NAMESPACE": "shop"}
SIMPLE_JWT = _simple_jwt
QUASH["WHEN_STALE"] = json.loads(os.environ.get("SITE_WHEN_STALE", '"introspect"'))
if "SITE_SESSIONS" in os.environ:
    SESSION_ENGINE = f"django.contrib.sessions.backends.{os.environ['SITE_SESSIONS']}"
    AUTHENTICATION_BACKENDS = ["quash_django.backends.QuashBackend"]
    MIDDLEWARE = [*MIDDLEWARE, "quash_django.middleware.SessionMiddleware"]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django.request": {"level": "CRITICAL"}, "quash_django": {"handlers": ["console"]}},
}
