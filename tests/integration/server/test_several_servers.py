"""Servers on PostgreSQL: what each of two has to know of the other, and what becomes of one whose database hangs."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from common.access.accounts import People
from common.access.passwords import password_hash
from common.access.roles import Role
from server.cluster import Cluster
from server.store.access import access_store
from server.store.database import open_database
from tests.faults.proxy import FaultyLink
from tests.integration.server.conftest import Join, RunningServer, StartServer
from tests.support.made_requests import id_of, request
from tests.support.postgres import Postgres, at_port
from tests.support.processes import TOKENS
from tests.support.speaking import Answer, Browser, ClientApp, Connection, Dashboard, RefusedError
from tests.support.stalls import LoopWatch
from tests.support.waiting import wait_until

PASSWORD = "correct horse battery staple"


@pytest.fixture
def url(postgres_server: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty record; the servers' secrets are given."""
    for name, value in TOKENS.items():
        monkeypatch.setenv(name, value)
    return postgres_server.new_database("template")


@pytest.fixture
def two(start_server: StartServer, url: str, connections: list[Connection]) -> Iterator[list[RunningServer]]:
    servers = [start_server(database_url=url) for _ in range(2)]
    yield servers
    for connection in connections:
        connection.close()
    for one in servers:
        one.server.real_time.stop()


@pytest.fixture
def join(connections: list[Connection]) -> Join:
    def connect(to: RunningServer, client_id: str = "Client-1", **changes: object) -> ClientApp:
        connections.append(client := ClientApp(to.url, to.token(client_id), **changes))
        return client

    return connect


@pytest.fixture
def watch(connections: list[Connection]) -> Callable[[Browser], Dashboard]:
    def connect(browser: Browser) -> Dashboard:
        connections.append(dashboard := Dashboard(browser.url, browser.cookie))
        return dashboard

    return connect


def cluster_of(server: RunningServer) -> Cluster:
    assert server.server.service.cluster is not None
    return server.server.service.cluster


def is_connected(client_id: str, status: Any) -> bool:
    return any(one["client_id"] == client_id and one["connected"] for one in status["clients"])


def leading(status: Any) -> list[bool]:
    return sorted(one["leads"] for one in status["servers"])


def test_the_newer_connection_wins_at_whichever_server(two: list[RunningServer], join: Join) -> None:
    first, second = two
    older = join(first, instance="one")
    newer = join(second, instance="another", attempt=5)
    assert older.closing()["code"] == "connection_replaced"
    with pytest.raises(RefusedError) as refused:
        join(first, instance="another", attempt=4)
    assert refused.value.said["data"]["code"] == "outdated_attempt"
    latest = join(first, instance="another", attempt=6)
    assert newer.closing()["code"] == "outdated_attempt"
    assert latest.ask_for_changes()["entries"] == []


def test_every_dashboard_shows_every_client_app_server_and_prediction(
    two: list[RunningServer], join: Join, watch: Callable[[Browser], Dashboard]
) -> None:
    first, second = two
    there = watch(second.signed_in())
    client = join(first, "Client-2")
    there.status_with(partial(is_connected, "Client-2"))
    client.ask_for_changes(waiting=7)
    there.status_with(lambda status: [one["waiting"] for one in status["clients"]] == [None, 7, None])
    assert client.predict(request(1).to_wire())["status"] == "accepted"
    assert there.entry()["request_id"] == id_of(1)
    shown = there.status_with(lambda status: sorted(one["leads"] for one in status["servers"]) == [False, True])[
        "servers"
    ]
    model = first.server.service.model.detector.model_version
    assert [(one["model"], one["answers"]) for one in shown] == [(model, True)] * 2
    client.close()
    there.status_with(lambda status: not is_connected("Client-2", status))
    first.server.service.stop()
    there.status_with(lambda status: leading(status) == [True])


def test_a_session_is_one_at_all_servers(two: list[RunningServer], watch: Callable[[Browser], Dashboard]) -> None:
    first, second = two
    for _ in range(3):
        browser, there = Browser(first.url), Browser(second.url)
        token = browser.csrf_token()
        there.cookies = browser.cookies  # one browser, which its proxy leads to another server
        assert there.post("/sign-in", {"token": second.operator_token}, X_CSRFToken=token).status == 204
        assert browser.get("/api/model").status == 200  # at once
    pages = [watch(browser), watch(there)]
    assert browser.post("/sign-out", {}).status == 204
    assert [page.closing()["code"] for page in pages] == ["not_signed_in"] * 2
    assert there.get("/api/model").status == 401


