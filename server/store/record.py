"""Predictions, the log of what happens to them, and the explanations that they await."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, TypeVar
from uuid import uuid4

import orjson
from sqlalchemy import Connection, Engine, Row, Select, bindparam, delete, func, insert, select, union_all, update
from sqlalchemy.exc import SQLAlchemyError

from common.errors import NotFoundError, RequestIdReusedError, StoreUnavailableError
from common.messages import ChangeKind, Explanation, WireError
from common.sqlite import WRITE
from server.store import entries, one_statement, postgres
from server.store.database import cause_of
from server.store.entries import Page, RequestKey, row_of
from server.store.schema import REPEATED, WITHOUT_PREDICTION, change_counter, changes, predictions
from server.store.schema import awaiting_explanations as awaiting

log = logging.getLogger(__name__)

Read = TypeVar("Read")

_AT_ONCE: Final = 50
"""Rows looked through or erased in one transaction."""

# Built once: putting a statement together takes longer than running it.
# Each id in its own list: for a list of pairs SQLite reads through all that is stored.
_CLIENT_IDS: Any = bindparam("client_ids", expanding=True)
_REQUEST_IDS: Any = bindparam("request_ids", expanding=True)
_KNOWN = union_all(
    select(predictions.c.client_id, predictions.c.request_id, predictions.c.request_digest).where(
        predictions.c.client_id.in_(_CLIENT_IDS), predictions.c.request_id.in_(_REQUEST_IDS)
    ),
    select(changes.c.client_id, changes.c.request_id, changes.c.kind).where(
        WITHOUT_PREDICTION, changes.c.client_id.in_(_CLIENT_IDS), changes.c.request_id.in_(_REQUEST_IDS)
    ),
)
_INSERT_PREDICTIONS = insert(predictions)
_INSERT_WAITING = insert(awaiting)
_ENDED = (changes.c.prediction_id == predictions.c.prediction_id) & (changes.c.kind == ChangeKind.EXPLANATION_FINISHED)
_LATEST_EXPLANATION = select(changes.c.explanation).where(_ENDED).limit(1).scalar_subquery()
_EXPLAINED = select(
    *(predictions.c[name] for name in ("sequence", "body", "superseded_by")), _LATEST_EXPLANATION.label("explanation")
)
_OF_REQUESTS = select(predictions).where(
    predictions.c.client_id.in_(_CLIENT_IDS), predictions.c.request_id.in_(_REQUEST_IDS)
)
_SUPERSEDE = (
    update(predictions)
    .where(predictions.c.prediction_id == bindparam("of"))
    .values(superseded_by=bindparam("correction"))
)

_IS_UNLEASED = awaiting.c.leased_until <= bindparam("now")
_WAITING = select(func.count()).select_from(awaiting).where(_IS_UNLEASED)
_UNLEASED = (
    select(
        *(predictions.c[name] for name in ("prediction_id", "client_id", "request_id", "body")),
        awaiting.c.since,
        (awaiting.c.tries + 1).label("tries"),
    )
    .join(awaiting, awaiting.c.prediction_id == predictions.c.prediction_id)
    .where(_IS_UNLEASED)
    # The newest patient is the one who is being looked at; what is old ends without the model, at once.
    .order_by((awaiting.c.since < bindparam("old")).desc(), awaiting.c.since.desc())
    .limit(bindparam("most"))
)
_LEASE = (
    update(awaiting)
    .where(awaiting.c.prediction_id == bindparam("of"))
    .values(lease=bindparam("token"), leased_until=bindparam("until"), tries=awaiting.c.tries + 1)
)


_IDS = select(*(predictions.c[name] for name in ("prediction_id", "client_id", "request_id"))).order_by(
    predictions.c.sequence
)

_PROBE: Final = {
    "sequence": 0,
    **dict.fromkeys(("kind", "client_id", "request_id", "at"), ""),
    "explanation": "." * 131_072,
}
"""A row as long as a full batch that no reader ever sees."""


@dataclass(frozen=True)
class NewPrediction:
    """A prediction about to be stored: the fields of its message, and the digest of what was asked."""

    message: Mapping[str, Any]
    request_digest: str

    @property
    def key(self) -> RequestKey:
        return self.message["client_id"], self.message["request_id"]

    @cached_property
    def body(self) -> str:
        """The message as it is stored, sent and never changed."""
        return orjson.dumps(self.message, option=orjson.OPT_UTC_Z).decode()


@dataclass(frozen=True)
class Appended:
    """The entries of new predictions, refusals and corrections, and what is known of all these requests now.

    That is the digest of what a stored prediction answers, or the kind of entry that took its place.
    """

    page: Page
    new: Sequence[NewPrediction]
    known: Mapping[RequestKey, set[str]]


@dataclass(frozen=True)
class Replaced:
    """What a record tells in whose place another copy comes: its log, and what it has erased.

    That are the requests, and the ids of the predictions that answered them, ``None`` of one that was withdrawn.
    """

    log_id: str
    epoch: int
    erased: Mapping[RequestKey, str | None]


@dataclass(frozen=True)
class Lease:
    """A stored prediction whose explanation the holder of ``token`` writes, at which try.

    ``since`` is when it was made, in seconds since 1970.
    """

    prediction_id: str
    client_id: str
    request_id: str
    body: str
    since: float
    tries: int
    token: str | None


class PredictionStore:
    """Predictions, immutable, and the log of everything that happens to them.

    ``sequence`` comes from a counter row that the writing transaction locks, so it ascends with commit order.
    Every method raises ``StoreUnavailableError`` when the database cannot be read or written.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        """The database, for what several servers share in it."""
        self._is_postgres = engine.dialect.name == "postgresql"
        # What is read in several statements is of one moment; SQLite's transactions always are.
        self._reader = engine.execution_options(**postgres.READ_ONE_MOMENT) if self._is_postgres else engine
        self._writer = engine.execution_options(**WRITE)
        self._one_statement = engine.execution_options(**postgres.AT_ONCE) if self._is_postgres else engine
        self.failure: str | None = None
        """Why the database could not be used, until something was written again."""
        self.written_at = 0.0
        """When something was last written, in seconds since 1970; 0 before the first time."""
        self.require_answers: Callable[[], None] = lambda: None
        """Raises ``StoreUnavailableError`` where the database is known to hang, which would not end a statement."""

    def append(self, made: Sequence[NewPrediction], refused: Mapping[RequestKey, WireError], at: datetime) -> Appended:
        """Store predictions and refusals in one transaction, in this order, and each request once.

        Nothing is written of a request that is known: that it is asked for something else is refused, once as well.
        What a new prediction corrects is superseded in the same transaction: it stays, and is no longer counted.
        """
        self.require_answers()
        if self._is_postgres and not refused and (appended := self._append_at_once(made)):
            return appended
        with self._writing() as connection:
            # Within the transaction that writes: what is unknown here stays so until the commit.
            known = _known(connection, [*(one.key for one in made), *refused])
            new, refusals = _unknown(made, refused, known)
            if not new and not refusals:
                return Appended(entries.end_of(connection), [], known)
            rows = [_made_row(one) for one in new]
            for key, error in refusals.items():
                rows.append(row_of(ChangeKind.REQUEST_REFUSED, key, at, error=error.model_dump_json()))
            entries.count(connection, Counter((one.message["client_id"], one.message["risk_level"]) for one in new))
            page = entries.write(connection, rows, [one.body for one in new])
            if new:
                numbered = [_prediction_row(sequence, one) for sequence, one in enumerate(new, page.after + 1)]
                connection.execute(_INSERT_PREDICTIONS, numbered)
            if refusals:
                connection.execute(update(change_counter).values(refused_up_to=page.next_after))
            if superseded := _supersede(connection, new, at):
                more = _write_uncounted(connection, superseded)
                page = replace(more, after=page.after, entries=[*page.entries, *more.entries])
            if waiting := [_waiting_row(one.message) for one in new if one.message["awaits_explanation"]]:
                connection.execute(_INSERT_WAITING, waiting)
        return Appended(page, new, known)

    def _append_at_once(self, made: Sequence[NewPrediction]) -> Appended | None:
        """Store a batch in one statement; ``None`` if it is not plain, something of it is known, or that failed.

        Corrections and conflicts go the longer way, which also finds out what became of a statement that failed.
        """
        # As if nothing were known: of equal requests within the batch one stays, and the statement looks up the rest.
        known: dict[RequestKey, set[str]] = {one.key: set() for one in made}
        new, refusals = _unknown(made, {}, known)
        if not new or refusals or any(one.message["corrects"] for one in new):
            return None
        rows = [_made_row(one) for one in new]
        given = [
            {"number": number} | _waiting_row(one.message) | _prediction_row(0, one) | row
            for number, (one, row) in enumerate(zip(new, rows, strict=True), 1)
        ]
        with suppress(SQLAlchemyError), self._one_statement.begin() as connection:
            if counter := one_statement.append(connection, given):
                entries.number(rows, counter.value)
                totals = entries.totals_of(counter.counts)
                page = entries.page_of(counter, rows, [one.body for one in new], totals)
                if counter.seen != page.after:  # others wrote while it waited: their numbers are missing
                    page = replace(page, totals=entries.totals(connection))
                self.failure, self.written_at = None, time.time()
                return Appended(page, new, known)
        return None

    def lease_explanations(
        self, most: int, *, now: datetime, until: datetime, old: datetime
    ) -> tuple[list[Lease], int]:
        """Lease explanations that nobody writes, and return how many more there are.

        Those of predictions from before ``old`` come first, then the newest.
        """
        # Only read at first: most looks find nothing, and a transaction that writes would hold up the batcher.
        with self._reading() as connection:
            waiting = int(connection.execute(_WAITING, {"now": now.timestamp()}).scalar_one())
        if not most or not waiting:
            return [], waiting
        with self._writing() as connection:
            asked = {"now": now.timestamp(), "old": old.timestamp(), "most": most}
            leased = [Lease(**row, token=str(uuid4())) for row in connection.execute(_UNLEASED, asked).mappings()]
            if rows := [{"of": one.prediction_id, "token": one.token, "until": until.timestamp()} for one in leased]:
                connection.execute(_LEASE, rows)
        return leased, max(0, waiting - len(leased))

    def renew(self, leased: Sequence[Lease], *, until: datetime) -> None:
        """Have leases last until a later time, but for those that another worker has taken over."""
        self._change_leases(leased, leased_until=until.timestamp())

    def give_back(self, leased: Sequence[Lease]) -> None:
        """End leases as if they had never been taken, so that others can take them at once."""
        self._change_leases(leased, lease=None, leased_until=0, tries=awaiting.c.tries - 1)

    def finish_explanation(self, lease: Lease, explanation: Explanation, at: datetime) -> Page | None:
        """Log the final explanation of a prediction; ``None`` if another has its lease, or nothing awaits it."""
        # Deleting the row is what decides, in the transaction that writes: there is one final explanation.
        held = (awaiting.c.prediction_id == lease.prediction_id) & (awaiting.c.lease == lease.token)
        with self._writing() as connection:
            if not connection.execute(delete(awaiting).where(held)).rowcount:
                return None
            key, text = (lease.client_id, lease.request_id), explanation.model_dump_json()
            row = row_of(ChangeKind.EXPLANATION_FINISHED, key, at, lease.prediction_id, explanation=text)
            return entries.write(connection, [row])

    def erase(self, erased: Mapping[RequestKey, str | None], at: datetime) -> tuple[Page, int]:
        """Erase the predictions of requests and their explanations in one transaction.

        ``erased`` names the ids of the predictions, ``None`` of what was withdrawn. Return their tombstones, and how
        many predictions there were. Of each its ids, its client app and the times of its entries are kept. The digest
        of its request goes: with it, the patient's values could be found by trying. What is not here gets its tombstone
        as well: a client app that still has the request could bring the patient back otherwise. What is erased already
        is passed over.
        """
        # By request and not by prediction: the same request may have been answered again, under another id. And in one
        # transaction with the tombstones: others write meanwhile.
        with self._writing() as connection:
            found = _of_requests(connection, erased)
            # What was superseded is not counted any more, and must not be taken off twice.
            _count_out(connection, [one for one in found.values() if one.superseded_by is None])
            ids = [one.prediction_id for one in found.values()]
            for table in (predictions, awaiting):
                connection.execute(delete(table).where(table.c.prediction_id.in_(ids)))
            connection.execute(update(changes).where(changes.c.prediction_id.in_(ids)).values(explanation=None))
            known = _known(connection, erased)
            new = [key for key in erased if ChangeKind.PREDICTION_ERASED not in known[key]]
            made = {key: found[key].prediction_id if key in found else erased[key] for key in new}
            return _write_tombstones(connection, made, at), len(found)

    def erase_all(self, erased: Mapping[RequestKey, str | None], at: datetime) -> int:
        """Erase in small transactions, so that others write meanwhile; return how many predictions there were."""
        ones = list(erased.items())
        starts = range(0, len(ones), _AT_ONCE)
        return sum(self.erase(dict(ones[start : start + _AT_ONCE]), at)[1] for start in starts)

    def vacuum(self) -> None:
        """Have PostgreSQL free what erasures have left in its tables; SQLite overwrites it at once."""
        if self._is_postgres:
            self.require_answers()
            with self.named_failure(), self._one_statement.connect() as connection:
                postgres.vacuum(connection, [predictions.name, changes.name])

    def withdraw(self, key: RequestKey, at: datetime) -> Page:
        """Log a tombstone of a request that nothing is known of, so that it is never answered; return what was logged.

        It is one transaction with the look-up: a prediction of the request was committed before it, or never is.
        """
        with self._writing() as connection:
            is_known = _known(connection, [key])[key]
            return entries.end_of(connection) if is_known else _write_tombstones(connection, {key: None}, at)

    def take_place(self, of: Replaced | None, at: datetime) -> tuple[bool, int]:
        """Begin an epoch that neither this log nor a replaced one had, and erase again what that had erased.

        Return whether the log keeps its identity, so that client apps send again what it lacks, and how many
        predictions were erased. It keeps it only where the replaced record is of the same log: where nobody knows what
        was erased, or on another machine, client apps must not send patients again.
        """
        with self._writing() as connection:
            is_same = of is not None and of.log_id == connection.execute(entries.COUNTER).one().log_id
            entries.begin_epoch(connection, of.epoch if of else 0, None if is_same else str(uuid4()))
        return is_same, self.erase_all(of.erased, at) if of else 0

    def older_than(
        self, made_before: datetime, *, limit: int | None = None, client_id: str | None = None
    ) -> dict[RequestKey, str]:
        """Return the ids of predictions made before a moment, by request, oldest first; all, or so many."""
        # Times are kept as UTC in ISO 8601, which sorts as text.
        query = _IDS.join_from(predictions, changes, changes.c.sequence == predictions.c.sequence).limit(limit)
        query = query.where(changes.c.at < made_before.astimezone(UTC).isoformat())
        return {(row.client_id, row.request_id): row.prediction_id for row in self._rows(_of_client(query, client_id))}

    def of_patient(self, reference: str, *, client_id: str | None = None) -> dict[RequestKey, str]:
        """Return the ids of the predictions of a patient's reference; only their bodies hold it: all are read.

        With them come those that they corrected, whatever reference these were entered with. Each page is read in a
        transaction of its own, so that writers do not wait for all of them.
        """
        found: dict[RequestKey, str] = {}
        superseded: list[Row[Any]] = []
        for row in entries.walk(self._rows, _of_client(select(predictions), client_id), _AT_ONCE):
            if orjson.loads(row.body)["patient_reference"] == reference:
                found[row.client_id, row.request_id] = row.prediction_id
            if row.superseded_by:
                superseded.append(row)
        for row in reversed(superseded):  # a correction comes after what it corrects, and may be corrected as well
            if (row.client_id, row.superseded_by) in found:
                found[row.client_id, row.request_id] = row.prediction_id
        return found

    def counter(self) -> Row[Any]:
        """Return what the log knows of itself: a row of the table ``change_counter``."""
        return self._read(entries.counter_of)

    def epoch(self) -> tuple[Page, int]:
        """Return the end of the log, as ``end``, and the place after which its epoch began, of the same moment."""
        return self._read(lambda connection: (entries.end_of(connection), entries.counter_of(connection).began_after))

    def changes(self, after: int, *, limit: int = entries.READ_AT_ONCE, client_id: str | None = None) -> Page:
        """Return a run of the log after a sequence, all of it or one client's.

        A reader that is further than the log has read another one, and gets this one from its beginning.
        """
        return self._read(lambda connection: entries.read(connection, after, limit, client_id))

    def recent(
        self,
        limit: int,
        *,
        after: int = 0,
        before: int | None = None,
        client_id: str | None = None,
        level: str | None = None,
    ) -> tuple[Page, list[dict[str, Any]]]:
        """Return predictions after and before some sequences, newest first, with their latest explanations.

        With them comes the end of the log at the same moment, without entries. Each has ``sequence``, that of its own
        entry, ``prediction`` and ``explanation``, both messages, and ``superseded_by``.
        """
        query = _EXPLAINED.where(predictions.c.sequence > after)
        query = query.order_by(predictions.c.sequence.desc()).limit(limit)
        if before is not None:
            query = query.where(predictions.c.sequence < before)
        if level is not None:
            query = query.where(predictions.c.risk_level == level)
        query = _of_client(query, client_id)
        return self._read(
            lambda connection: (entries.end_of(connection), [_explained(row) for row in connection.execute(query)])
        )

    def get(self, prediction_id: str) -> dict[str, Any]:
        """Return one prediction, as ``recent`` does.

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
        return self._read(entries.end_of)

    def check(self) -> None:
        """Write as much as a batch takes and take it back, so that a full or read-only disk is noticed."""
        with self._writing() as connection:
            connection.execute(insert(changes).values(_PROBE))
            connection.execute(delete(changes).where(changes.c.sequence == _PROBE["sequence"]))

    def listen(self, tell: Callable[[int], object], stopping: threading.Event) -> None:
        """Tell of commits by all who share the record, on PostgreSQL alone."""
        postgres.listen(self.engine, tell, stopping)

    def close(self) -> None:
        self.engine.dispose()

    def _read(self, read: Callable[[Connection], Read]) -> Read:
        """Read one moment; the first to do so after a failover begins the log's new epoch."""
        try:
            with self._reading() as connection:
                return read(connection)
        except entries.AnotherTimelineError:
            with self._writing():
                pass
        with self._reading() as connection:
            return read(connection)

    def _change_leases(self, leased: Sequence[Lease], **values: Any) -> None:
        held = awaiting.c.lease.in_([one.token for one in leased])
        with self._writing() as connection:
            connection.execute(update(awaiting).where(held).values(values))

    def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self._reading() as connection:
            return connection.execute(query).all()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        self.require_answers()
        with self.named_failure(), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        self.require_answers()
        with self.named_failure(), self._writer.begin() as connection:
            entries.lock(connection)
            yield connection
        self.failure, self.written_at = None, time.time()

    @contextmanager
    def named_failure(self) -> Iterator[None]:
        """Name a failure and its cause; the same cause is logged once, until something was written again."""
        try:
            yield
        except SQLAlchemyError as error:
            cause = cause_of(error)
            if cause != self.failure:
                log.error("the record of predictions cannot be used: %s", cause)  # noqa: TRY400
            self.failure = cause
            raise StoreUnavailableError(f"{StoreUnavailableError.default_message} The cause: {cause}.") from error


