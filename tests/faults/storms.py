"""One schedule from its first patient to the verdict: load, faults, healing, quiet, records, checker."""

import random
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import uuid_utils

from tests.faults import disk
from tests.faults.checker import findings
from tests.faults.people import AwayError, Clinician, Dashboard, ForgetfulDashboard, Person
from tests.faults.records import DashboardRecord, PageRecord, Records
from tests.faults.schedules import DASHBOARD_LINKS, LOAD_SECONDS, Fault, make_schedule
from tests.faults.system import CLIENT_IDS, System

PAGES: Final = 2
"""Clinicians at each client app."""

STILL_SECONDS: Final = 30.0
"""So long nothing may change while something is missing: a busy machine is slow, but goes on."""

LOOK_SECONDS: Final = 0.1
LEAVE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Outcome:
    """What became of a schedule; ``trouble`` is all that is wrong, and empty if nothing is."""

    seed: int
    faults: list[Fault]
    records: Records
    trouble: list[str]

    @property
    def predictions(self) -> int:
        return len(self.records.server.predictions)


class Storm:
    """One schedule on a running system."""

    def __init__(self, system: System, seed: int) -> None:
        self._system = system
        self._seed = seed
        self._faults = make_schedule(seed)
        self._trouble: list[str] = []
        self._after = disk.last_sequence(system.server.database)
        self._first_id = str(uuid_utils.uuid7())
        chance = random.Random(seed)
        self._clinicians = [
            Clinician(
                PageRecord(f"page {number} of {CLIENT_IDS[name]}", client_id=CLIENT_IDS[name]),
                app.url,
                system.tokens[f"{name.upper().replace('-', '_')}_CLINICIAN_TOKEN"],
                system.cookies.setdefault(name, {}),
                since=self._first_id,
                seed=chance.getrandbits(64),
            )
            for name, app in system.clients.items()
            for number in range(1, PAGES + 1)
        ]
        dashboard = ForgetfulDashboard if system.control == "no-catch-up" else Dashboard
        self._dashboards = [
            dashboard(
                DashboardRecord(name),
                system.links[name].url,
                system.tokens["OPERATOR_TOKEN"],
                system.cookies.setdefault("server", {}),
                since=self._after,
            )
            for name in DASHBOARD_LINKS
        ]
        self._people: list[Person] = [*self._clinicians, *self._dashboards]

    def run(self) -> Outcome:
        """Run the schedule; afterwards everything works again, and everybody has left."""
        for person in self._people:
            person.start()
        for person in self._people:
            person.reads.wait(STILL_SECONDS)
        self._break_things()
        for clinician in self._clinicians:
            clinician.rest()
        self._heal()
        for clinician in self._clinicians:
            clinician.finish()
        self._wait_for_quiet()
        for person in self._people:
            person.leave()
        for person in self._people:
            person.join(LEAVE_SECONDS)
            try:
                person.noted.loaded = person.load()
            except AwayError as error:
                self._trouble.append(f"everything worked again, and {person.name} could not be loaded: {error!r}")
        records = self._collect()
        self._trouble += map(str, findings(records))
        return Outcome(self._seed, self._faults, records, self._trouble)

    def _break_things(self) -> None:
        """Begin and end every fault at its time, while patients are entered."""
        acts: list[tuple[float, Callable[[], object]]] = [(LOAD_SECONDS, lambda: None)]
        for fault in self._faults:
            acts.append((fault.at, partial(self._system.begin, fault)))
            acts.append((fault.at + fault.seconds, partial(self._end, fault)))
        began, pace = time.monotonic(), threading.Event()
        for moment, act in sorted(acts, key=lambda item: item[0]):
            pace.wait(max(0.0, began + moment - time.monotonic()))
            act()

    def _end(self, fault: Fault) -> None:
        try:
            self._system.end(fault)
        except subprocess.TimeoutExpired:
            self._trouble.append(f"{fault.target} did not end when it was told to")
            self._system.apps[fault.target].kill()
            self._system.apps[fault.target].start()

    def _heal(self) -> None:
        for name, app in self._system.apps.items():
            if not app.is_running:
                self._trouble.append(f"{name} ended by itself")
                app.start()
            app.wait_until_started()

    def _wait_for_quiet(self) -> None:
        """Wait until every page and dashboard shows all it is to show, as long as anything still comes."""
        pace, before, changed_at = threading.Event(), -1, time.monotonic()
        while missing := self._count_missing():
            if missing != before:
                before, changed_at = missing, time.monotonic()
            if time.monotonic() > changed_at + STILL_SECONDS:
                read = (f"{one.name} as far as {one.after} (last failure: {one.last_failure})" for one in self._people)
                self._trouble.append(f"everything worked again, and something is missing: {'; '.join(read)}")
                return
            pace.wait(LOOK_SECONDS)

    def _count_missing(self) -> int:
        missing = sum(not one.settled.is_set() for one in self._clinicians)
        missing += sum(len(one.page.awaits()) for one in self._clinicians)
        missing += disk.count_unexplained(self._system.server.database)
        last = disk.last_sequence(self._system.server.database)
        missing += sum(abs(last - one.after) for one in self._dashboards)
        for name, app in self._system.clients.items():
            missing += disk.count_untold(app.database)
            newest = disk.newest_of_client(app.database)
            at_its_pages = [one for one in self._clinicians if one.page.client_id == CLIENT_IDS[name]]
            missing += sum(abs(newest - one.after) for one in at_its_pages)
        return missing

    def _collect(self) -> Records:
        return Records(
            pages=[clinician.page for clinician in self._clinicians],
            dashboards=[dashboard.record for dashboard in self._dashboards],
            server=disk.server_record(self._system.server.database, after=self._after),
            clients=[
                disk.client_record(app.database, CLIENT_IDS[name], after=self._first_id)
                for name, app in self._system.clients.items()
            ],
        )
