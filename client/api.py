"""The client app's page and HTTP API: each route checks who asks, calls, and returns."""

import csv
import random

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from client.card_cache import ModelCards
from client.outbox import Outbox
from client.relay import Relay
from common.access.audit import Action
from common.dialects import value_of
from common.errors import InvalidDataError
from common.messages import PROTOCOL_VERSION
from common.patient import FIELDS, PatientRecord
from common.web.query import limit_of_query
from common.web.sign_in import audited, signed_in
from common.web.sockets import RealTime
from config.secrets import PROJECT_ROOT

USUAL_ENTRIES = 50
SAMPLES = PROJECT_ROOT / "data" / "heart_disease.csv"


def blueprint(client_id: str, outbox: Outbox, relay: Relay, cards: ModelCards, real_time: RealTime) -> Blueprint:
    """Make the routes of one client app; raises ``InvalidDataError`` if the sample patients cannot be read."""
    samples = _sample_patients()
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
        entries, place = outbox.history(before=request.args.get("before") or None, limit=limit)
        next_before = entries[-1]["request_id"] if len(entries) >= limit else None
        return {"entries": entries, "next_before": next_before, "log": place.log, "after": place.newest}

    @routes.get("/api/sample")
    @signed_in
    def sample() -> ResponseReturnValue:
        line, record = random.choice(samples)  # noqa: S311 - nothing is protected by it
        return {"record": record.model_dump(mode="json"), "source": f"{SAMPLES.name}, line {line}"}

    @routes.get("/api/status")
    @signed_in
    def status() -> ResponseReturnValue:
        known = {"client_id": client_id, "protocol": PROTOCOL_VERSION, "connections": real_time.connections}
        return relay.status().to_wire() | known

    @routes.get("/model")
    @routes.get("/model/<version>")
    @signed_in
    def model(version: str | None = None) -> ResponseReturnValue:
        card, note = cards.of(version)
        return render_template("model_card.html", card=card, place=client_id, note=note)

    return routes


def _sample_patients() -> list[tuple[int, PatientRecord]]:
    """Read the shipped table, each patient with the line of the file, without the server's packages."""
    try:
        with SAMPLES.open(newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            cells = ({name: row[field.csv_column] for name, field in FIELDS.items()} for row in rows)
            return [
                (rows.line_num, PatientRecord.check({name: value_of(name, cell) for name, cell in of_row.items()}))
                for of_row in cells
            ]
    except OSError as error:
        raise InvalidDataError(f"The sample patients cannot be read from {SAMPLES}: {error.strerror}.") from error
