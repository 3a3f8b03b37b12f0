"""Schedule after schedule on one system, each from its first patient to the verdict of the checker."""

import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import uuid_utils

from tests.faults.checker import Kind, findings
from tests.faults.people import FAILURES, Clinician, Dashboard, ForgetfulDashboard
from tests.faults.records import DashboardRecord, PageRecord, Records, client_record, last_sequence, server_record
from tests.faults.schedules import DASHBOARD_LINKS, LOAD_SECONDS, Fault, make_schedule
from tests.faults.system import CLIENT_IDS, System

PAGES: Final = 2
"""Clinicians at each client app."""

STILL_SECONDS: Final = 30.0
"""How long nothing may change while something is missing: a busy machine is slow, but goes on."""

LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Outcome:
    """What became of a schedule; ``trouble`` is all that is wrong, and empty if nothing is."""

    faults: list[Fault]
    records: Records
    trouble: list[str]

    @property
    def predictions(self) -> int:
        return len(self.records.server.predictions)


class Rounds:
    """Runs schedules on copies of the product, with one part replaced by a broken one if a control says so."""

    def __init__(
        self,
        folder: Path,
        model_dir: Path,
        *,
        async_mode: str = "eventlet",
        control: str | None = None,
        is_scaled: bool = False,
    ) -> None:
        self._folder = folder
        self._ending = ExitStack()
        self._start = partial(
            System, self._ending, model_dir=model_dir, async_mode=async_mode, control=control, is_scaled=is_scaled
        )
        self._system: System | None = None

    def run(self, seed: int, *, keep: Path | None = None, faults: Sequence[Fault] | None = None) -> Outcome:
        """Run the schedule of a seed, or these faults; if it fails, keep records and logs, and start a new system."""
        if self._system is None:
            self._system = self._start(self._folder / f"from-{seed}")
        outcome = Storm(self._system, seed, faults).run()
        if outcome.trouble:
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                outcome.records.save(keep / "records.json")
                for log in self._system.folder.glob("*.log"):
                    shutil.copy(log, keep)
            self.close()
        return outcome

    def close(self) -> None:
        self._ending.close()
        self._system = None


class Storm:
    """One schedule on a running system."""

    def __init__(self, system: System, seed: int, faults: Sequence[Fault] | None = None) -> None:
        self._system = system
        self._faults = make_schedule(seed, *system.targets) if faults is None else list(faults)
        self._trouble: list[str] = []
        self._after = last_sequence(system.database("server"))
        self._first_id = str(uuid_utils.uuid7())
        chance = random.Random(seed)
        self._clinicians = [
            Clinician(
                PageRecord(f"page {number} of {client_id}", client_id=client_id),
                system.apps[name].url,
                system.clinician_token(name),
                system.cookies[name],
                since=self._first_id,
                seed=chance.getrandbits(64),
            )
            for name, client_id in CLIENT_IDS.items()
            for number in range(1, PAGES + 1)
        ]
        make_dashboard = ForgetfulDashboard if system.control == "no-catch-up" else Dashboard
        proof = system.tokens["OPERATOR_TOKEN"], system.cookies["server"]
        self._dashboards = [
            make_dashboard(DashboardRecord(name), system.links[name].url, *proof, since=self._after)
            for name in DASHBOARD_LINKS
        ]
        self._people = [*self._clinicians, *self._dashboards]

    def run(self) -> Outcome:
        """Run the schedule; afterwards everything works again, and everybody has left."""
        for person in self._people:
            person.start()
        for person in self._people:
            person.reads.wait(STILL_SECONDS)
        self._break_things()
        for clinician in self._clinicians:
            clinician.stage = "pauses"
        self._heal()
        for clinician in self._clinicians:
            clinician.stage = "enters the last"
        self._wait_for_quiet()
        for person in self._people:
            person.leaving.set()
        for person in self._people:
            person.join(STILL_SECONDS)
            try:
                person.noted.loaded = person.load()
            except FAILURES as error:
                self._trouble.append(f"everything worked again, and {person.name} could not be loaded: {error!r}")
        records = self._collect()
        self._trouble += map(str, findings(records))
        return Outcome(self._faults, records, self._trouble)

    def _break_things(self) -> None:
        """Begin and end every fault at its time, while patients are entered."""
        acts: list[tuple[float, Callable[[], object]]] = [(LOAD_SECONDS, lambda: None)]
        for fault in self._faults:
            acts.append((fault.at, partial(self._system.part(fault).begin, fault.kind)))
            acts.append((fault.at + fault.seconds, partial(self._end, fault)))
        began, pace = time.monotonic(), threading.Event()
        for moment, act in sorted(acts, key=lambda item: item[0]):
            pace.wait(max(0.0, began + moment - time.monotonic()))
            act()

    def _end(self, fault: Fault) -> None:
        try:
            self._system.part(fault).heal()
        except subprocess.TimeoutExpired:
            self._trouble.append(f"{fault.target} did not end when it was told to")
            self._system.apps[fault.target].end(signal.SIGKILL)
            self._system.apps[fault.target].start()

    def _heal(self) -> None:
        for name, app in self._system.apps.items():
            if not app.is_running:
                self._trouble.append(f"{name} ended, and no fault had ended it")
                app.start()
        self._system.wait_until_started()

    def _wait_for_quiet(self) -> None:
        """Wait until nothing is missing, as long as anything still comes."""
        pace, before, changed_at = threading.Event(), set[str](), time.monotonic()
        while missing := self._missing():
            if missing != before:
                before, changed_at = missing, time.monotonic()
            if time.monotonic() > changed_at + STILL_SECONDS:
                failures = "; ".join(f"{one.name} ({one.last_failure})" for one in self._people if one.last_failure)
                self._trouble.append(f"everything worked again, and something is missing; last failures: {failures}")
                return
            pace.wait(LOOK_SECONDS)

    def _missing(self) -> set[str]:
        unsettled = {one.name for one in self._clinicians if one.stage != "has finished"}
        try:
            return unsettled or {str(one) for one in findings(self._collect()) if one.kind is Kind.LOST}
        except RuntimeError:  # somebody noted something while it was read
            return {"something comes"}

    def _collect(self) -> Records:
        return Records(
            pages=[clinician.noted for clinician in self._clinicians],
            dashboards=[dashboard.noted for dashboard in self._dashboards],
            server=server_record(self._system.database("server"), after=self._after),
            clients=[
                client_record(self._system.database(name), client_id, after=self._first_id)
                for name, client_id in CLIENT_IDS.items()
            ],
        )
