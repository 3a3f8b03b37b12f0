"""A whole client app in this process, and its clinicians' pages."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from flask.testing import FlaskClient

from client.factory import Client, create_app
from client.outbox import Outbox
from client.samples import SampleDeck
from common.messages import BROWSER_NAMESPACE
from config.settings import ClientSettings

ORIGIN = "http://localhost"


def now() -> datetime:
    return datetime.now(UTC)


class Desk:
    """One client app; ``open_page`` is what a browser does."""

    def __init__(self, settings: ClientSettings, outbox: Outbox, clock: Callable[[], datetime] = now) -> None:
        self.settings = settings
        self.client: Client = create_app(
            settings,
            outbox=outbox,
            samples=SampleDeck.of_file(settings.sample_data, random.SystemRandom()),
            clock=clock,
        )
        self.relay = self.client.relay

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

    def open_page(self, browser: FlaskClient) -> "Page":
        return Page(
            self.client.real_time.test_client(
                self.client.app, namespace=BROWSER_NAMESPACE, flask_test_client=browser, headers={"Origin": ORIGIN}
            )
        )


def _post(browser: FlaskClient, path: str, body: dict[str, str]) -> int:
    page = browser.get("/sign-in").get_data(as_text=True)
    csrf_token = page.partition('name="csrf-token" content="')[2].partition('"')[0]
    return browser.post(path, json=body, headers={"Origin": ORIGIN, "X-CSRFToken": csrf_token}).status_code


class Page:
    """The Socket.IO side of one open page."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._received: list[dict[str, Any]] = []

    @property
    def is_connected(self) -> bool:
        return bool(self._connection.is_connected())

    def submit(self, message: object) -> Any:
        """Submit a patient and return the acknowledgement."""
        return self._connection.emit("submit", message, callback=True)

    def news(self, event: str) -> Sequence[dict[str, Any]]:
        """Return what came with an event of that name so far."""
        self._received += self._connection.get_received()
        return [item["args"][0] for item in self._received if item["name"] == event]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_connected:
            self._connection.disconnect()
