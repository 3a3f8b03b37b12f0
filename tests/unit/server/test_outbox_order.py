"""Each client app's requests are taken in the order of its outbox, whichever of them were refused for now."""

import random

from common.messages import PredictRequest
from server.outbox_order import OutboxOrder
from tests.support.made_requests import request


def following(number: int, before: int) -> PredictRequest:
    return request(number).model_copy(update={"follows": before})


def test_requests_that_follow_each_other_are_taken() -> None:
    order = OutboxOrder()
    assert all(order.take("Client-1", following(number, number - 1)) for number in range(1, 5))


def test_what_follows_a_refused_request_waits_until_that_came_again() -> None:
    order = OutboxOrder()
    order.take("Client-1", following(1, 0))
    order.take("Client-1", following(2, 1))
    order.give_back("Client-1", following(2, 1))
    assert not order.take("Client-1", following(3, 2))
    assert order.take("Client-1", following(2, 0))
    assert order.take("Client-1", following(3, 2))


def test_a_request_that_never_arrived_holds_up_what_follows_it() -> None:
    order = OutboxOrder()
    assert order.take("Client-1", following(1, 0))
    assert not order.take("Client-1", following(3, 2))


def test_a_request_that_waits_no_longer_holds_up_nobody() -> None:
    order = OutboxOrder()
    order.give_back("Client-1", following(5, 4))
    assert not order.take("Client-1", following(7, 5))
    assert order.take("Client-1", following(7, 0))


def test_another_client_app_is_not_held_up() -> None:
    order = OutboxOrder()
    order.give_back("Client-1", following(1, 0))
    assert order.take("Client-2", following(1, 0))


def test_a_server_or_an_outbox_that_is_new_begins_anywhere() -> None:
    order = OutboxOrder()
    assert order.take("Client-1", following(512, 0))
    assert order.take("Client-1", following(1, 0))
    assert order.take("Client-1", following(2, 1))


def test_repeats_of_what_was_taken_hold_up_nothing() -> None:
    order = OutboxOrder()
    for number in range(1, 6):
        order.take("Client-1", following(number, number - 1))
    assert order.take("Client-1", following(2, 1))
    assert order.take("Client-1", following(6, 5))


def test_whatever_is_refused_and_resent_is_taken_in_order_and_to_the_end() -> None:
    for seed in range(200):
        assert _taken_with_random_refusals(random.Random(seed)) == list(range(1, 21))


def _taken_with_random_refusals(chance: random.Random) -> list[int]:
    """Send 20 requests, a window of 5 at a time, as a client app does that hears of refusals late."""
    order, waiting, stored = OutboxOrder(), list(range(1, 21)), list[int]()
    while waiting:
        window = [following(number, before) for before, number in zip([0, *waiting], waiting[:5], strict=False)]
        for asked in chance.sample(window, k=len(window)) if chance.random() < 0.2 else window:
            if chance.random() < 0.3:
                order.give_back("Client-1", asked)
            elif order.take("Client-1", asked) and asked.outbox_number not in stored:
                stored.append(asked.outbox_number)
        waiting = [number for number in waiting if number not in stored or chance.random() < 0.1]
    return stored
