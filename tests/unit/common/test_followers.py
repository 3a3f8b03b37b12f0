"""Followers of a log: one answer for each question, and none who asks without having read."""

import threading
from collections.abc import Mapping
from typing import Any, NoReturn

import orjson
import pytest

from common.access.accounts import Account
from common.access.roles import Role
from common.access.sessions import Session
from common.errors import (
    DetectionSystemError,
    RateLimitedError,
    ReplacedConnectionError,
    StoreUnavailableError,
)
from common.followers import ALL, Followers, Peer
from common.messages import Event, Follow, Message
from common.web.door import Connection
from tests.support.clock import StoppedClock
from tests.support.small_app import ListLog
from tests.support.waiting import WAIT_SECONDS, wait_until

PERSON = Session("session", Account("a", "Ada", Role.OPERATOR, 0), 0, 1, 0, "192.0.2.1")


class Told(Message):
    """A status of one word."""

    word: str


class Group:
    """Followers without threads of their own: ``tick`` does what they would do."""

    def __init__(self, reload_beyond: int | None = None) -> None:
        self.clock = StoppedClock(100.0)
        self.log = ListLog()
        self.sent: list[tuple[str, str, Any]] = []
        self.left: list[str] = []
        self.followers = Followers(
            self.log,
            status=lambda: Told(word="ready"),
            reload_beyond=reload_beyond,
            send=self.note,
            leave=self.leave,
            is_open=lambda _: True,
            clock=self.clock,
        )
        self.followers.start = lambda: None  # type: ignore[method-assign]

    def note(self, sid: str, event: str, message: Mapping[str, Any]) -> None:
        self.sent.append((sid, event, orjson.loads(orjson.dumps(message))))

    def leave(self, sid: str) -> None:
        self.left.append(sid)
        self.followers.gone(sid)

    def join(self, sid: str = "one", scope: str = ALL, session: Session | None = None) -> Connection:
        connection = Connection("identity", "192.0.2.1", None)
        client_id = None if session else "Client-1"
        self.followers.join(sid, Peer(client_id, session, "192.0.2.1", connection), scope)
        return connection

    def ask(self, sid: str = "one", *, log: str | None = "one.0", after: int = 0, ticket: str | None = None) -> None:
        self.followers.follow(sid, Follow(log=log, after=after, ticket=ticket))
        self.followers.look()

    def answer(self) -> Any:
        """Take the one answer that was sent."""
        ((_, _, message),) = self.sent
        self.sent.clear()
        return message

    def tick(self, seconds: float = 0.0) -> None:
        self.clock.now += seconds
        self.followers.look()
        self.followers.sweep()

    def say(self, *said: str, to: str = "Client-1") -> None:
        self.log.entries.extend((to, one) for one in said)


@pytest.fixture
def group() -> Group:
    return Group()


def test_the_first_question_is_answered_at_once_and_the_next_when_there_is_something(group: Group) -> None:
    group.join()
    group.ask()
    first = group.answer()
    assert (first["after"], first["next_after"], first["entries"]) == (0, 0, [])
    assert first["status"] == {"word": "ready"}
    group.ask(ticket=first["ticket"])
    group.tick(19.9)
    assert group.sent == []
    group.tick(0.2)
    first = group.answer()
    assert first["entries"] == []
    group.ask(ticket=first["ticket"])
    group.say("a", "b")
    group.tick()
    second = group.answer()
    assert [entry["said"] for entry in second["entries"]] == ["a", "b"]
    assert second["next_after"] == 2
    assert second["status"] is None
    assert second["ticket"] != first["ticket"]


@pytest.mark.parametrize("ticket", [None, "another", "the last"])
def test_who_asks_without_a_ticket_of_its_own_is_closed(group: Group, ticket: str | None) -> None:
    connection = group.join()
    group.ask()
    last = group.answer()["ticket"]
    if ticket == "the last":
        group.ask(ticket=last)
    group.ask(ticket=last if ticket == "the last" else ticket)
    ((_, event, closing),) = group.sent
    assert (event, closing["reason"]["code"]) == (Event.CLOSING, "unread_answer")
    assert connection.ends_at is not None
    group.tick(0.6)
    assert group.left == ["one"]


