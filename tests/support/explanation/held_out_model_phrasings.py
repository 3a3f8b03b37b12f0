"""True texts as instruction-tuned models would answer the prompt; nothing was developed on them."""

from random import Random
from typing import Final

from common.patient import FIELDS
from server.explanation.facts import Factor, Facts
from server.explanation.template import label_in_sentence
from tests.support.explanation.held_out_model_pen import (
    LONGER,
    PAIR,
    SCORE,
    THRESHOLD,
    Case,
    Phrasing,
    worded_bare,
    worded_cap,
    worded_ing,
    worded_is_many,
    worded_past,
    worded_plain,
    worded_text,
    worded_the,
    worded_verb,
)
from tests.support.explanation.held_out_model_phrasings_more import (
    both_while,
    connected,
    copyist,
    elliptic,
    grouped,
    labels_as_names,
    reported,
    score_first,
)


def _longer(factor: Factor) -> str:
    return f"{LONGER.get(factor.name, f'the {label_in_sentence(factor.label)}')} ([[{factor.name}]])"


def ranked(facts: Facts, random: Random) -> str:
    """Tell the factors as an order of importance."""
    case = Case.of(facts, random, oxford=0.7)
    opening = case.one(
        f"This patient's risk level is {case.level}. The anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"For this patient the risk level is {case.level}, as the anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"In this case, the risk level is {case.level}, with the anomaly score ({SCORE}) "
        f"{case.side('remaining below', 'at or above')} {case.bar}.",
    )
    most = case.one(
        f"{worded_bare(case.first)} {worded_verb(case.first)} the score the most",
        f"{worded_bare(case.first)} {worded_verb(case.first)} the score most strongly",
        f"the score is {worded_past(case.first)} most by {worded_bare(case.first)}",
        f"the strongest factor is {worded_bare(case.first)}, which {worded_verb(case.first)} the score",
    )
    if not case.rest:
        return worded_text(opening, f"{most}.", _ranked_missing(case))
    if case.is_alike and (opening.count(". ") or case.odds(0.4)):
        tail = case.joined([worded_bare(factor) for factor in case.rest])
        if opening.count(". "):
            return worded_text(opening, f"{most}, followed by {tail}.", _ranked_missing(case))
        also = case.one("also", "in turn")
        return worded_text(opening, f"{most}.", f"{tail} {also} {worded_verb(*case.rest)} it.", _ranked_missing(case))
    second, *last = case.rest
    clauses = [f"next, {worded_bare(second)} {worded_verb(second)} it"]
    clauses += [
        f"{case.one('finally, ', 'lastly, ', '')}{worded_bare(third)} {worded_verb(third)} it" for third in last
    ]
    if opening.count(". "):
        return worded_text(opening, f"{most}; {', and '.join(clauses)}.", _ranked_missing(case))
    return worded_text(opening, f"{most}.", f"{', and '.join(clauses)}.", _ranked_missing(case))


def _ranked_missing(case: Case) -> str:
    return case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "In addition, {a} {was} not measured and {is_} taken as typical.",
        "Please note that {a} {was} not measured and {is_} taken as typical.",
        "{a} {was} not measured in this patient and {is_} taken as typical.",
        "For the {fields} not measured, {a}, {value} {is_} taken.",
    )


def semicolons(facts: Facts, random: Random) -> str:
    """Put the factors in a row, in one sentence after a colon."""
    case = Case.of(facts, random)
    opening = case.one(
        f"The result is a {case.level} risk level. The anomaly score ({SCORE}) sits {case.at} {case.bar}.",
        f"The risk level is {case.level}. The corresponding anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"The risk level is rated {case.level}. The anomaly score is {SCORE}, {case.at} {case.bar}.",
        f"The anomaly score ({SCORE}) is {case.at} {case.bar}. The resulting risk level is {case.level}.",
    )
    head = case.one(
        "The factors act on the score as follows: ",
        "The factors are as follows: ",
        "The factors are these: ",
        "As for the factors, ",
        "",
    )
    if not case.is_alike and case.odds(0.3):
        head = "The factors work in different directions: "
    mark = case.one("; ", "; ", ", ")
    clauses = [
        f"{worded_the(factor)} {worded_verb(factor)} {'the score' if factor is case.first else 'it'}"
        for factor in case.factors
    ]
    clauses = [*clauses[:-1], f"and {clauses[-1]}"] if len(clauses) > 1 else clauses
    missing = case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "Not measured: {a}, taken as typical.",
        "{a} {was} not measured and {is_} set to typical.",
        "{a} {was} left unmeasured and {is_} taken as typical.",
    )
    return worded_text(opening, f"{head}{mark.join(clauses)}.", missing)


