"""One schedule from its first patient to the verdict: load, faults, healing, quiet, records, checker."""

import random
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.faults import disk
from tests.faults.checker import findings
from tests.faults.people import Clinician, Dashboard
from tests.faults.records import DashboardRecord, PageRecord, Records
from tests.faults.schedules import DASHBOARD_LINKS, LOAD_SECONDS, Fault, make_schedule
from tests.faults.system import CLIENT_IDS, System

PAGES: Final = 2
"""Clinicians at each client app."""

STILL_SECONDS: Final = 30.0
"""So long nothing may change while something is missing: a busy machine is slow, but goes on."""

LOOK_SECONDS: Final = 0.2
LEAVE_SECONDS: Final = 30.0

Act = Callable[[], None]


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
        self._numbers = {name: disk.highest_number(app.database) for name, app in system.clients.items()}
        self._clinicians = self._make_clinicians()
        self._dashboards = self._make_dashboards()

    def run(self) -> Outcome:
        """Run the schedule; afterwards everything works again, and everybody has left."""
        people = [*self._clinicians, *self._dashboards]
        for person in people:
            person.start()
        self._break_things()
        for clinician in self._clinicians:
            clinician.rest()
        self._heal()
        for clinician in self._clinicians:
            clinician.finish()
        self._wait_for_quiet()
        for person in people:
            person.leave()
        for person in people:
            person.join(LEAVE_SECONDS)
        records = self._collect()
        self._trouble += map(str, findings(records))
        return Outcome(self._seed, self._faults, records, self._trouble)

    def _make_clinicians(self) -> list[Clinician]:
        chance = random.Random(self._seed)
        return [
            Clinician(
                PageRecord(f"page {number} of {CLIENT_IDS[name]}", CLIENT_IDS[name]),
                app.url,
                self._system.tokens[f"{name.upper().replace('-', '_')}_CLINICIAN_TOKEN"],
                self._system.cookies.setdefault(name, {}),
                after=self._numbers[name],
                seed=chance.getrandbits(64),
            )
            for name, app in self._system.clients.items()
            for number in range(1, PAGES + 1)
        ]

    def _make_dashboards(self) -> list[Dashboard]:
        return [
            Dashboard(
                DashboardRecord(name, self._after),
                f"http://127.0.0.1:{self._system.links[name].port}",
                self._system.tokens["OPERATOR_TOKEN"],
                self._system.cookies.setdefault("server", {}),
            )
            for name in DASHBOARD_LINKS
        ]

    def _break_things(self) -> None:
        """Begin and end every fault at its time, while patients are entered."""
        acts: list[tuple[float, Act]] = []
        for fault in self._faults:
            acts.append((fault.at, partial(self._system.begin, fault)))
            acts.append((fault.at + fault.seconds, partial(self._end, fault)))
        acts.append((LOAD_SECONDS, lambda: None))
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
        """Wait until every page and dashboard shows all it is to show."""
        if not _comes_to_an_end(self._count_unsettled_answers):
            self._trouble += [
                f"everything worked again, and {one.name} did not show every answer; last failure: {one.last_failure}"
                for one in self._clinicians
                if not one.settled.is_set()
            ]
        if not _comes_to_an_end(self._count_missing_entries):
            self._trouble += [
                f"everything worked again, and entries are missing; {one.name} got as far as {one.cursor}; "
                f"last failure: {one.last_failure}"
                for one in self._dashboards
            ]

    def _count_unsettled_answers(self) -> int:
        awaited = sum(len(clinician.page.awaits()) for clinician in self._clinicians)
        return awaited + sum(not clinician.settled.is_set() for clinician in self._clinicians)

    def _count_missing_entries(self) -> int:
        server = self._system.server.database
        missing = disk.count_unexplained(server)
        missing += sum(disk.count_explained_to_come(app.database) for app in self._system.clients.values())
        last = disk.last_sequence(server)
        return missing + sum(last - dashboard.cursor for dashboard in self._dashboards)

    def _collect(self) -> Records:
        return Records(
            pages=[clinician.page for clinician in self._clinicians],
            dashboards=[dashboard.record for dashboard in self._dashboards],
            server=disk.server_record(self._system.server.database, after=self._after),
            clients=[
                disk.client_record(app.database, CLIENT_IDS[name], after=self._numbers[name])
                for name, app in self._system.clients.items()
            ],
        )


def _comes_to_an_end(count_missing: Callable[[], int]) -> bool:
    """Wait until nothing is missing; return false when nothing has changed for ``STILL_SECONDS``."""
    pace, before, changed_at = threading.Event(), -1, time.monotonic()
    while missing := count_missing():
        if missing != before:
            before, changed_at = missing, time.monotonic()
        if time.monotonic() > changed_at + STILL_SECONDS:
            return False
        pace.wait(LOOK_SECONDS)
    return True
