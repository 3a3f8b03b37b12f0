"""The locks hold what pyproject.toml asks for, and agree with each other."""

import re
import tomllib
from collections.abc import Mapping

import pytest

from config.secrets import PROJECT_ROOT

PROJECT = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
CLIENT: list[str] = PROJECT["project"]["dependencies"]
SERVER: list[str] = [*CLIENT, *EXTRAS["server"]]
ASKED_FOR = {
    "client/requirements.txt": CLIENT,
    "server/requirements.txt": SERVER,
    "requirements.txt": [*SERVER, *EXTRAS["test"]],
    "common/ui/npm-requirements.txt": PROJECT["dependency-groups"]["npm"],
    "tests/llama/requirements.txt": PROJECT["dependency-groups"]["llama"],
}


def locked(name: str) -> Mapping[str, set[str]]:
    """Return the pins of each package, with their markers: ``{"numpy": {"2.4.6 ; python_full_version < '3.12'"}}``."""
    pins: dict[str, set[str]] = {}
    text = (PROJECT_ROOT / name).read_text(encoding="utf-8")
    for package, pin in re.findall(r"^([a-z0-9-]+)==(.+?) ?\\$", text, re.M):
        pins.setdefault(package, set()).add(pin)
    return pins


@pytest.mark.parametrize("name", ASKED_FOR)
def test_every_direct_dependency_is_locked_and_every_pin_has_a_hash(name: str) -> None:
    asked = {re.split(r"[<>=;\[ ]", requirement)[0] for requirement in ASKED_FOR[name]}
    assert asked <= set(locked(name))
    text = (PROJECT_ROOT / name).read_text(encoding="utf-8")
    assert len(re.findall(r"==.+\\\n +--hash=sha256:", text)) == sum(len(pins) for pins in locked(name).values())


@pytest.mark.parametrize("smaller", ["client/requirements.txt", "server/requirements.txt"])
def test_the_locks_agree_on_every_version(smaller: str) -> None:
    complete = locked("requirements.txt")
    for package, pins in locked(smaller).items():
        versions = {pin.split(" ")[0] for pin in pins}
        assert versions <= {pin.split(" ")[0] for pin in complete[package]}, package


def test_the_client_has_no_scientific_stack() -> None:
    assert not {"scikit-learn", "shap", "numpy", "pandas", "scipy", "joblib"} & set(locked("client/requirements.txt"))
