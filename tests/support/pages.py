"""What the pages of a client app would have been told."""

import queue
from collections.abc import Callable

from common.messages import Event, HistoryEntry, LinkStatus, Message
from tests.support.programmable_server import WAIT_SECONDS


class Pages:
    """Takes the place of the browsers at the end of ``publish`` and remembers everything, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[Event, Message]] = []
        self._news: queue.Queue[tuple[Event, Message]] = queue.Queue()

    def __call__(self, event: Event, message: Message) -> None:
        self.told.append((event, message))
        self._news.put((event, message))

    def wait_for_update(self, request_id: str, state: str = "answered") -> HistoryEntry:
        def is_it(message: Message) -> bool:
            return isinstance(message, HistoryEntry) and (message.request_id, message.state) == (request_id, state)

        message = self.wait_for(Event.UPDATE, is_it)
        assert isinstance(message, HistoryEntry)
        return message

    def wait_for_link(self, state: str) -> LinkStatus:
        message = self.wait_for(Event.LINK_STATUS, lambda news: isinstance(news, LinkStatus) and news.state == state)
        assert isinstance(message, LinkStatus)
        return message

    def wait_for_waiting(self, count: int) -> None:
        self.wait_for(Event.LINK_STATUS, lambda news: isinstance(news, LinkStatus) and news.waiting == count)

    def wait_for(self, wanted: Event, fits: Callable[[Message], bool] = lambda _: True) -> Message:
        """Return the next piece of news that fits; what came before it is passed over."""
        while True:
            event, message = self._news.get(timeout=WAIT_SECONDS)
            if event == wanted and fits(message):
                return message

    def updates(self, request_id: str) -> list[str]:
        """Return the states that were told of one request, in order."""
        return [
            message.state
            for _, message in self.told
            if isinstance(message, HistoryEntry) and message.request_id == request_id
        ]
