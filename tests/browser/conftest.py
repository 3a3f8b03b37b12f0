"""Chromium at the pages of a real system: one server, three client apps, each its own process."""

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from common.access.accounts import People
from common.access.file import AccessFile, access_file
from common.access.passwords import password_hash
from common.access.roles import Role
from tests.support.llm_server import LanguageModel
from tests.support.truthful import explains
from tests.system.conftest import APPS, Installation, installed

CHROMIUM_OPTIONS = ["--disable-gpu", "--disable-quic"]
PATIENCE_MS = 40_000
LONG_MS = 3 * PATIENCE_MS
"""Until a killed process is back and has caught up."""

LEVEL = re.compile("Low|Medium|High")
ADA = "Ada <img src=x onerror=alert(1)>"
PASSWORD = "correct horse battery staple"
LINK_OF_ADA = "a-link-of-ada-with-more-than-thirty-two-characters"
ADMINISTRATOR = "a-token-of-administrators-chosen-by-hand"

expect.set_options(timeout=PATIENCE_MS)


def watch(page: Page, wrong: list[str]) -> None:
    """Note what a page does that it should not: errors in its console, and requests to other machines."""

    def note(what: str, *, is_wrong: bool = True) -> None:
        wrong.extend([what] * is_wrong)

    # A refused answer and a server that was pulled on purpose are the network's news, not the page's mistakes.
    usual = re.compile("Failed to load resource|WebSocket connection")
    here = re.compile(r"data:|blob:|\w+://(127\.0\.0\.1|localhost)[:/]")
    page.on("console", lambda said: note(said.text, is_wrong=said.type == "error" and not usual.search(said.text)))
    page.on("response", lambda answer: note(f"429 {answer.url}", is_wrong=answer.status == 429))
    page.on("pageerror", lambda error: note(str(error)))
    page.on("request", lambda request: note(request.url, is_wrong=not here.match(request.url)))


def find_chromium() -> str:
    """Return the path of a Chromium on this machine; where there is none, the test is skipped."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or pytest.skip("Chromium is not installed, so the pages cannot be tried: apt-get install chromium")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = find_chromium()
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def model() -> Iterator[LanguageModel]:
    with LanguageModel(explains) as model:
        yield model


@pytest.fixture(scope="session")
def installation(
    tmp_path_factory: pytest.TempPathFactory, detector_dir: Path, model: LanguageModel
) -> Iterator[Installation]:
    """The system that most tests share, started by the launcher; what a test stops it starts again."""
    settings = {"LLM_BASE_URL": model.url, "LLM_MODEL": "a/model", "ADMINISTRATOR_TOKEN": ADMINISTRATOR}
    settings["REQUESTS_PER_MINUTE"] = "100000"  # pages of many tests share a session
    with installed(tmp_path_factory.mktemp("shared") / "project", detector_dir, **settings) as installation:
        yield installation


@pytest.fixture(autouse=True)
def mended(request: pytest.FixtureRequest) -> Iterator[None]:
    """Start again what a test has stopped and, because it failed, not started: the others share the system."""
    yield
    if "installation" in request.fixturenames:
        installation: Installation = request.getfixturevalue("installation")
        if not all(installation.is_running(app) for app in APPS):
            installation.start()


@pytest.fixture(scope="session")
def links(installation: Installation) -> Sequence[str]:
    return installation.start()


class App:
    """A running app, where Ada has a password and a link."""

    def __init__(self, installation: Installation, name: str, link: str, role: Role) -> None:
        self.link, self.url = link, link.partition("/sign-in#")[0]
        self._path = access_file(installation.folder / ".local", name)
        people = People(AccessFile(self._path))
        people.set_password(people.add(ADA, role, LINK_OF_ADA, 0), password_hash(PASSWORD, ADA))

    def end_sessions(self) -> None:
        with closing(sqlite3.connect(self._path, timeout=20)) as connection, connection:
            connection.execute("DELETE FROM sessions")


@pytest.fixture(scope="session")
def client(installation: Installation, links: Sequence[str]) -> App:
    return App(installation, "client-1", links[1], Role.CLINICIAN)


@pytest.fixture(scope="session")
def server(installation: Installation, links: Sequence[str]) -> App:
    return App(installation, "server", links[0], Role.OPERATOR)


OpenPage = Callable[..., Page]


@pytest.fixture(scope="session")
def signed_in() -> dict[str, Any]:
    """The cookies of those who have signed in, by their links."""
    return {}


@pytest.fixture
def open_page(browser: Browser, signed_in: dict[str, Any]) -> Iterator[OpenPage]:
    """Open an address in a browser of its own, prepared if need be; in the end nothing may have gone wrong there."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def opened(address: str, prepare: Callable[[Page], object] = lambda _: None, **options: object) -> Page:
        usual = {"storage_state": signed_in.get(address), "reduced_motion": "reduce"}  # frames cost much here
        contexts.append(browser.new_context(**usual | options))  # type: ignore[arg-type]
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        watch(page, wrong)
        prepare(page)
        # Samples are drawn at random, so that one of them may come twice.
        question = page.locator("#duplicate")
        page.add_locator_handler(question, lambda: question.get_by_role("button", name="Analyze as a new").click())
        page.goto(address.partition("sign-in#")[0] if address in signed_in else address)
        if address in signed_in and "/sign-in" in page.url:  # that session was ended
            page.goto(address)
        if "#token=" in address:
            page.wait_for_url(lambda url: "/sign-in" not in url)
            signed_in[address] = page.context.storage_state()
        return page

    yield opened
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


def analyze_sample(page: Page, reference: str = "", **values: str) -> None:
    """Analyze a sample, with these values of it changed."""
    load_sample(page)
    for name, value in {"patient_reference": reference, **values}.items():
        page.locator(f"#field-{name}").fill(value)
    page.locator("#analyze").click()


def rows(dashboard: Page) -> Locator:
    return dashboard.locator("#prediction-rows tr")


def row(dashboard: Page, reference: str | None) -> Locator:
    return rows(dashboard).filter(has_text=reference)


def entry(clinic: Page, reference: str | None) -> Locator:
    """Return a patient's entry of the history."""
    return clinic.locator("#history-list li", has_text=reference)


def ids(dashboard: Page) -> list[str]:
    """Return the ids of the predictions that are listed."""
    found: list[str] = rows(dashboard).evaluate_all("rows => rows.map((row) => row.dataset.id)")
    return found


def scrolls_sideways(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))
