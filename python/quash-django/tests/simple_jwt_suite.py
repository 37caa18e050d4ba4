"""Runs Simple JWT's own tests without the hooks, with them, and with a real quash server and native verification, and
compares the results of each test.

    python tests/simple_jwt_suite.py [SDIST]

The tests are in Simple JWT's source distribution, which pip fetches into a temporary directory unless SDIST names the
file. Exits with 1 if any result differs.
"""

import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree
from pathlib import Path

from servers import BINARY

HERE = Path(__file__).resolve().parent
PACKAGE = "djangorestframework_simplejwt"


def fetched(room: Path) -> Path:
    version = importlib.metadata.version(PACKAGE)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--dest", str(room), f"{PACKAGE}=={version}"], check=True)
    return next(room.glob("*.tar.gz"))


def results(suite: Path, report: Path, what: str, *plugins: str) -> dict[str, str]:
    path = [str(suite), str(HERE), str(HERE.parent / "src")]
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:quash_django"]
    command += [word for plugin in plugins for word in ("-p", plugin)]
    ended = subprocess.run(
        [*command, f"--junitxml={report}", "tests"],
        cwd=suite,
        env={**environment, "PYTHONPATH": os.pathsep.join(path), "QUASH_ACCEPTED": str(report.with_suffix(".accepted"))},
        capture_output=True,
        text=True,
    )
    if not report.exists():
        sys.exit(ended.stdout + ended.stderr)
    print(f"{what}: {ended.stdout.strip().splitlines()[-1]}")
    found = {}
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        outcome = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), "passed")
        found[f"{case.get('classname')}::{case.get('name')}"] = outcome
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        sdist = Path(sys.argv[1]) if len(sys.argv) > 1 else fetched(room)
        with tarfile.open(sdist) as archive:
            archive.extractall(room, filter="data")
        suite = next(path.parent for path in room.glob("*/pytest.ini"))
        without = results(suite, room / "without.xml", "without the hooks")
        others = {"with the hooks": results(suite, room / "with.xml", "with the hooks", "simple_jwt_hooked")}
        accepted = 0
        if BINARY.exists():
            plugins = ("with_server", "simple_jwt_hooked")
            others["with a server"] = results(suite, room / "native.xml", "with a server", *plugins)
            accepted = len((room / "native.accepted").read_bytes())
            print(f"{accepted} tokens were verified natively")
        else:
            print(f"skipped the tests with a server: {BINARY} is missing")
    differences = [
        f"{case}: {without.get(case)} without the hooks, {found.get(case)} {what}"
        for what, found in others.items()
        for case in sorted(without | found)
        if without.get(case) != found.get(case)
    ]
    print(*differences, f"{len(without)} tests, {len(differences)} differences", sep="\n")
    # Tests that couldn't be read would be equal, too.
    is_empty = sum(outcome == "passed" for outcome in without.values()) < 100 or (BINARY.exists() and not accepted)
    sys.exit(bool(differences) or is_empty)


if __name__ == "__main__":
    main()
