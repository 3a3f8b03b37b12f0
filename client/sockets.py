"""The Socket.IO namespace of the clinicians' pages: it writes a request down, and acknowledges with what is on disk."""

import logging
from collections.abc import Callable
from datetime import datetime

from client.outbox import Outbox
from client.relay import Relay
from common.access.audit import Action
from common.errors import NotSignedInError
from common.followers import ALL, RELOAD_BEYOND, Peer
from common.messages import BROWSER_NAMESPACE, Event, Submission, SubmissionReceipt, Withdrawal
from common.web.sockets import FollowedNamespace

log = logging.getLogger(__name__)


class PagesNamespace(FollowedNamespace):
    """Where pages submit patients and follow what becomes of them."""

    events = frozenset({Event.SUBMIT, Event.WITHDRAW})

    def __init__(self, outbox: Outbox, relay: Relay, clock: Callable[[], datetime]) -> None:
        super().__init__(BROWSER_NAMESPACE, outbox, status=relay.status, reload_beyond=RELOAD_BEYOND)
        self._outbox = outbox
        self._relay = relay
        self._clock = clock

    def admit(self, peer: Peer, auth: object, sid: str) -> str:
        if peer.session is None:
            raise NotSignedInError
        return ALL

    def on_submit(self, _sid: str, peer: Peer, message: object) -> SubmissionReceipt:
        submission = Submission.check(message)
        receipt = self._outbox.put(submission, self._clock(), peer.session.account if peer.session else None)
        if receipt.status == "saved":
            self.note(peer, Action.SUBMITTED_PATIENT, submission.request_id)
            self._relay.wake()
            self.followers.nudge()
            log.info("a patient was saved", extra={"request_id": submission.request_id})
        return receipt

    def on_withdraw(self, _sid: str, peer: Peer, message: object) -> SubmissionReceipt:
        request_id = Withdrawal.check(message).request_id
        entry = self._outbox.withdraw(request_id)
        if entry.state == "withdrawing":
            self.note(peer, Action.WITHDREW_PATIENT, request_id)
            self._relay.wake(request_id)
            log.info("a patient was withdrawn", extra={"request_id": request_id})
        self.followers.nudge()
        return SubmissionReceipt(status="saved", entry=entry)
