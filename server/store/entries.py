"""Entries of the change log: numbered in the order of their commits, encoded once, and read in bounded runs."""

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest
from typing import Any, Final

import orjson
from sqlalchemy import Connection, Row, Select, String, bindparam, func, insert, select, update

from common.errors import StoreUnavailableError
from common.followers import MAX_ENTRIES, fitting
from common.messages import LEVELS, ChangeKind, Totals
from server.store.schema import CurrentTimeline, Told, change_counter, changes, counts, predictions

READ_AT_ONCE: Final = 100
"""About as many predictions as fit a run: more would come over the network, in one transaction, to be read again."""

RequestKey = tuple[str, str]
"""Client id and request id."""

# Built once: putting a statement together takes longer than running it.
COUNTER: Final = select(
    change_counter, (change_counter.c.timeline != CurrentTimeline()).label("is_of_another_timeline")
)
# The update locks the counter's row until the commit, so that a higher number is committed later.
_TAKE_SEQUENCES = (
    update(change_counter)
    .values(value=change_counter.c.value + bindparam("taken"))
    .returning(change_counter.c.value, change_counter.c.log_id, change_counter.c.epoch, Told())
)
_BEGIN_EPOCH = (
    update(change_counter)
    .values(
        epoch=bindparam("new_epoch"),
        began_after=change_counter.c.value,
        timeline=CurrentTimeline(),
        log_id=func.coalesce(bindparam("new_log", type_=String), change_counter.c.log_id),
    )
    .returning(Told())
)
_INSERT = insert(changes)
_PLAIN = ("sequence", "kind", "client_id", "request_id", "prediction_id", "at", "superseded_by")
_COUNTS = select(counts)
_COUNT = (
    update(counts)
    .where(counts.c.client_id == bindparam("of_client"), counts.c.risk_level == bindparam("of_level"))
    .values(predictions=counts.c.predictions + bindparam("number"))
)
_LOG = (
    select(changes, predictions.c.body)
    .outerjoin_from(changes, predictions, changes.c.sequence == predictions.c.sequence)
    .where(changes.c.sequence > bindparam("after"), changes.c.sequence <= bindparam("newest"))
    .order_by(changes.c.sequence)
    .limit(bindparam("most"))
)
_LOG_OF_CLIENT = _LOG.where(changes.c.client_id == bindparam("of_client"))


class AnotherTimelineError(StoreUnavailableError):
    """PostgreSQL failed over, and nobody has begun another epoch of the log yet."""


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


def row_of(
    kind: ChangeKind, key: RequestKey, at: datetime, prediction_id: str | None = None, **content: str
) -> dict[str, Any]:
    """Return an entry as a row that has no number yet; ``content`` is its ``explanation`` or ``error`` as JSON."""
    ids = {"prediction_id": prediction_id, "client_id": key[0], "request_id": key[1]}
    nothing = dict.fromkeys(("explanation", "error", "superseded_by"))
    return {"kind": kind.value, **ids, "at": at.isoformat(), **nothing, **content}


def write(connection: Connection, rows: list[dict[str, Any]], bodies: Sequence[str] = ()) -> Page:
    """Give rows the next numbers of the log, and write them; ``bodies`` are the predictions of the first of them."""
    counter = connection.execute(_TAKE_SEQUENCES, {"taken": len(rows)}).one()
    number(rows, counter.value)
    if rows:
        connection.execute(_INSERT, rows)
    return page_of(counter, rows, bodies, totals(connection))


def number(rows: Sequence[dict[str, Any]], last: int) -> None:
    """Give rows ascending numbers, of which that of the last row is given."""
    for sequence, row in enumerate(rows, last - len(rows) + 1):
        row["sequence"] = sequence


def page_of(counter: Any, rows: Sequence[Mapping[str, Any]], bodies: Sequence[str], totals: Totals) -> Page:
    """Return numbered rows that were written, up to the counter, and what was counted."""
    entries = [_entry(row, body) for row, body in zip_longest(rows, bodies)]
    after = counter.value - len(rows)
    return Page(_name(counter), after, counter.value, False, entries, totals)


def lock(connection: Connection) -> None:
    """Be the one who writes, until the transaction ends: SQLite knows no other way, and numbers ascend with commits."""
    if connection.execute(COUNTER.with_for_update()).one().is_of_another_timeline:
        begin_epoch(connection)


