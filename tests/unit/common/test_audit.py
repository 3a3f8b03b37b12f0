"""The audit trail: what is added stays, in order."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.access.audit import Action, Actor, AuditTrail
from common.access.file import AccessFile
from common.errors import StoreUnavailableError

OPERATOR = Actor("a1", "Ada", "operator", "127.0.0.1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "server" / "access.sqlite"


def trail_at(path: Path) -> AuditTrail:
    return AuditTrail(AccessFile(path), clock=lambda: 0)


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
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: trail.record(OPERATOR, Action.READ_HISTORY), range(20)))
    assert [one.number for one in trail.newest(100)] == list(range(20, 0, -1))


def test_an_entry_that_cannot_be_written_is_told_in_the_log_and_stops_nobody(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trail = trail_at(path)
    path.unlink()
    trail.record(OPERATOR, Action.SIGNED_IN)
    assert "signed_in was not recorded in the audit trail" in caplog.text
    with pytest.raises(StoreUnavailableError):
        trail.newest(1)
