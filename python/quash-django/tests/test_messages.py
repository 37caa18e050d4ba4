"""The commands with a real quash server, or without one: each failure names the cause and the remedy."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from servers import BINARY, Quash

from quash_django.client import shared_verifier

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it"),
]
NAMESPACE = '[foreign.shop]\nnamespace = "shop"\nmax_lifetime = "2d"\n'


@pytest.fixture(scope="module")
def shop_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quash]:
    room = tmp_path_factory.mktemp("shop")
    (room / "quash.toml").write_text(NAMESPACE)
    quash = Quash(room, config=room / "quash.toml")
    quash.secret = quash.run("client", "add", "site", "--namespace", "shop").strip()
    yield quash
    quash.stop()


@pytest.fixture
def shop_site(shop_server: Quash, settings: Any, tmp_path: Path) -> Iterator[Any]:
    """Sets QUASH, with another credential or another address."""

    def change(**values: Any) -> None:
        settings.QUASH = {
            "ISSUER": shop_server.url,
            "CREDENTIAL_FILE": str(tmp_path / "credential"),
            "NAMESPACE": "shop",
            "START_WITHIN": 1,
            **values,
        }

    (tmp_path / "credential").write_text(shop_server.secret)
    change()
    yield change
    shared_verifier.install(None)


def check(capsys: Any) -> str:
    with pytest.raises(CommandError, match="failed"):
        call_command("quash_check")
    out: str = capsys.readouterr().out
    assert "cannot tell now" not in out and "quash verifier add" not in out
    return out


def test_an_unreachable_quash_is_named(shop_site: Any, capsys: Any) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        shop_site(ISSUER=address, ALSO_AT=["http://localhost:1/quash"])
        out = check(capsys)
        assert f"{address} can't be reached ([Errno 111] Connection refused); http://localhost:1/quash can't be" in out
        assert "start quash, or correct QUASH['ISSUER']" in out
        call_command("quash_status")
        assert f"{address} can't be reached" in capsys.readouterr().out


def test_another_service_at_the_address_is_named(shop_site: Any, shop_server: Quash, capsys: Any) -> None:
    shop_site(ISSUER=f"{shop_server.url}/elsewhere")
    assert f"{shop_server.url}/elsewhere answers 404 at /livez" in check(capsys)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "QUASH['CREDENTIAL_FILE'] is empty"),
        (None, "QUASH['CREDENTIAL_FILE'] can't be read: [Errno 2]"),
        ("root:x:0:0:root\nbin:x:1:1:bin", "the credential is malformed"),
        ("qn_" + "a" * 43, "doesn't know the credential"),
    ],
)
def test_a_wrong_credential_is_explained_once(
    shop_site: Any, tmp_path: Path, capsys: Any, text: str | None, words: str
) -> None:
    (tmp_path / "credential").unlink()
    if text is not None:
        (tmp_path / "credential").write_text(text)
    out = check(capsys)
    assert words in out and out.count("quash client add NAME --namespace shop") == 1 and "bin:x" not in out
    if text is None:
        for command in (["quash_status"], ["quash_revoke", "--session", "s-1"]):
            with pytest.raises(CommandError, match="CREDENTIAL_FILE.*can't be read"):
                call_command(*command)


def test_an_import_names_a_credential_that_imports(shop_site: Any, dana: Any, capsys: Any) -> None:
    with pytest.raises(CommandError, match="'quash_issues'.* --right feed .*--right accounts`"):
        call_command("quash_import", "--dry-run")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--where", "password__regex=[", "'password__regex=\\['"),
        ("--email-verified", ".", "--email-verified can't be used"),
        ("--email-verified", ".find", "--email-verified can't be used"),
        ("--email-verified", "collections.Counter", "a class, not a function"),
    ],
)
def test_an_import_names_a_wrong_option(shop_site: Any, dana: Any, option: str, value: str, words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command("quash_import", "--dry-run", option, value)


def test_revoke_names_an_empty_session(shop_site: Any) -> None:
    with pytest.raises(CommandError, match="--session is empty"):
        call_command("quash_revoke", "--session", "")


def test_a_verifier_that_does_not_confirm_is_listed(shop_site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site's own process isn't bound if it accepts tokens while it is stale."""
    shop_site(WHEN_STALE="allow")
    shared_verifier.verifier().warm()
    with pytest.raises(CommandError, match="1 not bound: `quash verifier list`.* an hour"):
        call_command("quash_revoke", "--session", "s-1", "--wait")
