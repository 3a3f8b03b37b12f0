"""Chromium at the pages of a real system: one server, three client apps, each its own process."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.system.conftest import Installation, installation

__all__ = ["installation"]  # the same system as the system tests', started by the launcher

CHROMIUM_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LOOPBACK = {"127.0.0.1", "localhost"}
PATIENCE_MS = 20_000


@dataclass
class Watched:
    """What a page did that it should not have."""

    console_errors: list[str] = field(default_factory=list)
    foreign_requests: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("console", lambda said: self._note_console(said.type, said.text))
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        page.on("request", lambda request: self._note_request(request.url))

    def _note_console(self, kind: str, text: str) -> None:
        # A refused answer and a server that was pulled on purpose are the network's news, not the page's mistakes.
        if kind == "error" and "Failed to load resource" not in text and "WebSocket connection" not in text:
            self.console_errors.append(text)

    def _note_request(self, url: str) -> None:
        address = urlsplit(url)
        if address.scheme not in ("data", "blob") and address.hostname not in LOOPBACK:
            self.foreign_requests.append(url)


def find_chromium() -> str | None:
    """Return the path of a Chromium on this machine."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        pytest.skip("Chromium is not installed, so the pages cannot be tried: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_OPTIONS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def links(installation: Installation) -> Sequence[str]:
    return installation.start()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open an address in a browser of its own; at the end nothing may have gone wrong in any page."""
    contexts: list[BrowserContext] = []
    watched = Watched()

    def open_in_new_browser(address: str, **options: object) -> Page:
        contexts.append(browser.new_context(**options))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        watched.watch(page)
        page.goto(address)
        return page

    yield open_in_new_browser
    for context in contexts:
        context.close()
    assert watched == Watched()
