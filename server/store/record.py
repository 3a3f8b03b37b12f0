"""Predictions, and the change log that every reader follows."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BindParameter,
    Connection,
    Engine,
    Label,
    Row,
    Select,
    and_,
    bindparam,
    delete,
    func,
    insert,
    null,
    select,
    union_all,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from common.errors import NotFoundError, StoreUnavailableError
from common.messages import Change, ChangeKind, Changes, Explanation, Prediction, RiskLevel, Totals
from server.store import erasure
from server.store.database import WRITE, cause_of
from server.store.erasure import Erasable
from server.store.schema import change_counter, changes, counts, erasures, predictions

log = logging.getLogger(__name__)

RequestKey = tuple[str, str]
"""Client id and request id."""

# Built once: putting a statement together takes longer than running it.
_CLIENT_IDS: BindParameter[Sequence[str]] = bindparam("client_ids", expanding=True)
_REQUEST_IDS: BindParameter[Sequence[str]] = bindparam("request_ids", expanding=True)
# Each id in its own list: for a list of pairs SQLite reads through all that is stored.
_FIND = union_all(
    select(predictions.c.client_id, predictions.c.request_id, predictions.c.request_digest, predictions.c.body).where(
        predictions.c.client_id.in_(_CLIENT_IDS), predictions.c.request_id.in_(_REQUEST_IDS)
    ),
    select(erasures.c.client_id, erasures.c.request_id, null(), null()).where(
        erasures.c.client_id.in_(_CLIENT_IDS), erasures.c.request_id.in_(_REQUEST_IDS)
    ),
)
_TAKE_SEQUENCES = (
    update(change_counter).values(value=change_counter.c.value + bindparam("taken")).returning(change_counter.c.value)
)
_NEWEST_ERASURE = select(func.max(erasures.c.sequence))
_INSERT_PREDICTIONS = insert(predictions)
_INSERT_CHANGES = insert(changes)
_COUNT = (
    update(counts)
    .where(counts.c.client_id == bindparam("of_client"), counts.c.risk_level == bindparam("of_level"))
    .values(predictions=counts.c.predictions + bindparam("number"))
)
_COUNTER = select(change_counter.c.value)
_COUNTS = select(counts)

_PROBE: Mapping[str, object] = {
    "prediction_id": "space-check",
    "sequence": 0,
    "client_id": "",
    "request_id": "",
    "request_digest": "",
    "risk_level": "",
    "anomaly_score": 0.0,
    "awaits_explanation": False,
    "body": "." * 131_072,
}
"""A row as long as a full batch that no reader ever sees."""


@dataclass(frozen=True)
class NewPrediction:
    """A prediction about to be stored, and the digest of the request it answers."""

    prediction: Prediction
    request_digest: str


@dataclass(frozen=True)
class ExplainedPrediction:
    """A stored prediction with its latest explanation; ``sequence`` is that of the prediction's own log entry."""

    sequence: int
    prediction: Prediction
    explanation: Explanation


