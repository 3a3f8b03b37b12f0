"""Predictions with all that pages may have to show of them, made by hand: no model comes by these on demand."""

from typing import Any

from common.messages import Explanation, HistoryEntry, Prediction, PredictRequest
from common.patient import FIELDS
from tests.support import made_requests

MEASURED: dict[str, Any] = {
    "age": 61, "sex": 1, "chest_pain_type": 4, "resting_bp": 145.0, "cholesterol": 224.3,
    "fasting_blood_sugar_high": 1, "resting_ecg": 2, "max_heart_rate": 122.0, "exercise_angina": 1,
    "st_depression": 2.4, "st_slope": 2, "major_vessels": 3, "thallium_scan": 7,
}  # fmt: skip
SIZES = (0.02, -0.05, 0.31, 0.0, -0.02, 0.0, 0.04, 0.22, 0.19, 0.27, 0.12, 0.45, 0.51)
TEXT = "Risk level as computed. This record is compared with disease-free patients."


def prediction(
    number: int, reference: str | None, level: str, score: float, *, without: tuple[str, ...] = (), **more: Any
) -> Prediction:
    """Make a prediction; ``without`` names the fields that were not measured."""
    asked = PredictRequest.check(
        {
            "request_id": f"0193a1b2-0000-7000-8000-00000000000{number}",
            "patient_reference": reference,
            "record": MEASURED | dict.fromkeys(without) | more.pop("record", {}),
            "entered_at": f"2026-11-30T10:2{number}:05Z",
        }
    )
    made = made_requests.prediction(asked).to_wire()
    sizes = dict(zip(FIELDS, SIZES, strict=True))
    for part in made["contributions"]:
        part["contribution"] = sizes[part["field"]]
    measured = [name for name in FIELDS if name not in without and sizes[name]]
    changes = {
        "made_at": f"2026-11-30T10:2{number}:06Z",
        "risk_level": level,
        "anomaly_score": score,
        "is_anomaly": level == "High",
        "top_factors": sorted(measured, key=lambda name: -abs(sizes[name]))[:5],
        "extrapolated": [],
        "explanation": Explanation(text=TEXT, source="template"),
        "awaits_explanation": False,
        "model_version": "20261130T102233Z-0123456789ab",
    }
    return Prediction.model_validate(made | changes | more)


HIGH = prediction(
    1, "surely high", "High", 0.9893,
    score_interval={"low": 0.9612, "high": 0.9989}, entered_by="Dr. Ada Example",
    predictive_value={"value": 0.912, "low": 0.83, "high": 0.958, "prevalence": 0.4444},
    entered={"cholesterol": {"value": 5.8, "unit": "mmol/L"}},
)  # fmt: skip
CLOSE = prediction(
    2, "close to Medium", "Low", 0.7687,
    without=("st_slope", "major_vessels", "thallium_scan"), score_interval={"low": 0.7014, "high": 0.8255},
    missing_tests={
        "lowest": {"anomaly_score": 0.3129, "risk_level": "Low"},
        "highest": {"anomaly_score": 0.9978, "risk_level": "High"},
        "most_informative": "thallium_scan", "is_sampled": False,
    },
)  # fmt: skip
NOT_ENOUGH = prediction(
    3, "too little", "Indeterminate", 0.97,
    without=tuple(name for name in FIELDS if name not in ("age", "sex", "st_depression", "cholesterol")),
    record={"st_depression": 6.2},
    not_enough={"needed": ["thallium_scan", "major_vessels"], "extreme": ["st_depression"]},
)  # fmt: skip
OLD = prediction(4, "of protocol 4", "Medium", 0.9499)
"""As it was stored before there were intervals."""

LONGEST = prediction(
    5, "x" * 64, "Medium", 0.9423,
    without=("resting_ecg", "exercise_angina", "st_slope", "major_vessels", "thallium_scan"),
    score_interval={"low": 0.7912, "high": 0.9612}, entered_by="n" * 64,
    record={"resting_bp": 287.25, "cholesterol": 1000.0, "chest_pain_type": 2},
    entered={"cholesterol": {"value": 25.86, "unit": "mmol/L"}}, extrapolated=["resting_bp", "cholesterol"],
    missing_tests={
        "lowest": {"anomaly_score": 0.5129, "risk_level": "Low"},
        "highest": {"anomaly_score": 0.9978, "risk_level": "High"},
        "most_informative": "thallium_scan", "is_sampled": True,
    },
)  # fmt: skip
RESULTS = (LONGEST, OLD, NOT_ENOUGH, CLOSE, HIGH)


def history_entry(made: Prediction) -> HistoryEntry:
    """Return the prediction as it stands in the history of its desk."""
    shared = ("request_id", "patient_reference", "entered_at", "record", "entered_by", "entered")
    known: dict[str, Any] = {name: getattr(made, name) for name in shared}
    return HistoryEntry(**known, state="answered", prediction=made, explanation=made.explanation)
