"""Looks in the records of a schedule for every way in which the promise could have been broken; trusts nobody."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TypeVar

from common.messages import ChangeKind
from tests.faults.records import DashboardRecord, PageRecord, Records, Wire, canonical

Value = TypeVar("Value")

REQUEST_FIELDS = ("record", "patient_reference")


class Kind(StrEnum):
    """The ways in which the promise can be broken."""

    LOST = "lost"
    NOT_STORED = "answered but not stored"
    DOUBLED = "doubled"
    REORDERED = "reordered"
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
        self.clients = {client.client_id: client for client in records.clients}
        self.stored: defaultdict[tuple[str, str], list[Wire]] = defaultdict(list)
        for row in records.server.predictions:
            self.stored[row["client_id"], row["request_id"]].append(row)
        self.bodies = {row["body"]["prediction_id"]: row["body"] for row in records.server.predictions}
        self.explanations: defaultdict[str, list[Wire]] = defaultdict(list)
        for row in records.server.changes:
            if row["kind"] == ChangeKind.EXPLANATION_FINISHED:
                self.explanations[row["prediction_id"]].append(row["explanation"])
        self.submitted = {
            (page.client_id, request_id): request
            for page in self.pages
            for request_id, request in page.submitted.items()
        }
        self.on_disk = {
            (client.client_id, row["request_id"]): row for client in records.clients for row in client.requests
        }

    def acknowledged(self) -> Iterator[tuple[PageRecord, str]]:
        return ((page, request_id) for page in self.pages for request_id in page.queued)

    def delivered(self) -> Iterator[tuple[str, str, str, Wire]]:
        """Yield place, client id, request id and prediction of everything a page or a client app's disk shows."""
        for page in self.pages:
            for request_id, states in page.seen.items():
                for state in states:
                    if state["prediction"]:
                        yield page.name, page.client_id, request_id, state["prediction"]
        for (client_id, request_id), row in self.on_disk.items():
            if row["prediction"]:
                yield f"disk of {client_id}", client_id, request_id, row["prediction"]


def _lost(seen: _Seen) -> Iterator[Finding]:
    for page, request_id in seen.acknowledged():
        request = f"{request_id}, queued at {page.name}"
        row = seen.on_disk.get((page.client_id, request_id))
        if row is None:
            yield Finding(Kind.LOST, f"{request}, is not on the disk of {page.client_id}")
        elif row["state"] == "queued":
            yield Finding(Kind.LOST, f"{request}, still waits on the disk of {page.client_id}")
        if not seen.stored[page.client_id, request_id]:
            yield Finding(Kind.LOST, f"{request}, is not in the server's record")
        if request_id in page.awaits():
            yield Finding(Kind.LOST, f"{request}, was never shown there as answered")


def _lost_on_the_way_to_a_dashboard(seen: _Seen) -> Iterator[Finding]:
    logged = [row["sequence"] for row in seen.server.changes]
    for dashboard in seen.dashboards:
        taken = {entry["sequence"] for entry in dashboard.taken}
        missing = [sequence for sequence in logged if sequence > dashboard.after and sequence not in taken]
        if missing:
            yield Finding(Kind.LOST, f"{dashboard.name} never got {_some(missing)}")
        if dashboard.restarts:
            yield Finding(Kind.LOST, f"{dashboard.name} saw the server's log end before what it had read")


def _lost_from_the_log(seen: _Seen) -> Iterator[Finding]:
    server = seen.server
    logged = {row["sequence"] for row in server.changes}
    missing = [sequence for sequence in range(server.after + 1, server.last + 1) if sequence not in logged]
    if missing:
        yield Finding(Kind.LOST, f"the server's log lacks {_some(missing)}")
    made = {row["prediction_id"] for row in server.changes if row["kind"] == ChangeKind.PREDICTION_MADE}
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
    for place, _, request_id, prediction in seen.delivered():
        if prediction["prediction_id"] not in seen.bodies:
            yield Finding(Kind.NOT_STORED, f"{place} shows an answer to {request_id} that the server has not stored")
    for dashboard in seen.dashboards:
        for prediction in _made(dashboard):
            if prediction["prediction_id"] not in seen.bodies:
                yield Finding(
                    Kind.NOT_STORED, f"{dashboard.name} shows {prediction['request_id']}, which is not stored"
                )


