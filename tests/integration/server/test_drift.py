"""Drift over HTTP: from patients that client apps sent, for operators alone, through a restart and a new model."""

from collections.abc import Iterable
from typing import Any

from common.messages import Event, PredictRequest
from tests.integration.server.conftest import Join
from tests.support.made_requests import request
from tests.support.speaking import Browser, ClientApp

ENOUGH = 100


def send(client: ClientApp, requests: Iterable[PredictRequest]) -> None:
    """Send patients and wait until each is answered."""
    sent = list(requests)
    for one in sent:
        client.send(Event.PREDICT, one.to_wire())
    for one in sent:
        client.answered(one.request_id)


def without_cholesterol(number: int) -> PredictRequest:
    asked = request(number)
    return asked.model_copy(update={"record": asked.record.model_copy(update={"cholesterol": None})})


def drift_of(browser: Browser, client_id: str | None) -> Any:
    (group,) = (group for group in browser.get("/api/drift").json["groups"] if group["client_id"] == client_id)
    return group


def test_nothing_is_told_until_the_hundredth_patient_is_answered(join: Join, signed_in: Browser) -> None:
    client = join("Client-2")
    assert [group["summary"] for group in signed_in.get("/api/drift").json["groups"]] == [
        "0 of 100 patients needed"
    ] * 4
    send(client, map(without_cholesterol, range(1, ENOUGH)))
    early = drift_of(signed_in, "Client-2")
    assert (early["summary"], early["status"], early["findings"]) == ("99 of 100 patients needed", None, [])
    send(client, [without_cholesterol(ENOUGH)])
    told = drift_of(signed_in, "Client-2")
    assert (told["patients"], told["status"]) == (ENOUGH, "large")
    assert "Serum cholesterol is not measured for 100\u202f% of Client-2's patients; in training 0\u202f%." in [
        finding["sentence"] for finding in told["findings"]
    ]
    assert drift_of(signed_in, None)["patients"] == ENOUGH
    assert drift_of(signed_in, "Client-1")["summary"] == "0 of 100 patients needed"
