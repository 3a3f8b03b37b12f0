"""Finding predictions that are to be erased, and erasing them: row by row, nothing of a patient is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Row, delete, select, update

from common.messages import ChangeKind
from server.store.schema import change_counter, changes, predictions

_AT_ONCE = 200


@dataclass(frozen=True)
class Erasable:
    """A prediction that may be erased."""

    prediction_id: str
    client_id: str


@dataclass(frozen=True)
class PageOfPatient:
    """What a page of the predictions held of a patient, how many were looked at, and the sequence of the last one."""

    found: Sequence[Erasable]
    looked_at: int
    last: int


def find(connection: Connection, prediction_ids: Sequence[str]) -> list[Row[Any]]:
    """Return those of the predictions that are there, oldest first, without their content."""
    wanted = select(
        predictions.c.prediction_id, predictions.c.client_id, predictions.c.request_id, predictions.c.risk_level
    )
    chosen = wanted.where(predictions.c.prediction_id.in_(prediction_ids))
    return list(connection.execute(chosen.order_by(predictions.c.sequence)))


def erase(connection: Connection, ids: Sequence[str], up_to: int) -> None:
    """Delete predictions, the digests of their requests and their explanations, of which the last tombstone is known.

    The digest goes too: whoever has it could find a patient's values by trying.
    """
    connection.execute(delete(predictions).where(predictions.c.prediction_id.in_(ids)))
    connection.execute(update(changes).where(changes.c.prediction_id.in_(ids)).values(explanation=None))
    connection.execute(update(change_counter).values(erased_up_to=up_to))


def older_than(
    connection: Connection, made_before: datetime, *, limit: int | None, client_id: str | None
) -> list[Erasable]:
    """Return predictions that were made before a moment, oldest first."""
    # Times are kept as UTC in ISO 8601, which sorts as text.
    wanted = (
        select(predictions.c.prediction_id, predictions.c.client_id)
        .join_from(predictions, changes, changes.c.sequence == predictions.c.sequence)
        .where(changes.c.at < made_before.astimezone(UTC).isoformat(), changes.c.kind == ChangeKind.PREDICTION_MADE)
        .order_by(predictions.c.sequence)
        .limit(limit)
    )
    if client_id is not None:
        wanted = wanted.where(predictions.c.client_id == client_id)
    return [Erasable(row.prediction_id, row.client_id) for row in connection.execute(wanted)]


def of_patient(connection: Connection, reference: str, *, client_id: str | None, after: int) -> PageOfPatient:
    """Look for a patient's reference in a page of the predictions; only their bodies hold it, so all are read."""
    wanted = select(predictions).where(predictions.c.sequence > after).order_by(predictions.c.sequence).limit(_AT_ONCE)
    if client_id is not None:
        wanted = wanted.where(predictions.c.client_id == client_id)
    rows = connection.execute(wanted).all()
    found = [
        Erasable(row.prediction_id, row.client_id)
        for row in rows
        if orjson.loads(row.body)["patient_reference"] == reference
    ]
    return PageOfPatient(found, len(rows), rows[-1].sequence if rows else after)
