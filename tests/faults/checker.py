"""Checks the records of a schedule for every way in which the promise could have been broken."""

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from common.messages import ChangeKind
from tests.faults.records import Json, Records, canonical

Key = tuple[str, str]
"""Client app and request id."""


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
        self.bodies = {row["body"]["prediction_id"]: row["body"] for row in records.server.predictions}
        self.stored = Counter((row["client_id"], row["request_id"]) for row in records.server.predictions)
        self.made = [one for one in records.server.changes if one["kind"] == ChangeKind.PREDICTION_MADE]
        self.explained = [one for one in records.server.changes if one["kind"] == ChangeKind.EXPLANATION_FINISHED]
        self.erased = {
            (one["client_id"], one["request_id"])
            for one in records.server.changes
            if one["kind"] == ChangeKind.PREDICTION_ERASED
        }
        self.submitted = {(page.client_id, one): asked for page in self.pages for one, asked in page.submitted.items()}
        self.on_disk = {(one.client_id, row["request_id"]): row for one in records.clients for row in one.requests}

    def shown(self) -> Iterator[tuple[str, Key, Json]]:
        """Yield place, key and history entry of everything a page or a disk shows."""
        for page in self.pages:
            for request_id, states in page.seen.items():
                yield from ((page.name, (page.client_id, request_id), state) for state in states)
        yield from ((f"disk of {key[0]}", key, row) for key, row in self.on_disk.items())


def _compare(
    place: str, shown: Iterable[tuple[Hashable, Any]], true: Mapping[Any, Any], *, otherwise: Kind = Kind.ALTERED
) -> Iterator[Finding]:
    """Find what is not shown exactly once, is shown otherwise than it is, or is shown and is not so at all."""
    shown = list(shown)
    times = Counter(key for key, _ in shown)
    yield from (Finding(Kind.LOST, f"{place} lacks {key}") for key in true if key not in times)
    yield from (Finding(Kind.DOUBLED, f"{place} has {key} {n} times") for key, n in times.items() if n > 1)
    yield from (Finding(Kind.NOT_STORED, f"{place} has {key}, which is not stored") for key in times if key not in true)
    for key, value in shown:
        if key in true and canonical(value) != canonical(true[key]):
            yield Finding(otherwise, f"{place} has {key} otherwise than it is stored")


def _saved(seen: _Seen) -> Iterator[Finding]:
    for page in seen.pages:
        for request_id in page.saved:
            key = page.client_id, request_id
            if request_id in page.withdrawn and key in seen.erased and key not in {*seen.on_disk, *seen.stored}:
                continue  # for good: everything else is to be answered
            if seen.on_disk.get(key, {"state": "queued"})["state"] in ("queued", "withdrawing"):
                yield Finding(Kind.LOST, f"{request_id}, saved at {page.name}, is not answered on the disk there")
            if not seen.stored[key]:
                yield Finding(Kind.LOST, f"{request_id}, saved at {page.name}, is not in the server's record")
            if not any(state["prediction"] for state in page.seen.get(request_id, [])):
                yield Finding(Kind.LOST, f"{request_id}, saved at {page.name}, was never shown there as answered")


def _recorded(seen: _Seen) -> Iterator[Finding]:
    """Check the server's record and log against each other."""
    server = seen.server
    logged = ((entry["sequence"], None) for entry in server.changes)
    awaited = {one: None for one, body in seen.bodies.items() if body["awaits_explanation"]}
    yield from _compare("the server's log", logged, dict.fromkeys(range(server.after + 1, server.last + 1)))
    yield from _compare("the log", ((one["prediction_id"], one["prediction"]) for one in seen.made), seen.bodies)
    yield from _compare("the explanations", ((one["prediction_id"], None) for one in seen.explained), awaited)
    yield from (Finding(Kind.DOUBLED, f"{key} is stored {n} times") for key, n in seen.stored.items() if n > 1)
    for row in server.predictions:
        body = row["body"]
        explained = {part["field"]: part["value"] for part in body["contributions"]}
        if (body["client_id"], body["request_id"]) != (row["client_id"], row["request_id"]):
            yield Finding(Kind.ALTERED, f"stored prediction {row['sequence']} is filed under another request")
        if canonical(explained) != canonical(body["record"]):
            yield Finding(Kind.ALTERED, f"stored prediction {row['sequence']} explains other values than its record's")
    for entry in server.changes:
        body = seen.bodies.get(entry["prediction_id"], entry)
        if (body["client_id"], body["request_id"]) != (entry["client_id"], entry["request_id"]):
            yield Finding(Kind.CROSSED, f"log entry {entry['sequence']} is filed under another request than its own")


