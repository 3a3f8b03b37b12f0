"""Clinicians at the pages of client apps and operators' dashboards: what their pages do, and what they were told."""

import http.client
import json
import random
import threading
import time
from typing import Any, Final

import uuid_utils

from common.messages import BROWSER_NAMESPACE, OPERATORS_NAMESPACE, Event
from tests.faults.records import DashboardRecord, Json, PageRecord, ReaderRecord
from tests.support.made_requests import record
from tests.support.speaking import Browser
from tests.support.wire import GoneError, Packet, Wire

RETRY_SECONDS: Final = 0.2
ACKNOWLEDGED_SECONDS: Final = 3.0
LONGEST_PAUSE: Final = 0.15
PAGE: Final = 100
REFERENCES: Final = (None, "bed 7", "Zoë Ω 12/3")
CLOSED_IN_MID_REQUEST: Final = 0.05
RELOADED: Final = 0.03
IMPOSSIBLE: Final = 0.04


class AwayError(Exception):
    """The app does not answer, or not as it does when all is well: the page tries again."""


class Person(threading.Thread):
    """Somebody at a page that follows a log, who comes back whatever happens, until told to leave."""

    def __init__(
        self, noted: ReaderRecord, url: str, token: str, cookies: dict[str, str], *, namespace: str, path: str
    ) -> None:
        super().__init__(name=noted.name, daemon=True)
        self.noted = noted
        self._namespace = namespace
        self._path = path
        self._browser = Browser(url)
        self._browser.cookies = cookies
        self._token = token
        self._log: str | None = None
        self.after = 0
        """How far the page has read."""
        self.reads = threading.Event()
        """Whether it has been answered once."""
        self._leaving = threading.Event()
        self.last_failure = ""

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
                self.last_failure = f"it broke: {error!r}"  # the schedule fails, since the page never reads on
                raise

    def load(self) -> list[Json]:
        """Load the page: all that it shows of this schedule, and the place from which it follows."""
        shown: list[Json] = []
        query = ""
        while True:
            answer = self._get(f"{self._path}?limit={PAGE}{query}")
            if not query:
                self._log, self.after = answer["log"], answer["after"]
            entries, before = self._of_schedule(answer)
            shown += entries
            if len(entries) < PAGE or before is None:
                return shown
            query = f"&before={before}"

    def _visit(self) -> None:
        if not self._browser.cookie:
            self._sign_in()
        if self._log is None:
            self._show(self.load())
        try:
            wire = Wire(self._browser.url, self._namespace, cookie=self._browser.cookie)
        except GoneError as gone:
            if gone.said == http.client.UNAUTHORIZED:
                self._browser.cookies.clear()
            raise
        try:
            while not self._leaving.is_set() and self._spend_a_moment(wire):
                pass
        finally:
            wire.close()

    def _spend_a_moment(self, wire: Wire) -> bool:
        """Do the next thing; return whether the page stays open."""
        self._read(wire, RETRY_SECONDS)
        return True

    def _read(self, wire: Wire, seconds: float) -> Packet | None:
        """Follow the log for so long, or until an acknowledgement comes, which is returned."""
        deadline = time.monotonic() + seconds
        while self._log is not None and (left := deadline - time.monotonic()) > 0:
            packet = wire.next_following(self._log, self.after, left)
            if packet is not None and packet.number is not None:
                return packet
            if packet is not None:
                self._take(packet)
        return None

    def _take(self, answer: Packet) -> None:
        """Apply a run, and only then move on; an answer about anything else makes the page load anew."""
        said = answer.data
        if answer.name != Event.CHANGES or (said["log"], said["after"]) != (self._log, self.after):
            self.noted.restarts += 1
            self._log = None
            raise GoneError(answer.name)
        before = self.after
        for entry in said["entries"]:
            if not before < entry["sequence"] <= said["next_after"]:
                self.noted.disorder.append(entry["sequence"])
            before = entry["sequence"]
        self._apply(said)
        self.after = said["next_after"]
        self.reads.set()

    def _of_schedule(self, answer: Json) -> tuple[list[Json], object]:
        """Return what belongs to this schedule of a page of entries, and what the next page comes before."""
        raise NotImplementedError

    def _show(self, loaded: list[Json]) -> None:
        raise NotImplementedError

    def _apply(self, run: Json) -> None:
        raise NotImplementedError

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
            raise AwayError(answer.status)
        return answer.json


