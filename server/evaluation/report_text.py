"""An evaluation laid out for people to read, each figure beside its target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from common.evaluation_figures import (
    INTERVALS,
    SHOWN,
    USUAL_FOREST,
    Estimate,
    Evaluation,
    Figure,
    GroupRates,
    Rates,
    interval_text,
    number_text,
)
from common.messages import RiskLevel, Thresholds
from server.evaluation.external import ExternalValidation

_MOST_ROWS = 50
_FEW_LEFT_OUT = 0.05
"""Share of rows whose loss is inconsequential (Schafer 1999)."""
_WIDTH = 116


@dataclass(frozen=True)
class Target:
    """The value a figure must reach, or must not exceed, and its format."""

    limit: float
    at_least: bool
    style: str

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {number_text(self.limit, self.style)}"

    def is_met(self, value: float | None) -> bool:
        return value is not None and (value >= self.limit if self.at_least else value <= self.limit)


def at_least(limit: float, style: str = "g") -> Target:
    return Target(limit, at_least=True, style=style)


def at_most(limit: float, style: str = "g") -> Target:
    return Target(limit, at_least=False, style=style)


TARGETS: Mapping[str, Target] = {
    "auroc": at_least(0.905),
    "sensitivity_at_90_specificity": at_least(0.74),
    "auprc": at_least(0.90),
    "auroc_less_logistic_regression": at_least(-0.01),
    "false_alarm_rate_medium_or_higher": at_most(0.23),
    "false_alarm_rate_high": at_most(0.07),
    "sensitivity_medium_or_higher": at_least(0.79),
    "sensitivity_high": at_least(0.62),
    "blanked_auroc": at_least(0.85),
    "blanked_false_alarm_rate_high": at_most(0.07),
    "blanked_sensitivity_high": at_least(0.46),
    "two_seeds_spearman": at_least(0.995),
    "two_seeds_level_changes": at_most(0.05, ".0%"),
    "worse_finding_lowers": at_most(0.005, ".1%"),
    "additivity_gap": at_most(1e-9),
    "top_three_against_random": at_least(3),
    "top_three_against_best": at_least(0.95),
}
"""What figures must come to on the shipped data, in the order they are shown."""


def evaluation_text(evaluation: Evaluation, thresholds: Thresholds) -> str:
    """Return the table of figures with their targets, the subgroups, and the confusion by level."""
    return "\n".join(
        [
            *wrap(f"{evaluation.design} {INTERVALS} {USUAL_FOREST}", _WIDTH),
            "",
            *figure_lines(evaluation),
            "",
            *group_lines(evaluation.groups, thresholds),
            "",
            *confusion_lines(evaluation.confusion.model_dump()),
        ]
    )


def summary_text(evaluation: Evaluation, thresholds: Thresholds) -> str:
    """Return what matters most: who was held out, how well they are told apart, and the alarms by level."""
    figures = evaluation.figures
    lines = [
        f"Held-out evaluation, {evaluation.repeats} x {evaluation.folds}-fold: {evaluation.disease_free} disease-free "
        f"patients, {evaluation.with_disease} with disease; 95 % intervals in brackets",
    ]
    if "auroc" in figures:
        lines.append(f"AUROC {with_interval(figures['auroc'].ours)}")
    for level, threshold in (("Medium or higher", thresholds.medium), ("High", thresholds.high)):
        name = level.lower().replace(" ", "_")
        said = [f"{level}, from a score of {threshold:g}: false alarms "]
        said.append(f"{with_interval(figures[f'false_alarm_rate_{name}'].ours, '.1%')}, {1 - threshold:.0%} by design")
        if f"sensitivity_{name}" in figures:
            said.append(f"; sensitivity {with_interval(figures[f'sensitivity_{name}'].ours, '.1%')}")
        lines.append("".join(said))
    return "\n".join(lines)


def figure_lines(evaluation: Evaluation) -> list[str]:
    """Return the table of figures, and how many of their targets are met."""
    shown = {name: evaluation.figures[name] for name in TARGETS if name in evaluation.figures}
    return [
        f"{'figure':<60}{'target':>9}{'measured':>10}  {'95 % interval':<20}{'met':<5}{'usual forest':>12}",
        *(_figure_line(name, figure) for name, figure in shown.items()),
        "",
        _verdict(len(shown), len(missed_targets(evaluation))),
    ]


def _figure_line(name: str, figure: Figure) -> str:
    style, target = SHOWN[name].style, TARGETS[name]
    usual = "" if figure.usual is None else number_text(figure.usual.value, style)
    met = "yes" if target.is_met(figure.ours.value) else "NO"
    measured = f"{number_text(figure.ours.value, style):>10}  {interval_text(figure.ours, style):<20}"
    return f"{SHOWN[name].title:<60}{target!s:>9}{measured}{met:<5}{usual:>12}".rstrip()


def missed_targets(evaluation: Evaluation) -> list[str]:
    """Name the figures that miss their target, among those that were measured."""
    measured = ((name, evaluation.figures[name]) for name in TARGETS if name in evaluation.figures)
    return [name for name, figure in measured if not TARGETS[name].is_met(figure.ours.value)]


def _verdict(shown: int, missed: int) -> str:
    return f"{missed} of {shown} targets missed." if missed else f"All {shown} targets are met."


def group_lines(groups: Sequence[GroupRates], thresholds: Thresholds) -> list[str]:
    """Return the rates of each group, one line a group and level."""
    lines = [f"{'group':<18}{'free / with':>11}  {'level, by design':<23}{'false alarms':<24}sensitivity"]
    medium, high = f"Medium or higher, {1 - thresholds.medium:.0%}", f"High, {1 - thresholds.high:.0%}"
    for group in groups:
        numbers = f"{group.disease_free} / {group.with_disease}"
        lines.append(f"{group.name:<18}{numbers:>11}  {_level_text(medium, group.medium_or_higher)}")
        lines.append(f"{'':<31}{_level_text(high, group.high)}")
    return lines


def _level_text(level: str, rates: Rates) -> str:
    return f"{level:<23}{with_interval(rates.false_alarm_rate):<24}{with_interval(rates.sensitivity)}"


def confusion_lines(confusion: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return how many patients without and with disease are at each level."""
    levels = [level.value for level in RiskLevel]
    lines = [f"{'patients by level':<18}" + "".join(f"{level:>16}" for level in levels)]
    for name, counts in confusion.items():
        label = name.replace("_", " ")
        cells = "".join(f"{counts[level]:>8.4g}{_share_text(counts[level], counts):>8}" for level in levels)
        lines.append(f"{label:<18}{cells}")
    return lines


