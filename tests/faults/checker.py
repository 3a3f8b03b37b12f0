"""Looks in the records of a schedule for every way in which the promise could have been broken; trusts nobody."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from common.messages import ChangeKind
from tests.faults.records import DashboardRecord, Json, Records, canonical

Value = TypeVar("Value")

REQUEST_FIELDS = ("record", "patient_reference")


class Kind(StrEnum):
    """The ways in which the promise can be broken."""

    LOST = "lost"
    NOT_STORED = "answered but not stored"
    DOUBLED = "doubled"
    DISORDERED = "read out of order"
    CROSSED = "delivered to the wrong client app"
    ALTERED = "altered"
    REFUSED = "refused without reason or without saying so"


@dataclass(frozen=True)
class Finding:
    """One breach, and where."""

    kind: Kind
    where: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}"


def findings(records: Records) -> list[Finding]:
    """Return every breach the records show."""
    return [finding for check in _CHECKS for finding in check(_Seen(records))]


class _Seen:
    """The records of a schedule, indexed."""

    def __init__(self, records: Records) -> None:
        self.pages = records.pages
        self.dashboards = records.dashboards
        self.server = records.server
        self.stored: defaultdict[tuple[str, str], list[Json]] = defaultdict(list)
        for row in records.server.predictions:
            self.stored[row["client_id"], row["request_id"]].append(row)
        self.bodies = {row["body"]["prediction_id"]: row["body"] for row in records.server.predictions}
        self.explanations: defaultdict[str, list[Json]] = defaultdict(list)
        for entry in records.server.changes:
            if entry["kind"] == ChangeKind.EXPLANATION_FINISHED:
                self.explanations[entry["prediction_id"]].append(entry["explanation"])
        self.submitted = {(page.client_id, one): asked for page in self.pages for one, asked in page.submitted.items()}
        self.on_disk = {
            (client.client_id, row["request_id"]): row for client in records.clients for row in client.requests
        }

    def shown(self) -> Iterator[tuple[str, tuple[str, str], Json]]:
        """Yield place, client id with request id, and history entry of everything a page or a disk shows."""
        for page in self.pages:
            for request_id, states in page.seen.items():
                yield from ((page.name, (page.client_id, request_id), state) for state in states)
        for key, row in self.on_disk.items():
            yield f"disk of {key[0]}", key, row


def _lost(seen: _Seen) -> Iterator[Finding]:
    for page in seen.pages:
        for request_id in page.saved:
            request = f"{request_id}, saved at {page.name}"
            row = seen.on_disk.get((page.client_id, request_id))
            if row is None:
                yield Finding(Kind.LOST, f"{request}, is not on the disk of {page.client_id}")
            elif row["state"] == "queued":
                yield Finding(Kind.LOST, f"{request}, still waits on the disk of {page.client_id}")
            if not seen.stored[page.client_id, request_id]:
                yield Finding(Kind.LOST, f"{request}, is not in the server's record")
            if request_id in page.awaits():
                yield Finding(Kind.LOST, f"{request}, was never shown there as answered")


def _lost_on_the_way_to_a_page(seen: _Seen) -> Iterator[Finding]:
    for reader in [*seen.pages, *seen.dashboards]:
        if reader.restarts:
            yield Finding(Kind.LOST, f"{reader.name} was answered about another log or place than it asked after")
    for (client_id, request_id), row in seen.on_disk.items():
        for page in seen.pages:
            if page.client_id == client_id and canonical(page.seen.get(request_id, [None])[-1]) != canonical(row):
                yield Finding(Kind.LOST, f"{page.name} shows {request_id} otherwise than it ended on the disk")


def _lost_on_the_way_to_a_dashboard(seen: _Seen) -> Iterator[Finding]:
    for dashboard in seen.dashboards:
        taken = {entry["sequence"] for entry in dashboard.taken}
        missing = [entry["sequence"] for entry in seen.server.changes if entry["sequence"] > (dashboard.after or 0)]
        if missing := [sequence for sequence in missing if sequence not in taken]:
            yield Finding(Kind.LOST, f"{dashboard.name} never got {_some(missing)}")
        loaded = {prediction["prediction_id"] for prediction in dashboard.loaded}
        for prediction_id in seen.bodies.keys() - loaded:
            yield Finding(Kind.LOST, f"{dashboard.name} does not show {prediction_id} when it is loaded anew")


def _lost_from_the_log(seen: _Seen) -> Iterator[Finding]:
    server = seen.server
    logged = {entry["sequence"] for entry in server.changes}
    if missing := [sequence for sequence in range(server.after + 1, server.last + 1) if sequence not in logged]:
        yield Finding(Kind.LOST, f"the server's log lacks {_some(missing)}")
    made = {entry["prediction_id"] for entry in server.changes if entry["kind"] == ChangeKind.PREDICTION_MADE}
    for prediction_id in seen.bodies.keys() ^ made:
        yield Finding(Kind.LOST, f"prediction {prediction_id} is in only one of the server's record and log")


def _unexplained(seen: _Seen) -> Iterator[Finding]:
    for prediction_id, body in seen.bodies.items():
        final = seen.explanations[prediction_id]
        if body["awaits_explanation"] != bool(final):
            yield Finding(Kind.LOST, f"prediction {prediction_id} has not the explanations it says it has")
        if len(final) > 1:
            yield Finding(Kind.DOUBLED, f"prediction {prediction_id} has {len(final)} final explanations")


def _unexplained_at_a_client_app(seen: _Seen) -> Iterator[Finding]:
    for (client_id, request_id), row in seen.on_disk.items():
        final = seen.explanations[row["prediction"]["prediction_id"]] if row["prediction"] else []
        if not final or canonical(row["explanation"]) == canonical(final[0]):
            continue
        if canonical(row["explanation"]) == canonical(row["prediction"]["explanation"]):
            yield Finding(Kind.LOST, f"the final explanation of {request_id} never came to {client_id}")
        else:
            yield Finding(Kind.ALTERED, f"disk of {client_id} has another explanation of {request_id} than the log")


def _not_stored(seen: _Seen) -> Iterator[Finding]:
    for place, prediction in _told(seen):
        if prediction["prediction_id"] not in seen.bodies:
            yield Finding(Kind.NOT_STORED, f"{place} shows an answer to {prediction['request_id']} that is not stored")


def _doubled(seen: _Seen) -> Iterator[Finding]:
    for (client_id, request_id), rows in seen.stored.items():
        if len(rows) > 1:
            yield Finding(Kind.DOUBLED, f"{request_id} of {client_id} is stored {len(rows)} times")
    for reader in [*seen.pages, *seen.dashboards]:
        for request_id in _repeated(entry["request_id"] for entry in reader.loaded):
            yield Finding(Kind.DOUBLED, f"{reader.name} shows {request_id} more than once when it is loaded")


def _doubled_at_a_dashboard(seen: _Seen) -> Iterator[Finding]:
    for dashboard in seen.dashboards:
        for sequence in _repeated(entry["sequence"] for entry in dashboard.taken):
            yield Finding(Kind.DOUBLED, f"{dashboard.name} got entry {sequence} more than once")
        for client_id, request_id in _repeated((made["client_id"], made["request_id"]) for made in _made(dashboard)):
            yield Finding(Kind.DOUBLED, f"{dashboard.name} shows {request_id} of {client_id} more than once")
        if dashboard.totals and dashboard.totals["by_client"] != seen.server.totals:
            yield Finding(Kind.DOUBLED, f"{dashboard.name} shows other totals than the server has stored")


def _disordered(seen: _Seen) -> Iterator[Finding]:
    for reader in [*seen.pages, *seen.dashboards]:
        if reader.disorder:
            yield Finding(Kind.DISORDERED, f"{reader.name} got {_some(reader.disorder)} out of order")


def _crossed(seen: _Seen) -> Iterator[Finding]:
    for place, key, state in seen.shown():
        prediction = state["prediction"]
        if prediction and (prediction["client_id"], prediction["request_id"]) != key:
            yield Finding(Kind.CROSSED, f"{place} shows at {key[1]} an answer for {prediction['client_id']}")
    kept = {key for _, key, _ in seen.shown()} | seen.stored.keys()
    for client_id, request_id in sorted(kept - seen.submitted.keys()):
        yield Finding(Kind.CROSSED, f"{request_id} was never entered at {client_id}, whose it is said to be")
    for entry in seen.server.changes:
        body = seen.bodies.get(entry["prediction_id"])
        if body and (body["client_id"], body["request_id"]) != (entry["client_id"], entry["request_id"]):
            yield Finding(Kind.CROSSED, f"log entry {entry['sequence']} is filed under another request than its own")


def _altered_requests(seen: _Seen) -> Iterator[Finding]:
    kept = [("the server's record", key, row["body"]) for key, rows in seen.stored.items() for row in rows]
    for place, key, request in [*kept, *seen.shown()]:
        entered = seen.submitted.get(key)
        if entered and any(canonical(request[name]) != canonical(entered[name]) for name in REQUEST_FIELDS):
            yield Finding(Kind.ALTERED, f"{place} has other values at {key[1]} than were entered")


def _altered_answers(seen: _Seen) -> Iterator[Finding]:
    for row in seen.server.predictions:
        body = row["body"]
        explained = {part["field"]: part["value"] for part in body["contributions"]}
        if (body["client_id"], body["request_id"]) != (row["client_id"], row["request_id"]):
            yield Finding(Kind.ALTERED, f"stored prediction {row['sequence']} is filed under another request")
        if canonical(explained) != canonical(body["record"]):
            yield Finding(Kind.ALTERED, f"stored prediction {row['sequence']} explains other values than its record's")
    for place, prediction in _told(seen):
        stored = seen.bodies.get(prediction["prediction_id"])
        if stored and canonical(stored) != canonical(prediction):
            yield Finding(Kind.ALTERED, f"{place} shows another answer to {prediction['request_id']} than is stored")


def _altered_entries(seen: _Seen) -> Iterator[Finding]:
    logged = {entry["sequence"]: canonical(entry) for entry in seen.server.changes}
    for dashboard in seen.dashboards:
        for entry in dashboard.taken:
            if logged.get(entry["sequence"]) != canonical(entry):
                yield Finding(Kind.ALTERED, f"{dashboard.name} has another entry {entry['sequence']} than the log")
    for page in seen.pages:
        for entry in page.loaded:
            if canonical(entry) != canonical(seen.on_disk.get((page.client_id, entry["request_id"]))):
                yield Finding(Kind.ALTERED, f"{page.name} loads {entry['request_id']} otherwise than it is on the disk")


def _refused(seen: _Seen) -> Iterator[Finding]:
    for (client_id, request_id), row in seen.on_disk.items():
        if row["state"] == "refused":
            yield Finding(Kind.REFUSED, f"{request_id} of {client_id}: {row['error']['code']}")
    for entry in seen.server.changes:
        if entry["kind"] == ChangeKind.REQUEST_REFUSED:
            yield Finding(Kind.REFUSED, f"{entry['request_id']} in the log: {entry['error']['code']}")


def _refused_at_a_page(seen: _Seen) -> Iterator[Finding]:
    for page in seen.pages:
        for request_id, error in page.refused.items():
            if request_id not in page.invalid or request_id in page.saved:
                yield Finding(Kind.REFUSED, f"{request_id} at {page.name}: {error['code']}")
        for request_id in page.invalid:
            if {(page.client_id, request_id)} & {*seen.on_disk, *seen.stored}:
                yield Finding(Kind.REFUSED, f"{request_id} at {page.name} is impossible and was kept all the same")


_CHECKS = (
    _lost,
    _lost_on_the_way_to_a_page,
    _lost_on_the_way_to_a_dashboard,
    _lost_from_the_log,
    _unexplained,
    _unexplained_at_a_client_app,
    _not_stored,
    _doubled,
    _doubled_at_a_dashboard,
    _disordered,
    _crossed,
    _altered_requests,
    _altered_answers,
    _altered_entries,
    _refused,
    _refused_at_a_page,
)


def _told(seen: _Seen) -> Iterator[tuple[str, Json]]:
    """Yield place and prediction of every answer that is shown anywhere."""
    yield from ((place, state["prediction"]) for place, _, state in seen.shown() if state["prediction"])
    for dashboard in seen.dashboards:
        yield from ((dashboard.name, prediction) for prediction in [*_made(dashboard), *dashboard.loaded])


def _made(dashboard: DashboardRecord) -> Iterator[Json]:
    return (entry["prediction"] for entry in dashboard.taken if entry["prediction"])


def _repeated(values: Iterable[Value]) -> list[Value]:
    return [value for value, times in Counter(values).items() if times > 1]


def _some(sequences: list[int]) -> str:
    first = ", ".join(map(str, sequences[:3]))
    return f"entry {first}" if len(sequences) <= 3 else f"{len(sequences)} entries from {first} on"
