"""Sample patients are real, and none comes twice before all have come."""

import random
from pathlib import Path

import pytest

from client.samples import SampleDeck
from common.csv_rows import read_patients
from common.errors import InvalidDataError
from config.secrets import PROJECT_ROOT

DATA = PROJECT_ROOT / "data" / "heart_disease.csv"


@pytest.fixture
def deck() -> SampleDeck:
    return SampleDeck.of_file(DATA, random.SystemRandom())


def test_every_patient_comes_once_before_any_comes_again(deck: SampleDeck) -> None:
    patients = read_patients(DATA, needs_label=False)
    first_round = [deck.deal().source for _ in patients]
    assert len(set(first_round)) == len(patients)
    assert deck.deal().source in first_round


def test_a_sample_is_the_patient_at_the_line_it_names(deck: SampleDeck) -> None:
    by_line = {patient.line: patient.record for patient in read_patients(DATA, needs_label=False)}
    sample = deck.deal()
    assert sample.record == by_line[int(sample.source.removeprefix("heart_disease.csv, line "))]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="no_such_file"):
        SampleDeck.of_file(tmp_path / "no_such_file.csv", random.SystemRandom())
