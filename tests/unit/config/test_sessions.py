"""A sign-in ends by sign-out or at its deadline, and its open connections with it."""

import pytest

from config.errors import NotSignedInError
from config.web.sessions import Session, Sessions
from tests.clock import StoppedClock

HOUR = 3600.0


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock(1000.0)


@pytest.fixture
def sessions(clock: StoppedClock) -> Sessions:
    return Sessions(seconds=HOUR, clock=clock)


@pytest.fixture
def closed() -> list[str]:
    return []


def attach(sessions: Sessions, session: Session, sid: str, closed: list[str]) -> None:
    sessions.attach(sid, session, lambda: closed.append(sid))


def test_signing_out_closes_every_connection_of_the_session_and_no_other(sessions: Sessions, closed: list[str]) -> None:
    mine, another = sessions.begin(), sessions.begin()
    for sid, session in {"one": mine, "two": mine, "three": another}.items():
        attach(sessions, session, sid, closed)
    sessions.end(mine)
    assert closed == ["one", "two"]
    sessions.require_open("three")
    with pytest.raises(NotSignedInError):
        sessions.require_open("one")


def test_a_session_that_was_signed_out_opens_nothing_more(sessions: Sessions, closed: list[str]) -> None:
    session = sessions.begin()
    assert sessions.is_open(session)
    sessions.end(session)
    assert not sessions.is_open(session)
    with pytest.raises(NotSignedInError):
        attach(sessions, session, "one", closed)


def test_a_connection_ends_at_the_deadline_of_its_session(
    sessions: Sessions, clock: StoppedClock, closed: list[str]
) -> None:
    earlier = sessions.begin()
    attach(sessions, earlier, "one", closed)
    clock.now += HOUR - 1
    later = sessions.begin()
    attach(sessions, later, "two", closed)
    sessions.close_ended()
    assert closed == []
    clock.now += 1
    assert not sessions.is_open(earlier)
    with pytest.raises(NotSignedInError):
        sessions.require_open("one")
    assert closed == ["one"]
    sessions.require_open("two")


def test_a_connection_that_is_gone_is_not_closed_again(sessions: Sessions, closed: list[str]) -> None:
    session = sessions.begin()
    attach(sessions, session, "one", closed)
    sessions.detach("one")
    sessions.end(session)
    assert closed == []


def test_closing_may_tell_the_one_that_detaches(sessions: Sessions) -> None:
    session = sessions.begin()
    sessions.attach("one", session, lambda: sessions.detach("one"))
    sessions.end(session)
    with pytest.raises(NotSignedInError):
        sessions.require_open("one")
