"""Predictions on their way into the store, and what the log then tells."""

from datetime import timedelta
from queue import Queue

import orjson

from common.followers import ALL
from common.messages import Change, Changes, Prediction
from server.log import ChangeLog
from server.store import Lease, NewPrediction, Page, PredictionStore, RequestKey
from tests.support.made_requests import NOON, id_of, prediction, request
from tests.support.waiting import WAIT_SECONDS


def made(number: int, client_id: str = "Client-1", **changes: object) -> Prediction:
    """The answer to the request of that number, under an id that tells of its client app as well."""
    answer = prediction(request(number), client_id=client_id)
    return answer.model_copy(update={"prediction_id": f"{client_id}-{number}"} | changes)


def new(*answers: Prediction, digest: str = "0" * 64) -> list[NewPrediction]:
    return [NewPrediction(answer.model_dump(), digest) for answer in answers]


def stored(store: PredictionStore, *answers: Prediction) -> Page:
    return store.append(new(*answers), {}, NOON).page


def of(*numbers: int) -> dict[RequestKey, str]:
    """Return the predictions of these numbers at Client-1, by request."""
    return {("Client-1", id_of(number)): f"Client-1-{number}" for number in numbers}


def erased(store: PredictionStore, *numbers: int) -> Page:
    """Erase the predictions of these numbers at Client-1."""
    return store.erase(of(*numbers), NOON)[0]


def unfinished(answer: Prediction) -> Lease:
    """Return a lease that finishes the explanation of a prediction without one having been taken."""
    ids = (answer.prediction_id, answer.client_id, answer.request_id)
    return Lease(*ids, body=answer.model_dump_json(), since=answer.made_at.timestamp(), tries=0, token=None)


def awaiting(store: PredictionStore) -> set[str]:
    """Lease all explanations that are awaited, from whomever has them, and return the ids of their requests."""
    later = NOON + timedelta(days=3650)
    leases, _ = store.lease_explanations(1000, now=later, until=later, old=NOON)
    return {lease.request_id for lease in leases}


def changes_of(page: Page) -> list[Change]:
    return [Change.model_validate(orjson.loads(entry.wire)) for entry in page.entries]


class Reader:
    """Follows a log in this process, from where it stands now or from the beginning."""

    def __init__(self, log: ChangeLog, *, after: int | None = None, scope: str = ALL) -> None:
        self._log = log
        self._scope = scope
        self.after = log.newest if after is None else after
        self._nudges: Queue[None] = Queue()
        log.tell(lambda: self._nudges.put(None))

    def read(self) -> Changes:
        """Return what there is now."""
        run = self._log.read(self.after, self._scope)
        self.after = run.next_after
        return Changes.model_validate(orjson.loads(orjson.dumps(vars(run) | {"log": self._log.name})))

    def next(self) -> list[Change]:
        """Wait until there is something, and return it."""
        while not (entries := self.read().entries):
            self._nudges.get(timeout=WAIT_SECONDS)
        return entries

    def entries(self, number: int) -> list[Change]:
        """Wait until there are so many entries, and return them."""
        entries: list[Change] = []
        while len(entries) < number:
            entries += self.next()
        return entries
