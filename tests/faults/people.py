"""Clinicians at the pages of client apps and operators' dashboards: what their pages do, and what they were told."""

import http.client
import random
import threading
import time
from contextlib import closing
from typing import Any, ClassVar, Final, Literal

import uuid_utils

from client.relay import pace
from common.messages import BROWSER_NAMESPACE, OPERATORS_NAMESPACE, Event
from tests.faults.records import DashboardRecord, Json, PageRecord, ReaderRecord
from tests.support.made_requests import record
from tests.support.raw_socket import GoneError
from tests.support.speaking import Browser, Page

RETRY_SECONDS: Final = 0.2
ACKNOWLEDGED_SECONDS: Final = 3.0
FIRST_ANSWER_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 25.0
LONGEST_PAUSE: Final = 0.15
LOADED: Final = 500
"""At once."""
REFERENCES: Final = (None, "bed 7", "Zoë Ω 12/3")
CLOSED_IN_MID_REQUEST: Final = 0.05
RELOADED: Final = 0.03
IMPOSSIBLE: Final = 0.04
WITHDRAWN: Final = 0.1
CORRECTED: Final = 0.15

Stage = Literal["enters", "pauses", "enters the last", "has entered the last", "has finished"]
"""What a clinician does; the last patient is entered when everything works again, and has to be saved."""

FAILURES: Final = (GoneError, OSError, http.client.HTTPException)
"""The app does not answer, or not as it does when all is well: the page tries again."""


class Person(threading.Thread):
    """Somebody at a page that follows a log, who comes back whatever happens, until told to leave."""

    namespace: ClassVar[str]
    path: ClassVar[str]
    """Of the HTTP interface that the page is loaded from."""
    noted: ReaderRecord

    def __init__(self, noted: ReaderRecord, url: str, token: str, cookies: dict[str, str], *, since: Any) -> None:
        """``since`` is what precedes this schedule in the log: a sequence, or a request id."""
        super().__init__(name=noted.name, daemon=True)
        self.noted = noted
        self.reads = threading.Event()
        """Whether it has been answered once."""
        self.leaving = threading.Event()
        self.last_failure = ""
        self._since = since
        self._browser = Browser(url)
        self._browser.cookies = cookies
        self._token = token
        self._log: str | None = None
        self._after = 0

    def run(self) -> None:
        while not self.leaving.is_set():
            try:
                self._visit()
            except FAILURES as error:
                self.last_failure = repr(error)
                if getattr(error, "said", None) == http.client.UNAUTHORIZED:
                    self._browser.cookies.clear()
                self.leaving.wait(RETRY_SECONDS)

    def load(self) -> list[Json]:
        """Load the page: all that it shows of this schedule, and the place from which it follows."""
        loaded: list[Json] = []
        before: str | None = ""
        while before is not None:
            answer = self._browser.get(f"{self.path}?limit={LOADED}{before}")
            if answer.status != http.client.OK:
                raise GoneError(answer.status)
            if not before:
                self._log, self._after = answer.json["log"], answer.json["after"]
            loaded += (found := self._of_schedule(answer.json))
            before = f"&before={answer.json['next_before']}" if len(found) == LOADED else None
        return loaded

    def _visit(self) -> None:
        if not self._browser.cookie and self._browser.sign_in(self._token).status >= 300:
            raise GoneError(http.client.UNAUTHORIZED)
        if self._log is None:
            self._show(self.load())
        with closing(Page(self._browser.url, self._browser.cookie, self.namespace)) as page:
            self._asked_at = self._pause = 0.0
            self._is_asked = False
            while not self.leaving.is_set() and self._spend_a_moment(page):
                pass

    def _spend_a_moment(self, page: Page) -> bool:
        """Do the next thing; return whether the page stays open."""
        self._read(page, RETRY_SECONDS)
        return True

    def _read(self, page: Page, seconds: float) -> tuple[int, Any] | None:
        """Follow the log for so long, or until an acknowledgment comes, which is returned with its number."""
        deadline = time.monotonic() + seconds
        while (now := time.monotonic()) < deadline:
            if now >= self._asked_at + self._pause:
                if self._is_asked:
                    raise GoneError("no answer")
                page.follow(log=self._log, after=self._after)
                self._is_asked, self._asked_at = True, now
                self._pause = ANSWER_SECONDS if page.ticket else FIRST_ANSWER_SECONDS
            heard = page.hear(min(deadline, self._asked_at + self._pause) - now)
            if heard is None:
                continue
            if isinstance(heard[0], int):
                return heard[0], heard[1]
            self._take(*heard)
            page.ticket = heard[1]["ticket"]
            self._is_asked, self._pause = False, pace(len(heard[1]["entries"]))
        return None

    def _take(self, event: object, said: Json) -> None:
        """Apply a run, and only then move on; after an answer about anything else the page reloads."""
        if event == Event.CLOSING:
            raise GoneError(said)
        if event != Event.CHANGES or (said["log"], said["after"]) != (self._log, self._after):
            self.noted.restarts += 1
            self._log = None
            raise GoneError(event)
        before = self._after
        for entry in said["entries"]:
            if not before < entry["sequence"] <= said["next_after"]:
                self.noted.disorder.append(entry["sequence"])
            before = entry["sequence"]
        self._apply(said)
        self._after = said["next_after"]
        self.reads.set()

    def _of_schedule(self, answer: Json) -> list[Json]:
        """Return what belongs to this schedule of what was loaded."""
        raise NotImplementedError

    def _show(self, loaded: list[Json]) -> None:
        raise NotImplementedError

    def _apply(self, run: Json) -> None:
        raise NotImplementedError


