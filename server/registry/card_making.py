"""The model card: what a model is for, what it was made of, how well it did and where it is weak.

Its sections are those of Mitchell et al. (2019), *Model Cards for Model Reporting*, section 4.
"""

from collections.abc import Iterator

from pydantic import SecretStr

from common.messages import Thresholds
from common.patient import FIELDS
from server.anomaly.calibration import LEAST_COMPARABLE, MOST_CALIBRATION_PATIENTS, SPLIT_AGE, alarm_interval
from server.anomaly.evaluation_figures import Estimate, Evaluation, Rates
from server.anomaly.manifest import Manifest
from server.anomaly.preprocessing import FACTORS
from server.registry.changes import seldom_measured
from server.registry.model_card import (
    CARD_FORMAT,
    Datasets,
    Factors,
    FalseAlarmsByDesign,
    IntendedUse,
    Metrics,
    ModelCard,
    ModelDetails,
    Signature,
)

SHIPPED_DATA_SHA256 = "37d71b70a3a1f5577c0c57b1928f7bdf34152c1d1edf5692a0b4bdfc28bda8f3"
"""The hash of ``data/heart_disease.csv``, of which more is known than of a clinic's own file."""

_WORSE_BY = 0.05
_NAME = "Heart-attack anomaly detector"
_LICENCE = "Model and program: no licence has been chosen yet, so all rights are reserved."
_SHIPPED_LICENCE = "Training data: CC BY 4.0 (UCI Heart Disease, doi 10.24432/C52P4X)."
_SHIPPED_REFERENCE = "Janosi, Steinbrunn, Pfisterer, Detrano (1989), Heart Disease. UCI Machine Learning Repository."
_SHIPPED_LABEL = (
    "Angiographic disease: at least 50 % narrowing of a major coronary vessel. It is not a heart attack. Patients with "
    "disease are used for evaluation only."
)
_SHIPPED_CAVEAT = (
    "The patients of the training data were examined from 1981 to 1984 and had all been referred for angiography."
)
_SHIPPED_RECIPE = (
    "The recipe, its factors and sizes, was chosen on the patients that the figures come from, which flatters them a "
    "little: with the choice made anew inside each training fold (nested) the AUROC was 0.9125."
)
_ALGORITHM = (
    "Isolation forest on eight one-sided risk factors made of 13 fields, fitted on patients without disease only; "
    "TreeSHAP contributions; scores calibrated on patients who had the same fields not measured. Of each factor only "
    "what exceeds its median in patients without disease counts, and its contribution is divided among its fields in "
    "proportion to how far each alone takes the factor from the typical patient's, in the direction of the "
    "contribution. docs/detector.md defines everything."
)
_REFERENCES = [
    "Liu, Ting, Zhou (2008), Isolation Forest. IEEE ICDM.",
    "Lundberg et al. (2020), From local explanations to global understanding with explainable AI for trees. "
    "Nature Machine Intelligence 2.",
    "Zaffran, Dieuleveut, Josse, Romano (2023), Conformal Prediction with Missing Values. ICML.",
    "Mitchell et al. (2019), Model Cards for Model Reporting. FAT*.",
    "Nadeau, Bengio (2003), Inference for the Generalization Error. Machine Learning 52.",
]
_PRIMARY_USES = [
    "Support in sorting patients who were referred for a work-up of coronary artery disease (triage).",
    "Teaching and demonstration of anomaly detection with exact explanations.",
]
_OUT_OF_SCOPE = [
    "Time-critical care, such as acute chest pain or a suspected infarction.",
    "Diagnosis: the score says how unusual a patient is among patients without disease, not what the patient has.",
    "A probability of disease or of a heart attack: the anomaly score is neither.",
    "Screening of people who were not referred, children, and clinics in which it was not validated.",
    "Any use as a medical device: it has no approval as one.",
]
_DEFINITION = (
    "The anomaly score is the share (0 to 1) of disease-free calibration patients{of_age} who, with the same fields "
    "not measured, are less anomalous."
)
_CAVEATS = [
    "All figures come from patients of the same clinic as the training patients; elsewhere, validate it first "
    "(python -m server.evaluation --data FILE) and recalibrate it on local disease-free patients.",
    "A value that was not measured is taken as typical of disease-free patients, which can hide a risk.",
    "A value outside the range the model was made for is scored all the same, and marked as extrapolated.",
    "Findings below the disease-free median count as typical: an unusually low value is never an anomaly.",
]
_NOT_EVALUATED = (
    "The figures were measured on the training clinic's patients, before any recalibration: how well patients are told "
    "apart carries over as far as the patients are alike; false alarms, sensitivities and patients by level do not. "
    "Which groups are weak spots now is not known."
)


def model_card(manifest: Manifest, *, key: SecretStr | None = None) -> ModelCard:
    """Return the card that follows from a manifest; without the key, no signature is called verified."""
    thresholds = manifest.thresholds
    return ModelCard(
        format=CARD_FORMAT,
        model_details=_details(manifest, key),
        intended_use=IntendedUse(
            primary_uses=_PRIMARY_USES,
            primary_users=["Clinicians who know the patient", "Teachers and students"],
            out_of_scope=_OUT_OF_SCOPE,
        ),
        factors=Factors(
            fields=manifest.columns,
            risk_factors=[f"{name} = {FACTORS[name].definition}" for name in manifest.factors],
            subgroups=[group.name for group in manifest.evaluation.groups],
        ),
        metrics=Metrics(
            anomaly_score=_DEFINITION.format(of_age=_of_age(manifest)),
            thresholds=thresholds,
            false_alarm_rate_by_design=FalseAlarmsByDesign(
                medium_or_higher=_rest(thresholds.medium), high=_rest(thresholds.high)
            ),
        ),
        data=Datasets(training=manifest.data, calibration=manifest.calibration_data, label=_label(manifest)),
        quantitative_analyses=manifest.evaluation,
        weak_spots=[] if manifest.recalibrated_from else _weak_spots(manifest.evaluation, thresholds),
        caveats_and_recommendations=_caveats(manifest),
    )


