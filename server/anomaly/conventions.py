"""Which of the conventions that circulate the numeric codes of a file follow: proved, clear, or asked."""

from collections.abc import Iterable, Mapping, Set
from itertools import permutations

import numpy as np
from scipy.special import log_expit, logit

from common import dialects
from common.dialects import CONVENTIONS, LABEL, UCI_CODES, Codes
from common.errors import InvalidDataError
from common.patient import FIELDS
from server.anomaly.columns import known_codes, what_values_mean
from server.anomaly.dataset import COLUMNS, FloatArray
from server.anomaly.proofs import GAP, Meanings, logits_of
from server.anomaly.questions import AmbiguousDataError, Answers, WrongAnswerError
from server.anomaly.table_file import Column

DIFFERING = CONVENTIONS["uci/367"]
"""The fields that conventions number differently, with UCI's codes."""

_MARGIN, _COUNTED = 20, 1000  # nats, and rows as which more are counted: of very many, any small difference is a proof
_MOST_AGAINST = 5  # nats; a field that speaks for another convention makes the others' sum doubtful
# Nats, and of each patient: another order of right codes gains less by chance in any 25 to 300 shipped patients, and an
# exchange of pain types and slopes gains more from 50 on.
_DOUBTFUL, _DOUBTFUL_EACH = 4, 1 / 12
_FEW = 0.05
NONE = "none"
"""What is said of codes that follow none of the conventions."""

Columns = Mapping[str, Column]


def codes_of(columns: Columns, label: FloatArray, proofs: Meanings, answers: Answers) -> tuple[Meanings, str]:
    """Return what numbers mean in each field that conventions differ in, and which convention that is and why."""
    coded = [name for name in COLUMNS if name in DIFFERING and name in columns]
    used = {name: of for name in coded if (of := known_codes(name) & columns[name].codes)}
    candidates = _fitting(columns, used, answers)
    # Vessels are counted alike in all conventions but for a code 4.
    if not used.keys() - {"major_vessels"}:
        return next(iter(candidates.values())), "words"
    agreeing = {
        named: codes
        for named, codes in candidates.items()
        if all(codes[name].get(code, GAP) == meaning for name in used for code, meaning in proofs[name].items())
    }
    is_proved = all(codes <= proofs[name].keys() for name, codes in used.items())
    if not agreeing and (answers.codes or not is_proved):
        than = "--codes says" if answers.codes else "are known: write words for them"
        raise InvalidDataError(
            f"rows of the shipped table prove other codes of {headers_of(columns, used)} than {than}."
        )
    if is_proved:
        named = next(iter(agreeing), "of its own")
        return {
            **DIFFERING,
            **{name: proofs[name] for name in used},
        }, f"codes {named}, proved by rows of the shipped table"
    if len(agreeing) == 1:
        ((named, codes),) = agreeing.items()
        return codes, f"codes {named}"
    # Codes that mean nothing are a candidate, too: a convention must explain the labels better than they do.
    everything: dict[str, Meanings] = {**agreeing, "nothing": {name: {} for name in used}}
    evidence = {
        named: np.array([_evidence(columns[name], codes[name], label) for name in used])
        for named, codes in everything.items()
    }
    *_, second, named = sorted(everything, key=lambda one: evidence[one].sum())
    against = max(float((nats - evidence[named]).max()) for nats in evidence.values())
    is_clear = evidence[named].sum() - evidence[second].sum() >= _MARGIN and against < _MOST_AGAINST
    if is_clear and named in agreeing:
        return agreeing[named], f"codes {named}, by how codes and label go together"
    ways = "\n".join(f"--codes {named}: {meanings_in_words(columns, codes, used)}" for named, codes in agreeing.items())
    raise AmbiguousDataError(
        f"what do the codes of {headers_of(columns, used)} mean? Versions of this data set differ. One of:\n{ways}\n"
        f"If none of them is right, say --codes {NONE}.",
        "codes",
    )


