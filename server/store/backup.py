"""Copies of a SQLite database: made while it is in use, never over another file, and put back after a check."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Engine

from common.durability import move_to_free_name, sync_file
from common.errors import StoreUnavailableError
from common.file_lock import locked
from common.sqlite import copy_database, engine_of, leave_write_ahead_mode
from config.secrets import ConfigurationError, make_folder, sync_folder
from server.store.database import cause_of, in_use, open_database
from server.store.record import PredictionStore, Replaced
from server.store.schema import WITHOUT_PREDICTION
from server.store.verification import problems_of

UNFINISHED: Final = ".record-unfinished"

# By their own index, so that as little as possible of a damaged file is read.
_TOMBSTONES: Final = f"""
SELECT client_id, request_id, prediction_id FROM changes WHERE {WITHOUT_PREDICTION} AND kind = 'prediction_erased'
"""  # noqa: S608 - of constants


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
        _require_order(copy)
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
        replaced = _told_by(database)
        is_same, erased_again = _take_over(incoming, replaced)
        _require_order(incoming)  # only now: an older backup has this program's schema from here on
        said = [sent_again(is_same)]
        if replaced is None and database.exists():
            said.append("The replaced file could not be read: erase again what was erased since the backup.")
        elif erased_again:
            said.append(f"Erased again, as it had been since the backup: {in_number(erased_again)}.")
        if kept := _exchange(database, incoming):
            said.append(f"The file it replaces is kept as {kept}; delete it when you need it no more.")
        return said


def in_number(predictions: int) -> str:
    return "1 prediction" if predictions == 1 else f"{predictions} predictions"


def sent_again(is_same_log: bool) -> str:
    """Say what a restore means for client apps."""
    if is_same_log:
        return "Client apps send again what the record lacks."
    return "The log has a new identity: client apps send nothing again that was answered before."


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
    folder, lock = beside / UNFINISHED, beside / f"{UNFINISHED}.lock"
    try:
        # The lock's file stays: removing it would let two commands in, one of which had opened it before.
        with locked(lock, 0, private=True):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                shutil.rmtree(folder)
    except TimeoutError:
        raise ConfigurationError(f"Another command is making a copy in {beside}. Try again once it ends.") from None


def _copied(source: Path, copy: Path) -> Path:
    try:
        copy_database(source, copy)
        leave_write_ahead_mode(copy)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailableError(f"{source} cannot be copied: {cause_of(error)}.") from error
    return copy


def _require_order(path: Path) -> None:
    with closing_engine(engine_of(path, mode="ro")) as engine:
        problems = list(problems_of(engine))
    if problems:
        raise StoreUnavailableError(f"{path.name} is not in order, so nothing was done: {' '.join(problems)}")


def _take_over(incoming: Path, replaced: Replaced | None) -> tuple[bool, int]:
    """Bring a restored file up to date with the schema and with the replaced one, as ``take_place`` does."""
    with closing(PredictionStore(open_database(URL.create("sqlite", database=str(incoming))))) as store:
        return store.take_place(replaced, datetime.now(UTC))


def _told_by(replaced: Path) -> Replaced | None:
    """Return which log a file has, and what was erased from it; ``None`` if it is damaged or not there.

    Only this is read, so that damage elsewhere in the file does not matter.
    """
    # Writable, because SQLite takes back first what a killed server left half written.
    with suppress(sqlite3.Error), closing(sqlite3.connect(f"{replaced.absolute().as_uri()}?mode=rw", uri=True)) as file:
        erased = {(client_id, request_id): name for client_id, request_id, name in file.execute(_TOMBSTONES)}
        for log_id, epoch in file.execute("SELECT log_id, epoch FROM change_counter"):
            return Replaced(log_id, epoch, erased)
    return None


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
