"""The server's pages and HTTP API: each route checks who asks, calls, and returns."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson
from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from common.access.audit import Action
from common.errors import DetectionSystemError, InvalidMessageError
from common.messages import (
    PROTOCOL_VERSION,
    RiskLevel,
)
from common.patient import FIELDS
from common.web.query import limit_of_query, number_of_query
from common.web.sign_in import audited, current_session, signed_in
from common.web.sockets import RealTime
from server.clients import ConnectedClients
from server.drift.report import drift_report
from server.drift.sentences import data_in_words
from server.drift.windows import RollingWindows
from server.predictions import PredictionService
from server.readers import client_id_of_reader
from server.store import ExplainedPrediction, Page


def blueprint(
    service: PredictionService,
    clients: ConnectedClients,
    windows: RollingWindows,
    tokens: Mapping[str, str],
    clock: Callable[[], datetime],
    *,
    real_time: RealTime,
) -> Blueprint:
    """Make the routes of one server."""
    routes = Blueprint("server", __name__)
    started_at = clock()

    @routes.get("/")
    @signed_in
    def dashboard() -> ResponseReturnValue:
        return render_template("server_dashboard.html", fields=FIELDS)

    @routes.get("/api/status")
    def status() -> ResponseReturnValue:
        store = _store_status(service)
        ready = store["store"]["ok"] and service.is_running
        told = {"status": "ready" if ready else "not_ready", "ready": ready}
        if current_session() is None:
            return told
        return {
            **told,
            **store,
            "protocol": PROTOCOL_VERSION,
            "model": service.model.status.to_wire(),
            "clients": [client.to_wire() for client in clients.all()],
            "explanations": service.explanations.status.to_wire(),
            "started_at": started_at.isoformat(),
            "uptime_seconds": int((clock() - started_at).total_seconds()),
            "connections": real_time.connections,
        }

    @routes.get("/api/changes")
    @audited(Action.READ_CHANGE_LOG)
    def changes() -> ResponseReturnValue:
        client_id = client_id_of_reader(tokens)
        page = service.store.changes(number_of_query("after") or 0, limit=limit_of_query(200), client_id=client_id)
        return _changes(page, client_id)

    @routes.get("/api/predictions")
    @signed_in
    @audited(Action.READ_PREDICTIONS)
    def recent() -> ResponseReturnValue:
        limit = limit_of_query(50)
        before = number_of_query("before") or None
        end, found = service.store.recent(limit, before=before, client_id=request.args.get("client"), level=_level())
        service.changes.reach(end.after)
        return {
            "log": end.log,
            "after": end.after,
            "totals": end.totals.to_wire(),
            "predictions": [_wire(item) for item in found],
            "next_before": found[-1].sequence if len(found) == limit else None,
        }

    @routes.get("/api/predictions/<prediction_id>")
    @signed_in
    @audited(Action.READ_PREDICTION)
    def one(prediction_id: str) -> ResponseReturnValue:
        return _wire(service.store.get(prediction_id))

    @routes.get("/api/drift")
    @signed_in
    def drift() -> ResponseReturnValue:
        detector = service.model.detector
        data = data_in_words(detector.manifest.recalibrated_from)
        return drift_report(windows, detector.reference, detector.model_version, data).to_wire()

    return routes


def _store_status(service: PredictionService) -> dict[str, Any]:
    """Tell how the store is, as far as reading and the last writing show, and what it counted."""
    counted: dict[str, Any] = {"cursor": None, "totals": None}
    reason = service.store.failure
    try:
        end = service.store.end()
        counted = {"cursor": end.after, "totals": end.totals.to_wire()}
    except DetectionSystemError as error:
        reason = error.message
    return counted | {"store": {"backend": service.store.backend, "ok": reason is None, "reason": reason}}


def _changes(page: Page, client_id: str | None) -> dict[str, Any]:
    return {
        "log": page.log,
        "after": page.after,
        "next_after": page.next_after,
        "has_more": page.has_more,
        "entries": [orjson.Fragment(entry.wire) for entry in page.entries],
        "totals": page.totals.to_wire() if client_id is None else None,
        "status": None,
        "ticket": None,
    }


def _level() -> RiskLevel | None:
    text = request.args.get("level", "")
    if text and text not in list(RiskLevel):
        raise InvalidMessageError(fields={"level": [f"must be one of: {', '.join(RiskLevel)}"]})
    return RiskLevel(text) if text else None


def _wire(item: ExplainedPrediction) -> dict[str, Any]:
    return {"sequence": item.sequence, "prediction": item.body, "explanation": item.explanation}
