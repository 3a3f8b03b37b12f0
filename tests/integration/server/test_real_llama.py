"""A real Llama model behind the real system: it writes badly, and under a grammar of true texts every text is true."""

import re
from collections.abc import Iterator

import pytest

from common.messages import Explanation
from common.patient import FIELDS
from server.explanation.facts import facts_of_stored, score_in_words, threshold_in_words
from tests.integration.server.conftest import StartServer
from tests.llama.server import MODEL, llama_server
from tests.support.made_requests import request
from tests.support.patients import real_records
from tests.support.speaking import ClientApp, Connection
from tests.support.true_texts import untruths

SECONDS = 500
"""For one explanation, which takes some on a machine of its own."""


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    with llama_server() as url:
        yield url


@pytest.mark.parametrize(
    "patients",
    [
        pytest.param(1, marks=pytest.mark.timeout(600)),
        pytest.param(40, marks=[pytest.mark.full, pytest.mark.timeout(3600)]),
    ],
)
def test_whatever_a_real_model_writes_what_is_shown_is_true(
    start_server: StartServer, llama: str, connections: list[Connection], patients: int
) -> None:
    running = start_server(llm_base_url=llama, llm_model=MODEL, llm_timeout_seconds=SECONDS, llm_concurrency=1)
    connections.append(client := ClientApp(running.url, running.token()))
    for number in range(1, patients + 1):
        record = real_records()[number]
        client.predict(request(number).to_wire() | {"record": record.model_dump()})
        prediction = client.answered(f"request-{number}")
        found = client.entry(lambda entry: entry["explanation"] is not None)["explanation"]
        explanation = Explanation.check(found)
        assert explanation.source == "llm", explanation.reason
        known = facts_of_stored(prediction)
        assert untruths(explanation.text, known) == []
        values = [FIELDS[name].in_words(value) for name, value in record.model_dump().items() if value is not None]
        told = " ".join([*values, *(factor.meaning or "" for factor in known.factors)])
        told += f" {score_in_words(prediction.anomaly_score)} {threshold_in_words(known.threshold)} {known.threshold:g}"
        assert set(re.findall(r"\d[\d.]*\b", explanation.text)) <= set(re.findall(r"\d[\d.]*\b", told))
