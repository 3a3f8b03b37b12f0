"""What Prometheus reads, and which alert fires when something breaks."""

import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from client.outbox import Outbox
from common.messages import RiskLevel
from config.secrets import PROJECT_ROOT
from config.settings import ClientSettings
from server.registry.artifact import FOREST_FILE, active_folder
from tests.integration.server.conftest import RunningServer, StartServer
from tests.support.desk import Desk
from tests.support.llm_server import LanguageModel, answers
from tests.support.made_requests import id_of, request, submission
from tests.support.model_versions import activate, flip_a_byte
from tests.support.prometheus import RULES, STEPS, Series, assert_fires, going_on, named, needs_promtool, series_of
from tests.support.serving import ASYNC_MODE
from tests.support.speaking import Browser, ClientApp, Connection
from tests.support.stalls import database_held
from tests.support.truthful import explains
from tests.support.waiting import wait_until

TOKEN = "the-token-of-prometheus"
BEARER = f"Bearer {TOKEN}"
DASHBOARD = PROJECT_ROOT / "deploy" / "grafana" / "dashboard.json"
LABELS = {"level", "stage", "le", "code", "reason", "namespace", "state", "source", "version", "client_id"}
LABELS |= {"generation", "implementation", "major", "minor", "patchlevel"}
SERVER = {"job": "heart-server", "instance": "server:5000"}
DESK = {"job": "heart-client", "instance": "desk:5001"}
LAST_READ = named("heart_log_last_read_timestamp_seconds", **SERVER)


@dataclass
class Watched:
    """A server with a language model, and a real client app of Client-1."""

    server: RunningServer
    desk: Desk
    model: LanguageModel
    others: dict[str, ClientApp]

    def text(self) -> str:
        answer = Browser(self.server.url).get("/metrics", Authorization=BEARER)
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.body.decode()

    def text_of_desk(self) -> str:
        return self.desk.visitor().get("/metrics", headers={"Authorization": BEARER}).get_data(as_text=True)

    def scrape(self, **target: str) -> Series:
        return series_of(self.text(), **target)

    def scrape_desk(self, **target: str) -> Series:
        return series_of(self.text_of_desk(), **target)

    def await_series(self, name: str, value: float, scrape: Callable[[], Series] | None = None, **labels: str) -> None:
        wait_until(lambda: (scrape or self.scrape)().get(named(f"heart_{name}", **labels)) == value)


@pytest.fixture
def watched(
    start_server: StartServer, model_folder: Path, tmp_path: Path, connections: list[Connection]
) -> Iterator[Watched]:
    with LanguageModel(explains) as model:
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
        others = {name: ClientApp(server.url, server.token(name)) for name in ("Client-2", "Client-3")}
        connections.extend(others.values())
        with closing(Outbox(tmp_path / "client.sqlite")) as outbox:
            desk = Desk(settings, outbox)
            with desk.open():
                desk.relay.start()
                watched = Watched(server, desk, model, others)
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
    text = watched.text() + watched.text_of_desk()
    exist = set(re.findall(r"^# TYPE (\w+)", text, re.M))  # of some there is no sample until something goes wrong
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    shown = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    for read in (shown, RULES.read_text(encoding="utf-8")):
        used = {name.removesuffix("_bucket") for name in re.findall(r"\b(?:heart|process)_[a-z_]+", read)}
        assert len(used) > 10
        assert used <= exist


@pytest.mark.full
def test_real_faults_show_in_what_the_alerts_read(
    watched: Watched, model_folder: Path, other_detector_dir: Path, connections: list[Connection]
) -> None:
    watched.model.script = answers(401)
    client = watched.others["Client-2"]
    client.ask_for_changes(waiting=7)
    for number in range(100):
        client.predict(request(number).to_wire())
    client.answered(id_of(99))
    series = watched.scrape()
    assert sum(series[named("heart_predictions_total", level=level)] for level in RiskLevel) == 100
    for stage in ("waiting", "scoring", "commit", "answer"):
        assert series[named("heart_stage_seconds_count", stage=stage)] == 100
    assert series[named("heart_client_app_waiting_requests", client_id="Client-2")] == 7
    assert series[named("heart_drift", client_id="Client-2")] in {0, 1, 2}

    client.predict(request(0).to_wire() | {"patient_reference": "of somebody else"})
    watched.await_series("refused_requests_total", 1, code="request_id_reused")
    client.predict({})
    watched.await_series("refusals_total", 1, code="invalid_message")
    connections.append(ClientApp(watched.server.url, watched.server.token("Client-2"), instance="another"))
    watched.await_series("disconnects_total", 1, namespace="/clients", reason="connection_replaced")
    watched.others["Client-3"].close()
    watched.await_series("client_app_connected", 0, client_id="Client-3")

    watched.await_series("language_model_circuit", 1, state="open")

    (before,) = (name for name in series if name.startswith("heart_model_info"))
    activate(other_detector_dir, model_folder)
    wait_until(lambda: before not in watched.scrape())
    flip_a_byte(active_folder(model_folder) / FOREST_FILE)
    watched.await_series("model_refused", 1)

    with database_held(watched.server.database):
        watched.await_series("ready", 0)  # not at once: it is checked every second
        watched.desk.client.outbox.put(submission(201), request(201).entered_at)
        watched.desk.relay.wake()
        broken = watched.scrape()
        assert broken[named("heart_database_up")] == 0
        assert time.time() - broken[named("heart_log_last_read_timestamp_seconds")] > 0.4
        desk = watched.scrape_desk()
        assert desk[named("heart_outbox_requests")] == 1
        assert desk[named("heart_outbox_oldest_age_seconds")] > 1000  # it was entered in March
    watched.await_series("database_up", 1)
    watched.await_series("outbox_oldest_age_seconds", 0, watched.scrape_desk)

    last = watched.scrape()
    assert "somebody else" not in str(last)
    assert set(re.findall(r'(\w+)="', str(last))) <= LABELS
    of_each_client_app = sum('"Client-2"' in name for name in last)
    assert of_each_client_app == 3
    assert len(last) + 47 * of_each_client_app <= 400


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


