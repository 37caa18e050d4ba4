"""Runs tests again with settings that are read when modules are imported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from servers import BINARY

needs_binary = pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it")


@pytest.mark.parametrize(
    ("tests", "environment"),
    [
        ("test_keep_issuing.py", {"SITE_BLACKLIST": ""}),
        pytest.param("test_keep_issuing.py", {"PYTEST_PLUGINS": "with_server"}, marks=needs_binary),
        ("test_locks.py", {"DJANGO_SETTINGS_MODULE": "locks_settings"}),
        ("test_custom_users.py", {"DJANGO_SETTINGS_MODULE": "custom_settings"}),
    ],
    ids=["without token_blacklist", "with a server, verified natively", "with axes and defender", "with another user model"],
)
def test_with_other_settings(tests: str, environment: dict[str, str]) -> None:
    tests_folder = str(Path(__file__).parent)
    path = os.pathsep.join(filter(None, [tests_folder, os.environ.get("PYTHONPATH")]))
    ended = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-q", f"tests/{tests}"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0 and " passed" in ended.stdout, ended.stdout