class PredictionStore:
    """Predictions, immutable, and the log of everything that happens to them.

    ``sequence`` comes from a counter row that the writing transaction locks, so it ascends with commit order.
    Every method raises ``StoreUnavailableError`` when the database cannot be read or written.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._last_cause: str | None = None

    @property
    def backend(self) -> str:
        return self._engine.dialect.name

    def find(self, keys: Sequence[RequestKey]) -> dict[RequestKey, NewPrediction | None]:
        """Return what is stored for these requests, by key; ``None`` stands for a prediction that was erased."""
        client_ids, request_ids = map(sorted, map(set, zip(*keys, strict=True))) if keys else ([], [])
        with self._reading() as connection:
            rows = connection.execute(_FIND, {"client_ids": client_ids, "request_ids": request_ids}).all()
        return {
            key: NewPrediction(_prediction(row), row.request_digest) if row.body else None
            for row in rows
            if (key := (row.client_id, row.request_id)) in keys
        }

    def append(self, made: Sequence[NewPrediction]) -> Changes:
        """Store predictions in one transaction, in this order, and return their log entries."""
        with self._writing() as connection:
            last = self._take_sequences(connection, len(made))
            numbered = list(enumerate(made, start=last - len(made) + 1))
            connection.execute(_INSERT_PREDICTIONS, [_prediction_row(sequence, new) for sequence, new in numbered])
            entries = [_made(sequence, new.prediction) for sequence, new in numbered]
            connection.execute(_INSERT_CHANGES, [_change_row(entry) for entry in entries])
            self._count(connection, [(new.prediction.client_id, new.prediction.risk_level) for new in made])
            totals = _totals(connection)
        return Changes(after=last - len(made), next_after=last, has_more=False, entries=entries, totals=totals)

    def finish_explanation(self, prediction: Prediction, explanation: Explanation, at: datetime) -> Changes | None:
        """Log the final explanation of a prediction; ``None`` if it has one, which stays, or was erased."""
        with self._writing() as connection:
            sequence = self._take_sequences(connection, 1)
            if not connection.execute(_awaiting(prediction.prediction_id)).first():
                connection.rollback()
                return None
            entry = Change(
                sequence=sequence,
                kind=ChangeKind.EXPLANATION_FINISHED,
                prediction_id=prediction.prediction_id,
                client_id=prediction.client_id,
                at=at,
                explanation=explanation,
            )
            connection.execute(_INSERT_CHANGES, [_change_row(entry)])
            totals = _totals(connection)
        return Changes(after=sequence - 1, next_after=sequence, has_more=False, entries=[entry], totals=totals)

    def erase(self, prediction_ids: Sequence[str], at: datetime) -> Changes:
        """Erase predictions and their explanations in one transaction, and return their tombstones.

        Of each its ids, its client app and the times of its entries are kept. What is not there is passed over.
        """
        with self._writing() as connection:
            found = erasure.find(connection, prediction_ids)
            last = self._take_sequences(connection, len(found))
            entries = [_erased(sequence, row, at) for sequence, row in enumerate(found, last - len(found) + 1)]
            if entries:
                connection.execute(_INSERT_CHANGES, [_change_row(entry) for entry in entries])
                erasure.erase(connection, found, [entry.sequence for entry in entries])
                self._count(connection, [(row.client_id, row.risk_level) for row in found], each=-1)
            totals = _totals(connection)
        return Changes(after=last - len(found), next_after=last, has_more=False, entries=entries, totals=totals)

    def older_than(
        self, made_before: datetime, *, limit: int | None = None, client_id: str | None = None
    ) -> list[Erasable]:
        """Return predictions that were made before a moment, oldest first; all of them, or so many."""
        with self._reading() as connection:
            return erasure.older_than(connection, made_before, limit=limit, client_id=client_id)

    def of_patient(
        self, reference: str, *, client_id: str | None = None, on_progress: Callable[[int], object] = lambda _: None
    ) -> list[Erasable]:
        """Return the predictions of a patient's reference; ``on_progress`` hears how many more were looked at.

        Each page is read by itself, so that who writes need not wait for all of them.
        """
        found: list[erasure.Erasable] = []
        after, looked_at = 0, 1
        while looked_at:
            with self._reading() as connection:
                page = erasure.of_patient(connection, reference, client_id=client_id, after=after)
            found += page.found
            after, looked_at = page.last, page.looked_at
            on_progress(looked_at)
        return found

    def erased_up_to(self) -> int:
        """Return the sequence of the newest tombstone, 0 if nothing was ever erased."""
        with self._reading() as connection:
            return connection.execute(_NEWEST_ERASURE).scalar_one() or 0

    def changes(self, after: int, limit: int, *, client_id: str | None = None) -> Changes:
        """Return the log entries after a sequence, ascending; all of them or one client's.

        A reader that is further than the log has read another one, and gets this one from its beginning.
        """
        with self._reading() as connection:
            if after > connection.execute(_COUNTER).scalar_one():
                after = 0
            return self._changes(connection, after, limit, client_id)

    @staticmethod
    def _changes(connection: Connection, after: int, limit: int, client_id: str | None) -> Changes:
        query = (
            select(changes, predictions.c.body)
            .outerjoin_from(
                changes,
                predictions,
                and_(
                    changes.c.prediction_id == predictions.c.prediction_id,
                    changes.c.kind == ChangeKind.PREDICTION_MADE,
                ),
            )
            .where(changes.c.sequence > after)
            .order_by(changes.c.sequence)
            .limit(limit + 1)
        )
        if client_id is not None:
            query = query.where(changes.c.client_id == client_id)
        rows = connection.execute(query).all()
        totals = _totals(connection) if client_id is None else None
        entries = [_change(row) for row in rows[:limit]]
        next_after = entries[-1].sequence if entries else after
        return Changes(after=after, next_after=next_after, has_more=len(rows) > limit, entries=entries, totals=totals)

    def recent(
        self,
        limit: int,
        *,
        after: int = 0,
        before: int | None = None,
        client_id: str | None = None,
        level: RiskLevel | None = None,
    ) -> list[ExplainedPrediction]:
        """Return predictions after and before some sequences, newest first, with their latest explanations."""
        query = select(predictions, _latest_explanation()).where(predictions.c.sequence > after)
        query = query.order_by(predictions.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(predictions.c.sequence < before)
        if client_id is not None:
            query = query.where(predictions.c.client_id == client_id)
        if level is not None:
            query = query.where(predictions.c.risk_level == level)
        with self._reading() as connection:
            return [_explained(row) for row in connection.execute(query)]

    def get(self, prediction_id: str) -> ExplainedPrediction:
        """Return one prediction.

        Raises
        ------
        NotFoundError
            If there is none with this id.
        """
        query = select(predictions, _latest_explanation()).where(predictions.c.prediction_id == prediction_id)
        with self._reading() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NotFoundError("There is no prediction with this id.")
        return _explained(row)

    def unfinished(self) -> list[Prediction]:
        """Return the predictions that still await a language model's explanation, oldest first."""
        query = (
            select(predictions)
            .where(predictions.c.awaits_explanation, predictions.c.prediction_id.not_in(_finished()))
            .order_by(predictions.c.sequence)
        )
        with self._reading() as connection:
            return [_prediction(row) for row in connection.execute(query)]

    def totals(self) -> Totals:
        with self._reading() as connection:
            return _totals(connection)

    def cursor(self) -> int:
        """Return the sequence of the newest log entry, 0 if there is none."""
        with self._reading() as connection:
            return int(connection.execute(_COUNTER).scalar_one())

    def check(self) -> None:
        """Write as much as a batch takes and take it back, so that a full or read-only disk is noticed."""
        with self._writing() as connection:
            self._take_sequences(connection, 0)
            connection.execute(insert(predictions).values(_PROBE))
            connection.execute(delete(predictions).where(predictions.c.prediction_id == _PROBE["prediction_id"]))

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._named_failure(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._named_failure(), self._engine.execution_options(**WRITE).begin() as connection:
            yield connection
        self._last_cause = None

    @contextmanager
    def _named_failure(self) -> Iterator[None]:
        """Name a failure and its cause; the same cause is logged once, until something was written again."""
        try:
            yield
        except SQLAlchemyError as error:
            cause = cause_of(error)
            if cause != self._last_cause:
                log.error("the record of predictions cannot be used: %s", cause)  # noqa: TRY400
            self._last_cause = cause
            raise StoreUnavailableError(f"{StoreUnavailableError.default_message} The cause: {cause}.") from error

    @staticmethod
    def _take_sequences(connection: Connection, count: int) -> int:
        return int(connection.execute(_TAKE_SEQUENCES, {"taken": count}).scalar_one())

    @staticmethod
    def _count(connection: Connection, of: Sequence[tuple[str, str]], *, each: int = 1) -> None:
        """Add to the counts, by client and level."""
        for (client_id, level), number in Counter(of).items():
            place = {"of_client": client_id, "of_level": level, "number": each * number}
            if not connection.execute(_COUNT, place).rowcount:
                connection.execute(insert(counts).values(client_id=client_id, risk_level=level, predictions=number))


def _finished() -> Select[tuple[str]]:
    return select(changes.c.prediction_id).where(changes.c.kind == ChangeKind.EXPLANATION_FINISHED)


def _awaiting(prediction_id: str) -> Select[tuple[str]]:
    """Find a prediction unless it has its final explanation."""
    return select(predictions.c.prediction_id).where(
        predictions.c.prediction_id == prediction_id, predictions.c.prediction_id.not_in(_finished())
    )


def _latest_explanation() -> Label[str | None]:
    return (
        select(changes.c.explanation)
        .where(
            changes.c.prediction_id == predictions.c.prediction_id,
            changes.c.kind == ChangeKind.EXPLANATION_FINISHED,
        )
        .order_by(changes.c.sequence.desc())
        .limit(1)
        .scalar_subquery()
        .label("explanation")
    )


def _totals(connection: Connection) -> Totals:
    rows = connection.execute(_COUNTS).all()
    by_level: Counter[str] = Counter(dict.fromkeys(RiskLevel, 0))
    by_client: Counter[str] = Counter()
    for row in rows:
        by_level[row.risk_level] += row.predictions
        by_client[row.client_id] += row.predictions
    return Totals(predictions=by_level.total(), by_level=dict(by_level), by_client=dict(by_client))


def _prediction(row: Row[tuple[object, ...]]) -> Prediction:
    return Prediction.model_validate_json(row.body)


def _explained(row: Row[tuple[object, ...]]) -> ExplainedPrediction:
    prediction = _prediction(row)
    latest = Explanation.model_validate_json(row.explanation) if row.explanation else prediction.explanation
    return ExplainedPrediction(row.sequence, prediction, latest)


def _made(sequence: int, prediction: Prediction) -> Change:
    return Change(
        sequence=sequence,
        kind=ChangeKind.PREDICTION_MADE,
        prediction_id=prediction.prediction_id,
        client_id=prediction.client_id,
        at=prediction.made_at,
        prediction=prediction,
    )


def _erased(sequence: int, row: Row[tuple[object, ...]], at: datetime) -> Change:
    return Change(
        sequence=sequence,
        kind=ChangeKind.PREDICTION_ERASED,
        prediction_id=row.prediction_id,
        client_id=row.client_id,
        at=at,
    )


def _change(row: Row[tuple[object, ...]]) -> Change:
    return Change(
        sequence=row.sequence,
        kind=row.kind,
        prediction_id=row.prediction_id,
        client_id=row.client_id,
        at=datetime.fromisoformat(row.at),
        prediction=Prediction.model_validate_json(row.body) if row.body else None,
        explanation=Explanation.model_validate_json(row.explanation) if row.explanation else None,
    )


def _prediction_row(sequence: int, new: NewPrediction) -> dict[str, object]:
    made = new.prediction
    return {
        "prediction_id": made.prediction_id,
        "sequence": sequence,
        "client_id": made.client_id,
        "request_id": made.request_id,
        "request_digest": new.request_digest,
        "risk_level": made.risk_level,
        "anomaly_score": made.anomaly_score,
        "awaits_explanation": made.awaits_explanation,
        "body": made.model_dump_json(),
    }


def _change_row(entry: Change) -> dict[str, object]:
    return {
        "sequence": entry.sequence,
        "kind": entry.kind,
        "prediction_id": entry.prediction_id,
        "client_id": entry.client_id,
        "at": entry.at.isoformat(),
        "explanation": entry.explanation.model_dump_json() if entry.explanation else None,
    }
