"""The client app's own record: requests that wait for their answer, the history of the others, and the log of both."""

import logging
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import ValidationError
from sqlalchemy import Connection, Row, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import SQLAlchemyError

from client.outbox_file import IS_WAITING, cause_of, drafts, open_outbox, place, requests
from common.access.accounts import Account
from common.errors import ErasedError, NotFoundError, RequestIdReusedError, StoreUnavailableError
from common.followers import MAX_ENTRIES, Run, fitting
from common.messages import (
    Change,
    ChangeKind,
    Changes,
    HistoryEntry,
    Prediction,
    PredictRequest,
    Submission,
    SubmissionReceipt,
    WireError,
    Withdrawal,
)

log = logging.getLogger(__name__)

SAME_VISIT: Final = timedelta(hours=24)
"""For so long the same values or reference may well be the same patient, entered twice."""

_CLOCK_ERROR: Final = timedelta(hours=24)
"""What the clock of a page, which makes the request ids, may be wrong by."""

# The answer to a correction must find what it corrects in the record, whatever is refused for now and sent again.
_original = requests.alias("original")
_ORIGINAL_WAITS: Final = exists().where(
    _original.c.request_id == requests.c.corrects, _original.c.state.in_(("queued", "withdrawing"))
)
_CAN_BE_SENT: Final = IS_WAITING & ((requests.c.state == "withdrawing") | ~_ORIGINAL_WAITS)

_PLACE: Final = select(
    place.c.log,
    place.c.sequence,
    place.c.server_log,
    place.c.server_after,
    select(func.count()).select_from(requests).where(IS_WAITING).scalar_subquery(),
)

_MEANING: Final = ("record", "patient_reference", "corrects")
"""What makes two requests of one id the same."""

_JSON: Final = ("record", "entered", "prediction", "explanation", "error")
# The row stays, with its ids: neither a page nor the server's log can bring the patient back.
_TOMBSTONE: Final = dict.fromkeys(
    ("patient_reference", "entered_at", "entered_by", "corrects", "superseded_by", *_JSON)
) | {"state": "erased"}

SENT_AGAIN_AT_ONCE: Final = 100
"""So many answers that the server's record lost are queued again in one transaction: 0.1 s on a busy machine."""

_PROBE: Final = {"request_id": "space-check", "sequence": 0, "state": "probe", "record": "." * 65_536}
"""A row as long as the largest request; it is taken back before anybody sees it."""


@dataclass(frozen=True)
class Place:
    """Where the file stands: its own log and newest entry, how far the server's log was applied, and what waits."""

    log: str
    newest: int
    server_log: str | None
    server_after: int
    waiting: int


