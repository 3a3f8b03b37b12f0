"""Reads what is on the disks of the server and the client apps, with SQLite alone."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from tests.faults.records import ClientRecord, Json, ServerRecord

BUSY_SECONDS: Final = 20.0

_LAST: Final = "SELECT value FROM change_counter"
_TOTALS: Final = "SELECT client_id, count(*) AS number FROM predictions GROUP BY client_id"
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
    return int(_rows(database, _LAST)[0]["value"])


def server_record(database: Path, *, after: int) -> ServerRecord:
    """Read what the server stored behind a sequence."""
    return ServerRecord(
        after=after,
        last=last_sequence(database),
        predictions=_rows(database, _PREDICTIONS, after),
        changes=_rows(database, _CHANGES, after),
        totals={row["client_id"]: row["number"] for row in _rows(database, _TOTALS)},
    )


def client_record(database: Path, client_id: str, *, after: str) -> ClientRecord:
    """Read what a client app holds of requests after a request id."""
    return ClientRecord(client_id, _rows(database, _REQUESTS, after))


def _rows(database: Path, query: str, *values: object) -> list[Json]:
    with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute(query, values)]
    return [row | {name: json.loads(row[name] or "null") for name in _JSON if name in row} for row in rows]