def verbose(facts: Facts, random: Random) -> str:
    """Answer as a talkative model does, with the labels spelled out a little further."""
    case = Case.of(facts, random, oxford=0.9)
    bar = case.one(
        case.bar, f"the threshold for {case.gate} ({THRESHOLD})", f"the {case.gate} risk threshold of {THRESHOLD}"
    )
    opening = case.one(
        f"Based on the anomaly detector's output, the risk level is {case.level}, with an anomaly score ({SCORE}) that "
        f"{case.side('falls below', 'meets or exceeds')} {bar}.",
        f"According to the anomaly detector, this patient's risk level is {case.level}, and the corresponding anomaly "
        f"score ({SCORE}) is {case.at} {bar}.",
        f"The anomaly detection result for this patient shows a {case.level} risk level, as the anomaly score "
        f"({SCORE}) is {case.at} {bar}.",
        f"The overall risk level for this patient is {case.level}, which reflects an anomaly score ({SCORE}) that is "
        f"{case.at} {bar}.",
    )
    label = _longer if case.odds(0.5) else worded_the
    lead, *rest = case.factors
    is_singular = label is _longer
    verbs = [factor.direction if is_singular else worded_verb(factor) for factor in case.factors]
    head = "Looking at the factors, " if case.odds(0.3) else ""
    first = f"{head}{label(lead)} {verbs[0]} the score"
    if not rest:
        return worded_text(opening, f"{first}.", _verbose_missing(case))
    turns = [
        case.one("further", "also", "additionally") if factor.direction == before.direction else ""
        for before, factor in zip(case.factors, rest, strict=False)
    ]
    told = [
        f"{label(factor)} {f'{turn} ' if turn else ''}{verb} {thing}"
        for factor, turn, verb, thing in zip(rest, turns, verbs[1:], ("the score", "it"), strict=False)
    ]
    ahead = "" if turns[0] else case.one("On the other hand, ", "In contrast, ", "However, ")
    if len(told) > 1:
        link = case.one("and", "while") if rest[0].direction == rest[1].direction else case.one("while", "whereas")
        return worded_text(opening, f"{first}.", f"{ahead}{told[0]}, {link} {told[1]}.", _verbose_missing(case))
    return worded_text(opening, f"{first}.", f"{ahead}{told[0]}.", _verbose_missing(case))


def _verbose_missing(case: Case) -> str:
    return case.missing(
        "It is worth noting that {a} {was} not measured and {is_} taken as typical.",
        "Please note that {a} {was} not measured for this patient and {is_} therefore taken as typical.",
        "{a} {was} not measured for this patient, and {value} {was} assumed in the calculation.",
        "Finally, {a} {was} not measured and {is_} taken as typical.",
        "The detector takes {a} as typical, because {it} {was} not measured.",
    )


