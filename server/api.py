"""The server's pages and HTTP API: each route checks who asks, calls, and returns."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from common.access.audit import Action
from common.access.roles import Role
from common.access.sessions import Session
from common.errors import DetectionSystemError, InvalidMessageError
from common.followers import ALL
from common.messages import PROTOCOL_VERSION, OperatorStatus, RiskLevel
from common.patient import FIELDS
from common.web.query import limit_of_query, number_of_query
from common.web.sign_in import Access, audited, current_session, signed_in, signed_in_as
from common.web.sockets import RealTime
from server.drift.report import DriftReport
from server.log import encoded
from server.predictions import PredictionService
from server.readers import client_id_of_reader
from server.store import PredictionStore


def blueprint(
    service: PredictionService,
    *,
    drift_report: Callable[[], DriftReport],
    status: Callable[[], OperatorStatus],
    real_time: RealTime,
    clock: Callable[[], datetime],
) -> Blueprint:
    """Make the routes of one server."""
    routes = Blueprint("server", __name__)
    store = service.store
    started_at = clock()

    @routes.get("/")
    @signed_in
    def dashboard() -> ResponseReturnValue:
        return render_template("server_dashboard.html", fields=FIELDS)

    @routes.get("/api/status", endpoint="status")
    def show_status() -> ResponseReturnValue:
        counted = _store_status(store)
        ready = counted["store"]["ok"] and service.is_running
        told = {"status": "ready" if ready else "not_ready", "ready": ready}
        if current_session() is None:  # anybody may ask, and learns no more than a load balancer needs
            return told
        return {
            **told,
            **counted,
            **status().to_wire(),
            "protocol": PROTOCOL_VERSION,
            "started_at": started_at.isoformat(),
            "uptime_seconds": int((clock() - started_at).total_seconds()),
            "connections": real_time.connections,
        }

    @routes.get("/api/changes")
    @audited(Action.READ_CHANGE_LOG)
    def changes() -> ResponseReturnValue:
        client_id = client_id_of_reader()
        # From the store and not from the log's memory: readers over HTTP choose how much they want at once.
        page = store.changes(number_of_query("after") or 0, limit=limit_of_query(200), client_id=client_id)
        return {"log": page.log, **vars(encoded(page, client_id or ALL)), "status": None, "ticket": None}

    @routes.get("/api/predictions")
    @signed_in
    @audited(Action.READ_PREDICTIONS)
    def recent() -> ResponseReturnValue:
        limit = limit_of_query(50)
        before = number_of_query("before") or None
        end, found = store.recent(limit, before=before, client_id=request.args.get("client"), level=_level_of_query())
        # The log may not have seen yet what another process wrote: who follows from here would seem to be ahead of it.
        service.changes.reach(end.log, end.after)
        return {
            "log": end.log,
            "after": end.after,
            "totals": end.totals.to_wire(),
            "predictions": found,
            "next_before": found[-1]["sequence"] if len(found) == limit else None,
        }

    @routes.get("/api/predictions/<prediction_id>")
    @signed_in
    @audited(Action.READ_PREDICTION)
    def one(prediction_id: str) -> ResponseReturnValue:
        return store.get(prediction_id)

    @routes.get("/api/drift")
    @signed_in
    def drift() -> ResponseReturnValue:
        return drift_report().to_wire()

    _add_administration(routes, real_time.access)
    return routes


def _add_administration(routes: Blueprint, access: Access) -> None:
    """Add who is signed in, the end of a session, and the audit trail, for administrators alone."""
    for_administrators = signed_in_as(Role.ADMINISTRATOR)
    sessions = access.sessions

    @routes.get("/sessions")
    @for_administrators
    def page() -> ResponseReturnValue:
        return render_template("sessions.html")

    @routes.get("/api/sessions")
    @for_administrators
    def every() -> ResponseReturnValue:
        return {"sessions": [_session_wire(session) for session in sessions.all()]}

    @routes.post("/api/sessions/<public_id>/end")
    @for_administrators
    @audited(Action.SESSION_ENDED)
    def end(public_id: str) -> ResponseReturnValue:
        sessions.end(sessions.of(public_id))
        return "", 204

    @routes.get("/api/audit")
    @for_administrators
    @audited(Action.READ_AUDIT_TRAIL)
    def trail() -> ResponseReturnValue:
        limit = limit_of_query(100)
        entries = access.trail.newest(limit, before=number_of_query("before"))
        return {
            "entries": [asdict(entry) for entry in entries],
            "next_before": entries[-1].number if len(entries) == limit else None,
        }


def _store_status(store: PredictionStore) -> dict[str, Any]:
    """Tell how the store is, as far as reading and the last writing show, and what it counted."""
    reason = store.failure
    counted: dict[str, Any] = {"cursor": None, "totals": None}
    try:
        end = store.end()
        counted = {"cursor": end.after, "totals": end.totals.to_wire()}
    except DetectionSystemError as error:
        reason = error.message
    return counted | {"store": {"backend": store.engine.dialect.name, "ok": reason is None, "reason": reason}}


def _level_of_query() -> str | None:
    level = request.args.get("level") or None
    if level not in (None, *RiskLevel):
        raise InvalidMessageError(fields={"level": [f"must be one of: {', '.join(RiskLevel)}"]})
    return level


def _session_wire(session: Session) -> dict[str, Any]:
    here = current_session()
    times = {name: getattr(session, name) for name in ("began_at", "last_active_at", "ends_at")}
    return {
        "id": session.public_id,
        "name": session.account.name,
        "role": session.account.role,
        **{name: datetime.fromtimestamp(seconds, UTC).isoformat() for name, seconds in times.items()},
        "address": session.address,
        "is_this_one": here is not None and here.id == session.id,
    }
