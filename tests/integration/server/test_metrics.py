"""What Prometheus reads, and which alert fires when something breaks."""

import json
import logging
import re
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from client.outbox import Outbox
from common.messages import RiskLevel
from config.secrets import CLIENT_IDS, PROJECT_ROOT
from config.settings import ClientSettings
from server import cluster
from server.registry.artifact import FOREST_FILE, active_folder
from server.store import PredictionStore
from server.store.database import open_database
from tests.faults import proxy
from tests.faults.proxy import FaultyLink
from tests.integration.server.conftest import RunningServer, StartServer, stop
from tests.support.desk import Desk
from tests.support.llm_server import LanguageModel, answers
from tests.support.made_requests import id_of, request, submission
from tests.support.model_versions import activate, flip_a_byte
from tests.support.postgres import at_port, postgres
from tests.support.processes import TOKENS, Process, free_ports, run
from tests.support.prometheus import (
    RULES,
    STEPS,
    Series,
    assert_fires,
    going_on,
    named,
    needs_prometheus,
    prometheus,
    series_of,
)
from tests.support.recording import made, stored
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import Browser, ClientApp, Connection
from tests.support.stalls import database_held
from tests.support.truthful import explains
from tests.support.waiting import wait_until

TOKEN = "the-token-of-prometheus"
BEARER = f"Bearer {TOKEN}"
DASHBOARD = PROJECT_ROOT / "deploy" / "grafana" / "dashboard.json"
LABELS = {"level", "stage", "le", "code", "reason", "namespace", "state", "source", "version", "client_id"}
LABELS |= {"generation", "implementation", "major", "minor", "patchlevel", "job", "instance"}
SERVER = {"job": "heart-server", "instance": "server:5000"}
FAR = {"job": "heart-server", "instance": "far:5000"}
DESK = {"job": "heart-client", "instance": "desk:5001"}
LAST_READ = named("heart_log_last_read_timestamp_seconds", **SERVER)
JUST_NOW = 5.0
OFTEN = 10
"""Refusals that are too many if they come every 15 s."""
HAPPENS = 160
"""Of ``STEPS``, when a fault begins."""


def metrics_of(server: RunningServer) -> str:
    answer = Browser(server.url).get("/metrics", Authorization=BEARER)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return answer.body.decode()


@dataclass
class Watched:
    """A server with a language model, a real client app of Client-1, and connections of the others."""

    server: RunningServer
    desk: Desk
    desk_database: Path
    model: LanguageModel
    others: dict[str, ClientApp]
    start_server: StartServer
    other_model: Path

    def text_of_desk(self) -> str:
        return self.desk.visitor().get("/metrics", headers={"Authorization": BEARER}).get_data(as_text=True)

    def scrape(self, **target: str) -> Series:
        return series_of(metrics_of(self.server), **target)

    def scrape_desk(self, **target: str) -> Series:
        return series_of(self.text_of_desk(), **target)

    def figures(self) -> Series:
        up = {named("up", **one): 1.0 for one in (SERVER, DESK)}
        return up | self.scrape(**SERVER) | self.scrape_desk(**DESK)

    def await_series(self, name: str, value: float, scrape: Callable[[], Series] | None = None, **labels: str) -> None:
        wait_until(lambda: (scrape or self.scrape)().get(named(f"heart_{name}", **labels)) == value)

    def join(self, ending: ExitStack, client_id: str, instance: str) -> None:
        joined = ClientApp(self.server.url, self.server.token(client_id), instance=instance)
        ending.callback(joined.close)


@pytest.fixture
def watched(
    start_server: StartServer,
    model_folder: Path,
    other_detector_dir: Path,
    tmp_path: Path,
) -> Iterator[Watched]:
    with LanguageModel(explains) as model, ExitStack() as opened:
        server = start_server(
            metrics_token=TOKEN, llm_base_url=model.url, model_dir=model_folder, model_watch_seconds=0.05
        )
        settings = ClientSettings.model_validate(
            {
                "client_id": "Client-1",
                "server_url": server.url,
                "reconnect_max_seconds": 0.2,
                "socketio_async_mode": ASYNC_MODE,
                "data_dir": tmp_path / "data",
                "secrets_dir": server.settings.secrets_dir,
                "metrics_token": TOKEN,
            }
        )
        others = {
            name: opened.enter_context(closing(ClientApp(server.url, server.token(name))))
            for name in ("Client-2", "Client-3")
        }
        database = tmp_path / "client.sqlite"
        with closing(Outbox(database)) as outbox:
            desk = Desk(settings, outbox)
            with desk.open():
                desk.relay.start()
                watched = Watched(server, desk, database, model, others, start_server, other_detector_dir)
                watched.await_series("link_up", 1, watched.scrape_desk)
                yield watched


