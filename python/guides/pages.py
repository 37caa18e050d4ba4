"""Follows a guide as its reader does: takes the fenced blocks of the page in their order, in an empty directory.

- A block whose first line is ``# NAME`` with a name like ``main.py`` or ``site/urls.py`` is written to that file, and
  one with ``# NAME, at the end`` is appended to it. One with ``# NAME, in part`` shows lines that are in it.
- A block ``sh`` is typed into the reader's terminal, or into the one that its first line names, as in
  ``# terminal 2``. If a command still runs there, Ctrl-C ends it before.
- A block ``text`` is the whole output of the block before it or, with ``# terminal 2`` as its first line, what that
  terminal prints next, perhaps among other lines. ``…`` stands for any text.

Only ports and the places of installed packages differ from those of the reader. The examples are in ``~/quash``, the
reader's clone.
"""

import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("QUASH_TEST_BINARY", ROOT / "target/debug/quash"))
# Longer than anything here takes on a busy machine.
PATIENCE = 60.0
# The ports in the pages: quash's own, and the application's.
PORTS = ("7827", "8000")
# The number of the reader's terminal, which the pages don't name.
OWN = 0

_FILE = re.compile(r"# ([\w./-]+\.\w+)(, at the end|, in part)?")
_TERMINAL = re.compile(r"# terminal (\d+)\b.*")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
# Printed by bash before each prompt, with the status of the last command.
_PROMPT = re.compile(r"\x1e(\d+)\x1e")


class Block(NamedTuple):
    language: str
    text: str
    line: int


def blocks(page: str) -> Iterator[Block]:
    """Returns the fenced blocks of a page."""
    block: Block | None = None
    for number, line in enumerate(page.splitlines(), 1):
        if block is None and line.lstrip().startswith("```"):
            block = Block(line.strip("` "), "", number)
        elif block is not None and line.strip() == "```":
            yield block
            block = None
        elif block is not None:
            block = block._replace(text=f"{block.text}{line}\n")
    assert block is None, f"the block in line {block and block.line} doesn't end"


class Reader:
    """Follows a page in a directory of its own."""

    def __init__(self, room: Path) -> None:
        self._room = room
        self._ports = {port: str(_free_port()) for port in PORTS}
        self._terminals: dict[int, Terminal] = {}
        self._copy_examples()

    def follow(self, page: str) -> None:
        """Does what the page says. Raises ``AssertionError`` with the line of a block that fails."""
        try:
            for block in blocks(page):
                try:
                    self._do(block._replace(text=self._with_ports(block.text)))
                except AssertionError as error:
                    raise AssertionError(f"line {block.line}: {error}\n{self._seen()}") from error
        finally:
            for terminal in self._terminals.values():
                terminal.close()

    def _do(self, block: Block) -> None:
        first, _, rest = block.text.partition("\n")
        terminal = _TERMINAL.fullmatch(first)
        if block.language == "sh":
            self._terminal(int(terminal[1]) if terminal else OWN).type(block.text)
        elif block.language == "text":
            self._terminal(int(terminal[1]) if terminal else OWN).expect(rest if terminal else block.text)
        else:
            name = _FILE.fullmatch(first)
            assert name, f"the first line of a block {block.language!r} must name its file"
            path = self._room / name[1]
            if name[2] == ", in part":
                assert rest in path.read_text(), f"these lines aren't in {name[1]}"
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a" if name[2] else "w") as file:
                file.write(block.text)

    def _terminal(self, number: int) -> "Terminal":
        if number not in self._terminals:
            self._terminals[number] = Terminal(self._room, self._environment(), is_own=number == OWN)
        return self._terminals[number]

    def _with_ports(self, text: str) -> str:
        for page, real in self._ports.items():
            text = re.sub(rf"\b{page}\b", real, text)
        return text

    def _copy_examples(self) -> None:
        listed = subprocess.check_output(["git", "ls-files", "examples/django"], cwd=ROOT, text=True)
        for name in listed.splitlines():
            copy = self._room / "quash" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(self._with_ports((ROOT / name).read_text()))

    def _seen(self) -> str:
        return "\n".join(f"-- terminal {number}\n{terminal.output}" for number, terminal in self._terminals.items())

    def _environment(self) -> dict[str, str]:
        programs = [str(BINARY.parent), str(Path(sys.executable).parent), os.environ.get("PATH", "")]
        return {
            "PATH": os.pathsep.join(programs),
            "HOME": str(self._room),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "QUASH_LISTEN": f"127.0.0.1:{self._ports['7827']}",
            # The packages are installed here, and `pip install` of a page only checks that they are.
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.endswith("-packages")),
            "VIRTUAL_ENV_DISABLE_PROMPT": "1",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }


class Terminal:
    """A terminal in which bash runs."""

    def __init__(self, room: Path, environment: dict[str, str], *, is_own: bool) -> None:
        self._room = room
        self._is_own = is_own
        environment = environment | {"PS1": "", "PROMPT_COMMAND": r"printf '\036%d\036' $?"}
        self._bash, self._end = pty.fork()
        if not self._bash:
            try:
                os.chdir(room)
                # A shell that starts the tests in the background ignores Ctrl-C, and every child would.
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                os.execvpe("bash", ["bash", "--norc", "--noprofile", "--noediting", "-i"], environment)
            finally:
                os._exit(127)
        modes = termios.tcgetattr(self._end)
        modes[1] &= ~termios.OPOST
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(self._end, termios.TCSANOW, modes)
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        self.output = ""
        self._typed = self._typed_at = self._read = 0
        self._wait_for_prompt()

    def type(self, block: str) -> None:
        """Types commands, and in the reader's terminal waits for their end."""
        self._interrupt()
        self._typed_at = self._read = len(self.output)
        self._typed += 1
        script = self._room / f".{id(self)}-{self._typed}.sh"
        script.write_text(block)
        # As one line, so that no program of the block reads what was typed after it.
        os.write(self._end, f'. "{script}"\n'.encode())
        if self._is_own:
            status = self._wait_for_prompt()
            assert status == 0, f"the commands ended with {status}:\n{block}"

    def expect(self, text: str) -> None:
        """Compares the output in the reader's terminal; in another, waits for these lines among others."""
        if self._is_own:
            found = _PROMPT.sub("", self.output[self._read :]).strip()
            assert re.fullmatch(_pattern(text), found, re.DOTALL), f"expected:\n{text}\nfound:\n{found}"
            return
        for line in text.strip().splitlines():
            began = time.monotonic()
            while (found_at := re.compile(_pattern(line)).search(self.output, self._read)) is None:
                assert time.monotonic() - began < PATIENCE, f"in vain for {PATIENCE} s: {line}"
                self._receive()
            self._read = found_at.end()

    def close(self) -> None:
        """Ends what runs in it, and bash."""
        try:
            self._interrupt()
            os.write(self._end, b"exit\n")
        except (AssertionError, OSError):
            os.killpg(os.tcgetpgrp(self._end), signal.SIGKILL)
            os.kill(self._bash, signal.SIGKILL)
        os.waitpid(self._bash, 0)
        os.close(self._end)

    def _interrupt(self) -> None:
        self._receive(0)
        began, pressed = time.monotonic(), 0
        while self._prompt() is None:
            waited = time.monotonic() - began
            assert waited < PATIENCE, f"a command still runs {PATIENCE} s after Ctrl-C"
            # A program that was about to wait for input may miss the first one.
            if waited >= 10 * pressed:
                os.write(self._end, b"\x03")
                pressed += 1
            self._receive()

    def _wait_for_prompt(self) -> int:
        began = time.monotonic()
        while (prompt := self._prompt()) is None:
            assert time.monotonic() - began < PATIENCE, f"a command still runs after {PATIENCE} s"
            self._receive()
        return int(prompt[1])

    def _prompt(self) -> "re.Match[str] | None":
        return _PROMPT.search(self.output, self._typed_at)

    def _receive(self, within: float = 0.1) -> None:
        ready, _, _ = select.select([self._end], [], [], within)
        if ready:
            try:
                more = os.read(self._end, 65536).decode(errors="replace")
            except OSError as error:
                raise AssertionError("the terminal has ended") from error
            self.output = _COLOUR.sub("", self.output + more)


def _pattern(text: str) -> str:
    return re.escape(text.strip()).replace("…", ".*")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
