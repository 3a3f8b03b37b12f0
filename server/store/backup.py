"""Copies of a SQLite database: made while it is in use, never over another file, and put back after a check."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import URL, Engine

from common.durability import move_to_free_name, sync_file
from common.errors import StoreUnavailableError
from common.file_lock import locked
from common.sqlite import copy_database, engine_of, leave_write_ahead_mode
from config.secrets import ConfigurationError, make_folder, sync_folder
from server.store.database import cause_of, in_use, open_database
from server.store.record import PredictionStore
from server.store.schema import WITHOUT_PREDICTION
from server.store.verification import problems_of

UNFINISHED: Final = ".record-unfinished"

_NEXT_EPOCH: Final = """
UPDATE change_counter SET epoch = 1 + max(change_counter.epoch, other.epoch)
FROM temp.counter_before AS other WHERE other.log_id = change_counter.log_id
"""
_READ_REPLACED: Final = (
    "CREATE TEMP TABLE counter_before AS SELECT log_id, epoch FROM replaced.change_counter",
    f"""
CREATE TEMP TABLE erased_before AS SELECT sequence, kind, prediction_id, client_id, request_id
FROM replaced.changes WHERE {WITHOUT_PREDICTION} AND kind = 'prediction_erased'
""",  # noqa: S608 - of constants
)
"""All that is read of the replaced file, which may be damaged anywhere."""
_ERASED_SINCE: Final = """
SELECT prediction_id FROM predictions AS here WHERE EXISTS (
    SELECT 1 FROM temp.erased_before AS erased
    WHERE erased.client_id = here.client_id AND erased.request_id = here.request_id
)
"""
_ENTOMB: Final = f"""
INSERT INTO changes (sequence, kind, prediction_id, client_id, request_id, at)
SELECT (SELECT value FROM change_counter) + row_number() OVER (ORDER BY erased.sequence),
    erased.kind, erased.prediction_id, erased.client_id, erased.request_id, ?
FROM temp.erased_before AS erased WHERE NOT EXISTS (
    SELECT 1 FROM changes AS here WHERE here.{WITHOUT_PREDICTION} AND here.kind = 'prediction_erased'
    AND erased.client_id = here.client_id AND erased.request_id = here.request_id
)
"""  # noqa: S608 - of constants
_COUNT_ENTOMBED: Final = "UPDATE change_counter SET value = value + ?, erased_up_to = value + ?"


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
    with _own_folder(database.parent) as folder, in_use(database, alone=True):
        incoming = _copied(backup, folder / database.name)
        erased_again = _take_over(incoming, database)
        _require_order(incoming)
        said = []
        if erased_again is None and database.exists():
            said.append("The replaced file could not be read: erase again what was erased since the backup.")
        elif erased_again:
            said.append(f"Erased again, as it had been since the backup: {in_number(erased_again)}.")
        if kept := _exchange(database, incoming):
            said.append(f"The file it replaces is kept as {kept}; delete it when you need it no more.")
        return said


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
    folder, lock = beside / UNFINISHED, beside / f"{UNFINISHED}.lock"
    try:
        with locked(lock, 0, private=True):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                shutil.rmtree(folder)
                lock.unlink()
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


def _take_over(incoming: Path, replaced: Path) -> int | None:
    """Bring a restored file up to date with the schema and with the replaced one; return how many were erased again.

    The log gets a name that it never had: the next epoch, or another where nobody knows which was the last.
    """
    now, address = datetime.now(UTC), f"{replaced.absolute().as_uri()}?mode=rw"
    with (
        closing_engine(open_database(URL.create("sqlite", database=str(incoming)))) as engine,
        closing(sqlite3.connect(incoming, uri=True)) as connection,
    ):
        erased: list[str] | None = None
        with suppress(sqlite3.Error):
            connection.execute("ATTACH ? AS replaced", [address])
            for statement in _READ_REPLACED:
                connection.execute(statement)
            erased = [row[0] for row in connection.execute(_ERASED_SINCE)]
        with connection:
            if erased is None or not connection.execute(_NEXT_EPOCH).rowcount:
                connection.execute("UPDATE change_counter SET log_id = ?", [str(uuid4())])
        if erased is None:
            return None
        number = PredictionStore(engine).erase_all(erased, now)
        with connection:
            if entombed := connection.execute(_ENTOMB, [now.isoformat()]).rowcount:
                connection.execute(_COUNT_ENTOMBED, [entombed, entombed])
    return number


def _exchange(database: Path, incoming: Path) -> Path | None:
    """Put a file in the place of another in one step, and keep that aside with what belongs to it."""
    sync_file(incoming)
    kept = None
    if database.exists():
        kept = database.with_name(f"{database.stem}-replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}{database.suffix}")
        try:
            os.link(database, kept)
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
