"""Runs Simple JWT's own tests without and with the hooks, and compares the results of each test.

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

HERE = Path(__file__).resolve().parent
PACKAGE = "djangorestframework_simplejwt"


def fetched(room: Path) -> Path:
    version = importlib.metadata.version(PACKAGE)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
    subprocess.run([*command, "--dest", str(room), f"{PACKAGE}=={version}"], check=True)
    return next(room.glob("*.tar.gz"))


def results(suite: Path, report: Path, *, hooked: bool) -> dict[str, str]:
    path = [str(suite), str(HERE), str(HERE.parent / "src")]
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:quash_django"]
    command += ["-p", "simple_jwt_hooked"] if hooked else []
    ended = subprocess.run(
        [*command, f"--junitxml={report}", "tests"],
        cwd=suite,
        env={**environment, "PYTHONPATH": os.pathsep.join(path)},
        capture_output=True,
        text=True,
    )
    if not report.exists():
        sys.exit(ended.stdout + ended.stderr)
    print("with the hooks:   " if hooked else "without the hooks:", ended.stdout.strip().splitlines()[-1])
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
        without = results(suite, room / "without.xml", hooked=False)
        hooked = results(suite, room / "with.xml", hooked=True)
    differences = sorted(name for name in without | hooked if without.get(name) != hooked.get(name))
    for case in differences:
        print(f"{case}: {without.get(case)} without, {hooked.get(case)} with the hooks")
    print(f"{len(without)} tests, {len(differences)} differences")
    # Tests that couldn't be read would be equal, too.
    sys.exit(bool(differences) or sum(outcome == "passed" for outcome in without.values()) < 100)


if __name__ == "__main__":
    main()