def terse(facts: Facts, random: Random) -> str:
    """Answer as a clipped model does, in the fewest words."""
    case = Case.of(facts, random, oxford=0.3)
    bar = case.bar.replace("(", "").replace(")", "")
    opening = case.one(
        f"Risk level: {case.level}, with the anomaly score ({SCORE}) {case.at} {case.bar}.",
        f"The risk level is {case.level}, the anomaly score ({SCORE}) {case.at} {case.bar}.",
        f"The risk level is {case.level} (anomaly score {SCORE}, {case.at} {bar}).",
        f"{case.level} risk level: the anomaly score ({SCORE}) is {case.at} {case.bar}.",
    )
    clauses = [f"{worded_bare(factor)} {worded_verb(factor)} the score" for factor in case.factors]
    if len(clauses) <= PAIR:
        body = [f"{clause}." for clause in clauses]
    elif case.odds(0.5):
        body = [f"{clauses[0]}.", f"{_pair(case)} the score."]
    else:
        one, two, three = case.factors
        if one.direction == two.direction:
            body = [
                f"{case.joined([worded_bare(one), worded_bare(two)])} {worded_verb(one, two)} the score.",
                f"{clauses[2]}.",
            ]
        else:
            body = [f"{clauses[0]}; {worded_bare(two)} {worded_verb(two)} it.", f"{clauses[2]}."]
        if three.direction == two.direction and case.odds(0.5):
            body[1] = f"{worded_bare(three)} {worded_verb(three)} it{case.one(', too', ' as well')}."
    missing = case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "{a} {was} not measured.",
        "{a}: not measured, taken as typical.",
        "Taken as typical, since not measured: {a}.",
        article=0.6,
    )
    return worded_text(opening, *body, missing)


def _pair(case: Case) -> str:
    second, third = case.rest
    if second.direction == third.direction:
        return f"{case.joined([worded_bare(second), worded_bare(third)])} {worded_verb(second, third)}"
    return f"{worded_bare(second)} {worded_verb(second)} it; {worded_bare(third)} {worded_verb(third)}"


def unmeasured_early(facts: Facts, random: Random) -> str:
    """Say what was not measured before the factors."""
    case = Case.of(facts, random, oxford=0.6)
    opening = case.one(
        f"The patient is assigned a risk level of {case.level}, given an anomaly score ({SCORE}) {case.at} {case.bar}.",
        f"A risk level of {case.level} is given, because the anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"The detector's risk level is {case.level}, and its anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"This is a {case.level} risk level, since the anomaly score ({SCORE}) is "
        f"{case.side('lower than', 'no lower than')} {case.bar}.",
    )
    missing = case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "This takes {a} as typical, as {it} {was} not measured.",
        "{a}, not measured, {is_} taken as typical in this score.",
        "The score takes {a} as typical, since {it} {was} not measured.",
    )
    one, *rest = case.factors
    head = case.one("Of the measured fields, ", "Among the measured factors, ", "") if missing else ""
    if not rest:
        return worded_text(opening, missing, f"{head}{worded_the(one)} {worded_verb(one)} the score.")
    clause = f"{head}{worded_the(one)} {worded_verb(one)} the score"
    things = ("the score", "it")
    after = [f"{worded_the(factor)} {worded_verb(factor)} {thing}" for factor, thing in zip(rest, things, strict=False)]
    if len(rest) > 1 and rest[0].direction == rest[1].direction:
        also = case.one("also ", "both ", "") if rest[0].direction == one.direction else case.one("both ", "")
        after = [
            f"{case.joined([worded_the(factor) for factor in rest])} {also}{worded_verb(*rest)} {case.one(*things)}"
        ]
    elif case.odds(0.5) and one.direction == rest[0].direction:
        clause = f"{head}{worded_the(one)} and {worded_the(rest[0])} {worded_verb(one, rest[0])} the score"
        after = after[1:]
    return worded_text(opening, missing, f"{clause}.", f"{', and '.join(after)}." if after else "")


def values_in_the_line(facts: Facts, random: Random) -> str:
    """Set the slots into the line as a looser model does, "of" for quantities and between commas for words."""
    case = Case.of(facts, random, oxford=0.7)
    opening = case.one(
        f"The anomaly score of {SCORE} is {case.at} the {case.gate} threshold of {THRESHOLD}, which corresponds to a "
        f"{case.level} risk level.",
        f"The patient has an anomaly score of {SCORE}, {case.at} the {case.gate} threshold of {THRESHOLD}, and a risk "
        f"level of {case.level}.",
        f"The risk level is {case.level} with an anomaly score of {SCORE}, which is {case.at} the {case.gate} "
        f"threshold of {THRESHOLD}.",
        f"The anomaly score stands at {SCORE}, {case.at} the {case.gate} threshold of {THRESHOLD}; the risk level is "
        f"{case.level}.",
    )
    first, *rest = [f"{_inline(factor)} {worded_verb(factor)}" for factor in case.factors]
    things = ("the score", "it")
    follow = f"{', and '.join(f'{clause} {thing}' for clause, thing in zip(rest, things, strict=False))}."
    if len(rest) > 1 and case.odds(0.3):
        body = [f"{first} the score, and {rest[0]} it.", f"{worded_cap(rest[1])} the score."]
    else:
        body = [f"{first} the score{case.one('', ' most')}.", follow if rest else ""]
    missing = case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "There is no measurement of {a}, which {is_} taken as typical.",
        "{a} {was} not measured, meaning {it} {is_} taken as typical.",
        "{value} {is_} used for {a}, as {it} {was} not measured.",
    )
    return worded_text(opening, *body, missing)


