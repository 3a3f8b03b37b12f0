"""The server's pages and HTTP API: each route checks who asks, calls, and returns."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from common.access.audit.trail import Action
from common.errors import InvalidMessageError, StoreUnavailableError
from common.messages import PROTOCOL_VERSION, Changes, RiskLevel
from common.patient import FIELDS
from common.web.openapi import described, number
from common.web.query import limit_of_query, number_of_query
from common.web.realtime import RealTime
from common.web.sign_in import is_signed_in, require_sign_in
from server.answers import ListedPrediction, ListedPredictions, ServerStatus
from server.clients import ConnectedClients
from server.drift.report import DriftReport, drift_report
from server.drift.sentences import data_in_words
from server.drift.windows import RollingWindows
from server.predictions import PredictionService
from server.readers import client_id_of_reader
from server.store import ExplainedPrediction, PredictionStore

AUDITED: Mapping[str, Action] = {
    "server.changes": Action.READ_CHANGE_LOG,
    "server.recent": Action.READ_PREDICTIONS,
    "server.one": Action.READ_PREDICTION,
    "audit.newest": Action.READ_AUDIT_TRAIL,
}
"""What goes into the audit trail, by endpoint; live connections besides."""


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
    def dashboard() -> ResponseReturnValue:
        if not is_signed_in(current_app.config):
            return redirect(url_for("sign_in.page"))
        return render_template("server_dashboard.html", fields=FIELDS)

    @routes.get("/api/status")
    @described("How the server is.", ServerStatus)
    def status() -> ResponseReturnValue:
        require_sign_in(current_app.config)
        return _status(service, clients) | {
            "started_at": started_at.isoformat(),
            "uptime_seconds": int((clock() - started_at).total_seconds()),
            "connections": real_time.connections,
        }

    @routes.get("/api/changes")
    @described(
        "Entries of the change log, those after a place in it.",
        Changes,
        query={"after": number(), "limit": number(1)},
    )
    def changes() -> ResponseReturnValue:
        client_id = client_id_of_reader(tokens)
        page = service.store.changes(number_of_query("after") or 0, limit_of_query(200), client_id=client_id)
        return page.to_wire()

    @routes.get("/api/predictions")
    @described(
        "Predictions, newest first.",
        ListedPredictions,
        query={
            "limit": number(1),
            "before": number(),
            "client": {"type": "string"},
            "level": {"enum": list(RiskLevel)},
        },
    )
    def recent() -> ResponseReturnValue:
        require_sign_in(current_app.config)
        limit = limit_of_query(50)
        before = number_of_query("before") or None
        found = service.store.recent(limit, before=before, client_id=request.args.get("client"), level=_level())
        return {
            "predictions": [_wire(item) for item in found],
            "next_before": found[-1].sequence if len(found) == limit else None,
        }

    @routes.get("/api/predictions/<prediction_id>")
    @described("One prediction.", ListedPrediction)
    def one(prediction_id: str) -> ResponseReturnValue:
        require_sign_in(current_app.config)
        return _wire(service.store.get(prediction_id))

    _add_drift(routes, service, windows)
    return routes


def _add_drift(routes: Blueprint, service: PredictionService, windows: RollingWindows) -> None:
    @routes.get("/api/drift")
    @described("How the patients seen lately differ from those of the training.", DriftReport)
    def drift() -> ResponseReturnValue:
        require_sign_in(current_app.config)
        detector = service.model.detector
        data = data_in_words(detector.manifest.recalibrated_from)
        return drift_report(windows, detector.reference, detector.model_version, data).to_wire()


def _status(service: PredictionService, clients: ConnectedClients) -> dict[str, Any]:
    return _store_status(service.store) | {
        "protocol": PROTOCOL_VERSION,
        "model": service.model.status.to_wire(),
        "clients": [status.to_wire() for status in clients.all()],
        "explanations": service.explanations.status.to_wire(),
    }


def _store_status(store: PredictionStore) -> dict[str, Any]:
    """Tell how the store is, and what it counted: nothing, if it cannot be read."""
    counted: dict[str, Any] = {"cursor": None, "totals": None}
    reason = None
    try:
        cursor = store.cursor()  # before the totals: what comes in between is then told twice rather than never
        counted = {"cursor": cursor, "totals": store.totals().to_wire()}
        store.check()
    except StoreUnavailableError as error:
        reason = error.message
    return counted | {"store": {"backend": store.backend, "ok": reason is None, "reason": reason}}


def _level() -> RiskLevel | None:
    text = request.args.get("level", "")
    if text and text not in list(RiskLevel):
        raise InvalidMessageError(fields={"level": [f"must be one of: {', '.join(RiskLevel)}"]})
    return RiskLevel(text) if text else None


def _wire(item: ExplainedPrediction) -> dict[str, Any]:
    return {
        "sequence": item.sequence,
        "prediction": item.prediction.to_wire(),
        "explanation": item.explanation.to_wire(),
    }