class Clinician(Person):
    """Submits patients and corrections, each until it is acknowledged; closes the page and comes back in between."""

    namespace = BROWSER_NAMESPACE
    path = "/api/history"
    noted: PageRecord

    def __init__(self, *args: Any, seed: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.stage: Stage = "enters"
        self._chance = random.Random(seed)
        self._pending: Json | None = None

    def _spend_a_moment(self, page: Page) -> bool:
        if self._pending is not None:
            self._submit(page)
            if self._pending is None and self.stage == "has entered the last":
                self.stage = "has finished"
        elif self.stage == "enters the last":
            self._enter_patient(always_valid=True)
            self.stage = "has entered the last"
        elif self.stage == "enters" and self.reads.is_set():
            self._read(page, self._chance.uniform(0, LONGEST_PAUSE))
            self._enter_patient()
            if self._chance.random() < CLOSED_IN_MID_REQUEST:
                page.send(Event.SUBMIT, self._pending)
                self._pending = None
            if self._pending is None or self._chance.random() < RELOADED:
                self._log = None
        else:
            self._read(page, RETRY_SECONDS)
        return self._log is not None

    def _enter_patient(self, *, always_valid: bool = False) -> None:
        values = record(self._chance.randrange(303)).model_dump(mode="json")
        values["cholesterol"] = float(self._chance.randrange(100, 600))
        request_id = str(uuid_utils.uuid7())
        if not always_valid and self._chance.random() < IMPOSSIBLE:
            values["age"] = 121
            self.noted.invalid.append(request_id)
        asked = {"patient_reference": self._chance.choice(REFERENCES), "record": values, "corrects": None}
        if self.noted.saved and self._chance.random() < CORRECTED:
            earlier = self._chance.choice(self.noted.saved)
            known = {*self.noted.withdrawn, *(one["corrects"] for one in self.noted.submitted.values())}
            asked["corrects"] = earlier if earlier not in known else None  # each once
        self.noted.submitted[request_id] = asked
        self._pending = {"request_id": request_id, "is_new": True, **asked}

    def _submit(self, page: Page) -> None:
        """Send what is pending and take its acknowledgment; without one in time it stays pending."""
        assert self._pending is not None
        request_id = self._pending["request_id"]
        number = page.send(Event.SUBMIT, self._pending)
        deadline = time.monotonic() + ACKNOWLEDGED_SECONDS
        while not self.leaving.is_set() and time.monotonic() < deadline:
            heard = self._read(page, RETRY_SECONDS)
            if heard is None or heard[0] != number:
                continue
            receipt = heard[1]
            if receipt["status"] == "saved":
                self.noted.saved.append(request_id)
                self.noted.see(receipt["entry"])
                if self.stage == "enters" and self._chance.random() < WITHDRAWN:
                    self.noted.withdrawn.append(request_id)
                    page.send(Event.WITHDRAW, {"request_id": request_id})
            elif not receipt["error"]["retryable"]:
                self.noted.refused[request_id] = receipt["error"]
            else:
                self.leaving.wait(RETRY_SECONDS)
                return
            self._pending = None
            return

    def _of_schedule(self, answer: Json) -> list[Json]:
        return [entry for entry in answer["entries"] if entry["request_id"] > self._since]

    def _show(self, loaded: list[Json]) -> None:
        for gone in self.noted.seen.keys() - {entry["request_id"] for entry in loaded}:
            del self.noted.seen[gone]
        for entry in loaded:
            self.noted.see(entry)

    def _apply(self, run: Json) -> None:
        for one in run["entries"]:
            if not one["entry"]:
                self.noted.seen.pop(one["request_id"], None)
            elif one["request_id"] > self._since:
                self.noted.see(one["entry"])


class Dashboard(Person):
    """Follows the server's log as the operators' page does, from the place that it was loaded at."""

    namespace = OPERATORS_NAMESPACE
    path = "/api/predictions"
    noted: DashboardRecord

    def _of_schedule(self, answer: Json) -> list[Json]:
        return [one["prediction"] for one in answer["predictions"] if one["sequence"] > self._since]

    def _show(self, loaded: list[Json]) -> None:
        if self.noted.after is None:
            self.noted.after = self._after

    def _apply(self, run: Json) -> None:
        self.noted.taken += run["entries"]
        self.noted.totals = run["totals"] or self.noted.totals


class ForgetfulDashboard(Dashboard):
    """Broken on purpose: goes on from the end of the log whenever it connects, whatever it missed."""

    def _visit(self) -> None:
        self._log = None
        super()._visit()
