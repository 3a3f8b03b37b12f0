"""SQLite files: out of write-ahead mode, whole, and copied while others write."""

import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from common.sqlite import (
    cause_of,
    check_whole,
    copy_database,
    has_write_ahead_defect,
    is_write_ahead,
    leave_write_ahead_mode,
)


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


@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        ((3, 6, 23), False),
        ((3, 7, 0), True),
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((4, 0, 0), False),
    ],
)
def test_the_versions_with_the_defect_are_known(version: tuple[int, int, int], has_it: bool) -> None:
    assert has_write_ahead_defect(version) is has_it


def left_in_write_ahead_mode(path: Path) -> None:
    """Leave a file as a process does that was killed: the last commits stand in the log beside it alone."""
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(path)) as other:
        connection.execute("PRAGMA journal_mode=WAL")
        other.execute("SELECT count(*) FROM sqlite_master").fetchone()
        connection.execute("CREATE TABLE notes (text TEXT)")
        connection.execute("INSERT INTO notes VALUES ('in the log')")
        connection.commit()
        log = path.with_name(f"{path.name}-wal")
        saved = [(file, file.read_bytes()) for file in (path, log)]
    for file, content in saved:
        file.write_bytes(content)


def test_a_file_in_write_ahead_mode_is_taken_out_of_it_with_all_it_holds(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left_in_write_ahead_mode(path)
    assert is_write_ahead(path)
    leave_write_ahead_mode(path)
    assert not is_write_ahead(path)
    assert count(path) == 1
    assert not path.with_name(f"{path.name}-wal").exists()
    (said,) = caplog.messages
    assert ("can lose what was committed" in said) is has_write_ahead_defect()


def test_a_file_that_another_program_has_open_in_write_ahead_mode_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.sqlite.BUSY_SECONDS", 0.1)
    left_in_write_ahead_mode(path)
    with closing(sqlite3.connect(path)) as other:
        other.execute("SELECT * FROM notes").fetchone()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            leave_write_ahead_mode(path)
        assert is_write_ahead(path)


def test_a_file_in_the_usual_mode_is_left_as_it_is(path: Path) -> None:
    before = filled(path).read_bytes()
    leave_write_ahead_mode(path)
    assert path.read_bytes() == before


def test_a_damaged_page_is_found_and_named_and_what_to_do(path: Path) -> None:
    filled(path, 100)
    content = bytearray(path.read_bytes())
    content[4096 + 8 : 4096 + 200] = b"\xff" * 192
    path.write_bytes(content)
    with pytest.raises(sqlite3.DatabaseError) as found:
        check_whole(path)
    said = cause_of(found.value, if_damaged="restore a backup")
    assert said.startswith("the file is damaged (")
    assert said.endswith("was left as it is; restore a backup")
    assert path.read_bytes() == bytes(content)


def test_a_copy_is_whole_and_its_owners_though_others_write_all_the_time(path: Path, tmp_path: Path) -> None:
    filled(path, 5_000)
    ended, written = threading.Event(), threading.Event()

    def write() -> None:
        while not ended.is_set():
            filled(path)
            written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(20)
        heard: list[tuple[int, int]] = []
        copy = tmp_path / "copy.sqlite"
        copy_database(path, copy, lambda done, total: heard.append((done, total)))
    finally:
        ended.set()
        writer.join(20)
    check_whole(copy)
    assert 5_000 < count(copy) <= count(path)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert heard[-1][0] == heard[-1][1]


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
