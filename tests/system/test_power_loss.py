"""A loss of power at any moment: whatever was promised before is on the disk, and a careless product is caught."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.power_loss.cases import of_both
from tests.power_loss.controls import CONTROLS
from tests.power_loss.exploring import Case, Result, explore_all
from tests.power_loss.processes import why_not

PATIENTS: Final = 8
STATES: Final = 100
SEED: Final = 1

_REASON = why_not()
pytestmark = [
    pytest.mark.skipif(_REASON is not None, reason=f"processes cannot be traced: {_REASON}"),
    pytest.mark.timeout(400),  # the first test waits for all recordings
]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, detector_dir: Path) -> dict[str | None, list[Case]]:
    """The product and its first control at work, side by side."""
    folder = tmp_path_factory.mktemp("power_loss")

    def record(control: str | None) -> list[Case]:
        return of_both(folder / str(control), detector_dir, patients=PATIENTS, control=control)

    controls = [None, "synchronous-off"]
    with ThreadPoolExecutor() as pool:
        return dict(zip(controls, pool.map(record, controls), strict=True))


@pytest.fixture(scope="module")
def explored(recorded: dict[str | None, list[Case]]) -> dict[str | None, list[Result]]:
    results = explore_all([case for cases in recorded.values() for case in cases], states=STATES, seed=SEED)
    return {None: results[:2], "synchronous-off": results[2:]}


def test_no_loss_of_power_takes_back_what_was_promised(explored: dict[str | None, list[Result]]) -> None:
    for result in explored[None]:
        assert result.opened == STATES
        assert result.promises > PATIENTS
        assert [str(violation) for violation in result.violations] == []


def test_commits_that_are_not_synchronous_are_caught(explored: dict[str | None, list[Result]]) -> None:
    for result in explored["synchronous-off"]:
        assert result.violations


@pytest.mark.full
@pytest.mark.parametrize("control", sorted(set(CONTROLS) - {"synchronous-off"}))
def test_other_careless_products_are_caught(control: str, tmp_path: Path, detector_dir: Path) -> None:
    cases = of_both(tmp_path, detector_dir, patients=PATIENTS, control=control)
    for result in explore_all(cases, states=STATES, seed=SEED):
        assert result.violations
