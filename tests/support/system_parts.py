"""People at the pages of a running system: they sign in with a link and submit patients, over HTTP and Socket.IO."""

import ssl
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Self

import uuid_utils

from common.messages import BROWSER_NAMESPACE, Event
from tests.support.speaking import Browser, Page
from tests.support.waiting import WAIT_SECONDS, wait_until


class Visitor(Browser):
    """Somebody at one app's page, signed in with its link if ``sign_in_status`` is 204."""

    def __init__(self, link: str, *, tls: ssl.SSLContext | None = None) -> None:
        address, _, token = link.partition("#token=")
        super().__init__(address.removesuffix("/sign-in"), tls=tls)
        self.sign_in_status = self.sign_in(token).status

    def api(self, path: str) -> Any:
        answer = self.get(f"/api/{path}")
        assert answer.status == 200, answer
        return answer.json


class Clinician(Visitor):
    """A clinician at a client app's page, who submits patients and sees what becomes of them."""

    def __enter__(self) -> Self:
        self._page = Page(self.url, self.cookie, BROWSER_NAMESPACE)
        return self

    def __exit__(self, *_: object) -> None:
        self._page.close()

    def submit(self, **changes: object) -> str:
        """Submit a real patient, changed if need be; return the request's id once the client app has it on disk."""
        request_id = str(uuid_utils.uuid7())
        message = {"request_id": request_id, "record": self.api("sample")["record"] | changes, "is_new": True}
        receipt = self._page.ask(Event.SUBMIT, message)
        assert receipt["status"] == "saved", receipt
        return request_id

    def answers(self, request_ids: Iterable[str], seconds: float = 60) -> dict[str, dict[str, Any]]:
        """Wait for the predictions of these requests, at most so many seconds."""
        wanted = set(request_ids)
        found: dict[str, dict[str, Any]] = {}
        deadline = time.monotonic() + seconds
        while wanted - set(found):
            assert time.monotonic() < deadline, f"{len(wanted - set(found))} requests were not answered"
            entry = self._page.entry(lambda change: change["entry"] and change["entry"]["state"] != "queued")["entry"]
            assert entry["state"] == "answered", entry["error"]
            found[entry["request_id"]] = entry["prediction"]
        return {request_id: found[request_id] for request_id in wanted}

    def enter(self) -> None:
        """Submit a patient and wait for the answer."""
        self.answers([self.submit()])


class _Desk(threading.Thread):
    """Somebody who enters a patient as soon as the last one was answered; ``waits`` are the seconds each took."""

    def __init__(self, enter: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.waits: list[float] = []
        self.leaving = threading.Event()
        self._enter = enter

    def run(self) -> None:
        while not self.leaving.is_set():
            began = time.monotonic()
            self._enter()
            self.waits.append(time.monotonic() - began)

    def goes_on(self) -> None:
        """Wait until some more patients were answered."""
        before = len(self.waits)
        wait_until(lambda: len(self.waits) > before + 2)


def enter_meanwhile(enter: Iterable[Callable[[], object]], act: Callable[[], object]) -> list[float]:
    """Enter patients at every desk while something happens, and until all goes on; return how long each waited."""
    desks = [_Desk(one) for one in enter]
    for desk in desks:
        desk.start()
    for desk in desks:
        desk.goes_on()
    act()
    for desk in desks:
        desk.goes_on()
    for desk in desks:
        desk.leaving.set()
    for desk in desks:
        desk.join(WAIT_SECONDS)
    return [wait for desk in desks for wait in desk.waits]


def stored_requests(operator: Visitor, client_id: str) -> list[str]:
    """Return the request ids of everything the server has stored for one client app."""
    found, before = [], ""
    while True:
        answer = operator.api(f"predictions?client={client_id}&limit=500&before={before}")
        found += [item["prediction"]["request_id"] for item in answer["predictions"]]
        before = answer["next_before"]
        if before is None:
            return found
