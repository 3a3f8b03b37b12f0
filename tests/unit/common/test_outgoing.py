"""What waits on a connection: bounded, newest first where that is enough, and known to stall."""

import queue

import pytest
from engineio.packet import MESSAGE, Packet

from common.web.green_websockets import _unmask
from common.web.outgoing import Bounds, Outgoing
from common.web.packets import BrokenProtocolError, CheckedPacket
from tests.support.clock import StoppedClock

CHANGES = '2/operators,["changes"'


def message(text: str) -> Packet:
    return Packet(MESSAGE, text)


def texts(outgoing: Outgoing) -> list[str]:
    return [packet.data for packet in outgoing.take(0)]


def test_packets_are_taken_in_order_a_few_at_a_time_and_none_at_the_end() -> None:
    outgoing = Outgoing(Bounds(1_000_000))
    for number in range(20):
        outgoing.put(message(str(number)))
    outgoing.put(None)
    outgoing.put(message("too late"))
    assert texts(outgoing) == [str(number) for number in range(16)]
    assert not outgoing.has_ended.is_set()
    assert texts(outgoing) == ["16", "17", "18", "19"]
    assert texts(outgoing) == []
    assert outgoing.has_ended.is_set()


def test_nobody_waits_longer_than_asked_for_a_packet() -> None:
    with pytest.raises(queue.Empty):
        Outgoing(Bounds(1000)).take(0)


def test_nothing_is_kept_beyond_the_bound_nor_after_it_was_reached() -> None:
    outgoing = Outgoing(Bounds(10_000))
    for _ in range(100):
        outgoing.put(message("x" * 500))
        assert outgoing.waiting_bytes <= 10_000
    assert outgoing.is_full
    outgoing.put(message("small"))
    assert outgoing.waiting_bytes == 0


def test_many_empty_packets_are_no_way_around_the_bound() -> None:
    outgoing = Outgoing(Bounds(10_000))
    for _ in range(100):
        outgoing.put(message(""))
    assert outgoing.is_full


def test_a_slow_reader_gets_only_the_newest_changes_and_all_else() -> None:
    outgoing = Outgoing(Bounds(40_000, (CHANGES,)))
    for number in range(100):
        outgoing.put(message(f'{CHANGES},{number},"{"x" * 3000}"]'))
        if number % 10 == 0:
            outgoing.put(message(f"status {number}"))
    left = texts(outgoing)
    while outgoing.waiting_bytes:
        left += texts(outgoing)
    assert not outgoing.is_full
    assert [text for text in left if text.startswith("status")] == [f"status {number}" for number in range(0, 100, 10)]
    changes = [int(text.split(",")[2]) for text in left if text.startswith(CHANGES)]
    assert changes[-1] == 99
    assert len(changes) <= 5


def test_a_reader_stalls_while_something_waits_and_nothing_is_taken() -> None:
    clock = StoppedClock(0)
    outgoing = Outgoing(Bounds(10_000), clock)
    clock.now += 100
    assert outgoing.stalled_for() == 0
    outgoing.put(message("one"))
    clock.now += 7
    assert outgoing.stalled_for() == 7
    outgoing.take(0)
    clock.now += 3
    assert outgoing.stalled_for() == 3  # it is still being written
    with pytest.raises(queue.Empty):
        outgoing.take(0)
    clock.now += 3
    assert outgoing.stalled_for() == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2",
        "2[]",
        "2{}",
        "2null",
        "2[",
        "3",
        "4[1]",
        "7",
        "2-[1]",
        "5[1]",
        "50-[1]",
        "55-[1]",
        "5999999999999-[1]",
        "2" + "9" * 101 + "[1]",
        "2²[1]",
        "2" + "[" * 2000,
    ],
)
def test_what_is_no_packet_of_the_protocol_is_one_error(text: str) -> None:
    with pytest.raises(BrokenProtocolError):
        CheckedPacket().decode(text)


@pytest.mark.parametrize("text", ["0", '0{"a":1}', "0/clients,[1]", "1", "1/clients,", '2["a"]', "27[[]]", "31[]"])
def test_what_is_a_packet_is_taken(text: str) -> None:
    CheckedPacket().decode(text)


def test_an_attachment_that_is_text_or_stands_nowhere_breaks_the_protocol() -> None:
    for body, attachment in (
        ('["a",{"_placeholder":true,"num":0}]', "text"),
        ('["a",{"_placeholder":true,"num":9}]', b"x"),
    ):
        with pytest.raises(BrokenProtocolError):
            CheckedPacket(encoded_packet=f"51-{body}").add_attachment(attachment)


@pytest.mark.parametrize("offset", range(5))
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 1000])
def test_a_mask_is_undone_wherever_in_the_message_its_part_begins(length: int, offset: int) -> None:
    data, mask = bytes(number * 7 % 256 for number in range(length)), (1, 2, 250, 0)
    assert _unmask(data, mask, length, offset) == bytes(
        byte ^ mask[(offset + place) % 4] for place, byte in enumerate(data)
    )
