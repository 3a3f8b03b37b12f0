"""Reads what is on the disks of the server and the client apps, with SQLite alone."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from tests.faults.records import ClientRecord, Json, ServerRecord

BUSY_SECONDS: Final = 20.0

_UNEXPLAINED: Final = (
    "SELECT count(*) FROM predictions WHERE awaits_explanation AND prediction_id NOT IN"
    " (SELECT prediction_id FROM changes WHERE explanation IS NOT NULL)"
)
_UNTOLD: Final = (
    "SELECT count(*) FROM requests WHERE prediction ->> '$.awaits_explanation'"
    " AND json(explanation) = prediction -> '$.explanation'"
)
_PREDICTIONS: Final = (
    "SELECT sequence, client_id, request_id, body FROM predictions WHERE sequence > ? ORDER BY sequence"
)
_CHANGES: Final = (
    "SELECT changes.sequence, kind, changes.client_id, changes.request_id, changes.prediction_id, at,"
    " CASE kind WHEN 'prediction_made' THEN body END AS prediction, explanation, error"
    " FROM changes LEFT JOIN predictions USING (prediction_id) WHERE changes.sequence > ? ORDER BY changes.sequence"
)
_REQUESTS: Final = (
    "SELECT request_id, patient_reference, entered_at, state, record, prediction, explanation, error"
    " FROM requests WHERE request_id > ? AND state <> 'erased'"
)
_JSON: Final = ("body", "record", "prediction", "explanation", "error")


def last_sequence(database: Path) -> int:
    """Return the value of the counter that numbers the server's log."""
    return _number(database, "SELECT value FROM change_counter")


def newest_of_client(database: Path) -> int:
    """Return the newest place in a client app's own log."""
    return _number(database, "SELECT sequence FROM place")


def count_untold(database: Path) -> int:
    """Return how many of a client app's answers still have their first explanation although another one follows."""
    return _number(database, _UNTOLD)


def count_unexplained(database: Path) -> int:
    """Return how many of the server's predictions still await their final explanation."""
    return _number(database, _UNEXPLAINED)


def server_record(database: Path, *, after: int) -> ServerRecord:
    """Read what the server stored behind a sequence."""
    totals = _rows(database, "SELECT client_id, count(*) AS number FROM predictions GROUP BY client_id")
    return ServerRecord(
        after=after,
        last=last_sequence(database),
        predictions=_rows(database, _PREDICTIONS, after),
        changes=_rows(database, _CHANGES, after),
        totals={row["client_id"]: row["number"] for row in totals},
    )


def client_record(database: Path, client_id: str, *, after: str) -> ClientRecord:
    """Read what a client app holds of requests after a request id."""
    return ClientRecord(client_id, _rows(database, _REQUESTS, after))


def _number(database: Path, query: str) -> int:
    (row,) = _rows(database, query)
    (value,) = row.values()
    return int(value)


def _rows(database: Path, query: str, *values: object) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection:
        connection.row_factory = sqlite3.Row
        return [_parsed(dict(row)) for row in connection.execute(query, values)]


def _parsed(row: Json) -> Json:
    return row | {name: json.loads(row[name] or "null") for name in _JSON if name in row}