def test_without_a_token_there_are_no_metrics_and_with_one_they_are_for_nobody_else(
    running: RunningServer, start_server: StartServer
) -> None:
    assert Browser(running.url).get("/metrics", Authorization=BEARER).status == 404
    server = start_server(metrics_token=TOKEN)
    operator = Browser(server.url)
    operator.sign_in(server.operator_token)
    for given in (None, BEARER + "x", "Bearer ", f"Basic {TOKEN}", f"Bearer {server.token()}"):
        assert operator.get("/metrics", Authorization=given).status == 401


def test_the_dashboard_and_the_alerts_read_what_there_is(watched: Watched) -> None:
    """A single figure is one of now: over a span Grafana would go on showing a model or an app that is gone."""
    text = metrics_of(watched.server) + watched.text_of_desk()
    exist = set(re.findall(r"^# TYPE (\w+)", text, re.M))  # of some there is no sample until something goes wrong
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert all(target["instant"] for panel in panels if panel["type"] == "stat" for target in panel["targets"])
    shown = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    for read in (shown, RULES.read_text(encoding="utf-8")):
        used = {name.removesuffix("_bucket") for name in re.findall(r"\b(?:heart|process)_[a-z_]+", read)}
        assert len(used) > 10
        assert used <= exist


@pytest.mark.full
def test_what_happens_to_a_hundred_patients_is_counted_and_says_nothing_of_them(watched: Watched) -> None:
    client = watched.others["Client-2"]
    client.ask_for_changes(waiting=7)
    predict(client, 100)
    client.predict(request(0).to_wire() | {"patient_reference": "of somebody else"})
    watched.await_series("refused_requests_total", 1, code="request_id_reused")
    series = watched.scrape()
    assert sum(series[named("heart_predictions_total", level=level)] for level in RiskLevel) == 100
    for stage in ("waiting", "scoring", "commit", "answer"):
        assert series[named("heart_stage_seconds_count", stage=stage)] == 100
    assert series[named("heart_client_app_waiting_requests", client_id="Client-2")] == 7
    assert series[named("heart_drift", client_id="Client-2")] in {0, 1, 2}
    assert "somebody else" not in str(series)
    assert_no_other_labels(series)
    of_each_client_app = sum('"Client-2"' in name for name in series)
    assert of_each_client_app == 3
    assert len(series) + 47 * of_each_client_app <= 400


def assert_no_other_labels(series: Iterable[str]) -> None:
    assert set(re.findall(r'(\w+)="', " ".join(series))) <= LABELS


def predict(client: ClientApp, number: int, **changes: object) -> None:
    """Send so many patients, and wait for the answers."""
    for place in range(number):
        message = request(place).to_wire()
        client.predict(message | {"record": message["record"] | changes})
    client.answered(id_of(number - 1))


def test_one_id_leads_from_the_page_through_both_logs_to_the_explanation(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), closing(watched.desk.page(watched.desk.clinician())) as page:
        page.submit(submission(7).to_wire())
        wait_until(lambda: "the language model's explanation was stored" in caplog.text)
        wait_until(lambda: "the answer was saved" in caplog.text)
    about = [(one.name, one.getMessage()) for one in caplog.records if getattr(one, "request_id", "") == id_of(7)]
    assert sorted(about) == [
        ("client.relay", "sent to the server: predict"),
        ("client.relay", "the answer was saved"),
        ("client.sockets", "a patient was saved"),
        ("server.explanations", "the language model's explanation was stored"),
        ("server.predictions", "1 predictions were stored"),
    ]


def not_ready(watched: Watched, ending: ExitStack) -> None:
    ending.enter_context(database_held(watched.desk_database))
    watched.await_series("ready", 0, watched.scrape_desk)


def database_unreachable(watched: Watched, ending: ExitStack) -> Series:
    """Let patients come meanwhile, which are refused, and be it long enough that the log was read long ago."""
    ending.enter_context(database_held(watched.server.database))
    watched.await_series("database_up", 0)
    watched.await_series("ready", 0)  # not at once: it is checked every second
    said: Counter[str] = Counter()

    def is_refused_often() -> bool:
        said[watched.others["Client-2"].predict(request(1).to_wire())["status"]] += 1
        return said["refused"] >= OFTEN

    wait_until(is_refused_often)
    return {LAST_READ: 0}


def log_lags(watched: Watched, ending: ExitStack) -> None:
    """Let another program write an entry that cannot be read: its time is no text."""
    with closing(sqlite3.connect(watched.server.database)) as other, other:
        other.execute("UPDATE change_counter SET value = value + 1")
        columns = dict.fromkeys(("kind", "client_id", "request_id"), "x") | {"at": b"no text"}
        (last,) = other.execute("SELECT value FROM change_counter").fetchone()
        statement = "INSERT INTO changes (sequence, kind, client_id, request_id, at) VALUES (?, ?, ?, ?, ?)"
        other.execute(statement, [last, *columns.values()])
    wait_until(lambda: time.time() - watched.scrape(**SERVER)[LAST_READ] > JUST_NOW)


