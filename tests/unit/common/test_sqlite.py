"""SQLite files are taken out of write-ahead mode."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from common.sqlite import leave_write_ahead_mode


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.sqlite.BUSY_SECONDS", 0.1)
    left_in_write_ahead_mode(path := tmp_path / "some.sqlite")
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT * FROM notes").fetchone()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            leave_write_ahead_mode(path)
    leave_write_ahead_mode(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT text FROM notes").fetchall() == [("in the log",)]
    assert not path.with_name(f"{path.name}-wal").exists()
