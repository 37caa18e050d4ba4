"""The plugin of pytest that adds quash-django to the settings of Simple JWT's own tests.

Their transactions are never committed, so their changes of users end nothing. If they did, the refresh tokens of a
deleted and of a deactivated user would be refused before Simple JWT looks for the user: two tests expect its words.
"""

from typing import Any

import pytest
from django.conf import LazySettings
from model import Model

_configure = LazySettings.configure


def configure(self: LazySettings, **options: Any) -> None:
    options["INSTALLED_APPS"] = (*options["INSTALLED_APPS"], "quash_django")
    options["QUASH"] = {"ISSUER": "https://issuer.test", "CREDENTIAL": "qn_test", "NAMESPACE": "shop"}
    _configure(self, **options)


LazySettings.configure = configure  # type: ignore[method-assign, assignment]


@pytest.fixture(autouse=True)
def _shop() -> Any:
    from quash_django import _verifier, simplejwt

    assert simplejwt.is_installed()
    _verifier.install(Model())  # type: ignore[arg-type]
    yield
    _verifier.install(None)
