"""The Socket.IO namespace of the clinicians' pages: it checks who speaks, writes the request down, and acknowledges."""

from collections.abc import Callable
from datetime import datetime

from flask import current_app

from client.outbox import Outbox
from client.relay import Relay
from config.messages import BROWSER_NAMESPACE, Event, Message, Queued, Submission
from config.web.realtime import Namespace, RealTime, Wire, current_sid, only_message
from config.web.sign_in import require_sign_in

CLINICIANS_ROOM = "clinicians"


class PagePublisher:
    """Tells every page whose clinician is signed in; a connection still being checked is not in the room."""

    def __init__(self, real_time: RealTime) -> None:
        self._real_time = real_time

    def __call__(self, event: Event, message: Message) -> None:
        self._real_time.emit(event, message.to_wire(), namespace=BROWSER_NAMESPACE, to=CLINICIANS_ROOM)


class PagesNamespace(Namespace):
    """Where pages submit patients and hear what became of them."""

    events = frozenset({Event.SUBMIT})

    def __init__(self, outbox: Outbox, relay: Relay, publish: PagePublisher, clock: Callable[[], datetime]) -> None:
        super().__init__(BROWSER_NAMESPACE)
        self._outbox = outbox
        self._relay = relay
        self._publish = publish
        self._clock = clock

    def on_connect(self, _auth: object = None) -> None:
        require_sign_in(current_app.config)
        sid, status = current_sid(), self._relay.status()
        self.real_time.enter_room(sid, CLINICIANS_ROOM, namespace=self.name)
        self.real_time.emit(Event.LINK_STATUS, status.to_wire(), namespace=self.name, to=sid)

    def on_submit(self, *arguments: object) -> Wire:
        submission = Submission.check(only_message(arguments))
        entry = self._outbox.put(submission, self._clock())
        self._relay.wake()
        self._publish(Event.UPDATE, entry)
        return Queued(status="queued", outbox_number=entry.outbox_number).to_wire()

    def on_disconnect(self, _reason: object = None) -> None:
        """Nothing is kept for a page: it asks for the history when it comes back."""
