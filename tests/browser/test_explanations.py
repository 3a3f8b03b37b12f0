"""A clinician's page while a language model writes: the text comes once, whole and verified, or the reason for none."""

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import analyze_sample
from tests.support.llm_server import LanguageModel, Reply, answers
from tests.support.truthful import explains

WRITING = "An AI explanation is being written."
VERIFIED = "verified against the facts"
REASON = "the key was refused; check LLM_API_KEY in .env"


@pytest.fixture(autouse=True)
def _usual(model: LanguageModel) -> Iterator[None]:
    """Have the model write again when the test ends."""
    yield
    model.script = explains


@pytest.fixture
def explanation(clinic: Page) -> Locator:
    return clinic.locator("[data-slot=explanation]")


@pytest.fixture
def go_on(model: LanguageModel) -> Iterator[threading.Event]:
    """Have the model write only when the test lets it."""
    go_on = threading.Event()

    def wait(reply: Reply) -> None:
        assert go_on.wait(30)
        explains(reply)

    model.script = wait
    yield go_on
    go_on.set()


def shows(explanation: Locator, text: str) -> None:
    expect(explanation).to_contain_text(text, use_inner_text=True)


def test_the_models_text_is_shown_once_and_whole(clinic: Page, explanation: Locator, go_on: threading.Event) -> None:
    computed = explanation.locator('[data-slot="text"]')
    analyze_sample(clinic)
    shows(explanation, WRITING)
    expect(explanation.locator('[data-slot="written"]')).to_be_hidden()
    before = computed.inner_text()
    assert before.startswith("Risk level")
    clinic.reload()
    clinic.locator("#history-list button").first.click()
    shows(explanation, WRITING)  # a result that is opened meanwhile says so, too
    go_on.set()
    for said in ("AI-written · a/model", "The risk level is", VERIFIED):
        shows(explanation, said)
    expect(explanation.get_by_text(WRITING)).to_be_hidden()
    assert computed.inner_text() == before


@pytest.mark.full
def test_a_model_that_refuses_leaves_the_computed_text_and_operators_read_at_once_what_to_do(
    clinic: Page, dashboard: Page, explanation: Locator, model: LanguageModel
) -> None:
    facts, banner = dashboard.locator("#server-facts"), dashboard.locator("#explanations-banner")
    expect(facts).to_contain_text("Circuit closed")
    expect(banner).to_be_hidden()
    model.script = answers(401)
    analyze_sample(clinic)
    shows(explanation, REASON)
    expect(facts).to_contain_text("Circuit open until")
    expect(banner).to_contain_text(REASON)
