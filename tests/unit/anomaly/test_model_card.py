"""The model card: it is what the manifest says, and the weak spots are just those there are."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json, to_jsonable_python

from common.messages import Thresholds
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import Estimate, Figure, GroupRates, Rates
from server.anomaly.manifest import Manifest
from server.registry.artifact import CARD_FILE, active_folder
from server.registry.model_card import SHIPPED_DATA_SHA256, model_card
from tests.support.estimates import interval
from tests.support.patients import DATA, real_patients


def rates(false_alarms: float | None, sensitivity: float | None, *, wide: float | None = None) -> Rates:
    """Shares with an interval that reaches so far to either side, or with none."""
    ends = [
        Estimate(value=of, low=of - wide, high=of + wide) if of is not None and wide else Estimate(value=of)
        for of in (false_alarms, sensitivity)
    ]
    return Rates(false_alarm_rate=ends[0], sensitivity=ends[1])


def group(name: str, medium: Rates, high: Rates) -> GroupRates:
    return GroupRates(name=name, disease_free=10, with_disease=10, medium_or_higher=medium, high=high)


def weak_spots(manifest: Manifest, *groups: GroupRates, overall: tuple[float, ...] = (0.8, 0.6)) -> Any:
    """Return the weak spots where the sensitivity over all patients is such at Medium or higher, and at High."""
    names = ("sensitivity_medium_or_higher", "sensitivity_high")
    figures = {name: Figure(ours=Estimate(value=value)) for name, value in zip(names, overall, strict=False)}
    evaluation = manifest.evaluation.model_copy(update={"groups": list(groups), "figures": figures})
    return model_card(manifest.model_copy(update={"evaluation": evaluation}))["weak_spots"]


@pytest.fixture
def manifest(detector: Detector) -> Manifest:
    return detector.manifest


def test_the_card_says_which_model_how_well_it_did_and_what_it_is_not(detector_dir: Path, manifest: Manifest) -> None:
    card = json.loads((active_folder(detector_dir) / CARD_FILE).read_bytes())
    assert card == to_jsonable_python(model_card(manifest))
    assert card["model_details"]["version"] == manifest.model_version
    assert card["data"]["training"]["sha256"] == real_patients().sha256
    assert card["quantitative_analyses"] == manifest.evaluation.model_dump(mode="json")
    not_for = " ".join(card["intended_use"]["out_of_scope"])
    for misuse in ("Time-critical care", "Diagnosis", "probability", "medical device"):
        assert misuse in not_for
    assert "not a heart attack" in card["data"]["label"]
    assert card["factors"]["subgroups"] == ["female", "male", "age under 50", "age 50 to 59", "age 60 and over"]
    said = " ".join(card["caveats_and_recommendations"])
    assert "Calibrated on 164 disease-free patients, it may truly mark 2% to 9% of disease-free patients High" in said


def test_the_card_begins_with_what_high_means_of_100_patients_unless_it_was_recalibrated(
    manifest: Manifest, recalibrated: Detector
) -> None:
    figures = dict(manifest.evaluation.figures)
    figures["sensitivity_high"] = Figure(ours=Estimate(value=0.6, low=0.5, high=0.7))
    figures["false_alarm_rate_high"] = Figure(ours=Estimate(value=0.05, low=0.02, high=0.1))
    evaluation = manifest.evaluation.model_copy(update={"figures": figures})
    card = model_card(manifest.model_copy(update={"evaluation": evaluation}))
    assert card["in_short"][0] == (
        "Of 100 patients marked High, 91 (81 to 97) have disease where 46 of 100 have it, as in heart_disease.csv; "
        "where it is rarer, fewer."
    )
    ends = [0.6 * 139, 0.05 * 164], [0.5 * 139, 0.1 * 164], [0.7 * 139, 0.02 * 164]
    assert interval(card["predictive_value"]["high"])[1] == pytest.approx(ends[0][0] / sum(ends[0]))
    assert interval(evaluation.predictive_value(139 / 303))[::2] == pytest.approx([of[0] / sum(of) for of in ends[1:]])
    later = model_card(recalibrated.manifest)
    assert later["predictive_value"]["high"] is None
    assert not any("marked High" in sentence for sentence in later["in_short"])


def test_the_card_has_the_designed_false_alarms_and_holds_no_patient_and_no_patient_s_score(manifest: Manifest) -> None:
    other = model_card(manifest.model_copy(update={"thresholds": Thresholds(medium=0.7, high=0.9)}))
    assert other["metrics"]["false_alarm_rate_by_design"] == {"medium_or_higher": 0.3, "high": 0.1}
    card = to_json(other).decode()
    for private in ("known_answers", 'reference"', str(manifest.known_answers[0].raw_score)):
        assert private not in card


def test_weak_spots_are_just_the_groups_that_are_worse_by_more_than_five_points(manifest: Manifest) -> None:
    groups = [
        group("as designed", rates(0.20, 0.80), rates(0.05, 0.60)),
        group("a little worse", rates(0.24, 0.76), rates(0.09, 0.56)),
        group("flagged too often", rates(0.36, 0.9), rates(0.12, 0.9)),
        group("missed too often", rates(0.1, 0.70), rates(0.01, 0.50)),
        group("nobody ill", rates(0.26, None), rates(0.05, None)),
        group("few", rates(0.4, 0.6, wide=0.3), rates(0.05, 0.6)),
    ]
    false_alarms = [
        "flagged too often: 36 of 100 disease-free patients are Medium or higher, 20 by design.",
        "flagged too often: 12 of 100 disease-free patients are High, 5 by design.",
        "nobody ill: 26 of 100 disease-free patients are Medium or higher, 20 by design.",
        "few: 40 (10 to 70) of 100 disease-free patients are Medium or higher, 20 by design; it may be chance.",
    ]
    assert weak_spots(manifest, *groups) == [
        *false_alarms[:2],
        "missed too often: 70 of 100 patients with disease are Medium or higher, 80 over all groups.",
        "missed too often: 50 of 100 patients with disease are High, 60 over all groups.",
        false_alarms[2],
        *false_alarms[3:],
        "few: 60 (30 to 90) of 100 patients with disease are Medium or higher, 80 over all groups; it may be chance.",
    ]
    assert weak_spots(manifest, *groups, overall=()) == false_alarms  # no patient with disease was held out


def test_a_field_seldom_measured_in_the_calibration_patients_is_a_caveat(manifest: Manifest) -> None:
    changed = manifest.model_copy(deep=True)
    fields = changed.reference.disease_free.fields
    fields["thallium_scan"] = fields["thallium_scan"].model_copy(update={"missing": 150})
    (said,) = (text for text in model_card(changed)["caveats_and_recommendations"] if ": measured in" in text)
    assert said.startswith("Thallium scan: measured in 14 of 164 disease-free")


def test_a_recalibrated_model_s_card_says_that_its_figures_are_of_the_earlier_calibration(
    detector: Detector, recalibrated: Detector
) -> None:
    card = to_jsonable_python(model_card(recalibrated.manifest))
    assert card["model_details"]["recalibrated_from"] == detector.model_version
    assert [card["data"][used]["name"] for used in ("training", "calibration")] == ["heart_disease.csv", "sicker.csv"]
    warning = "The figures were measured on the training clinic's patients, before any recalibration"
    assert card["caveats_and_recommendations"][0].startswith(warning)
    assert card["weak_spots"] == []
    trained = model_card(detector.manifest)
    assert not any(warning in said for said in trained["caveats_and_recommendations"])
    assert trained["weak_spots"]


def test_what_is_known_of_the_shipped_data_alone_stands_on_no_other_card(manifest: Manifest) -> None:
    assert hashlib.sha256(DATA.read_bytes()).hexdigest() == SHIPPED_DATA_SHA256
    other_data = manifest.data.model_copy(update={"name": "clinic.csv", "sha256": "0" * 64})
    own, other = (
        to_json(model_card(of)).decode() for of in (manifest, manifest.model_copy(update={"data": other_data}))
    )
    for known in ("CC BY 4.0", "1981", "Janosi", "narrowing"):
        assert known in own
        assert known not in other
    assert "clinic.csv" in other
