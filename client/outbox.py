"""The client app's own record: requests that wait for their answer, and the history of those that have one."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from config.errors import ConfigurationError, RequestIdReusedError, StoreUnavailableError
from config.messages import (
    Change,
    ChangeKind,
    Changes,
    Explanation,
    HistoryEntry,
    Prediction,
    PredictRequest,
    Submission,
    WireError,
)
from config.patient import PatientRecord

log = logging.getLogger(__name__)

SCHEMA_VERSION: Final = 1
BUSY_SECONDS: Final = 2.0

_metadata = MetaData()

_IS_WAITING = text("state = 'queued'")  # spelled out, not a parameter: SQLite then uses the partial index

_requests = Table(
    "requests",
    _metadata,
    Column("request_id", String, primary_key=True),
    Column("outbox_number", Integer, nullable=False, index=True),
    Column("patient_reference", String),
    Column("entered_at", String, nullable=False),
    Column("state", String, nullable=False),
    Column("record", Text, nullable=False),
    Column("prediction_id", String, unique=True),
    Column("prediction", Text),
    Column("explanation", Text),
    Column("error", Text),
)
Index("waiting_requests", _requests.c.outbox_number, sqlite_where=_IS_WAITING)

_marks = Table("marks", _metadata, Column("name", String, primary_key=True), Column("value", Integer, nullable=False))

_CAUGHT_UP_TO = "caught_up_to"
_WRITE_CHECKS = "write_checks"


class Outbox:
    """Durable, ordered and idempotent; safe to share among threads, real or green.

    Every method is one short transaction that waits for nothing but the disk, and raises ``StoreUnavailableError`` when
    the file cannot be written or read.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it, readable by its owner alone.

        Raises
        ------
        ConfigurationError
            When another version of this program wrote it.
        StoreUnavailableError
            When it cannot be used at all.
        """
        self._path = path
        try:
            _make_file(path)
        except OSError as error:
            raise StoreUnavailableError(f"The outbox {path} cannot be used: {error.strerror}.") from error
        self._engine = _engine(path)
        with ExitStack() as undo:
            undo.callback(self.close)
            with self._transaction() as connection:
                self._check_schema(connection)
            undo.pop_all()

    def close(self) -> None:
        self._engine.dispose()

    def put(self, submission: Submission, entered_at: datetime) -> HistoryEntry:
        """Write a request down and return it with its running number, on disk.

        Raises
        ------
        RequestIdReusedError
            When the id was used for other content; with the same content the entry already there is returned.
        """
        with self._transaction() as connection:
            if row := _by_request(connection, submission.request_id):
                return _same_request(_entry(row), submission)
            values = {
                "request_id": submission.request_id,
                "outbox_number": _highest_number(connection) + 1,
                "patient_reference": submission.patient_reference,
                "entered_at": entered_at.isoformat(),
                "state": "queued",
                "record": submission.record.model_dump_json(),
            }
            connection.execute(insert(_requests).values(values))
            return _entry_now(connection, submission.request_id)

    def waiting(self, *, after: int, limit: int) -> list[PredictRequest]:
        """Return the oldest unanswered requests with numbers above ``after``, ascending."""
        wanted = select(_requests).where(_IS_WAITING, _requests.c.outbox_number > after)
        with self._transaction() as connection:
            rows = connection.execute(wanted.order_by(_requests.c.outbox_number).limit(limit)).all()
            count = _count_waiting(connection)
            before = [_last_waiting(connection, up_to=after), *(row.outbox_number for row in rows)]
        return [_request(row, follows, count) for row, follows in zip(rows, before, strict=False)]

    def count_waiting(self) -> int:
        with self._transaction() as connection:
            return _count_waiting(connection)

    def answer(self, prediction: Prediction) -> HistoryEntry | None:
        """Keep an answer; one to an unknown request is kept as well. Return the entry, ``None`` if nothing is new."""
        with self._transaction() as connection:
            return _answer(connection, prediction)

    def refuse(self, request_id: str, error: WireError) -> HistoryEntry | None:
        """Mark a waiting request as refused for good. Return the entry, ``None`` if it was not waiting."""
        with self._transaction() as connection:
            done = connection.execute(
                update(_requests)
                .where(_IS_WAITING, _requests.c.request_id == request_id)
                .values(state="refused", error=error.model_dump_json())
            )
            return _entry_now(connection, request_id) if done.rowcount else None

    def explain(self, prediction_id: str, explanation: Explanation) -> HistoryEntry | None:
        """Keep the final explanation of a prediction. Return the entry, ``None`` if nothing is new."""
        with self._transaction() as connection:
            return _explain(connection, prediction_id, explanation)

    def take(self, changes: Changes) -> list[HistoryEntry]:
        """Take a run of change-log entries and remember how far they reach; return the entries that changed."""
        with self._transaction() as connection:
            changed = [entry for change in changes.entries if (entry := _apply(connection, change))]
            _set_mark(connection, _CAUGHT_UP_TO, changes.next_after)
        return changed

    def caught_up_to(self) -> int:
        """Return the last change-log sequence taken, 0 before the first."""
        with self._transaction() as connection:
            return _mark(connection, _CAUGHT_UP_TO)

    def history(self, *, before: int | None, limit: int) -> list[HistoryEntry]:
        """Return entries with outbox numbers below ``before``, newest first.

        There are ``limit`` of them, or more where the last ones share a number: a client app that lost its file numbers
        from 1 again until the server told it how far it had been.
        """
        number = _requests.c.outbox_number
        wanted = select(_requests) if before is None else select(_requests).where(number < before)
        newest_first = wanted.order_by(number.desc(), _requests.c.entered_at.desc())
        with self._transaction() as connection:
            rows = list(connection.execute(newest_first.limit(limit)).all())
            if len(rows) == limit:
                lowest = rows[-1].outbox_number
                rows = [row for row in rows if row.outbox_number > lowest]
                rows += connection.execute(newest_first.where(number == lowest)).all()
        return [_entry(row) for row in rows]

    def check_writable(self) -> None:
        """Write to the file and sync it; raises when that fails."""
        with self._transaction() as connection:
            _set_mark(connection, _WRITE_CHECKS, 1 - _mark(connection, _WRITE_CHECKS))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            cause = error.orig if isinstance(error, DBAPIError) else type(error).__name__
            log.error("the outbox %s cannot be used: %s", self._path, cause)  # noqa: TRY400 - the cause says it all
            raise StoreUnavailableError("This client app cannot use its disk, so nothing was saved.") from error

    def _check_schema(self, connection: Connection) -> None:
        version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
        if version == SCHEMA_VERSION:
            return
        if version or inspect(connection).get_table_names():
            raise ConfigurationError(
                f"{self._path} was written by another version of this program (schema {version}, wanted "
                f"{SCHEMA_VERSION}). Run that version until nothing waits, then move the file away: what was answered "
                "comes back from the server."
            )
        _metadata.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _make_file(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    if not path.exists():
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        _sync_folder(path.parent)
    path.chmod(0o600)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file as durable as what will stand in it; Windows has no such call."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _engine(path: Path) -> Engine:
    # One connection: the pool hands it to one thread at a time, so that nobody meets a busy database.
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=BUSY_SECONDS,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        hide_parameters=True,  # they are patients' values
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _prepare(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says, not at the first write
    connection.execute("PRAGMA journal_mode=TRUNCATE")
    connection.execute("PRAGMA synchronous=FULL")


def _same_request(entry: HistoryEntry, submission: Submission) -> HistoryEntry:
    if (entry.record, entry.patient_reference) != (submission.record, submission.patient_reference):
        raise RequestIdReusedError
    return entry


def _apply(connection: Connection, change: Change) -> HistoryEntry | None:
    if change.kind is ChangeKind.PREDICTION_MADE and change.prediction:
        return _answer(connection, change.prediction)
    if change.kind is ChangeKind.EXPLANATION_FINISHED and change.explanation:
        return _explain(connection, change.prediction_id, change.explanation)
    return None


def _answer(connection: Connection, prediction: Prediction) -> HistoryEntry | None:
    answered = {
        "state": "answered",
        "prediction_id": prediction.prediction_id,
        "prediction": prediction.model_dump_json(),
        "explanation": prediction.explanation.model_dump_json(),
        "error": None,
    }
    known = {
        "request_id": prediction.request_id,
        "outbox_number": prediction.outbox_number,
        "patient_reference": prediction.patient_reference,
        "entered_at": prediction.entered_at.isoformat(),
        "record": prediction.record.model_dump_json(),
    }
    statement = upsert(_requests).values(known | answered)
    done = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["request_id"], set_=answered, where=_requests.c.prediction_id.is_(None)
        )
    )
    return _entry_now(connection, prediction.request_id) if done.rowcount else None


def _explain(connection: Connection, prediction_id: str, explanation: Explanation) -> HistoryEntry | None:
    new = explanation.model_dump_json()
    done = connection.execute(
        update(_requests)
        .where(_requests.c.prediction_id == prediction_id, _requests.c.explanation != new)
        .values(explanation=new)
    )
    if not done.rowcount:
        return None
    return _entry(connection.execute(select(_requests).where(_requests.c.prediction_id == prediction_id)).one())


def _by_request(connection: Connection, request_id: str) -> Row[Any] | None:
    return connection.execute(select(_requests).where(_requests.c.request_id == request_id)).one_or_none()


def _entry_now(connection: Connection, request_id: str) -> HistoryEntry:
    return _entry(connection.execute(select(_requests).where(_requests.c.request_id == request_id)).one())


def _count_waiting(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(_requests).where(_IS_WAITING)) or 0


def _last_waiting(connection: Connection, *, up_to: int) -> int:
    number = _requests.c.outbox_number
    return connection.scalar(select(func.max(number)).where(_IS_WAITING, number <= up_to)) or 0


def _highest_number(connection: Connection) -> int:
    return connection.scalar(select(func.max(_requests.c.outbox_number))) or 0


def _mark(connection: Connection, name: str) -> int:
    return connection.scalar(select(_marks.c.value).where(_marks.c.name == name)) or 0


def _set_mark(connection: Connection, name: str, value: int) -> None:
    statement = upsert(_marks).values(name=name, value=value)
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_={"value": value}))


def _request(row: Row[Any], follows: int, waiting: int) -> PredictRequest:
    return PredictRequest(
        request_id=row.request_id,
        outbox_number=row.outbox_number,
        follows=follows,
        patient_reference=row.patient_reference,
        record=PatientRecord.model_validate_json(row.record),
        entered_at=datetime.fromisoformat(row.entered_at),
        waiting=waiting,
    )


def _entry(row: Row[Any]) -> HistoryEntry:
    return HistoryEntry(
        request_id=row.request_id,
        outbox_number=row.outbox_number,
        patient_reference=row.patient_reference,
        entered_at=datetime.fromisoformat(row.entered_at),
        state=row.state,
        record=PatientRecord.model_validate_json(row.record),
        prediction=Prediction.model_validate_json(row.prediction) if row.prediction else None,
        explanation=Explanation.model_validate_json(row.explanation) if row.explanation else None,
        error=WireError.model_validate_json(row.error) if row.error else None,
    )
