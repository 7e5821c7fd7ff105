"""A tab of a headless Chromium, wide or narrow."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright (pip install playwright)")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium (Debian: apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        yield browser
        browser.close()


@pytest.fixture(params=[1280, 420])
def tab(browser: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A Playwright page of some width; at the end nothing may have complained, or come from elsewhere than a file."""
    tab = browser.new_page(viewport={"width": request.param, "height": 900})
    complaints: list[str] = []
    addresses: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda asked: addresses.append(asked.url))
    yield tab
    tab.close()
    assert not complaints
    assert all(address.startswith(("file:", "data:")) for address in addresses)