def _inline(factor: Factor) -> str:
    field, label = FIELDS[factor.name], label_in_sentence(factor.label)
    if field.unit:
        article = "an" if label[0] in "aeiou" or label.startswith("ST") else "a"
        return f"{article} {label} of [[{factor.name}]]"
    return f"the {label}, [[{factor.name}]],"


def synonyms(facts: Facts, random: Random) -> str:
    """Answer a little looser than asked: other verbs beside raising and lowering."""
    case = Case.of(facts, random, oxford=0.8)
    level = case.level.lower() if case.odds(0.25) else case.level
    opening = case.one(
        f"The patient is classified as {level} risk, with an anomaly score ({SCORE}) "
        f"{case.side('below', 'at or above')} {case.bar}.",
        f"The anomaly score ({SCORE}) {case.side('does not meet', 'has reached')} {case.bar}, and the risk level is "
        f"therefore {level}.",
        f"The calculated anomaly score ({SCORE}) is {case.side('less than', 'equal to or greater than')} {case.bar}, "
        f"placing the risk level at {level}.",
    )
    said: list[str] = []
    for factor in case.factors:
        thing = "it" if said else "the score"
        said.append(f"{worded_bare(factor)} {_loosely(case, factor, thing)}")
    head = f"{said[0]}."
    same = len(case.rest) > 1 and case.rest[0].direction == case.rest[1].direction
    link = "and" if same else case.one("while", "whereas", "but")
    follow = f"{f', {link} '.join(said[1:])}." if case.rest else ""
    missing = case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "{a} {was} not measured, so {value} {was} used.",
        "{a} {was} not available and {is_} taken as typical.",
        "Values for {a} were not measured and are taken as typical.",
        "{a} {is_} unmeasured and treated as typical.",
    )
    return worded_text(opening, head, follow, missing)


def _loosely(case: Case, factor: Factor, thing: str) -> str:
    many = worded_is_many([factor])
    if case.odds(0.5):
        return f"{worded_verb(factor)} {thing}"
    helped = f"{'contribute' if many else 'contributes'} to {worded_ing(factor)} {thing}"
    acted = f"{'act' if many else 'acts'} to {factor.direction.removesuffix('s')} {thing}"
    other = ("increase", "push up") if factor.direction == "raises" else ("decrease", "reduce")
    word = case.one(*other)
    verb = word if many else f"{word}s" if " " not in word else "pushes up"
    pushed = f"push{'' if many else 'es'} {thing} up" if word == "push up" else f"{verb} {thing}"
    return case.one(helped, acted, pushed)