def _known(connection: Connection, keys: Collection[RequestKey]) -> dict[RequestKey, set[str]]:
    """Return what is known of requests, by key: a digest, and kinds of entries without a prediction."""
    known: dict[RequestKey, set[str]] = {key: set() for key in keys}
    for client_id, request_id, said in connection.execute(_KNOWN, _asked(keys)):
        if (client_id, request_id) in known:
            known[client_id, request_id].add(said)
    return known


def _unknown(
    made: Sequence[NewPrediction], refused: Mapping[RequestKey, WireError], known: Mapping[RequestKey, set[str]]
) -> tuple[list[NewPrediction], dict[RequestKey, WireError]]:
    """Return what has to be written, and add it to what is known."""
    new: list[NewPrediction] = []
    refusals: dict[RequestKey, WireError] = {}
    for one in made:
        said = known[one.key]
        if not said:
            said.add(one.request_digest)
            new.append(one)
        elif said.isdisjoint({one.request_digest, *ChangeKind}):
            refusals[one.key] = WireError.of(RequestIdReusedError())
            said.add(ChangeKind.REQUEST_REFUSED)
    for key, error in refused.items():
        if not known[key]:
            refusals[key] = error
            known[key].add(ChangeKind.REQUEST_REFUSED)
    return new, refusals


