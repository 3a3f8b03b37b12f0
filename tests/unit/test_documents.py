"""The documents say what the code says, and every link in them leads somewhere."""

import re
from pathlib import Path

import pytest

from common.messages import Event
from config.secrets import PROJECT_ROOT
from tests.documents import PAGES, TABLES, with_tables

TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
every_page = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(PROJECT_ROOT)) for page in PAGES])


@every_page
def test_the_tables_of_a_document_are_those_of_the_code(page: Path) -> None:
    assert TEXTS[page] == with_tables(TEXTS[page]), "run: python -m tests.documents"


def test_every_table_and_every_event_is_in_a_document() -> None:
    wanted = [make() for make in TABLES.values()] + [f"| `{event}` |" for event in Event]
    assert [one for one in wanted if not any(one in text for text in TEXTS.values())] == []


def _anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_every_link_to_a_file_or_heading_leads_somewhere(page: Path) -> None:
    missing = []
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", TEXTS[page]):
        file = page.parent / target if target else page
        if not file.exists() or (anchor and anchor not in _anchors(file.read_text(encoding="utf-8"))):
            missing.append(f"{target}#{anchor}")
    assert missing == []


@every_page
def test_no_diagram_holds_what_mermaid_takes_for_the_end_of_a_statement(page: Path) -> None:
    diagrams = re.findall(r"^```mermaid\n(.*?)^```", TEXTS[page], flags=re.M | re.S)
    assert [line for diagram in diagrams for line in diagram.splitlines() if ";" in line] == []
