"""Lets a Django site refuse ended sessions at their next request, with quash.

    INSTALLED_APPS += ["quash_django"]
    QUASH = {"ISSUER": "https://id.example.org", "CREDENTIAL_FILE": "/run/secrets/quash", "NAMESPACE": "shop"}

With ``MODE`` ``"keep_issuing"``, Simple JWT continues to issue the site's tokens, and log-outs, password changes,
deactivations and deletions end them. With ``"quash_issues"``, the site accepts quash's own tokens.
"""

__all__ = ["__version__"]

__version__ = "0.1.0"
