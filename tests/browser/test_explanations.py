"""A clinician's page while a language model writes: sentences come, are cut, are replaced, are withdrawn, or stand."""

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
        self.attempts = 0

    def begin(self, reply: Reply) -> list[str]:
        """Say the first sentence, wait, and return the others."""
        self.attempts += 1
        first, *others = true_sentences(reply)
        reply.begin()
        reply.say(f"{first} The")
        assert self.go_on.wait(WAIT_SECONDS)
        return others

    def finish(self, reply: Reply) -> None:
        reply.say(" ".join(self.begin(reply)).removeprefix("The"))
        reply.end()

    def lie(self, reply: Reply) -> None:
        self.begin(reply)
        reply.say(" patient should rest. All is well.")
        reply.end()

    def break_off_once(self, reply: Reply) -> None:
        """Be cut in the first attempt, and wait once more in the second."""
        if self.attempts:
            self.finish(reply)
        else:
            self.begin(reply)
            self.go_on.clear()


@pytest.fixture
def paused() -> Iterator[Paused]:
    paused = Paused()
    yield paused
    paused.go_on.set()


@pytest.fixture
def page(links: Sequence[str], open_page: OpenPage) -> Page:
    return open_page(links[1])


def sentences(page: Page) -> Locator:
    return page.locator("clinical-explanation .draft-sentences li")


def computed_text(page: Page) -> str:
    return page.locator('clinical-explanation [data-slot="text"]').inner_text()


def test_sentences_are_marked_as_being_checked_until_the_whole_text_has_passed(
    page: Page, model: LanguageModel, paused: Paused
) -> None:
    model.script = paused.finish
    analyze_sample(page)
    expect(sentences(page)).to_have_count(1)
    expect(sentences(page)).to_contain_text("The risk level is")
    expect(sentences(page)).to_contain_text("being checked")
    computed = computed_text(page)
    assert computed.startswith("Risk level")
    paused.go_on.set()
    explanation = page.locator("clinical-explanation")
    expect(explanation).to_contain_text("AI-written · a/model", use_inner_text=True)
    expect(explanation).to_contain_text("verified against the facts", use_inner_text=True)
    expect(explanation).not_to_contain_text("being checked", use_inner_text=True)
    assert computed_text(page) == computed


def test_a_result_that_is_opened_while_it_is_written_shows_all_sentences_from_the_first(
    page: Page, model: LanguageModel, paused: Paused
) -> None:
    model.script = explains
    analyze_sample(page)
    expect(page.locator("clinical-explanation")).to_contain_text("verified against the facts", use_inner_text=True)
    model.script = paused.finish
    analyze_sample(page)
    expect(sentences(page)).to_have_count(1)
    page.locator("#history-list button").nth(1).click()
    expect(sentences(page).filter(visible=True)).to_have_count(0)
    page.locator("#history-list button").first.click()
    expect(sentences(page)).to_have_count(1)
    expect(sentences(page)).to_contain_text("The risk level is")
    paused.go_on.set()
    expect(page.locator("clinical-explanation")).to_contain_text("verified against the facts", use_inner_text=True)


def test_a_text_that_turns_out_wrong_is_withdrawn_visibly_and_with_the_reason(
    page: Page, model: LanguageModel, paused: Paused
) -> None:
    model.script = paused.lie
    analyze_sample(page)
    expect(sentences(page)).to_have_count(1)
    computed = computed_text(page)
    paused.go_on.set()
    explanation = page.locator("clinical-explanation")
    expect(explanation).to_contain_text("1 AI-written sentence that stood here was withdrawn.", use_inner_text=True)
    expect(explanation).to_contain_text("its text was withheld because", use_inner_text=True)
    expect(explanation).not_to_contain_text("verified against the facts", use_inner_text=True)
    expect(explanation).not_to_contain_text("should rest", use_inner_text=True)
    expect(sentences(page).filter(visible=True)).to_have_count(0)
    assert computed_text(page) == computed
    page.reload()
    page.locator("#history-list button").first.click()
    expect(explanation).to_contain_text("its text was withheld because", use_inner_text=True)


def test_a_stream_that_is_cut_is_replaced_by_a_second_one_and_the_page_says_so(
    page: Page, model: LanguageModel, paused: Paused
) -> None:
    model.script = paused.break_off_once
    analyze_sample(page)
    expect(sentences(page)).to_have_count(1)
    explanation = page.locator("clinical-explanation")
    expect(explanation).not_to_contain_text("A first draft was withdrawn", use_inner_text=True)
    paused.go_on.set()
    expect(explanation).to_contain_text(
        "A first draft was withdrawn because the model’s answer broke off.", use_inner_text=True
    )
    expect(sentences(page)).to_have_count(1)
    paused.go_on.set()
    expect(explanation).to_contain_text("verified against the facts", use_inner_text=True)
    assert paused.attempts == 2


def test_a_model_that_refuses_leaves_the_computed_text_and_operators_read_at_once_what_to_do(
    links: Sequence[str], open_page: OpenPage, page: Page, model: LanguageModel
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
    explanation = page.locator("clinical-explanation")
    expect(explanation).to_contain_text("the key was refused; check LLM_API_KEY in .env", use_inner_text=True)
    expect(explanation).not_to_contain_text("withdrawn", use_inner_text=True)
    expect(facts).to_contain_text("Circuit open until")
    expect(banner).to_contain_text("the key was refused; check LLM_API_KEY in .env")
    analyze_sample(page)
    expect(explanation).to_contain_text("The language model was not asked", use_inner_text=True)


def counted(facts: Locator) -> int:
    """Return how many AI-written explanations the strip counts."""
    found = re.search(r"([\d,]+) AI-written", facts.inner_text())
    assert found
    return int(found[1].replace(",", ""))
