"""The schema of the model card."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from server.anomaly.evaluation_figures import SHOWN
from server.evaluation.report_text import TARGETS
from server.registry.artifact import CARD_FILE, read_manifest
from server.registry.card_making import model_card
from server.registry.model_card import ModelCard


@pytest.fixture
def written(detector_dir: Path) -> dict[str, Any]:
    """The card that a training wrote."""
    card: dict[str, Any] = json.loads((detector_dir / CARD_FILE).read_bytes())
    return card


def test_the_written_card_is_the_one_that_follows_from_the_manifest(detector_dir: Path) -> None:
    card = ModelCard.model_validate_json((detector_dir / CARD_FILE).read_bytes())
    assert card == model_card(read_manifest(detector_dir))


def test_the_written_card_fits_the_json_schema(written: dict[str, Any]) -> None:
    schema = ModelCard.model_json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    validator.validate(written)
    written["quantitative_analyses"]["figures"]["auroc"]["ours"]["value"] = "high"
    assert not validator.is_valid(written)


def test_a_card_holds_no_patients_values(written: dict[str, Any]) -> None:
    assert not {"known_answers", "reference"} & set(written)
    assert written["factors"]["fields"]


def test_every_target_has_a_title() -> None:
    assert TARGETS.keys() <= SHOWN.keys()
