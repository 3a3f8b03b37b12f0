"""An evaluation laid out for people to read, each figure beside its target."""

from collections import Counter
from collections.abc import Mapping, Sequence
from textwrap import wrap

from common.csv_rows import Survey
from common.messages import RiskLevel, Thresholds
from common.patient import FIELDS
from server.anomaly.evaluation_figures import (
    SHOWN,
    Evaluation,
    Figure,
    GroupRates,
    Shown,
    by_level,
    level_text,
    number_text,
)
from server.anomaly.intervals import RESAMPLES
from server.evaluation.external import ExternalValidation

_MOST_ROWS = 50
_FEW_LEFT_OUT = 0.05  # the loss of so many rows is inconsequential (Schafer 1999)
_WIDTH = 116


def evaluation_text(evaluation: Evaluation, thresholds: Thresholds) -> str:
    """Return the table of figures with their targets, the subgroups, and the confusion by level."""
    figures = {name: figure for name, figure in evaluation.figures.items() if SHOWN[name].target}
    missed = len(missed_targets(evaluation))
    return "\n".join(
        [
            *wrap(evaluation.design, _WIDTH),
            "",
            f"{'figure':<60}{'target':>9}{'measured':>10}  {'95 % interval':<20}{'met':<5}{'usual forest':>12}",
            *(_figure_line(SHOWN[name], figure) for name, figure in figures.items()),
            "",
            f"{missed} of {len(figures)} targets missed." if missed else f"All {len(figures)} targets are met.",
            "",
            *_group_lines(evaluation.groups, thresholds),
            "",
            *_confusion_lines(evaluation.confusion),
        ]
    )


def missed_targets(evaluation: Evaluation) -> list[str]:
    """Name the figures that miss their target, among those that were measured."""
    return [name for name, figure in evaluation.figures.items() if not SHOWN[name].is_met_by(figure.ours.value)]


def summary_text(evaluation: Evaluation, thresholds: Thresholds) -> str:
    """Return what matters most: who was held out, how well they are told apart, and the alarms by level."""
    figures = evaluation.figures
    lines = [
        f"Held-out evaluation, {evaluation.repeats} x {evaluation.folds}-fold: {evaluation.disease_free} disease-free "
        f"patients, {evaluation.with_disease} with disease; 95 % intervals in brackets"
    ]
    if "auroc" in figures:
        lines.append(f"AUROC {figures['auroc'].ours:.3f}")
    for level, threshold in by_level(thresholds).items():
        said = f"{level_text(level)}, from a score of {threshold:g}: "
        said += f"false alarms {figures[f'false_alarm_rate_{level}'].ours:.1%}, {1 - threshold:.0%} by design"
        if sensitivity := figures.get(f"sensitivity_{level}"):
            said += f"; sensitivity {sensitivity.ours:.1%}"
        lines.append(said)
    return "\n".join(lines)


def validation_text(validation: ExternalValidation, thresholds: Thresholds, *, data: str) -> str:
    """Return what was found on a CSV from elsewhere: the file, its gaps, the scores, and with labels the figures."""
    # Warnings before any figure: who reads only the first number must not take it for what it is not.
    lines = []
    if validation.used_to:
        used_to = f"Not an external validation: this model was {' and '.join(validation.used_to)} on {data} itself."
        lines += [*wrap(f"{used_to} The figures are better than patients it has not seen would give.", _WIDTH), ""]
    left_out = len(validation.survey.left_out)
    rows = left_out + len(validation.survey.patients)
    if left_out > _FEW_LEFT_OUT * rows:
        rest = "the figures are those of the rest, which may be a biased choice."
        lines += [f"{left_out} of {rows} rows were left out: {rest}", ""]
    lines += [
        f"Model {validation.model_version} on {data}; 95 % intervals of shares by Wilson (1927), of all else by "
        f"{RESAMPLES:,} bootstrap resamples.",
        "",
        *_file_lines(validation.survey),
        "",
    ]
    for level, threshold in by_level(thresholds).items():
        by_design = f"{1 - threshold:.0%} of disease-free patients by design"
        lines.append(f"{f'share at {level_text(level)}':<31}{validation.alarms[level]:.3f}, {by_design}")
    lines.append("")
    if not validation.confusion:
        return "\n".join([*lines, "No patient has a label, so there is nothing to compare the scores with."])
    lines += [f"{name:<33}{estimate:.3f}" for name, estimate in validation.separation.items()]
    if not validation.separation:
        lines.append("All labels are the same, so there is no AUROC.")
    lines += ["", *_group_lines(validation.groups, thresholds), "", *_confusion_lines(validation.confusion)]
    return "\n".join(lines)


def _figure_line(shown: Shown, figure: Figure) -> str:
    usual = "" if figure.usual is None else number_text(figure.usual.value, shown.style)
    met = "yes" if shown.is_met_by(figure.ours.value) else "NO"
    measured = f"{number_text(figure.ours.value, shown.style):>10}  {figure.ours.interval_text(shown.style):<20}"
    return f"{shown.title:<60}{shown.target:>9}{measured}{met:<5}{usual:>12}".rstrip()


def _group_lines(groups: Sequence[GroupRates], thresholds: Thresholds) -> list[str]:
    lines = [f"{'group':<18}{'free / with':>11}  {'level, by design':<23}{'false alarms':<24}sensitivity"]
    for group in groups:
        start = f"{group.name:<18}{f'{group.disease_free} / {group.with_disease}':>11}"
        for level, threshold in by_level(thresholds).items():
            rates, design = getattr(group, level), f"{level_text(level)}, {1 - threshold:.0%}"
            lines.append(f"{start:<31}{design:<23}{f'{rates.false_alarm_rate:.3f}':<24}{rates.sensitivity:.3f}")
            start = ""
    return lines


def _confusion_lines(confusion: Mapping[str, Mapping[str, float]]) -> list[str]:
    lines = [f"{'patients by level':<18}" + "".join(f"{level:>16}" for level in RiskLevel)]
    for name, counts in confusion.items():
        everybody = sum(counts.values())
        cells = [f"{count:>8.4g}{f'({count / everybody:.0%})' if everybody else '':>8}" for count in counts.values()]
        lines.append(f"{name.replace('_', ' '):<18}{''.join(cells)}")
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
