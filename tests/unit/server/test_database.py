"""Opening the database: durable, private, migrated after a backup, and a sentence for what goes wrong."""

import shutil
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, select

from common.errors import StoreUnavailableError
from common.messages import Prediction, PredictRequest
from common.sqlite import WRITE
from config.secrets import PROJECT_ROOT, ConfigurationError
from config.settings import ServerSettings
from server.predictions import Job
from server.store import PredictionStore
from server.store.backup import closing_engine, restore
from server.store.database import MIGRATIONS, database_url, open_database
from server.store.schema import metadata, predictions
from server.store.verification import problems_of
from tests.support import version_3
from tests.support.recording import awaiting, changes_of

NEXT_REVISION = '''"""A later schema."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("counts", sa.Column("note", sa.String(8)))
    {more}
'''


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server" / "predictions.sqlite"


def opened(path: Path, migrations: Path = MIGRATIONS) -> Engine:
    return open_database(f"sqlite:///{path}", migrations=migrations)


def later_migrations(folder: Path, more: str = "") -> Path:
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "9999_later.py").write_text(NEXT_REVISION.format(more=more))
    return folder


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_a_new_database_is_its_owners_alone_and_locked_by_who_writes(path: Path) -> None:
    with closing_engine(opened(path)) as engine:
        PredictionStore(engine).check()
        assert mode(path.parent) == "0o700"
        assert {mode(file) for file in path.parent.iterdir()} == {"0o600"}
        with (
            engine.execution_options(**WRITE).begin(),
            closing(sqlite3.connect(path, timeout=0)) as other,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            other.execute("BEGIN IMMEDIATE")


def columns(connection: sqlite3.Connection) -> set[str]:
    return {row[1] for row in connection.execute("PRAGMA table_info(counts)")}


def test_an_older_database_is_copied_before_its_migration(path: Path, tmp_path: Path) -> None:
    opened(path).dispose()
    before = path.read_bytes()
    opened(path).dispose()
    assert path.read_bytes() == before  # opening again changes nothing and copies nothing
    opened(path, later_migrations(tmp_path / "mi%grations")).dispose()
    (copy,) = path.parent.glob("predictions-before-migration-0006-*.sqlite")
    assert mode(copy) == "0o600"
    with closing(sqlite3.connect(copy)) as old, closing(sqlite3.connect(path)) as new:
        assert old.execute("SELECT version_num FROM alembic_version").fetchall() == [("0006",)]
        assert columns(new) - columns(old) == {"note"}


def test_a_migration_that_fails_leaves_the_database_as_it_was(path: Path, tmp_path: Path) -> None:
    opened(path).dispose()
    broken = later_migrations(tmp_path / "migrations", more='op.execute("INSERT INTO no_such_table VALUES (1)")')
    with pytest.raises(StoreUnavailableError, match="no such table"):
        opened(path, broken)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0006",)]
        assert "note" not in columns(connection)
    opened(path).dispose()


def test_a_database_of_a_newer_program_is_refused_untouched(path: Path, tmp_path: Path) -> None:
    opened(path, later_migrations(tmp_path / "migrations")).dispose()
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"newer version.*\(schema 9999\)\. Update the program"):
        opened(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no address", "DATABASE_URL is no database address"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("mysql+mysqldb://host/name", "must begin with postgresql:// or sqlite://"),
    ],
)
def test_an_address_that_cannot_be_used_is_a_sentence(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        open_database(url)


def test_a_file_that_every_folder_would_have_another_of_is_refused() -> None:
    settings = ServerSettings.model_validate({"database_url": "sqlite:///record.sqlite"})
    with pytest.raises(ConfigurationError, match="must hold the whole path of the file, such as sqlite:////"):
        database_url(settings)


def test_a_migration_states_its_own_tables() -> None:
    """Whatever becomes of the schema later, an older record is brought up in the same steps."""
    assert [file.name for file in MIGRATIONS.glob("versions/*.py") if "server.store" in file.read_text()] == []


def of_version_3(folder: Path) -> Path:
    version_3.restore(folder)
    return folder / ".local" / "server" / "predictions.sqlite"


def without_what_went(message: Any) -> Any:
    """Return a message of version 3 without the fields that this version no longer has."""
    gone = {"outbox_number", "first_sentence_ms", "measures"}
    if not isinstance(message, dict):
        return message
    return {name: without_what_went(value) for name, value in message.items() if name not in gone}


def test_a_record_of_version_3_loses_nothing(tmp_path: Path) -> None:
    told = version_3.expected()
    with closing_engine(opened(of_version_3(tmp_path))) as engine, engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        connection.rollback()
        assert list(problems_of(engine)) == []
        store = PredictionStore(engine)
        end, kept = store.recent(500)
        assert (end.after, end.totals.to_wire()) == (told["cursor"], told["totals"])
        for item, old in zip(kept, told["predictions"], strict=True):
            assert item["sequence"] == old["sequence"]
            expected = Prediction.model_validate(without_what_went(old["prediction"]))
            assert Prediction.model_validate(item["prediction"]) == expected
            assert item["explanation"] == without_what_went(old["explanation"])
        for reader, entries in told["changes"].items():
            read = changes_of(store.changes(0, client_id=None if reader == "operators" else reader))
            of_now = [
                entry.model_dump(mode="json", exclude={"error", "request_id", "prediction", "superseded_by"})
                for entry in read
            ]
            old_ones = [{name: value for name, value in entry.items() if name != "prediction"} for entry in entries]
            assert of_now == [without_what_went(entry) for entry in old_ones]
            ids = {entry.prediction_id: entry.request_id for entry in read if entry.prediction}
            old_predictions = [entry["prediction"] for entry in entries if entry["prediction"]]
            assert ids == {one["prediction_id"]: one["request_id"] for one in old_predictions}
        erased = {entry.request_id for entry in changes_of(store.changes(0)) if entry.kind == "prediction_erased"}
        assert erased == {"erased-1", "erased-2"}
        assert awaiting(store) == {"awaiting-1", "queued-1"}
    (copy,) = (tmp_path / ".local" / "server").glob("predictions-before-migration-0002-*.sqlite")
    assert mode(copy) == "0o600"


def test_a_record_of_the_first_schema_becomes_one_of_now(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((PROJECT_ROOT / "tests/support/record_of_schema_0001.sql").read_text())
    with closing_engine(opened(path)) as engine, engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        connection.rollback()
        assert list(problems_of(engine)) == []
        assert [entry.kind for entry in changes_of(PredictionStore(engine).changes(0))] == [
            "prediction_made",
            "explanation_finished",
        ]


def test_a_request_of_version_3_that_comes_again_is_known(tmp_path: Path) -> None:
    (old,) = (one for one in version_3.expected()["predictions"] if one["prediction"]["request_id"] == "made-1")
    asked = {name: value for name, value in old["prediction"].items() if name in PredictRequest.model_fields}
    job = Job(PredictRequest.model_validate(asked), old["prediction"]["client_id"], 0.0)
    with closing_engine(opened(of_version_3(tmp_path))) as engine, engine.connect() as connection:
        kept = select(predictions.c.request_digest).where(predictions.c.request_id == "made-1")
        assert connection.execute(kept).scalar_one() == job.digest


def test_a_backup_of_version_3_can_be_put_back(tmp_path: Path) -> None:
    path, copy = of_version_3(tmp_path), tmp_path / "copy.sqlite"
    shutil.copy(path, copy)
    opened(path).dispose()
    *_, said = restore(copy, path)
    assert "is kept as" in said
    with closing_engine(opened(path)) as engine:
        assert list(problems_of(engine)) == []


def test_a_damaged_page_stops_a_start_and_the_file_is_left_as_it_is(path: Path) -> None:
    opened(path).dispose()
    content = bytearray(path.read_bytes())
    content[8 * 4096 : 9 * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(StoreUnavailableError, match=r"is damaged .* restore a backup with: python -m server\.store"):
        opened(path)
    assert path.read_bytes() == bytes(content)
