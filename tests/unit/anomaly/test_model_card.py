"""The model card: it is what the manifest says, and the weak spots are just those there are."""

import hashlib
from pathlib import Path

import pytest

from common.messages import Thresholds
from server.anomaly.detector import Detector
from server.anomaly.evaluation_figures import Confusion, Estimate, Evaluation, Figure, GroupRates, Rates
from server.anomaly.manifest import Manifest
from server.evaluation.new_version import NewVersion
from server.registry.artifact import CARD_FILE, MANIFEST_FILE
from server.registry.card_making import SHIPPED_DATA_SHA256, model_card
from server.registry.model_card import ModelCard
from server.registry.versions import VERSIONS_FOLDER
from tests.support.patients import DATA, real_patients
from tests.support.tampering import manifest_in


def rates(false_alarms: float | None, sensitivity: float | None) -> Rates:
    return Rates(false_alarm_rate=Estimate(value=false_alarms), sensitivity=Estimate(value=sensitivity))


def group(name: str, medium: Rates, high: Rates) -> GroupRates:
    return GroupRates(name=name, disease_free=10, with_disease=10, medium_or_higher=medium, high=high)


def with_groups(evaluation: Evaluation, *groups: GroupRates) -> Evaluation:
    """The evaluation, over all of whose patients the sensitivity is 0.8 at Medium or higher and 0.6 at High."""
    overall = {"sensitivity_medium_or_higher": 0.8, "sensitivity_high": 0.6}
    figures = {name: Figure(ours=Estimate(value=value)) for name, value in overall.items()}
    return evaluation.model_copy(update={"groups": list(groups), "figures": figures})


@pytest.fixture
def manifest(detector: Detector) -> Manifest:
    return detector.manifest


def test_the_written_card_is_the_one_that_follows_from_the_manifest(
    detector: Detector, detector_dir: Path, manifest: Manifest
) -> None:
    folder = detector_dir / VERSIONS_FOLDER / detector.model_version
    for place in (folder, detector_dir):
        written = (place / CARD_FILE).read_bytes()
        assert ModelCard.model_validate_json(written) == model_card(manifest) == model_card(manifest_in(place))


def test_the_card_says_which_model_how_well_it_did_and_what_it_is_not(manifest: Manifest) -> None:
    card = model_card(manifest)
    assert card.model_details.version == manifest.model_version
    assert card.data.training.sha256 == real_patients().sha256
    assert (card.data.training.patients, card.data.training.disease_free) == (303, 164)
    assert card.quantitative_analyses == manifest.evaluation
    assert card.model_details.parameters.n_estimators == 50
    assert card.metrics.thresholds == Thresholds(medium=0.8, high=0.95)
    not_for = " ".join(card.intended_use.out_of_scope)
    for misuse in ("Time-critical care", "Diagnosis", "probability", "medical device"):
        assert misuse in not_for
    assert "not a heart attack" in card.data.label
    assert card.factors.subgroups == ["female", "male", "age under 50", "age 50 to 59", "age 60 and over"]


def test_the_false_alarms_by_design_are_what_the_thresholds_leave(manifest: Manifest) -> None:
    thresholds = Thresholds(medium=0.7, high=0.9)
    said = model_card(manifest.model_copy(update={"thresholds": thresholds})).metrics.false_alarm_rate_by_design
    assert said.model_dump() == {"medium_or_higher": 0.3, "high": 0.1}


def test_the_card_holds_no_patient_and_no_patient_s_score(manifest: Manifest) -> None:
    text = model_card(manifest).model_dump_json()
    assert "known_answers" not in text
    assert "reference" not in model_card(manifest).model_dump()
    assert str(manifest.known_answers[0].raw_score) not in text


def test_weak_spots_are_just_the_groups_that_are_worse_by_more_than_five_points(manifest: Manifest) -> None:
    evaluation = with_groups(
        manifest.evaluation,
        group("as designed", rates(0.20, 0.80), rates(0.05, 0.60)),
        group("a little worse", rates(0.24, 0.76), rates(0.09, 0.56)),
        group("better", rates(0.0, 1.0), rates(0.0, 1.0)),
        group("flagged too often", rates(0.36, 0.9), rates(0.12, 0.9)),
        group("missed too often", rates(0.1, 0.70), rates(0.01, 0.50)),
        group("nobody ill", rates(0.26, None), rates(0.05, None)),
        group("nobody well", rates(None, 0.1), rates(None, 0.60)),
    )
    assert model_card(manifest.model_copy(update={"evaluation": evaluation})).weak_spots == [
        "flagged too often: 36.0% false alarms at Medium or higher, 20% by design.",
        "flagged too often: 12.0% false alarms at High, 5% by design.",
        "missed too often: sensitivity 70.0% at Medium or higher, 80.0% over all patients.",
        "missed too often: sensitivity 50.0% at High, 60.0% over all patients.",
        "nobody ill: 26.0% false alarms at Medium or higher, 20% by design.",
        "nobody well: sensitivity 10.0% at Medium or higher, 80.0% over all patients.",
    ]


