"""The client app's page and HTTP API: each route checks who asks, calls, and returns."""

from collections.abc import Mapping

from flask import Blueprint, current_app, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from client.answers import ClientAppStatus, DealtSample, History
from client.card_cache import FoundCard, ModelCards
from client.outbox import Outbox
from client.relay import Relay
from client.samples import SampleDeck
from common.access.audit.trail import Action
from common.messages import PROTOCOL_VERSION
from common.patient import FIELDS
from common.web.model_card_page import model_card_page
from common.web.openapi import described, number
from common.web.query import limit_of_query, number_of_query
from common.web.realtime import RealTime
from common.web.sign_in import is_signed_in, require_sign_in

AUDITED: Mapping[str, Action] = {"client.history": Action.READ_HISTORY}
"""What goes into the audit trail, by endpoint; live connections and patients entered besides."""

USUAL_ENTRIES = 50


def blueprint(
    client_id: str, outbox: Outbox, relay: Relay, samples: SampleDeck, cards: ModelCards, *, real_time: RealTime
) -> Blueprint:
    """Make the routes of one client app."""
    routes = Blueprint("client", __name__)

    @routes.get("/")
    def dashboard() -> ResponseReturnValue:
        if not is_signed_in(current_app.config):
            return redirect(url_for("sign_in.page"))
        return render_template("client_dashboard.html", fields=FIELDS, client_id=client_id)

    @routes.get("/api/history")
    @described("The history, newest first.", History, query={"limit": number(1), "before": number()})
    def history() -> ResponseReturnValue:
        require_sign_in(current_app.config)
        limit = limit_of_query(USUAL_ENTRIES)
        erasures = (
            outbox.erasures()
        )  # before the entries: what is erased in between is then noticed at the next request
        entries = outbox.history(before=number_of_query("before"), limit=limit)
        return {
            "entries": [entry.to_wire() for entry in entries],
            "next_before": entries[-1].outbox_number if len(entries) >= limit else None,
            "erasures": erasures,
        }

    @routes.get("/api/sample")
    @described("A real patient to try the page with.", DealtSample)
    def sample() -> ResponseReturnValue:
        require_sign_in(current_app.config)
        dealt = samples.deal()
        return {"record": dealt.record.model_dump(mode="json"), "source": dealt.source}

    @routes.get("/api/status")
    @described("How the client app and its link to the server are.", ClientAppStatus)
    def status() -> ResponseReturnValue:
        require_sign_in(current_app.config)
        return relay.status().to_wire() | {
            "client_id": client_id,
            "protocol": PROTOCOL_VERSION,
            "connections": real_time.connections,
        }

    @routes.get("/model")
    def active_model() -> ResponseReturnValue:
        require_sign_in(current_app.config)
        return _card_page(cards.active(), client_id)

    @routes.get("/model/<version>")
    def model(version: str) -> ResponseReturnValue:
        require_sign_in(current_app.config)
        return _card_page(cards.of(version), client_id)

    return routes


def _card_page(found: FoundCard, client_id: str) -> str:
    return model_card_page(found.card, active=found.active, place=client_id, note=found.note)
