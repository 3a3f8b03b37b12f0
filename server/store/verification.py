"""Whether a record is whole and agrees with itself: file, schema, log, counts and every prediction's content."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Executable, Row, Select, create_engine, event, func, select, text
from sqlalchemy.pool import NullPool

from common.messages import ChangeKind, Explanation, Prediction, WireError
from common.sqlite import begin
from server.store.database import newest_revision, revision_of
from server.store.schema import change_counter, changes, counts, predictions, sequence_gaps

OnProgress = Callable[[int], object]
"""Hears how many more rows were read."""

_AT_ONCE = 200


def read_only(path: Path) -> Engine:
    """Return an engine that reads a file and cannot change it."""
    address = f"{path.absolute().as_uri()}?mode=ro"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(address, uri=True, isolation_level=None),
        poolclass=NullPool,
        hide_parameters=True,
    )
    event.listen(engine, "begin", begin)
    return engine


def count_rows(engine: Engine) -> int:
    """Return how many rows will be read."""
    with engine.connect() as connection:
        return _count(connection, select(func.count()).select_from(changes))


def problems_of(engine: Engine, on_progress: OnProgress = lambda _: None) -> Iterator[str]:
    """Yield a sentence for everything that is not as it should be, without any value of a patient.

    A database that is in use meanwhile is read in small steps, each of one moment.
    """
    if engine.dialect.name == "sqlite":
        yield from _of_the_file(engine)
    revision = revision_of(engine)
    if revision != newest_revision():
        yield (
            f"Its schema is {revision}, this program's {newest_revision()}: a start of the server or a restore "
            "brings an older one up to date; then it can be verified further."
        )
        return
    with engine.connect() as connection:
        yield from _of_the_log(connection)
        yield from _of_the_counts(connection)
        yield from _of_pairs(connection)
    yield from _of_contents(engine, on_progress)


def _of_the_file(engine: Engine) -> Iterator[str]:
    with engine.connect() as connection:
        said = connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars().all()
        orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if said != ["ok"]:
        yield f"The file is damaged: SQLite's own check found {len(said)} faults or more."
    if orphans:
        yield f"{len(orphans)} rows refer to others that are not there."


def _of_the_log(connection: Connection) -> Iterator[str]:
    """Compare the counter with the log: each number is there once, or was left out; and the log has a name."""
    counter = connection.execute(select(change_counter)).all()
    highest, number = connection.execute(select(func.max(changes.c.sequence), func.count()).select_from(changes)).one()
    left_out = _count(connection, select(func.sum(sequence_gaps.c.up_to - sequence_gaps.c.after)))
    if len(counter) != 1:
        yield f"The counter of the log has {len(counter)} rows instead of 1."
        return
    (row,) = counter
    if row.value < (highest or 0):
        yield f"The counter of the log stands at {row.value}, but the log goes up to {highest}."
    elif row.value != number + left_out:
        yield f"Of the {row.value - left_out} entries of the log {number} are there."
    tombstones = changes.c.kind == ChangeKind.PREDICTION_ERASED
    if row.erased_up_to != _count(connection, select(func.max(changes.c.sequence)).where(tombstones)):
        yield "The newest erasure is not the one that is noted."
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", row.log_id) or row.epoch < 0:
        yield "The log has no valid identity."


def _of_the_counts(connection: Connection) -> Iterator[str]:
    by = (predictions.c.client_id, predictions.c.risk_level)
    kept = {(row.client_id, row.risk_level): row.predictions for row in connection.execute(select(counts))}
    real = {(row[0], row[1]): row[2] for row in connection.execute(select(*by, func.count()).group_by(*by))}
    for client_id, level in sorted(kept.keys() | real.keys()):
        said, there = kept.get((client_id, level), 0), real.get((client_id, level), 0)
        if said != there:
            yield f"{said} predictions of {client_id} are counted as {level}, and {there} are there."


_STORED: Final = """EXISTS (SELECT 1 FROM predictions p WHERE p.prediction_id = c.prediction_id
    AND p.client_id = c.client_id AND p.request_id = c.request_id)"""
_GONE: Final = """EXISTS (SELECT 1 FROM changes o WHERE o.prediction_id = c.prediction_id
    AND o.kind = 'prediction_erased' AND o.client_id = c.client_id AND o.request_id = c.request_id)"""
_TOLD: Final = """EXISTS (SELECT 1 FROM changes c WHERE c.sequence = p.sequence AND c.kind = 'prediction_made'
    AND p.prediction_id = c.prediction_id AND p.client_id = c.client_id AND p.request_id = c.request_id)"""
_ENTRY: Final = "changes c WHERE kind <> 'request_refused' AND"
_REFUSAL: Final = "changes c WHERE kind = 'request_refused' AND"

_WRONG: Final = {
    f"{_ENTRY} NOT {_STORED} AND NOT {_GONE}": "entries of the log tell of predictions neither stored nor erased",
    f"{_ENTRY} {_STORED} AND {_GONE}": "entries of the log tell of predictions both stored and erased",
    f"{_ENTRY} explanation IS NOT NULL AND {_GONE}": "explanations of erased predictions are left",
    f"{_ENTRY} error IS NOT NULL": "entries of predictions hold errors",
    f"{_REFUSAL} (prediction_id IS NOT NULL OR error IS NULL)": "refused requests are not in the log as they should be",
    f"predictions p WHERE NOT {_TOLD}": "predictions are not in the log as they should be",
}
"""What must not be among predictions, and the entries of the log that tell of them, of their end, or of refusals."""


def _of_pairs(connection: Connection) -> Iterator[str]:
    for rows, sentence in _WRONG.items():
        if number := _count(connection, text(f"SELECT count(*) FROM {rows}")):  # noqa: S608 - those above
            yield f"{number} {sentence}."


def _of_contents(engine: Engine, on_progress: OnProgress) -> Iterator[str]:
    wanted = (
        select(changes, *(predictions.c[name].label(f"stored_{name}") for name in ("body", *_COLUMNS)))
        .outerjoin_from(changes, predictions, changes.c.sequence == predictions.c.sequence)
        .order_by(changes.c.sequence)
        .limit(_AT_ONCE)
    )
    after = 0
    while rows := _rows(engine, wanted.where(changes.c.sequence > after)):
        for row in rows:
            if fault := _fault(row):
                yield f"Entry {row.sequence} of the log: {fault}."
        after = rows[-1].sequence
        on_progress(len(rows))


def _rows(engine: Engine, query: Select[Any]) -> list[Row[Any]]:
    with engine.connect() as connection:
        return list(connection.execute(query))


_COLUMNS = ("prediction_id", "client_id", "request_id", "risk_level", "anomaly_score", "awaits_explanation")
"""Columns that repeat what stands in a prediction's body."""


def _fault(row: Row[Any]) -> str | None:
    """Say what is wrong with the content of a log entry, naming no value."""
    try:
        if row.explanation is not None:
            Explanation.model_validate_json(row.explanation)
        if row.error is not None:
            WireError.model_validate_json(row.error)
    except ValidationError:
        return "the explanation or the error cannot be read"
    if row.stored_body is None:
        return None
    try:
        body = Prediction.model_validate_json(row.stored_body)
    except ValidationError:
        return "the prediction cannot be read"
    differing = [name for name in _COLUMNS if getattr(body, name) != getattr(row, f"stored_{name}")]
    if body.made_at.isoformat() != row.at:
        differing.append("made_at")
    return f"the prediction differs from its row in {', '.join(differing)}" if differing else None


def _count(connection: Connection, query: Executable) -> int:
    return int(connection.execute(query).scalar_one() or 0)
