"""Opening the database: durable, private, migrated after a backup, and a sentence for what goes wrong."""

import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from config.errors import ConfigurationError, StoreUnavailableError
from server.database import MIGRATIONS, WRITE, open_database
from server.schema import metadata
from server.store import PredictionStore

NEXT_REVISION = '''"""A later schema."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("counts", sa.Column("note", sa.String(8)))
    {more}
'''


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server" / "predictions.sqlite"


def opened(path: Path, migrations: Path = MIGRATIONS) -> Engine:
    return open_database(f"sqlite:///{path}", migrations=migrations)


@contextmanager
def opened_here(path: Path, migrations: Path = MIGRATIONS) -> Iterator[Engine]:
    """Open the database and let go of its file afterwards."""
    engine = opened(path, migrations)
    try:
        yield engine
    finally:
        engine.dispose()


def later_migrations(folder: Path, more: str = "") -> Path:
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9999_later.py").write_text(NEXT_REVISION.format(more=more))
    return folder


def pragma(engine: Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.execute(text(f"PRAGMA {name}")).scalar_one()


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_every_connection_is_as_durable_as_the_first(path: Path) -> None:
    engine = opened(path)
    for _ in range(2):
        assert pragma(engine, "journal_mode") == "truncate"
        assert pragma(engine, "synchronous") == 2  # FULL
        assert pragma(engine, "foreign_keys") == 1
        assert pragma(engine, "busy_timeout") == 5000
        engine.dispose()


def test_a_writing_transaction_locks_from_its_beginning(path: Path) -> None:
    with (
        opened_here(path) as engine,
        engine.execution_options(**WRITE).begin(),
        closing(sqlite3.connect(path, timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


def test_the_files_are_for_their_owner_alone(path: Path) -> None:
    with opened_here(path) as engine:
        PredictionStore(engine).check()
        assert mode(path.parent) == "0o700"
        assert {mode(file) for file in path.parent.iterdir()} == {"0o600"}


def test_migrating_an_empty_database_gives_the_schema_of_the_program(path: Path) -> None:
    with opened_here(path) as engine, engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_opening_again_changes_nothing_and_copies_nothing(path: Path) -> None:
    opened(path).dispose()
    before = path.read_bytes()
    opened(path).dispose()
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.glob("*before-migration*")] == []


def test_an_older_database_is_copied_before_its_migration(path: Path, tmp_path: Path) -> None:
    opened(path).dispose()
    with opened_here(path, later_migrations(tmp_path / "migrations")) as engine:
        assert "note" in {column["name"] for column in inspect(engine).get_columns("counts")}
    (copy,) = path.parent.glob("predictions-before-migration-0002-*.sqlite")
    assert mode(copy) == "0o600"
    with closing(sqlite3.connect(copy)) as old:
        assert old.execute("SELECT version_num FROM alembic_version").fetchall() == [("0002",)]
        assert "note" not in {row[1] for row in old.execute("PRAGMA table_info(counts)")}


def test_a_migration_that_fails_leaves_the_database_as_it_was(path: Path, tmp_path: Path) -> None:
    opened(path).dispose()
    broken = later_migrations(tmp_path / "migrations", more='op.execute("INSERT INTO no_such_table VALUES (1)")')
    with pytest.raises(StoreUnavailableError, match="no such table"):
        opened(path, broken)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0002",)]
        assert "note" not in {row[1] for row in connection.execute("PRAGMA table_info(counts)")}
    opened(path).dispose()


def test_a_database_of_a_newer_program_is_refused_untouched(path: Path, tmp_path: Path) -> None:
    opened(path, later_migrations(tmp_path / "migrations")).dispose()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"newer version of this program \(schema 9999\)\. Update the program"):
        opened(path)
    assert path.read_bytes() == before


def test_folders_with_a_percent_sign_in_their_name_work(tmp_path: Path) -> None:
    folder = tmp_path / "50% of it"
    with opened_here(folder / "predictions.sqlite", later_migrations(tmp_path / "mi%grations")) as engine:
        assert inspect(engine).has_table("predictions")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no address", "DATABASE_URL is no database address"),
        ("nosuchdatabase://host/name", "DATABASE_URL is no database address"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("mysql+mysqldb://host/name", "needs the Python package MySQLdb"),
    ],
)
def test_an_address_that_cannot_be_used_is_a_sentence(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        open_database(url)


def test_a_file_that_is_no_database_is_a_sentence(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("This is a text, long enough to be taken for the header of a database. " * 20)
    with pytest.raises(
        StoreUnavailableError,
        match=r"predictions\.sqlite cannot be used: the file is damaged \(file is not a database\)",
    ):
        opened(path)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailableError, match="cannot be used: File exists"):
        opened(tmp_path / "file" / "predictions.sqlite")
