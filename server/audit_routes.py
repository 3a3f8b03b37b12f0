"""The audit trail, for administrators."""

from dataclasses import asdict

from flask import Blueprint
from flask.typing import ResponseReturnValue

from common.access.audit import Action, AuditTrail
from common.access.roles import Role
from common.messages import Message
from common.web.openapi import described, number
from common.web.query import limit_of_query, number_of_query
from common.web.sign_in import audited, signed_in_as


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


def blueprint(trail: AuditTrail) -> Blueprint:
    """Make the route of the trail; it is for nobody but administrators."""
    routes = Blueprint("audit", __name__)

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
