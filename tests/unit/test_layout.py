"""Where things are: a module's name says it all, so no two have the same."""

from collections import Counter

from config.secrets import PROJECT_ROOT

OF_BOTH_APPS = {"access", "__init__", "__main__", "app", "factory", "api", "sockets", "metrics"}
"""Names that the server and the client apps give to the same part of each."""


def test_no_two_modules_have_one_name() -> None:
    packages = ("common", "config", "server", "client")
    modules = [file for package in packages for file in (PROJECT_ROOT / package).rglob("*.py")]
    counts = Counter(file.stem for file in modules if "migrations" not in file.parts)
    assert {name for name, number in counts.items() if number > 1} - OF_BOTH_APPS == set()
