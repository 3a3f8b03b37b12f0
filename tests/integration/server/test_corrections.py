"""Corrections and withdrawals over real sockets: what followers and totals show, whatever comes first."""

from typing import Any

from common.messages import ChangeKind
from tests.integration.server.conftest import Join, StartServer, Watch
from tests.support.made_requests import request
from tests.support.speaking import Browser, ClientApp

STORED = {"status": "stored", "error": None}


def asked(number: int, **changes: object) -> dict[str, Any]:
    return request(number).to_wire() | changes


def withdraw(client: ClientApp, number: int) -> Any:
    return client.ask("withdraw", {"request_id": f"request-{number}"})


def entry_of(client: ClientApp, kind: ChangeKind) -> Any:
    return client.entry(lambda entry: bool(entry["kind"] == kind))


def test_a_correction_reaches_open_dashboards_and_its_own_client_app_and_leaves_the_totals(
    join: Join, watch: Watch, signed_in: Browser
) -> None:
    dashboard, client, other = watch(), join("Client-1"), join("Client-2")
    client.predict(asked(1))
    old = client.answered("request-1")
    other.predict(asked(3, corrects="request-1"))  # which is not its own
    other.answered("request-3")
    client.predict(asked(2, corrects="request-1"))
    new = client.answered("request-2")
    assert new.corrects == "request-1"
    superseded = entry_of(client, ChangeKind.PREDICTION_SUPERSEDED)
    assert (superseded["request_id"], superseded["prediction_id"]) == ("request-1", old.prediction_id)
    assert superseded["superseded_by"] == "request-2"
    assert dashboard.entry(lambda entry: bool(entry["superseded_by"])) == superseded
    page = signed_in.get("/api/predictions").json
    assert (page["totals"]["predictions"], page["totals"]["by_client"]) == (2, {"Client-1": 1, "Client-2": 1})
    marks = {item["prediction"]["request_id"]: item["superseded_by"] for item in page["predictions"]}
    assert marks == {"request-1": "request-2", "request-2": None, "request-3": None}
    assert signed_in.get(f"/api/predictions/{old.prediction_id}").json["superseded_by"] == "request-2"
    assert other.entries == []


def test_what_waits_in_the_batcher_is_withdrawn_for_good_and_another_client_apps_is_not(
    start_server: StartServer, join: Join
) -> None:
    server = start_server(answering=False)
    client, other = join(to=server), join("Client-2", to=server)
    for number in (1, 2):
        assert client.predict(asked(number))["status"] == "accepted"
    assert withdraw(other, 2) == withdraw(client, 1) == withdraw(client, 1) == STORED
    tombstone = entry_of(client, ChangeKind.PREDICTION_ERASED)
    assert (tombstone["request_id"], tombstone["prediction_id"]) == ("request-1", None)
    server.server.service.start()
    client.answered("request-2")
    assert server.server.service.store.end().totals.predictions == 1
    assert client.predict(asked(1))["error"]["code"] == "erased"  # which arrives late
