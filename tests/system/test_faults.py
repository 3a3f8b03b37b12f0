"""The whole system under load while processes die and links break: nothing is lost, doubled, mixed up or altered."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.checker import findings
from tests.faults.rounds import Rounds
from tests.faults.system import CONTROLS

SCHEDULES = [
    ("eventlet", 17),
    pytest.param("threading", 18, marks=pytest.mark.full),
    *(pytest.param("eventlet", seed, marks=pytest.mark.full) for seed in (23, 36, 47)),
    pytest.param("threading", 25, marks=pytest.mark.full),
]
"""Together they have every fault of every kind of process and link."""

SEEDS_OF_A_CONTROL = range(5, 25)
"""The first of them kills two client apps and fills the disk of the third; of two servers, PostgreSQL and one."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def rounds(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, detector_dir: Path
) -> Iterator[Rounds]:
    """Schedules on one system for each concurrency."""
    folder = tmp_path_factory.mktemp("faults")
    with closing(Rounds(folder, detector_dir, async_mode=request.param)) as rounds:
        yield rounds


@pytest.mark.parametrize(("rounds", "seed"), SCHEDULES, indirect=["rounds"], scope="module")
def test_what_a_clinician_saw_as_saved_is_stored_and_shown_once(rounds: Rounds, seed: int) -> None:
    outcome = rounds.run(seed)
    assert outcome.trouble == [], outcome.faults
    assert outcome.predictions > 0


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("is_scaled", [pytest.param(False, id="one server"), pytest.param(True, id="two servers")])
@pytest.mark.parametrize("name", sorted(CONTROLS))
def test_a_system_broken_on_purpose_is_found_out(
    name: str, tmp_path: Path, detector_dir: Path, is_scaled: bool
) -> None:
    with closing(Rounds(tmp_path, detector_dir, control=name, is_scaled=is_scaled)) as rounds:
        for seed in SEEDS_OF_A_CONTROL:
            found = {finding.kind for finding in findings(rounds.run(seed).records)}
            if found & {CONTROLS[name][1]}:
                return
    pytest.fail(f"{len(SEEDS_OF_A_CONTROL)} schedules found nothing")
