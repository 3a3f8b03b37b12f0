"""What each side saw during one schedule, as plain JSON: all that the checker looks at.

What is on the disks is read with SQLite alone, and what is in PostgreSQL with its driver.
"""

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

Json = dict[str, Any]
"""A message or a row as JSON gives it."""


def canonical(value: object) -> str:
    """Return the one text of a JSON value; two values with the same text are the same to the last digit.

    Whole numbers may be written as integers or not, and UTC as ``Z`` or as an offset.
    """
    text = json.dumps(json.loads(json.dumps(value), parse_int=float), sort_keys=True)
    return text.replace('Z"', '+00:00"')


@dataclass
class ReaderRecord:
    """What one page read of the log that it follows."""

    name: str
    restarts: int = 0
    """How often an answer was about another log or another place than was asked after."""
    disorder: list[int] = field(default_factory=list)
    """Sequences that came out of order, or outside the run they came in."""
    loaded: list[Json] | None = None
    """What the page shows when it is reloaded at the end."""


@dataclass
class PageRecord(ReaderRecord):
    """What one clinician did at the page of a client app, and what the page was told."""

    client_id: str = ""
    submitted: dict[str, Json] = field(default_factory=dict)
    """Record and patient reference by request id."""
    invalid: list[str] = field(default_factory=list)
    """Request ids of the records that must be refused."""
    saved: list[str] = field(default_factory=list)
    """Request ids that were acknowledged as saved."""
    withdrawn: list[str] = field(default_factory=list)
    """Request ids of what was asked to be withdrawn, whether that arrived or not."""
    refused: dict[str, Json] = field(default_factory=dict)
    """Errors of the submissions that were refused for good, by request id."""
    seen: dict[str, list[Json]] = field(default_factory=dict)
    """Every different state that a request was shown in, by its id."""

    def see(self, entry: Json) -> None:
        states = self.seen.setdefault(entry["request_id"], [])
        if not states or canonical(states[-1]) != canonical(entry):
            states.append(entry)


@dataclass
class DashboardRecord(ReaderRecord):
    """What one dashboard read of the server's log, without what it knew already."""

    after: int | None = None
    """The place that it began to follow from, as it was loaded."""
    taken: list[Json] = field(default_factory=list)
    """Entries as they came."""
    totals: Json | None = None


@dataclass
class ServerRecord:
    """What is on the server's disk behind a sequence."""

    after: int
    last: int
    """The value of the counter that numbers the log."""
    predictions: list[Json]
    """``sequence``, ``client_id``, ``request_id``, the parsed ``body`` and ``superseded_by``, ascending."""
    changes: list[Json]
    """The entries of the log as a dashboard should get them, ascending."""
    totals: dict[str, int]
    """Predictions of each client app over the whole database, without those that were corrected."""


@dataclass
class ClientRecord:
    """The requests of this schedule on a client app's disk, each as its pages should show it."""

    client_id: str
    requests: list[Json]


@dataclass
class Records:
    """Everything one schedule left behind."""

    pages: list[PageRecord]
    dashboards: list[DashboardRecord]
    server: ServerRecord
    clients: list[ClientRecord]

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False))


BUSY_SECONDS: Final = 20.0

_LAST: Final = "SELECT value FROM change_counter"
_TOTALS: Final = "SELECT client_id, count(*) AS number FROM predictions WHERE superseded_by IS NULL GROUP BY client_id"
_PREDICTIONS: Final = (
    "SELECT sequence, client_id, request_id, body, superseded_by FROM predictions WHERE sequence > ? ORDER BY sequence"
)
_CHANGES: Final = (
    "SELECT changes.sequence, kind, changes.client_id, changes.request_id, changes.prediction_id, at,"
    " CASE kind WHEN 'prediction_made' THEN body END AS prediction, explanation, error, changes.superseded_by"
    " FROM changes LEFT JOIN predictions USING (prediction_id) WHERE changes.sequence > ? ORDER BY changes.sequence"
)
_REQUESTS: Final = (
    "SELECT request_id, patient_reference, entered_at, entered_by, state, record, entered, corrects, superseded_by,"
    " prediction, explanation, error"
    " FROM requests WHERE request_id > ? AND state <> 'erased'"
)
_JSON: Final = ("body", "record", "entered", "prediction", "explanation", "error")


def last_sequence(database: Path | str) -> int:
    """Return the value of the counter that numbers the server's log."""
    return int(_rows(database, _LAST)[0]["value"])


def server_record(database: Path | str, *, after: int) -> ServerRecord:
    """Read what the server stored behind a sequence, in a file or at an address of PostgreSQL."""
    return ServerRecord(
        after=after,
        last=last_sequence(database),
        predictions=_rows(database, _PREDICTIONS, after),
        changes=_rows(database, _CHANGES, after),
        totals={row["client_id"]: row["number"] for row in _rows(database, _TOTALS)},
    )


def client_record(database: Path | str, client_id: str, *, after: str) -> ClientRecord:
    """Read what a client app holds of requests after a request id."""
    return ClientRecord(client_id, _rows(database, _REQUESTS, after))


def _rows(database: Path | str, query: str, *values: object) -> list[Json]:
    if isinstance(database, str):
        with psycopg.connect(database, row_factory=dict_row) as postgres:
            rows = postgres.execute(query.replace("?", "%s").encode(), values).fetchall()
    else:
        with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection:
            connection.row_factory = sqlite3.Row
            rows = [dict(row) for row in connection.execute(query, values)]
    return [row | {name: json.loads(row[name] or "null") for name in _JSON if name in row} for row in rows]