@pytest.mark.parametrize(("log", "after"), [("another.0", 1), ("one.0", 7)])
def test_a_log_that_was_replaced_is_read_from_its_beginning(group: Group, log: str, after: int) -> None:
    group.say("a", "b")
    group.join()
    group.ask(log=log, after=after)
    answer = group.answer()
    assert (answer["log"], answer["after"], answer["next_after"]) == ("one.0", 0, 2)
    group.ask(after=2, ticket=answer["ticket"])
    assert group.sent == []
    group.log.name = "one.1"
    group.tick()
    answer = group.answer()
    assert (answer["log"], answer["after"], len(answer["entries"])) == ("one.1", 0, 2)


def test_who_is_far_behind_is_told_to_reload() -> None:
    group = Group(reload_beyond=10)
    group.say(*map(str, range(11)))
    group.join()
    group.ask(after=1)
    assert len(group.answer()["entries"]) == 10
    group.join("two")
    group.ask("two")
    ((_, event, message),) = group.sent
    assert event == Event.RELOAD
    assert set(message) == {"log", "ticket"}


def test_who_may_see_little_moves_on_without_being_told(group: Group) -> None:
    group.join(scope="Client-1")
    group.ask()
    group.ask(ticket=group.answer()["ticket"])
    group.say("of another", to="Client-2")
    group.tick()
    assert group.sent == []
    group.say("mine")
    group.tick()
    answer = group.answer()
    assert (answer["after"], answer["next_after"]) == (0, 2)
    assert [entry["said"] for entry in answer["entries"]] == ["mine"]


def test_nothing_that_was_erased_is_told_from_what_was_kept(group: Group) -> None:
    group.say("a patient")
    for sid in ("one", "two"):
        group.join(sid)
    group.ask("one")
    assert group.answer()["entries"][0]["said"] == "a patient"
    group.log.entries[0] = ("Client-1", None)
    group.log.generation += 1
    group.ask("two")
    assert group.answer()["entries"][0]["said"] is None


def test_who_may_not_stay_is_closed_though_each_read_hangs(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does where the database is cut off in the middle of a statement: of the log, and of the sessions."""
    hanging, goes_on = set[str](), threading.Event()

    def hang(what: str) -> NoReturn:
        hanging.add(what)
        goes_on.wait(WAIT_SECONDS)
        raise StoreUnavailableError

    def refuse() -> None:
        raise StoreUnavailableError

    monkeypatch.setattr(group.log, "read", lambda _after, _scope: hang("log"))
    group.followers.is_open = lambda _: hang("sessions")
    del group.followers.start  # it has its threads
    group.join()
    group.join("two", session=PERSON)
    group.followers.follow("one", Follow(log=None, after=0, ticket=None))
    wait_until(lambda: hanging == {"log", "sessions"})
    group.followers.check = refuse
    wait_until(
        lambda: sorted((sid, event) for sid, event, _ in group.sent) == [("one", Event.CLOSING), ("two", Event.CLOSING)]
    )
    goes_on.set()
    group.followers.stop()


def test_an_event_over_a_closed_connection_is_refused_for_now(group: Group) -> None:
    group.join()
    group.followers.close("one", ReplacedConnectionError())
    for sid in ("one", "nobody"):
        with pytest.raises(DetectionSystemError) as raised:
            group.followers.require(sid)
        assert raised.value.retryable


def test_too_many_events_in_a_second_close_the_connection(group: Group) -> None:
    group.followers.events_per_second = 5
    group.join()
    for _ in range(3):
        group.clock.now += 1
        for _ in range(5):
            group.followers.require("one")
    with pytest.raises(RateLimitedError):
        group.followers.require("one")
    assert [event for _, event, _ in group.sent] == [Event.CLOSING]


def test_a_connection_that_ended_unheard_is_forgotten(group: Group) -> None:
    connection = group.join()
    connection.has_ended = True
    group.tick(0.5)
    assert group.left == ["one"]
    assert len(group.followers) == 0


def test_who_has_read_more_at_another_server_waits_until_this_one_has_looked(group: Group) -> None:
    group.say("a", "b")
    group.join()
    group.log.fails = True
    group.ask(after=3)
    group.tick(1)
    assert group.sent == []
    group.log.fails = False
    group.say("c")
    group.tick()
    answer = group.answer()
    assert (answer["after"], answer["next_after"], answer["entries"]) == (3, 3, [])
