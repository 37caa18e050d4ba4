"""Follows each guide for readers new to quash, with a real server and the real frameworks."""

import shutil
from pathlib import Path

import pytest
from pages import BINARY, ROOT, Reader

pytestmark = [
    pytest.mark.skipif(not BINARY.exists(), reason=f"needs {BINARY}: `cargo build` makes it"),
    *(pytest.mark.skipif(not shutil.which(tool), reason=f"needs {tool}") for tool in ("bash", "curl", "jq")),
]

PAGES = ["fastapi", "flask", "channels", "django", "while-quash-is-away"]


def test_a_wrong_page_is_noticed(tmp_path: Path) -> None:
    right = "```sh\necho one; sleep 0.1; echo two\n```\n\n```text\none…o\n```\n"
    in_file = "```python\n# a/b.py\nprint(1)\n```\n```sh\npython a/b.py\n```\n```text\n1\n```\n"
    elsewhere = "```sh\n# terminal 2\npython -c 'print(1, flush=True); input()'\n```\n```text\n# terminal 2\n1\n```\n"
    in_part = "```python\n# a/b.py, in part\nprint(1)\n```\n"
    Reader(tmp_path).follow(right + in_file + in_part + elsewhere + elsewhere)
    for wrong, line in (
        (right.replace("one…o", "one"), "line 5: expected"),
        (right + "```sh\necho three; false\n```\n", "line 8: the commands ended with 1"),
        (in_file.replace("# a/b.py\n", ""), "line 1: the first line of a block 'python' must name its file"),
        (in_file.replace("print(1)", "print(2)"), "line 8: expected"),
        (in_file + in_part.replace("print(1)", "print(2)"), "line 11: these lines aren't in a/b.py"),
        ("```sh\ntrue\n", "the block in line 1 doesn't end"),
    ):
        with pytest.raises(AssertionError, match=line):
            Reader(tmp_path).follow(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_a_reader_gets_what_the_page_says(page: str, tmp_path: Path) -> None:
    Reader(tmp_path).follow((ROOT / f"docs/guides/{page}.md").read_text())
