"""The order of each client app's outbox, kept through refusals and repeats."""

import threading
from collections import defaultdict

from common.messages import PredictRequest


class OutboxOrder:
    """Knows how far each client app's requests were taken in their order.

    A request names the one before it that still waits in its outbox, and is taken only when that one was. So whoever
    was refused for now holds up those behind it until it comes again, and what no longer waits holds up nobody: the
    client app then names another one, or none. A link, an outbox or a server that is new needs no agreement.
    """

    def __init__(self) -> None:
        self._taken_up_to: defaultdict[str, int] = defaultdict(int)
        self._lock = threading.Lock()

    def take(self, client_id: str, request: PredictRequest) -> bool:
        """Take a request if it is its turn; tell whether it was."""
        with self._lock:
            if request.follows > self._taken_up_to[client_id]:
                return False
            self._taken_up_to[client_id] = max(self._taken_up_to[client_id], request.outbox_number)
        return True

    def give_back(self, client_id: str, request: PredictRequest) -> None:
        """Note that a request was refused for now: those that follow it have to wait for it again."""
        with self._lock:
            self._taken_up_to[client_id] = min(self._taken_up_to[client_id], request.outbox_number - 1)
