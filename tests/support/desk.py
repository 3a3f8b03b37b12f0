"""A whole client app in this process, and its clinicians' pages."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from flask.testing import FlaskClient

from client.factory import Client, create_app
from client.outbox import Outbox
from client.samples import SampleDeck
from common.messages import BROWSER_NAMESPACE, Event
from config.settings import ClientSettings
from tests.support import speaking
from tests.support.serving import served

ORIGIN = "http://localhost"


def now() -> datetime:
    return datetime.now(UTC)


class Page(speaking.Page):
    """One open page."""

    def submit(self, message: object) -> Any:
        """Submit a patient and return the acknowledgement."""
        return self.ask(Event.SUBMIT, message)

    def states(self, count: int) -> list[tuple[str, str]]:
        """Read so many changes; return whose they are, and the states."""
        changes = [self.entry() for _ in range(count)]
        return [(change["request_id"], change["entry"]["state"]) for change in changes]


class Desk:
    """One client app."""

    def __init__(self, settings: ClientSettings, outbox: Outbox, clock: Callable[[], datetime] = now) -> None:
        self.settings = settings
        self.client: Client = create_app(
            settings,
            outbox=outbox,
            samples=SampleDeck.of_file(settings.sample_data, random.SystemRandom()),
            clock=clock,
        )
        self.relay = self.client.relay
        self._url = ""

    @contextmanager
    def open(self) -> Iterator[None]:
        """Serve it, so that pages can be opened; its link is stopped in the end, if it was started."""
        try:
            with served(self.client.app) as self._url:
                yield
        finally:
            if self.relay.is_running:
                self.relay.stop()

    def visitor(self) -> FlaskClient:
        """Return a browser that is not signed in."""
        return self.client.app.test_client()

    def clinician(self) -> FlaskClient:
        """Return a browser whose clinician followed the printed link."""
        browser = self.visitor()
        assert _post(browser, "/sign-in", {"token": self.settings.secrets.clinician_token}) == 204
        return browser

    def sign_out(self, browser: FlaskClient) -> int:
        """Sign out; return the HTTP status."""
        return _post(browser, "/sign-out", {})

    def page(self, browser: FlaskClient) -> Page:
        """Open a page; it is closed by its own ``close``."""
        name = self.client.app.config["SESSION_COOKIE_NAME"]
        cookie = browser.get_cookie(name)
        return Page(self._url, f"{name}={cookie.value}" if cookie else "", BROWSER_NAMESPACE)


def _post(browser: FlaskClient, path: str, body: dict[str, str]) -> int:
    page = browser.get("/sign-in").get_data(as_text=True)
    csrf_token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
    return browser.post(path, json=body, headers={"Origin": ORIGIN, "X-CSRFToken": csrf_token}).status_code
