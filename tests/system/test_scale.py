"""Two servers behind nginx that share a PostgreSQL: nobody notices which one they are at, or that one dies."""

import signal
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.scale import measure, scaled
from common.messages import Event
from tests.faults.records import Json, ServerRecord, canonical, client_record, server_record
from tests.faults.rounds import Rounds
from tests.faults.schedules import DATABASE_LINKS, SERVERS, Fault
from tests.faults.system import CLIENT_IDS, System
from tests.llama.server import MODEL, llama_server
from tests.support.project_copy import copy_project
from tests.support.speaking import Browser, ClientApp, Dashboard
from tests.support.system_parts import Clinician, enter_meanwhile
from tests.support.waiting import wait_until

pytestmark = pytest.mark.timeout(400)

A_SERVER_DIES = [Fault("kill", "server-1", at=1.0, seconds=1.5)]
BOTH_ARE_RESTARTED = [
    Fault("restart", "server-1", at=0.5, seconds=0.2),
    Fault("restart", "server-2", at=2.3, seconds=0.2),
]
THE_DATABASE_DIES = [Fault("kill", "postgres", at=1.0, seconds=1.5)]
FULL_SEEDS = (1, 2, 3)

LEADS = "this server leads"

Desks = list[Callable[[], None]]
"""What enters a patient at each desk."""


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
    for told in found.sequences:
        assert told == list(range(1, len(told) + 1))
    assert found.elsewhere
    assert found.elsewhere.p99 < 100


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("scale")
    tree = copy_project(folder / "tree")
    system = System(folder / "system", tree=tree, model_dir=detector_dir, async_mode="eventlet", is_scaled=True)
    with closing(system):
        system.wait_until_started()
        yield system


@pytest.fixture
def desks(system: System) -> Iterator[Desks]:
    with ExitStack() as stack:
        yield [stack.enter_context(Clinician(link)).enter for link in system.desk_links]


def kill_and_start(system: System, name: str) -> None:
    system.apps[name].end(signal.SIGKILL)
    system.apps[name].start()
    system.apps[name].wait_until_started()


def restart(system: System, *names: str) -> None:
    for name in names:
        system.apps[name].end()
        system.apps[name].start()
        system.apps[name].wait_until_started()


def of_record(system: System) -> dict[str, Json]:
    return {row["request_id"]: row["body"] for row in stored(system).predictions}


def stored(system: System) -> ServerRecord:
    return server_record(system.database("server"), after=0)


@pytest.mark.full
@pytest.mark.parametrize(
    ("happens", "seconds"),
    [
        pytest.param(lambda system: kill_and_start(system, "server-1"), 2, id="server-1 is killed"),
        pytest.param(lambda system: kill_and_start(system, "server-2"), 2, id="server-2 is killed"),
        pytest.param(lambda system: restart(system, *SERVERS), 2, id="both are restarted"),
    ],
)
def test_no_desk_waits_long_for_an_answer(
    system: System, desks: Desks, happens: Callable[[System], None], seconds: float
) -> None:
    waits = enter_meanwhile(desks, lambda: happens(system))
    print(f"{len(waits)} patients, median wait {statistics.median(waits):.3f} s, longest {max(waits):.2f} s")
    assert max(waits) < seconds


@pytest.mark.full
def test_no_desk_waits_three_seconds_longer_than_the_database_was_away(system: System, desks: Desks) -> None:
    took = []

    def kill_and_recover() -> None:
        assert system.postgres
        began = time.monotonic()
        system.postgres.stop()
        system.postgres.start()
        took.append(time.monotonic() - began)

    waits = enter_meanwhile(desks, kill_and_recover)
    print(f"away for {took[0]:.2f} s, longest wait {max(waits):.2f} s")
    assert max(waits) < took[0] + 3


@pytest.mark.full
def test_a_server_that_is_cut_off_from_the_database_refuses_for_now_and_another_leads(
    system: System, desks: Desks
) -> None:
    cut, other = (system.apps[name] for name in SERVERS)
    other.end()
    wait_until(lambda: LEADS in cut.text)
    other.start()
    other.wait_until_started()
    took = {}

    def cut_off() -> None:
        fault, began = Fault("stall", DATABASE_LINKS[0], at=0, seconds=0), time.monotonic()
        system.begin(fault)
        wait_until(lambda: Browser(cut.url).get("/readyz").status == 503)
        took["not ready"] = time.monotonic() - began
        assert Browser(cut.url).get("/livez").status == 200
        wait_until(lambda: LEADS in other.text_since_start)
        took["another leads"] = time.monotonic() - began
        wait_until(lambda: time.monotonic() > began + 12)
        system.end(fault)

    waits = enter_meanwhile(desks, cut_off)
    print(f"{took}, {len(waits)} patients, longest wait {max(waits):.2f} s")
    assert took["not ready"] < 5
    assert took["another leads"] < 10
    assert max(waits) < 10
    cut.wait_until_started()


@pytest.mark.full
def test_one_token_at_two_servers_the_older_connection_is_closed_with_the_reason(system: System) -> None:
    first, second = (system.apps[name].url for name in SERVERS)
    token = system.tokens["CLIENT_1_TOKEN"]
    system.apps["client-1"].end()
    older = ClientApp(first, token, instance="one")
    newer, began = ClientApp(second, token, instance="another"), time.monotonic()
    assert older.next(Event.CLOSING)["reason"]["code"] == "connection_replaced"
    assert time.monotonic() - began < 1
    newer.close()
    older.close()
    system.apps["client-1"].start()
    system.apps["client-1"].wait_until_started()


@pytest.mark.full
@pytest.mark.timeout(900)
def test_explanations_under_way_end_once_and_by_the_model_though_both_servers_are_restarted(
    tmp_path: Path, detector_dir: Path
) -> None:
    with llama_server() as url, ExitStack() as stack:
        model: dict[str, Any] = {
            "LLM_BASE_URL": url,
            "LLM_MODEL": MODEL,
            "LLM_TIMEOUT_SECONDS": 100,
            "LLM_CONCURRENCY": 1,
        }
        tree = copy_project(tmp_path / "tree")
        system = System(
            tmp_path / "s", tree=tree, model_dir=detector_dir, async_mode="eventlet", is_scaled=True, **model
        )
        stack.enter_context(closing(system))
        system.wait_until_started()
        clinicians = [stack.enter_context(Clinician(link)) for link in system.desk_links]
        for name in SERVERS:
            for clinician in clinicians * 2:
                clinician.enter()
            restart(system, name)

        def finished() -> list[Json]:
            return [one for one in stored(system).changes if one["kind"] == "explanation_finished"]

        wait_until(lambda: len(finished()) >= 12, 400)
        assert {one["explanation"]["source"] for one in finished()} == {"llm"}
        assert len({one["prediction_id"] for one in finished()}) == len(finished()) == 12


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


@pytest.mark.full
def test_what_a_failover_took_back_the_client_apps_send_again(system: System, desks: Desks) -> None:
    """The last test, since the standby stays."""
    assert system.postgres
    standby = system.postgres.standby()  # not started, so that it lacks what comes now
    enter_meanwhile(desks, lambda: system.fail_over(standby))

    def on_disks() -> dict[str, Json]:
        clients = [client_record(system.database(name), client_id, after="") for name, client_id in CLIENT_IDS.items()]
        return {row["request_id"]: row["prediction"] for client in clients for row in client.requests}

    wait_until(lambda: canonical(on_disks()) == canonical(of_record(system)))
    assert any("it lacks at least" in system.apps[name].text for name in SERVERS)
