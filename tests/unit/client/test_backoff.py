"""Pauses grow to their bound, differ from each other, and start again."""

from client.backoff import FIRST_PAUSE_SECONDS, Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(4.0)
    full = [FIRST_PAUSE_SECONDS, 1.0, 2.0, 4.0, 4.0, 4.0]
    for longest in full:
        assert longest / 2 <= backoff.next_pause() <= longest


def test_no_pause_is_longer_than_asked_however_often_it_failed() -> None:
    backoff = Backoff(0.1)
    assert max(backoff.next_pause() for _ in range(2000)) <= 0.1


def test_two_that_fail_together_do_not_retry_together() -> None:
    assert len({Backoff(10.0).next_pause() for _ in range(10)}) > 1


def test_after_a_success_pauses_start_from_the_shortest() -> None:
    backoff = Backoff(60.0)
    for _ in range(6):
        backoff.next_pause()
    backoff.reset()
    assert backoff.next_pause() <= FIRST_PAUSE_SECONDS
