"""The figures of an evaluation as they are kept and shown: frozen values that are JSON as well."""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    """A frozen, strict value that is kept as JSON."""

    # Frozen and strict: what was hashed into a version's name must read back as the very same.
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(Value):
    """A figure and its 95 % interval; ``None`` where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Rates(Value):
    """Shares (0 to 1) of the patients without and with disease that are at a level or above."""

    false_alarm_rate: Estimate
    sensitivity: Estimate


class GroupRates(Value):
    """How a group of patients fares: their number, and false alarms and sensitivity at Medium or higher and at High."""

    name: str
    disease_free: int
    with_disease: int
    medium_or_higher: Rates
    high: Rates


class Figure(Value):
    """A measured figure, and the same figure of the usual isolation forest where it is worked out."""

    ours: Estimate
    usual: Estimate | None = None


class Confusion(Value):
    """How many patients without and with disease are at each level, on average over the repeats."""

    disease_free: dict[str, float]
    with_disease: dict[str, float]


class Evaluation(Value):
    """All figures of a repeated cross-validation, by name, with 95 % intervals over the folds.

    Figures that need labels of both kinds are missing where there were labels of one alone.
    """

    folds: int
    repeats: int
    stratified: bool = Field(description="Whether each fold has its share of the patients with disease.")
    disease_free: int
    with_disease: int
    figures: dict[str, Figure]
    groups: list[GroupRates]
    confusion: Confusion
    additivity_patients: int = Field(description="Random patients whose contributions were added up.")

    def value(self, name: str) -> float | None:
        """Return a figure; ``None`` where there is none."""
        return self.estimate(name).value

    def estimate(self, name: str) -> Estimate:
        """Return a figure with its interval; both are ``None`` where there is none."""
        return self.figures[name].ours if name in self.figures else Estimate(value=None)

    @property
    def design(self) -> str:
        """How it was measured, in a sentence."""
        kind = "stratified cross-validation" if self.stratified else "cross-validation, not stratified by label,"
        return (
            f"{self.repeats} x {self.folds}-fold {kind} of {self.disease_free} disease-free "
            f"patients and {self.with_disease} with disease; forest and calibration are fitted on the training folds' "
            "disease-free patients only."
        )


INTERVALS = "95 % intervals by Nadeau and Bengio (2003)."
USUAL_FOREST = (
    "The usual forest: 300 trees of up to 256 patients each on the 13 standardised fields, Medium from a raw score of "
    "0.5, High from 0.6."
)


class Shown(NamedTuple):
    """How people are shown a figure: its title, and the format of its numbers."""

    title: str
    style: str = ".3f"


_BLANKED = "slope, vessels, thallium not measured: "

SHOWN: Mapping[str, Shown] = {
    "auroc": Shown("AUROC"),
    "sensitivity_at_90_specificity": Shown("sensitivity at 90% specificity"),
    "auprc": Shown("AUPRC"),
    "auroc_less_logistic_regression": Shown("AUROC less logistic regression's with labels", "+.3f"),
    "false_alarm_rate_medium_or_higher": Shown("false alarms at Medium or higher"),
    "false_alarm_rate_high": Shown("false alarms at High"),
    "sensitivity_medium_or_higher": Shown("sensitivity at Medium or higher"),
    "sensitivity_high": Shown("sensitivity at High"),
    "blanked_auroc": Shown(f"{_BLANKED}AUROC"),
    "blanked_false_alarm_rate_medium_or_higher": Shown(f"{_BLANKED}false alarms at Medium or higher"),
    "blanked_false_alarm_rate_high": Shown(f"{_BLANKED}false alarms at High"),
    "blanked_sensitivity_medium_or_higher": Shown(f"{_BLANKED}sensitivity at Medium or higher"),
    "blanked_sensitivity_high": Shown(f"{_BLANKED}sensitivity at High"),
    "two_seeds_spearman": Shown("two seeds: Spearman correlation", ".4f"),
    "two_seeds_level_changes": Shown("two seeds: patients whose level changes", ".1%"),
    "worse_finding_lowers": Shown("one finding made worse lowers the score", ".2%"),
    "additivity_gap": Shown("contributions against log2 score", ".0e"),
    "top_three_against_random": Shown("top three typical: fall against three at random", ".2f"),
    "top_three_against_best": Shown("top three typical: fall against the best three"),
}
"""The figures that people are shown, in this order."""


def number_text(value: float | None, style: str) -> str:
    """Return a number; a dash where there is none."""
    return "-" if value is None else format(value, style)


def interval_text(estimate: Estimate, style: str) -> str:
    """Return the interval of a figure in brackets; nothing where there is none."""
    if estimate.low is None:
        return ""
    return f"({number_text(estimate.low, style)} to {number_text(estimate.high, style)})"
