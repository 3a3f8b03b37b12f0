"""Records that come to PostgreSQL: copied from SQLite, or put back by PostgreSQL's own tools."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, func, insert, select, update

from common.errors import StoreUnavailableError
from common.messages import ChangeKind
from config.secrets import ConfigurationError
from server.store import postgres
from server.store.record import PredictionStore, Replaced
from server.store.schema import CurrentTimeline, change_counter, changes, metadata
from server.store.verification import problems_of

_AT_ONCE: Final = 500
"""Rows sent together."""


def copy_record(source: Engine, target: Engine, told: Callable[[str], object]) -> None:
    """Copy a record that nobody uses to an empty one, whole or not at all, and check it there.

    The log keeps its numbers and its identity, and gets another epoch: what has followed it starts over. ``told`` is
    called with a sentence now and then.

    Raises
    ------
    ConfigurationError
        If the target is not empty.
    StoreUnavailableError
        If the copy is not in order; it stays, to be looked at.
    """
    tables = [table for table in metadata.sorted_tables if table is not change_counter]
    with source.connect() as old, target.begin() as new:
        postgres.take_time(new)
        new.execute(select(change_counter).with_for_update())
        if any(_number(new, select(table)) for table in tables):
            raise ConfigurationError("There is a record in that database already. Copy to an empty database.")
        for table in tables:
            number, done = _number(old, select(table)), 0
            for rows in old.execution_options(yield_per=_AT_ONCE).execute(select(table)).mappings().partitions():
                new.execute(insert(table), [dict(row) for row in rows])
                done += len(rows)
                told(f"{table.name}: {done} of {number}")
        counter = dict(old.execute(select(change_counter)).mappings().one())
        new.execute(update(change_counter).values(counter | {"timeline": CurrentTimeline()}))
    PredictionStore(target).rename_log()
    told("checking the copy")
    if problems := list(problems_of(target)):
        raise StoreUnavailableError(f"The copy is not in order: {' '.join(problems)}")


def after_restore(engine: Engine, replaced: Engine | None) -> tuple[bool, int]:
    """Have a record that was put back take the place of another, as ``take_place`` of the record does."""
    before = None
    if replaced:
        tombstones = select(changes).where(changes.c.kind == ChangeKind.PREDICTION_ERASED)
        with replaced.connect() as connection:
            counter = connection.execute(select(change_counter)).one()
            erased = {(row.client_id, row.request_id): row.prediction_id for row in connection.execute(tombstones)}
        before = Replaced(counter.log_id, counter.epoch, erased)
    return PredictionStore(engine).take_place(before, datetime.now(UTC))


def _number(connection: Connection, rows: Select[Any]) -> int:
    return int(connection.execute(select(func.count()).select_from(rows.subquery())).scalar_one())
