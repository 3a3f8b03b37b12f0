"""The composition root of a client app: where its parts meet."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from flask import Flask

from client import api, form_api, metrics
from client.card_cache import ModelCards
from client.outbox import Outbox
from client.relay import Relay
from client.sockets import PagesNamespace
from common.errors import StoreUnavailableError
from common.web.app import make_app
from common.web.scrape import add_metrics
from common.web.sockets import RealTime
from config.settings import ClientSettings


@dataclass(frozen=True)
class Client:
    """A composed client app: the Flask app, its real-time side, and what is started and stopped."""

    app: Flask
    real_time: RealTime
    relay: Relay
    outbox: Outbox

    def stop(self) -> None:
        """End the link to the server, then close the outbox."""
        self.relay.stop()
        self.outbox.close()


def create_app(settings: ClientSettings, *, outbox: Outbox, clock: Callable[[], datetime]) -> Client:
    """Put a client app together from its parts."""
    secrets = settings.secrets
    app = make_app(
        "client",
        settings,
        audience=f"client_{settings.app_name}",
        title=settings.client_id,
        secret_key=secrets.secret_key,
        signed_out=lambda account: outbox.erase_draft(account.id),
        check_ready=outbox.check_writable,  # whether the server is there is not asked: patients can be queued
        clock=lambda: clock().timestamp(),
    )
    real_time = RealTime(app, settings)

    def nudge() -> None:
        pages.followers.nudge()  # the two need each other: pages show the relay's status

    relay: Relay = Relay(settings, outbox, nudge=nudge, clock=clock)
    pages: PagesNamespace = PagesNamespace(outbox, relay, clock)
    real_time.register(pages)
    cards = ModelCards(settings.server_url, secrets.token)
    app.register_blueprint(api.blueprint(settings.client_id, outbox, relay, cards, real_time))
    people = real_time.access.people
    with suppress(StoreUnavailableError):  # ``/readyz`` says it
        form_api.erase_old_drafts(outbox, people, clock())
    app.register_blueprint(form_api.blueprint(outbox, people, clock))
    add_metrics(app, settings, real_time, partial(metrics.outbox_metrics, relay, outbox, clock))
    return Client(app, real_time, relay, outbox)


def build(settings: ClientSettings) -> Client:
    """Make the client app of this environment, which opens its outbox.

    Raises
    ------
    InvalidDataError, ConfigurationError, StoreUnavailableError
        If the sample patients or the outbox cannot be used; the sentence says why.
    """
    outbox = Outbox(settings.data_dir / settings.app_name / "client.sqlite")
    return create_app(settings, outbox=outbox, clock=partial(datetime.now, UTC))
