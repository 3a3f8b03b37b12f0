"""Copies of a record: made while it is in use, never over another, and put in the place of one after a check."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, Table, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from common.durability import move_to_free_name, sync_file
from common.errors import StoreUnavailableError
from common.file_lock import locked
from common.messages import ChangeKind
from common.sqlite import copy_database, engine_of, leave_write_ahead_mode
from config.secrets import ConfigurationError, make_folder, sync_folder
from server.store import postgres
from server.store.database import cause_of, in_use, open_database
from server.store.entries import begin_epoch
from server.store.record import PredictionStore, Replaced
from server.store.schema import WITHOUT_PREDICTION, change_counter, changes, metadata
from server.store.verification import problems_of

UNFINISHED: Final = ".record-unfinished"

_AT_ONCE: Final = 500
"""Rows copied together."""

# By their own index, so that as little as possible of a damaged file is read.
_TOMBSTONES: Final = select(changes.c.client_id, changes.c.request_id, changes.c.prediction_id).where(
    WITHOUT_PREDICTION, changes.c.kind == ChangeKind.PREDICTION_ERASED
)


def back_up(database: Path, target: Path) -> None:
    """Copy a database that may be in use to a new file of its owner's alone, checked and on disk.

    Raises
    ------
    ConfigurationError
        If there is such a file, or another copy is being made in that folder.
    OSError
        If it cannot be made.
    StoreUnavailableError
        If the database cannot be read, or its copy is not in order; there is no new file then.
    """
    taken = ConfigurationError(f"{target} is there already, and nothing is overwritten. Choose another name.")
    if target.exists():
        raise taken
    with _own_folder(target.parent) as folder:
        copy = _copied(database, folder / target.name)
        with closing_engine(engine_of(copy, mode="ro")) as engine:
            _require_order(engine, target.name)
        try:
            move_to_free_name(copy, target)
        except FileExistsError:
            raise taken from None
    sync_folder(target.parent)


def restore(backup: Path, database: Path) -> list[str]:
    """Put a backup in the place of a database that nobody uses, after a check; an older one is brought up to date.

    The replaced file is kept aside. The log gets a new epoch, so that its followers start over, and what was erased
    after the backup is erased again, as far as the replaced file can tell; where it tells nothing, the log gets a new
    identity as well. Returns sentences on all of it.

    Raises
    ------
    ConfigurationError
        If somebody uses the database, or there is no such backup.
    OSError
        If the folder cannot be written.
    StoreUnavailableError
        If the backup is not in order; nothing was replaced then.
    """
    if not backup.is_file():
        raise ConfigurationError(f"There is no file {backup}.")
    with _own_folder(database.parent) as folder, in_use(database, alone=True):
        incoming = _copied(backup, folder / database.name)
        replaced = None
        if database.exists():
            # Writable, because SQLite takes back first what a killed server left half written; no pragma, because it
            # is to be kept as it is.
            with closing_engine(engine_of(database, pragmas=())) as engine, suppress(SQLAlchemyError):
                replaced = told_by(engine)
        # From here on an older backup has this program's schema.
        with closing_engine(open_database(URL.create("sqlite", database=str(incoming)))) as engine:
            said = take_place(engine, replaced)
            _require_order(engine, database.name)
        if kept := _exchange(database, incoming):
            said.append(f"The file it replaces is kept as {kept}; delete it when you need it no more.")
        return said


def take_place(engine: Engine, replaced: Replaced | None) -> list[str]:
    """Have a record that was put back take the place of another, as the store does; return sentences on it."""
    is_same, erased = PredictionStore(engine).take_place(replaced, datetime.now(UTC))
    return [
        "Client apps send again what the record lacks."
        if is_same
        else "The log has a new identity: client apps send nothing again that was answered before.",
        f"Erased again, as it had been since the backup: {in_number(erased)}."
        if replaced
        else "Nothing here tells of erasures: erase again what was erased since the backup.",
    ]


def told_by(engine: Engine) -> Replaced:
    """Return which log a record has, and what was erased from it; only this is read, whatever else is damaged."""
    with engine.connect() as connection:
        erased = {(client_id, request_id): name for client_id, request_id, name in connection.execute(_TOMBSTONES)}
        log_id, epoch = connection.execute(select(change_counter.c.log_id, change_counter.c.epoch)).one()
    return Replaced(log_id, epoch, erased)


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
        # Whoever writes to the target meanwhile waits for this, and then finds the whole record.
        new.execute(select(change_counter).with_for_update())
        if any(new.scalar(select(func.count()).select_from(table)) for table in tables):
            raise ConfigurationError("There is a record in that database already. Copy to an empty database.")
        for table in tables:
            copy_rows(old, new, table, told)
        new.execute(update(change_counter).values(**old.execute(select(change_counter)).mappings().one()))
        begin_epoch(new)
    told("checking the copy")
    _require_order(target, "The copy")


def copy_rows(old: Connection, new: Connection, table: Table, told: Callable[[str], object] = lambda _: None) -> int:
    """Copy all rows of a table to the same table elsewhere, and say how it goes; return how many there were."""
    number, done = old.scalar(select(func.count()).select_from(table)), 0
    for rows in old.execution_options(yield_per=_AT_ONCE).execute(select(table)).mappings().partitions():
        new.execute(insert(table), [dict(row) for row in rows])
        done += len(rows)
        told(f"{table.name}: {done} of {number}")
    return done


def in_number(predictions: int) -> str:
    return "1 prediction" if predictions == 1 else f"{predictions} predictions"


@contextmanager
def closing_engine(engine: Engine) -> Iterator[Engine]:
    """Dispose of an engine in the end."""
    try:
        yield engine
    finally:
        engine.dispose()


@contextmanager
def _own_folder(beside: Path) -> Iterator[Path]:
    """Make a folder for its owner alone, and remove it with all that is left in it, as what a killed command left."""
    make_folder(beside)
    folder = beside / UNFINISHED
    try:
        # The lock's file stays: removing it would let two commands in, one of which had opened it before.
        with locked(beside / f"{UNFINISHED}.lock", 0, private=True), ExitStack() as in_the_end:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            in_the_end.callback(shutil.rmtree, folder)
            yield folder
    except TimeoutError:
        raise ConfigurationError(f"Another command is making a copy in {beside}. Try again once it ends.") from None


def _copied(source: Path, copy: Path) -> Path:
    try:
        copy_database(source, copy)
        leave_write_ahead_mode(copy)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailableError(f"{source} cannot be copied: {cause_of(error)}.") from error
    return copy


def _require_order(engine: Engine, name: str) -> None:
    if problems := list(problems_of(engine)):
        raise StoreUnavailableError(f"{name} is not in order, and is not used: {' '.join(problems)}")


def _exchange(database: Path, incoming: Path) -> Path | None:
    """Put a file in the place of another in one step, and keep that aside with what belongs to it."""
    sync_file(incoming)
    kept = None
    if database.exists():
        kept = database.with_name(f"{database.stem}-replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}{database.suffix}")
        try:
            os.link(database, kept)  # not moved: a server that starts in between would make an empty record
        except OSError:  # there are no hard links in this file system
            shutil.copy(database, kept)
            sync_file(kept)
        for ending in ("-journal", "-wal", "-shm"):  # a journal of the replaced file would undo parts of the new one
            beside = database.with_name(f"{database.name}{ending}")
            if beside.exists() and beside.stat().st_size:
                beside.replace(kept.with_name(f"{kept.name}{ending}"))
    incoming.replace(database)
    sync_folder(database.parent)
    return kept
