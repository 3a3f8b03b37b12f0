"""Predictions, and the change log that every reader follows."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Engine, Row, Select, bindparam, delete, insert, select, union_all, update
from sqlalchemy.exc import SQLAlchemyError

from common.errors import NotFoundError, RequestIdReusedError, StoreUnavailableError
from common.messages import ChangeKind, Explanation, RiskLevel, Totals, WireError
from common.sqlite import WRITE
from server.store import leases
from server.store.database import cause_of
from server.store.leases import Lease
from server.store.schema import WITHOUT_PREDICTION, change_counter, changes, counts, predictions

log = logging.getLogger(__name__)

MAX_ENTRIES: Final = 500
MAX_BYTES: Final = 256 * 1024
"""Of a run of the log; a single entry may be longer."""

_AT_ONCE: Final = 50
"""Rows looked through or erased in one transaction."""

RequestKey = tuple[str, str]
"""Client id and request id."""

# Built once: putting a statement together takes longer than running it.
# Each id in its own list: for a list of pairs SQLite reads through all that is stored.
_KNOWN = union_all(
    select(predictions.c.client_id, predictions.c.request_id, predictions.c.request_digest).where(
        predictions.c.client_id.in_(bindparam("client_ids", expanding=True)),
        predictions.c.request_id.in_(bindparam("request_ids", expanding=True)),
    ),
    select(changes.c.client_id, changes.c.request_id, changes.c.kind).where(
        WITHOUT_PREDICTION,
        changes.c.client_id.in_(bindparam("client_ids", expanding=True)),
        changes.c.request_id.in_(bindparam("request_ids", expanding=True)),
    ),
)
_TAKE_SEQUENCES = (
    update(change_counter)
    .values(value=change_counter.c.value + bindparam("taken"))
    .returning(change_counter.c.value, change_counter.c.log_id, change_counter.c.epoch)
)
_INSERT_PREDICTIONS = insert(predictions)
_INSERT_CHANGES = insert(changes)
_COUNT = (
    update(counts)
    .where(counts.c.client_id == bindparam("of_client"), counts.c.risk_level == bindparam("of_level"))
    .values(predictions=counts.c.predictions + bindparam("number"))
)
_COUNTER = select(change_counter)
_COUNTS = select(counts)
_LOG = (
    select(changes, predictions.c.body)
    .outerjoin_from(changes, predictions, changes.c.sequence == predictions.c.sequence)
    .where(changes.c.sequence > bindparam("after"), changes.c.sequence <= bindparam("newest"))
    .order_by(changes.c.sequence)
    .limit(bindparam("most"))
)
_LOG_OF_CLIENT = _LOG.where(changes.c.client_id == bindparam("of_client"))
_ENDED = (changes.c.prediction_id == predictions.c.prediction_id) & (changes.c.kind == ChangeKind.EXPLANATION_FINISHED)
_LATEST_EXPLANATION = select(changes.c.explanation).where(_ENDED).limit(1).scalar_subquery()
_EXPLAINED = select(predictions.c.sequence, predictions.c.body, _LATEST_EXPLANATION.label("explanation"))

_ERASABLE = select(predictions.c.prediction_id, predictions.c.client_id).order_by(predictions.c.sequence)

_PROBE: Mapping[str, object] = {
    **dict.fromkeys(predictions.c.keys(), ""),
    "prediction_id": "space-check",
    "sequence": 0,
    "anomaly_score": 0.0,
    "awaits_explanation": False,
    "body": "." * 131_072,
}
"""A row as long as a full batch that no reader ever sees."""


@dataclass(frozen=True)
class NewPrediction:
    """A prediction about to be stored: its columns, and ``body``, the message as it is stored, sent and never changed.

    ``request_digest`` identifies what was asked.
    """

    prediction_id: str
    client_id: str
    request_id: str
    request_digest: str
    risk_level: str
    anomaly_score: float
    awaits_explanation: bool
    made_at: datetime
    body: str

    @property
    def key(self) -> RequestKey:
        return self.client_id, self.request_id


@dataclass(frozen=True)
class Refusal:
    """A request that is refused for good, and why."""

    client_id: str
    request_id: str
    error: WireError

    @property
    def key(self) -> RequestKey:
        return self.client_id, self.request_id


@dataclass(frozen=True)
class Entry:
    """One entry of the log, and the JSON of its message ``Change``."""

    sequence: int
    kind: str
    client_id: str
    wire: bytes


@dataclass(frozen=True)
class Page:
    """What followed a place in the log, and what was counted, of one transaction; ``log`` is its identity and epoch."""

    log: str
    after: int
    next_after: int
    has_more: bool
    entries: Sequence[Entry]
    totals: Totals


@dataclass(frozen=True)
class Appended:
    """The entries of new predictions and refusals, and what is known of all these requests now.

    That is the digest of what a stored prediction answers, or the kind of entry that took its place.
    """

    page: Page
    new: Sequence[NewPrediction]
    known: Mapping[RequestKey, set[str]]


@dataclass(frozen=True)
class ExplainedPrediction:
    """A stored prediction with its latest explanation, both as messages in JSON.

    ``sequence`` is that of the prediction's own log entry.
    """

    sequence: int
    body: dict[str, Any]
    explanation: dict[str, Any]


class PredictionStore:
    """Predictions, immutable, and the log of everything that happens to them.

    ``sequence`` comes from a counter row that the writing transaction locks, so it ascends with commit order.
    Every method raises ``StoreUnavailableError`` when the database cannot be read or written.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # what is read in several statements is of one moment; SQLite's transactions always are
        options = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
        self._reader = engine.execution_options(**options)
        self._writer = engine.execution_options(**WRITE)
        self.failure: str | None = None
        """Why the database could not be used, until something was written again."""

    @property
    def backend(self) -> str:
        return self._engine.dialect.name

    def append(self, made: Sequence[NewPrediction], refused: Sequence[Refusal], at: datetime) -> Appended:
        """Store predictions and refusals in one transaction, in this order, and each request once.

        Nothing is written of a request that is known: that it is asked for something else is refused, once as well.
        """
        with self._writing() as connection:
            known = _known(connection, [one.key for one in made] + [one.key for one in refused])
            new, refusals = _unknown(made, refused, known)
            if not new and not refusals:
                return Appended(_end(connection), [], known)
            rows = [_row(ChangeKind.PREDICTION_MADE, one.key, one.made_at, one.prediction_id) for one in new]
            for one in refusals:
                rows.append(_row(ChangeKind.REQUEST_REFUSED, one.key, at, error=one.error.model_dump_json()))
            _count(connection, Counter((one.client_id, one.risk_level) for one in new))
            page = _log_rows(connection, rows, [one.body for one in new])
            if new:
                pairs = zip(rows, new, strict=False)
                connection.execute(_INSERT_PREDICTIONS, [_prediction_row(row["sequence"], one) for row, one in pairs])
                leases.begin(connection, {one.prediction_id: one.made_at for one in new if one.awaits_explanation})
        return Appended(page, new, known)

    def lease_explanations(
        self, most: int, *, now: datetime, until: datetime, old: datetime
    ) -> tuple[list[Lease], int]:
        """Lease explanations that await a worker, as ``leases.take`` does, and return how many more await one."""
        with self._reading() as connection:
            waiting = leases.waiting(connection, now)
        if not most or not waiting:
            return [], waiting
        with self._writing() as connection:
            taken = leases.take(connection, most, now=now, until=until, old=old)
            return taken, leases.waiting(connection, now)

    def renew(self, leased: Sequence[Lease], *, until: datetime) -> None:
        """Have leases last until a later time, but for those that another worker has taken over."""
        with self._writing() as connection:
            leases.renew(connection, leased, until=until)

    def give_back(self, leased: Sequence[Lease]) -> None:
        """End leases whose explanations were not written, so that others can take them at once."""
        with self._writing() as connection:
            leases.give_back(connection, leased)

    def finish_explanation(self, lease: Lease, explanation: Explanation, at: datetime) -> Page | None:
        """Log the final explanation of a prediction; ``None`` if another has its lease, or nothing awaits it."""
        with self._writing() as connection:
            if not leases.end(connection, lease):
                return None
            key, text = (lease.client_id, lease.request_id), explanation.model_dump_json()
            row = _row(ChangeKind.EXPLANATION_FINISHED, key, at, lease.prediction_id, explanation=text)
            return _log_rows(connection, [row])

    def erase(self, prediction_ids: Sequence[str], at: datetime) -> Page:
        """Erase predictions and their explanations in one transaction, and return their tombstones.

        Of each its ids, its client app and the times of its entries are kept. The digest of its request goes: whoever
        has it could find a patient's values by trying. What is not there is passed over.
        """
        with self._writing() as connection:
            chosen = select(predictions).where(predictions.c.prediction_id.in_(prediction_ids))
            found = connection.execute(chosen.order_by(predictions.c.sequence)).all()
            rows = [
                _row(ChangeKind.PREDICTION_ERASED, (one.client_id, one.request_id), at, one.prediction_id)
                for one in found
            ]
            _count(connection, Counter((one.client_id, one.risk_level) for one in found), each=-1)
            page = _log_rows(connection, rows)
            if found:
                ids = [one.prediction_id for one in found]
                connection.execute(delete(predictions).where(predictions.c.prediction_id.in_(ids)))
                connection.execute(update(changes).where(changes.c.prediction_id.in_(ids)).values(explanation=None))
                leases.forget(connection, ids)
                connection.execute(update(change_counter).values(erased_up_to=page.next_after))
        return page

    def erase_all(self, prediction_ids: Sequence[str], at: datetime) -> int:
        """Erase predictions in small transactions, so that others write meanwhile; return how many there were."""
        batches = (prediction_ids[start : start + _AT_ONCE] for start in range(0, len(prediction_ids), _AT_ONCE))
        return sum(len(self.erase(batch, at).entries) for batch in batches)

    def older_than(
        self, made_before: datetime, *, limit: int | None = None, client_id: str | None = None
    ) -> dict[str, str]:
        """Return whose the predictions are that were made before a moment, by id, oldest first; all, or so many."""
        # Times are kept as UTC in ISO 8601, which sorts as text.
        query = _ERASABLE.join_from(predictions, changes, changes.c.sequence == predictions.c.sequence).limit(limit)
        query = query.where(changes.c.at < made_before.astimezone(UTC).isoformat())
        return {row.prediction_id: row.client_id for row in self._rows(_of_client(query, client_id))}

    def of_patient(self, reference: str, *, client_id: str | None = None) -> dict[str, str]:
        """Return whose the predictions of a patient's reference are, by id; only their bodies hold it: all are read.

        Each page is read by itself, so that who writes need not wait for all of them.
        """
        query = _of_client(_ERASABLE.add_columns(predictions.c.sequence, predictions.c.body), client_id)
        found: dict[str, str] = {}
        after = 0
        while rows := self._rows(query.where(predictions.c.sequence > after).limit(_AT_ONCE)):
            of_them = (row for row in rows if orjson.loads(row.body)["patient_reference"] == reference)
            found |= {row.prediction_id: row.client_id for row in of_them}
            after = rows[-1].sequence
        return found

    def erased_up_to(self) -> int:
        """Return the sequence of the newest tombstone, 0 if nothing was ever erased."""
        return int(self._rows(_COUNTER)[0].erased_up_to)

    def changes(self, after: int, *, limit: int = MAX_ENTRIES, client_id: str | None = None) -> Page:
        """Return a run of the log after a sequence, all of it or one client's.

        A reader that is further than the log has read another one, and gets this one from its beginning.
        """
        with self._reading() as connection:
            end = _end(connection)
            after = after if after <= end.after else 0
            asked = {"after": after, "newest": end.after, "most": limit + 1, "of_client": client_id}
            rows = connection.execute(_LOG if client_id is None else _LOG_OF_CLIENT, asked)
            entries, has_more = _run_of(rows.mappings(), limit)
            rows.close()
        next_after = entries[-1].sequence if has_more else end.after
        return replace(end, after=after, next_after=next_after, has_more=has_more, entries=entries)

    def recent(
        self,
        limit: int,
        *,
        after: int = 0,
        before: int | None = None,
        client_id: str | None = None,
        level: RiskLevel | None = None,
    ) -> tuple[Page, list[ExplainedPrediction]]:
        """Return predictions after and before some sequences, newest first, with their latest explanations.

        With them comes the end of the log at the same moment, without entries.
        """
        query = _EXPLAINED.where(predictions.c.sequence > after)
        query = query.order_by(predictions.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(predictions.c.sequence < before)
        if level is not None:
            query = query.where(predictions.c.risk_level == level)
        with self._reading() as connection:
            found = connection.execute(_of_client(query, client_id))
            return _end(connection), [_explained(row) for row in found]

    def get(self, prediction_id: str) -> ExplainedPrediction:
        """Return one prediction.

        Raises
        ------
        NotFoundError
            If there is none with this id.
        """
        for row in self._rows(_EXPLAINED.where(predictions.c.prediction_id == prediction_id)):
            return _explained(row)
        raise NotFoundError("There is no prediction with this id.")

    def end(self) -> Page:
        """Return the end of the log: its identity, its newest place and what was counted, without entries."""
        with self._reading() as connection:
            return _end(connection)

    def check(self) -> None:
        """Write as much as a batch takes and take it back, so that a full or read-only disk is noticed."""
        with self._writing() as connection:
            connection.execute(insert(predictions).values(_PROBE))
            connection.execute(delete(predictions).where(predictions.c.prediction_id == _PROBE["prediction_id"]))

    def close(self) -> None:
        self._engine.dispose()

    def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self._reading() as connection:
            return connection.execute(query).all()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._named_failure(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._named_failure(), self._writer.begin() as connection:
            connection.execute(_COUNTER.with_for_update())  # one writes at a time; SQLite knows no other way
            yield connection
        self.failure = None

    @contextmanager
    def _named_failure(self) -> Iterator[None]:
        """Name a failure and its cause; the same cause is logged once, until something was written again."""
        try:
            yield
        except SQLAlchemyError as error:
            cause = cause_of(error)
            if cause != self.failure:
                log.error("the record of predictions cannot be used: %s", cause)  # noqa: TRY400
            self.failure = cause
            raise StoreUnavailableError(f"{StoreUnavailableError.default_message} The cause: {cause}.") from error


def _known(connection: Connection, keys: Sequence[RequestKey]) -> dict[RequestKey, set[str]]:
    """Return what is known of requests, by key: a digest, and kinds of entries without a prediction."""
    known: dict[RequestKey, set[str]] = {key: set() for key in keys}
    if known:
        client_ids, request_ids = zip(*known, strict=True)
        asked = {"client_ids": list(set(client_ids)), "request_ids": list(set(request_ids))}
        for client_id, request_id, said in connection.execute(_KNOWN, asked):
            if (client_id, request_id) in known:
                known[client_id, request_id].add(said)
    return known


def _unknown(
    made: Sequence[NewPrediction], refused: Sequence[Refusal], known: Mapping[RequestKey, set[str]]
) -> tuple[list[NewPrediction], list[Refusal]]:
    """Return what has to be written, and add it to what is known."""
    new: list[NewPrediction] = []
    refusals: list[Refusal] = []
    reused = WireError.of(RequestIdReusedError())
    for one in made:
        said = known[one.key]
        if not said:
            said.add(one.request_digest)
            new.append(one)
        elif said.isdisjoint({one.request_digest, *ChangeKind}):
            said.add(ChangeKind.REQUEST_REFUSED)
            refusals.append(Refusal(*one.key, reused))
    for refusal in refused:
        if not known[refusal.key]:
            known[refusal.key].add(ChangeKind.REQUEST_REFUSED)
            refusals.append(refusal)
    return new, refusals


def _log_rows(connection: Connection, rows: list[dict[str, Any]], bodies: Sequence[str] = ()) -> Page:
    """Give entries the next numbers of the log, and write them; return them with the bodies of the first."""
    counter = connection.execute(_TAKE_SEQUENCES, {"taken": len(rows)}).one()
    after = counter.value - len(rows)
    for sequence, row in enumerate(rows, after + 1):
        row["sequence"] = sequence
    if rows:
        connection.execute(_INSERT_CHANGES, rows)
    entries = [_entry(row, body) for row, body in zip_longest(rows, bodies)]
    return Page(_name(counter), after, counter.value, False, entries, _totals(connection))


def _of_client(query: Select[Any], client_id: str | None) -> Select[Any]:
    return query if client_id is None else query.where(predictions.c.client_id == client_id)


def _end(connection: Connection) -> Page:
    counter = connection.execute(_COUNTER).one()
    return Page(_name(counter), counter.value, counter.value, False, [], _totals(connection))


def _name(counter: Any) -> str:
    return f"{counter.log_id}.{counter.epoch}"


def _count(connection: Connection, numbers: Mapping[tuple[str, str], int], *, each: int = 1) -> None:
    """Add to the counts, by client and level."""
    for (client_id, level), number in numbers.items():
        place = {"of_client": client_id, "of_level": level, "number": each * number}
        if not connection.execute(_COUNT, place).rowcount:
            connection.execute(insert(counts).values(client_id=client_id, risk_level=level, predictions=number))


def _totals(connection: Connection) -> Totals:
    by_level: dict[str, int] = dict.fromkeys(RiskLevel, 0)
    by_client: defaultdict[str, int] = defaultdict(int)
    for client_id, level, number in connection.execute(_COUNTS):
        by_level[level] += number
        by_client[client_id] += number
    return Totals(predictions=sum(by_level.values()), by_level=by_level, by_client=dict(by_client))


def _run_of(rows: Any, limit: int) -> tuple[list[Entry], bool]:
    """Take as many entries as a run may hold, and tell whether there are more."""
    entries: list[Entry] = []
    size = 0
    for row in rows:
        entry = _entry(row, row["body"])
        size += len(entry.wire)
        if len(entries) == limit or (entries and size > MAX_BYTES):
            return entries, True
        entries.append(entry)
    return entries, False


def _entry(row: Mapping[str, Any], body: str | None) -> Entry:
    """Encode one entry; the messages in it are embedded as they are stored."""
    message = {name: row[name] for name in ("sequence", "kind", "client_id", "request_id", "prediction_id", "at")}
    for name, text in (("prediction", body), ("explanation", row["explanation"]), ("error", row["error"])):
        message[name] = None if text is None else orjson.Fragment(text)
    return Entry(row["sequence"], row["kind"], row["client_id"], orjson.dumps(message))


def _explained(row: Any) -> ExplainedPrediction:
    body = orjson.loads(row.body)
    latest = orjson.loads(row.explanation) if row.explanation else body["explanation"]
    return ExplainedPrediction(row.sequence, body, latest)


def _row(
    kind: ChangeKind, key: RequestKey, at: datetime, prediction_id: str | None = None, **said: str
) -> dict[str, Any]:
    ids = {"prediction_id": prediction_id, "client_id": key[0], "request_id": key[1]}
    return {"kind": kind.value, **ids, "at": at.isoformat(), "explanation": None, "error": None, **said}


def _prediction_row(sequence: int, new: NewPrediction) -> dict[str, Any]:
    return {"sequence": sequence} | {name: value for name, value in vars(new).items() if name != "made_at"}
