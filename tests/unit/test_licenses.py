"""Everything that runs at a user's is listed in SECURITY.md under its license, and every license is an expected one."""

import json
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

import pytest

from config.secrets import PROJECT_ROOT

LISTED = {
    name: license
    for license, names in re.findall(
        r"^\| (.+?) \| (.+) \|$", (PROJECT_ROOT / "SECURITY.md").read_text("utf-8").partition("### Licenses")[2], re.M
    )[2:]
    for name in names.split(", ")
}
PYTHON = re.findall(r"^([a-z0-9-]+)==", (PROJECT_ROOT / "server" / "requirements.txt").read_text("utf-8"), re.M)
NPM: Mapping[str, Any] = {
    f"{path.removeprefix('node_modules/')} (npm)": package
    for path, package in json.loads((PROJECT_ROOT / "package-lock.json").read_text("utf-8"))["packages"].items()
    if path
}
# SPDX identifiers of licenses that let anybody use and pass on; MPL-2.0 and the LGPL ask
# for the source of their own changed files.
EXPECTED = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "MIT-0", "PSF-2.0", "Zlib"}
EXPECTED |= {"Apache-2.0 WITH LLVM-exception", "MPL-2.0", "LGPL-3.0-only"}


def test_every_package_that_runs_at_a_users_is_listed_under_an_expected_license() -> None:
    assert set(LISTED) == {*PYTHON, *NPM}
    assert {part.strip("()") for license in LISTED.values() for part in re.split(" AND | OR ", license)} <= EXPECTED


@pytest.mark.parametrize("name", PYTHON)
def test_the_listed_license_of_a_python_package_is_the_one_of_its_metadata(name: str) -> None:
    try:
        said = metadata(name).json
    except PackageNotFoundError:
        pytest.skip("locked for another system than this one")
    stated = str(said.get("license_expression") or said.get("license") or "")
    family = " ".join([stated, *(text for text in said.get("classifier", []) if text.startswith("License ::"))])
    # older metadata names a family ("BSD License") or quotes the text; the identifier was read in the package
    assert LISTED[name] == said.get("license_expression") or LISTED[name].partition("-")[0] in family


def test_the_listed_licenses_of_pages_are_those_of_the_lock() -> None:
    stated = {name: package["license"] for name, package in NPM.items() if "license" in package}
    assert {name: LISTED[name] for name in stated} == stated
