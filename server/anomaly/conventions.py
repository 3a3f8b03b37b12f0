"""Which of the conventions that circulate the numeric codes of a file follow: proved, clear, or asked."""

from collections.abc import Mapping, Set
from itertools import permutations

import numpy as np
from scipy.special import log_expit, logit

from common import dialects
from common.dialects import CONVENTIONS, UCI_CODES, Codes, known_codes
from common.errors import InvalidDataError
from common.patient import FIELDS
from server.anomaly.cell_values import FEWEST_SHOWN, what_values_mean, written
from server.anomaly.columns import headers_of
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
_NONE = "none"  # said of codes that follow none of the conventions

Columns = Mapping[str, Column]
Read = Mapping[str, Mapping[int, float | None]]
"""What each cell of a column is, by field and the cell's place."""


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
        how = f"codes {next(iter(agreeing), 'of its own')}, proved by rows of the shipped table"
        return {**DIFFERING, **{name: proofs[name] for name in used}}, how
    if len(agreeing) == 1:
        ((named, codes),) = agreeing.items()
        return codes, f"codes {named}"
    # Codes that mean nothing are the last candidate: a convention must explain the labels better than they do.
    meanings: list[Meanings] = [*agreeing.values(), {name: {} for name in used}]
    evidence = np.array([[_evidence_of(columns[name], codes[name], label) for name in used] for codes in meanings])
    second, best = np.argsort(evidence.sum(axis=1))[-2:]
    margin, against = (evidence[best] - evidence[second]).sum(), (evidence - evidence[best]).max()
    if margin >= _MARGIN and against < _MOST_AGAINST and best < len(agreeing):
        return meanings[best], f"codes {[*agreeing][best]}, by how codes and label go together"
    ways = "\n".join(f"--codes {named}: {meanings_in_words(columns, codes, used)}" for named, codes in agreeing.items())
    raise AmbiguousDataError(
        f"what do the codes of {headers_of(columns, used)} mean? Versions of this data set differ. One of:\n{ways}\n"
        f"If none of them is right, say --codes {_NONE}.",
        "codes",
    )


def _fitting(columns: Columns, used: Mapping[str, set[int]], answers: Answers) -> dict[str, Meanings]:
    """Return the conventions that have the codes of a file, one of each effect on it."""
    said = answers.codes
    options = {name: of for name, of in CONVENTIONS.items() if said in (None, _NONE, name, name.partition("/")[0])}
    question = what_values_mean(columns, {name: [*map(str, sorted(columns[name].codes))] for name in used})
    if said == _NONE and used.keys() - {"major_vessels"}:
        raise question
    if not options:
        raise WrongAnswerError(f"there are no codes {said}. Known are: {', '.join(CONVENTIONS)}.")
    strangers = {
        named: sum(columns[name].rows_with(of - codes[name].keys()) for name, of in used.items())
        for named, codes in options.items()
    }
    # By rows and not by codes: one mistyped cell must not rule out the convention that reads all others.
    fewest = min(strangers.values())
    # A few cells that no convention has are refused by row. More are no mistakes, and mending them would make it worse.
    if fewest > _FEW * columns["age"].places.size:
        raise question
    fits = [named for named, rows in strangers.items() if rows == fewest]
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

    def said(column: Column, code: int) -> str:
        words = f"{code} = {FIELDS[column.name].in_words(codes[column.name][code])}"
        return f"{words} ({column.rows_with({code}) / column.places.size:.0%})" if with_shares else words

    return "; ".join(
        f"{columns[name].header} " + ", ".join(said(columns[name], code) for code in sorted(of & codes[name].keys()))
        for name, of in used.items()
    )


def _evidence_of(column: Column, codes: Codes, label: FloatArray) -> float:
    return _evidence(column, {cell: codes.get(int(number)) for cell, number in column.numbers.items()}, label)


def _evidence(column: Column, meant: Mapping[int, float | None], label: FloatArray) -> float:
    """Return the log-likelihood of the labels, shape (n,), by what a column's cells mean, in nats.

    Only how codes and label go together counts and not how frequent a code is: that differs from clinic to clinic.
    """
    # Of each distinct cell how many have disease and how many do not: rows of the same cell count together.
    ill, free = (np.bincount(column.places[label == of], minlength=len(column.cells)) for of in (1, 0))
    if not ill.any() or not free.any():
        return 0.0
    logits = np.full(len(column.cells), logit(ill.sum() / (ill.sum() + free.sum())))
    for cell, code in meant.items():
        logits[cell] += logits_of(column.name).get(code, 0.0)
    nats = ill @ log_expit(logits) + free @ log_expit(-logits)
    return float(nats * min(1, _COUNTED / (ill.sum() + free.sum())))


def ask_about_exchanged_codes(columns: Columns, read: Read, label: FloatArray, answers: Answers) -> None:
    """Ask where the codes or words of fields in another order would explain the labels far better."""
    least = min(_MARGIN, max(_DOUBTFUL, _DOUBTFUL_EACH * float((~np.isnan(label)).sum())))
    doubtful = dict[str, str]()
    for name, column in columns.items():
        if name in UCI_CODES:
            # All orders of a handful of codes: if two are exchanged, the labels fit another order far better.
            chosen = {cell: read[name][cell] for cell in column.filled}
            present = [*dict.fromkeys(chosen.values())]
            orders = (dict(zip(present, order, strict=True)) for order in permutations(present))
            others = ({cell: order[code] for cell, code in chosen.items()} for order in orders)
            gain = max(_evidence(column, other, label) for other in others) - _evidence(column, chosen, label)
            if gain > least:
                shown = {cell: code for cell, code in chosen.items() if column.times[cell] >= FEWEST_SHOWN}
                words = {written(column.cells[cell]): FIELDS[name].in_words(code) for cell, code in shown.items()}
                doubtful[name] = f"{column.header} {', '.join(f'{text} = {words[text]}' for text in sorted(words))}"
    if doubtful:
        answers.confirm(
            f"are the codes of {headers_of(columns, doubtful)} right? They go with the label as if they were exchanged."
            f" Here {'; '.join(doubtful.values())}. Say --yes if all of that is so."
        )
