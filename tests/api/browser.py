"""Debian's Chromium, driven by Playwright, with an eye on what a page asks for and complains about."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]

GONE = ("net::ERR_", "WebSocket connection to")
"""What Chromium says of a service that does not answer."""

needs_browser = pytest.mark.skipif(
    CHROMIUM is None or find_spec("playwright") is None,
    reason="no browser: needs the Python package playwright, and Debian's package chromium",
)


class Watched:
    """A page, the hosts that it asked, and its complaints, but for those about a service that was killed on purpose."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.hosts: set[str] = set()
        self.complaints: list[str] = []
        self.service_was_killed = False
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("websocket", lambda socket: self.hosts.add(urlsplit(socket.url).netloc))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        if message.type == "error" and not (self.service_was_killed and any(sign in message.text for sign in GONE)):
            self.complaints.append(f"{message.text} ({message.location.get('url')})")


@contextmanager
def browsing(width: int = 1280, height: int = 800, **options: Any) -> Iterator[Watched]:
    """A new browser with one page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield Watched(browser.new_page(viewport={"width": width, "height": height}, **options))
        finally:
            browser.close()
