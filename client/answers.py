"""What a client app's HTTP API answers, beside the messages that go to its pages as well."""

from common.messages import HistoryEntry, LinkStatus, Message
from common.patient import PatientRecord
from common.web.openapi import Connections


class History(Message):
    """Requests of this client app, newest first; ``erasures`` counts those that are gone for good."""

    entries: list[HistoryEntry]
    next_before: int | None
    erasures: int


class DealtSample(Message):
    """A real patient to try the page with, and where the record stands."""

    record: PatientRecord
    source: str


class ClientAppStatus(LinkStatus):
    """How the client app and its link to the server are."""

    client_id: str
    protocol: int
    connections: Connections
