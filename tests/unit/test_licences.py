"""Everything that runs at a user's has a licence that is known, expected, and listed."""

import re

import pytest

from config.secrets import PROJECT_ROOT
from tests.licences import EXPECTED, STATED_ELSEWHERE, family_of, licences, parts

LISTED = (PROJECT_ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_licence_is_an_expected_one() -> None:
    unexpected = {
        name: licence for name, licence in licences().items() if not parts(licence) or parts(licence) - EXPECTED
    }
    assert unexpected == {}


def test_every_package_is_listed_in_the_document() -> None:
    rows = re.findall(r"^\| [^|]+ \| ([^|]+) \|$", LISTED.partition("### Licences")[2], re.M)
    listed = {name for row in rows for name in row.split(", ")}
    assert listed - {"packages", "---"} == set(licences()), "run: python -m tests.licences"


@pytest.mark.parametrize("name", [name for name in STATED_ELSEWHERE if name != "xmlhttprequest-ssl"])
def test_what_was_read_in_a_package_agrees_with_its_metadata(name: str) -> None:
    assert STATED_ELSEWHERE[name].partition("-")[0] in family_of(name)


def test_a_package_that_forbids_is_noticed() -> None:
    assert parts("MIT AND (GPL-3.0-only OR Apache-2.0)") - EXPECTED == {"GPL-3.0-only"}
