"""The client app's page and HTTP API: each route checks who asks, calls, and returns."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from client.card_cache import ModelCards
from client.outbox import Outbox
from client.relay import Relay
from client.samples import SampleDeck
from common.access.audit import Action
from common.messages import PROTOCOL_VERSION
from common.patient import FIELDS
from common.web.query import limit_of_query
from common.web.sign_in import audited, signed_in
from common.web.sockets import RealTime

USUAL_ENTRIES = 50


def blueprint(
    client_id: str, outbox: Outbox, relay: Relay, samples: SampleDeck, cards: ModelCards, *, real_time: RealTime
) -> Blueprint:
    """Make the routes of one client app."""
    routes = Blueprint("client", __name__)

    @routes.get("/")
    @signed_in
    def dashboard() -> ResponseReturnValue:
        return render_template("client_dashboard.html", fields=FIELDS, client_id=client_id)

    @routes.get("/api/history")
    @signed_in
    @audited(Action.READ_HISTORY)
    def history() -> ResponseReturnValue:
        limit = limit_of_query(USUAL_ENTRIES)
        page = outbox.history(before=request.args.get("before") or None, limit=limit)
        return {
            "entries": page.entries,
            "next_before": page.entries[-1]["request_id"] if len(page.entries) >= limit else None,
            "log": page.place.log,
            "after": page.place.newest,
        }

    @routes.get("/api/sample")
    @signed_in
    def sample() -> ResponseReturnValue:
        dealt = samples.deal()
        return {"record": dealt.record.model_dump(mode="json"), "source": dealt.source}

    @routes.get("/api/status")
    @signed_in
    def status() -> ResponseReturnValue:
        return relay.status().to_wire() | {
            "client_id": client_id,
            "protocol": PROTOCOL_VERSION,
            "connections": real_time.connections,
        }

    @routes.get("/model")
    @routes.get("/model/<version>")
    @signed_in
    def model(version: str | None = None) -> ResponseReturnValue:
        card, note = cards.of(version)
        return render_template("model_card.html", card=card, place=client_id, note=note)

    return routes
