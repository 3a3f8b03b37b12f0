"""Opening the database of the store: a whole file, durable settings, a backup before a migration, and the migration."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, MetaData, event, insert, inspect, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateSchema

from common import sqlite
from common.errors import StoreUnavailableError
from common.file_lock import locked
from config.secrets import ConfigurationError
from config.settings import ServerSettings
from server.store import postgres
from server.store.schema import CurrentTimeline, change_counter, metadata

log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
_IN_USE: Final = (
    "A server or another command uses the database. Stop it first, and nothing is lost: client apps keep queueing."
)
_BEING_RESTORED: Final = "The database is being restored from a backup. Wait until that has ended, and start again."

_DRIVERS: Final = {"sqlite": "sqlite", **dict.fromkeys(("postgresql", "postgresql+psycopg"), "postgresql+psycopg")}
"""How an address may begin, and the driver that this program brings for it."""

RESTORE: Final = "restore a backup with: python -m server.store restore FILE"


def cause_of(error: Exception) -> str:
    """Say why a database cannot be used, and what to do."""
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, psycopg.Error):
        return postgres.cause_of(original)
    return sqlite.cause_of(error, if_damaged=RESTORE)


def database_url(settings: ServerSettings) -> URL:
    """Return where the store is, by these settings.

    Raises
    ------
    ConfigurationError
        If ``DATABASE_URL`` is no address, or one that leads elsewhere from another folder.
    """
    if settings.database_url:
        url = parsed(settings.database_url)
        # The server and the commands are started in different folders, and would not find the same file.
        if (path := file_of(url)) and not path.is_absolute():
            raise ConfigurationError(
                "DATABASE_URL must hold the whole path of the file, such as sqlite:////var/lib/predictions.sqlite."
            )
        return url
    return URL.create("sqlite", database=str(settings.data_dir / "server" / "predictions.sqlite"))


def parsed(url: str | URL) -> URL:
    """Return a database's address, with the driver that this program brings.

    Raises
    ------
    ConfigurationError
        If it is none, or of another kind of database.
    """
    try:
        address = make_url(url)
    except ArgumentError:
        raise ConfigurationError("DATABASE_URL is no database address. See .env.example.") from None
    if address.drivername not in _DRIVERS:
        raise ConfigurationError("DATABASE_URL must begin with postgresql:// or sqlite://. See .env.example.")
    return address.set(drivername=_DRIVERS[address.drivername])


def file_of(url: URL) -> Path | None:
    """Return the file of a SQLite database, ``None`` of PostgreSQL.

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


def open_database(
    url: str | URL, *, migrations: Path = MIGRATIONS, busy_seconds: float = sqlite.BUSY_SECONDS
) -> Engine:
    """Open the database, bring it to the newest schema, and return its engine; until that is disposed of, it is in use.

    Raises
    ------
    ConfigurationError
        If the address makes no sense, a newer version of this program wrote the database, or it is being restored.
    StoreUnavailableError
        If the database cannot be reached, read or written, or is damaged; a damaged file is left as it is.
    """
    address = parsed(url)
    with _opening(address, busy_seconds) as engine:
        if path := file_of(address):
            sqlite.check_whole(path)
        _migrate(engine, migrations)
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
    with _opening(url) as engine:
        current, newest = revision_of(engine), newest_revision()
        if current != newest:
            raise ConfigurationError(
                f"The database {_name(url)} has another schema ({current}) than this program's ({newest}). "
                "A server brings an older one up to date when it starts."
            )
    return engine


def revision_of(engine: Engine) -> str | None:
    """Return the revision of a database's schema, ``None`` if it has none yet."""
    with engine.connect() as connection:
        return _revision(connection)


def newest_revision() -> str | None:
    """Return the revision of this program's schema."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


@contextmanager
def begun(engine: Engine) -> Iterator[Connection]:
    """Begin a transaction; whatever fails in it with the database is a ``StoreUnavailableError``."""
    try:
        with engine.begin() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise StoreUnavailableError(f"The database cannot be used: {cause_of(error)}.") from error


def make_tables(engine: Engine, schema: str, *tables: MetaData) -> None:
    """Make what is missing of the tables of a schema of PostgreSQL; any number of servers may do so at once."""
    with begun(engine) as connection:
        postgres.migrate_alone(connection)
        if not inspect(connection).has_schema(schema):
            connection.execute(CreateSchema(schema))
        for one in tables:
            one.create_all(connection)


def in_use(database: Path, *, alone: bool) -> ExitStack:
    """Share the use of a database file; or use it alone, while another is put in its place: until this is closed.

    Raises
    ------
    ConfigurationError
        When somebody else uses it in the way that this excludes.
    """
    use = ExitStack()
    try:
        use.enter_context(locked(database.with_name(f"{database.name}.lock"), 0, shared=not alone, private=True))
    except TimeoutError:
        raise ConfigurationError(_IN_USE if alone else _BEING_RESTORED) from None
    return use


@contextmanager
def _opening(url: URL, busy_seconds: float = sqlite.BUSY_SECONDS) -> Iterator[Engine]:
    """Yield an engine, which is disposed of if opening the database fails."""
    with ExitStack() as on_failure:
        try:
            if path := file_of(url):
                sqlite.make_private(path)
                use = on_failure.enter_context(in_use(path, alone=False))
                sqlite.leave_write_ahead_mode(path)
                engine = sqlite.engine_of(path, busy_seconds)
                # The lock is the engine's: a restore waits until the last connection to the file is closed.
                event.listen(engine, "engine_disposed", lambda _: use.close())
            else:
                engine = postgres.engine_of(url)
            on_failure.callback(engine.dispose)
            yield engine
        except (OSError, sqlite3.Error, DBAPIError) as error:
            raise StoreUnavailableError(f"The database {_name(url)} cannot be used: {cause_of(error)}.") from error
        on_failure.pop_all()


def _name(url: URL) -> str:
    if not url.host:
        return str(url.database)
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)  # as people write it


def _migrate(engine: Engine, migrations: Path) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    revisions = ScriptDirectory.from_config(config)
    current, newest = revision_of(engine), revisions.get_current_head()
    if current == newest:
        return
    if current is not None:
        if current not in {known.revision for known in revisions.walk_revisions()}:
            raise ConfigurationError(
                f"The database {_name(engine.url)} was written by a newer version of this program "
                f"(schema {current}). Update the program, or give it another DATABASE_URL."
            )
        if old_file := file_of(engine.url):
            sqlite.copy_before_migration(old_file, current)
    with engine.execution_options(**sqlite.WRITE).begin() as connection:
        config.attributes["connection"] = connection
        if engine.dialect.name == "postgresql":
            postgres.migrate_alone(connection)
        # Looked at again, in the transaction that writes: two servers may have started at once.
        if _revision(connection) is None:  # a new database gets the newest schema; migrations are for older ones
            metadata.create_all(connection)
            numbers = {"id": 1, "value": 0, "erased_up_to": 0, "refused_up_to": 0, "began_after": 0, "epoch": 0}
            log_name = {"log_id": str(uuid4()), "timeline": CurrentTimeline()}
            connection.execute(insert(change_counter).values(numbers | log_name))
            command.stamp(config, "head")
        command.upgrade(config, "head")
    log.info("the database schema went from %s to %s", current or "nothing", newest)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
