"""``python -m server.store``: what is copied, put back, checked and erased, on real files."""

import errno
import io
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import Engine

from common.access.accounts import People
from common.access.audit import AuditTrail
from common.access.file import AccessFile, access_file
from common.access.roles import Role
from common.access.sessions import Sessions
from common.errors import InternalError
from common.messages import Change, ChangeKind, WireError
from config.secrets import PROJECT_ROOT, ConfigurationError
from server.store import PredictionStore, Refusal
from server.store.__main__ import main
from server.store.backup import back_up
from server.store.database import open_database
from tests.support.made_requests import LLAMA_TEXT, NOON, prediction, request
from tests.support.recording import changes_of, stored, unfinished

MARKER = "Mrs. Marker of bed 12"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The record's file, named to the commands as to a server."""
    path = tmp_path / "server" / "predictions.sqlite"
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{path}")
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return path


@pytest.fixture
def opened(path: Path) -> Iterator[list[Engine]]:
    engines: list[Engine] = []
    yield engines
    for engine in engines:
        engine.dispose()


Fill = Callable[..., None]


def put(store: PredictionStore, *numbers: int, client_id: str = "Client-1", reference: str | None = None) -> None:
    answers = [prediction(request(number), client_id=client_id) for number in numbers]
    known = [
        answer.model_copy(
            update={"prediction_id": answer.request_id.replace("request", client_id), "patient_reference": reference}
        )
        for answer in answers
    ]
    stored(store, *known)


def as_server(path: Path, work: Callable[[PredictionStore], object]) -> None:
    """Do something with the record, and let go of it."""
    store = PredictionStore(open_database(f"sqlite:///{path}"))
    try:
        work(store)
    finally:
        store.close()


def filled(path: Path) -> None:
    """Twelve predictions of two client apps, four of one patient, one of those explained."""

    def fill(store: PredictionStore) -> None:
        put(store, 1, 2, 3)
        put(store, 4, 5, reference=MARKER)
        put(store, 1, 2, 3, client_id="Client-2")
        put(store, 4, 5, client_id="Client-2", reference=MARKER)
        put(store, 6, 7)
        explained = prediction(request(4)).model_copy(update={"prediction_id": "Client-1-4"})
        store.finish_explanation(unfinished(explained), LLAMA_TEXT, NOON)
        error = WireError.of(InternalError())
        store.append([], [Refusal("Client-1", "request-50", error)], NOON)

    as_server(path, fill)