def as_it_went(after: Series, before: Series) -> dict[str, str]:
    """Return series in which every 15 seconds happens what happened between two scrapes."""
    series = {}
    for name, value in after.items():
        rise = value - before.get(name, 0.0)
        if name.startswith("heart_log_last_read"):
            series[name] = f"0+15x{STEPS}" if rise else going_on(0)
        elif "_total{" in name or "_bucket{" in name:
            series[name] = f"0+{rise}x{STEPS}"
        else:
            series[name] = going_on(value)
    return series


@pytest.mark.full
@needs_promtool
def test_real_faults_fire_their_own_alert(
    watched: Watched, start_server: StartServer, other_detector_dir: Path, tmp_path: Path
) -> None:
    up = {named("up", **one): going_on(1) for one in (SERVER, DESK)}
    watched.others["Client-2"].ask_for_changes()
    before = (watched.scrape(**SERVER), watched.scrape_desk(**DESK))

    def case(**more: str) -> dict[str, str]:
        after = (watched.scrape(**SERVER), watched.scrape_desk(**DESK))
        return up | as_it_went(after[0], before[0]) | as_it_went(after[1], before[1]) | more

    wait_until(lambda: watched.scrape(**SERVER)[LAST_READ] > before[0][LAST_READ])
    cases = [(case(), list[str]())]
    with database_held(tmp_path / "client.sqlite"):
        watched.await_series("ready", 0, watched.scrape_desk)
        cases.append((case(), ["NotReady"]))
    watched.await_series("ready", 1, watched.scrape_desk)
    other = start_server(metrics_token=TOKEN, model_dir=other_detector_dir)
    text = Browser(other.url).get("/metrics", Authorization=BEARER).body.decode()
    two = {"job": "heart-server", "instance": "two:5000"}
    cases.append((case(**as_it_went(series_of(text, **two), {})), ["ModelsDiffer"]))
    other.server.real_time.stop()
    with database_held(watched.server.database):
        watched.await_series("database_up", 0)
        held = (watched.scrape(**SERVER), watched.scrape_desk(**DESK))
        cases.append((up | as_it_went(held[0], held[0]) | as_it_went(held[1], held[1]), ["DatabaseUnreachable"]))
    watched.await_series("database_up", 1)
    watched.others["Client-3"].close()
    watched.await_series("client_app_connected", 0, client_id="Client-3")
    cases.append((case(), ["ClientAppAway"]))
    assert_fires(tmp_path, cases)


@needs_promtool
def test_each_fault_fires_its_own_alert_and_a_healthy_system_none(watched: Watched, tmp_path: Path) -> None:
    watched.others["Client-2"].ask_for_changes()
    server = {name: going_on(value) for name, value in watched.scrape(**SERVER).items()}
    desk = {name: going_on(value) for name, value in watched.scrape_desk(**DESK).items()}
    desk[named("up", **DESK)] = going_on(1)

    def at(name: str, **labels: str) -> str:
        return named(f"heart_{name}", **SERVER | labels)

    (model,) = (name for name in server if name.startswith("heart_model_info"))
    rising, none, some = f"0+15x{STEPS}", going_on(0), going_on(1)
    healthy = desk | server | {named("up", **SERVER): some, LAST_READ: rising}
    slow = {at("stage_seconds_bucket", stage="commit", le=le): rising for le in ("1.0", "2.5", "5.0", "10.0", "+Inf")}
    faults: dict[str, dict[str, str]] = {
        "NotReady": {at("ready", **DESK): none},
        "DatabaseUnreachable": {
            **dict.fromkeys((at("database_up"), at("ready"), LAST_READ), none),
            at("refusals_total", code="store_unavailable"): rising,
        },
        "LogLags": {LAST_READ: none},
        "LogBehind": {at("log_behind_entries"): going_on(2000)},
        "EntriesLost": {at("log_lost_entries_total"): f"0x100 7x{STEPS}"},
        "NoLeader": {at("server_leads"): none},
        "CommitsSlow": slow,
        "ClientAppAway": {at("client_app_connected", client_id="Client-3"): none},
        "OutboxOld": {at("outbox_oldest_age_seconds", **DESK): rising},
        "LanguageModelPaused": {at("language_model_circuit", state="closed"): none},
        "ModelsDiffer": {at("model_info", version="another", instance="two:5000"): some},
        "ModelChanged": {model: f"1x170 stale _x{STEPS}", at("model_info", version="another"): f"_x171 1x{STEPS}"},
        "ModelRefused": {at("model_refused"): some},
        "Drift": {at("drift", client_id="Client-2"): going_on(2)},
        "ManyRefusals": {at("refusals_total", code="overloaded"): rising},
        "ManyDisconnects": {at("disconnects_total", reason="connection_replaced", namespace="/clients"): rising},
    }
    # Series that a healthy system has none of.
    new = {"refusals_total", "drift", "disconnects_total", "another", "behind", "leads"}
    assert {name for changes in faults.values() for name in changes if not any(one in name for one in new)} <= set(
        healthy
    )
    assert {*faults, "ServerDown"} == set(re.findall(r"alert: (\w+)", RULES.read_text(encoding="utf-8")))
    cases = [(healthy | changes, [alert]) for alert, changes in faults.items()]
    server_down = desk | {named("up", **SERVER): none}
    assert_fires(tmp_path, [(healthy, []), (server_down, ["ServerDown"]), *cases])
