"""Clinicians at the pages of client apps and operators' dashboards: what their pages do, and what they were told."""

import http.client
import json
import random
import threading
import time
import uuid
from typing import Any, Final

from common.messages import BROWSER_NAMESPACE, OPERATORS_NAMESPACE, Event
from tests.faults.records import DashboardRecord, PageRecord, Wire
from tests.faults.sockets import GoneError, Packet, Socket
from tests.support.made_requests import record
from tests.support.speaking import Browser

RETRY_SECONDS: Final = 0.2
ACKNOWLEDGED_SECONDS: Final = 3.0
LONGEST_PAUSE: Final = 0.15
RELOAD_SECONDS: Final = 2.0
HISTORY_PAGE: Final = 100
CHANGES_PAGE: Final = 200
REFERENCES: Final = (None, "bed 7", "Zoë Ω 12/3")
CLOSED_IN_MID_REQUEST: Final = 0.05
RELOADED: Final = 0.03
IMPOSSIBLE: Final = 0.04


class AwayError(Exception):
    """The app does not answer, or not as it does when all is well: the page tries again."""


class _Person(threading.Thread):
    """Somebody at a page, who comes back whatever happens, until told to leave."""

    def __init__(self, name: str, url: str, token: str, cookies: dict[str, str]) -> None:
        super().__init__(name=name, daemon=True)
        self._browser = Browser(url)
        self._browser.cookies = cookies
        self._token = token
        self._leaving = threading.Event()
        self.last_failure = ""
        self.settled = threading.Event()
        """Whether the page shows everything it is to show."""

    def leave(self) -> None:
        self._leaving.set()

    def run(self) -> None:
        while not self._leaving.is_set():
            try:
                self._visit()
            except (GoneError, AwayError) as error:
                self.last_failure = f"{error!r} of {error.__cause__!r}"
                self._leaving.wait(RETRY_SECONDS)
            except Exception as error:
                self.last_failure = f"it broke: {error!r}"  # the schedule fails, since the page never settles
                raise

    def _visit(self) -> None:
        raise NotImplementedError

    def _connect(self, namespace: str) -> Socket:
        if not self._browser.cookie:
            self._sign_in()
        try:
            return Socket(self._browser.url, namespace, self._browser.cookie)
        except GoneError as gone:
            if isinstance(gone.said, dict) and "not_signed_in" in json.dumps(gone.said):
                self._browser.cookies.clear()
            raise

    def _sign_in(self) -> None:
        try:
            signed_in = self._browser.sign_in(self._token).status < 300
        except (OSError, http.client.HTTPException, AssertionError) as error:
            raise AwayError from error
        if not signed_in:
            self._browser.cookies.clear()
            raise AwayError

    def _get(self, path: str) -> Any:
        try:
            answer = self._browser.get(path)
        except (OSError, http.client.HTTPException) as error:
            raise AwayError from error
        if answer.status == http.client.UNAUTHORIZED:
            self._browser.cookies.clear()
        if answer.status != http.client.OK:
            raise AwayError
        return answer.json


