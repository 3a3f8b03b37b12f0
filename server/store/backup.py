"""Copies of a SQLite database: made while it is in use, never over another file, and put back after a check."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import URL, Engine, select, update

from common.durability import move_to_free_name, sync_file
from common.errors import StoreUnavailableError
from common.sqlite import (
    Progress,
    check_whole,
    copy_database,
    is_write_ahead,
    leave_write_ahead_mode,
)
from config.secrets import ConfigurationError, sync_folder
from server.store.database import WRITE, cause_of, open_database
from server.store.database_lock import DatabaseLock
from server.store.record import PredictionStore
from server.store.schema import change_counter
from server.store.unfinished import own_folder
from server.store.verification import problems_of, read_only

_ERASED_AT_ONCE: Final = 50


@dataclass(frozen=True)
class Restored:
    """What became of a restore: where the replaced file is, and what the restored one took over from it."""

    kept_aside: Path | None
    knows_replaced: bool
    erased_again: int


@dataclass(frozen=True)
class _Replaced:
    """What is taken over from the file that is replaced: which log it was, and what was erased."""

    log_id: str
    epoch: int
    erased: list[str]


def back_up(database: Path, target: Path, on_progress: Progress) -> None:
    """Copy a database that may be in use to a new file of its owner's alone, checked and on disk.

    Raises
    ------
    ConfigurationError
        If there is such a file, or it cannot be made.
    StoreUnavailableError
        If the database cannot be read, or its copy is not in order; there is no new file then.
    """
    with _failure_in_words(target):
        if target.exists():
            raise ConfigurationError(_taken(target))
        with own_folder(target.parent) as folder:
            copy = folder / target.name
            _copy(database, copy, on_progress)
            _require_order(copy)
            try:
                move_to_free_name(copy, target)
            except FileExistsError:
                raise ConfigurationError(_taken(target)) from None
        sync_folder(target.parent)


def restore(backup: Path, database: Path, on_progress: Progress) -> Restored:
    """Put a backup in the place of a database that nobody uses, after a check; an older one is brought up to date.

    The replaced file is kept aside. The log gets a new epoch, so that its followers start over, and what was erased
    after the backup is erased again, as far as the replaced file can tell.

    Raises
    ------
    ConfigurationError
        If somebody uses the database, there is no such backup, or the folder cannot be written.
    StoreUnavailableError
        If the backup is not in order; nothing was replaced then.
    """
    with _failure_in_words(database), ExitStack() as ending:
        if not backup.is_file():
            raise ConfigurationError(f"There is no file {backup}.")
        folder = ending.enter_context(own_folder(database.parent))
        lock = DatabaseLock(database, alone=True)
        ending.callback(lock.release)
        replaced = _what_to_take_over(database)
        incoming = folder / database.name
        _copy(backup, incoming, on_progress)
        erased_again = _prepare(incoming, replaced)
        _require_order(incoming)
        return Restored(_exchange(database, incoming, folder), replaced is not None, erased_again)


@contextmanager
def _failure_in_words(path: Path) -> Iterator[None]:
    """Say what the system refused."""
    try:
        yield
    except OSError as error:
        raise ConfigurationError(f"{error.filename or path} cannot be used: {cause_of(error)}.") from None


def _taken(target: Path) -> str:
    return f"{target} is there already, and nothing is overwritten. Choose another name."


def _copy(source: Path, copy: Path, on_progress: Progress) -> None:
    try:
        if is_write_ahead(source):
            shutil.copyfile(source, copy)
            _copy_log(source, copy)
            leave_write_ahead_mode(copy)
        else:
            copy_database(source, copy, on_progress)
        check_whole(copy)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailableError(f"{source} cannot be copied: {cause_of(error)}.") from error


def _copy_log(source: Path, copy: Path) -> None:
    """Copy the write-ahead log beside a file, if there is one."""
    log = source.with_name(f"{source.name}-wal")
    if log.exists():
        shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))


def _require_order(path: Path) -> None:
    with closing_engine(read_only(path)) as engine:
        problems = list(problems_of(engine))
    if problems:
        raise StoreUnavailableError(f"{path.name} is not in order, so nothing was done: {' '.join(problems)}")


@contextmanager
def closing_engine(engine: Engine) -> Iterator[Engine]:
    """Dispose of an engine in the end."""
    try:
        yield engine
    finally:
        engine.dispose()


def _what_to_take_over(database: Path) -> _Replaced | None:
    """Read what the replaced file knows; ``None`` if there is none, or it cannot be read."""
    if not database.exists():
        return None
    try:
        with closing(sqlite3.connect(database)) as connection:
            erased = connection.execute("SELECT prediction_id FROM changes WHERE kind = 'prediction_erased'").fetchall()
            columns = {column[1] for column in connection.execute("PRAGMA table_info(change_counter)")}
            query = "SELECT log_id, epoch FROM change_counter" if "epoch" in columns else "SELECT '', 0"
            log_id, epoch = connection.execute(query).fetchone()
    except (sqlite3.Error, TypeError):
        return None
    return _Replaced(log_id, epoch, [prediction_id for (prediction_id,) in erased])


def _prepare(incoming: Path, replaced: _Replaced | None) -> int:
    """Bring a restored file up to date with the schema and with the replaced one; return how many were erased again."""
    at = datetime.now(UTC)
    with closing_engine(open_database(URL.create("sqlite", database=str(incoming)))) as engine:
        _begin_epoch(engine, replaced)
        store = PredictionStore(engine)
        erased = replaced.erased if replaced else []
        batches = [erased[start : start + _ERASED_AT_ONCE] for start in range(0, len(erased), _ERASED_AT_ONCE)]
        return sum(len(store.erase(batch, at).entries) for batch in batches)


def _begin_epoch(engine: Engine, replaced: _Replaced | None) -> None:
    """Name the log as it never was before: by the next epoch, or anew where nobody knows which one was the last."""
    with engine.execution_options(**WRITE).begin() as connection:
        log_id, epoch = connection.execute(select(change_counter.c.log_id, change_counter.c.epoch)).one()
        named = (
            {"epoch": max(epoch, replaced.epoch) + 1}
            if replaced and replaced.log_id == log_id
            else {"log_id": str(uuid4())}
        )
        connection.execute(update(change_counter).values(named))


def _exchange(database: Path, incoming: Path, folder: Path) -> Path | None:
    """Put a file in the place of another in one step, and keep that aside with what belongs to it."""
    sync_file(incoming)
    kept = None
    if database.exists():
        kept = database.with_name(f"{database.stem}-replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}{database.suffix}")
        _keep_aside(database, kept, folder)
        for ending in ("-journal", "-wal", "-shm"):  # a journal of the replaced file would undo parts of the new one
            beside = database.with_name(f"{database.name}{ending}")
            if beside.exists() and beside.stat().st_size:
                beside.replace(kept.with_name(f"{kept.name}{ending}"))
    incoming.replace(database)
    sync_folder(database.parent)
    return kept


def _keep_aside(database: Path, kept: Path, folder: Path) -> None:
    """Give the replaced file a second name; where there are no hard links a copy has it, made in the folder first."""
    try:
        os.link(database, kept)
    except OSError:
        copy = folder / kept.name
        shutil.copy(database, copy)
        sync_file(copy)
        move_to_free_name(copy, kept)
