"""Whether a record is whole and agrees with itself: file, schema, log, counts and every prediction's content."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, Engine, Row, Select, create_engine, event, exists, func, select
from sqlalchemy.pool import NullPool

from common.messages import ChangeKind, Explanation, Prediction
from server.store.database import newest_revision, revision_of
from server.store.schema import change_counter, changes, counts, erasures, predictions, sequence_gaps

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
    """Compare the counter with the numbers of the log: each is there once, or left out and noted."""
    counter = connection.execute(select(change_counter.c.value)).scalars().all()
    highest, number = connection.execute(select(func.max(changes.c.sequence), func.count()).select_from(changes)).one()
    left_out = _count(connection, select(func.sum(sequence_gaps.c.up_to - sequence_gaps.c.after)))
    if len(counter) != 1:
        yield f"The counter of the log has {len(counter)} rows instead of 1."
    elif counter[0] < (highest or 0):
        yield f"The counter of the log stands at {counter[0]}, but the log goes up to {highest}."
    elif counter[0] != number + left_out:
        yield f"Of the {counter[0] - left_out} entries of the log {number} are there."


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
    """Compare predictions and tombstones with the entries of the log that tell of them."""
    made, erased = ChangeKind.PREDICTION_MADE, ChangeKind.PREDICTION_ERASED
    stored = exists().where(predictions.c.prediction_id == changes.c.prediction_id)
    gone = exists().where(erasures.c.prediction_id == changes.c.prediction_id)
    same_entry = (changes.c.prediction_id == predictions.c.prediction_id) & (
        changes.c.client_id == predictions.c.client_id
    )
    told = exists().where(changes.c.sequence == predictions.c.sequence, changes.c.kind == made, same_entry)
    buried = exists().where(
        changes.c.sequence == erasures.c.sequence,
        changes.c.kind == erased,
        changes.c.prediction_id == erasures.c.prediction_id,
    )
    entries, no_trace = select(func.count()).select_from(changes), ~stored & ~gone
    for query, sentence in (
        (entries.where(no_trace), "entries of the log tell of predictions that are neither stored nor erased."),
        (entries.where(stored & gone), "entries of the log tell of predictions that are both stored and erased."),
        (entries.where(gone, changes.c.explanation.is_not(None)), "explanations of erased predictions are left."),
        (
            select(func.count()).select_from(predictions).where(~told),
            "predictions are not in the log as they should be.",
        ),
        (select(func.count()).select_from(erasures).where(~buried), "erasures are not in the log as they should be."),
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
    except ValidationError:
        return "the explanation cannot be read"
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
