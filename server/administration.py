"""For administrators: who is signed in, the end of a session, and the audit trail."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from common.access.audit import Action, AuditTrail
from common.access.roles import Role
from common.access.sessions import Session, Sessions
from common.messages import Message, Timestamp
from common.web.openapi import described, number
from common.web.query import limit_of_query, number_of_query
from common.web.sign_in import audited, current_session, signed_in_as


class SignedIn(Message):
    """One open session."""

    id: str
    name: str
    role: Role
    began_at: Timestamp
    last_active_at: Timestamp
    ends_at: Timestamp
    address: str
    is_this_one: bool


class OpenSessions(Message):
    """Who is signed in."""

    sessions: list[SignedIn]


class AuditEntry(Message):
    """One entry of the audit trail."""

    number: int
    at: str
    account: str
    name: str
    role: str
    address: str
    action: str
    target: str


class AuditEntries(Message):
    """Entries of the audit trail, newest first."""

    entries: list[AuditEntry]
    next_before: int | None


def blueprint(sessions: Sessions, trail: AuditTrail) -> Blueprint:
    """Make the routes; none is for anybody but administrators."""
    routes = Blueprint("administration", __name__)

    @routes.get("/sessions")
    @signed_in_as(Role.ADMINISTRATOR)
    def page() -> ResponseReturnValue:
        return render_template("sessions.html")

    @routes.get("/api/sessions")
    @described("Who is signed in; for administrators.", OpenSessions)
    @signed_in_as(Role.ADMINISTRATOR)
    def every() -> ResponseReturnValue:
        return {"sessions": [_wire(session) for session in sessions.all()]}

    @routes.post("/api/sessions/<public_id>/end")
    @described("End a session; for administrators, from their page.", None)
    @signed_in_as(Role.ADMINISTRATOR)
    @audited(Action.SESSION_ENDED)
    def end(public_id: str) -> ResponseReturnValue:
        sessions.end(sessions.of(public_id))
        return "", 204

    @routes.get("/api/audit")
    @described(
        "The audit trail, newest first; for administrators.",
        AuditEntries,
        query={"limit": number(1), "before": number()},
    )
    @signed_in_as(Role.ADMINISTRATOR)
    @audited(Action.READ_AUDIT_TRAIL)
    def newest() -> ResponseReturnValue:
        limit = limit_of_query(100)
        entries = trail.newest(limit, before=number_of_query("before"))
        return {
            "entries": [asdict(entry) for entry in entries],
            "next_before": entries[-1].number if len(entries) == limit else None,
        }

    return routes


def _wire(session: Session) -> dict[str, Any]:
    here = current_session()
    return {
        "id": session.public_id,
        "name": session.account.name,
        "role": session.account.role,
        "began_at": _moment(session.began_at),
        "last_active_at": _moment(session.last_active_at),
        "ends_at": _moment(session.ends_at),
        "address": session.address,
        "is_this_one": here is not None and here.id == session.id,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()
