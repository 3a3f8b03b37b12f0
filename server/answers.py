"""What the server's HTTP API answers, beside the messages that go over the standing connections as well."""

from common.access.roles import Role
from common.messages import (
    ClientStatus,
    Explanation,
    ExplanationStatus,
    Message,
    ModelStatus,
    Prediction,
    Timestamp,
    Totals,
)
from common.web.openapi import Connections


class StoreStatus(Message):
    """Which database keeps the record, and why it cannot be used if it cannot."""

    backend: str
    ok: bool
    reason: str | None


class ServerStatus(Message):
    """How the server is, and what it has counted; ``cursor`` and ``totals`` are ``None`` if that cannot be read."""

    cursor: int | None
    totals: Totals | None
    store: StoreStatus
    protocol: int
    model: ModelStatus
    clients: list[ClientStatus]
    explanations: ExplanationStatus
    started_at: Timestamp
    uptime_seconds: int
    connections: Connections


class ListedPrediction(Message):
    """A prediction with its latest explanation and its place in the change log."""

    sequence: int
    prediction: Prediction
    explanation: Explanation


class ListedPredictions(Message):
    """Predictions, newest first; ``next_before`` asks for those that follow."""

    predictions: list[ListedPrediction]
    next_before: int | None


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
