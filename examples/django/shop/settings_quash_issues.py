"""The site with quash: quash issues the tokens, and the site checks them."""

from .settings import *  # noqa: F403
from .settings import BASE_DIR, INSTALLED_APPS, REST_FRAMEWORK

INSTALLED_APPS += ["quash_django"]
QUASH = {
    "ISSUER": "http://127.0.0.1:7827",
    "CREDENTIAL_FILE": BASE_DIR / "credential",
    "MODE": "quash_issues",
    "EMAIL_VERIFIED": "is_verified",
}
REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"] = ["quash_django.rest_framework.JWTAuthentication"]
ROOT_URLCONF = "shop.urls_quash_issues"
