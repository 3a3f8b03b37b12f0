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


def named_in(promise: str) -> list[str]:
    """Return what the last cell of a promise names."""
    return re.findall(r"`([^`]+)`", promise.rsplit(" | ", maxsplit=1)[-1])


@pytest.mark.parametrize("promise", PROMISES, ids=[promise[2:50] for promise in PROMISES])
def test_the_tests_of_a_promise_are_there(promise: str) -> None:
    named = named_in(promise)
    assert named, "a promise without a test"
    for name in named:
        there = (PROJECT_ROOT / name).exists() if "/" in name else any((PROJECT_ROOT / "tests").rglob(name))
        assert there, name


def test_every_test_file_named_anywhere_is_there() -> None:
    named = set(re.findall(r"`(tests/[^`]*|test_[a-z_]+\.py)`", TEXT))
    assert len(named) > 10
    missing = [n for n in named if not ((PROJECT_ROOT / n).exists() or any((PROJECT_ROOT / "tests").rglob(n)))]
    assert missing == []
