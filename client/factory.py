"""The composition root of a client app: where its parts meet."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask

from client import api
from client.card_cache import ModelCards
from client.outbox import Outbox
from client.relay import STOPPED_WORKING, Relay
from client.samples import SampleDeck
from client.server_api import ServerApi
from client.sockets import PagesNamespace
from common.errors import InternalError
from common.web.app import make_app, trust_proxies
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


def create_app(
    settings: ClientSettings, *, outbox: Outbox, samples: SampleDeck, clock: Callable[[], datetime]
) -> Client:
    """Put a client app together from its parts."""
    secrets = settings.secrets
    app = make_app(
        "client",
        settings,
        audience=f"client_{settings.client_id.lower()}",
        title=settings.client_id,
        secret_key=secrets.secret_key,
        check_ready=lambda: _check_ready(outbox, relay),
        clock=lambda: clock().timestamp(),
    )
    real_time = RealTime(app, settings)

    def nudge() -> None:
        pages.followers.nudge()  # which need the relay to be made

    relay: Relay = Relay(settings, token=secrets.token, outbox=outbox, nudge=nudge, clock=clock)
    pages: PagesNamespace = PagesNamespace(outbox, relay, clock)
    real_time.register(pages)
    cards = ModelCards(ServerApi(settings.server_url, secrets.token), _folder(settings) / "model_cards")
    app.register_blueprint(api.blueprint(settings.client_id, outbox, relay, samples, cards, real_time=real_time))
    trust_proxies(app, settings.trusted_proxies)
    return Client(app, real_time, relay, outbox)


def build(settings: ClientSettings) -> Client:
    """Make the client app of this environment: read the sample patients and open the outbox.

    Raises
    ------
    InvalidDataError, ConfigurationError, StoreUnavailableError
        If one of them cannot be used; the sentence says why.
    """
    return create_app(
        settings,
        samples=SampleDeck.of_file(settings.sample_data, random.SystemRandom()),
        outbox=Outbox(_folder(settings) / "client.sqlite"),
        clock=lambda: datetime.now(UTC),
    )


def _folder(settings: ClientSettings) -> Path:
    return settings.data_dir / settings.client_id.lower()


def _check_ready(outbox: Outbox, relay: Relay) -> None:
    """Check that patients can be queued and will be sent; whether the server is there is not asked."""
    outbox.check_writable()
    if not relay.is_running:
        raise InternalError(STOPPED_WORKING)
