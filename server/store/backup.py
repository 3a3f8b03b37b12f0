"""Copies of a SQLite database: made while it is in use, never over another file, and put back after a check."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from sqlalchemy import URL, Engine, select, update

from common.durability import move_to_free_name, sync_file
from common.errors import StoreUnavailableError
from common.sqlite import WRITE, Progress, check_whole, copy_database, is_write_ahead, leave_write_ahead_mode
from config.secrets import ConfigurationError, sync_folder
from server.store.database import cause_of, in_use, open_database
from server.store.record import PredictionStore
from server.store.schema import change_counter
from server.store.unfinished import own_folder
from server.store.verification import problems_of, read_only


class _Replaced(NamedTuple):
    """What is taken over from the file that is replaced: which log it was, and what was erased."""

    log_id: str
    epoch: int
    erased: list[tuple[str, str, str]]


def back_up(database: Path, target: Path, on_progress: Progress) -> None:
    """Copy a database that may be in use to a new file of its owner's alone, checked and on disk.

    Raises
    ------
    ConfigurationError
        If there is such a file.
    OSError
        If it cannot be made.
    StoreUnavailableError
        If the database cannot be read, or its copy is not in order; there is no new file then.
    """
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


def restore(backup: Path, database: Path, on_progress: Progress) -> list[str]:
    """Put a backup in the place of a database that nobody uses, after a check; an older one is brought up to date.

    The replaced file is kept aside. The log gets a new epoch, so that its followers start over, and what was erased
    after the backup is erased again, as far as the replaced file can tell. Returns sentences on both.

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
    with own_folder(database.parent) as folder, in_use(database, alone=True):
        replaced = _what_to_take_over(database)
        incoming = folder / database.name
        _copy(backup, incoming, on_progress)
        erased_again = _prepare(incoming, replaced)
        _require_order(incoming)
        said = []
        if kept := _exchange(database, incoming, folder):
            said.append(f"The file it replaces is kept as {kept}; delete it when you need it no more.")
        if erased_again:
            said.append(f"Erased again, as it had been since the backup: {in_number(erased_again)}.")
        if not replaced:
            said.append("The replaced file could not be read: erase again what was erased since the backup.")
        return said


def in_number(predictions: int) -> str:
    return "1 prediction" if predictions == 1 else f"{predictions} predictions"


def _taken(target: Path) -> str:
    return f"{target} is there already, and nothing is overwritten. Choose another name."


def _copy(source: Path, copy: Path, on_progress: Progress) -> None:
    try:
        if is_write_ahead(source):
            shutil.copyfile(source, copy)
            log = source.with_name(f"{source.name}-wal")
            if log.exists():
                shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
            leave_write_ahead_mode(copy)
        else:
            copy_database(source, copy, on_progress)
        check_whole(copy)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailableError(f"{source} cannot be copied: {cause_of(error)}.") from error


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
            # Until schema 2 the request's id stood in a table of its own, which schema 1 does not have.
            is_new = connection.execute(
                "SELECT 1 FROM pragma_table_info('changes') WHERE name = 'request_id'"
            ).fetchone()
            has_own = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'erasures'").fetchone()
            tombstones = "changes WHERE kind = 'prediction_erased'" if is_new else "erasures"
            query = f"SELECT prediction_id, client_id, request_id FROM {tombstones}"  # noqa: S608 - one of two names
            erased = connection.execute(query).fetchall() if is_new or has_own else []
            columns = {column[1] for column in connection.execute("PRAGMA table_info(change_counter)")}
            query = "SELECT log_id, epoch FROM change_counter" if "epoch" in columns else "SELECT '', 0"
            log_id, epoch = connection.execute(query).fetchone()
    except (sqlite3.Error, TypeError):
        return None
    return _Replaced(log_id, epoch, erased)


def _prepare(incoming: Path, replaced: _Replaced | None) -> int:
    """Bring a restored file up to date with the schema and with the replaced one; return how many were erased again."""
    with closing_engine(open_database(URL.create("sqlite", database=str(incoming)))) as engine:
        with engine.execution_options(**WRITE).begin() as connection:
            log_id, epoch = connection.execute(select(change_counter.c.log_id, change_counter.c.epoch)).one()
            # the log gets a name that it never had: the next epoch, or another where nobody knows which was the last
            if replaced and replaced.log_id == log_id:
                connection.execute(update(change_counter).values(epoch=max(epoch, replaced.epoch) + 1))
            else:
                connection.execute(update(change_counter).values(log_id=str(uuid4())))
        store, now = PredictionStore(engine), datetime.now(UTC)
        erased = replaced.erased if replaced else []
        number = store.erase_all([prediction_id for prediction_id, _, _ in erased], now)
        store.entomb(erased, now)
        return number


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