def _rest(share: float) -> float:
    """Return what is left to 1, as people write it: 0.05 where floating point says 0.050000000000000044."""
    return round(1 - share, 12)


def _is_shipped(manifest: Manifest) -> bool:
    return manifest.data.sha256 == SHIPPED_DATA_SHA256


def _licence(manifest: Manifest) -> str:
    if _is_shipped(manifest):
        return f"{_SHIPPED_LICENCE} {_LICENCE}"
    return f"{_LICENCE} Training data: {manifest.data.name}, whose licence is for those to say who trained on it."


def _label(manifest: Manifest) -> str:
    if _is_shipped(manifest):
        return _SHIPPED_LABEL
    return (
        f"Presence or Absence in {manifest.data.name}: what they mean there is for those to say who trained on it. "
        "Patients with disease are used for evaluation only."
    )


def _of_age(manifest: Manifest) -> str:
    return f" of the same age group (under {SPLIT_AGE}, or older)" if manifest.parameters.calibration_by_age else ""


def _caveats(manifest: Manifest) -> list[str]:
    return [
        *([_NOT_EVALUATED] if manifest.recalibrated_from else []),
        _looseness(manifest),
        *_seldom_measured(manifest),
        *([_SHIPPED_CAVEAT, _SHIPPED_RECIPE] if _is_shipped(manifest) else []),
        *_CAVEATS,
    ]


def _looseness(manifest: Manifest) -> str:
    """Say how far the false alarms may be from the design for no other reason than few calibration patients."""
    patients, threshold = manifest.calibration_data.disease_free, manifest.thresholds.high
    low, high = alarm_interval(min(patients, MOST_CALIBRATION_PATIENTS), threshold)
    return (
        f"Calibrated on {patients} disease-free patients, it may truly find {low:.0%} to {high:.0%} of the "
        f"disease-free High, and not just the {1 - threshold:.0%} by design."
    )


def _seldom_measured(manifest: Manifest) -> list[str]:
    seen = manifest.reference.disease_free
    measured = {name: seen.patients - field.missing for name, field in seen.fields.items()}
    return [
        f"{seldom_measured(FIELDS[name].label, number, seen.patients)}."
        for name, number in measured.items()
        if number < LEAST_COMPARABLE
    ]


def _details(manifest: Manifest, key: SecretStr | None) -> ModelDetails:
    return ModelDetails(
        name=_NAME,
        version=manifest.model_version,
        made_at=manifest.made_at,
        recalibrated_from=manifest.recalibrated_from,
        signature=_signature(manifest, key),
        algorithm=_ALGORITHM,
        parameters=manifest.parameters,
        software=manifest.versions,
        licence=_licence(manifest),
        references=[*_REFERENCES, *([_SHIPPED_REFERENCE] if _is_shipped(manifest) else [])],
    )


def _signature(manifest: Manifest, key: SecretStr | None) -> Signature:
    if manifest.signature is None:
        return "none"
    return "verified" if key is not None and manifest.is_signed_with(key) else "not checked"


def _weak_spots(evaluation: Evaluation, thresholds: Thresholds) -> list[str]:
    """Say which groups have more false alarms than designed, or a lower sensitivity than all patients together."""
    said: list[str] = []
    for group in evaluation.groups:
        for level, threshold, rates in (
            ("Medium or higher", thresholds.medium, group.medium_or_higher),
            ("High", thresholds.high, group.high),
        ):
            said += _group_weak_spots(group.name, level, 1 - threshold, rates, evaluation)
    return said


def _group_weak_spots(group: str, level: str, by_design: float, rates: Rates, evaluation: Evaluation) -> Iterator[str]:
    overall = evaluation.value(f"sensitivity_{level.lower().replace(' ', '_')}")
    false_alarms, sensitivity = rates.false_alarm_rate, rates.sensitivity
    if false_alarms.value is not None and false_alarms.value > by_design + _WORSE_BY:
        chance = _chance(false_alarms.low is not None and false_alarms.low <= by_design)
        yield f"{group}: {_percent(false_alarms)} false alarms at {level}, {by_design:.0%} by design{chance}."
    if overall is not None and sensitivity.value is not None and sensitivity.value < overall - _WORSE_BY:
        chance = _chance(sensitivity.high is not None and sensitivity.high >= overall)
        yield f"{group}: sensitivity {_percent(sensitivity)} at {level}, {overall:.1%} over all patients{chance}."


def _chance(is_possible: bool) -> str:
    return "; it may be chance" if is_possible else ""


def _percent(estimate: Estimate) -> str:
    interval = "" if estimate.low is None else f" ({estimate.low:.1%} to {estimate.high:.1%})"
    return f"{estimate.value:.1%}{interval}"
