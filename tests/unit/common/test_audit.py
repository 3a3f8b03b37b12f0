"""The audit trail: what is added stays, whoever else adds."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from common.access.audit import Action, Actor, AuditTrail
from common.access.file import AccessFile
from common.errors import StoreUnavailableError

OPERATOR = Actor("a1", "Ada", "operator", "127.0.0.1")


@pytest.fixture
def trail(tmp_path: Path) -> AuditTrail:
    return AuditTrail(AccessFile(tmp_path / "access.sqlite"), clock=lambda: 0)


def test_several_writers_at_once_lose_nothing(trail: AuditTrail) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: trail.record(OPERATOR, Action.READ_HISTORY), range(20)))
    assert [one.number for one in trail.newest(100)] == list(range(20, 0, -1))


def test_an_entry_that_cannot_be_written_is_told_in_the_log_and_stops_nobody(
    trail: AuditTrail, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "access.sqlite").unlink()
    trail.record(OPERATOR, Action.SIGNED_IN)
    assert "signed_in was not recorded in the audit trail" in caplog.text
    with pytest.raises(StoreUnavailableError):
        trail.newest(1)
