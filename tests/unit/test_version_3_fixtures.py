"""What version 3 left behind opens, and says what it said when it was kept."""

import time
from pathlib import Path
from typing import Any

import pytest

from common.access.accounts import Account, People, hash_of
from common.access.file import AccessFile, access_file
from common.access.passwords import is_password
from common.access.sessions import Sessions
from tests.support.version_3 import expected, proofs, restore

GONE = {"OUTGOING_BUFFER_BYTES", "STALLED_SECONDS", "ADDRESS_EVENTS_PER_SECOND"}


@pytest.fixture(scope="module")
def told() -> Any:
    return expected()


@pytest.fixture
def local(tmp_path: Path) -> Path:
    restore(tmp_path)
    return tmp_path / ".local"


def test_who_could_sign_in_still_can_and_nobody_else(local: Path, told: Any) -> None:
    for way in told["ways_in"]:
        accounts = People(AccessFile(access_file(local, way["app"]))).all()
        in_use = [account for account in accounts if account.revoked_at is None]
        assert _signs_in(way, in_use) == way["signs_in"], way


def _signs_in(way: Any, accounts: list[Account]) -> bool:
    if "setting" in way or way["with"] == "link":
        known = proofs()
        token = known["env"][way["setting"]] if "setting" in way else known["people"][way["app"]][way["name"]]["token"]
        return hash_of(token) in {account.token_hash for account in accounts}
    password = proofs()["people"][way["app"]][way["name"]]["password"] if way["with"] == "password" else way["with"]
    (kept,) = (account.password_hash for account in accounts if account.name == way["name"])
    return is_password(kept, password)


def test_sessions_are_open_unless_they_were_ended(local: Path) -> None:
    for session in proofs()["sessions"]:
        file = AccessFile(access_file(local, session["app"]))
        sessions = Sessions(file, seconds=12 * 3600, idle_seconds=3600, clock=time.time)
        found = sessions.find(session["holds"]["key"])
        assert (found is None) == session["ended"]
        assert found is None or found.account.name == session["name"]
