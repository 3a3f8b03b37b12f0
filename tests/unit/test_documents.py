"""The documents say what the code says."""

import re

import pytest

from common.messages import Event
from config.secrets import PROJECT_ROOT
from tests.documents import DOCUMENTS, EVENTS, TABLES, markers, with_tables

TEXTS = {name: (PROJECT_ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_tables_of_a_document_are_those_of_the_code(name: str) -> None:
    assert TEXTS[name] == with_tables(TEXTS[name]), "run: python -m tests.documents"


@pytest.mark.parametrize("name", TABLES)
def test_every_table_stands_in_a_document(name: str) -> None:
    assert any(TABLES[name]() in text for text in TEXTS.values())


def test_a_table_that_is_out_of_date_is_drawn_anew() -> None:
    start, end = markers("fields")
    redrawn = with_tables(f"before\n{start}\nsomething old\n{end}\nafter")
    assert redrawn == f"before\n{start}\n\n{TABLES['fields']()}\n\n{end}\nafter"


def test_every_event_is_documented() -> None:
    assert set(EVENTS) == set(Event)


PAGES = sorted(
    str(path.relative_to(PROJECT_ROOT))
    for pattern in ("*.md", "docs/*.md", "data/*.md")
    for path in PROJECT_ROOT.glob(pattern)
)


def _anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_to_a_file_or_heading_leads_somewhere(name: str) -> None:
    document = PROJECT_ROOT / name
    missing = []
    for target, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", document.read_text(encoding="utf-8")):
        file = document.parent / target if target else document
        if not file.exists() or (anchor and anchor not in _anchors(file.read_text(encoding="utf-8"))):
            missing.append(f"{target}#{anchor}")
    assert missing == []