@pytest.mark.full
def test_failed_passwords_add_up_and_a_link_works_all_the_same(two: list[RunningServer], url: str) -> None:
    people = People(access_store(two[0].settings))
    people.set_password(people.add("Ada", Role.OPERATOR, "x" * 40, 0), password_hash(PASSWORD, "Ada"))

    def tried(server: RunningServer, password: str) -> Answer:
        return Browser(server.url).post("/sign-in", {"name": "Ada", "password": password})

    assert [tried(two[number % 2], "wrong").status for number in range(10)] == [401] * 10
    beyond = [tried(server, PASSWORD) for server in two]
    assert [answer.status for answer in beyond] == [429, 429]
    assert 1 <= int(beyond[1].headers["Retry-After"]) <= 300
    assert Browser(two[1].url).sign_in("x" * 40).status == 204


@pytest.mark.full
def test_only_the_one_that_leads_erases_what_is_too_old(start_server: StartServer, url: str, join: Join) -> None:
    passed = [timedelta(0)]
    changes: dict[str, Any] = {"retention_days": 1, "clock": lambda: datetime.now(UTC) + passed[-1]}
    servers = [start_server(database_url=url, **changes) for _ in range(2)]
    (leader,) = wait_until(lambda: [one for one in servers if cluster_of(one).leads])
    assert join(leader).predict(request(1).to_wire())["status"] == "accepted"
    wait_until(lambda: leader.server.service.store.end().totals.predictions == 1)
    passed.append(timedelta(days=2))
    left = []
    for one in sorted(servers, key=lambda server: server is leader):
        one.server.service.erase_old()
        left.append(one.server.service.store.end().totals.predictions)
    assert left == [1, 0]


@pytest.mark.full  # it waits for ten seconds
def test_a_server_that_is_cut_off_refuses_for_now_and_another_leads(
    start_server: StartServer,
    url: str,
    postgres_server: Postgres,
    join: Join,
    watch: Callable[[Browser], Dashboard],
) -> None:
    link = FaultyLink(postgres_server.port)
    cut = start_server(database_url=at_port(url, link.port))
    clusters = [cluster_of(cut)]
    wait_until(lambda: clusters[0].leads)
    other = start_server(database_url=url)
    clusters.append(cluster_of(other))
    client, page, page_of_cut = join(cut, "Client-3"), watch(other.signed_in()), watch(cut.signed_in())
    page.status_with(partial(is_connected, "Client-3"))
    link.begin("stall")
    began, both = time.monotonic(), 0

    def passed(holds: Callable[[], bool]) -> float:
        nonlocal both
        while not holds():
            both += all(cluster.leads for cluster in clusters)
            time.sleep(0.02)
        return time.monotonic() - began

    try:
        assert passed(lambda: Browser(cut.url).get("/readyz").status == 503) < 5
        assert Browser(cut.url).get("/livez").status == 200
        for reader in (client, page_of_cut):
            assert reader.closing()["code"] == "store_unavailable"
        assert time.monotonic() - began < 6
        with pytest.raises(RefusedError) as kept_out:  # with a status that leads a proxy to another server
            join(cut, "Client-1")
        assert kept_out.value.said == 503
        assert passed(lambda: clusters[1].leads) < 10
        page.status_with(lambda status: not is_connected("Client-3", status))
        assert time.monotonic() - began < 10
        assert both == 0
    finally:
        link.heal()
    wait_until(lambda: Browser(cut.url).get("/readyz").status == 200)
    assert [cluster.leads for cluster in clusters] == [False, True]
    join(cut, "Client-3", attempt=2)
    page.status_with(partial(is_connected, "Client-3"))
    for one in (cut, other):
        one.server.real_time.stop()
    link.close()


def test_while_postgresql_hangs_a_server_lives_and_refuses_for_now_and_goes_on_when_it_is_back(
    start_server: StartServer, url: str, postgres_server: Postgres, join: Join
) -> None:
    server = start_server(database_url=url)
    client, visitor = join(server), Browser(server.url)
    assert client.predict(request(1).to_wire())["status"] == "accepted"
    client.entry()
    wait_until(lambda: visitor.get("/readyz").status == 200)
    with postgres_server.hanging():
        began = time.monotonic()
        client.send("predict", request(2).to_wire())  # on its way when it begins to hang
        wait_until(lambda: visitor.get("/readyz").status == 503)
        assert time.monotonic() - began < 5
        assert client.closing()["code"] == "store_unavailable"
        assert visitor.get("/livez").status == 200
        assert visitor.get("/api/status").json == {"status": "not_ready", "ready": False}
    wait_until(lambda: visitor.get("/readyz").status == 200)
    client = join(server)
    for number in (2, 3):
        message = request(number).to_wire()
        wait_until(lambda: client.predict(message)["status"] == "stored")  # noqa: B023 - at once
    assert server.server.service.store.end().totals.predictions == 3
    server.server.real_time.stop()


def test_a_slow_query_holds_nobody_up(url: str) -> None:
    """On an idle machine the loop stands still for 8 to 11 ms; where psycopg waits in C, as long as the query runs."""
    engine = open_database(url)
    with engine.connect() as connection, LoopWatch() as watch:
        connection.execute(text("SELECT pg_sleep(2)"))
    engine.dispose()
    assert watch.longest < 1.0
