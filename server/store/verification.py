"""Whether a record is whole and agrees with itself: file, schema, log, counts and every prediction's content."""

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Row, Select, create_engine, event, exists, func, select
from sqlalchemy.pool import NullPool

from common.messages import ChangeKind, Explanation, Prediction, WireError
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
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
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
    kept: Counter[tuple[str, str]] = Counter()
    for row in connection.execute(select(counts)):
        kept[row.client_id, row.risk_level] = row.predictions
    by = (predictions.c.client_id, predictions.c.risk_level)
    real = Counter(
        {(row[0], row[1]): row[2] for row in connection.execute(select(*by, func.count()).group_by(*by)).all()}
    )
    for client_id, level in sorted(kept.keys() | real.keys()):
        if kept[client_id, level] != real[client_id, level]:
            yield (
                f"{kept[client_id, level]} predictions of {client_id} are counted as {level}, "
                f"and {real[client_id, level]} are there."
            )


def _of_pairs(connection: Connection) -> Iterator[str]:
    """Compare predictions with the entries of the log that tell of them, of their end, or of refusals."""
    made, erased, refused = (
        ChangeKind.PREDICTION_MADE,
        ChangeKind.PREDICTION_ERASED,
        ChangeKind.REQUEST_REFUSED,
    )
    other = changes.alias("other")
    same_request = (changes.c.client_id == predictions.c.client_id) & (changes.c.request_id == predictions.c.request_id)
    stored = exists().where(changes.c.prediction_id == predictions.c.prediction_id, same_request)
    gone = exists().where(
        other.c.prediction_id == changes.c.prediction_id,
        other.c.kind == erased,
        other.c.client_id == changes.c.client_id,
        other.c.request_id == changes.c.request_id,
    )
    told = exists().where(
        changes.c.sequence == predictions.c.sequence,
        changes.c.kind == made,
        changes.c.prediction_id == predictions.c.prediction_id,
        same_request,
    )
    entries = select(func.count()).select_from(changes)
    of_prediction, of_refusal = entries.where(changes.c.kind != refused), entries.where(changes.c.kind == refused)
    wrong_refusal = changes.c.prediction_id.is_not(None) | changes.c.error.is_(None)
    for query, sentence in (
        (of_prediction.where(~stored & ~gone), "entries of the log tell of predictions neither stored nor erased."),
        (of_prediction.where(stored & gone), "entries of the log tell of predictions both stored and erased."),
        (of_prediction.where(gone, changes.c.explanation.is_not(None)), "explanations of erased predictions are left."),
        (of_prediction.where(changes.c.error.is_not(None)), "entries of predictions hold errors."),
        (of_refusal.where(wrong_refusal), "refused requests are not in the log as they should be."),
        (
            select(func.count()).select_from(predictions).where(~told),
            "predictions are not in the log as they should be.",
        ),
    ):
        if number := _count(connection, query):
            yield f"{number} {sentence}"


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


def _count(connection: Connection, query: Select[Any]) -> int:
    return int(connection.execute(query).scalar_one() or 0)
