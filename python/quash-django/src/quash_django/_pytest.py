"""The pytest plugin: the fixture ``quash_issuer`` for Django sites."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from quash_verify.testing import TestIssuer


@pytest.fixture
def quash_site_issuer() -> "Iterator[TestIssuer]":
    """An in-memory issuer whose tokens the site accepts during the test."""
    from .testing import quash_issuer

    with quash_issuer() as issuer:
        yield issuer
