"""The whole system with a real Llama model behind it, seen from a clinician's page."""

import re
from collections.abc import Iterator, Sequence

import pytest
from playwright.sync_api import expect

from common.messages import Prediction
from tests.browser.conftest import OpenPage
from tests.browser.test_pages import analyze_sample
from tests.llama.oracle import untruths
from tests.llama.running import llama_server
from tests.llama.server import MODEL
from tests.support.system_parts import Visitor
from tests.system.conftest import Installation

WRITING_MS = 110_000
ENDED = re.compile("verified against the facts|The language model was asked, but its text was withheld")


@pytest.fixture(scope="module")
def llama() -> Iterator[str]:
    with llama_server() as url:
        yield url


@pytest.fixture(scope="module")
def links(installation: Installation, llama: str) -> Sequence[str]:
    with (installation.folder / ".env").open("a", encoding="utf-8") as file:
        file.write(f"LLM_BASE_URL={llama}\nLLM_MODEL={MODEL}\nLLM_TIMEOUT_SECONDS=100\n")
    return installation.start()


@pytest.mark.timeout(240)
def test_whatever_a_real_model_writes_the_page_shows_the_truth(links: Sequence[str], open_page: OpenPage) -> None:
    page = open_page(links[1])
    explanation = page.locator("clinical-explanation")
    analyze_sample(page)
    expect(explanation).to_contain_text("An AI explanation is being written.", use_inner_text=True)
    expect(explanation).to_contain_text(ENDED, use_inner_text=True, timeout=WRITING_MS)
    (stored,) = Visitor(links[0]).api("predictions")["predictions"]
    prediction = Prediction.model_validate(stored["prediction"])
    shown = [part.inner_text() for part in explanation.locator(".explanation-text").filter(visible=True).all()]
    assert shown[0] == prediction.explanation.text
    assert [untruths(text, prediction) for text in shown] == [[]] * len(shown)
    assert stored["explanation"]["source"] == "llm"
