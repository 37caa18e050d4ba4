"""The pytest plugin: the fixture ``quash_issuer``."""

import pytest

from .testing import TestIssuer


@pytest.fixture
def quash_issuer() -> TestIssuer:
    """An in-memory issuer of the test's own."""
    return TestIssuer()
