"""For a site's own tests: an issuer without a server, and a client that signs users in.

def test_orders(quash_site_issuer):                # the fixture of pytest
    client = QuashAPIClient(quash_site_issuer)
    token = client.login_as(user, role="clerk")
    quash_site_issuer.revoke_session(token)
    assert client.get("/orders/").status_code == 401
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

from django.test import Client
from quash_verify import WhenStale
from quash_verify.testing import TestIssuer
from rest_framework.test import APIClient

from .authentication import opened_sessions
from .changes import outbox, pushes
from .changes.endings import subject_of
from .client import shared_verifier
from .conf import quash_settings, sign_in_backend

__all__ = ["QuashAPIClient", "log_in", "quash_issuer"]


@contextlib.contextmanager
def quash_issuer(*, when_stale: WhenStale = "introspect") -> Iterator[TestIssuer]:
    """Lets the site accept an in-memory issuer's tokens, and revokes at once instead of after each transaction.

    A site that keeps issuing its tokens asks this issuer about them, and revokes there. Changes of users are sent
    nowhere.
    """
    issuer = TestIssuer(namespace=quash_settings().namespace)
    # The times of the site's own tokens must not be in the issuer's future.
    issuer.advance(max(0.0, time.time() - issuer.now()))
    former = shared_verifier.install(issuer.verifier(when_stale=when_stale))
    try:
        with outbox.sent_immediately(), pushes.discarded():
            yield issuer
    finally:
        installed = shared_verifier.install(former)
        if installed is not None:
            installed.close()


def log_in(client: Client, user: Any, issuer: TestIssuer) -> str:
    """Signs a user in with Django's session, as ``QuashBackend`` does, and returns a token of the same session."""
    token = issuer.token(subject_of(user))
    live = shared_verifier.verifier().check(token)
    opened_sessions.note(None, user, opened_sessions.names_of(live, live.expires_at))
    client.force_login(user, backend=sign_in_backend())
    return token


class QuashAPIClient(APIClient):
    """A test client whose requests carry a token of quash."""

    def __init__(self, issuer: TestIssuer, **defaults: Any) -> None:
        super().__init__(**defaults)
        self.issuer = issuer

    def login_as(self, user: Any, **claims: Any) -> str:
        """Signs a user in, in a session of its own, and returns the token. ``user`` may also be a subject."""
        from rest_framework_simplejwt.settings import api_settings

        field = api_settings.USER_ID_FIELD
        token = self.issuer.token(getattr(user, field) if hasattr(user, field) else user, **claims)
        self.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        return token
