"""What an outage in the middle of work costs, ours beside the usual way to scale; ``benchmarks.scale`` runs it."""

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import socketio
import uuid_utils
from socketio.exceptions import SocketIOError

from benchmarks.usual_way import shipped_records
from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, Event
from config.secrets import PROJECT_ROOT
from tests.faults.people import Dashboard
from tests.faults.records import DashboardRecord, last_sequence, server_record
from tests.faults.schedules import DASHBOARD_LINKS, DATABASE_LINKS, SERVERS, Fault
from tests.faults.system import System
from tests.support.nginx import NO_TLS, balancer, listens
from tests.support.processes import Process, free_ports
from tests.support.project_copy import copy_project
from tests.support.system_parts import Clinician, enter_meanwhile
from tests.support.waiting import wait_until

DESKS = 3
OUTAGE_SECONDS = 4.0
GIVEN_UP_SECONDS = 8.0

OF_SERVERS = {"a server is killed": [("kill", "server-1")], "a server hangs": [("pause", "server-2")]}
OF_OURS = {
    "PostgreSQL is killed": [("kill", "postgres")],
    "PostgreSQL hangs": [("stall", one) for one in DATABASE_LINKS],
}
OF_THE_USUAL = {"Redis is killed": [("kill", "redis")], "Redis hangs": [("pause", "redis")]}

Outcome = tuple[list[float], int, int, int]
"""Seconds that each patient took, how many were not answered, and what the worse dashboard and a new one lack."""


def print_outages() -> None:
    """Print what became of the patients in each outage, ours and the usual way."""
    print(f"Two servers behind nginx, {DESKS} desks that enter one patient after the other, each outage for", end=" ")
    print(f"{OUTAGE_SECONDS:.0f} s; what the worse of two dashboards, and a new one, lack in the end")
    has_redis = find_spec("redis") is not None and shutil.which("redis-server") is not None
    for name, run, outages in (("ours", _ours, OF_OURS), ("the usual way", _usual, OF_THE_USUAL)):
        if run is _usual and not has_redis:
            print('  the usual way is left out: it needs redis-server and pip install -e ".[peers]"')
            continue
        with tempfile.TemporaryDirectory() as folder, run(Path(folder)) as outcome_of:
            for outage, broken in (OF_SERVERS | outages).items():
                waits, unanswered, lacks, lacks_later = outcome_of([Fault(*one, 0, OUTAGE_SECONDS) for one in broken])
                print(
                    f"  {name + ', ' + outage:<36} {len(waits):4} patients   not answered {unanswered:2}   "
                    f"longest wait {max(waits):4.1f} s   lacks {lacks:3}, {lacks_later:3}",
                    flush=True,
                )


def _break(system: "System | _Usual", faults: Sequence[Fault]) -> None:
    for fault in faults:
        system.begin(fault)
    time.sleep(OUTAGE_SECONDS)
    for fault in faults:
        system.end(fault)


def _lacking(wanted: set[str], shown: Callable[[], set[str]]) -> int:
    with suppress(AssertionError):
        wait_until(lambda: shown() >= wanted, GIVEN_UP_SECONDS)
    return len(wanted - shown())


@contextmanager
def _ours(folder: Path) -> Iterator[Callable[[Sequence[Fault]], Outcome]]:
    tree, model = copy_project(folder / "tree"), PROJECT_ROOT / "saved_models"
    system = System(folder / "system", tree=tree, model_dir=model, async_mode="eventlet", is_scaled=True)
    record = system.database("server")

    def outcome_of(faults: Sequence[Fault]) -> Outcome:
        after, proof = last_sequence(record), (system.tokens["OPERATOR_TOKEN"], system.cookies["server"])
        urls = [system.links[name].url for name in DASHBOARD_LINKS]
        boards = [Dashboard(DashboardRecord(url), url, *proof, since=after) for url in urls]
        for board in boards:
            board.start()
            board.reads.wait(GIVEN_UP_SECONDS)
        waits = enter_meanwhile(desks, partial(_break, system, faults))
        stored = {row["request_id"] for row in server_record(record, after=after).predictions}
        lacks = [_lacking(stored, partial(_shown, board)) for board in boards]
        for board in boards:
            board.leaving.set()
            board.join(GIVEN_UP_SECONDS)
        later = {one["request_id"] for one in boards[0].load()}
        return waits, len(waits) - len(stored), max(lacks), len(stored - later)

    with closing(system), ExitStack() as stack:
        system.wait_until_started()
        desks = [stack.enter_context(Clinician(link)).enter for link in system.desk_links]
        yield outcome_of


