"""An evaluation laid out for people to read, each figure beside its target."""

from collections import Counter
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Literal, NamedTuple

from common.csv_rows import Survey
from common.messages import RiskLevel, Thresholds
from common.patient import FIELDS
from server.anomaly.evaluation_figures import (
    INTERVALS,
    SHOWN,
    USUAL_FOREST,
    Estimate,
    Evaluation,
    Figure,
    GroupRates,
    interval_text,
    number_text,
)
from server.evaluation.external import ExternalValidation
from server.evaluation.measures import by_level

_MOST_ROWS = 50
_FEW_LEFT_OUT = 0.05  # the loss of so many rows is inconsequential (Schafer 1999)
_WIDTH = 116


class Target(NamedTuple):
    """The value a figure must reach, or must not exceed, and its format."""

    sign: Literal[">=", "<="]
    limit: float
    style: str = "g"

    def __str__(self) -> str:
        return f"{self.sign} {number_text(self.limit, self.style)}"

    def is_met(self, value: float | None) -> bool:
        return value is not None and (value >= self.limit if self.sign == ">=" else value <= self.limit)


# What figures must come to on the shipped data, in the order they are shown. The limits lie a little below what was
# measured, so that a change that costs accuracy fails the command while another seed or numpy does not.
TARGETS: Mapping[str, Target] = {
    "auroc": Target(">=", 0.905),
    "sensitivity_at_90_specificity": Target(">=", 0.74),
    "auprc": Target(">=", 0.90),
    "auroc_less_logistic_regression": Target(">=", -0.01),
    "false_alarm_rate_medium_or_higher": Target("<=", 0.23),
    "false_alarm_rate_high": Target("<=", 0.07),
    "sensitivity_medium_or_higher": Target(">=", 0.79),
    "sensitivity_high": Target(">=", 0.62),
    "blanked_auroc": Target(">=", 0.85),
    "blanked_false_alarm_rate_high": Target("<=", 0.07),
    "blanked_sensitivity_high": Target(">=", 0.46),
    "two_seeds_spearman": Target(">=", 0.995),
    "two_seeds_level_changes": Target("<=", 0.05, ".0%"),
    "worse_finding_lowers": Target("<=", 0.005, ".1%"),
    "additivity_gap": Target("<=", 1e-9),
    "top_three_against_random": Target(">=", 3),
    "top_three_against_best": Target(">=", 0.95),
}


def evaluation_text(evaluation: Evaluation, thresholds: Thresholds) -> str:
    """Return the table of figures with their targets, the subgroups, and the confusion by level."""
    shown = [name for name in TARGETS if name in evaluation.figures]
    missed = len(missed_targets(evaluation))
    return "\n".join(
        [
            *wrap(f"{evaluation.design} {INTERVALS} {USUAL_FOREST}", _WIDTH),
            "",
            f"{'figure':<60}{'target':>9}{'measured':>10}  {'95 % interval':<20}{'met':<5}{'usual forest':>12}",
            *(_figure_line(name, evaluation.figures[name]) for name in shown),
            "",
            f"{missed} of {len(shown)} targets missed." if missed else f"All {len(shown)} targets are met.",
            "",
            *_group_lines(evaluation.groups, thresholds),
            "",
            *_confusion_lines(evaluation.confusion.model_dump()),
        ]
    )


def missed_targets(evaluation: Evaluation) -> list[str]:
    """Name the figures that miss their target, among those that were measured."""
    figures = evaluation.figures
    return [name for name, target in TARGETS.items() if name in figures and not target.is_met(figures[name].ours.value)]


def summary_text(evaluation: Evaluation, thresholds: Thresholds) -> str:
    """Return what matters most: who was held out, how well they are told apart, and the alarms by level."""
    figures = evaluation.figures
    lines = [
        f"Held-out evaluation, {evaluation.repeats} x {evaluation.folds}-fold: {evaluation.disease_free} disease-free "
        f"patients, {evaluation.with_disease} with disease; 95 % intervals in brackets"
    ]
    if "auroc" in figures:
        lines.append(f"AUROC {with_interval(figures['auroc'].ours)}")
    for level, threshold in by_level(thresholds).items():
        said = f"{_level_name(level)}, from a score of {threshold:g}: "
        said += f"false alarms {with_interval(figures[f'false_alarm_rate_{level}'].ours, '.1%')}, "
        said += f"{1 - threshold:.0%} by design"
        if sensitivity := figures.get(f"sensitivity_{level}"):
            said += f"; sensitivity {with_interval(sensitivity.ours, '.1%')}"
        lines.append(said)
    return "\n".join(lines)


def validation_text(validation: ExternalValidation, thresholds: Thresholds, *, data: str) -> str:
    """Return what was found on a CSV from elsewhere: the file, its gaps, the scores, and where there are labels the
    figures."""
    return "\n".join(
        [
            *_warnings(validation, data),
            f"Model {validation.model_version} on {data}; 95 % intervals of shares by Wilson (1927), of all else by "
            f"{validation.resamples:,} bootstrap resamples.",
            "",
            *_file_lines(validation.survey),
            "",
            *_score_lines(validation, thresholds),
            "",
            *_label_lines(validation, thresholds),
        ]
    )


