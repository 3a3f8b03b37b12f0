"""A real Llama model behind the real system: it writes badly, and under a grammar of true texts every text is true."""

from collections.abc import Iterator

import pytest

from common.csv_rows import read_patients
from common.messages import Explanation
from common.patient import FIELDS
from tests.integration.server.conftest import StartServer
from tests.llama.oracle import untruths
from tests.llama.running import llama_server
from tests.llama.server import MODEL
from tests.support.made_requests import request
from tests.support.patients import DATA
from tests.support.speaking import Browser, ClientApp, Connection

PATIENTS = 2
PATIENTS_IN_FULL = 40
SECONDS = 100


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    with llama_server() as url:
        yield url


@pytest.mark.parametrize(
    "patients",
    [
        pytest.param(PATIENTS, marks=pytest.mark.timeout(300)),
        pytest.param(PATIENTS_IN_FULL, marks=[pytest.mark.full, pytest.mark.timeout(3600)]),
    ],
)
def test_whatever_a_real_model_writes_what_is_shown_is_true(
    start_server: StartServer, llama: str, connections: list[Connection], patients: int
) -> None:
    running = start_server(llm_base_url=llama, llm_model=MODEL, llm_timeout_seconds=SECONDS, llm_concurrency=1)
    client = ClientApp(running.url, running.token())
    connections.append(client)
    for number in range(1, patients + 1):
        client.predict(request(number).to_wire() | {"record": real_record(number)})
        prediction = client.answered(f"request-{number}")
        explanation = explained(client)
        assert untruths(explanation.text, prediction) == []
        assert explanation.source == "llm", explanation.reason
        assert explanation.total_ms is not None
    operator = Browser(running.url)
    operator.sign_in(running.operator_token)
    counted = operator.get("/api/status").json["explanations"]
    assert sum(counted["finished"]["by_source"].values()) == patients
    assert counted["circuit"]["state"] == "closed"  # the model answered each time


def real_record(number: int) -> dict[str, object]:
    return read_patients(DATA, needs_label=False)[number].record.model_dump(mode="json")


def explained(client: ClientApp) -> Explanation:
    """Return the final explanation, which may take several answers to follow."""
    return Explanation.check(client.entry(lambda entry: entry["explanation"] is not None)["explanation"])


def test_the_oracle_of_these_tests_finds_untruths(start_server: StartServer, connections: list[Connection]) -> None:
    running = start_server()
    client = ClientApp(running.url, running.token())
    connections.append(client)
    client.predict(request(1).to_wire() | {"record": real_record(1)})
    prediction = client.answered("request-1")
    assert untruths(prediction.explanation.text, prediction) == []
    assert untruths("The score is 0.123.", prediction) == ["0.123"]
    largest = max(prediction.contributions, key=lambda item: abs(item.contribution))
    verb = "lowers" if largest.contribution > 0 else "raises"
    assert untruths(f"The {FIELDS[largest.field].label} {verb} the score.", prediction) != []
    other = "Low" if prediction.risk_level != "Low" else "High"
    assert untruths(f"The risk level is {other}.", prediction) == [other]
