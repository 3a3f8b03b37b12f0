"""An evaluation laid out for people to read."""

import math
from collections.abc import Mapping, Sequence

from config.messages import RiskLevel, Thresholds
from server.anomaly.evaluation.external import ExternalValidation
from server.anomaly.evaluation.figures import Evaluation, Figure
from server.anomaly.evaluation.intervals import Estimate, GroupRates

_SHOWN = 50


def evaluation_text(evaluation: Evaluation, thresholds: Thresholds) -> str:
    """Return the table of figures with their targets, the subgroups, and the confusion by level."""
    return "\n".join(
        [
            f"{evaluation.repeats} x {evaluation.folds}-fold stratified cross-validation; forest and calibration are",
            "fitted on the training folds' disease-free patients only. 95 % intervals by Nadeau and Bengio (2003).",
            "The usual forest: 300 trees of up to 256 patients each on the 13 standardised fields.",
            "",
            f"{'figure':<50}{'target':>9}{'measured':>10}  {'95 % interval':<20}{'met':<5}{'usual forest':>12}",
            *map(_figure_line, evaluation.figures),
            "",
            _verdict(evaluation.figures),
            "",
            *group_lines(evaluation.groups, thresholds),
            "",
            *confusion_lines(evaluation.confusion),
        ]
    )


def _figure_line(figure: Figure) -> str:
    target = f"{'>=' if figure.target.at_least else '<='} {_number(figure.target.limit, figure.target_style)}"
    usual = "" if figure.usual is None else _number(figure.usual.value, figure.style)
    met = "yes" if figure.is_met else "NO"
    measured = f"{_number(figure.ours.value, figure.style):>10}  {interval_text(figure.ours, figure.style):<20}"
    return f"{figure.name:<50}{target:>9}{measured}{met:<5}{usual:>12}".rstrip()


def _verdict(figures: Sequence[Figure]) -> str:
    missed = sum(not figure.is_met for figure in figures)
    return f"{missed} of {len(figures)} targets missed." if missed else f"All {len(figures)} targets are met."


def group_lines(groups: Sequence[GroupRates], thresholds: Thresholds) -> list[str]:
    """Return the rates of each group, one line a group and level."""
    lines = [f"{'group':<18}{'free / with':>11}  {'level, by design':<23}{'false alarms':<24}sensitivity"]
    medium, high = f"Medium or higher, {1 - thresholds.medium:.0%}", f"High, {1 - thresholds.high:.0%}"
    for group in groups:
        numbers = f"{group.disease_free} / {group.with_disease}"
        lines.append(f"{group.name:<18}{numbers:>11}  {_level_text(medium, group.medium_or_higher)}")
        lines.append(f"{'':<31}{_level_text(high, group.high)}")
    return lines


def _level_text(level: str, rates: Mapping[str, Estimate]) -> str:
    said = [with_interval(rates[name]) for name in ("false_alarm_rate", "sensitivity")]
    return f"{level:<23}{said[0]:<24}{said[1]}"


def confusion_lines(confusion: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return how many patients without and with disease are at each level."""
    levels = [level.value for level in RiskLevel]
    lines = [f"{'patients by level':<18}" + "".join(f"{level:>16}" for level in levels)]
    for label, counts in confusion.items():
        cells = "".join(f"{counts[level]:>8.4g}{_share_text(counts[level], counts):>8}" for level in levels)
        lines.append(f"{label:<18}{cells}")
    return lines


def _share_text(count: float, counts: Mapping[str, float]) -> str:
    everybody = sum(counts.values())
    return f"({count / everybody:.0%})" if everybody else ""


def with_interval(estimate: Estimate, style: str = ".3f") -> str:
    """Return a figure and, in brackets, its interval; a dash where there is none."""
    return f"{_number(estimate.value, style)} {interval_text(estimate, style)}".strip()


def interval_text(estimate: Estimate, style: str) -> str:
    if math.isnan(estimate.low):
        return ""
    return f"({_number(estimate.low, style)} to {_number(estimate.high, style)})"


def _number(value: float, style: str) -> str:
    return "-" if math.isnan(value) else format(value, style)


def validation_text(validation: ExternalValidation, thresholds: Thresholds, *, data: str) -> str:
    """Return what was found on a CSV from elsewhere: the file, its gaps, the scores, and where there are labels the
    figures."""
    return "\n".join(
        [
            f"Model {validation.model_version} on {data}; 95 % intervals by 2,000 bootstrap resamples.",
            "",
            *_file_lines(validation),
            "",
            *_score_lines(validation, thresholds),
            "",
            *_label_lines(validation, thresholds),
        ]
    )


def _file_lines(validation: ExternalValidation) -> list[str]:
    unlabelled = validation.patients - validation.disease_free - validation.with_disease
    lines = [
        f"{validation.patients} patients: {validation.disease_free} disease-free, {validation.with_disease} with "
        f"disease, {unlabelled} without label.",
        f"{validation.extrapolated} of them have a value outside the range the model was made for.",
        f"Rows left out: {len(validation.left_out)}.",
        *(f"  {said}" for said in validation.left_out[:_SHOWN]),
    ]
    if len(validation.left_out) > _SHOWN:
        lines.append(f"  and {len(validation.left_out) - _SHOWN} more.")
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