class Outbox:
    """Durable, ordered by request id, and idempotent; safe to share among threads, real or green.

    Its own log is compacted: each change gives a request the next ``sequence``, and only the last one is kept.
    ``apply`` and the other methods that write or read are one short transaction each, which waits for nothing but the
    disk, and raise ``StoreUnavailableError`` when the file cannot be written or read.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; raises as ``open_outbox`` does."""
        self._path = path
        self._engine = open_outbox(path)
        self._lock = threading.Lock()
        self.generation = 0
        """Changes when runs that were read before must not be shown again: they hold what has been erased."""
        self.place = Place("", 0, None, 0, 0)
        with self._transaction():
            pass  # which finds out the place

    def close(self) -> None:
        self._engine.dispose()

    @property
    def name(self) -> str:
        return self.place.log

    @property
    def newest(self) -> int:
        return self.place.newest

    def put(self, submission: Submission, entered_at: datetime, person: Account | None = None) -> SubmissionReceipt:
        """Write a request down and return it as it is on disk; or an earlier one that it may be a duplicate of.

        The draft of the person who entered it is erased with it.

        Raises
        ------
        RequestIdReusedError
            When the id was used for other content; with the same content the entry already there is returned.
        ErasedError
            When the patient of this id was erased.
        """
        with self._transaction() as connection:
            # A page that lost the acknowledgment sends the same request again.
            row = _row(connection, submission.request_id)
            if row is None and (earlier := _earlier(connection, submission, entered_at)):
                return SubmissionReceipt(status="duplicate", entry=_checked(earlier))
            asked = _asked(submission, entered_at, person.name if person else None)
            row = row or _save(connection, submission.request_id, state="queued", **asked)
            if person:
                connection.execute(delete(drafts).where(drafts.c.person == person.id))
        if row.state == "erased":
            raise ErasedError
        entry = _checked(row)
        if any(getattr(entry, name) != getattr(submission, name) for name in _MEANING):
            raise RequestIdReusedError
        return SubmissionReceipt(status="saved", entry=entry)

    def withdraw(self, request_id: str) -> HistoryEntry:
        """Have a request withdrawn if it still waits, and return it as it is on disk.

        Raises
        ------
        NotFoundError
            When there is none of this id.
        ErasedError
            When it is gone already.
        """
        with self._transaction() as connection:
            row = _row(connection, request_id)
            if row is not None and row.state == "queued":
                row = _save(connection, request_id, state="withdrawing")
        if row is None:
            raise NotFoundError("There is no patient with this id.")
        if row.state == "erased":
            raise ErasedError
        return _checked(row)

    def waiting(self, limit: int) -> list[PredictRequest | Withdrawal]:
        """Return the oldest requests that can be sent, ascending; of what was withdrawn, the withdrawal.

        A correction can be sent when the request that it corrects no longer waits.
        """
        with self._transaction() as connection:
            oldest = select(requests).where(_CAN_BE_SENT).order_by(requests.c.request_id).limit(limit)
            rows = connection.execute(oldest).all()
        return [Withdrawal(request_id=row.request_id) if row.state == "withdrawing" else _request(row) for row in rows]

    def oldest(self) -> datetime | None:
        """Return when the oldest request that waits was entered."""
        entered = select(requests.c.entered_at).where(IS_WAITING).order_by(requests.c.request_id).limit(1)
        with self._transaction() as connection:
            found = connection.scalar(entered)
        return datetime.fromisoformat(found) if found else None

    def apply(self, changes: Changes) -> set[str]:
        """Apply a run of the server's log, and how far it reaches; return the requests that changed by it.

        What was applied before changes nothing, so that the log may be read from its beginning at any time. Answers
        that a restored log lacks, or that of a standby which took over, are waited for again once it was read whole.
        """
        with self._transaction() as connection:
            changed: set[str] = set()
            reading = _reading(connection, changes)
            for change in changes.entries:
                if news := _news(_row(connection, change.request_id), change):
                    _save(connection, change.request_id, **news)
                    changed.add(change.request_id)
            # Of what is known as well: what a later reading does not bring again, the server's record has lost.
            seen = [change.request_id for change in changes.entries if change.prediction]
            if seen:
                connection.execute(update(requests).where(requests.c.request_id.in_(seen)).values(reading=reading))
            connection.execute(update(place).values(server_log=changes.log, server_after=changes.next_after))
            # A log that holds an answer has an end beyond 0. Older servers send this one when they cannot read it.
            if not changes.has_more and changes.next_after:
                changed |= _send_again(connection, reading)
        # After the commit: what is read from now on lacks the patient, and runs that were read before must go.
        self.generation += any(change.kind is ChangeKind.PREDICTION_ERASED for change in changes.entries)
        return changed

    def refuse(self, request_id: str, error: WireError) -> None:
        """Keep a waiting request as refused for good; one whose answer was erased leaves nothing but its id."""
        with self._transaction() as connection:
            if news := _refused(_row(connection, request_id), error):
                _save(connection, request_id, **news)
        self.generation += error.code == ErasedError.code

    def history(self, *, before: str | None, limit: int) -> tuple[list[dict[str, Any]], Place]:
        """Return the entries with request ids below ``before``, newest first, and the place as of which they are so."""
        wanted = select(requests).where(requests.c.state != "erased")
        if before is not None:
            wanted = wanted.where(requests.c.request_id < before)
        with self._transaction() as connection:
            rows = connection.execute(wanted.order_by(requests.c.request_id.desc()).limit(limit)).all()
            now = _place(connection)
        return [_entry(row) for row in rows], now

    def read(self, after: int, scope: str) -> Run:
        """Return the run of the own log that follows ``after``, encoded."""
        later = select(requests).where(requests.c.sequence > after).order_by(requests.c.sequence)
        with self._transaction() as connection:
            rows = connection.execute(later.limit(MAX_ENTRIES + 1)).all()
            newest = _place(connection).newest
        texts, has_more = fitting(map(_change, rows), len)
        return Run(
            after=after,
            next_after=rows[len(texts) - 1].sequence if has_more else newest,
            has_more=has_more,
            entries=orjson.Fragment(b"[" + b",".join(texts) + b"]"),
        )

    def check_writable(self) -> None:
        """Write as much as a request takes and take it back, synced; raises when that fails."""
        with self._transaction() as connection:
            connection.execute(insert(requests).values(_PROBE))
            connection.execute(delete(requests).where(requests.c.request_id == _PROBE["request_id"]))

    def draft_of(self, person: str) -> str | None:
        with self._transaction() as connection:
            return connection.scalar(select(drafts.c.draft).where(drafts.c.person == person))

    def keep_draft(self, person: str, draft: str, now: datetime) -> None:
        """Keep what a person has typed, in place of an earlier draft."""
        kept = {"draft": draft, "saved_at": now.isoformat()}
        with self._transaction() as connection:
            statement = upsert(drafts).values(person=person, **kept)
            connection.execute(statement.on_conflict_do_update(index_elements=["person"], set_=kept))

    def erase_draft(self, person: str) -> None:
        with self._transaction() as connection:
            connection.execute(delete(drafts).where(drafts.c.person == person))

    def erase_old_drafts(self, people: Collection[str], before: datetime) -> None:
        """Erase the drafts that were last saved before a time, and those of anybody else than ``people``."""
        with self._transaction() as connection:
            is_old = or_(drafts.c.person.not_in(people), drafts.c.saved_at < before.isoformat())
            connection.execute(delete(drafts).where(is_old))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._lock, self._engine.connect() as connection:
                yield connection
                now = _place(connection)
                connection.commit()
                self.place = now  # within the lock: seen from other threads it must never go back
        except SQLAlchemyError as error:
            cause = cause_of(error)
            log.error("the outbox %s cannot be used: %s", self._path, cause)  # noqa: TRY400 - the cause says it all
            raise StoreUnavailableError(
                f"This client app cannot use its disk, so nothing was saved. The cause: {cause}."
            ) from error


