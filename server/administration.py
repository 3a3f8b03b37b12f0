"""What administrators see and do: who is signed in, the end of a session, and the audit trail."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from common.access.audit import Action
from common.access.roles import Role
from common.access.sessions import Session
from common.web.query import limit_of_query, number_of_query
from common.web.sign_in import Access, audited, current_session, signed_in_as


def blueprint(access: Access) -> Blueprint:
    """Make routes that are for nobody but administrators."""
    routes = Blueprint("administration", __name__)
    for_administrators = signed_in_as(Role.ADMINISTRATOR)
    sessions = access.sessions

    @routes.get("/sessions")
    @for_administrators
    def page() -> ResponseReturnValue:
        return render_template("sessions.html")

    @routes.get("/api/sessions")
    @for_administrators
    def every() -> ResponseReturnValue:
        return {"sessions": [_wire(session) for session in sessions.all()]}

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

    return routes


def _wire(session: Session) -> dict[str, Any]:
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
