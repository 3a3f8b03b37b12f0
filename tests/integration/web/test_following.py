"""Following over real connections: one answer for each question, to whom it belongs."""

from tests.integration.web.conftest import Join, Running, Watch


def test_the_first_question_is_answered_at_once(running: Running, join: Join, watch: Watch) -> None:
    assert join().ask_for_changes()["entries"] == []
    page = watch()
    page.ask_for_changes()
    assert page.status == {"word": "ready"}


def test_each_sees_what_it_may_and_moves_on(running: Running, join: Join, watch: Watch) -> None:
    one, other, page = join("Client-1"), join("Client-2"), watch()
    for follower in (one, other, page):
        follower.ask_for_changes()
        follower.follow()
    running.small.say("of one", to="Client-1")
    assert [entry["said"] for entry in one.next_changes()["entries"]] == ["of one"]
    assert [entry["said"] for entry in page.next_changes()["entries"]] == ["of one"]
    running.small.say("of the other", to="Client-2")
    answer = other.next_changes()
    assert [entry["said"] for entry in answer["entries"]] == ["of the other"]
    assert (answer["after"], answer["next_after"]) == (0, 2)


def test_an_event_is_acknowledged_and_comes_as_an_entry(running: Running, join: Join) -> None:
    client = join()
    client.ask_for_changes()
    assert client.predict({"a": 1}) == {"status": "accepted", "error": None}
    assert client.entry()["said"] == {"a": 1}