def test_a_weak_spot_is_said_with_its_interval(manifest: Manifest) -> None:
    weak = Rates(false_alarm_rate=Estimate(value=0.4, low=0.3, high=0.5), sensitivity=Estimate(value=0.8))
    evaluation = with_groups(manifest.evaluation, group("old", weak, rates(0.05, 0.6)))
    (said,) = model_card(manifest.model_copy(update={"evaluation": evaluation})).weak_spots
    assert said == "old: 40.0% (30.0% to 50.0%) false alarms at Medium or higher, 20% by design."


def test_a_weak_spot_whose_interval_holds_the_design_may_be_chance(manifest: Manifest) -> None:
    unsure = Rates(
        false_alarm_rate=Estimate(value=0.4, low=0.1, high=0.7), sensitivity=Estimate(value=0.6, low=0.3, high=0.9)
    )
    evaluation = with_groups(manifest.evaluation, group("few", unsure, rates(0.05, 0.6)))
    assert model_card(manifest.model_copy(update={"evaluation": evaluation})).weak_spots == [
        "few: 40.0% (10.0% to 70.0%) false alarms at Medium or higher, 20% by design; it may be chance.",
        "few: sensitivity 60.0% (30.0% to 90.0%) at Medium or higher, 80.0% over all patients; it may be chance.",
    ]


def test_a_recalibrated_model_claims_no_weak_spots_of_the_earlier_calibration(recalibrated: NewVersion) -> None:
    manifest = Manifest.model_validate_json(recalibrated.files[MANIFEST_FILE])
    assert model_card(manifest.model_copy(update={"recalibrated_from": None})).weak_spots
    assert model_card(manifest).weak_spots == []


def test_a_field_seldom_measured_in_the_calibration_patients_is_a_caveat(manifest: Manifest) -> None:
    seen = manifest.reference.disease_free
    fields = seen.fields | {"thallium_scan": seen.fields["thallium_scan"].model_copy(update={"missing": 150})}
    population = seen.model_copy(update={"fields": fields})
    changed = manifest.reference.model_copy(update={"disease_free": population})
    said = model_card(manifest.model_copy(update={"reference": changed})).caveats_and_recommendations
    assert any(sentence.startswith("Thallium scan: measured in 14 of 164 disease-free") for sentence in said)
    assert not any(sentence.startswith("Cholesterol: measured") for sentence in said)


def test_the_card_says_how_far_the_false_alarms_may_be_from_the_design(manifest: Manifest) -> None:
    said = " ".join(model_card(manifest).caveats_and_recommendations)
    assert "Calibrated on 164 disease-free patients, it may truly find 2% to 9% of the disease-free High" in said


def test_without_patients_with_disease_no_sensitivity_is_a_weak_spot(manifest: Manifest) -> None:
    alone = Evaluation(
        folds=2,
        repeats=1,
        stratified=False,
        disease_free=60,
        with_disease=0,
        figures={"false_alarm_rate_high": Figure(ours=Estimate(value=0.05))},
        groups=[group("female", rates(0.1, None), rates(0.01, None))],
        confusion=Confusion(disease_free={"Low": 60.0}, with_disease={}),
        additivity_patients=0,
    )
    card = model_card(manifest.model_copy(update={"evaluation": alone}))
    assert card.weak_spots == []
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


def test_a_recalibrated_model_s_card_says_that_its_figures_are_of_the_earlier_calibration(
    detector: Detector, recalibrated: NewVersion
) -> None:
    card = ModelCard.model_validate_json(recalibrated.files[CARD_FILE])
    assert card == model_card(Manifest.model_validate_json(recalibrated.files[MANIFEST_FILE]))
    assert card.model_details.recalibrated_from == detector.model_version
    assert card.model_details.version != detector.model_version
    assert (card.data.training.name, card.data.calibration.name) == ("heart_disease.csv", "sicker.csv")
    warning = "The figures were measured on the training clinic's patients, before any recalibration"
    assert card.caveats_and_recommendations[0].startswith(warning)
    trained = model_card(detector.manifest)
    assert not any(warning in said for said in trained.caveats_and_recommendations)
    assert trained.model_details.recalibrated_from is None


def test_what_is_known_of_the_shipped_data_alone_stands_on_no_other_card(detector: Detector) -> None:
    assert hashlib.sha256(DATA.read_bytes()).hexdigest() == SHIPPED_DATA_SHA256
    own = model_card(detector.manifest).model_dump_json()
    other_data = detector.manifest.data.model_copy(update={"name": "clinic.csv", "sha256": "0" * 64})
    other = model_card(detector.manifest.model_copy(update={"data": other_data})).model_dump_json()
    for known in ("CC BY 4.0", "1981", "Janosi", "narrowing"):
        assert known in own
        assert known not in other
    assert "clinic.csv" in other
