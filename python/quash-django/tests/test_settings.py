"""The setting QUASH and the system checks: each mistake is reported with the setting and the remedy."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured

from quash_django.backends import QuashBackend
from quash_django.client import shared_verifier
from quash_django.conf import quash_settings
from quash_django.middleware import SessionMiddleware

GOOD = {"ISSUER": "https://id.example", "CREDENTIAL_FILE": "/run/secrets/quash", "MODE": "quash_issues"}


def findings(settings: Any, **changes: Any) -> dict[str, CheckMessage]:
    settings.QUASH = {name: value for name, value in {**GOOD, **changes}.items() if value != "absent"}
    return {str(message.id): message for message in run_checks(tags=["quash"])}


@pytest.mark.parametrize(
    ("changes", "id", "words"),
    [
        ({"ISSUER": "absent"}, "quash.E002", ["ISSUER", "https://"]),
        ({"ISSUER": "id.example"}, "quash.E003", ["ISSUER", "https://host"]),
        ({"ISSUER": "https://id.example:99999"}, "quash.E003", ["ISSUER", "https://host"]),
        ({"ALSO_AT": "https://b.example"}, "quash.E003", ["ALSO_AT", "list"]),
        ({"ALSO_AT": ["b.example"]}, "quash.E003", ["ALSO_AT", "https://host"]),
        ({"MODE": "keep_issueing"}, "quash.E003", ["MODE", "did you mean 'keep_issuing'"]),
        ({"WHEN_STALE": "alow"}, "quash.E003", ["WHEN_STALE", "'allow'"]),
        ({"WHEN_STALE": ("allow_young", -1)}, "quash.E003", ["WHEN_STALE", "seconds"]),
        ({"START_WITHIN": "10"}, "quash.E003", ["START_WITHIN", "3600"]),
        ({"START_WITHIN": True}, "quash.E003", ["START_WITHIN", "3600"]),
        ({"START_WITHIN": float("nan")}, "quash.E003", ["START_WITHIN", "3600"]),
        ({"END_ON": ["logout"]}, "quash.E003", ["END_ON", "did you mean 'log_out'"]),
        ({"SESSION_CLAIM": "jti"}, "quash.E003", ["SESSION_CLAIM", "another name"]),
        ({"SESSION_CLAIM": "qsq"}, "quash.E008", ["POSITION_CLAIM", "name of its own"]),
        ({"HOOK_SIMPLE_JWT": 1}, "quash.E003", ["HOOK_SIMPLE_JWT", "True or False"]),
        ({"USER_BY": "find"}, "quash.E003", ["USER_BY", "dotted path"]),
        ({"USER_BY": "site_urls.absent"}, "quash.E010", ["USER_BY", "dotted path"]),
        ({"CLAIMS": "nowhere.claims"}, "quash.E010", ["CLAIMS", "dotted path"]),
        ({"EMAIL_VERIFIED": "nowhere.verified"}, "quash.E010", ["EMAIL_VERIFIED", "dotted path"]),
        ({"EMAIL_VERIFIED": "is_verified"}, "quash.E010", ["EMAIL_VERIFIED", "no such field"]),
        ({"EMAIL_VERIFIED": "has_usable_password"}, "quash.E010", ["EMAIL_VERIFIED", "no such field"]),
        ({"PUSH_USERS": "yes"}, "quash.E003", ["PUSH_USERS", "True or False"]),
        ({"USER_BY": "user_functions.find"}, "quash.W007", ["USER_BY", "PUSH_USERS"]),
        ({"SECRETS": "secret"}, "quash.E003", ["SECRETS", "list"]),
        ({"CREDENTIAL": "qn_x"}, "quash.E004", ["CREDENTIAL_FILE", "remove one"]),
        ({"CREDENTIAL_FILE": "absent"}, "quash.E005", ["CREDENTIAL_FILE", "client add NAME --right feed", "accounts"]),
        ({"CREDENTIAL_FILE": "absent", "PUSH_USERS": False}, "quash.E005", ["quash verifier add"]),
        (
            {"CREDENTIAL_FILE": "absent", "MODE": "keep_issuing", "NAMESPACE": "shop"},
            "quash.E005",
            ["--namespace shop"],
        ),
        ({"MODE": "keep_issuing"}, "quash.E006", ["NAMESPACE", "[foreign.<name>]"]),
        ({"NAMESPACE": "shop"}, "quash.E006", ["NAMESPACE", "remove it"]),
        ({"ISSUER": "http://id.example"}, "quash.E007", ["http://id.example", "INSECURE_HTTP"]),
        ({"ISSUER": "http://127.evil.example"}, "quash.E007", ["http://127.evil.example", "INSECURE_HTTP"]),
        ({"ALSO_AT": ["http://127.0.0.1.evil.example:80/"]}, "quash.E007", ["evil.example", "INSECURE_HTTP"]),
        ({"ISSUER": "http://[::ffff:10.0.0.1]"}, "quash.E007", ["::ffff", "INSECURE_HTTP"]),
        ({"ISSUER": "https://dana:secret@id.example"}, "quash.E003", ["ISSUER", "https://host"]),
        ({"ISSUER": "https://id.example/?a=b"}, "quash.E003", ["ISSUER", "https://host"]),
        ({"WHEN_STALE": ("allow_young", 1e308)}, "quash.E003", ["WHEN_STALE", "1000000000 seconds"]),
        ({"USER_BY": "."}, "quash.E003", ["USER_BY", "dotted path"]),
        ({"CLAIMS": ".find"}, "quash.E003", ["CLAIMS", "dotted path"]),
        ({"EMAIL_VERIFIED": "."}, "quash.E003", ["EMAIL_VERIFIED", "dotted path"]),
        ({"CLAIMS": "user_functions"}, "quash.E003", ["CLAIMS", "dotted path"]),
        ({"CLAIMS": "django.contrib.auth"}, "quash.E010", ["CLAIMS", "module", "not a function"]),
        ({"USER_BY": "collections.Counter"}, "quash.E010", ["USER_BY", "a class, not a function"]),
        ({"EMAIL_VERIFIED": "broken_functions.verified"}, "quash.E010", ["EMAIL_VERIFIED", "ZeroDivisionError"]),
        ({"CREDENTIAL_FILE": "/nowhere/credential"}, "quash.W008", ["CREDENTIAL_FILE", "/nowhere", "client add NAME"]),
        ({"CREDENTIAL_FILE": "/dev/null"}, "quash.W008", ["CREDENTIAL_FILE", "empty", "client add NAME"]),
        ({"CREDENTIAL_FILE": "/"}, "quash.W008", ["CREDENTIAL_FILE", "directory", "client add NAME"]),
        ({"TOKEN_PATH": "api/token/"}, "quash.E003", ["TOKEN_PATH", "/api/token/"]),
        ({"ISUER": "https://id.example"}, "quash.E009", ["ISUER", "did you mean ISSUER?"]),
        ({"CREDENTIAL_FILE": "absent", "CREDENTIAL": "qn_x"}, "quash.W001", ["CREDENTIAL", "CREDENTIAL_FILE"]),
    ],
)
def test_mistakes_are_reported_with_the_remedy(settings: Any, changes: Any, id: str, words: list[str]) -> None:
    message = findings(settings, **changes)[id]
    for word in words:
        assert word in f"{message.msg}: {message.hint}"


@pytest.mark.parametrize("value", [None, "https://id.example", []])
def test_quash_must_be_a_dict(settings: Any, value: Any) -> None:
    settings.QUASH = value
    (message,) = run_checks(tags=["quash"])
    assert message.id == "quash.E001" and "ISSUER" in str(message.hint)


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"ISSUER": "http://127.0.0.1:8000"},
        {"ISSUER": "http://127.3.2.1"},
        {"ISSUER": "http://LOCALHOST:8000"},
        {"ISSUER": "http://[::1]:8000", "ALSO_AT": ["http://localhost"]},
        {"ISSUER": "http://x", "INSECURE_HTTP": True},
    ],
)
def test_good_settings_have_no_errors(settings: Any, good: Any) -> None:
    assert [id for id in findings(settings, **good) if ".E" in id] == []


class OwnBackend(QuashBackend):
    """That of a site."""


class OwnMiddleware(SessionMiddleware):
    """That of a site."""


@pytest.mark.parametrize("backend", ["quash_django.backends.QuashBackend", "test_settings.OwnBackend"])
def test_sessions_of_the_backend_must_be_checked(settings: Any, backend: str) -> None:
    settings.AUTHENTICATION_BACKENDS = ["nowhere.Backend", backend]
    message = findings(settings)["quash.E014"]
    assert "SessionMiddleware to MIDDLEWARE" in str(message.hint) and backend in message.msg
    for middleware in ("quash_django.middleware.SessionMiddleware", "test_settings.OwnMiddleware"):
        settings.MIDDLEWARE = ["nowhere.Middleware", middleware]
        assert "quash.E014" not in findings(settings)
    message = findings(settings, MODE="keep_issuing", NAMESPACE="shop")["quash.E013"]
    assert "'quash_issues'" in str(message.hint)


def test_a_credential_is_never_shown(settings: Any) -> None:
    findings(settings, CREDENTIAL_FILE="absent", CREDENTIAL="qn_hidden", SECRETS=["hidden too"])
    assert "hidden" not in repr(quash_settings())
    for message in findings(settings, CREDENTIAL=["qn_hidden"], SECRETS=["hidden too", 7]).values():
        assert "hidden" not in f"{message}"


def test_wrong_settings_stop_the_first_use(settings: Any) -> None:
    settings.QUASH = {"ISSUER": "nowhere", "MODE": "what"}
    with pytest.raises(ImproperlyConfigured, match="ISSUER.*https://.*MODE"):
        shared_verifier.verifier()


def test_a_missing_credential_file_is_named(settings: Any, tmp_path: Path) -> None:
    settings.QUASH = {**GOOD, "CREDENTIAL_FILE": tmp_path / "absent"}
    with pytest.raises(ImproperlyConfigured, match="CREDENTIAL_FILE.*absent"):
        shared_verifier.verifier()


def test_one_verifier_is_made_lazily(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "credential").write_text("qn_test\n")
    settings.QUASH = {**GOOD, "CREDENTIAL_FILE": str(tmp_path / "credential")}
    assert "verifier" not in shared_verifier._made
    assert shared_verifier.verifier() is shared_verifier.verifier()
    assert shared_verifier.verifier().state == "idle"


def test_django_starts_nothing(tmp_path: Path) -> None:
    code = (
        "import threading, django; django.setup();"
        "from django.core.wsgi import get_wsgi_application; get_wsgi_application();"
        "from django.core.management import call_command; call_command('check', verbosity=0);"
        "from quash_django.client import shared_verifier; assert not shared_verifier._made;"
        "import os; assert len(os.listdir('/proc/self/task')) == 1, os.listdir('/proc/self/task')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("quash", ["{}", "None", "{'ISSUER': 'https://id.example', 'MODE': 'keep_isuing'}"])
def test_wrong_settings_dont_leave_a_site_unguarded(quash: str) -> None:
    """gunicorn runs no system checks: the first token must fail rather than be accepted without asking."""
    code = (
        "import django; from django.conf import settings; settings.QUASH = QUASH; django.setup()\n"
        "from django.core.exceptions import ImproperlyConfigured\n"
        "from rest_framework_simplejwt.tokens import AccessToken\n"
        "try: AccessToken().verify()\n"
        "except ImproperlyConfigured as error: print(error)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code.replace("QUASH = QUASH", f"QUASH = {quash}")],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "site_settings", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0 and "QUASH" in ended.stdout, ended.stderr


def test_a_missing_credential_file_of_the_environment_is_named(settings: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("QUASH_CREDENTIAL_FILE", str(tmp_path / "absent"))
    assert "$QUASH_CREDENTIAL_FILE" in findings(settings, CREDENTIAL_FILE="absent")["quash.W008"].msg
    (tmp_path / "absent").write_text("qn_test")
    assert "quash.W008" not in findings(settings, CREDENTIAL_FILE="absent")


def test_unguarded_views_are_listed(settings: Any) -> None:
    message = findings(settings)["quash.W004"]
    assert "quash_django.rest_framework.JWTAuthentication instead of " in str(message.hint)
    stateless = "quash_django.rest_framework.JWTStatelessUserAuthentication"
    assert f"{stateless} instead of rest_framework_simplejwt" in str(message.hint)
    assert f"{stateless} as the base of site_urls.OwnStateless" in str(message.hint)
    assert "/unguarded/" in message.msg and "/now-unguarded/" in message.msg
    assert "/me/" not in message.msg and "/now-guarded/" not in message.msg


def test_views_that_quash_replaces_are_listed(settings: Any) -> None:
    assert "quash.W009" not in findings(settings)
    settings.ROOT_URLCONF = "keep_urls"
    message = findings(settings)["quash.W009"]
    assert "/token/, /token/blacklist/, /token/refresh/, /token/verify/" in message.msg and "/me/" not in message.msg
    assert "delete their paths" in str(message.hint) and "https://id.example, such as /api/token/" in str(message.hint)
    assert "quash.W009" not in findings(settings, MODE="keep_issuing", NAMESPACE="shop")


@pytest.mark.django_db
def test_migrations_match_the_models() -> None:
    from django.core.management import call_command

    call_command("makemigrations", "quash_django", check=True, dry_run=True, verbosity=0)


def test_unguarded_token_classes_are_listed(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from rest_framework_simplejwt.settings import api_settings

    from quash_django import simplejwt

    settings.ROOT_URLCONF = "keep_urls"
    keep = {"MODE": "keep_issuing", "NAMESPACE": "shop", "HOOK_SIMPLE_JWT": False}
    message = findings(settings, **keep)["quash.W004"]
    assert "/me/" in message.msg and "quash_django.simplejwt" in str(message.hint)
    monkeypatch.setattr(api_settings, "AUTH_TOKEN_CLASSES", [simplejwt.AccessToken], raising=False)
    assert "quash.W004" not in findings(settings, **keep)
    assert "quash.W004" not in findings(settings, **{**keep, "HOOK_SIMPLE_JWT": True})