def _reading(connection: Connection, changes: Changes) -> int:
    """Return the number of the reading of the server's log that a run belongs to: a new one where it starts over."""
    now = connection.execute(select(place)).one()
    if changes.log == now.server_log and changes.after >= now.server_after:
        return int(now.reading)
    # Of another server's record nothing is missing: it never had the patients of this one, and must not get them.
    is_same = now.server_log is not None and changes.log.partition(".")[0] == now.server_log.partition(".")[0]
    reading = int(now.reading) + 1
    connection.execute(update(place).values(reading=reading, compared=place.c.compared if is_same else reading))
    return reading


def _send_again(connection: Connection, reading: int) -> set[str]:
    """Have requests wait again whose answers the log lacked when it was read from its start to its end.

    Return what changed. Only some at once: the others follow with the next runs. Their answers stay on disk until
    others replace them, in case that they are refused now.
    """
    compared = connection.execute(select(place.c.compared)).scalar_one()
    if compared == reading:
        return set()
    # What was last seen before is of another server's record. Originals come before their corrections.
    lacking = select(requests).where(
        requests.c.state == "answered", requests.c.reading >= compared, requests.c.reading < reading
    )
    lacking = lacking.order_by(requests.c.corrects.is_not(None), requests.c.request_id).limit(SENT_AGAIN_AT_ONCE)
    rows = connection.execute(lacking).all()
    if len(rows) < SENT_AGAIN_AT_ONCE:  # none is left after these
        connection.execute(update(place).values(compared=reading))
    # They are dealt with: one that goes back to its answer must not be sent again before the next restore.
    dealt_with = requests.c.request_id.in_([row.request_id for row in rows])
    connection.execute(update(requests).where(dealt_with).values(reading=reading))
    found = {row.request_id for row in rows if _can_be_sent(row)}
    for one in sorted(found):
        _save(connection, one, state="queued", superseded_by=None)
    # What they corrected is not corrected until the log says so again.
    corrected = select(requests.c.request_id).where(requests.c.superseded_by.in_(found))
    originals = set(connection.scalars(corrected))
    for one in sorted(originals):
        _save(connection, one, state="answered", superseded_by=None)
    if found:
        log.warning("the server's record lacks %d answers that were here; they are asked for again", len(found))
    return found | originals


def _can_be_sent(row: Row[Any]) -> bool:
    """Tell whether an answered request can be sent again: its form is checked for the first time since it came."""
    try:
        _request(row)
    except ValidationError:  # which quotes the patient's values
        log.warning(
            "a request that the server's record lacks has an older form; it keeps its answer",
            extra={"request_id": row.request_id},
        )
        return False
    return True


def _news(row: Row[Any] | None, change: Change) -> dict[str, str | None]:
    """Return the columns that an entry of the server's log changes; nothing brings back what was erased."""
    state = row.state if row else None
    if state == "erased":
        return {}
    if change.kind is ChangeKind.PREDICTION_ERASED:
        return _TOMBSTONE | {"prediction_id": change.prediction_id}
    if change.prediction is not None:  # one that is known is read again when the log is read from its beginning
        return _answered(change.prediction) if state != "answered" else {}
    if change.superseded_by is not None:
        # Of an erased prediction this entry stays in the log: without a row there is nothing to mark.
        is_known = row is None or row.superseded_by == change.superseded_by
        return {} if is_known else {"state": "answered", "superseded_by": change.superseded_by}
    if change.explanation is not None:
        told = change.explanation.model_dump_json()
        is_known = row is None or row.prediction_id != change.prediction_id or row.explanation == told
        return {"state": "answered", "explanation": told} if not is_known else {}
    return _refused(row, change.error) if change.error is not None else {}


