"""What the tests share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from quash_verify.testing import TestIssuer

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
