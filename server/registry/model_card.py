"""The model card: what a model is for, what it was made of, how well it did and where it is weak.

Its sections are those of Mitchell et al. (2019), *Model Cards for Model Reporting*, section 4.
"""

import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from common.messages import Thresholds
from common.patient import FIELDS
from server.anomaly.calibration import LEAST_COMPARABLE, MOST_CALIBRATION_PATIENTS, SPLIT_AGE, alarm_interval
from server.anomaly.evaluation_figures import Estimate, Evaluation, by_level, level_text, of_100
from server.anomaly.manifest import DataDescription, Manifest
from server.anomaly.preprocessing import FACTORS
from server.registry.changes import seldom_measured

SHIPPED_DATA_SHA256 = "37d71b70a3a1f5577c0c57b1928f7bdf34152c1d1edf5692a0b4bdfc28bda8f3"
"""The hash of ``data/heart_disease.csv``, of which more is known than of a clinic's own file."""

Card = dict[str, Any]
"""A model card by section, in JSON and in models of the manifest that become JSON."""

_WORSE_BY = 0.05
_TEXTS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def model_card(manifest: Manifest, *, key: SecretStr | None = None) -> Card:
    """Return the card that follows from a manifest; without the key, no signature is called verified."""
    thresholds, evaluation = manifest.thresholds, manifest.evaluation
    about_data = _about(manifest.data)
    of_age = f" of the same age group (under {SPLIT_AGE}, or older)" if manifest.parameters.calibration_by_age else ""
    signature = "none" if manifest.signature is None else "not checked"
    if key is not None and manifest.is_signed_with(key):
        signature = "verified"
    return {
        "format": 1,
        "model_details": {
            "name": "Heart-attack anomaly detector",
            "version": manifest.model_version,
            "made_at": manifest.made_at,
            "recalibrated_from": manifest.recalibrated_from,
            "signature": signature,
            "algorithm": _TEXTS["algorithm"],
            "parameters": manifest.parameters,
            "software": manifest.versions,
            "license": f"Model and program: MIT. {about_data['license']}",
            "references": [*_TEXTS["references"], *about_data["references"]],
        },
        "in_short": list(_in_short(manifest)),
        # After a recalibration nobody has measured the groups.
        "weak_spots": [] if manifest.recalibrated_from else list(_weak_spots(evaluation, thresholds)),
        "intended_use": _TEXTS["intended_use"],
        "factors": {
            "fields": manifest.columns,
            "risk_factors": [f"{name} = {FACTORS[name].definition}" for name in manifest.factors],
            "subgroups": [group.name for group in evaluation.groups],
        },
        "metrics": {
            "anomaly_score": f"The anomaly score is the share (0 to 1) of disease-free calibration patients{of_age} "
            "who, with the same fields not measured, are less anomalous.",
            "thresholds": thresholds,
            # rounded, since 1 - 0.95 is 0.050000000000000044
            "false_alarm_rate_by_design": {level: round(1 - at, 12) for level, at in by_level(thresholds).items()},
        },
        "data": {
            "training": manifest.data,
            "calibration": manifest.calibration_data,
            "label": f"{about_data['label']} {_TEXTS['evaluation_only']}",
        },
        "quantitative_analyses": evaluation,
        "abstention": manifest.abstention,
        "predictive_value": {"prevalence": evaluation.prevalence, "high": manifest.predictive_value},
        "caveats_and_recommendations": [
            *([_TEXTS["not_evaluated"]] if manifest.recalibrated_from else []),
            *_calibration_caveats(manifest),
            *about_data["caveats"],
            *_TEXTS["caveats"],
        ],
    }


def _in_short(manifest: Manifest) -> Iterator[str]:
    """Say what a clinician asks first, of 100 patients each, with 95 % intervals."""
    evaluation, name = manifest.evaluation, manifest.data.name
    found, alarms = evaluation.estimate("sensitivity_high"), evaluation.estimate("false_alarm_rate_high")
    predictive = manifest.predictive_value
    if predictive and predictive.value is not None:
        yield (
            f"Of 100 patients marked High, {of_100(predictive)} have disease where {100 * evaluation.prevalence:.0f} "
            f"of 100 have it, as in {name}; where it is rarer, fewer."
        )
        yield f"Of 100 patients with disease, {of_100(found)} are marked High."
        yield f"Of 100 patients without disease, {of_100(alarms)} are marked High."
    if (auroc := evaluation.estimate("auroc")).value is not None:
        yield (
            f"Of 100 pairs of a patient with disease and one without, the one with disease scores higher in "
            f"{of_100(auroc)}."
        )
    yield manifest.abstention.in_words(name)
    if (covered := evaluation.estimate("interval_coverage").value) is not None:
        yield (
            f"In {covered:.1%} of redrawn calibration sets, the 95 % interval still contained the score's rank. "
            "It covers the size of the calibration set, not the patient or the measurement."
        )


def _about(data: DataDescription) -> Card:
    """Return what is known of the training data: of a clinic's own file only its name."""
    if data.sha256 == SHIPPED_DATA_SHA256:
        return dict(_TEXTS["shipped_data"])
    return {
        "license": f"Training data: {data.name}, whose license is for those who trained on it to state.",
        "references": [],
        "label": f"Presence or Absence in {data.name}: what they mean there is for those who trained on it to state.",
        "caveats": [],
    }


def _calibration_caveats(manifest: Manifest) -> Iterator[str]:
    """Say how far the false alarms may be from the design for no other reason than few calibration patients."""
    patients, threshold = manifest.calibration_data.disease_free, manifest.thresholds.high
    low, high = alarm_interval(min(patients, MOST_CALIBRATION_PATIENTS), threshold)
    yield (
        f"Calibrated on {patients} disease-free patients, it may truly mark {low:.0%} to {high:.0%} of "
        f"disease-free patients High, instead of the {1 - threshold:.0%} by design."
    )
    seen = manifest.reference.disease_free
    for name, field in seen.fields.items():
        if seen.patients - field.missing < LEAST_COMPARABLE:
            yield f"{seldom_measured(FIELDS[name].label, seen.patients - field.missing, seen.patients)}."


def _weak_spots(evaluation: Evaluation, thresholds: Thresholds) -> Iterator[str]:
    """Say which groups have more false alarms than designed, or a lower sensitivity than all patients together."""
    for group, (level, threshold) in product(evaluation.groups, by_level(thresholds).items()):
        rates, usual = getattr(group, level), evaluation.estimate(f"sensitivity_{level}").value
        for share, expected, worse, whom, of_what in (
            (rates.false_alarm_rate, 1 - threshold, 1, "disease-free patients", "by design"),
            (rates.sensitivity, usual, -1, "patients with disease", "over all groups"),
        ):
            if share.value is not None and expected is not None and worse * share.value > worse * expected + _WORSE_BY:
                at = f"{of_100(share)} of 100 {whom} are {level_text(level)}"
                yield f"{group.name}: {at}, {100 * expected:.0f} {of_what}{_chance(share, expected)}."


def _chance(estimate: Estimate, expected: float) -> str:
    is_possible = estimate.low is not None and estimate.high is not None and estimate.low <= expected <= estimate.high
    return "; it may be chance" if is_possible else ""
