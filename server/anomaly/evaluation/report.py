"""An evaluation laid out for people to read, each figure beside its target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config.messages import RiskLevel, Thresholds
from server.anomaly.evaluation.external import ExternalValidation
from server.anomaly.evaluation.values import Estimate, Evaluation, Figure, GroupRates, Rates

_SHOWN = 50


@dataclass(frozen=True)
class Target:
    """The value a figure must reach, or must not exceed."""

    limit: float
    at_least: bool

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Line:
    """How a figure is shown: its title, its target on the shipped data, and the formats of both."""

    title: str
    target: Target
    style: str = ".3f"
    target_style: str = "g"


def at_least(limit: float) -> Target:
    return Target(limit, at_least=True)


def at_most(limit: float) -> Target:
    return Target(limit, at_least=False)


_BLANKED = "slope, vessels, thallium not measured: "

LINES: Mapping[str, Line] = {
    "auroc": Line("AUROC", at_least(0.905)),
    "sensitivity_at_90_specificity": Line("sensitivity at 90% specificity", at_least(0.74)),
    "auprc": Line("AUPRC", at_least(0.90)),
    "auroc_less_logistic_regression": Line("AUROC less logistic regression's with labels", at_least(-0.01), "+.3f"),
    "false_alarm_rate_medium_or_higher": Line("false alarms at Medium or higher", at_most(0.23)),
    "false_alarm_rate_high": Line("false alarms at High", at_most(0.07)),
    "sensitivity_medium_or_higher": Line("sensitivity at Medium or higher", at_least(0.79)),
    "sensitivity_high": Line("sensitivity at High", at_least(0.62)),
    "blanked_auroc": Line(f"{_BLANKED}AUROC", at_least(0.85)),
    "blanked_false_alarm_rate_high": Line(f"{_BLANKED}false alarms at High", at_most(0.07)),
    "blanked_sensitivity_high": Line(f"{_BLANKED}sensitivity at High", at_least(0.46)),
    "two_seeds_spearman": Line("two seeds: Spearman correlation", at_least(0.995), ".4f"),
    "two_seeds_level_changes": Line("two seeds: patients whose level changes", at_most(0.05), ".1%", ".0%"),
    "worse_finding_lowers": Line("one finding made worse lowers the score", at_most(0.005), ".2%", ".1%"),
    "additivity_gap": Line("contributions against log2 score", at_most(1e-9), ".0e"),
    "top_three_against_random": Line("top three typical: fall against three at random", at_least(3), ".2f"),
    "top_three_against_best": Line("top three typical: fall against the best three", at_least(0.95)),
}
"""The figures that have a target, in the order they are shown."""


def evaluation_text(evaluation: Evaluation, thresholds: Thresholds) -> str:
    """Return the table of figures with their targets, the subgroups, and the confusion by level."""
    return "\n".join(
        [
            f"{evaluation.repeats} x {evaluation.folds}-fold stratified cross-validation of {evaluation.disease_free} "
            f"disease-free patients and {evaluation.with_disease} with disease;",
            "forest and calibration are fitted on the training folds' disease-free patients only.",
            "95 % intervals by Nadeau and Bengio (2003). The usual forest: 300 trees of up to 256 patients each on",
            "the 13 standardised fields, Medium from a raw score of 0.5, High from 0.6.",
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
    shown = {line: evaluation.figures[name] for name, line in LINES.items() if name in evaluation.figures}
    return [
        f"{'figure':<60}{'target':>9}{'measured':>10}  {'95 % interval':<20}{'met':<5}{'usual forest':>12}",
        *(_figure_line(line, figure) for line, figure in shown.items()),
        "",
        _verdict(shown),
    ]


def _figure_line(line: Line, figure: Figure) -> str:
    target = f"{'>=' if line.target.at_least else '<='} {_number(line.target.limit, line.target_style)}"
    usual = "" if figure.usual is None else _number(figure.usual.value, line.style)
    met = "yes" if _is_met(line, figure) else "NO"
    measured = f"{_number(figure.ours.value, line.style):>10}  {interval_text(figure.ours, line.style):<20}"
    return f"{line.title:<60}{target:>9}{measured}{met:<5}{usual:>12}".rstrip()


def _is_met(line: Line, figure: Figure) -> bool:
    return figure.ours.value is not None and line.target.is_met(figure.ours.value)


def _verdict(shown: Mapping[Line, Figure]) -> str:
    missed = sum(not _is_met(line, figure) for line, figure in shown.items())
    return f"{missed} of {len(shown)} targets missed." if missed else f"All {len(shown)} targets are met."


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
    return f"{_number(estimate.value, style)} {interval_text(estimate, style)}".strip()


def interval_text(estimate: Estimate, style: str) -> str:
    if estimate.low is None:
        return ""
    return f"({_number(estimate.low, style)} to {_number(estimate.high, style)})"


def _number(value: float | None, style: str) -> str:
    return "-" if value is None else format(value, style)


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