def client_app_away(watched: Watched, ending: ExitStack) -> None:
    watched.others["Client-3"].close()
    watched.await_series("client_app_connected", 0, client_id="Client-3")


def outbox_old(watched: Watched, ending: ExitStack) -> None:
    """Let another client app use the token of the desk, whose link then waits."""
    watched.join(ending, "Client-1", "elsewhere")
    watched.await_series("link_up", 0, watched.scrape_desk)
    watched.desk.client.outbox.put(submission(201), request(201).entered_at)  # in March
    watched.await_series("outbox_requests", 1, watched.scrape_desk)


def many_disconnects(watched: Watched, ending: ExitStack) -> None:
    for number in range(1, 4):
        watched.join(ending, "Client-2", f"another-{number}")
        watched.await_series("disconnects_total", number, namespace="/clients", reason="connection_replaced")


def many_refusals(watched: Watched, ending: ExitStack) -> None:
    for _ in range(OFTEN):
        watched.others["Client-2"].predict({})
    watched.await_series("refusals_total", OFTEN, code="invalid_message")


def language_model_paused(watched: Watched, ending: ExitStack) -> None:
    watched.model.script = answers(401)
    predict(watched.others["Client-2"], 20)
    watched.await_series("language_model_circuit", 1, state="open")


def model_changed(watched: Watched, ending: ExitStack) -> None:
    (before,) = (name for name in watched.scrape() if name.startswith("heart_model_info"))
    activate(watched.other_model, watched.server.settings.model_dir)
    wait_until(lambda: before not in watched.scrape())


def model_refused(watched: Watched, ending: ExitStack) -> None:
    flip_a_byte(active_folder(watched.server.settings.model_dir) / FOREST_FILE)
    watched.await_series("model_refused", 1)


def models_differ(watched: Watched, ending: ExitStack) -> Series:
    other = watched.start_server(metrics_token=TOKEN, model_dir=watched.other_model)
    return series_of(metrics_of(other), job="heart-server", instance="two:5000")


def drift(watched: Watched, ending: ExitStack) -> Series:
    """Let patients come whose blood pressure is measured in another way; a server that starts compares at once."""
    predict(watched.others["Client-2"], 100, resting_bp=190.0)
    other = watched.start_server(metrics_token=TOKEN)
    return {name: value for name, value in series_of(metrics_of(other), **SERVER).items() if "heart_drift" in name}


FAULTS: dict[str, Callable[[Watched, ExitStack], Series | None]] = {
    "": lambda *_: None,
    "NotReady": not_ready,
    "DatabaseUnreachable": database_unreachable,
    "LogLags": log_lags,
    "ClientAppAway": client_app_away,
    "OutboxOld": outbox_old,
    "ManyDisconnects": many_disconnects,
    "ManyRefusals": many_refusals,
    "LanguageModelPaused": language_model_paused,
    "ModelChanged": model_changed,
    "ModelRefused": model_refused,
    "ModelsDiffer": models_differ,
    "Drift": drift,
}
"""What breaks something real, by the alert; nothing fires none."""

SLOW = {"NotReady", "LogLags", "LanguageModelPaused", "Drift"}

OF_SEVERAL = {"CommitsSlow", "NoLeader", "EntriesLost", "LogBehind"}
"""Alerts that faults of PostgreSQL fire."""

GO_ON = {"DatabaseUnreachable", "ManyRefusals", "CommitsSlow"}
"""Alerts of what happens all the time; other faults happen once."""


def as_it_went(before: Series, after: Series, *, goes_on: bool) -> dict[str, str]:
    """Return series that go from one scrape to the next: counters rise once, or again every 15 s if it goes on."""
    series = {}
    for name in before.keys() | after.keys():
        value, rise = after.get(name, 0.0), after.get(name, 0.0) - before.get(name, 0.0)
        is_counter = "_total{" in name or "_bucket{" in name
        if name.startswith("heart_log_last_read"):
            series[name] = f"0+15x{STEPS}" if time.time() - value < JUST_NOW else going_on(0)
        elif is_counter and goes_on:
            series[name] = f"0+{rise}x{STEPS}"
        elif name not in before:
            series[name] = f"_x{HAPPENS + 1} {value}x{STEPS}"
        elif is_counter:
            series[name] = f"{before[name]}x{HAPPENS} {value}x{STEPS}"
        else:
            series[name] = going_on(value) if name in after else f"{before[name]}x{HAPPENS} stale _x{STEPS}"
    return series


