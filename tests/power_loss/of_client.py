"""A client app's disk: what the page got as queued waits or is answered, and what it got as answered is answered."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from client.outbox import Outbox
from common.access.people import AccessStore, access_file
from common.messages import Event, HistoryEntry
from config.secrets import client_secret_names, load_or_create
from tests.power_loss.judging import Claim, Judge, Reading
from tests.power_loss.of_server import EVERYTHING, link, printed_links
from tests.power_loss.sent import ACKNOWLEDGED, Said
from tests.power_loss.workload import CLIENT_ID, DATA, SECRETS


def _read(disk: Path) -> Reading:
    """Open everything that a client app keeps as the client app does."""
    name = CLIENT_ID.lower()
    tokens = [load_or_create(secret, given={}, folder=disk / SECRETS / name) for secret in _own_secrets()]
    AccessStore(access_file(disk / DATA, name)).sessions()
    with closing(Outbox(disk / DATA / name / "client.sqlite")) as outbox:
        outbox.check_writable()
        return Reading(_history(outbox) | {link(token): "valid" for token in tokens}, tuple(_contradictions(outbox)))


def _own_secrets() -> list[str]:
    """Name the secrets that this client app makes; it shares its token with the server."""
    return client_secret_names(CLIENT_ID)[1:]


def _history(outbox: Outbox) -> dict[str, str]:
    history = outbox.history(before=None, limit=EVERYTHING)
    facts = {about: value for entry in history for about, value in _facts(entry)}
    return facts | {_about_number(entry.outbox_number): "there" for entry in history}


def _contradictions(outbox: Outbox) -> Iterator[str]:
    history = outbox.history(before=None, limit=EVERYTHING)
    queued = sorted(entry.outbox_number for entry in history if entry.state == "queued")
    if len({entry.outbox_number for entry in history}) < len(history):
        yield "two requests have one number"
    if queued != [request.outbox_number for request in outbox.waiting(after=0, limit=EVERYTHING)]:
        yield "what is queued is not what is sent"


def _facts(entry: HistoryEntry) -> Iterator[tuple[str, str]]:
    yield f"request {entry.request_id}", _content(entry)
    yield f"the state of request {entry.request_id}", entry.state
    if entry.prediction is not None:
        yield f"the answer to request {entry.request_id}", entry.prediction.model_dump_json()


def _content(entry: HistoryEntry) -> str:
    return f"{entry.outbox_number} {entry.entered_at} {entry.patient_reference} {entry.record.model_dump_json()}"


def _about_number(number: int) -> str:
    return f"number {number} of the outbox"


def _claims(said: Said) -> Iterable[Claim]:
    if said.what == ACKNOWLEDGED and said.data.get("status") == "queued":
        return [Claim.of(_about_number(said.data["outbox_number"]), "there")]
    if said.what == Event.UPDATE:
        return list(_of_update(HistoryEntry.check(said.data)))
    return printed_links(said)


def _of_update(entry: HistoryEntry) -> Iterator[Claim]:
    """What is queued may be answered meanwhile; nothing else may become of anything."""
    later = {"queued": ("queued", "answered")}.get(entry.state, (entry.state,))
    for about, value in _facts(entry):
        yield Claim.of(about, *(later if value == entry.state else (value,)))


CLIENT: Final = Judge(_read, _claims)
