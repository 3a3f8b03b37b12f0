"""Chromium at the pages of a real system: one server, three client apps, each its own process."""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.system.conftest import APPS, Installation, installed

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
PATIENCE_MS = 40_000
LONG_MS = 3 * PATIENCE_MS
"""Until a killed process is back and has caught up."""

LEVEL = re.compile("Low|Medium|High")

expect.set_options(timeout=PATIENCE_MS)


def watch(page: Page, wrong: list[str]) -> None:
    """Note what a page does that it should not: errors in its console, and requests to other machines."""

    def note_console(said: ConsoleMessage) -> None:
        # A refused answer and a server that was pulled on purpose are the network's news, not the page's mistakes.
        if said.type == "error" and not re.search("Failed to load resource|WebSocket connection", said.text):
            wrong.append(said.text)

    def note_request(request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("data", "blob") and address.hostname not in LOOPBACK:
            wrong.append(request.url)

    page.on("console", note_console)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", note_request)


def find_chromium() -> str:
    """Return the path of a Chromium on this machine; where there is none, the test is skipped."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or pytest.skip("Chromium is not installed, so the pages cannot be tried: apt-get install chromium")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = find_chromium()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=list(CHROMIUM_OPTIONS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def installation(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> Iterator[Installation]:
    """The system that most tests share, started by the launcher; what a test stops it starts again."""
    with installed(tmp_path_factory.mktemp("shared") / "project", detector_dir) as installation:
        yield installation


@pytest.fixture(autouse=True)
def mended(request: pytest.FixtureRequest) -> Iterator[None]:
    """Start again what a test has stopped and, because it failed, not started: the others share the system."""
    yield
    if "installation" in request.fixturenames:
        installation: Installation = request.getfixturevalue("installation")
        if not all(installation.is_running(app) for app in APPS):
            installation.start()


@pytest.fixture(scope="module")
def new_installation(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> Iterator[Installation]:
    """A system without patients, for the tests of one module."""
    with installed(tmp_path_factory.mktemp("own") / "project", detector_dir) as installation:
        yield installation


@pytest.fixture(scope="session")
def links(installation: Installation) -> Sequence[str]:
    return installation.start()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open an address in a browser of its own; at the end nothing may have gone wrong in any page."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def open_in_new_browser(address: str, **options: object) -> Page:
        contexts.append(browser.new_context(**options))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        watch(page, wrong)
        # Samples are drawn at random, so that one of them may come twice.
        question = page.locator("#duplicate")
        page.add_locator_handler(question, lambda: question.get_by_role("button", name="Analyze as a new").click())
        page.goto(address)
        return page

    yield open_in_new_browser
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def clinic(links: Sequence[str], open_page: OpenPage) -> Page:
    """The page of the first desk, connected: a reload would end a sign-in that is under way."""
    page = open_page(links[1])
    expect(page.locator("#link-state")).to_contain_text("Connected")
    return page


@pytest.fixture
def dashboard(links: Sequence[str], open_page: OpenPage) -> Page:
    page = open_page(links[0])
    expect(page.locator("#live-state")).to_contain_text("Live")
    return page


def load_sample(page: Page) -> None:
    page.get_by_role("button", name="Load Sample Patient Data").click()
    expect(page.locator("#entry-note")).to_contain_text("Sample loaded")  # what is there may be an earlier draft


def analyze_sample(page: Page, reference: str = "") -> None:
    load_sample(page)
    page.locator("#field-patient_reference").fill(reference)
    page.get_by_role("button", name="Analyze Patient Data").click()


def scrolls_sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))
