"""The site with quash: Simple JWT keeps issuing the tokens, and quash ends them."""

from .settings import *  # noqa: F403
from .settings import BASE_DIR, INSTALLED_APPS

INSTALLED_APPS += ["quash_django"]
QUASH = {
    "ISSUER": "http://127.0.0.1:7827",
    "CREDENTIAL_FILE": BASE_DIR / "credential",
    "NAMESPACE": "shop",
}