def _doubled_at_the_server(seen: _Seen) -> Iterator[Finding]:
    for (client_id, request_id), rows in seen.stored.items():
        if len(rows) > 1:
            yield Finding(Kind.DOUBLED, f"{request_id} of {client_id} is stored {len(rows)} times")


def _doubled_at_a_dashboard(seen: _Seen) -> Iterator[Finding]:
    for dashboard in seen.dashboards:
        for sequence in _repeated(entry["sequence"] for entry in dashboard.taken):
            yield Finding(Kind.DOUBLED, f"{dashboard.name} shows entry {sequence} more than once")
        for client_id, request_id in _repeated((made["client_id"], made["request_id"]) for made in _made(dashboard)):
            yield Finding(Kind.DOUBLED, f"{dashboard.name} shows {request_id} of {client_id} more than once")


def _doubled_at_a_client_app(seen: _Seen) -> Iterator[Finding]:
    for page in seen.pages:
        for request_id in {one for history in page.histories for one in _repeated(history)}:
            yield Finding(Kind.DOUBLED, f"the history at {page.name} holds {request_id} more than once")
    for client in seen.clients.values():
        for number in _repeated(row["outbox_number"] for row in client.requests):
            yield Finding(Kind.DOUBLED, f"outbox number {number} of {client.client_id} is that of two requests")


def _counted_wrong(seen: _Seen) -> Iterator[Finding]:
    for dashboard in seen.dashboards:
        if dashboard.totals and dashboard.totals["by_client"] != seen.server.totals:
            yield Finding(Kind.DOUBLED, f"{dashboard.name} shows other totals than the server has stored")


def _reordered_in_the_log(seen: _Seen) -> Iterator[Finding]:
    numbers: dict[str, int] = {}
    for row in seen.server.predictions:
        client_id, number = row["client_id"], row["body"]["outbox_number"]
        if number < numbers.get(client_id, 0):
            before = numbers[client_id]
            yield Finding(Kind.REORDERED, f"the server's log has number {number} of {client_id} behind {before}")
        numbers[client_id] = number


def _reordered_on_the_way(seen: _Seen) -> Iterator[Finding]:
    for dashboard in seen.dashboards:
        for one, other in pairwise(entry["sequence"] for entry in dashboard.taken):
            if one > other:
                yield Finding(Kind.REORDERED, f"{dashboard.name} got {other} after {one}")
    for page in seen.pages:
        for one, other in pairwise(page.queued[entered] for entered in page.submitted if entered in page.queued):
            if one >= other:
                yield Finding(Kind.REORDERED, f"{page.name} got number {other} for what it entered after {one}")


def _crossed(seen: _Seen) -> Iterator[Finding]:
    for place, client_id, request_id, prediction in seen.delivered():
        if (prediction["client_id"], prediction["request_id"]) != (client_id, request_id):
            yield Finding(Kind.CROSSED, f"{place} shows at {request_id} an answer for {prediction['client_id']}")
    shown = {(page.client_id, request_id) for page in seen.pages for request_id in page.seen}
    for client_id, request_id in sorted({*seen.on_disk, *seen.stored, *shown} - seen.submitted.keys()):
        yield Finding(Kind.CROSSED, f"{request_id} was never entered at {client_id}, whose it is said to be")


def _crossed_in_the_log(seen: _Seen) -> Iterator[Finding]:
    for row in seen.server.changes:
        body = seen.bodies.get(row["prediction_id"])
        if body and body["client_id"] != row["client_id"]:
            yield Finding(Kind.CROSSED, f"log entry {row['sequence']} is another client app's than its prediction")


def _altered_requests(seen: _Seen) -> Iterator[Finding]:
    shown: list[tuple[str, tuple[str, str], Wire]] = [
        ("the server's record", key, row["body"]) for key, rows in seen.stored.items() for row in rows
    ]
    shown += [(f"disk of {key[0]}", key, row) for key, row in seen.on_disk.items()]
    for page in seen.pages:
        shown += [(page.name, (page.client_id, key), state) for key, states in page.seen.items() for state in states]
    for place, key, request in shown:
        entered = seen.submitted.get(key)
        if entered and any(canonical(request[name]) != canonical(entered[name]) for name in REQUEST_FIELDS):
            yield Finding(Kind.ALTERED, f"{place} has other values at {key[1]} than were entered")


