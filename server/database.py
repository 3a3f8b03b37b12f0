"""Opening the database of the store: durable settings, a backup before a migration, and the migration itself."""

import logging
import sqlite3
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from config.errors import ConfigurationError, StoreUnavailableError

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 5
BACKUP_PAGES = 256

WRITE = {"begin": "BEGIN IMMEDIATE"}
"""Execution options of a transaction that writes; SQLite then never has to upgrade a read lock."""


def open_database(url: str | URL, *, migrations: Path = MIGRATIONS) -> Engine:
    """Open the database, bring it to the newest schema, and return its engine.

    The rollback journal is truncated, not deleted, and every commit is synchronous: SQLite does not sync the folder
    after deleting a journal, so that a loss of power could bring an answered prediction's transaction back undone.

    Raises
    ------
    ConfigurationError
        If the address makes no sense, or a newer version of this program wrote the database.
    StoreUnavailableError
        If the database cannot be reached, read or written.
    """
    with ExitStack() as on_failure:
        engine = _engine(url)
        on_failure.callback(engine.dispose)
        try:
            _migrate(engine, migrations)
        except DBAPIError as error:
            said = str(error.orig).partition("\n")[0]
            raise StoreUnavailableError(f"The database {_name(engine.url)} cannot be used: {said}.") from error
        on_failure.pop_all()
    return engine


def _engine(url: str | URL) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite_engine(parsed)
        return create_engine(parsed, pool_pre_ping=True, hide_parameters=True)
    except ArgumentError:
        raise ConfigurationError("DATABASE_URL is no database address. See .env.example.") from None
    except ModuleNotFoundError as error:
        raise ConfigurationError(f"DATABASE_URL needs the Python package {error.name}. Install it.") from None


def _sqlite_engine(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise ConfigurationError("DATABASE_URL must name a file, such as sqlite:////var/lib/predictions.sqlite.")
    _private_file(Path(str(url.database)))
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _name(url: URL) -> str:
    return url.render_as_string(hide_password=True) if url.host else str(url.database)


def _private_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreUnavailableError(f"The database {path} cannot be used: {error.strerror}.") from error


def _configure_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin below, not behind our back
    for pragma in ("journal_mode=TRUNCATE", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _migrate(engine: Engine, migrations: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    revisions = ScriptDirectory.from_config(config)
    newest = revisions.get_current_head()
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    if current == newest:
        return
    if current is not None and current not in {known.revision for known in revisions.walk_revisions()}:
        raise ConfigurationError(
            f"The database {_name(engine.url)} was written by a newer version of this program (schema {current}). "
            "Update the program, or give it another DATABASE_URL."
        )
    if current is not None and engine.dialect.name == "sqlite" and engine.url.database:
        _back_up(Path(engine.url.database), current)
    with engine.execution_options(**WRITE).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    log.info("the database schema went from %s to %s", current or "nothing", newest)


def _back_up(path: Path, revision: str) -> None:
    name = f"{path.stem}-before-migration-{revision}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.sqlite"
    copy = path.with_name(name)
    copy.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target, pages=BACKUP_PAGES)
    log.info("the database was copied to %s before its migration", name)