def _fitting(columns: Columns, used: Mapping[str, set[int]], answers: Answers) -> dict[str, Meanings]:
    """Return the conventions that have the codes of a file, one of each effect on it."""
    said = answers.codes
    options = {name: codes for name, codes in CONVENTIONS.items() if said in (None, NONE, name, name.partition("/")[0])}
    question = what_values_mean(columns, {name: [*map(str, sorted(columns[name].codes))] for name in used})
    if said == NONE and used.keys() - {"major_vessels"}:
        raise question
    if not options:
        raise WrongAnswerError(f"there are no codes {said}. Known are: {', '.join(CONVENTIONS)}.")
    strangers = {
        named: sum(
            int(np.isin(columns[name].by_row(columns[name].numbers), [*(of - codes[name].keys())]).sum())
            for name, of in used.items()
        )
        for named, codes in options.items()
    }
    # A few cells that no convention has are refused by row. More are no mistakes, and mending them would make it worse.
    if min(strangers.values()) > _FEW * columns["age"].places.size:
        raise question
    fits = [named for named, rows in strangers.items() if rows == min(strangers.values())]
    if "uci/367" in fits and all(dialects.is_own_name(columns[name].header) for name in used):
        fits = ["uci/367"]
    by_effect: dict[str, str] = {}
    for named in fits:
        by_effect.setdefault(meanings_in_words(columns, options[named], used), named)
    # Without a thallium scan in numbers, how it is numbered is nobody's question.
    return {
        named if "thallium_scan" in used else named.partition("/")[0]: options[named] for named in by_effect.values()
    }


def meanings_in_words(
    columns: Columns, codes: Meanings, used: Mapping[str, Set[int]], *, with_shares: bool = False
) -> str:
    """Say in words what the codes of a file mean, and how many of its patients have each."""

    def said(name: str, code: int) -> str:
        words = f"{code} = {FIELDS[name].in_words(codes[name][code])}"
        return f"{words} ({share_of(columns[name], code):.0%})" if with_shares else words

    return "; ".join(
        f"{columns[name].header} " + ", ".join(said(name, code) for code in sorted(of & codes[name].keys()))
        for name, of in used.items()
    )


def share_of(column: Column, code: int) -> float:
    """Return the share (0 to 1) of a column's patients who have a code."""
    cells = [cell for cell, number in column.numbers.items() if number == code]
    return float(column.times[cells].sum() / column.places.size)


def _evidence(column: Column, codes: Codes, label: FloatArray) -> float:
    """Return the log-likelihood of the labels, shape (n,), by what a column's codes mean, in nats.

    Only how codes and label go together counts and not how frequent a code is: that differs from clinic to clinic.
    """
    ill, free = (np.bincount(column.places[label == of], minlength=len(column.cells)) for of in (1, 0))
    if not ill.any() or not free.any():
        return 0.0
    logits = np.full(len(column.cells), logit(ill.sum() / (ill.sum() + free.sum())))
    for cell, number in column.numbers.items():
        logits[cell] += logits_of(column.name).get(codes.get(int(number)), 0.0)
    nats = ill @ log_expit(logits) + free @ log_expit(-logits)
    return float(nats * min(1, _COUNTED / (ill.sum() + free.sum())))


def ask_about_exchanged_codes(columns: Columns, codes: Meanings, label: FloatArray, answers: Answers) -> None:
    """Ask where the codes of fields in another order would explain the labels far better, alone or together."""
    gains: dict[str, float] = {}
    for name, column in columns.items():
        if name == LABEL or not FIELDS[name].codes:
            continue
        chosen = codes.get(name, UCI_CODES[name])
        present = sorted(column.codes)
        orders = [dict(zip(present, order, strict=True)) for order in permutations(chosen[code] for code in present)]
        best = max(_evidence(column, order, label) for order in orders)
        gains[name] = best - _evidence(column, chosen, label)
    least = min(_MARGIN, max(_DOUBTFUL, _DOUBTFUL_EACH * float((~np.isnan(label)).sum())))
    doubtful = {name for name, gain in gains.items() if gain > least}
    if doubtful:
        present_codes = {name: column.codes for name, column in columns.items() if name in doubtful}
        meanings = {name: codes.get(name, UCI_CODES[name]) for name in present_codes}
        answers.confirm(
            f"are the codes of {headers_of(columns, present_codes)} right? They go with the label as if they were "
            f"exchanged. Here {meanings_in_words(columns, meanings, present_codes)}. Say --yes if all of that is so."
        )


def headers_of(columns: Columns, names: Iterable[str]) -> str:
    return ", ".join(columns[name].header for name in names)
