"""Two servers behind nginx that share a PostgreSQL: nobody notices which one they are at, or that one dies."""

import signal
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.scale import measure, scaled
from tests.faults.rounds import Rounds
from tests.faults.schedules import CLIENT_LINKS, SERVERS, Fault
from tests.faults.system import System
from tests.support.project_copy import copy_project
from tests.support.speaking import Browser, Dashboard
from tests.support.system_parts import Clinician
from tests.support.waiting import WAIT_SECONDS, wait_until

pytestmark = pytest.mark.timeout(400)

A_SERVER_DIES = [Fault("kill", "server-1", at=1.0, seconds=1.5)]
BOTH_ARE_RESTARTED = [
    Fault("restart", "server-1", at=0.5, seconds=0.2),
    Fault("restart", "server-2", at=2.3, seconds=0.2),
]
THE_DATABASE_DIES = [Fault("kill", "postgres", at=1.0, seconds=1.5)]
FULL_SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> Iterator[Rounds]:
    folder = tmp_path_factory.mktemp("faults")
    with closing(Rounds(folder, async_mode="eventlet", model_dir=detector_dir, is_scaled=True)) as rounds:
        yield rounds


@pytest.mark.parametrize(
    ("seed", "faults"),
    [
        pytest.param(1, A_SERVER_DIES, id="a server dies"),
        pytest.param(2, BOTH_ARE_RESTARTED, id="both are restarted", marks=pytest.mark.full),
        pytest.param(3, THE_DATABASE_DIES, id="the database dies", marks=pytest.mark.full),
        *(pytest.param(seed, None, marks=pytest.mark.full) for seed in FULL_SEEDS),
    ],
)
def test_what_a_clinician_saw_as_saved_is_stored_and_shown_once_at_every_server(
    rounds: Rounds, seed: int, faults: Sequence[Fault] | None
) -> None:
    outcome = rounds.run(seed, faults=faults)
    assert outcome.trouble == [], outcome.faults
    assert outcome.predictions > 0


@pytest.mark.full
def test_entries_reach_a_dashboard_at_the_other_server_once_and_soon() -> None:
    with scaled(2) as (servers, database):
        found = measure(servers, database, rate=80, seconds=60)
    print(f"answers: {found.answers}; at the other server: {found.elsewhere}")
    assert found.answers.number == 80 * 60
    assert found.elsewhere
    assert found.elsewhere.p99 < 100


class Desk(threading.Thread):
    """A clinician who enters a patient as soon as the last one was answered; ``waits`` are the seconds each took."""

    def __init__(self, link: str) -> None:
        super().__init__(daemon=True)
        self.waits: list[float] = []
        self.leaving = threading.Event()
        self._link = link

    def run(self) -> None:
        with Clinician(self._link) as clinician:
            while not self.leaving.is_set():
                began = time.monotonic()
                clinician.answers([clinician.submit()])
                self.waits.append(time.monotonic() - began)

    def goes_on(self) -> None:
        """Wait until some more patients were answered."""
        before = len(self.waits)
        wait_until(lambda: len(self.waits) > before + 2)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("scale")
    tree = copy_project(folder / "tree")
    system = System(folder / "system", tree=tree, model_dir=detector_dir, async_mode="eventlet", is_scaled=True)
    with closing(system):
        system.wait_until_started()
        yield system


def enter_meanwhile(system: System, act: Callable[[], None]) -> list[float]:
    """Enter patients at every desk while something happens, and until all goes on; return how long each waited."""
    desks = [
        Desk(f"{system.apps[name].url}/sign-in#token={system.tokens[f'CLIENT_{number}_CLINICIAN_TOKEN']}")
        for number, name in enumerate(CLIENT_LINKS, start=1)
    ]
    for desk in desks:
        desk.start()
    for desk in desks:
        desk.goes_on()
    act()
    for desk in desks:
        desk.goes_on()
        desk.leaving.set()
    for desk in desks:
        desk.join(WAIT_SECONDS)
    return [wait for desk in desks for wait in desk.waits]


def kill_and_start(system: System, name: str) -> None:
    system.apps[name].end(signal.SIGKILL)
    system.apps[name].start()
    system.apps[name].wait_until_started()


def restart_one_after_the_other(system: System) -> None:
    for name in SERVERS:
        system.apps[name].end()
        system.apps[name].start()
        system.apps[name].wait_until_started()


@pytest.mark.full
@pytest.mark.parametrize(
    ("happens", "seconds"),
    [
        pytest.param(lambda system: kill_and_start(system, "server-1"), 2, id="server-1 is killed"),
        pytest.param(lambda system: kill_and_start(system, "server-2"), 2, id="server-2 is killed"),
        pytest.param(restart_one_after_the_other, 2, id="both are restarted"),
    ],
)
def test_no_desk_waits_long_for_an_answer(system: System, happens: Callable[[System], None], seconds: float) -> None:
    waits = enter_meanwhile(system, lambda: happens(system))
    print(f"{len(waits)} patients, median wait {statistics.median(waits):.3f} s, longest {max(waits):.2f} s")
    assert max(waits) < seconds


@pytest.mark.full
def test_no_desk_waits_three_seconds_longer_than_the_database_was_away(system: System) -> None:
    took = []

    def kill_and_recover() -> None:
        assert system.postgres
        began = time.monotonic()
        system.postgres.stop()
        system.postgres.start()
        took.append(time.monotonic() - began)

    waits = enter_meanwhile(system, kill_and_recover)
    print(f"away for {took[0]:.2f} s, longest wait {max(waits):.2f} s")
    assert max(waits) < took[0] + 3


@pytest.mark.full
def test_people_sign_in_and_out_at_whichever_server_they_are_led_to(system: System) -> None:
    entrance, token = system.links["dashboard-1"].url, system.tokens["OPERATOR_TOKEN"]
    for _ in range(50):
        browser = Browser(entrance)
        assert browser.sign_in(token).status == 204
        assert browser.get("/api/predictions").status == 200
    pages = [Dashboard(system.apps[name].url, browser.cookie) for name in SERVERS]
    assert browser.post("/sign-out", {}).status == 204
    assert [page.closing()["code"] for page in pages] == ["not_signed_in"] * 2
    for page in pages:
        page.close()
