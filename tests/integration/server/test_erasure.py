"""Erasing beside a running server: every reader hears of it, and nothing is scored anew."""

from collections.abc import Callable
from typing import Any

import pytest

from server.store.__main__ import main
from tests.integration.server.conftest import Join, RunningServer, StartServer, now
from tests.support.made_requests import request
from tests.support.speaking import Browser, ClientApp
from tests.support.waiting import wait_until


@pytest.fixture
def erase(running: RunningServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """The command, with connections of its own to the record."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{running.database}")
    monkeypatch.setenv("DATA_DIR", str(running.settings.data_dir))
    return lambda reference: main(["erase", "--patient-reference", reference])


def is_tombstone(entry: Any) -> bool:
    return bool(entry["kind"] == "prediction_erased")


def asked(number: int, reference: str) -> dict[str, object]:
    return request(number).to_wire() | {"patient_reference": reference}


def test_an_erased_request_that_comes_again_is_refused_for_good_and_never_scored(
    running: RunningServer, erase: Callable[[str], int], join: Join, start_server: StartServer, signed_in: Browser
) -> None:
    client = join()
    client.predict(asked(1, "to be erased"))
    client.answered("request-1")
    assert erase("to be erased") == 0
    client.entry(is_tombstone)
    refused_for_good(client, asked(1, "to be erased"))
    refused_for_good(client, asked(1, "another patient"))
    client.close()
    running.server.service.stop()
    refused_for_good(join(to=start_server()), asked(1, "to be erased"))
    assert signed_in.get("/api/predictions").json["predictions"] == []


def refused_for_good(client: ClientApp, message: dict[str, object]) -> None:
    """Send again until it shows at the write that the patient was erased."""
    error = wait_until(lambda: client.predict(message)["error"])
    assert (error["code"], error["retryable"]) == ("erased", False)


def test_the_server_erases_what_is_older_than_it_is_kept_for(
    running: RunningServer, join: Join, start_server: StartServer, signed_in: Browser
) -> None:
    client = join()
    client.predict(asked(1, "A"))
    client.answered("request-1")
    client.close()
    running.server.service.stop()
    later = start_server(retention_days=1, clock=lambda: now().replace(year=now().year + 1))
    reader = later.signed_in()
    again = join(to=later)
    again.entry(is_tombstone)
    refused_for_good(again, asked(1, "A"))
    assert reader.get("/api/status").json["totals"]["predictions"] == 0
