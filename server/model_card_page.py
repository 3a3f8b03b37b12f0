"""The model card as HTML, the same at the server and at the client apps."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from flask import render_template

from common.messages import RiskLevel
from common.patient import FIELDS
from common.rendered_card import RenderedCard
from server.anomaly.evaluation_figures import (
    INTERVALS,
    SHOWN,
    USUAL_FOREST,
    Evaluation,
    Figure,
    GroupRates,
    Rates,
    Shown,
    number_text,
)
from server.registry.model_card import ModelCard, Signature

_PARAMETERS = {
    "n_estimators": "Trees",
    "max_samples": "Patients each tree is grown on",
    "random_state": "Seed",
    "calibration_folds": "Folds of the calibration",
    "evaluation_folds": "Folds of the evaluation",
    "calibration_by_age": "Calibrated by age",
}


class ShownSignature(NamedTuple):
    """What the page says of a model's signature, in short and in full."""

    tag: str
    sentence: str


_SIGNATURES: Mapping[Signature, ShownSignature] = {
    "verified": ShownSignature("signed", "Signed, and verified with the server's MODEL_SIGNING_KEY."),
    "not checked": ShownSignature(
        "signature not checked", "It carries a signature that was not checked here: there is no MODEL_SIGNING_KEY."
    ),
    "none": ShownSignature("not signed", "Not signed. A hash over its content is part of its name."),
}


class ShownFigure(NamedTuple):
    """A figure as it stands on the page; ``has_bar`` if it is a share whose interval can be drawn."""

    shown: Shown
    figure: Figure
    has_bar: bool


class LevelRates(NamedTuple):
    """The rates at one level: all patients first, then each group; ``by_design`` is the false-alarm rate aimed at."""

    title: str
    threshold: float
    by_design: float
    rows: Sequence[tuple[GroupRates, Rates]]


def rendered(
    card: ModelCard, *, active: str, versions: Sequence[str] = (), json_address: str | None = None
) -> RenderedCard:
    """Return a card as HTML; ``active`` names the version that scores now, ``versions`` those with a card."""
    details = card.model_details
    signature = _SIGNATURES[details.signature]
    html = render_template(
        "model_card_sections.html",
        card=card,
        signature=signature,
        active=active,
        versions=versions,
        json_address=json_address,
        figures=list(_figures(card.quantitative_analyses)),
        levels=list(_levels(card)),
        risk_levels=[level.value for level in RiskLevel],
        field_labels=[FIELDS[name].label if name in FIELDS else name for name in card.factors.fields],
        parameters={title: getattr(details.parameters, name) for name, title in _PARAMETERS.items()},
        intervals=INTERVALS,
        usual_forest=USUAL_FOREST,
        number=page_number,
    )
    tags = {signature.tag: ""} | ({"recalibrated": "warn"} if details.recalibrated_from else {})
    return RenderedCard(version=card.version, active=active, name=details.name, tags=tags, html=html)


def page_number(value: float | None, style: str) -> str:
    """Return a number as it is printed: with a real minus sign, and a dash where there is none."""
    return "–" if value is None else number_text(value, style).replace("-", "\u2212")


def _figures(evaluation: Evaluation) -> Iterator[ShownFigure]:
    """Yield the figures in the order people know; one without a title comes last, under its own name."""
    known = [name for name in SHOWN if name in evaluation.figures]
    for name in [*known, *sorted(evaluation.figures.keys() - SHOWN.keys())]:
        figure, shown = evaluation.figures[name], SHOWN.get(name, Shown(name.replace("_", " ")))
        yield ShownFigure(shown, figure, has_bar=_is_share(figure) and not shown.style.startswith("+"))


def _is_share(figure: Figure) -> bool:
    low, high = figure.ours.low, figure.ours.high
    return low is not None and high is not None and 0 <= low <= high <= 1


def _levels(card: ModelCard) -> Iterator[LevelRates]:
    evaluation, thresholds = card.quantitative_analyses, card.metrics.thresholds
    rows = [_everybody(evaluation), *evaluation.groups]
    by_design = card.metrics.false_alarm_rate_by_design
    medium = [(row, row.medium_or_higher) for row in rows]
    high = [(row, row.high) for row in rows]
    yield LevelRates("Medium or higher", thresholds.medium, by_design.medium_or_higher, medium)
    yield LevelRates("High", thresholds.high, by_design.high, high)


def _everybody(evaluation: Evaluation) -> GroupRates:
    """Return the rates of all patients in the form of a group's."""
    rates = {
        level: Rates(
            false_alarm_rate=evaluation.estimate(f"false_alarm_rate_{level}"),
            sensitivity=evaluation.estimate(f"sensitivity_{level}"),
        )
        for level in ("medium_or_higher", "high")
    }
    return GroupRates(
        name="all patients", disease_free=evaluation.disease_free, with_disease=evaluation.with_disease, **rates
    )
