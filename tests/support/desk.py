"""A whole client app in this process, and its clinicians' pages."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from flask.testing import FlaskClient

from client.factory import Client, create_app
from client.outbox import Outbox
from common.messages import BROWSER_NAMESPACE, Event
from config.settings import ClientSettings
from tests.support import speaking
from tests.support.serving import served

NOW = partial(datetime.now, UTC)


class Page(speaking.Page):
    """One open page."""

    def submit(self, message: object) -> Any:
        """Submit a patient and return the acknowledgment."""
        return self.ask(Event.SUBMIT, message)


class Desk:
    """One client app."""

    def __init__(self, settings: ClientSettings, outbox: Outbox, clock: Callable[[], datetime] = NOW) -> None:
        self.settings = settings
        self.client: Client = create_app(settings, outbox=outbox, clock=clock)
        self.relay = self.client.relay
        self._url = ""

    @contextmanager
    def open(self) -> Iterator[None]:
        """Serve it, so that pages can be opened; its link is stopped in the end."""
        try:
            with served(self.client.app) as self._url:
                yield
        finally:
            self.relay.stop()
            self.client.real_time.stop()

    def visitor(self) -> FlaskClient:
        """Return a browser that is not signed in."""
        return self.client.app.test_client()

    def clinician(self) -> FlaskClient:
        """Return a browser whose clinician followed the printed link."""
        browser = self.visitor()
        page = browser.get("/sign-in").get_data(as_text=True)
        csrf_token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
        headers = {"Origin": "http://localhost", "X-CSRFToken": csrf_token}
        signed_in = browser.post("/sign-in", json={"token": self.settings.secrets.clinician_token}, headers=headers)
        assert signed_in.status_code == 204
        return browser

    def page(self, browser: FlaskClient) -> Page:
        """Open a page; it is closed by its own ``close``."""
        name = self.client.app.config["SESSION_COOKIE_NAME"]
        cookie = browser.get_cookie(name)
        return Page(self._url, f"{name}={cookie.value}" if cookie else "", BROWSER_NAMESPACE)
