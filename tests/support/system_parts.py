"""People at the pages of a running system: they sign in with a link and submit patients, over HTTP and Socket.IO."""

import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import uuid_utils

from common.messages import BROWSER_NAMESPACE, Event
from tests.support.speaking import Browser, Page
from tests.support.waiting import wait_until


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

    def __init__(self, link: str) -> None:
        super().__init__(link)
        self.answered: dict[str, dict[str, Any]] = {}
        """The predictions that were shown, by the request."""

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
        asked = {request_id: found[request_id] for request_id in wanted}
        self.answered |= asked
        return asked

    def enter(self) -> None:
        """Submit a patient and wait for the answer."""
        self.answers([self.submit()])


def enter_meanwhile(enter: Sequence[Callable[[], object]], act: Callable[[], object]) -> list[float]:
    """Enter patients at every desk while something happens, and until all go on; return how long each waited.

    At a desk the next patient is entered as soon as the last one was answered.
    """
    leaving = threading.Event()
    waits: list[list[float]] = [[] for _ in enter]

    def enter_on(enter_one: Callable[[], object], waited: list[float]) -> None:
        while not leaving.is_set():
            began = time.monotonic()
            enter_one()
            waited.append(time.monotonic() - began)

    def all_go_on() -> None:
        before = [len(waited) for waited in waits]
        wait_until(lambda: all(len(waited) > known + 2 for waited, known in zip(waits, before, strict=True)))

    with ThreadPoolExecutor(len(enter)) as pool:
        desks = [pool.submit(enter_on, *desk) for desk in zip(enter, waits, strict=True)]
        try:
            all_go_on()
            act()
            all_go_on()
        finally:
            leaving.set()
    for desk in desks:
        desk.result()  # which raises what went wrong there
    return [wait for waited in waits for wait in waited]


def stored_requests(operator: Visitor, client_id: str) -> list[str]:
    """Return the request ids of everything the server has stored for one client app."""
    found, before = [], ""
    while True:
        answer = operator.api(f"predictions?client={client_id}&limit=500&before={before}")
        found += [item["prediction"]["request_id"] for item in answer["predictions"]]
        before = answer["next_before"]
        if before is None:
            return found