def begin_epoch(connection: Connection, later_than: int = 0, new_log: str | None = None) -> None:
    """Give the log a name that it never had, so that all who follow it start over; another identity if one is given."""
    # Not simply the next one: two copies of a record, one of which is lost, may each have begun that.
    latest = max(later_than, connection.execute(COUNTER).one().epoch)
    begun = {"new_epoch": latest + 1 + secrets.randbelow(1_000_000), "new_log": new_log}
    connection.execute(_BEGIN_EPOCH, begun)


def end_of(connection: Connection) -> Page:
    """Return the end of the log, without entries.

    Raises
    ------
    AnotherTimelineError
        After a failover, until the first lock.
    """
    counter = counter_of(connection)
    return Page(_name(counter), counter.value, counter.value, False, [], totals(connection))


def read(connection: Connection, after: int, limit: int, client_id: str | None) -> Page:
    """Return a run of the log after a sequence, all of it or one client's.

    A reader that is further than the log has read another one, and gets this one from its beginning.
    """
    end = end_of(connection)
    after = after if after <= end.after else 0
    # One more than is wanted tells whether there are more; a cursor, because a run may end at its bytes long before.
    asked = {"after": after, "newest": end.after, "most": limit + 1, "of_client": client_id}
    # Up to the end that was read before: it is what ``next_after`` promises, whatever is committed meanwhile.
    rows = connection.execute(_LOG if client_id is None else _LOG_OF_CLIENT, asked)
    entries, has_more = run_of((_entry(row, row["body"]) for row in rows.mappings()), limit)
    rows.close()
    next_after = entries[-1].sequence if has_more else end.after
    return replace(end, after=after, next_after=next_after, has_more=has_more, entries=entries)


def walk(rows: Callable[[Select[Any]], Sequence[Row[Any]]], wanted: Select[Any], at_once: int) -> Iterator[Row[Any]]:
    """Yield the rows of a query that selects ``sequence``, in its order and so many at once."""
    sequence, after = wanted.selected_columns["sequence"], 0
    wanted = wanted.order_by(sequence).limit(at_once)
    while page := rows(wanted.where(sequence > after)):
        yield from page
        after = page[-1].sequence


def run_of(entries: Iterable[Entry], limit: int = MAX_ENTRIES) -> tuple[list[Entry], bool]:
    """Take as many entries as a run may hold, and tell whether there are more."""
    return fitting(entries, lambda entry: len(entry.wire), limit)


def count(connection: Connection, numbers: Mapping[tuple[str, str], int], *, each: int = 1) -> None:
    """Add numbers of predictions to the counts, by client and level."""
    # Counted as it happens: counting all that is stored would take longer with every patient.
    for (client_id, level), number in numbers.items():
        place = {"of_client": client_id, "of_level": level, "number": each * number}
        if not connection.execute(_COUNT, place).rowcount:
            connection.execute(insert(counts).values(client_id=client_id, risk_level=level, predictions=number))


def totals(connection: Connection) -> Totals:
    """Return what is counted now."""
    return totals_of(connection.execute(_COUNTS))


def totals_of(numbers: Iterable[Sequence[Any]]) -> Totals:
    """Add up numbers of predictions, each with its client app and level."""
    by_level: defaultdict[str, int] = defaultdict(int, dict.fromkeys(LEVELS, 0))
    by_client: defaultdict[str, int] = defaultdict(int)
    for client_id, level, number in numbers:
        by_level[level] += number
        by_client[client_id] += number
    return Totals(predictions=sum(by_level.values()), by_level=dict(by_level), by_client=dict(by_client))


def counter_of(connection: Connection) -> Row[Any]:
    """Return the counter's row; raises as ``end_of``."""
    counter = connection.execute(COUNTER).one()
    if counter.is_of_another_timeline:
        raise AnotherTimelineError
    return counter


def _name(counter: Any) -> str:
    return f"{counter.log_id}.{counter.epoch}"


def _entry(row: Any, body: str | None) -> Entry:
    """Encode one entry; the messages in it are embedded as they are stored."""
    message = {name: row[name] for name in _PLAIN}
    for name, text in (("prediction", body), ("explanation", row["explanation"]), ("error", row["error"])):
        message[name] = None if text is None else orjson.Fragment(text)
    return Entry(row["sequence"], row["kind"], row["client_id"], orjson.dumps(message))
