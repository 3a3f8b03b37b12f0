"""A clinician's page while a language model writes: the text comes once, whole and verified, or the reason for none."""

import re
import threading
from collections.abc import Iterator, Sequence

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_pages import analyze_sample
from tests.support.llm_server import LanguageModel, Reply
from tests.support.truthful import explains, true_sentences
from tests.system.conftest import Installation

WAIT_SECONDS = 30
WRITING = "An AI explanation is being written."


@pytest.fixture(scope="module")
def model() -> Iterator[LanguageModel]:
    with LanguageModel(explains) as model:
        yield model


@pytest.fixture(scope="module")
def links(installation: Installation, model: LanguageModel) -> Sequence[str]:
    """Start a system whose language model is the one of the test."""
    with (installation.folder / ".env").open("a", encoding="utf-8") as file:
        file.write(f"LLM_BASE_URL={model.url}\nLLM_MODEL=a/model\n")
    return installation.start()


class Paused:
    """A model that says one sentence, and goes on when it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def _begin(self, reply: Reply) -> list[str]:
        first, *others = true_sentences(reply)
        reply.begin()
        reply.say(f"{first} The")
        assert self.go_on.wait(WAIT_SECONDS)
        return others

    def finish(self, reply: Reply) -> None:
        reply.say(" ".join(self._begin(reply)).removeprefix("The"))
        reply.end()

    def lie(self, reply: Reply) -> None:
        self._begin(reply)
        reply.say(" patient should rest. All is well.")
        reply.end()


@pytest.fixture
def paused() -> Iterator[Paused]:
    paused = Paused()
    yield paused
    paused.go_on.set()


@pytest.fixture
def page(links: Sequence[str], open_page: OpenPage) -> Page:
    return open_page(links[1])


@pytest.fixture
def explanation(page: Page) -> Locator:
    return page.locator("clinical-explanation")


def computed_text(page: Page) -> str:
    return page.locator('clinical-explanation [data-slot="text"]').inner_text()


def test_the_text_of_the_model_is_shown_once_and_whole(
    page: Page, explanation: Locator, model: LanguageModel, paused: Paused
) -> None:
    model.script = paused.finish
    analyze_sample(page)
    expect(explanation).to_contain_text(WRITING, use_inner_text=True)
    expect(explanation).not_to_contain_text("The risk level is", use_inner_text=True)
    computed = computed_text(page)
    assert computed.startswith("Risk level")
    paused.go_on.set()
    expect(explanation).to_contain_text("AI-written · a/model", use_inner_text=True)
    expect(explanation).to_contain_text("The risk level is", use_inner_text=True)
    expect(explanation).to_contain_text("verified against the facts", use_inner_text=True)
    expect(explanation).not_to_contain_text(WRITING, use_inner_text=True)
    assert computed_text(page) == computed


def test_a_result_that_is_opened_while_it_is_written_says_so_and_gets_the_text(
    page: Page, explanation: Locator, model: LanguageModel, paused: Paused
) -> None:
    model.script = explains
    analyze_sample(page)
    expect(explanation).to_contain_text("verified against the facts", use_inner_text=True)
    model.script = paused.finish
    analyze_sample(page)
    expect(explanation).to_contain_text(WRITING, use_inner_text=True)
    page.locator("#history-list button").nth(1).click()
    expect(explanation).not_to_contain_text(WRITING, use_inner_text=True)
    page.locator("#history-list button").first.click()
    expect(explanation).to_contain_text(WRITING, use_inner_text=True)
    paused.go_on.set()
    expect(explanation).to_contain_text("verified against the facts", use_inner_text=True)


def test_a_text_that_turns_out_wrong_is_never_shown_and_the_reason_stands(
    page: Page, explanation: Locator, model: LanguageModel, paused: Paused
) -> None:
    model.script = paused.lie
    analyze_sample(page)
    expect(explanation).to_contain_text(WRITING, use_inner_text=True)
    computed = computed_text(page)
    paused.go_on.set()
    expect(explanation).to_contain_text("its text was withheld because", use_inner_text=True)
    expect(explanation).not_to_contain_text("verified against the facts", use_inner_text=True)
    expect(explanation).not_to_contain_text("should rest")
    assert computed_text(page) == computed
    page.reload()
    page.locator("#history-list button").first.click()
    expect(explanation).to_contain_text("its text was withheld because", use_inner_text=True)


def test_a_model_that_refuses_leaves_the_computed_text_and_operators_read_at_once_what_to_do(
    links: Sequence[str], open_page: OpenPage, page: Page, explanation: Locator, model: LanguageModel
) -> None:
    dashboard = open_page(links[0])
    facts, banner = dashboard.locator("#server-facts"), dashboard.locator("#explanations-banner")
    expect(facts).to_contain_text("Circuit closed")
    expect(banner).to_be_hidden()
    before = counted(facts)
    model.script = explains
    analyze_sample(page)
    expect(facts).to_contain_text(f"{before + 1} AI-written")

    def refuses(reply: Reply) -> None:
        reply.begin(401, "application/json")

    model.script = refuses
    analyze_sample(page)
    expect(explanation).to_contain_text("the key was refused; check LLM_API_KEY in .env", use_inner_text=True)
    expect(facts).to_contain_text("Circuit open until")
    expect(banner).to_contain_text("AI explanations are paused until")
    expect(banner).to_contain_text("the key was refused; check LLM_API_KEY in .env")
    analyze_sample(page)
    expect(explanation).to_contain_text("The language model was not asked", use_inner_text=True)


def counted(facts: Locator) -> int:
    """Return how many AI-written explanations the strip counts."""
    found = re.search(r"([\d,]+) AI-written", facts.inner_text())
    assert found
    return int(found[1].replace(",", ""))