def _shown(board: Dashboard) -> set[str]:
    return {entry["request_id"] for entry in board.noted.taken}


class _Usual:
    """Two servers of the usual way and their Redis."""

    def __init__(self, folder: Path) -> None:
        *self.ports, redis = free_ports(3)
        told, server = {"REDIS_URL": f"redis://127.0.0.1:{redis}"}, ["-m", "benchmarks.usual_way"]
        run = f"import os; os.execlp('redis-server', 'redis-server', '--port', '{redis}', '--save', '')"
        self.programs = {"redis": Process(["-c", run], folder, {"PORT": redis}, log=folder / "redis.log")}
        for name, port in zip(SERVERS, self.ports, strict=True):
            log = folder / f"{name}.log"
            self.programs[name] = Process(server, PROJECT_ROOT, told | {"PORT": str(port)}, log=log)
        wait_until(lambda: listens(redis))

    def begin(self, fault: Fault) -> None:
        self.programs[fault.target].running.send_signal(signal.SIGKILL if fault.kind == "kill" else signal.SIGSTOP)

    def end(self, fault: Fault) -> None:
        program = self.programs[fault.target]
        if fault.kind == "pause":
            program.running.send_signal(signal.SIGCONT)
        else:
            program.wait()
            program.start()


@contextmanager
def _usual(folder: Path) -> Iterator[Callable[[Sequence[Fault]], Outcome]]:
    with ExitStack() as stack:
        system = _Usual(folder)
        for program in system.programs.values():
            stack.callback(program.end, signal.SIGKILL)
        url = stack.enter_context(balancer(folder / "nginx", system.ports, NO_TLS)).url

        def outcome_of(faults: Sequence[Fault]) -> Outcome:
            for name in SERVERS:
                system.programs[name].wait_until_started()
            with ExitStack() as pages:
                boards = [pages.enter_context(closing(_UsualPage(url, OPERATORS_NAMESPACE))) for _ in DASHBOARD_LINKS]
                desks = [pages.enter_context(closing(_UsualPage(url, CLIENTS_NAMESPACE))) for _ in range(DESKS)]
                waits = enter_meanwhile([desk.enter for desk in desks], partial(_break, system, faults))
                answered = set[str]().union(*(desk.heard for desk in desks))
                lacks = [_lacking(answered, board.heard.copy) for board in boards]
                later = pages.enter_context(closing(_UsualPage(url, OPERATORS_NAMESPACE)))
                return waits, len(waits) - len(answered), max(lacks), _lacking(answered, later.heard.copy)

        yield outcome_of


class _UsualPage:
    """A page as the library's documentation has it: it connects again by itself, and nobody sends anything twice."""

    def __init__(self, url: str, namespace: str) -> None:
        self.heard: set[str] = set()
        self._record = shipped_records()[0].model_dump(mode="json")
        self._client = socketio.Client()
        self._client.on("scored", self.heard.update, namespace=namespace)
        self._client.on("prediction_result", self._answered, namespace=namespace)
        self._client.connect(url, namespaces=[namespace], transports=["websocket"])

    def close(self) -> None:
        self._client.disconnect()

    def _answered(self, answer: dict[str, Any]) -> None:
        self.heard.add(answer["request_id"])

    def enter(self) -> None:
        """Enter a patient and wait for the answer."""
        message = {"request_id": str(uuid_utils.uuid7()), "record": self._record}
        with suppress(SocketIOError, AssertionError):
            wait_until(lambda: self._client.connected, GIVEN_UP_SECONDS)
            self._client.emit(Event.PREDICT, message, namespace=CLIENTS_NAMESPACE)
            wait_until(lambda: message["request_id"] in self.heard, GIVEN_UP_SECONDS)