@needs_prometheus
@pytest.mark.parametrize("alert", [pytest.param(one, marks=pytest.mark.full if one in SLOW else []) for one in FAULTS])
def test_a_real_fault_fires_its_own_alert_and_no_other(alert: str, watched: Watched, tmp_path: Path) -> None:
    before = watched.figures()
    with ExitStack() as ending:
        more = FAULTS[alert](watched, ending) or {}
        went = as_it_went(before, watched.figures(), goes_on=alert in GO_ON)
    series = went | {name: going_on(value) for name, value in more.items()}
    assert_no_other_labels(series)
    assert_fires(tmp_path, [(series, [alert] if alert else [])])


def test_every_alert_is_fired_by_a_real_fault() -> None:
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")))
    assert alerts == {*FAULTS, *OF_SEVERAL, "ServerDown"} - {""}


@pytest.mark.full
@needs_prometheus
def test_real_faults_of_postgresql_fire_their_own_alert(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch, connections: list[Connection], tmp_path: Path
) -> None:
    for name, value in TOKENS.items():
        monkeypatch.setenv(name, value)
    with postgres() as database:
        url = database.new_database()
        with psycopg.connect(url) as other:
            other.execute("SELECT pg_advisory_lock(%s)", [cluster._LOCK])  # as a server that hangs
            server = start_server(database_url=url, metrics_token=TOKEN)
            client, *others = (ClientApp(server.url, server.token(name)) for name in CLIENT_IDS)
            connections += [client, *others]

            def scrape() -> Series:
                return series_of(metrics_of(server), **SERVER)

            def leads() -> float:
                return scrape()[named("heart_server_leads", **SERVER)]

            def case(before: Series, alert: str) -> tuple[dict[str, str], list[str]]:
                return as_it_went(before, scrape(), goes_on=alert in GO_ON), [alert]

            wait_until(lambda: scrape()[named("heart_database_up", **SERVER)])
            cases = [case(scrape(), "NoLeader")]
        wait_until(leads)

        before = scrape()
        with psycopg.connect(url) as other:
            other.execute("SELECT value FROM change_counter FOR UPDATE")
            client.predict(request(1).to_wire())
            locked_at = time.monotonic()
            wait_until(lambda: time.monotonic() > locked_at + 0.7)
        client.answered(id_of(1))
        cases.append(case(before, "CommitsSlow"))

        before = scrape()
        with closing(FaultyLink(database.port)) as link:
            far = start_server(database_url=at_port(url, link.port), metrics_token=TOKEN)
            monkeypatch.setattr(proxy, "SLOW_BYTES", 4096)  # 200 kB a second: not enough to read all that is stored
            link.begin("slow")
            with closing(PredictionStore(open_database(url))) as elsewhere:
                for first in range(1000, 3000, 100):
                    stored(elsewhere, *(made(number) for number in range(first, first + 100)))

            def behind() -> Series:
                found = series_of(metrics_of(far), **FAR)
                reads = time.time() - found[named("heart_log_last_read_timestamp_seconds", **FAR)] < JUST_NOW
                return found if reads and found[named("heart_log_behind_entries", **FAR)] > 1000 else {}

            cases.append((as_it_went(before, wait_until(behind) | scrape(), goes_on=False), ["LogBehind"]))
            stop(far)

        standby, before = database.standby(), scrape()  # not started, so that it lacks what comes now
        client.predict(request(2).to_wire())
        client.answered(id_of(2))
        database.fail_over(standby)
        wait_until(lambda: scrape()[named("heart_log_lost_entries_total", **SERVER)])
        connections += (ClientApp(server.url, server.token(name), attempt=2) for name in CLIENT_IDS)
        wait_until(leads)
        cases.append(case(before, "EntriesLost"))
        server.server.real_time.stop()
        server.server.service.stop()
    for series, _ in cases:
        assert_no_other_labels(series)
    assert_fires(tmp_path, cases)


@pytest.mark.full
@needs_prometheus
def test_prometheus_with_the_shipped_configuration_reads_both_apps_and_misses_a_server_that_was_killed(
    processes: list[Process], environment: dict[str, str], tmp_path: Path
) -> None:
    environment["METRICS_TOKEN"] = TOKEN
    server = run(processes, environment)
    port = free_ports(1)[0]
    of_desk = {"PORT": str(port), "CLIENT_ID": "Client-1", "SERVER_URL": server.url}
    run(processes, environment | of_desk, "client")
    with prometheus(tmp_path, TOKEN, {"127.0.0.1:5000": server.url[7:], "127.0.0.1:5001": f"127.0.0.1:{port}"}) as ask:
        wait_until(lambda: len(ask("heart_ready == 1")) == 2)
        server.end(signal.SIGKILL)
        wait_until(lambda: ask('up{job="heart-server"} == 0'))
        series = {name: going_on(value) for name, value in ask('{job=~"heart-.*"}').items()}
    assert_fires(tmp_path, [(series, ["ServerDown"])])