def _altered_numbers(seen: _Seen) -> Iterator[Finding]:
    for page, request_id in seen.acknowledged():
        number, key = page.queued[request_id], (page.client_id, request_id)
        numbers = {row["body"]["outbox_number"] for row in seen.stored[key]}
        numbers |= {seen.on_disk[key]["outbox_number"]} if key in seen.on_disk else set()
        if numbers - {number}:
            yield Finding(Kind.ALTERED, f"{request_id} was queued as {number} and is kept as {sorted(numbers)}")


def _altered_answers(seen: _Seen) -> Iterator[Finding]:
    for row in seen.server.predictions:
        body = row["body"]
        explained = {part["field"]: part["value"] for part in body["contributions"]}
        if (body["client_id"], body["request_id"]) != (row["client_id"], row["request_id"]):
            yield Finding(Kind.ALTERED, f"stored prediction {row['sequence']} is filed under another request")
        if canonical(_as_floats(explained)) != canonical(_as_floats(body["record"])):
            yield Finding(Kind.ALTERED, f"stored prediction {row['sequence']} explains other values than its record's")
    told = [(place, prediction) for place, _, _, prediction in seen.delivered()]
    told += [(dashboard.name, made) for dashboard in seen.dashboards for made in _made(dashboard)]
    for place, prediction in told:
        stored = seen.bodies.get(prediction["prediction_id"])
        if stored and canonical(stored) != canonical(prediction):
            yield Finding(Kind.ALTERED, f"{place} shows another answer to {prediction['request_id']} than is stored")


def _altered_between_deliveries(seen: _Seen) -> Iterator[Finding]:
    answers: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for _, client_id, request_id, prediction in seen.delivered():
        answers[client_id, request_id].add(canonical(prediction))
    for (_, request_id), different in answers.items():
        if len(different) > 1:
            yield Finding(Kind.ALTERED, f"{request_id} was answered in {len(different)} different ways")


def _altered_entries(seen: _Seen) -> Iterator[Finding]:
    names = ("kind", "prediction_id", "client_id", "explanation")
    logged = {row["sequence"]: [row[name] for name in names] for row in seen.server.changes}
    for dashboard in seen.dashboards:
        for entry in dashboard.taken:
            if canonical(logged.get(entry["sequence"])) != canonical([entry[name] for name in names]):
                yield Finding(Kind.ALTERED, f"{dashboard.name} has another entry {entry['sequence']} than the log")


def _refused(seen: _Seen) -> Iterator[Finding]:
    invalid = {request_id for page in seen.pages for request_id in page.invalid}
    for (client_id, request_id), row in seen.on_disk.items():
        if row["state"] == "refused":
            yield Finding(Kind.REFUSED, f"{request_id} of {client_id}: {row['error']['code']}")
    for page in seen.pages:
        for request_id in page.refused.keys() - invalid:
            yield Finding(Kind.REFUSED, f"{request_id} at {page.name}: {page.refused[request_id]['code']}")
        for request_id in page.refused.keys() & page.queued.keys():
            yield Finding(Kind.REFUSED, f"{request_id} was both queued and refused at {page.name}")
    for client_id, request_id in [*seen.on_disk, *seen.stored]:
        if request_id in invalid:
            yield Finding(Kind.REFUSED, f"{request_id} of {client_id} is impossible and was kept all the same")


_CHECKS = (
    _lost,
    _lost_on_the_way_to_a_dashboard,
    _lost_from_the_log,
    _unexplained,
    _unexplained_at_a_client_app,
    _not_stored,
    _doubled_at_the_server,
    _doubled_at_a_dashboard,
    _doubled_at_a_client_app,
    _counted_wrong,
    _reordered_in_the_log,
    _reordered_on_the_way,
    _crossed,
    _crossed_in_the_log,
    _altered_requests,
    _altered_numbers,
    _altered_answers,
    _altered_between_deliveries,
    _altered_entries,
    _refused,
)


def _made(dashboard: DashboardRecord) -> Iterator[Wire]:
    return (entry["prediction"] for entry in dashboard.taken if entry["prediction"])


def _repeated(values: Iterable[Value]) -> list[Value]:
    return [value for value, times in Counter(values).items() if times > 1]


def _as_floats(values: Wire) -> Wire:
    return {name: None if value is None else float(value) for name, value in values.items()}


def _some(sequences: list[int]) -> str:
    first = ", ".join(map(str, sequences[:3]))
    return f"entry {first}" if len(sequences) <= 3 else f"{len(sequences)} entries from {first} on"
