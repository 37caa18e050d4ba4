"""A headless Chromium with one page, controlled through two pipes with the DevTools protocol."""

import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from servers import PATIENCE

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)


class Loaded(NamedTuple):
    """An answer to a request of the page."""

    path: str
    status: int
    pid: str | None


class Chromium:
    def __init__(self, *rules: str) -> None:
        """Starts a browser that connects elsewhere, by rules such as ``MAP shop.example:80 127.0.0.1:8000``."""
        assert CHROMIUM is not None
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        # Chromium reads commands from file descriptor 3 and writes to 4; the shell redirects our pipes to them.
        start = ["sh", "-c", 'exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null', CHROMIUM]
        options = "--headless=new --remote-debugging-pipe --no-sandbox --disable-gpu --disable-dev-shm-usage "
        options += "--no-first-run --disable-background-networking --disable-component-update --disable-sync"
        more = [f"--user-data-dir={self._folder.name}", f"--host-resolver-rules={', '.join(rules)}", "about:blank"]
        self._process = subprocess.Popen(
            [*start, *options.split(), *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._messages: queue.Queue[dict[str, Any]] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._sent = 0
        self._session: str | None = None
        self.loaded: list[Loaded] = []
        # The headers of the page's requests, by path.
        self.sent_headers: dict[str, dict[str, str]] = {}
        self.complaints: list[str] = []
        target = self._ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._ask(f"{domain}.enable")

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._folder.cleanup()

    def open(self, url: str) -> None:
        self._ask("Page.navigate", url=url)
        self.until(lambda: self.evaluate("document.readyState") == "complete", f"{url} is loaded")

    def click(self, selector: str, times: int = 1) -> None:
        """Clicks in the middle of an element, with the mouse."""
        box = f"JSON.stringify(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        at = json.loads(self.evaluate(box))
        x, y = at["x"] + at["width"] / 2, at["y"] + at["height"] / 2
        for _ in range(times):
            for kind in ("mousePressed", "mouseReleased"):
                self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        self._ask("Input.insertText", text=text)

    def text(self, selector: str) -> str:
        text: str = self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")
        return text

    def evaluate(self, expression: str) -> Any:
        return self._ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        for _ in range(int(PATIENCE * 20)):
            if is_so():
                return
            self._drain(0.05)
        raise AssertionError(f"in vain for {PATIENCE} s: {what}; the page says {self.evaluate('document.body.innerText')}")

    def _ask(self, method: str, **params: Any) -> Any:
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\0")
        self._process.stdin.flush()
        while True:
            answer = self._messages.get(timeout=PATIENCE)
            if answer.get("id") == self._sent:
                assert "error" not in answer, f"{method}: {answer}"
                return answer["result"]
            self._note(answer)

    def _drain(self, within: float) -> None:
        try:
            self._note(self._messages.get(timeout=within))
            while True:
                self._note(self._messages.get_nowait())
        except queue.Empty:
            pass

    def _note(self, message: dict[str, Any]) -> None:
        params = message.get("params", {})
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.sent_headers[urlsplit(params["request"]["url"]).path] = params["request"]["headers"]
            case "Network.responseReceived":
                answer = params["response"]
                headers = {name.lower(): value for name, value in answer["headers"].items()}
                self.loaded.append(Loaded(urlsplit(answer["url"]).path, answer["status"], headers.get("x-pid")))
            # Failed loads, such as a 401, are no fault of the page.
            case "Log.entryAdded" if params["entry"]["level"] == "error" and params["entry"]["source"] != "network":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(params["exceptionDetails"]))

    def _read(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while part := os.read(self._process.stdout.fileno(), 65536):
            *whole, rest = (rest + part).split(b"\0")
            for message in whole:
                self._messages.put(json.loads(message))
