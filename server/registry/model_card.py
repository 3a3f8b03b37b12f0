"""The model card as it is written, sent and shown: what a model is for, made of, how well it does, where it is weak.

Its sections are those of Mitchell et al. (2019), *Model Cards for Model Reporting*, section 4.
"""

from typing import Final, Literal

from pydantic import AwareDatetime

from common.messages import Thresholds
from server.anomaly.evaluation_figures import Evaluation, Value
from server.anomaly.manifest import DataDescription, Parameters

CARD_FORMAT: Final = 1
"""Version of the card's layout; a card of another one is not read."""

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


class FalseAlarmsByDesign(Value):
    """The shares (0 to 1) of disease-free patients that the thresholds let through."""

    medium_or_higher: float
    high: float


class Metrics(Value):
    """What is measured, and from which scores patients are Medium and High."""

    anomaly_score: str
    thresholds: Thresholds
    false_alarm_rate_by_design: FalseAlarmsByDesign


class Datasets(Value):
    """The patients that the model was trained, calibrated and evaluated on, and what their label means."""

    training: DataDescription
    calibration: DataDescription
    label: str


class ModelCard(Value):
    """A model card as it is written to ``model_card.json`` and shown at ``/model``."""

    format: Literal[1]
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
