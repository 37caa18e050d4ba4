"""Shared by the tests."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from log_in_site import the_site
from model import Model
from quash_verify.testing import TestIssuer
from servers import PASSWORD, Quash

from quash_django.apps import guard_keep_issuing, unguard
from quash_django.changes import outbox
from quash_django.client import shared_verifier
from quash_django.testing import quash_issuer as installed_issuer

ROOT = Path(__file__).resolve().parents[3]
BINARY = Path(os.environ.get("QUASH_TEST_BINARY", ROOT / "target/debug/quash"))
# Longer than anything here takes on a busy machine.
PATIENCE = 30.0

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def issuer() -> Iterator[TestIssuer]:
    """An in-memory issuer whose tokens the site accepts."""
    with installed_issuer() as issuer:
        yield issuer


@pytest.fixture
def shop_on_commit(settings: Any) -> Iterator[Model]:
    """A site that keeps issuing its tokens, in the namespace "shop"."""
    settings.ROOT_URLCONF = "keep_urls"
    settings.QUASH = {"ISSUER": "https://issuer.test", "CREDENTIAL": "qn_test", "NAMESPACE": "shop"}
    guard_keep_issuing(hook=True)
    model = Model()
    shared_verifier.install(model)  # type: ignore[arg-type]
    outbox._quiet_until = 0.0
    yield model
    shared_verifier.install(None)
    unguard()
    model.close()


@pytest.fixture
def shop(shop_on_commit: Model) -> Iterator[Model]:
    """The same, for tests that run in a transaction of their own: revocations are sent without waiting for its end."""
    with outbox.sent_immediately():
        yield shop_on_commit


@pytest.fixture
def dana(db: None) -> Any:
    return get_user_model().objects.create_user("dana", password="correct horse")


@pytest.fixture(scope="session")
def quash(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quash]:
    """A quash server at which dana signs in."""
    quash = Quash(tmp_path_factory.mktemp("quash"), "http.trusted_proxies=127.0.0.1,10.0.0.7")
    quash.run("account", "add", "dana", "--subject", "17", "--password-stdin", stdin=PASSWORD)
    quash.secret = quash.credential("site")
    yield quash
    quash.stop()


@pytest.fixture
def simple(settings: Any, quash: Quash) -> Iterator[Quash]:
    """A site whose users sign in at quash, with sessions in the database."""
    yield from the_site(settings, quash, "db")