class Clinician(Person):
    """Submits patients, each until it is acknowledged; closes the page in between, and comes back to its history."""

    def __init__(
        self, page: PageRecord, url: str, token: str, cookies: dict[str, str], *, since: str, seed: int
    ) -> None:
        super().__init__(page, url, token, cookies, namespace=BROWSER_NAMESPACE, path="/api/history")
        self.page = page
        self._since = since
        self._chance = random.Random(seed)
        self._pending: Json | None = None
        self._sent: list[str] = []
        self._resting = threading.Event()
        self._finishing = threading.Event()
        self.settled = threading.Event()
        """Whether the last patient was saved."""

    def rest(self) -> None:
        """Enter nobody more until it is time to finish."""
        self._resting.set()

    def finish(self) -> None:
        """Enter one more patient, now that everything works again."""
        self._finishing.set()

    def _spend_a_moment(self, wire: Wire) -> bool:
        if self._pending is not None:
            self._submit(wire)
            return True
        if self._finishing.is_set() and not self.settled.is_set():
            self._enter_patient(always_valid=True)
            while self._pending is not None and not self._leaving.is_set():
                self._submit(wire)
            self.settled.set()
        elif self._resting.is_set() or not self.reads.is_set():
            self._read(wire, RETRY_SECONDS)
        else:
            self._read(wire, self._chance.uniform(0, LONGEST_PAUSE))
            self._enter_patient()
            if self._chance.random() < CLOSED_IN_MID_REQUEST:
                self._send(wire)
                self._pending = None
            stays = self._pending is not None and self._chance.random() > RELOADED
            self._log = self._log if stays else None
            return stays
        return True

    def _enter_patient(self, *, always_valid: bool = False) -> None:
        values = record(self._chance.randrange(303)).model_dump(mode="json")
        values["cholesterol"] = float(self._chance.randrange(100, 600))
        request_id = str(uuid_utils.uuid7())
        asked = {"patient_reference": self._chance.choice(REFERENCES), "record": values}
        if not always_valid and self._chance.random() < IMPOSSIBLE:
            values["age"] = 121
            self.page.invalid.append(request_id)
        self.page.submitted[request_id] = asked
        self._pending = {"request_id": request_id, **asked}

    def _send(self, wire: Wire) -> None:
        assert self._pending is not None
        wire.send(Event.SUBMIT, json.dumps(self._pending), len(self._sent))
        self._sent.append(self._pending["request_id"])

    def _submit(self, wire: Wire) -> None:
        """Send what is pending and take its acknowledgement; without one in time it stays pending."""
        self._send(wire)
        deadline = time.monotonic() + ACKNOWLEDGED_SECONDS
        while self._pending is not None and not self._leaving.is_set() and time.monotonic() < deadline:
            packet = self._read(wire, RETRY_SECONDS)
            if packet is None or self._sent[packet.number or 0] != self._pending["request_id"]:
                continue
            if packet.data["status"] == "saved":
                self.page.saved.append(self._pending["request_id"])
                self.page.see(packet.data["entry"])
            elif packet.data["error"]["retryable"]:
                self._leaving.wait(RETRY_SECONDS)
                return
            else:
                self.page.refused[self._pending["request_id"]] = packet.data["error"]
            self._pending = None

    def _of_schedule(self, answer: Json) -> tuple[list[Json], object]:
        entries = [entry for entry in answer["entries"] if entry["request_id"] > self._since]
        return entries, entries[-1]["request_id"] if entries else None

    def _show(self, loaded: list[Json]) -> None:
        for entry in loaded:
            self.page.see(entry)

    def _apply(self, run: Json) -> None:
        for change in run["entries"]:
            if change["entry"] and change["request_id"] > self._since:
                self.page.see(change["entry"])


class Dashboard(Person):
    """Follows the server's log as the operators' page does, from the place that it was loaded at."""

    def __init__(self, taken: DashboardRecord, url: str, token: str, cookies: dict[str, str], *, since: int) -> None:
        super().__init__(taken, url, token, cookies, namespace=OPERATORS_NAMESPACE, path="/api/predictions")
        self.record = taken
        self._since = since

    def _of_schedule(self, answer: Json) -> tuple[list[Json], object]:
        found = [one for one in answer["predictions"] if one["sequence"] > self._since]
        return [one["prediction"] for one in found], found[-1]["sequence"] if found else None

    def _show(self, loaded: list[Json]) -> None:
        if self.record.after is None:
            self.record.after = self.after

    def _apply(self, run: Json) -> None:
        self.record.taken += run["entries"]
        self.record.totals = run["totals"] or self.record.totals


class ForgetfulDashboard(Dashboard):
    """Broken on purpose: goes on from the end of the log whenever it connects, whatever it missed."""

    def _visit(self) -> None:
        self._log = None
        super()._visit()
