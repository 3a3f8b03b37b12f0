"""A sign-in ends by a person, by idleness or at its deadline, for good."""

from pathlib import Path

import pytest

from common.access.accounts import Account, People
from common.access.file import AccessFile
from common.access.roles import Role
from common.access.sessions import DISPLAY_SECONDS, Sessions
from common.errors import NotFoundError, NotSignedInError, StoreUnavailableError
from tests.support.clock import StoppedClock

HOUR = 3600.0
IDLE = 600.0
ADDRESS = "192.0.2.7"


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(1000.0)


@pytest.fixture
def file(tmp_path: Path) -> AccessFile:
    return AccessFile(tmp_path / "access.sqlite")


@pytest.fixture
def people(file: AccessFile) -> People:
    return People(file)


@pytest.fixture
def account(people: People) -> Account:
    return people.add("Ada", Role.OPERATOR, "a token", 0)


def sessions_of(file: AccessFile, clock: StoppedClock) -> Sessions:
    """Return sessions that ask the file each time."""
    return Sessions(file, seconds=HOUR, idle_seconds=IDLE, clock=clock, fresh_seconds=0)


@pytest.fixture
def sessions(file: AccessFile, clock: StoppedClock) -> Sessions:
    return sessions_of(file, clock)


def test_a_session_survives_a_restart_and_its_end_does_too(
    sessions: Sessions, account: Account, file: AccessFile, clock: StoppedClock, tmp_path: Path
) -> None:
    (stays, session), (over, ended) = sessions.begin(account, ADDRESS), sessions.begin(account, ADDRESS)
    sessions.end(ended)
    with pytest.raises(NotFoundError):
        sessions.of(ended.public_id)
    clock.now += IDLE - 1
    sessions.touch(session)
    clock.now += IDLE - 1
    for asked in (sessions, sessions_of(file, clock)):
        assert asked.find(over) is None
        assert asked.find(stays)
        assert asked.of(session.public_id).id == session.id
    kept = (tmp_path / "access.sqlite").read_bytes()
    assert session.id.encode() in kept
    assert stays.encode() not in kept


@pytest.mark.parametrize(("role", "seconds"), [(Role.OPERATOR, HOUR), (Role.DISPLAY, DISPLAY_SECONDS)])
def test_a_session_ends_at_its_deadline_and_a_displays_not_before(
    sessions: Sessions, people: People, clock: StoppedClock, role: Role, seconds: float
) -> None:
    key, session = sessions.begin(people.add("Bob", role, "his token", 0), ADDRESS)
    for _ in range(7 if role is Role.OPERATOR else 0):
        clock.now += IDLE - 100
        sessions.touch(session)
    here = sessions.find(key)
    assert here is not None
    assert sessions.time_left(here) == (1000.0 + seconds - clock.now, False)
    clock.now = 1000.0 + seconds - 1
    assert sessions.is_open(session)
    clock.now += 1
    sessions.touch(session)
    assert not sessions.is_open(session)


def test_no_session_begins_with_what_was_revoked_a_moment_ago(
    sessions: Sessions, account: Account, people: People
) -> None:
    """The account was read, and is changed before its session is written."""
    people.give_link(account, "another token")
    with pytest.raises(NotSignedInError):
        sessions.begin(account, ADDRESS)
    assert sessions.all() == []


def test_an_end_that_cannot_be_written_is_an_end_all_the_same(
    sessions: Sessions, account: Account, file: AccessFile, clock: StoppedClock, tmp_path: Path
) -> None:
    key, session = sessions.begin(account, ADDRESS)
    path = tmp_path / "access.sqlite"
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailableError):
        sessions.end(session)
    assert sessions.find(key) is None
    (tmp_path / "elsewhere").rename(path)
    assert sessions.find(key) is None
    assert sessions_of(file, clock).find(key) is None


def test_the_file_is_asked_once_however_many_are_checked(account: Account, file: AccessFile, people: People) -> None:
    """Until what is known is too old, after a second elsewhere and an hour here."""
    sessions = Sessions(file, seconds=HOUR, idle_seconds=IDLE, clock=lambda: 0, fresh_seconds=HOUR)
    _, mine = sessions.begin(account, ADDRESS)
    assert sessions.is_open(mine)
    people.revoke(account, 0)
    assert sessions.is_open(mine)
    assert not sessions_of(file, StoppedClock(0)).is_open(mine)