def _share_text(count: float, counts: Mapping[str, float]) -> str:
    everybody = sum(counts.values())
    return f"({count / everybody:.0%})" if everybody else ""


def with_interval(estimate: Estimate, style: str = ".3f") -> str:
    """Return a figure and, in brackets, its interval; a dash where there is none."""
    return f"{number_text(estimate.value, style)} {interval_text(estimate, style)}".strip()


def validation_text(validation: ExternalValidation, thresholds: Thresholds, *, data: str) -> str:
    """Return what was found on a CSV from elsewhere: the file, its gaps, the scores, and where there are labels the
    figures."""
    return "\n".join(
        [
            *_not_external(validation, data),
            *_left_out_warning(validation),
            f"Model {validation.model_version} on {data}; 95 % intervals of shares by Wilson (1927), of all else by "
            f"{validation.resamples:,} bootstrap resamples.",
            "",
            *_file_lines(validation),
            "",
            *_score_lines(validation, thresholds),
            "",
            *_label_lines(validation, thresholds),
        ]
    )


def _not_external(validation: ExternalValidation, data: str) -> list[str]:
    if not validation.used_to:
        return []
    used_to = f"Not an external validation: this model was {' and '.join(validation.used_to)} on {data} itself."
    return [*wrap(f"{used_to} The figures are better than patients it has not seen would give.", _WIDTH), ""]


def _left_out_warning(validation: ExternalValidation) -> list[str]:
    left_out, rows = len(validation.left_out), len(validation.left_out) + validation.patients
    if left_out <= _FEW_LEFT_OUT * rows:
        return []
    said = f"{left_out} of {rows} rows were left out: the figures are those of the rest, which may be a biased choice."
    return [said, ""]


def _file_lines(validation: ExternalValidation) -> list[str]:
    unlabelled = validation.patients - validation.disease_free - validation.with_disease
    lines = [
        f"{validation.patients} patients: {validation.disease_free} disease-free, {validation.with_disease} with "
        f"disease, {unlabelled} without label.",
        f"{validation.extrapolated} of them have a value outside the range the model was made for.",
        f"Rows left out: {len(validation.left_out)}.",
        *(f"  {said}" for said in validation.left_out[:_MOST_ROWS]),
    ]
    if len(validation.left_out) > _MOST_ROWS:
        lines.append(f"  and {len(validation.left_out) - _MOST_ROWS} more.")
    for column, gaps in validation.gaps.items():
        zeros = f", {gaps.given_as_zero} of these given as 0" if gaps.given_as_zero else ""
        lines.append(f"{column} was not measured in {gaps.not_measured} of {validation.patients} patients{zeros}.")
    return lines


def _score_lines(validation: ExternalValidation, thresholds: Thresholds) -> list[str]:
    quantiles = "".join(f"{f'{share:.0%}':>9}" for share in validation.score_quantiles)
    values = "".join(f"{value:>9.3f}" for value in validation.score_quantiles.values())
    return [
        f"{'share of patients':<24}{quantiles}",
        f"{'anomaly score up to':<24}{values}",
        f"{'share at Medium or higher':<31}{with_interval(validation.alarms['medium_or_higher'])}, "
        f"{1 - thresholds.medium:.0%} of disease-free patients by design",
        f"{'share at High':<31}{with_interval(validation.alarms['high'])}, "
        f"{1 - thresholds.high:.0%} of disease-free patients by design",
    ]


def _label_lines(validation: ExternalValidation, thresholds: Thresholds) -> list[str]:
    if not validation.confusion:
        return ["No patient has a label, so there is nothing to compare the scores with."]
    separation = [f"{name:<33}{with_interval(estimate)}" for name, estimate in validation.separation.items()]
    return [
        *(separation or ["All labels are the same, so there is no AUROC."]),
        "",
        *group_lines(validation.groups, thresholds),
        "",
        *confusion_lines(validation.confusion),
    ]
