"""The model card: what a model is for, what it was made of, how well it did and where it is weak.

Its sections are those of Mitchell et al. (2019), *Model Cards for Model Reporting*, section 4.
"""

from collections.abc import Iterator
from typing import Literal

from pydantic import AwareDatetime, SecretStr

from common.messages import Thresholds
from common.patient import FIELDS
from server.anomaly.calibration import LEAST_COMPARABLE, MOST_CALIBRATION_PATIENTS, SPLIT_AGE, alarm_interval
from server.anomaly.evaluation_figures import Estimate, Evaluation, Value
from server.anomaly.manifest import DataDescription, Manifest, Parameters
from server.anomaly.preprocessing import FACTORS
from server.registry.changes import seldom_measured

SHIPPED_DATA_SHA256 = "37d71b70a3a1f5577c0c57b1928f7bdf34152c1d1edf5692a0b4bdfc28bda8f3"
"""The hash of ``data/heart_disease.csv``, of which more is known than of a clinic's own file."""

_WORSE_BY = 0.05
_NAME = "Heart-attack anomaly detector"
_LICENSE = "Model and program: MIT."
_OWN_LICENSE = "Training data: {}, whose license is for those who trained on it to state."
_SHIPPED_LICENSE = "Training data: CC BY 4.0 (UCI Heart Disease, doi 10.24432/C52P4X)."
_SHIPPED_REFERENCE = "Janosi, Steinbrunn, Pfisterer, Detrano (1989), Heart Disease. UCI Machine Learning Repository."
_SHIPPED_LABEL = (
    "Angiographic disease: at least 50 % narrowing of a major coronary vessel. It is not a heart attack. Patients with "
    "disease are used for evaluation only."
)
_OWN_LABEL = (
    "Presence or Absence in {}: what they mean there is for those who trained on it to state. Patients with disease "
    "are used for evaluation only."
)
_SHIPPED_CAVEAT = (
    "The patients of the training data were examined from 1981 to 1984 and had all been referred for angiography."
)
_SHIPPED_RECIPE = (
    "The recipe, its factors and sizes, was chosen on the patients that the figures come from, which flatters them a "
    "little: with sizes and factors chosen anew inside each training fold, among 36 variants, the AUROC of the raw "
    "scores was 0.910 in place of 0.915 (python -m benchmarks.nested)."
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
_PRIMARY_USERS = ["Clinicians who know the patient", "Teachers and students"]
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


Signature = Literal["none", "not checked", "verified"]
"""What is known of a model's signature where its card was made: one that was verified there, or one only found."""


class ModelDetails(Value):
    """Which model this is, and what it was made with."""

    name: str
    version: str
    made_at: AwareDatetime
    recalibrated_from: str | None
    signature: Signature
    algorithm: str
    parameters: Parameters
    software: dict[str, str]
    licence: str
    references: list[str]


class IntendedUse(Value):
    """What the model is for, for whom, and what it is not for."""

    primary_uses: list[str]
    primary_users: list[str]
    out_of_scope: list[str]


class Factors(Value):
    """What goes in, and the groups of patients that are looked at on their own."""

    fields: list[str]
    risk_factors: list[str]
    subgroups: list[str]


class Metrics(Value):
    """What is measured, and from which scores patients are Medium and High."""

    anomaly_score: str
    thresholds: Thresholds
    false_alarm_rate_by_design: dict[str, float]


class Datasets(Value):
    """The patients that the model was trained, calibrated and evaluated on, and what their label means."""

    training: DataDescription
    calibration: DataDescription
    label: str


class ModelCard(Value):
    """A model card as it is written to ``model_card.json`` and shown at ``/model``."""

    format: Literal[1] = 1
    model_details: ModelDetails
    intended_use: IntendedUse
    factors: Factors
    metrics: Metrics
    data: Datasets
    quantitative_analyses: Evaluation
    weak_spots: list[str]
    caveats_and_recommendations: list[str]

    @property
    def version(self) -> str:
        return self.model_details.version


def model_card(manifest: Manifest, *, key: SecretStr | None = None) -> ModelCard:
    """Return the card that follows from a manifest; without the key, no signature is called verified."""
    thresholds, evaluation = manifest.thresholds, manifest.evaluation
    is_shipped = manifest.data.sha256 == SHIPPED_DATA_SHA256
    of_age = f" of the same age group (under {SPLIT_AGE}, or older)" if manifest.parameters.calibration_by_age else ""
    return ModelCard(
        model_details=ModelDetails(
            name=_NAME,
            version=manifest.model_version,
            made_at=manifest.made_at,
            recalibrated_from=manifest.recalibrated_from,
            signature=_signature(manifest, key),
            algorithm=_ALGORITHM,
            parameters=manifest.parameters,
            software=manifest.versions,
            licence=f"{_LICENSE} {_SHIPPED_LICENSE if is_shipped else _OWN_LICENSE.format(manifest.data.name)}",
            references=[*_REFERENCES, *([_SHIPPED_REFERENCE] if is_shipped else [])],
        ),
        intended_use=IntendedUse(primary_uses=_PRIMARY_USES, primary_users=_PRIMARY_USERS, out_of_scope=_OUT_OF_SCOPE),
        factors=Factors(
            fields=manifest.columns,
            risk_factors=[f"{name} = {FACTORS[name].definition}" for name in manifest.factors],
            subgroups=[group.name for group in evaluation.groups],
        ),
        metrics=Metrics(
            anomaly_score=_DEFINITION.format(of_age=of_age),
            thresholds=thresholds,
            # rounded, since 1 - 0.95 is 0.050000000000000044
            false_alarm_rate_by_design={
                "medium_or_higher": round(1 - thresholds.medium, 12),
                "high": round(1 - thresholds.high, 12),
            },
        ),
        data=Datasets(
            training=manifest.data,
            calibration=manifest.calibration_data,
            label=_SHIPPED_LABEL if is_shipped else _OWN_LABEL.format(manifest.data.name),
        ),
        quantitative_analyses=evaluation,
        weak_spots=[] if manifest.recalibrated_from else list(_weak_spots(evaluation, thresholds)),
        caveats_and_recommendations=[
            *([_NOT_EVALUATED] if manifest.recalibrated_from else []),
            _looseness(manifest),
            *_seldom_measured(manifest),
            *([_SHIPPED_CAVEAT, _SHIPPED_RECIPE] if is_shipped else []),
            *_CAVEATS,
        ],
    )


def _signature(manifest: Manifest, key: SecretStr | None) -> Signature:
    if manifest.signature is None:
        return "none"
    return "verified" if key is not None and manifest.is_signed_with(key) else "not checked"


def _looseness(manifest: Manifest) -> str:
    """Say how far the false alarms may be from the design for no other reason than few calibration patients."""
    patients, threshold = manifest.calibration_data.disease_free, manifest.thresholds.high
    low, high = alarm_interval(min(patients, MOST_CALIBRATION_PATIENTS), threshold)
    return (
        f"Calibrated on {patients} disease-free patients, it may truly find {low:.0%} to {high:.0%} of the "
        f"disease-free High, and not just the {1 - threshold:.0%} by design."
    )


def _seldom_measured(manifest: Manifest) -> Iterator[str]:
    seen = manifest.reference.disease_free
    for name, field in seen.fields.items():
        if seen.patients - field.missing < LEAST_COMPARABLE:
            yield f"{seldom_measured(FIELDS[name].label, seen.patients - field.missing, seen.patients)}."


def _weak_spots(evaluation: Evaluation, thresholds: Thresholds) -> Iterator[str]:
    """Say which groups have more false alarms than designed, or a lower sensitivity than all patients together."""
    for group in evaluation.groups:
        for level, threshold, overall, rates in (
            ("Medium or higher", thresholds.medium, "sensitivity_medium_or_higher", group.medium_or_higher),
            ("High", thresholds.high, "sensitivity_high", group.high),
        ):
            alarms, by_design = rates.false_alarm_rate, 1 - threshold
            if alarms.value is not None and alarms.value > by_design + _WORSE_BY:
                chance = _chance(alarms, by_design)
                yield f"{group.name}: {_percent(alarms)} false alarms at {level}, {by_design:.0%} by design{chance}."
            found, usual = rates.sensitivity, evaluation.value(overall)
            if usual is not None and found.value is not None and found.value < usual - _WORSE_BY:
                chance = _chance(found, usual)
                yield f"{group.name}: sensitivity {_percent(found)} at {level}, {usual:.1%} over all patients{chance}."


def _chance(estimate: Estimate, expected: float) -> str:
    is_possible = estimate.low is not None and estimate.high is not None and estimate.low <= expected <= estimate.high
    return "; it may be chance" if is_possible else ""


def _percent(estimate: Estimate) -> str:
    interval = "" if estimate.low is None else f" ({estimate.low:.1%} to {estimate.high:.1%})"
    return f"{estimate.value:.1%}{interval}"
