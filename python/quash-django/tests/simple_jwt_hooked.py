"""The plugin of pytest that adds quash-django to the settings of Simple JWT's own tests.

Their transactions are never committed, so their changes of users end nothing. If they did, the refresh tokens of a
deleted and of a deactivated user would be refused before Simple JWT looks for the user: two tests expect its words.
"""

import os
from pathlib import Path
from typing import Any

import model
import pytest
from django.conf import LazySettings

_configure = LazySettings.configure


def configure(self: LazySettings, **options: Any) -> None:
    options["INSTALLED_APPS"] = (*options["INSTALLED_APPS"], "quash_django")
    options["QUASH"] = {"ISSUER": "https://issuer.test", "CREDENTIAL": "qn_test", "NAMESPACE": "shop"}
    _configure(self, **options)


LazySettings.configure = configure  # type: ignore[method-assign, assignment]


@pytest.fixture(autouse=True)
def _shop() -> Any:
    from quash_django import simplejwt
    from quash_django.client import shared_verifier

    assert simplejwt.is_installed()
    # That of `with_server` with this plugin.
    quash = model.Model()
    shared_verifier.install(quash)  # type: ignore[arg-type]
    yield
    shared_verifier.install(None)
    quash.close()
    if quash.accepted:
        with Path(os.environ["QUASH_ACCEPTED"]).open("a") as file:
            file.write("x" * quash.accepted)