def _shown(seen: _Seen) -> Iterator[Finding]:
    """Check every state of every request, wherever it is shown, against what was entered and what is stored."""
    stored = [("the record", (one["client_id"], one["request_id"]), one["body"]) for one in seen.server.predictions]
    for place, key, state in [*seen.shown(), *stored]:
        entered = seen.submitted.get(key)
        if entered is None:
            yield Finding(Kind.CROSSED, f"{place} has {key}, which was never entered there")
        elif any(canonical(state[name]) != canonical(entered[name]) for name in entered):
            yield Finding(Kind.ALTERED, f"{place} has other values of {key} than were entered")
    for place, key, state in seen.shown():
        if prediction := state["prediction"]:
            true = {one: seen.bodies[one] for one in {prediction["prediction_id"]} & seen.bodies.keys()}
            yield from _compare(place, [(prediction["prediction_id"], prediction)], true)
            if (prediction["client_id"], prediction["request_id"]) != key:
                yield Finding(Kind.CROSSED, f"{place} has at {key} an answer for {prediction['client_id']}")


def _corrected(seen: _Seen) -> Iterator[Finding]:
    """Check that what a correction was stored of is marked with it, once, wherever it stands."""
    bodies = [row["body"] for row in seen.server.predictions if row["body"]["corrects"]]
    corrected = {(one["client_id"], one["corrects"]): one["request_id"] for one in bodies}
    marks = {key: by for key, by in corrected.items() if seen.stored[key]}
    logged = [one for one in seen.server.changes if one["kind"] == ChangeKind.PREDICTION_SUPERSEDED]
    rows = {"the log, of corrections,": logged, "the record, of corrections,": seen.server.predictions}
    for place, marked in rows.items():
        found = [((one["client_id"], one["request_id"]), one["superseded_by"]) for one in marked]
        yield from _compare(place, [one for one in found if one[1]], marks)
    on_disk = [(key, row["superseded_by"]) for key, row in seen.on_disk.items() if row["superseded_by"]]
    yield from _compare("disk, of corrections,", on_disk, marks)


def _explained(seen: _Seen) -> Iterator[Finding]:
    """Check that the final explanations came to the client apps."""
    final = {one["prediction_id"]: one["explanation"] for one in seen.explained}
    for key, row in seen.on_disk.items():
        if row["prediction"] and (true := final.get(row["prediction"]["prediction_id"])):
            is_first = canonical(row["explanation"]) == canonical(row["prediction"]["explanation"])
            kind = Kind.LOST if is_first else Kind.ALTERED
            yield from _compare("disk", [(key, row["explanation"])], {key: true}, otherwise=kind)


def _read(seen: _Seen) -> Iterator[Finding]:
    """Check what pages read and loaded against what is stored in the end."""
    for reader in [*seen.pages, *seen.dashboards]:
        if reader.restarts:
            yield Finding(Kind.LOST, f"{reader.name} was answered about another log or place than it asked after")
        if reader.disorder:
            yield Finding(Kind.DISORDERED, f"{reader.name} got entries {reader.disorder} out of order")
    for page in seen.pages:
        disk = {request_id: row for (whose, request_id), row in seen.on_disk.items() if whose == page.client_id}
        yield from _compare(
            page.name, ((one, states[-1]) for one, states in page.seen.items()), disk, otherwise=Kind.LOST
        )
        if page.loaded is not None:
            yield from _compare(f"{page.name}, loaded,", ((one["request_id"], one) for one in page.loaded), disk)


def _read_by_dashboards(seen: _Seen) -> Iterator[Finding]:
    for board in seen.dashboards:
        later = {one["sequence"]: one for one in seen.server.changes if one["sequence"] > (board.after or 0)}
        yield from _compare(board.name, ((one["sequence"], one) for one in board.taken), later)
        if board.loaded is not None:
            loaded = ((one["prediction_id"], one) for one in board.loaded)
            yield from _compare(f"{board.name}, loaded,", loaded, seen.bodies)
        if board.totals and board.totals["by_client"] != seen.server.totals:
            yield Finding(Kind.DOUBLED, f"{board.name} shows other totals than the server has stored")


def _refused(seen: _Seen) -> Iterator[Finding]:
    refused = [row["error"]["code"] for row in seen.on_disk.values() if row["state"] == "refused"]
    refused += [one["error"]["code"] for one in seen.server.changes if one["kind"] == ChangeKind.REQUEST_REFUSED]
    yield from (Finding(Kind.REFUSED, f"a valid request: {code}") for code in refused)
    for page in seen.pages:
        for request_id in page.refused.keys() - (set(page.invalid) - set(page.saved)):
            yield Finding(Kind.REFUSED, f"{request_id} at {page.name}: {page.refused[request_id]['code']}")
        for request_id in page.invalid:
            if {(page.client_id, request_id)} & {*seen.on_disk, *seen.stored}:
                yield Finding(Kind.REFUSED, f"{request_id} at {page.name} is impossible and was kept all the same")


_CHECKS = (_saved, _recorded, _shown, _corrected, _explained, _read, _read_by_dashboards, _refused)
