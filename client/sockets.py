"""The Socket.IO namespace of the clinicians' pages: it checks who speaks, writes the request down, and acknowledges."""

from collections.abc import Callable
from datetime import datetime

from client.outbox import Outbox
from client.relay import Relay
from common.access.audit.trail import Action
from common.messages import BROWSER_NAMESPACE, Event, Message, Queued, Submission
from common.web.realtime import Namespace, RealTime, Wire, current_sid, only_message
from common.web.signed_in_room import SignedInRoom

CLINICIANS_ROOM = "clinicians"


class PagePublisher:
    """Tells every page whose clinician is signed in; a connection still being checked is not in the room."""

    def __init__(self, real_time: RealTime) -> None:
        self.clinicians = SignedInRoom(real_time, BROWSER_NAMESPACE, CLINICIANS_ROOM)

    def __call__(self, event: Event, message: Message) -> None:
        self.clinicians.emit(event, message.to_wire())


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
        self._publish.clinicians.enter()
        status = self._relay.status().to_wire()
        self.real_time.emit(Event.LINK_STATUS, status, namespace=self.name, to=current_sid())

    def on_submit(self, sid: str, *arguments: object) -> Wire:
        session = self._publish.clinicians.require_signed_in(sid)
        submission = Submission.check(only_message(arguments))
        entry = self._outbox.put(submission, self._clock())
        self._publish.clinicians.note(sid, session, Action.SUBMITTED_PATIENT, entry.request_id)
        self._relay.wake()
        self._publish(Event.UPDATE, entry)
        return Queued(status="queued", outbox_number=entry.outbox_number).to_wire()

    def forget(self, sid: str) -> None:
        """Keep nothing for a page: it asks for the history when it comes back."""
        self._publish.clinicians.leave(sid)
