"""Whether a record is whole and agrees with itself: file, schema, log, counts and every prediction's content."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from pydantic import ValidationError
from sqlalchemy import Engine, Executable, Row, select, text

from common.messages import Explanation, Prediction, WireError
from server.store import postgres
from server.store.database import newest_revision, revision_of
from server.store.entries import walk
from server.store.schema import REPEATED, changes, predictions

_AT_ONCE: Final = 200

_STORED: Final = """EXISTS (SELECT 1 FROM predictions p WHERE p.prediction_id = c.prediction_id
    AND p.client_id = c.client_id AND p.request_id = c.request_id)"""
_GONE: Final = """EXISTS (SELECT 1 FROM changes o WHERE o.prediction_id = c.prediction_id
    AND o.kind = 'prediction_erased' AND o.client_id = c.client_id AND o.request_id = c.request_id)"""
_TOLD: Final = """EXISTS (SELECT 1 FROM changes c WHERE c.sequence = p.sequence AND c.kind = 'prediction_made'
    AND p.prediction_id = c.prediction_id AND p.client_id = c.client_id AND p.request_id = c.request_id)"""
_WITHDRAWN: Final = "(kind = 'prediction_erased' AND prediction_id IS NULL)"
_ENTRY: Final = f"changes c WHERE kind <> 'request_refused' AND NOT {_WITHDRAWN} AND"
_REFUSAL: Final = "changes c WHERE kind = 'request_refused' AND"
_KEPT: Final = "SELECT client_id, risk_level, predictions FROM counts WHERE predictions <> 0"
_COUNTED: Final = """SELECT client_id, risk_level, count(*) FROM predictions WHERE superseded_by IS NULL
    GROUP BY client_id, risk_level"""
_SUPERSEDED: Final = """SELECT prediction_id, superseded_by FROM changes WHERE kind = 'prediction_superseded'
    AND prediction_id IN (SELECT prediction_id FROM predictions)"""
_MARKED: Final = "SELECT prediction_id, superseded_by FROM predictions WHERE superseded_by IS NOT NULL"
_NEWEST: Final = "(SELECT COALESCE(max(sequence), 0) FROM changes)"
_NEWEST_ERASURE: Final = """(SELECT COALESCE(max(sequence), 0) FROM changes
    WHERE kind IN ('prediction_erased', 'prediction_superseded'))"""
_NEWEST_REFUSAL: Final = "(SELECT COALESCE(max(sequence), 0) FROM changes WHERE kind = 'request_refused')"
_ENTRIES: Final = "(SELECT count(*) FROM changes)"
_LEFT_OUT: Final = '(SELECT COALESCE(sum(up_to - "after"), 0) FROM sequence_gaps)'

_WRONG: Final = {
    "(SELECT count(*) AS number FROM change_counter) AS c WHERE number <> 1": "logs have no counter, or several",
    f"change_counter WHERE value < {_NEWEST} OR value <> {_ENTRIES} + {_LEFT_OUT}": "log lacks entries, or its counter",
    f"change_counter WHERE erased_up_to <> {_NEWEST_ERASURE}": "log does not know its newest erasure or correction",
    f"change_counter WHERE refused_up_to <> {_NEWEST_REFUSAL}": "log does not know its newest refusal",
    "change_counter WHERE length(log_id) <> 36 OR epoch < 0": "log has no valid identity",
    f"({_KEPT} EXCEPT {_COUNTED}) AS c": "counts of predictions by client app and level are wrong",
    f"({_COUNTED} EXCEPT {_KEPT}) AS c": "client apps and levels have predictions that are not counted",
    f"{_ENTRY} NOT {_STORED} AND NOT {_GONE}": "entries of the log tell of predictions neither stored nor erased",
    f"{_ENTRY} {_STORED} AND {_GONE}": "entries of the log tell of predictions both stored and erased",
    f"{_ENTRY} explanation IS NOT NULL AND {_GONE}": "explanations of erased predictions are left",
    f"{_ENTRY} error IS NOT NULL": "entries of predictions hold errors",
    f"{_REFUSAL} (prediction_id IS NOT NULL OR error IS NULL)": "refused requests are not in the log as they should be",
    f"({_SUPERSEDED} EXCEPT {_MARKED}) AS c": "predictions were corrected and do not say so",
    f"({_MARKED} EXCEPT {_SUPERSEDED}) AS c": "predictions are marked as corrected without an entry of the log",
    """predictions p JOIN changes c ON c.client_id = p.client_id AND c.request_id = p.request_id
        WHERE c.kind = 'prediction_erased' AND c.prediction_id IS NULL""": "withdrawn requests have predictions",
    f"predictions p WHERE NOT {_TOLD}": "predictions are not in the log as they should be",
}
"""Rows that must not be there, and what they are."""

_STORED_COLUMNS: Final = [predictions.c[name].label(f"stored_{name}") for name in ("body", *REPEATED)]
_CONTENTS: Final = select(changes, *_STORED_COLUMNS).outerjoin_from(
    changes, predictions, changes.c.sequence == predictions.c.sequence
)


def count_entries(engine: Engine) -> int:
    """Return how many entries the log has."""
    return _count(engine, "changes")


def problems_of(engine: Engine) -> Iterator[str]:
    """Yield a sentence for everything that is not as it should be, without any value of a patient.

    It may be in use meanwhile. It is read in small steps, each of which is of one moment and holds at any: a server on
    the same SQLite file waits for one at most.
    """
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            said = connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars().all()
        if said != ["ok"]:
            yield f"The file is damaged: SQLite's own check found {len(said)} faults or more."
    revision = revision_of(engine)
    if revision != newest_revision():
        yield (
            f"Its schema is {revision}, this program's {newest_revision()}: a start of the server or a restore "
            "brings an older one up to date; then it can be verified further."
        )
        return
    yield from (f"{number} {what}." for rows, what in _WRONG.items() if (number := _count(engine, rows)))
    found = walk(partial(_rows, engine), _CONTENTS, _AT_ONCE)
    yield from (f"Entry {row.sequence} of the log: {fault}." for row in found if (fault := _fault(row)))


def _rows(engine: Engine, statement: Executable) -> Sequence[Row[Any]]:
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            postgres.take_time(connection)
        return connection.execute(statement).all()


def _count(engine: Engine, rows: str) -> int:
    return int(_rows(engine, text(f"SELECT count(*) FROM {rows}"))[0][0])  # noqa: S608 - those above


def _fault(row: Row[Any]) -> str | None:
    """Say what is wrong with the content of a log entry, naming no value."""
    try:
        if row.explanation is not None:
            Explanation.model_validate_json(row.explanation)
        if row.error is not None:
            WireError.model_validate_json(row.error)
        if row.stored_body is None:
            return None
        body = Prediction.model_validate_json(row.stored_body)
    except ValidationError:
        return "its content cannot be read"
    # Lists and filters go by the columns, pages show the body: where they differ, a patient shows under another level.
    differing = [name for name in REPEATED if getattr(body, name) != getattr(row, f"stored_{name}")]
    if body.made_at.isoformat() != row.at:
        differing.append("made_at")
    return f"the prediction differs from its row in {', '.join(differing)}" if differing else None