def participles(facts: Facts, random: Random) -> str:
    """Let participles carry the directions."""
    case = Case.of(facts, random, oxford=0.6)
    opening = case.one(
        f"A {case.level} risk level was found. The anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"The risk level stands at {case.level}. This reflects an anomaly score ({SCORE}) {case.at} {case.bar}.",
        f"The risk level of this record is {case.level}. Its anomaly score ({SCORE}) lies {case.at} {case.bar}.",
        f"The anomaly score ({SCORE}) lies {case.at} {case.bar}. The risk level is accordingly {case.level}.",
    )
    same, *others = case.groups()
    named = case.joined([worded_bare(factor) for factor in same])
    if others:
        other = case.joined([worded_bare(factor) for factor in others[0]])
        body = case.one(
            f"{worded_cap(named)} {worded_verb(*same)} the score, with {other} {worded_ing(others[0][0])} it.",
            f"While {named} {worded_verb(*same)} the score, {other} {worded_verb(*others[0])} it.",
            f"The factors {worded_ing(same[0])} the score include {named}, whereas {other} {worded_verb(*others[0])} it."  # noqa: E501
            if len(same) > 1
            else f"{worded_cap(named)} {worded_verb(*same)} the score, whereas {other} {worded_verb(*others[0])} it.",
        )
    else:
        one, *rest = same
        tail = case.joined([worded_bare(factor) for factor in rest]) if rest else ""
        body = case.one(
            f"{worded_cap(worded_bare(one))} {worded_verb(one)} the score most{f', with {tail} also {worded_ing(one)} it' if rest else ''}.",  # noqa: E501
            f"{worded_cap(named)} {'all ' if len(same) > PAIR else ''}{worded_verb(*same)} the score.",
            f"The score is {worded_past(one)} by {named}.",
            f"{worded_cap(worded_bare(one))} {worded_verb(one)} the score{f', along with {tail}' if rest else ''}.",
        )
    missing = case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "Not having been measured, {a} {is_} taken as typical.",
        "Having not been measured, {a} {is_} assumed to be typical.",
        "With no measurement, {a} {is_} taken as typical.",
    )
    return worded_text(opening, body, missing)


def possessive(facts: Facts, random: Random) -> str:
    """Speak of the patient throughout."""
    case = Case.of(facts, random, oxford=0.7)
    who = case.one("the patient's", "this patient's")
    opening = case.one(
        f"{worded_cap(who)} risk level is {case.level} — the anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"{worded_cap(who)} anomaly score ({SCORE}) is {case.at} {case.bar}, which places the risk level at {case.level}.",  # noqa: E501
        f"{worded_cap(who)} anomaly score ({SCORE}) is {case.at} {case.bar}, giving a {case.level} risk level.",
        f"This patient is at {case.level} risk level, with an anomaly score ({SCORE}) {case.at} {case.bar}.",
    )
    first, *rest = case.factors
    whose = case.one("the patient's", "their", "the patient's")
    lead = f"{whose} {worded_plain(first)} {worded_verb(first)} {case.one('the score', 'this score')}{case.one(' most', '')}"  # noqa: E501
    if not rest:
        return worded_text(opening, f"{lead}.", _possessive_missing(case))
    their = case.one("their", "the", whose)
    if len(rest) > 1 and rest[0].direction == rest[1].direction:
        named = f"{their} {worded_plain(rest[0])} and {worded_plain(rest[1])}"
        also = case.one("also ", "") if rest[0].direction == first.direction else ""
        return worded_text(opening, f"{lead}.", f"{named} {also}{worded_verb(*rest)} it.", _possessive_missing(case))
    clauses = [f"{their} {worded_plain(factor)} {worded_verb(factor)} it" for factor in rest]
    if case.odds(0.5):
        link = "and" if rest[0].direction == first.direction else case.one("while", "whereas", "but")
        return worded_text(
            opening, f"{lead}, {link} {clauses[0]}.", *[f"{last}." for last in clauses[1:]], _possessive_missing(case)
        )
    return worded_text(
        opening, f"{lead}.", f"{case.one(', while ', ', but ').join(clauses)}.", _possessive_missing(case)
    )


def _possessive_missing(case: Case) -> str:
    return case.missing(
        "{a} {was} not measured for this patient and {is_} taken as typical.",
        "{a} {was} not measured and {is_} taken as typical.",
        "In this patient, {a} {was} not measured and {is_} taken as typical.",
        "As {it} {was} not measured, {a} {is_} taken as typical.",
    )


PHRASINGS: Final[tuple[Phrasing, ...]] = (
    copyist,
    both_while,
    connected,
    reported,
    score_first,
    labels_as_names,
    grouped,
    elliptic,
    ranked,
    semicolons,
    verbose,
    terse,
    unmeasured_early,
    values_in_the_line,
    synonyms,
    participles,
    possessive,
)
