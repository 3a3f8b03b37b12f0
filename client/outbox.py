"""The client app's own record: requests that wait for their answer, and the history of those that have one."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from client.outbox_file import IS_WAITING, cause_of, erased, marks, open_outbox, requests
from common.errors import RequestIdReusedError, StoreUnavailableError
from common.messages import (
    Change,
    ChangeKind,
    Changes,
    EntryErased,
    Explanation,
    HistoryEntry,
    Prediction,
    PredictRequest,
    Submission,
    WireError,
)
from common.patient import PatientRecord

log = logging.getLogger(__name__)

News = HistoryEntry | EntryErased
"""What the pages are told of a request."""

_CAUGHT_UP_TO: Final = "caught_up_to"
_ERASURES: Final = "erasures"
_HIGHEST_NUMBER: Final = "highest_number"
_NUMBERS_SETTLED: Final = "numbers_settled"

_WAITING_IDS: Final = select(requests.c.request_id).where(IS_WAITING).order_by(requests.c.outbox_number)

_PROBE: Final = {
    "request_id": "space-check",
    "outbox_number": 0,
    "entered_at": "",
    "state": "probe",
    "record": "." * 65_536,
}
"""A row as long as the largest request that nobody ever sees."""


class Outbox:
    """Durable, ordered and idempotent; safe to share among threads, real or green.

    Every method is one short transaction that waits for nothing but the disk, and raises ``StoreUnavailableError`` when
    the file cannot be written or read.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; raises as ``open_outbox`` does."""
        self._path = path
        self._engine = open_outbox(path)
        self._last_cause: str | None = None

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
            connection.execute(insert(requests).values(values))
            return _entry_now(connection, submission.request_id)

    def waiting(self, *, after: int, limit: int) -> list[PredictRequest]:
        """Return the oldest unanswered requests with numbers above ``after``, ascending."""
        wanted = select(requests).where(IS_WAITING, requests.c.outbox_number > after)
        with self._transaction() as connection:
            rows = connection.execute(wanted.order_by(requests.c.outbox_number).limit(limit)).all()
            count = _count_waiting(connection)
            before = [_last_waiting(connection, up_to=after), *(row.outbox_number for row in rows)]
        return [_request(row, follows, count) for row, follows in zip(rows, before, strict=False)]

    def count_waiting(self) -> int:
        with self._transaction() as connection:
            return _count_waiting(connection)

    def answer(self, prediction: Prediction) -> News | None:
        """Keep an answer, one to an unknown request too, and forget the request if it was erased before it came here.

        Return the news of it, ``None`` if nothing is new.
        """
        with self._transaction() as connection:
            return _answer(connection, prediction)

    def refuse(self, request_id: str, error: WireError) -> HistoryEntry | None:
        """Mark a waiting request as refused for good. Return the entry, ``None`` if it was not waiting."""
        with self._transaction() as connection:
            done = connection.execute(
                update(requests)
                .where(IS_WAITING, requests.c.request_id == request_id)
                .values(state="refused", error=error.model_dump_json())
            )
            return _entry_now(connection, request_id) if done.rowcount else None

    def explain(self, prediction_id: str, explanation: Explanation) -> HistoryEntry | None:
        """Keep the final explanation of a prediction. Return the entry, ``None`` if nothing is new."""
        with self._transaction() as connection:
            return _explain(connection, prediction_id, explanation)

    def erase(self, prediction_id: str) -> EntryErased | None:
        """Erase a prediction with its request, for good. Return whose it was, ``None`` if it is not here."""
        with self._transaction() as connection:
            return _erase(connection, prediction_id)

    def forget(self, request_id: str) -> EntryErased | None:
        """Erase a waiting request whose prediction was erased before its answer came here."""
        with self._transaction() as connection:
            return _forget(connection, IS_WAITING & (requests.c.request_id == request_id))

    def erasures(self) -> int:
        """Return how many requests were ever erased here."""
        with self._transaction() as connection:
            return _mark(connection, _ERASURES)

    def take(self, changes: Changes) -> list[News]:
        """Take a run of change-log entries and remember how far they reach; return the news of it."""
        with self._transaction() as connection:
            changed = [news for change in changes.entries if (news := _apply(connection, change))]
            _set_mark(connection, _CAUGHT_UP_TO, changes.next_after)
        return changed

    def caught_up_to(self) -> int:
        """Return the last change-log sequence taken, 0 before the first."""
        with self._transaction() as connection:
            return _mark(connection, _CAUGHT_UP_TO)

    def has_settled_numbers(self) -> bool:
        """Tell whether its numbers are known to go on from those that the server has."""
        with self._transaction() as connection:
            return bool(_mark(connection, _NUMBERS_SETTLED))

    def settle_numbers(self) -> list[HistoryEntry]:
        """Number what waits anew if numbers were given twice, in a file that was lost and begun anew; return that.

        It is called when all of the log was taken and nothing is under way. The server answers in the order of the
        numbers, so what waits has higher ones than what is answered, unless they were given before.
        """
        with self._transaction() as connection:
            _set_mark(connection, _NUMBERS_SETTLED, 1)
            waiting = connection.execute(_WAITING_IDS).scalars().all()
            if not waiting or _lowest_waiting(connection) > _highest_answered(connection):
                return []
            for number, request_id in enumerate(waiting, _highest_number(connection) + 1):
                renumbered = update(requests).where(requests.c.request_id == request_id)
                connection.execute(renumbered.values(outbox_number=number))
            return [_entry_now(connection, request_id) for request_id in waiting]

    def history(self, *, before: int | None, limit: int) -> list[HistoryEntry]:
        """Return entries with outbox numbers below ``before``, newest first.

        There are ``limit`` of them, or more where the last ones share a number, as those may that earlier versions of
        this program gave after they had lost their file.
        """
        number = requests.c.outbox_number
        wanted = select(requests) if before is None else select(requests).where(number < before)
        newest_first = wanted.order_by(number.desc(), requests.c.entered_at.desc())
        with self._transaction() as connection:
            rows = list(connection.execute(newest_first.limit(limit)).all())
            if len(rows) == limit:
                lowest = rows[-1].outbox_number
                rows = [row for row in rows if row.outbox_number > lowest]
                rows += connection.execute(newest_first.where(number == lowest)).all()
        return [_entry(row) for row in rows]

    def check_writable(self) -> None:
        """Write as much as a request takes and take it back, synced; raises when that fails."""
        with self._transaction() as connection:
            connection.execute(insert(requests).values(_PROBE))
            connection.execute(delete(requests).where(requests.c.request_id == _PROBE["request_id"]))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            cause = cause_of(error)
            if cause != self._last_cause:
                log.error("the outbox %s cannot be used: %s", self._path, cause)  # noqa: TRY400 - the cause says it all
            self._last_cause = cause
            raise StoreUnavailableError(
                f"This client app cannot use its disk, so nothing was saved. The cause: {cause}."
            ) from error
        self._last_cause = None


def _same_request(entry: HistoryEntry, submission: Submission) -> HistoryEntry:
    if (entry.record, entry.patient_reference) != (submission.record, submission.patient_reference):
        raise RequestIdReusedError
    return entry


def _apply(connection: Connection, change: Change) -> News | None:
    if change.kind is ChangeKind.PREDICTION_MADE and change.prediction:
        return _answer(connection, change.prediction)
    if change.kind is ChangeKind.EXPLANATION_FINISHED and change.explanation:
        return _explain(connection, change.prediction_id, change.explanation)
    if change.kind is ChangeKind.PREDICTION_ERASED:
        return _erase(connection, change.prediction_id)
    return None


def _erase(connection: Connection, prediction_id: str) -> EntryErased | None:
    connection.execute(upsert(erased).values(prediction_id=prediction_id).on_conflict_do_nothing())
    return _forget(connection, requests.c.prediction_id == prediction_id)


def _forget(connection: Connection, which: ColumnElement[bool]) -> EntryErased | None:
    """Delete a request; its number is not given again."""
    _set_mark(connection, _HIGHEST_NUMBER, _highest_number(connection))
    request_id = connection.execute(delete(requests).where(which).returning(requests.c.request_id)).scalar_one_or_none()
    if request_id is None:
        return None
    _set_mark(connection, _ERASURES, _mark(connection, _ERASURES) + 1)
    return EntryErased(request_id=request_id)


def _answer(connection: Connection, prediction: Prediction) -> News | None:
    if connection.scalar(select(erased.c.prediction_id).where(erased.c.prediction_id == prediction.prediction_id)):
        return _forget(connection, requests.c.request_id == prediction.request_id)
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
    statement = upsert(requests).values(known | answered)
    done = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["request_id"], set_=answered, where=requests.c.prediction_id.is_(None)
        )
    )
    return _entry_now(connection, prediction.request_id) if done.rowcount else None


def _explain(connection: Connection, prediction_id: str, explanation: Explanation) -> HistoryEntry | None:
    new = explanation.model_dump_json()
    done = connection.execute(
        update(requests)
        .where(requests.c.prediction_id == prediction_id, requests.c.explanation != new)
        .values(explanation=new)
    )
    if not done.rowcount:
        return None
    return _entry(connection.execute(select(requests).where(requests.c.prediction_id == prediction_id)).one())


def _by_request(connection: Connection, request_id: str) -> Row[Any] | None:
    return connection.execute(select(requests).where(requests.c.request_id == request_id)).one_or_none()


def _entry_now(connection: Connection, request_id: str) -> HistoryEntry:
    return _entry(connection.execute(select(requests).where(requests.c.request_id == request_id)).one())


def _count_waiting(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(requests).where(IS_WAITING)) or 0


def _last_waiting(connection: Connection, *, up_to: int) -> int:
    number = requests.c.outbox_number
    return connection.scalar(select(func.max(number)).where(IS_WAITING, number <= up_to)) or 0


def _highest_number(connection: Connection) -> int:
    """Return the highest number that was ever given."""
    return max(connection.scalar(select(func.max(requests.c.outbox_number))) or 0, _mark(connection, _HIGHEST_NUMBER))


def _highest_answered(connection: Connection) -> int:
    answered = requests.c.state == "answered"
    return connection.scalar(select(func.max(requests.c.outbox_number)).where(answered)) or 0


def _lowest_waiting(connection: Connection) -> int:
    return connection.scalar(select(func.min(requests.c.outbox_number)).where(IS_WAITING)) or 0


def _mark(connection: Connection, name: str) -> int:
    return connection.scalar(select(marks.c.value).where(marks.c.name == name)) or 0


def _set_mark(connection: Connection, name: str, value: int) -> None:
    statement = upsert(marks).values(name=name, value=value)
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