def _answered(made: Prediction) -> dict[str, str | None]:
    return {
        "state": "answered",
        **_asked(made, made.entered_at, made.entered_by),
        "prediction_id": made.prediction_id,
        "prediction": made.model_dump_json(),
        "explanation": made.explanation.model_dump_json(),
        "error": None,
    }


def _asked(said: Submission | Prediction, entered_at: datetime, entered_by: str | None) -> dict[str, str | None]:
    return {
        "patient_reference": said.patient_reference,
        "entered_at": entered_at.isoformat(),
        "entered_by": entered_by,
        "record": said.record.model_dump_json(),
        "entered": orjson.dumps({name: vars(quantity) for name, quantity in said.entered.items()}).decode(),
        "corrects": said.corrects,
    }


def _refused(row: Row[Any] | None, error: WireError) -> dict[str, str | None]:
    if row is None or row.state not in ("queued", "withdrawing"):
        return {}
    if error.code == ErasedError.code:
        return _TOMBSTONE
    if row.prediction is not None:  # it was sent again, and somebody may have acted on the answer it had
        return {"state": "answered"}
    return {"state": "refused", "error": error.model_dump_json()}


def _earlier(connection: Connection, submission: Submission, at: datetime) -> Row[Any] | None:
    """Return the newest request that may be of the same visit: of the same patient, or another correction of one."""
    if submission.is_new:
        return None
    since = at - SAME_VISIT
    # Equal values are compared as they are stored: the JSON of equal records is the same, field by field.
    same = requests.c.record == submission.record.model_dump_json()
    if submission.patient_reference is not None:
        same |= requests.c.patient_reference == submission.patient_reference
    if submission.corrects is not None:
        same = requests.c.corrects == submission.corrects
    # Ids begin with their time, in milliseconds, so that not all rows have to be looked at.
    first = f"{int((since - _CLOCK_ERROR).timestamp() * 1000):012x}"
    found = select(requests).where(
        requests.c.request_id > f"{first[:8]}-{first[8:]}",
        requests.c.entered_at > since.isoformat(),
        requests.c.state.in_(("queued", "answered")),
        requests.c.superseded_by.is_(None),
        same,
    )
    return connection.execute(found.order_by(requests.c.request_id.desc()).limit(1)).one_or_none()


def _save(connection: Connection, request_id: str, **values: str | None) -> Row[Any]:
    """Write the changed columns of a request, and give it the next place in the own log; return it as it is then."""
    next_one = update(place).values(sequence=place.c.sequence + 1).returning(place.c.sequence)
    changed = {**values, "sequence": connection.execute(next_one).scalar_one()}
    statement = upsert(requests).values(request_id=request_id, **changed)
    statement = statement.on_conflict_do_update(index_elements=["request_id"], set_=changed)
    return connection.execute(statement.returning(*requests.c)).one()


def _row(connection: Connection, request_id: str) -> Row[Any] | None:
    return connection.execute(select(requests).where(requests.c.request_id == request_id)).one_or_none()


def _place(connection: Connection) -> Place:
    return Place(*connection.execute(_PLACE).one())


def _change(row: Row[Any]) -> bytes:
    """Return an entry of the own log for the wire: a request as it is now, or that it was erased."""
    entry = None if row.state == "erased" else _entry(row)
    return orjson.dumps({"sequence": row.sequence, "request_id": row.request_id, "entry": entry})


def _checked(row: Row[Any]) -> HistoryEntry:
    return HistoryEntry.model_validate_json(orjson.dumps(_entry(row)))


def _request(row: Row[Any]) -> PredictRequest:
    fields = {name: value for name, value in _entry(row).items() if name in PredictRequest.model_fields}
    return PredictRequest.model_validate_json(orjson.dumps(fields))


def _entry(row: Row[Any]) -> dict[str, Any]:
    """Return a ``HistoryEntry`` for the wire; what is stored as JSON goes into it as it is."""
    entry = {name: getattr(row, name) for name in HistoryEntry.model_fields} | {"entered": row.entered or "{}"}
    if row.state != "answered":  # of what is sent again, the answer that the server's record lost
        entry |= {"prediction": None, "explanation": None}
    return entry | {name: orjson.Fragment(entry[name]) for name in _JSON if entry[name]}
