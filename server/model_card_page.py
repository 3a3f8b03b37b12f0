"""The model card as HTML, the same at the server and at the client apps."""

from collections.abc import Sequence
from typing import Final

from flask import render_template

from common.messages import RiskLevel
from common.patient import FIELDS
from common.rendered_card import RenderedCard
from server.anomaly.evaluation_figures import (
    INTERVALS,
    SHOWN,
    USUAL_FOREST,
    Estimate,
    Evaluation,
    GroupRates,
    Rates,
    Shown,
    number_text,
)
from server.registry.model_card import ModelCard

_PARAMETERS: Final = {
    "n_estimators": "Trees",
    "max_samples": "Patients each tree is grown on",
    "random_state": "Seed",
    "calibration_folds": "Folds of the calibration",
    "evaluation_folds": "Folds of the evaluation",
    "calibration_by_age": "Calibrated by age",
}
_SIGNATURES: Final = {
    "verified": ("signed", "Signed, and verified with the server's MODEL_SIGNING_KEY."),
    "not checked": ("signature not checked", "Signed, but not checked here: no MODEL_SIGNING_KEY is set."),
    "none": ("not signed", "Not signed. A hash of its content is part of its name."),
}


def rendered(
    card: ModelCard, *, active: str, versions: Sequence[str] = (), json_address: str | None = None
) -> RenderedCard:
    """Return a card as HTML; ``active`` names the version that scores now, ``versions`` those with a card."""
    details, evaluation, metrics = card.model_details, card.quantitative_analyses, card.metrics
    tag, signature = _SIGNATURES[details.signature]
    figures = [(shown, evaluation.figures[name]) for name, shown in SHOWN.items() if name in evaluation.figures]
    levels = (
        ("Medium or higher", "medium_or_higher", metrics.thresholds.medium),
        ("High", "high", metrics.thresholds.high),
    )
    html = render_template(
        "model_card_sections.html",
        card=card,
        signature=signature,
        active=active,
        versions=versions,
        json_address=json_address,
        figures=[(shown, figure, _has_bar(shown, figure.ours)) for shown, figure in figures],
        levels=[(*level, metrics.false_alarm_rate_by_design[level[1]]) for level in levels],
        groups=[_all_patients(evaluation), *evaluation.groups],
        risk_levels=[level.value for level in RiskLevel],
        field_labels=[FIELDS[name].label for name in card.factors.fields],
        parameters={title: getattr(details.parameters, name) for name, title in _PARAMETERS.items()},
        intervals=INTERVALS,
        usual_forest=USUAL_FOREST,
        number=page_number,
    )
    tags = {tag: ""} | ({"recalibrated": "warn"} if details.recalibrated_from else {})
    return RenderedCard(version=card.version, active=active, name=details.name, tags=tags, html=html)


def page_number(value: float | None, style: str) -> str:
    """Return a number as it is printed: with a real minus sign, and a dash where there is none."""
    return "–" if value is None else number_text(value, style).replace("-", "\u2212")


def _has_bar(shown: Shown, estimate: Estimate) -> bool:
    """Tell whether a figure is a share whose interval can be drawn between 0 and 1."""
    low, high = estimate.low, estimate.high
    return low is not None and high is not None and 0 <= low <= high <= 1 and not shown.style.startswith("+")


def _all_patients(evaluation: Evaluation) -> GroupRates:
    medium_or_higher, high = (
        Rates(
            false_alarm_rate=evaluation.estimate(f"false_alarm_rate_{level}"),
            sensitivity=evaluation.estimate(f"sensitivity_{level}"),
        )
        for level in ("medium_or_higher", "high")
    )
    return GroupRates(
        name="all patients",
        disease_free=evaluation.disease_free,
        with_disease=evaluation.with_disease,
        medium_or_higher=medium_or_higher,
        high=high,
    )