class Clinician(_Person):
    """Submits patients, each until it is acknowledged, closes the page in between, and comes back to its history."""

    def __init__(
        self, page: PageRecord, url: str, token: str, cookies: dict[str, str], *, after: int, seed: int
    ) -> None:
        super().__init__(page.name, url, token, cookies)
        self.page = page
        self._after = after
        self._chance = random.Random(seed)
        self._pending: tuple[str, Wire] | None = None
        self._number = 0
        self._first_number = 0
        self._last_patients = 1
        self._resting = threading.Event()
        self._finishing = threading.Event()
        self._last_news = 0.0

    def rest(self) -> None:
        """Enter nobody more until it is time to finish."""
        self._resting.set()

    def finish(self) -> None:
        """Enter one more patient, now that everything works again, and wait for what is unanswered."""
        self._finishing.set()

    def _visit(self) -> None:
        socket = self._connect(BROWSER_NAMESPACE)
        try:
            self._reload_history()
            while not self._leaving.is_set() and self._spend_a_moment(socket):
                pass
        finally:
            socket.close()

    def _spend_a_moment(self, socket: Socket) -> bool:
        """Do the next thing; return whether the page stays open."""
        if self._pending is not None:
            self._send_until_settled(socket)
        elif self._finishing.is_set():
            return self._wrap_up(socket)
        elif self._resting.is_set():
            self._listen(socket, RETRY_SECONDS)
        else:
            self._listen(socket, self._chance.uniform(0, LONGEST_PAUSE))
            self._enter_patient()
            if self._chance.random() < CLOSED_IN_MID_REQUEST:
                self._send(socket)
                self._pending = None
                return False
            return self._chance.random() > RELOADED
        return True

    def _wrap_up(self, socket: Socket) -> bool:
        if self._last_patients:
            self._last_patients -= 1
            self._enter_patient(always_valid=True)
            return True
        self._listen(socket, RETRY_SECONDS)
        if not self.page.awaits():
            self._reload_history()
            self.settled.set()
            self._leaving.wait()
        elif time.monotonic() > self._last_news + RELOAD_SECONDS:
            self._reload_history()
        return True

    def _enter_patient(self, *, always_valid: bool = False) -> None:
        values = record(self._chance.randrange(303)).model_dump(mode="json")
        values["cholesterol"] = float(self._chance.randrange(100, 600))
        request_id = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        message = {"request_id": request_id, "patient_reference": self._chance.choice(REFERENCES), "record": values}
        if not always_valid and self._chance.random() < IMPOSSIBLE:
            values["age"] = 121
            self.page.invalid.append(request_id)
        self.page.submitted[request_id] = {name: message[name] for name in ("record", "patient_reference")}
        self._pending = (request_id, message)
        self._first_number = self._number + 1

    def _send(self, socket: Socket) -> None:
        assert self._pending is not None
        self._number += 1
        socket.send(Event.SUBMIT, self._pending[1], self._number)

    def _send_until_settled(self, socket: Socket) -> None:
        """Send what is pending and take its acknowledgement; without one in time it stays pending."""
        self._send(socket)
        deadline = time.monotonic() + ACKNOWLEDGED_SECONDS
        while self._pending is not None and not self._leaving.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                return
            packet = socket.next(min(left, RETRY_SECONDS))
            if packet is not None and packet.number is not None and packet.number >= self._first_number:
                self._take_acknowledgement(packet.data)
                return
            self._take(packet)

    def _take_acknowledgement(self, said: Wire) -> None:
        assert self._pending is not None
        request_id = self._pending[0]
        if said["status"] == "queued":
            self.page.queued[request_id] = said["outbox_number"]
        elif said["error"]["retryable"]:
            self._leaving.wait(RETRY_SECONDS)
            return
        else:
            self.page.refused[request_id] = said["error"]
        self._pending = None

    def _listen(self, socket: Socket, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._take(socket.next(left))

    def _take(self, packet: Packet | None) -> None:
        if packet is not None and packet.name == Event.UPDATE and packet.data["outbox_number"] > self._after:
            self._last_news = time.monotonic()
            self.page.see(packet.data)

    def _reload_history(self) -> None:
        """Read the history back to where this schedule began."""
        self._last_news = time.monotonic()
        before = ""
        read: list[str] = []
        while True:
            answer = self._get(f"/api/history?limit={HISTORY_PAGE}{before}")
            entries = [entry for entry in answer["entries"] if entry["outbox_number"] > self._after]
            for entry in entries:
                self.page.see(entry)
            read += [entry["request_id"] for entry in entries]
            if len(entries) < HISTORY_PAGE or answer["next_before"] is None:
                break
            before = f"&before={answer['next_before']}"
        self.page.histories.append(read)


class Dashboard(_Person):
    """Follows the change log as the operators' page does: live, and over HTTP for what it missed."""

    def __init__(self, taken: DashboardRecord, url: str, token: str, cookies: dict[str, str]) -> None:
        super().__init__(taken.name, url, token, cookies)
        self.record = taken
        self.cursor = taken.after

    def _visit(self) -> None:
        socket = self._connect(OPERATORS_NAMESPACE)
        try:
            self._synchronise()
            while not self._leaving.is_set():
                packet = socket.next(RETRY_SECONDS)
                if packet is not None and packet.name == Event.CHANGES and not self._take(packet.data):
                    self._synchronise()
        finally:
            socket.close()

    def _synchronise(self) -> None:
        """Ask for the state of the server and for what was missed."""
        if (cursor := self._get("/api/status")["cursor"]) is None:
            raise AwayError
        if cursor < self.cursor:
            self.record.restarts += 1
            self.cursor = cursor
        has_more = True
        while has_more and not self._leaving.is_set():
            page = self._get(f"/api/changes?after={self.cursor}&limit={CHANGES_PAGE}")
            self._take(page)
            has_more = page["has_more"]

    def _take(self, message: Wire) -> bool:
        """Take what is new; return whether nothing was missed before it."""
        if message["after"] > self.cursor:
            return False
        self.record.taken += [entry for entry in message["entries"] if entry["sequence"] > self.cursor]
        if message["totals"] and message["next_after"] >= self.cursor:
            self.record.totals = message["totals"]
        self.cursor = max(self.cursor, message["next_after"])
        return True
