"""SQLite files: out of write-ahead mode, and copied whole while others write."""

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from common.sqlite import check_whole, copy_database, leave_write_ahead_mode


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.sqlite"


def filled(path: Path, rows: int = 1) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")
        connection.executemany("INSERT INTO notes VALUES (?)", [("x" * 1000,)] * rows)
        connection.commit()
    return path


def count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM notes").fetchone()[0])


def left_in_write_ahead_mode(path: Path) -> None:
    """Leave a file as a process does that was killed: the last commits stand in the log beside it alone."""
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(path)) as other:
        connection.execute("PRAGMA journal_mode=WAL")
        other.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("CREATE TABLE notes (text TEXT)")
        connection.execute("INSERT INTO notes VALUES ('in the log')")
        connection.commit()
        saved = [(file, file.read_bytes()) for file in (path, path.with_name(f"{path.name}-wal"))]
    for file, content in saved:
        file.write_bytes(content)


def test_a_file_in_write_ahead_mode_is_taken_out_of_it_with_all_it_holds_unless_it_is_in_use(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.sqlite.BUSY_SECONDS", 0.1)
    left_in_write_ahead_mode(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT * FROM notes").fetchone()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            leave_write_ahead_mode(path)
    leave_write_ahead_mode(path)
    assert count(path) == 1
    assert not path.with_name(f"{path.name}-wal").exists()
    before = path.read_bytes()
    leave_write_ahead_mode(path)
    assert path.read_bytes() == before


def test_a_copy_is_whole_and_its_owners_though_others_write_all_the_time(path: Path, tmp_path: Path) -> None:
    filled(path, 5_000)
    ended, written = threading.Event(), threading.Event()

    def write() -> None:
        while not ended.is_set():
            filled(path)
            written.set()

    writer = threading.Thread(target=write)
    writer.start()
    copy = tmp_path / "copy.sqlite"
    try:
        assert written.wait(20)
        copy_database(path, copy)
    finally:
        ended.set()
        writer.join(20)
    check_whole(copy)
    assert 5_000 < count(copy) <= count(path)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600


def test_a_copy_never_takes_another_files_place_and_a_failed_one_leaves_nothing(path: Path, tmp_path: Path) -> None:
    filled(path)
    taken = tmp_path / "taken.sqlite"
    taken.write_text("mine")
    with pytest.raises(FileExistsError):
        copy_database(path, taken)
    assert taken.read_text() == "mine"
    path.write_bytes(b"no database " * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        copy_database(path, tmp_path / "copy.sqlite")
    assert not (tmp_path / "copy.sqlite").exists()