def with_interval(estimate: Estimate, style: str = ".3f") -> str:
    """Return a figure and, in brackets, its interval; a dash where there is none."""
    return f"{number_text(estimate.value, style)} {interval_text(estimate, style)}".strip()


def _level_name(level: str) -> str:
    return level.replace("_", " ").capitalize()


def _figure_line(name: str, figure: Figure) -> str:
    style, target = SHOWN[name].style, TARGETS[name]
    usual = "" if figure.usual is None else number_text(figure.usual.value, style)
    met = "yes" if target.is_met(figure.ours.value) else "NO"
    measured = f"{number_text(figure.ours.value, style):>10}  {interval_text(figure.ours, style):<20}"
    return f"{SHOWN[name].title:<60}{target!s:>9}{measured}{met:<5}{usual:>12}".rstrip()


def _group_lines(groups: Sequence[GroupRates], thresholds: Thresholds) -> list[str]:
    lines = [f"{'group':<18}{'free / with':>11}  {'level, by design':<23}{'false alarms':<24}sensitivity"]
    for group in groups:
        start = f"{group.name:<18}{f'{group.disease_free} / {group.with_disease}':>11}"
        for level, threshold in by_level(thresholds).items():
            rates, design = getattr(group, level), f"{_level_name(level)}, {1 - threshold:.0%}"
            false_alarms = with_interval(rates.false_alarm_rate)
            lines.append(f"{start:<31}{design:<23}{false_alarms:<24}{with_interval(rates.sensitivity)}")
            start = ""
    return lines


def _confusion_lines(confusion: Mapping[str, Mapping[str, float]]) -> list[str]:
    lines = [f"{'patients by level':<18}" + "".join(f"{level:>16}" for level in RiskLevel)]
    for name, counts in confusion.items():
        everybody = sum(counts.values())
        cells = [f"{count:>8.4g}{f'({count / everybody:.0%})' if everybody else '':>8}" for count in counts.values()]
        lines.append(f"{name.replace('_', ' '):<18}{''.join(cells)}")
    return lines


def _warnings(validation: ExternalValidation, data: str) -> list[str]:
    # Before any figure: who reads only the first number must not take it for what it is not.
    lines = []
    if validation.used_to:
        used_to = f"Not an external validation: this model was {' and '.join(validation.used_to)} on {data} itself."
        lines += [*wrap(f"{used_to} The figures are better than patients it has not seen would give.", _WIDTH), ""]
    left_out = len(validation.survey.left_out)
    rows = left_out + len(validation.survey.patients)
    if left_out > _FEW_LEFT_OUT * rows:
        rest = "the figures are those of the rest, which may be a biased choice."
        lines += [f"{left_out} of {rows} rows were left out: {rest}", ""]
    return lines


def _file_lines(survey: Survey) -> list[str]:
    records = [patient.record for patient in survey.patients]
    labels = [patient.has_disease for patient in survey.patients]
    outside = sum(bool(record.extrapolated()) for record in records)
    more = len(survey.left_out) - _MOST_ROWS
    gaps = Counter(name for record in records for name in record.imputed())
    return [
        f"{len(records)} patients: {labels.count(False)} disease-free, {labels.count(True)} with disease, "
        f"{labels.count(None)} without label.",
        f"{outside} of them have a value outside the range the model was made for.",
        f"Rows left out: {len(survey.left_out)}.",
        *(f"  {said}" for said in survey.left_out[:_MOST_ROWS]),
        *([f"  and {more} more."] if more > 0 else []),
        *(
            f"{field.csv_column} was not measured in {gaps[name]} of {len(records)} patients."
            for name, field in FIELDS.items()
            if name in gaps
        ),
    ]


def _score_lines(validation: ExternalValidation, thresholds: Thresholds) -> list[str]:
    quantiles = "".join(f"{f'{share:.0%}':>9}" for share in validation.score_quantiles)
    values = "".join(f"{value:>9.3f}" for value in validation.score_quantiles.values())
    lines = [f"{'share of patients':<24}{quantiles}", f"{'anomaly score up to':<24}{values}"]
    for level, threshold in by_level(thresholds).items():
        by_design = f"{1 - threshold:.0%} of disease-free patients by design"
        title = f"share at {_level_name(level)}"
        lines.append(f"{title:<31}{with_interval(validation.alarms[level])}, {by_design}")
    return lines


def _label_lines(validation: ExternalValidation, thresholds: Thresholds) -> list[str]:
    if not validation.confusion:
        return ["No patient has a label, so there is nothing to compare the scores with."]
    separation = [f"{name:<33}{with_interval(estimate)}" for name, estimate in validation.separation.items()]
    return [
        *(separation or ["All labels are the same, so there is no AUROC."]),
        "",
        *_group_lines(validation.groups, thresholds),
        "",
        *_confusion_lines(validation.confusion),
    ]
