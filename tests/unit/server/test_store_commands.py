"""``python -m server.store``: what is copied, put back, checked and erased, on real files."""

import errno
import io
import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from common.access.accounts import People
from common.access.audit import AuditTrail
from common.access.file import AccessFile, access_file
from common.access.roles import Role
from common.access.sessions import Sessions
from common.errors import InternalError
from common.file_lock import locked
from common.messages import WireError
from config.secrets import PROJECT_ROOT
from server.store import PredictionStore
from server.store.__main__ import main
from server.store.database import open_database
from tests.support.made_requests import LLAMA_TEXT, NOON
from tests.support.recording import erased, made, stored, unfinished

MARKER = "Mrs. Marker of bed 12"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record's file, named to the commands as to a server."""
    path = tmp_path / "server" / "predictions.sqlite"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{path}")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return path


def put(store: PredictionStore, *numbers: int, client_id: str = "Client-1", reference: str | None = None) -> None:
    stored(store, *(made(number, client_id, patient_reference=reference) for number in numbers))


def as_server(path: Path, work: Callable[[PredictionStore], object]) -> None:
    """Do something with the record, and let go of it."""
    with closing(PredictionStore(open_database(f"sqlite:///{path}"))) as store:
        work(store)


@cache
def filled_content() -> bytes:
    """Twelve predictions of two client apps, four of one patient, one of those explained, and a refused request."""

    def fill(store: PredictionStore) -> None:
        put(store, 1, 2, 3)
        put(store, 4, 5, reference=MARKER)
        put(store, 1, 2, 3, client_id="Client-2")
        put(store, 4, 5, client_id="Client-2", reference=MARKER)
        put(store, 6, 7)
        store.finish_explanation(unfinished(made(4)), LLAMA_TEXT, NOON)
        store.append([], {("Client-1", "request-50"): WireError.of(InternalError())}, NOON)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.sqlite"
        as_server(path, fill)
        return path.read_bytes()


