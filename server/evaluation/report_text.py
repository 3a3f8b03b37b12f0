"""An evaluation laid out for people to read, each figure beside its target."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np

from common.messages import LEVELS, Thresholds
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
from server.anomaly.recognition import Patients
from server.evaluation.external import ExternalValidation

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


def validation_text(validation: ExternalValidation, thresholds: Thresholds) -> str:
    """Return what was found on a file from elsewhere: how it was read, gaps, scores, and with labels the figures."""
    patients = validation.patients
    # Warnings before any figure: who reads only the first number must not take it for what it is not.
    lines = []
    if validation.used_to:
        used_to = f"this model was {' and '.join(validation.used_to)} on {patients.name} itself."
        used_to += " The figures are better than patients it has not seen would give."
        lines += [*wrap(f"Not an external validation: {used_to}", _WIDTH), ""]
    if patients.wrong_label:
        lines += [*wrap(f"The figures below mean nothing if this is true: {patients.wrong_label}", _WIDTH), ""]
    lines += [
        f"Model {validation.model_version} on {patients.name}; 95 % intervals of shares by Wilson (1927), of all else "
        f"by {RESAMPLES:,} bootstrap resamples.",
        "",
        *_file_lines(patients),
        "",
    ]
    for level, threshold in by_level(thresholds).items():
        share = f"share at {level_text(level)} (disease-free: {1 - threshold:.0%} by design)"
        lines.append(f"{share:<60}{validation.alarms[level]:.3f}")
    lines.append(validation.abstention.in_words(patients.name))
    lines.append("")
    if not validation.confusion:
        return "\n".join([*lines, "No patient has a label, so there is nothing to compare the scores with."])
    lines += [f"{SHOWN[name].title:<60}{estimate:.3f}" for name, estimate in validation.separation.items()]
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
    lines = [f"{'patients by level':<18}" + "".join(f"{level:>16}" for level in LEVELS)]
    for name, counts in confusion.items():
        everybody = sum(counts.values())
        cells = [f"{count:>8.4g}{f'({count / everybody:.0%})' if everybody else '':>8}" for count in counts.values()]
        lines.append(f"{name.replace('_', ' '):<18}{''.join(cells)}")
    return lines


def _file_lines(patients: Patients) -> list[str]:
    values, ill = patients.values, patients.has_disease[patients.is_labeled]
    ranges = [field.model_range or (-np.inf, np.inf) for field in FIELDS.values()]
    outside = np.any([(of < low) | (of > high) for of, (low, high) in zip(values.T, ranges, strict=True)], axis=0)
    gaps = np.isnan(values).sum(axis=0).tolist()
    return [
        *patients.recognized,
        f"{len(values)} patients: {(~ill).sum()} disease-free, {ill.sum()} with disease, "
        f"{len(values) - ill.size} without label.",
        f"{outside.sum()} of them have a value outside the range the model was made for.",
        *(
            f"{field.csv_column} was not measured in {number} of {len(values)} patients."
            for field, number in zip(FIELDS.values(), gaps, strict=True)
            if number
        ),
    ]
