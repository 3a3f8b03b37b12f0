"""A sign-in ends by a person, by idleness or at its deadline, for good."""

from pathlib import Path

import pytest

from common.access.accounts import Account, People
from common.access.file import AccessFile
from common.access.roles import Role
from common.access.sessions import ACTIVE_SECONDS, DISPLAY_SECONDS, Session, Sessions
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


def begin(sessions: Sessions, account: Account) -> Session:
    _, session = sessions.begin(account, ADDRESS)
    return session


def test_a_session_that_was_signed_out_is_none_and_no_other_ends(sessions: Sessions, account: Account) -> None:
    (key, session), (another, _) = sessions.begin(account, ADDRESS), sessions.begin(account, ADDRESS)
    assert sessions.find(key) == session
    sessions.end(session)
    assert sessions.find(key) is None
    assert not sessions.is_open(session)
    assert sessions.find(another)


def test_a_session_survives_a_restart_and_its_end_does_too(
    sessions: Sessions, account: Account, file: AccessFile, clock: StoppedClock
) -> None:
    (stays, session), (over, ended) = sessions.begin(account, ADDRESS), sessions.begin(account, ADDRESS)
    sessions.end(ended)
    restarted = sessions_of(file, clock)
    assert restarted.find(stays) == session
    assert restarted.find(over) is None


def test_nothing_in_the_file_is_a_key_or_a_token(sessions: Sessions, account: Account, tmp_path: Path) -> None:
    key, session = sessions.begin(account, ADDRESS)
    kept = (tmp_path / "access.sqlite").read_bytes()
    assert session.id.encode() in kept
    assert key.encode() not in kept
    assert b"a token" not in kept


def test_a_session_ends_at_its_deadline(sessions: Sessions, account: Account, clock: StoppedClock) -> None:
    earlier = begin(sessions, account)
    for _ in range(7):
        clock.now += IDLE - 100
        sessions.touch(earlier)
    later = begin(sessions, account)
    assert sessions.is_open(earlier)
    clock.now = 1000.0 + HOUR
    sessions.touch(earlier)
    assert not sessions.is_open(earlier)
    assert sessions.is_open(later)


def test_a_session_ends_when_nobody_is_there(sessions: Sessions, account: Account, clock: StoppedClock) -> None:
    idle, active = begin(sessions, account), begin(sessions, account)
    clock.now += IDLE - 1
    sessions.touch(active)
    clock.now += 1
    sessions.touch(idle)  # too late
    assert not sessions.is_open(idle)
    assert [one.id for one in sessions.all()] == [active.id]


def test_a_display_stays_though_nobody_is_there(sessions: Sessions, people: People, clock: StoppedClock) -> None:
    display = begin(sessions, people.add("Wall", Role.DISPLAY, "its token", 0))
    clock.now += DISPLAY_SECONDS - 1
    assert sessions.is_open(display)
    clock.now += 1
    assert not sessions.is_open(display)


def test_what_a_person_did_last_is_known_after_a_restart(
    sessions: Sessions, account: Account, file: AccessFile, clock: StoppedClock
) -> None:
    session = begin(sessions, account)
    clock.now += IDLE - 1
    sessions.touch(session)
    clock.now += IDLE - 1
    assert sessions_of(file, clock).is_open(session)


@pytest.mark.parametrize("change", ["revoke", "renew", "set_password"])
def test_a_change_of_the_account_ends_its_sessions_and_no_other(
    sessions: Sessions, account: Account, people: People, change: str
) -> None:
    mine, another = begin(sessions, account), begin(sessions, people.add("Bob", Role.OPERATOR, "his token", 0))
    changes = {
        "revoke": lambda: people.revoke(account, 0),
        "renew": lambda: people.give_link(account, "another token"),
        "set_password": lambda: people.set_password(account, "its hash"),
    }
    changes[change]()
    assert not sessions.is_open(mine)
    assert sessions.is_open(another)


def test_no_session_begins_with_what_was_revoked_a_moment_ago(
    sessions: Sessions, account: Account, people: People
) -> None:
    """The account was read, and is changed before its session is written."""
    people.give_link(account, "another token")
    with pytest.raises(NotSignedInError):
        sessions.begin(account, ADDRESS)
    assert sessions.all() == []


def test_a_session_is_found_by_what_the_list_shows(sessions: Sessions, account: Account) -> None:
    session = begin(sessions, account)
    assert sessions.of(session.public_id).id == session.id
    sessions.end(session)
    with pytest.raises(NotFoundError):
        sessions.of(session.public_id)


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
    mine = begin(sessions, account)
    assert sessions.is_open(mine)
    people.revoke(account, 0)
    assert sessions.is_open(mine)
    assert not sessions_of(file, StoppedClock(0)).is_open(mine)


def test_activity_a_moment_later_is_not_written_again(
    sessions: Sessions, account: Account, clock: StoppedClock
) -> None:
    session = begin(sessions, account)
    clock.now += ACTIVE_SECONDS - 1
    sessions.touch(session)
    assert sessions.all()[0].last_active_at == session.last_active_at
    clock.now += 1
    sessions.touch(session)
    assert sessions.all()[0].last_active_at == clock.now
