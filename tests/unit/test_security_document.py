"""Each promise of SECURITY.md names the tests that hold it, and they are there."""

import re

import pytest

from config.secrets import PROJECT_ROOT

TEXT = (PROJECT_ROOT / "SECURITY.md").read_text(encoding="utf-8")
PROMISES = [
    line
    for line in TEXT.partition("## What is promised")[2].partition("\n## ")[0].splitlines()[4:]
    if line.startswith("|")
]


@pytest.mark.parametrize("promise", PROMISES, ids=[promise[2:50] for promise in PROMISES])
def test_every_promise_names_its_tests(promise: str) -> None:
    assert re.search(r"`(tests/|test_)[^`]+`", promise.rsplit(" | ", maxsplit=1)[-1])


def test_every_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(tests/[^`]*|test_[a-z_]+\.py)`", TEXT))
    missing = [n for n in named if not ((PROJECT_ROOT / n).exists() or any((PROJECT_ROOT / "tests").rglob(n)))]
    assert missing == []