def kept_ids(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT prediction_id FROM predictions ORDER BY sequence")]


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def test_a_backup_is_whole_and_private_though_a_server_writes_and_never_overwrites(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path)
    store = PredictionStore(open_database(f"sqlite:///{path}"))
    ended = threading.Event()

    def write() -> None:
        number = 100
        while not ended.is_set():
            put(store, number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    copy = tmp_path / "backups" / "copy.sqlite"
    copy.parent.mkdir()
    try:
        assert main(["backup", str(copy)]) == 0
    finally:
        ended.set()
        writer.join(30)
        store.close()
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert [file.name for file in copy.parent.iterdir()] == ["copy.sqlite"]
    assert set(kept_ids(copy)) <= set(kept_ids(path))
    assert main(["verify", str(copy)]) == 0
    before = copy.read_bytes()
    assert main(["backup", str(copy)]) == 1
    assert "nothing is overwritten" in capsys.readouterr().err
    assert copy.read_bytes() == before


def test_a_backup_of_what_is_not_in_order_is_no_file(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path)
    change(path, "UPDATE counts SET predictions = 40 WHERE client_id = 'Client-2'")
    assert main(["backup", str(tmp_path / "copy.sqlite")]) == 1
    assert "40 predictions of Client-2 are counted as Medium, and 5 are there" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["server"]


def test_a_record_is_restored_as_it_was_and_the_replaced_one_is_kept(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path)
    copy = tmp_path / "copy.sqlite"
    assert main(["backup", str(copy)]) == 0
    as_server(path, lambda store: put(store, 8, 9))
    assert main(["restore", str(copy)]) == 0
    assert kept_ids(path) == kept_ids(copy)
    (kept,) = path.parent.glob("predictions-replaced-*.sqlite")
    assert len(kept_ids(kept)) == 14
    assert str(kept) in capsys.readouterr().out
    assert main(["verify"]) == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_restore_leaves_people_and_their_sessions_alone_and_adds_to_the_trail(path: Path, tmp_path: Path) -> None:
    filled(path)
    assert main(["backup", str(tmp_path / "copy.sqlite")]) == 0
    file = AccessFile(access_file(tmp_path, "server"))
    sessions = Sessions(file, seconds=60, idle_seconds=60, clock=lambda: 0, fresh_seconds=0)
    key, session = sessions.begin(People(file).add("Ada", Role.OPERATOR, "her token", 0), "192.0.2.7")
    assert main(["restore", str(tmp_path / "copy.sqlite")]) == 0
    assert sessions.find(key) == session
    actions = [entry.action for entry in AuditTrail(file, clock=lambda: 0).newest(9)]
    assert actions == ["record_restored", "record_backed_up"]


def test_what_was_made_and_erased_after_the_backup_is_known_to_be_erased(path: Path, tmp_path: Path) -> None:
    filled(path)
    assert main(["backup", str(tmp_path / "copy.sqlite")]) == 0
    as_server(path, lambda store: put(store, 8))
    as_server(path, lambda store: store.erase(["Client-1-8"], NOON))
    assert main(["restore", str(tmp_path / "copy.sqlite")]) == 0
    tombstones: list[Change] = []
    as_server(path, lambda store: tombstones.extend(changes_of(store.changes(0))))
    assert [one.prediction_id for one in tombstones if one.kind == "prediction_erased"][-1:] == ["Client-1-8"]
    as_server(path, lambda store: put(store, 8))
    assert "Client-1-8" not in kept_ids(path)
    assert main(["verify"]) == 0


def log_of(path: Path) -> str:
    names: list[str] = []
    as_server(path, lambda store: names.append(store.end().log))
    return names[0]


def test_a_restored_log_is_another_one_for_its_followers_each_time(path: Path, tmp_path: Path) -> None:
    filled(path)
    copy = tmp_path / "copy.sqlite"
    main(["backup", str(copy)])
    logs = [log_of(path)]
    for _ in range(2):
        assert main(["restore", str(copy)]) == 0
        logs.append(log_of(path))
    identity = logs[0].partition(".")[0]
    assert logs == [f"{identity}.{epoch}" for epoch in range(3)]
    assert main(["verify"]) == 0


def test_where_the_replaced_file_tells_nothing_the_log_gets_a_new_identity(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path)
    copy, before = tmp_path / "copy.sqlite", log_of(path)
    main(["backup", str(copy)])
    path.write_bytes(b"not a database any more " * 1000)
    damaged = path.read_bytes()
    assert main(["verify"]) == 1
    assert "the file is damaged" in capsys.readouterr().err
    assert main(["restore", str(copy)]) == 0
    assert "erase again what was erased since the backup" in capsys.readouterr().out
    (kept,) = path.parent.glob("predictions-replaced-*.sqlite")
    assert kept.read_bytes() == damaged
    assert log_of(path).partition(".")[0] != before.partition(".")[0]
    assert main(["verify"]) == 0


def test_what_was_erased_since_the_backup_does_not_come_back_with_it(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path)
    copy = tmp_path / "copy.sqlite"
    main(["backup", str(copy)])
    main(["erase", "--patient-reference", MARKER])
    capsys.readouterr()
    assert main(["restore", str(copy)]) == 0
    assert "Erased again, as it had been since the backup: 4 predictions." in capsys.readouterr().out
    assert len(kept_ids(path)) == 8
    assert not holds(path, MARKER)
    assert main(["verify"]) == 0


def test_a_restore_waits_for_no_server_and_does_nothing_while_one_runs(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], opened: list[Engine]
) -> None:
    filled(path)
    copy = tmp_path / "copy.sqlite"
    main(["backup", str(copy)])
    opened.append(open_database(f"sqlite:///{path}"))
    before = path.read_bytes()
    assert main(["restore", str(copy)]) == 1
    assert "A server or another command uses the database. Stop it first" in capsys.readouterr().err
    assert path.read_bytes() == before
    opened.pop().dispose()
    assert main(["restore", str(copy)]) == 0


def test_a_process_that_was_killed_leaves_no_lock(path: Path, tmp_path: Path) -> None:
    filled(path)
    copy = tmp_path / "copy.sqlite"
    main(["backup", str(copy)])
    code = (
        "import os, signal; from server.store.database import open_database\n"
        f"engine = open_database('sqlite:///{path}'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, check=False)
    assert main(["restore", str(copy)]) == 0


@pytest.fixture(params=[True, False], ids=["with hard links", "without hard links"])
def hard_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has them; and one that has none, which only an administrator could mount here."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if not request.param:
        monkeypatch.setattr(os, "link", refuse)


@pytest.mark.usefixtures("hard_links")
def test_a_record_is_copied_and_put_back_with_or_without_hard_links(path: Path, tmp_path: Path) -> None:
    filled(path)
    copy = tmp_path / "backups" / "copy.sqlite"
    assert main(["backup", str(copy)]) == 0
    as_server(path, lambda store: put(store, 8, 9))
    replaced = path.read_bytes()
    assert main(["restore", str(copy)]) == 0
    assert kept_ids(path) == kept_ids(copy)
    (kept,) = path.parent.glob("predictions-replaced-*.sqlite")
    assert kept.read_bytes() == replaced
    assert [stat.S_IMODE(file.stat().st_mode) for file in (copy, kept, path)] == [0o600] * 3
    assert [file.name for file in copy.parent.iterdir()] == [copy.name]
    assert not [file for file in path.parent.iterdir() if file.is_dir()]


@pytest.mark.usefixtures("hard_links")
def test_a_file_that_comes_while_a_backup_is_made_stays(path: Path, tmp_path: Path) -> None:
    filled(path)
    copy = tmp_path / "copy.sqlite"

    def come(_done: int, _all: int) -> None:
        copy.write_text("of somebody else")

    with pytest.raises(ConfigurationError, match="nothing is overwritten"):
        back_up(path, copy, come)
    assert copy.read_text() == "of somebody else"


@pytest.mark.parametrize("command", ["backup", "restore"])
@pytest.mark.parametrize("name", ["x" * 300, "a-file/copy.sqlite", "circle/copy.sqlite"])
def test_what_the_system_refuses_is_a_sentence(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    filled(path)
    (tmp_path / "a-file").write_text("no folder")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    before = path.read_bytes()
    assert main([command, str(tmp_path / name)]) == 1
    said = capsys.readouterr().err
    assert said.endswith(".\n")
    assert said.count("\n") == 1
    assert path.read_bytes() == before


BACK_UP: Final = """
import os, pathlib, signal, sys
from server.store.backup import back_up
def on_progress(*_):
    if sys.argv[3] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    print("under way", flush=True)
    sys.stdin.readline()
back_up(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), on_progress)
"""


def backing_up(path: Path, target: Path, how: str) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", BACK_UP, str(path), str(target), how]
    return subprocess.Popen(words, cwd=PROJECT_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_what_a_killed_backup_left_is_removed_by_the_next_and_nothing_of_a_running_one(
    path: Path, tmp_path: Path
) -> None:
    filled(path)
    folder = tmp_path / "backups"
    with backing_up(path, folder / "killed.sqlite", "killed") as killed:
        assert killed.wait(60) == -signal.SIGKILL
    (left,) = (file for file in folder.iterdir() if file.is_dir())
    assert any(holds(file, MARKER) for file in left.iterdir())
    with backing_up(path, folder / "slow.sqlite", "slow") as slow:
        assert slow.stdout
        assert slow.stdout.readline() == "under way\n"
        (held,) = (file for file in folder.iterdir() if file.is_dir() and file != left)
        assert not left.exists()
        assert main(["backup", str(folder / "quick.sqlite")]) == 0
        assert held.exists()
        slow.communicate("go on\n", timeout=60)
    assert slow.returncode == 0
    assert sorted(file.name for file in folder.iterdir()) == ["quick.sqlite", "slow.sqlite"]
    assert kept_ids(folder / "slow.sqlite") == kept_ids(path)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE predictions SET body = 'no prediction' WHERE prediction_id = 'Client-1-2'",
        "UPDATE predictions SET risk_level = 'Low' WHERE prediction_id = 'Client-1-2'",
        "UPDATE predictions SET body = replace(body, 'Client-1', 'Client-2') WHERE prediction_id = 'Client-1-2'",
        "UPDATE predictions SET anomaly_score = 0.1 WHERE prediction_id = 'Client-1-2'",
        "UPDATE changes SET at = '2020-01-01T00:00:00+00:00' WHERE sequence = 2",
        "UPDATE changes SET explanation = '{}' WHERE sequence = 13",
        "UPDATE changes SET client_id = 'Client-2' WHERE sequence = 2",
        "UPDATE changes SET kind = 'explanation_finished' WHERE sequence = 2",
        "DELETE FROM changes WHERE sequence = 2",
        "DELETE FROM changes WHERE sequence = 13",
        "DELETE FROM predictions WHERE prediction_id = 'Client-1-2'",
        "UPDATE change_counter SET value = 13",
        "UPDATE change_counter SET value = 20",
        "DELETE FROM change_counter",
        "INSERT INTO sequence_gaps VALUES (3, 5, '')",
        "UPDATE counts SET predictions = predictions + 1 WHERE client_id = 'Client-1'",
        "DELETE FROM counts WHERE client_id = 'Client-1'",
        "UPDATE changes SET kind = 'prediction_erased' WHERE sequence = 2",
        "UPDATE changes SET request_id = 'request-99' WHERE sequence = 2",
        "UPDATE changes SET error = NULL WHERE sequence = 14",
        "UPDATE changes SET error = '{}' WHERE sequence = 14",
        "UPDATE changes SET error = '{}' WHERE sequence = 2",
        "UPDATE changes SET prediction_id = 'Client-1-2' WHERE sequence = 14",
        "UPDATE change_counter SET erased_up_to = 3",
        "UPDATE change_counter SET log_id = 'unknown'",
        "UPDATE change_counter SET epoch = -1",
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
    assert holds(path, MARKER)
    assert holds(path, LLAMA_TEXT.text)
    assert main(["erase", "--patient-reference", MARKER, "--dry-run"]) == 0
    assert "4 predictions would be erased. Client-1: 2. Client-2: 2. Nothing was erased." in capsys.readouterr().out
    assert holds(path, MARKER)
    assert main(["erase", "--patient-reference", MARKER]) == 0
    said = capsys.readouterr()
    assert "4 predictions were erased. Client-1: 2. Client-2: 2." in said.out
    assert "Copies that were made before still hold them" in said.out
    assert "shell's history" in said.err
    assert MARKER not in said.out
    assert not holds(path, MARKER)
    assert not holds(path, LLAMA_TEXT.text)
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
    assert len(kept_ids(path)) == 10


def test_an_empty_reference_is_no_patients(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    filled(path)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert main(["erase", "--patient-reference"]) == 1
    assert "1 to 64 printable characters" in capsys.readouterr().err
    assert len(kept_ids(path)) == 12


def test_predictions_are_erased_by_age(path: Path) -> None:
    now = datetime.now(UTC)

    def fill(store: PredictionStore) -> None:
        for number, days in enumerate((40, 31, 29, 0), start=1):
            made = prediction(request(number)).model_copy(update={"made_at": now - timedelta(days=days)})
            stored(store, made)

    as_server(path, fill)
    assert main(["erase", "--older-than", "30"]) == 0
    assert kept_ids(path) == ["prediction-of-request-3", "prediction-of-request-4"]
    assert main(["verify"]) == 0


def test_the_log_tells_of_an_erasure_without_a_value(path: Path) -> None:
    filled(path)
    main(["erase", "--patient-reference", MARKER])

    def look(store: PredictionStore) -> None:
        entries = changes_of(store.changes(14))
        assert [entry.kind for entry in entries] == [ChangeKind.PREDICTION_ERASED] * 4
        assert {entry.prediction_id for entry in entries} == {"Client-1-4", "Client-1-5", "Client-2-4", "Client-2-5"}
        assert not [entry for entry in entries if entry.prediction or entry.explanation]
        assert store.end().totals.by_client == {"Client-1": 5, "Client-2": 3}

    as_server(path, look)


def test_a_database_that_is_no_file_is_left_to_its_own_tools(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://somebody@somewhere/predictions")
    assert main(["backup", "copy.sqlite"]) == 1
    assert "Back it up with pg_dump" in capsys.readouterr().err
    assert main(["restore", "copy.sqlite"]) == 1


@pytest.mark.parametrize("command", [["verify"], ["backup", "copy"], ["erase", "--older-than", "30"]])
def test_where_there_is_no_record_none_is_made(
    path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    assert main(command) == 1
    assert "There is no database" in capsys.readouterr().err
    assert not path.exists()


def test_the_command_is_called_as_the_documents_say(path: Path) -> None:
    filled(path)
    done = subprocess.run(
        [sys.executable, "-m", "server.store", "verify"],
        cwd=PROJECT_ROOT,
        env=os.environ,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("In order: 14 entries of the log")
