"""Lets a Django site refuse ended sessions at their next request, with quash.

    INSTALLED_APPS += ["quash_django"]
    QUASH = {"ISSUER": "https://id.example.org", "CREDENTIAL_FILE": "/run/secrets/quash", "NAMESPACE": "shop"}

With ``MODE`` ``"keep_issuing"``, Simple JWT continues to issue the site's tokens, and log-outs, password changes,
deactivations and deletions end them. With ``"quash_issues"``, the site accepts quash's own tokens, and may sign
its users in there.

Sites use the modules of this folder. Its sub-packages are internal: ``client`` sends requests to quash, ``changes``
ends sessions and sends changed users, ``authentication`` finds the session, the token and the user of a request, and
``checks`` has the system checks.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .changes.endings import aend_session, aend_token, aend_user, end_session, end_token, end_user
    from .changes.pushes import apush_user, push_user

__all__ = [
    "__version__",
    "aend_session",
    "aend_token",
    "aend_user",
    "apush_user",
    "end_session",
    "end_token",
    "end_user",
    "push_user",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Django imports this package before its models can be imported, and these modules need them.
    if name in __all__:
        from .changes import endings, pushes

        return getattr(pushes if name.endswith("push_user") else endings, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