def _supersede(connection: Connection, new: Sequence[NewPrediction], at: datetime) -> list[dict[str, Any]]:
    """Mark what new predictions correct, each at its own client app, as no longer counted; return the rows to log."""
    corrections = {(one.key[0], one.message["corrects"]): one.key[1] for one in new if one.message["corrects"]}
    if not corrections:
        return []
    of = {key: row for key, row in _of_requests(connection, corrections).items() if row.superseded_by is None}
    found = [(key, of[key], by) for key, by in corrections.items() if key in of and key[1] != by]
    if found:
        connection.execute(_SUPERSEDE, [{"of": one.prediction_id, "correction": by} for _, one, by in found])
        _count_out(connection, [one for _, one, _ in found])
    kind = ChangeKind.PREDICTION_SUPERSEDED
    return [row_of(kind, key, at, one.prediction_id, superseded_by=by) for key, one, by in found]


def _of_requests(connection: Connection, keys: Collection[RequestKey]) -> dict[RequestKey, Row[Any]]:
    """Return the predictions that answer requests, by key."""
    found = {(row.client_id, row.request_id): row for row in connection.execute(_OF_REQUESTS, _asked(keys))}
    return {key: row for key, row in found.items() if key in keys}


def _asked(keys: Collection[RequestKey]) -> dict[str, list[str]]:
    """Return the parameters of a query for requests, which finds more than the pairs: one client app's by another."""
    return {"client_ids": list({key[0] for key in keys}), "request_ids": list({key[1] for key in keys})}


