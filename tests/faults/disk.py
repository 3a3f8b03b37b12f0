"""Reads what is on the disks of the server and the client apps, with SQLite alone."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from tests.faults.records import ClientRecord, ServerRecord, Wire

BUSY_SECONDS: Final = 20.0


def last_sequence(database: Path) -> int:
    """Return the value of the counter that numbers the server's log."""
    with _reading(database) as rows:
        return int(rows("SELECT value FROM change_counter")[0]["value"])


def highest_number(database: Path) -> int:
    """Return a client app's highest outbox number."""
    with _reading(database) as rows:
        return int(rows("SELECT coalesce(max(outbox_number), 0) AS highest FROM requests")[0]["highest"])


def count_unexplained(database: Path) -> int:
    """Return how many of the server's predictions still await their final explanation."""
    with _reading(database) as rows:
        found = rows(
            "SELECT count(*) AS number FROM predictions WHERE awaits_explanation AND prediction_id NOT IN"
            " (SELECT prediction_id FROM changes WHERE explanation IS NOT NULL)"
        )
        return int(found[0]["number"])


def count_explained_to_come(database: Path) -> int:
    """Return how many of a client app's answers still have their first explanation although another one follows."""
    with _reading(database) as rows:
        found = rows(
            "SELECT count(*) AS number FROM requests WHERE prediction ->> '$.awaits_explanation'"
            " AND json(explanation) = prediction -> '$.explanation'"
        )
        return int(found[0]["number"])


def server_record(database: Path, *, after: int) -> ServerRecord:
    """Read what the server stored behind a sequence."""
    with _reading(database) as rows:
        return ServerRecord(
            after=after,
            last=int(rows("SELECT value FROM change_counter")[0]["value"]),
            predictions=[
                row | {"body": json.loads(row["body"])}
                for row in rows(
                    "SELECT sequence, client_id, request_id, body FROM predictions"
                    " WHERE sequence > ? ORDER BY sequence",
                    after,
                )
            ],
            changes=[
                row | {"explanation": json.loads(row["explanation"] or "null")}
                for row in rows(
                    "SELECT sequence, kind, prediction_id, client_id, explanation FROM changes"
                    " WHERE sequence > ? ORDER BY sequence",
                    after,
                )
            ],
            totals={
                row["client_id"]: row["number"]
                for row in rows("SELECT client_id, count(*) AS number FROM predictions GROUP BY client_id")
            },
        )


def client_record(database: Path, client_id: str, *, after: int) -> ClientRecord:
    """Read what a client app holds behind an outbox number."""
    with _reading(database) as rows:
        requests = rows(
            "SELECT request_id, outbox_number, patient_reference, state, record, prediction, explanation, error"
            " FROM requests WHERE outbox_number > ? ORDER BY outbox_number",
            after,
        )
    return ClientRecord(client_id, [_parsed(row) for row in requests])


def _parsed(row: Wire) -> Wire:
    return row | {name: json.loads(row[name] or "null") for name in ("record", "prediction", "explanation", "error")}


@contextmanager
def _reading(database: Path) -> Iterator[Any]:
    with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection:
        connection.row_factory = sqlite3.Row

        def rows(query: str, *values: object) -> list[Wire]:
            return [dict(row) for row in connection.execute(query, values)]

        yield rows
