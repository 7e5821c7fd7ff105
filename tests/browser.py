"""A headless Chromium for tests, driven over its own pipe: nothing to install but the browser, and no network."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium (Debian: apt-get install chromium)")

KEYS = {"Tab": 9, "Enter": 13, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Page:
    """One tab, by Chromium's DevTools protocol.

    Attributes:
        complaints: what the console and the scripts complained of so far.
        errors: those of the complaints that are more than warnings.
        requests: the addresses asked for so far, other than data URIs.
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.to_browser, self.from_browser = to_browser, from_browser
        self.buffer = b""
        self.last_id = 0
        self.session: str | None = None
        self.seen: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self.errors: list[str] = []
        self.requests: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.last_id:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def open(self, address: str, width: int = 1280, height: int = 900) -> None:
        """Go to ``address`` in a window of the given size and wait until it is loaded."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.seen.clear()
        self.call("Page.navigate", url=address)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.seen):
            self._next()

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """What an element says."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def count(self, selector: str) -> int:
        """How many elements there are."""
        return int(self.run(f"document.querySelectorAll({json.dumps(selector)}).length"))

    def click(self, selector: str) -> None:
        """Click with the mouse in the middle of an element, wherever it is on the page."""
        x, y = self.run(
            f"""(() => {{ const found = document.querySelector({json.dumps(selector)});
            found.scrollIntoView({{block: "center", inline: "center"}}); const box = found.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2]; }})()"""
        )
        self.click_at(x, y)

    def click_at(self, x: float, y: float) -> None:
        """Click with the mouse at a point of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str) -> None:
        """Press a key of `KEYS`."""
        named = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        typed = {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **named, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **named)

    def screenshot(self, file: Path, *, whole: bool = True) -> None:
        """Write a PNG of the whole page, or of what the window shows."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(answer["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            received = os.read(self.from_browser, 1 << 20)
            assert received, "Chromium has gone"
            self.buffer += received
        message, _, self.buffer = self.buffer.partition(b"\0")
        event: dict[str, Any] = json.loads(message)
        self.seen.append(event)
        method, said = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self._complain("error", str(said["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self._complain(said["entry"]["level"], said["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self._complain(said["type"], str(said["args"]))
        elif method == "Network.requestWillBeSent" and not said["request"]["url"].startswith("data:"):
            self.requests.append(said["request"]["url"])
        return event

    def _complain(self, kind: str, text: str) -> None:
        if kind in ("error", "assert", "warning"):
            self.complaints.append(text)
        if kind in ("error", "assert"):
            self.errors.append(text)


@contextmanager
def chromium(folder: Path, *options: str) -> Iterator[Page]:
    """Start a Chromium whose profile is ``folder``; it ends with the block."""
    assert CHROMIUM is not None
    their_input, to_browser = os.pipe()
    from_browser, their_output = os.pipe()
    command = [
        "bash", "-c", f'exec "$0" "$@" 3<&{their_input} 4>&{their_output}', CHROMIUM, "--headless", "--no-sandbox",
        "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--remote-debugging-pipe", f"--user-data-dir={folder}",
        *options,
    ]  # fmt: skip
    with subprocess.Popen(
        command, pass_fds=(their_input, their_output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(their_input)
        os.close(their_output)
        try:
            page = Page(to_browser, from_browser)
            yield page
        finally:
            process.terminate()
            process.wait(timeout=20)
            os.close(to_browser)
            os.close(from_browser)
