"""What an outage in the middle of work costs, ours beside the usual way to scale; ``benchmarks.scale`` runs it."""

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import socketio
import uuid_utils
from socketio.exceptions import SocketIOError

from common.messages import CLIENTS_NAMESPACE, OPERATORS_NAMESPACE, Event
from config.secrets import PROJECT_ROOT
from tests.faults.parts import FaultyProcess, Part
from tests.faults.people import Dashboard
from tests.faults.records import DashboardRecord, server_record
from tests.faults.schedules import DASHBOARD_LINKS, DATABASE_LINKS, SERVERS
from tests.faults.system import System
from tests.support.nginx import balancer
from tests.support.patients import real_records
from tests.support.processes import free_ports, listens
from tests.support.system_parts import Clinician, enter_meanwhile
from tests.support.waiting import wait_until

DESKS = 3
OUTAGE_SECONDS = 4.0
GIVEN_UP_SECONDS = 8.0

RUN_REDIS = """
import os
os.execlp("redis-server", "redis-server", "--port", os.environ["PORT"], "--save", "")
"""

USUAL_SERVER = ["-m", "benchmarks.usual_way"]

OF_SERVERS = {"a server is killed": ("kill", "server-1"), "a server hangs": ("pause", "server-2")}
OF_OURS = {"PostgreSQL is killed": ("kill", "postgres"), "PostgreSQL hangs": ("stall", *DATABASE_LINKS)}
OF_THE_USUAL = {"Redis is killed": ("kill", "redis"), "Redis hangs": ("pause", "redis")}


class OurDashboard(Dashboard):
    """Follows as the operators' page does; ``answered`` are the requests that it has shown."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(DashboardRecord("dashboard"), url, token, {}, since=0)
        self.answered: set[str] = set()
        self.start()
        self.reads.wait(GIVEN_UP_SECONDS)

    def _show(self, loaded: list[dict[str, Any]]) -> None:
        self.answered |= {one["request_id"] for one in loaded}

    def _apply(self, run: dict[str, Any]) -> None:
        self.answered |= {entry["request_id"] for entry in run["entries"]}

    def close(self) -> None:
        self.leaving.set()
        self.join(GIVEN_UP_SECONDS)


class UsualPage:
    """A page as the library's documentation has it: it connects again by itself, and nobody sends anything twice."""

    def __init__(self, url: str, namespace: str) -> None:
        self.answered: set[str] = set()
        self._record = real_records()[0].model_dump(mode="json")
        self._client = socketio.Client()
        self._client.on("scored", self.answered.update, namespace=namespace)
        self._client.on("prediction_result", lambda one: self.answered.add(one["request_id"]), namespace=namespace)
        self._client.connect(url, namespaces=[namespace], transports=["websocket"])

    def close(self) -> None:
        self._client.disconnect()

    def enter(self) -> None:
        """Enter a patient and wait for the answer."""
        message = {"request_id": str(uuid_utils.uuid7()), "record": self._record}
        with suppress(SocketIOError, AssertionError):
            wait_until(lambda: self._client.connected, GIVEN_UP_SECONDS)
            self._client.emit(Event.PREDICT, message, namespace=CLIENTS_NAMESPACE)
            wait_until(lambda: message["request_id"] in self.answered, GIVEN_UP_SECONDS)


class Redis(FaultyProcess):
    """Says nothing of its own when it answers."""

    def wait_until_started(self) -> str:
        wait_until(lambda: listens(self.port))
        return self.url


@dataclass(frozen=True)
class Way:
    """A running system: its parts by their names, and how to open a dashboard and the desk of a number.

    ``stored`` reads the request ids in the record of the servers, if they keep one.
    """

    parts: Mapping[str, Part]
    dashboard: Callable[[], OurDashboard | UsualPage]
    desk: Callable[[int], AbstractContextManager[Clinician | UsualPage]]
    stored: Callable[[], set[str]] | None = None


