"""A loss of power at any moment: whatever was promised before is on the disk, and a careless product is caught."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.power_loss.cases import of_both
from tests.power_loss.commands import of_commands
from tests.power_loss.controls import CONTROLS
from tests.power_loss.exploring import Case, Result, explore_all
from tests.power_loss.processes import why_not

PATIENTS: Final = 6
STATES: Final = 60
STATES_OF_COMMANDS: Final = 15
SEED: Final = 1
CONTROL: Final = "synchronous-off"

_REASON = why_not()
pytestmark = [
    pytest.mark.skipif(_REASON is not None, reason=f"processes cannot be traced: {_REASON}"),
    pytest.mark.timeout(400),  # the first test waits for all recordings
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("power_loss")


@pytest.fixture(scope="module")
def at_work(folder: Path, detector_dir: Path) -> dict[str | None, list[Result]]:
    """The product and its first control, recorded side by side."""

    def record(control: str | None) -> list[Case]:
        return of_both(folder / str(control), detector_dir, patients=PATIENTS, control=control)

    with ThreadPoolExecutor() as pool:
        product, control = pool.map(record, (None, CONTROL))
    results = explore_all([*product, *control], states=STATES, seed=SEED)
    return {None: results[:2], CONTROL: results[2:]}


def test_no_loss_of_power_takes_back_what_was_promised(at_work: dict[str | None, list[Result]]) -> None:
    for result in at_work[None]:
        assert result.opened == STATES
        assert result.promises > PATIENTS
        assert [str(violation) for violation in result.violations] == []


def test_commits_that_are_not_synchronous_are_caught(at_work: dict[str | None, list[Result]]) -> None:
    for result in at_work[CONTROL]:
        assert result.violations


def test_commands_keep_their_word_and_leave_the_record_whole(
    folder: Path, detector_dir: Path, other_detector_dir: Path
) -> None:
    cases = of_commands(folder / "commands", detector_dir, other_detector_dir)
    for result in explore_all(cases, states=STATES_OF_COMMANDS, seed=SEED):
        assert result.promises > 1
        assert [str(violation) for violation in result.violations] == []


@pytest.mark.full
@pytest.mark.parametrize("control", sorted(set(CONTROLS) - {CONTROL}))
def test_other_careless_products_are_caught(control: str, tmp_path: Path, detector_dir: Path) -> None:
    cases = of_both(tmp_path, detector_dir, patients=PATIENTS, control=control)
    for result in explore_all(cases, states=STATES, seed=SEED):
        assert result.violations
