"""The audit trail: what is added stays, in order, and that of an earlier version is taken over once."""

import json
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from common.access.audit import Action, Actor, AuditTrail, Entry
from common.access.file import OLD_TRAIL, READ_TRAIL, AccessFile
from common.errors import StoreUnavailableError

OPERATOR = Actor("a1", "Ada", "operator", "127.0.0.1")
OLD = [
    Entry(number, f"2026-11-22T12:00:0{number}+00:00", "a1", "Ada", "operator", "192.0.2.7", "read_prediction", "p")
    for number in (1, 2, 3)
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server" / "access.sqlite"


def trail_at(path: Path) -> AuditTrail:
    return AuditTrail(AccessFile(path), clock=lambda: 0)


def leave_old_trail(path: Path) -> None:
    """Leave a trail as version 3 did, with the rest of an entry that a loss of power cut off."""
    path.parent.mkdir()
    lines = [json.dumps(asdict(entry) | {"mac": "0" * 64}) for entry in OLD]
    path.with_name(OLD_TRAIL).write_text("\n".join([*lines, '{"number":4,"at":"20']))


def test_entries_are_kept_in_order(path: Path) -> None:
    trail = trail_at(path)
    assert trail.newest(10) == []
    trail.record(OPERATOR, Action.SIGNED_IN)
    trail.record(OPERATOR, Action.READ_PREDICTION, "p1")
    newest = trail_at(path).newest(10)
    assert [(one.number, one.action, one.target, one.name) for one in newest] == [
        (2, "read_prediction", "p1", "Ada"),
        (1, "signed_in", "", "Ada"),
    ]
    assert newest[0].at == "1970-01-01T00:00:00+00:00"
    assert [one.number for one in trail.newest(1, before=2)] == [1]
    assert [one.number for one in trail.newest(1)] == [2]


def test_several_writers_at_once_lose_nothing(path: Path) -> None:
    trail = trail_at(path)

    def write() -> None:
        for _ in range(5):
            trail.record(OPERATOR, Action.READ_HISTORY)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.number for one in trail.newest(100)] == list(range(20, 0, -1))


def test_an_entry_that_cannot_be_written_is_told_in_the_log_and_stops_nobody(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trail = trail_at(path)
    path.unlink()
    trail.record(OPERATOR, Action.SIGNED_IN)
    assert "signed_in is not in the audit trail" in caplog.text
    with pytest.raises(StoreUnavailableError):
        trail.newest(1)


def test_the_trail_of_an_earlier_version_is_taken_over_and_its_file_stays(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    leave_old_trail(path)
    kept = path.with_name(OLD_TRAIL).read_bytes()
    trail = trail_at(path)
    trail.record(OPERATOR, Action.SIGNED_IN)
    newest = trail.newest(9)
    assert (newest[0].number, newest[1:]) == (4, OLD[::-1])
    assert path.with_name(READ_TRAIL).read_bytes() == kept
    assert not path.with_name(OLD_TRAIL).exists()
    assert "1 lines of it were no entries" in caplog.text
    path.with_name(READ_TRAIL).rename(path.with_name(OLD_TRAIL))  # as if the start had been cut off before
    assert trail_at(path).newest(9) == newest