@contextmanager
def _ours(folder: Path) -> Iterator[Way]:
    with ExitStack() as ending:
        system = System(ending, folder / "system", PROJECT_ROOT / "saved_models", is_scaled=True)
        links = {name: system.links[name] for name in DATABASE_LINKS}
        parts: dict[str, Part] = {**system.apps, **links, "postgres": system.postgres}
        board = partial(OurDashboard, system.links[DASHBOARD_LINKS[0]].url, system.tokens["OPERATOR_TOKEN"])

        def stored() -> set[str]:
            record = server_record(system.database("server"), after=0)
            return {row["request_id"] for row in record.predictions}

        yield Way(parts, board, lambda number: Clinician(system.desk_links[number]), stored)


@contextmanager
def _usual(folder: Path) -> Iterator[Way]:
    with ExitStack() as ending:
        ports = dict(zip(("redis", *SERVERS), free_ports(3), strict=True))
        parts = {}
        for name, port in ports.items():
            process, command = (Redis, ["-c", RUN_REDIS]) if name == "redis" else (FaultyProcess, USUAL_SERVER)
            settings = {"PORT": port, "REDIS_URL": f"redis://127.0.0.1:{ports['redis']}"}
            parts[name] = process(command, PROJECT_ROOT, settings, log=folder / f"{name}.log")
            ending.callback(parts[name].end, signal.SIGKILL)
        port = ending.enter_context(balancer(folder / "nginx", [ports[name] for name in SERVERS]))
        board = partial(UsualPage, f"http://127.0.0.1:{port}", OPERATORS_NAMESPACE)
        yield Way(parts, board, lambda _: closing(UsualPage(f"http://127.0.0.1:{port}", CLIENTS_NAMESPACE)))


def print_outages() -> None:
    """Print what became of the patients in each outage, ours and the usual way."""
    print(f"Two servers behind nginx, {DESKS} desks that enter one patient after the other, each outage for", end=" ")
    print(f"{OUTAGE_SECONDS:.0f} s; what the worse of two dashboards, and a new one, lack in the end")
    _print_way("ours", _ours, OF_OURS)
    if find_spec("redis") is None or shutil.which("redis-server") is None:
        print('  the usual way is left out: it needs redis-server and pip install -e ".[peers]"')
    else:
        _print_way("the usual way", _usual, OF_THE_USUAL)


def _print_way(
    name: str, run: Callable[[Path], AbstractContextManager[Way]], outages: Mapping[str, Sequence[str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder, run(Path(folder)) as way:
        for outage, (kind, *targets) in {**OF_SERVERS, **outages}.items():
            for part in way.parts.values():
                if isinstance(part, FaultyProcess):
                    part.wait_until_started()
            with ExitStack() as pages:
                boards = [pages.enter_context(closing(way.dashboard())) for _ in DASHBOARD_LINKS]
                desks = [pages.enter_context(way.desk(number)) for number in range(DESKS)]
                broken = [way.parts[target] for target in targets]
                waits = enter_meanwhile([desk.enter for desk in desks], partial(_break, broken, kind))
                answered = set[str]().union(*(desk.answered for desk in desks))
                if way.stored:  # an answer that is not in the record is none
                    answered &= way.stored()
                lacks = max(_lacking(answered, board) for board in boards)
                lacks_later = _lacking(answered, pages.enter_context(closing(way.dashboard())))
            print(
                f"  {name + ', ' + outage:<36} {len(waits):4} patients   not answered {len(waits) - len(answered):2}   "
                f"longest wait {max(waits):4.1f} s   lacks {lacks:3}, {lacks_later:3}",
                flush=True,
            )


def _break(parts: Sequence[Part], kind: str) -> None:
    for part in parts:
        part.begin(kind)
    time.sleep(OUTAGE_SECONDS)
    for part in parts:
        part.heal()


def _lacking(answered: set[str], board: OurDashboard | UsualPage) -> int:
    with suppress(AssertionError):
        wait_until(lambda: board.answered >= answered, GIVEN_UP_SECONDS)
    return len(answered - board.answered)
