"""Opening the database of the store: a whole file, durable settings, a backup before a migration, and the migration."""

import logging
import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from common.errors import StoreUnavailableError
from common.sqlite import (
    BUSY_SECONDS,
    check_whole,
    copy_before_migration,
    in_words,
    leave_write_ahead_mode,
    make_private,
)
from config.secrets import ConfigurationError
from config.settings import ServerSettings
from server.store.database_lock import DatabaseLock

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"

WRITE = {"begin": "BEGIN IMMEDIATE"}
"""Execution options of a transaction that writes; SQLite then never has to upgrade a read lock."""

RESTORE: Final = "restore a backup with: python -m server.store restore FILE"


def database_url(settings: ServerSettings) -> URL:
    """Return where the store is, by these settings.

    Raises
    ------
    ConfigurationError
        If ``DATABASE_URL`` is no address.
    """
    own_file = URL.create("sqlite", database=str(settings.data_dir / "server" / "predictions.sqlite"))
    return _parsed(settings.database_url) if settings.database_url else own_file


def file_of(url: URL) -> Path | None:
    """Return the file of a SQLite database, ``None`` of another kind of database.

    Raises
    ------
    ConfigurationError
        If a SQLite database is in no file.
    """
    if url.get_backend_name() != "sqlite":
        return None
    if url.database in (None, "", ":memory:"):
        raise ConfigurationError("DATABASE_URL must name a file, such as sqlite:////var/lib/predictions.sqlite.")
    return Path(str(url.database))


def open_database(url: str | URL, *, migrations: Path = MIGRATIONS, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Open the database, bring it to the newest schema, and return its engine; until that is disposed of, it is in use.

    The rollback journal is truncated, not deleted, and every commit is synchronous: SQLite does not sync the folder
    after deleting a journal, so that a loss of power could bring an answered prediction's transaction back undone. What
    is deleted is overwritten with zeros. While another program holds the file, a statement waits for ``busy_seconds``
    and then fails.

    Raises
    ------
    ConfigurationError
        If the address makes no sense, a newer version of this program wrote the database, or it is being restored.
    StoreUnavailableError
        If the database cannot be reached, read or written, or is damaged; a damaged file is left as it is.
    """
    parsed = _parsed(url)
    with ExitStack() as on_failure:
        try:
            engine = _engine(parsed, busy_seconds)
            on_failure.callback(engine.dispose)
            if path := file_of(parsed):
                check_whole(path)
            _migrate(engine, migrations)
        except (OSError, sqlite3.Error, DBAPIError) as error:
            raise StoreUnavailableError(f"The database {_name(parsed)} cannot be used: {cause_of(error)}.") from error
        on_failure.pop_all()
    return engine


def open_existing(url: URL) -> Engine:
    """Open a database that a server has made, as it is, and return its engine; its pages are not read through.

    Raises
    ------
    ConfigurationError
        If there is none, or it has another schema than this program's.
    StoreUnavailableError
        As ``open_database``.
    """
    path = file_of(url)
    if path is not None and not path.exists():
        raise ConfigurationError(f"There is no database {path}. DATA_DIR or DATABASE_URL say where it is.")
    with ExitStack() as on_failure:
        try:
            engine = _engine(url)
            on_failure.callback(engine.dispose)
            current = revision_of(engine)
        except (OSError, sqlite3.Error, DBAPIError) as error:
            raise StoreUnavailableError(f"The database {_name(url)} cannot be used: {cause_of(error)}.") from error
        if current != newest_revision():
            raise ConfigurationError(
                f"The database {_name(url)} has another schema ({current}) than this program's ({newest_revision()}). "
                "A server brings an older one up to date when it starts."
            )
        on_failure.pop_all()
    return engine


def cause_of(error: Exception) -> str:
    """Say why a database cannot be used: in SQLite's own words, which hold no value, and what to do."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        return in_words(original, if_damaged=RESTORE)
    if isinstance(original, OSError):
        return str(original.strerror)
    return type(original).__name__


def revision_of(engine: Engine) -> str | None:
    """Return the revision of a database's schema, ``None`` if it has none yet."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest_revision(migrations: Path = MIGRATIONS) -> str | None:
    """Return the revision of this program's schema."""
    return _revisions(_alembic(migrations)).get_current_head()


def _parsed(url: str | URL) -> URL:
    try:
        return make_url(url)
    except ArgumentError:
        raise ConfigurationError("DATABASE_URL is no database address. See .env.example.") from None


def _engine(url: URL, busy_seconds: float = BUSY_SECONDS) -> Engine:
    try:
        path = file_of(url)
        if path is not None:
            return _sqlite_engine(url, path, busy_seconds)
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    except ArgumentError:
        raise ConfigurationError("DATABASE_URL is no database address. See .env.example.") from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"DATABASE_URL needs the Python package {error.name}. Install it.") from None


def _sqlite_engine(url: URL, path: Path, busy_seconds: float) -> Engine:
    make_private(path)
    lock = DatabaseLock(path, alone=False)
    with ExitStack() as on_failure:
        on_failure.callback(lock.release)
        leave_write_ahead_mode(path)
        engine = create_engine(url, connect_args={"timeout": busy_seconds}, hide_parameters=True)
        on_failure.pop_all()
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "engine_disposed", lambda _: lock.release())
    return engine


def _name(url: URL) -> str:
    return url.render_as_string(hide_password=True) if url.host else str(url.database)


def _configure_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin below, not behind our back
    for pragma in ("journal_mode=TRUNCATE", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _alembic(migrations: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    return config


def _revisions(config: Config) -> ScriptDirectory:
    return ScriptDirectory.from_config(config)


def _migrate(engine: Engine, migrations: Path) -> None:
    config = _alembic(migrations)
    revisions = _revisions(config)
    current, newest = revision_of(engine), revisions.get_current_head()
    if current == newest:
        return
    if current is not None and current not in {known.revision for known in revisions.walk_revisions()}:
        raise ConfigurationError(
            f"The database {_name(engine.url)} was written by a newer version of this program (schema {current}). "
            "Update the program, or give it another DATABASE_URL."
        )
    path = file_of(engine.url)
    if current is not None and path is not None:
        copy_before_migration(path, current)
    with engine.execution_options(**WRITE).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    if current is not None and path is not None:
        write_anew(engine)
    log.info("the database schema went from %s to %s", current or "nothing", newest)


def write_anew(engine: Engine) -> None:
    """Write a SQLite file anew, so that nothing is left in it of what was deleted before deleting meant overwriting."""
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("VACUUM")
    finally:
        connection.close()