def filled(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.touch(0o600)
    path.write_bytes(filled_content())


def kept_ids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT prediction_id FROM predictions ORDER BY sequence")]


def names_in(folder: Path) -> set[str]:
    """Name what is in a folder beside the lock of the commands, which stays there."""
    return {file.name for file in folder.iterdir()} - {".record-unfinished.lock"}


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@pytest.fixture
def copy(path: Path, tmp_path: Path) -> Path:
    """A backup of a filled record."""
    filled(path)
    copy = tmp_path / "backups" / "copy.sqlite"
    assert main(["backup", str(copy)]) == 0
    return copy


def test_a_backup_is_whole_and_private_though_a_server_runs_and_never_overwrites(
    path: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = copy.with_name("later.sqlite")
    as_server(path, lambda _: main(["backup", str(later)]))
    assert stat.S_IMODE(later.stat().st_mode) == 0o600
    assert names_in(copy.parent) == {"copy.sqlite", "later.sqlite"}
    assert kept_ids(later) == kept_ids(path)
    assert main(["verify", str(later)]) == 0
    before = later.read_bytes()
    assert main(["backup", str(later)]) == 1
    assert "nothing is overwritten" in capsys.readouterr().err
    assert later.read_bytes() == before


def test_a_backup_of_what_is_not_in_order_is_no_file(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path)
    change(path, "UPDATE counts SET predictions = 40 WHERE client_id = 'Client-2'")
    assert main(["backup", str(tmp_path / "copy.sqlite")]) == 1
    assert "counts of predictions by client app and level are wrong" in capsys.readouterr().err
    assert names_in(tmp_path) == {"server"}


@pytest.mark.parametrize("has_links", [True, False])
def test_a_record_is_restored_as_it_was_and_the_replaced_one_is_kept(
    path: Path, copy: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    """Also in write-ahead mode, and in a file system without hard links, which only an administrator could mount."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    as_server(path, lambda store: put(store, 8, 9))
    change(path, "PRAGMA journal_mode=WAL")
    replaced = path.read_bytes()
    assert main(["restore", str(copy)]) == 0
    assert kept_ids(path) == kept_ids(copy)
    (kept,) = path.parent.glob("predictions-replaced-*.sqlite")
    assert kept.read_bytes() == replaced
    assert str(kept) in capsys.readouterr().out
    assert main(["verify"]) == 0
    assert [stat.S_IMODE(file.stat().st_mode) for file in (copy, kept, path)] == [0o600] * 3


def test_a_restore_leaves_people_and_their_sessions_alone_and_adds_to_the_trail(copy: Path, tmp_path: Path) -> None:
    file = AccessFile(access_file(tmp_path, "server"))
    sessions = Sessions(file, seconds=60, idle_seconds=60, clock=lambda: 0, fresh_seconds=0)
    key, session = sessions.begin(People(file).add("Ada", Role.OPERATOR, "her token", 0), "192.0.2.7")
    assert main(["restore", str(copy)]) == 0
    assert sessions.find(key) == session
    actions = [entry.action for entry in AuditTrail(file, clock=lambda: 0).newest(9)]
    assert actions == ["record_restored", "record_backed_up"]


def test_what_was_erased_since_the_backup_does_not_come_back_whether_the_backup_has_it_or_not(
    path: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_server(path, lambda store: put(store, 8, reference=MARKER))
    main(["erase", "--patient-reference", MARKER])
    assert main(["restore", str(copy)]) == 0
    assert "Erased again, as it had been since the backup: 4 predictions." in capsys.readouterr().out
    as_server(path, lambda store: put(store, 8, reference=MARKER))
    assert len(kept_ids(path)) == 8
    assert not holds(path, MARKER)
    assert main(["verify"]) == 0


def test_who_was_erased_is_erased_under_any_prediction_id(path: Path, copy: Path) -> None:
    change(path, "UPDATE predictions SET prediction_id = 'made-anew' WHERE prediction_id = 'Client-1-4'")
    as_server(path, lambda store: erased(store, 4))
    assert main(["restore", str(copy)]) == 0
    assert "Client-1-4" not in kept_ids(path)


def log_of(path: Path) -> str:
    with closing(PredictionStore(open_database(f"sqlite:///{path}"))) as store:
        return store.end().log


def identity(log: str) -> str:
    return log.partition(".")[0]


@pytest.mark.parametrize("replaces", [True, False])
def test_a_restored_log_is_another_one_each_time_and_another_record_where_it_replaces_none_of_its_own(
    path: Path, copy: Path, capsys: pytest.CaptureFixture[str], replaces: bool
) -> None:
    """Client apps send again what it lost, and to a copy on another machine they send nothing."""
    logs = [log_of(path)]
    if not replaces:
        path.unlink()
    for _ in range(2):
        assert main(["restore", str(copy)]) == 0
        assert ("client apps send nothing again" in capsys.readouterr().out) != replaces
        logs.append(log_of(path))
    assert len(set(logs)) == 3
    assert len({identity(log) for log in logs}) == (1 if replaces else 3)
    assert main(["verify"]) == 0


def overwrite_the_file(path: Path) -> None:
    path.write_bytes(b"not a database any more " * 1000)


def overwrite_the_counter(path: Path) -> None:
    """Damage the first page of one table alone."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'change_counter'").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.parametrize("damage", [overwrite_the_file, overwrite_the_counter])
def test_where_the_replaced_file_tells_nothing_the_log_is_another_one_all_the_same(
    path: Path, copy: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None]
) -> None:
    before = log_of(path)
    damage(path)
    damaged = path.read_bytes()
    assert main(["verify"]) == 1
    assert "the file is damaged" in capsys.readouterr().err
    assert main(["restore", str(copy)]) == 0
    assert "erase again what was erased since the backup" in capsys.readouterr().out
    (kept,) = path.parent.glob("predictions-replaced-*.sqlite")
    assert kept.read_bytes() == damaged
    assert identity(log_of(path)) != identity(before)  # or a client app would send again who was erased
    assert main(["verify"]) == 0


def test_a_restore_does_nothing_while_a_server_runs_and_a_killed_one_is_none(
    path: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = path.read_bytes()
    as_server(path, lambda _: main(["restore", str(copy)]))
    assert "A server or another command uses the database. Stop it first" in capsys.readouterr().err
    assert path.read_bytes() == before
    code = (
        "import os, signal; from server.store.database import open_database\n"
        f"engine = open_database('sqlite:///{path}'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=False)
    assert (killed.returncode, main(["restore", str(copy)])) == (-9, 0)


@pytest.mark.parametrize("command", ["backup", "restore"])
@pytest.mark.parametrize("name", ["x" * 300, "a-file/copy.sqlite"])
def test_what_the_system_refuses_is_a_sentence(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    filled(path)
    (tmp_path / "a-file").write_text("no folder")
    before = path.read_bytes()
    assert main([command, str(tmp_path / name)]) == 1
    said = capsys.readouterr().err
    assert said.endswith(".\n")
    assert said.count("\n") == 1
    assert path.read_bytes() == before


def test_what_a_killed_command_left_is_removed_by_the_next_and_nothing_of_a_running_one(
    path: Path, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = copy.parent / ".record-unfinished"
    left.mkdir()
    (left / "killed.sqlite").write_bytes(path.read_bytes())
    with locked(copy.parent / ".record-unfinished.lock"):
        assert main(["backup", str(copy.with_name("another.sqlite"))]) == 1
        assert "Another command is making a copy" in capsys.readouterr().err
        assert holds(left / "killed.sqlite", MARKER)
    assert main(["backup", str(copy.with_name("another.sqlite"))]) == 0
    assert names_in(copy.parent) == {"another.sqlite", "copy.sqlite"}


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE predictions SET body = 'no prediction' WHERE prediction_id = 'Client-1-2'",
        "UPDATE predictions SET body = replace(body, 'Client-1', 'Client-2') WHERE prediction_id = 'Client-1-2'",
        "UPDATE changes SET at = '2020-01-01T00:00:00+00:00' WHERE sequence = 2",
        "UPDATE changes SET explanation = '{}' WHERE sequence = 13",
        "UPDATE changes SET client_id = 'Client-2' WHERE sequence = 2",
        "DELETE FROM changes WHERE sequence = 2",
        "DELETE FROM change_counter",
        "INSERT INTO sequence_gaps VALUES (3, 5, '')",
        "DELETE FROM predictions WHERE prediction_id = 'Client-1-2'",
        "UPDATE change_counter SET value = 20",
        "UPDATE counts SET predictions = predictions + 1 WHERE client_id = 'Client-1'",
        "UPDATE changes SET kind = 'prediction_erased' WHERE sequence = 2",
        "UPDATE changes SET error = NULL WHERE sequence = 14",
        "UPDATE changes SET error = (SELECT error FROM changes WHERE sequence = 14) WHERE sequence = 2",
        "UPDATE changes SET prediction_id = 'Client-1-2' WHERE sequence = 14",
        "UPDATE change_counter SET erased_up_to = 3",
        "UPDATE change_counter SET log_id = 'unknown'",
    ],
)
def test_every_harm_done_to_a_record_is_found_and_no_value_is_told(
    path: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    filled(path)
    assert main(["verify"]) == 0
    assert "In order: 14 entries" in capsys.readouterr().out
    change(path, harm)
    assert main(["verify"]) == 1
    said = capsys.readouterr()
    assert said.out
    assert "Not in order." in said.err
    assert MARKER not in said.out + said.err


def holds(path: Path, text: str) -> bool:
    """Tell whether a text stands in any file of the record: the database, its journal, whatever is beside it."""
    return any(text.encode() in file.read_bytes() for file in path.parent.iterdir() if "replaced" not in file.name)


def test_a_patients_predictions_are_erased_from_every_byte(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(path)
    assert main(["erase", "--patient-reference", MARKER, "--dry-run"]) == 0
    assert "4 predictions would be erased. Client-1: 2. Client-2: 2. Nothing was erased." in capsys.readouterr().out
    assert [holds(path, text) for text in (MARKER, LLAMA_TEXT.text)] == [True, True]
    assert main(["erase", "--patient-reference", MARKER]) == 0
    said = capsys.readouterr()
    assert "4 predictions were erased. Client-1: 2. Client-2: 2." in said.out
    assert "Copies that were made before still hold them" in said.out
    assert "shell's history" in said.err
    assert MARKER not in said.out
    assert [holds(path, text) for text in (MARKER, LLAMA_TEXT.text)] == [False, False]
    assert len(kept_ids(path)) == 8
    assert main(["verify"]) == 0


def test_a_reference_is_read_from_the_input_so_that_no_history_holds_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"  {MARKER} \n"))
    assert main(["erase", "--patient-reference", "--client", "Client-2"]) == 0
    said = capsys.readouterr()
    assert "2 predictions were erased. Client-2: 2." in said.out
    assert "history" not in said.err
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert main(["erase", "--patient-reference"]) == 1
    assert "1 to 64 printable characters" in capsys.readouterr().err
    assert len(kept_ids(path)) == 10


@pytest.mark.parametrize("words", [["verify"], ["backup", "copy"], ["erase", "--older-than", "30"]])
def test_where_there_is_no_record_none_is_made(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    assert main(words) == 1
    assert "There is no database" in capsys.readouterr().err
    assert not path.exists()
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@somewhere/predictions")
    for command in ("backup", "restore"):
        assert main([command, "copy.sqlite"]) == 1
        assert "Back it up with pg_dump" in capsys.readouterr().err