def _count_out(connection: Connection, rows: Sequence[Row[Any]]) -> None:
    entries.count(connection, Counter((row.client_id, row.risk_level) for row in rows), each=-1)


def _made_row(new: NewPrediction) -> dict[str, Any]:
    return row_of(ChangeKind.PREDICTION_MADE, new.key, new.message["made_at"], new.message["prediction_id"])


def _prediction_row(sequence: int, new: NewPrediction) -> dict[str, Any]:
    repeated = {name: new.message[name] for name in REPEATED}
    return {"sequence": sequence, "request_digest": new.request_digest, "body": new.body, **repeated}


def _waiting_row(message: Mapping[str, Any]) -> dict[str, Any]:
    since = message["made_at"].timestamp()
    return {"prediction_id": message["prediction_id"], "since": since, "tries": 0, "leased_until": 0}


def _write_tombstones(connection: Connection, erased: Mapping[RequestKey, str | None], at: datetime) -> Page:
    """Log erasures, by request, of the predictions of these ids."""
    kind = ChangeKind.PREDICTION_ERASED
    return _write_uncounted(connection, [row_of(kind, key, at, made) for key, made in erased.items()])


def _write_uncounted(connection: Connection, rows: list[dict[str, Any]]) -> Page:
    """Log entries by which predictions are no longer counted."""
    page = entries.write(connection, rows)
    if rows:
        connection.execute(update(change_counter).values(erased_up_to=page.next_after))
    return page


def _of_client(query: Select[Any], client_id: str | None) -> Select[Any]:
    return query if client_id is None else query.where(predictions.c.client_id == client_id)


def _explained(row: Any) -> dict[str, Any]:
    body = orjson.loads(row.body)
    latest = orjson.loads(row.explanation) if row.explanation else body["explanation"]
    shown = {"prediction": body, "explanation": latest, "superseded_by": row.superseded_by}
    return {"sequence": row.sequence, **shown}
