"""True texts as instruction-tuned models would answer the prompt; nothing was developed on them. The first half."""

from random import Random

from server.explanation.facts import Factor, Facts
from server.explanation.template import label_in_sentence
from tests.support.explanation.held_out_model_pen import (
    SCORE,
    Case,
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


def _named(factor: Factor) -> str:
    return f"{factor.label} ([[{factor.name}]])"


def _also(case: Case, factor: Factor, before: Factor, *words: str) -> str:
    """Return "also " or its like, sometimes, where a factor does what the one before did."""
    return f"{case.one(*words)} " if factor.direction == before.direction and case.odds(0.7) else ""


def copyist(facts: Facts, random: Random) -> str:
    """Answer as a small Llama does: the worked example with other words in it."""
    case = Case.of(facts, random, oxford=0.7)
    link = case.one(": the", ": the", "; the", ", as the", ", and the", " because the")
    opening = f"The risk level is {case.level}{link} anomaly score ({SCORE}) is {case.at} {case.bar}."
    lead = f"{worded_the(case.first)} {worded_verb(case.first)} the score most."
    clauses: list[str] = []
    before = case.first
    for factor in case.rest:
        also = _also(case, factor, before, "also")
        clauses.append(f"{worded_the(factor)} {also}{worded_verb(factor)} {'it' if clauses else 'the score'}")
        before = factor
    is_alike = len({factor.direction for factor in case.rest}) == 1
    follow = f"{(', and ' if is_alike else case.one(', and ', ', while ')).join(clauses)}." if clauses else ""
    missing = case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "{a} {was} not measured and {is_} taken as typical.",
        "{a} {was} not measured, and {is_} taken as typical.",
        "{a} {was} not measured and {was} taken as typical.",
        article=1,
    )
    return worded_text(opening, lead, follow, missing)


def both_while(facts: Facts, random: Random) -> str:
    """Answer as a large Llama does: fluent, contrasts within a sentence."""
    case = Case.of(facts, random, oxford=0.9)
    place = case.one(case.at, case.side("falling below", "meeting or exceeding"), f"that is {case.at}")
    opening = case.one(
        f"The risk level is {case.level}, with an anomaly score ({SCORE}) {place} {case.bar}.",
        f"The patient's risk level is {case.level}, with an anomaly score ({SCORE}) {place} {case.bar}.",
        f"This result indicates a {case.level} risk level, with an anomaly score ({SCORE}) {place} {case.bar}.",
    )
    lead = f"{worded_bare(case.first)} {worded_verb(case.first)} the score {case.one('most', 'the most')}"
    if not case.rest:
        return worded_text(opening, f"{lead}.", _both_while_missing(case))
    directions = {factor.direction for factor in case.rest}
    if len(directions) == 1:
        both = "both " if len(case.rest) > 1 else ""
        also = "" if case.rest[0].direction != case.first.direction else case.one("also ", "")
        said = f"{case.joined([worded_bare(factor) for factor in case.rest])} {both or also}{worded_verb(*case.rest)}"
        if case.odds(0.5) and facts.not_measured:
            link = "and" if case.is_alike else case.one("while", "whereas", "but")
            return worded_text(opening, f"{lead}, {link} {said} it.", _both_while_missing(case))
        turn = "" if case.is_alike else case.one("", "In contrast, ", "Meanwhile, ", "On the other hand, ")
        return worded_text(
            opening, f"{lead}.", f"{turn}{said if turn else worded_cap(said)} the score.", _both_while_missing(case)
        )
    second, third = case.rest
    follow = f"{worded_bare(second)} {worded_verb(second)} the score, {case.one('while', 'whereas', 'but')} {worded_bare(third)} "  # noqa: E501
    return worded_text(opening, f"{lead}.", f"{follow}{worded_verb(third)} it.", _both_while_missing(case))


def _both_while_missing(case: Case) -> str:
    return case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "{a} {was} not measured and {is_} assumed to be typical.",
        "Note that {a} {was} not measured and {is_} taken as typical.",
        "{a} {was} not measured and {is_} therefore taken as typical.",
        "Additionally, {a} {was} not measured and {is_} taken as typical.",
    )


def connected(facts: Facts, random: Random) -> str:
    """Answer as a Qwen does: a connective at the head of every sentence."""
    case = Case.of(facts, random, oxford=0.85)
    opening = case.one(
        f"The risk level is {case.level}, as the anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"The risk level is classified as {case.level}, since the anomaly score ({SCORE}) "
        f"{case.side('falls below', 'is at or above')} {case.bar}.",
        f"The anomaly score ({SCORE}) is {case.at} {case.bar}, corresponding to a risk level of {case.level}.",
        f"The anomaly score ({SCORE}) {case.side('is below', 'meets or exceeds')} {case.bar}, indicating a "
        f"{case.level} risk level.",
    )
    head = case.one("Among the factors, ", "Among the given factors, ", "Specifically, ", "", "Notably, ")
    sentences = [f"{head}{worded_the(case.first)} {worded_verb(case.first)} the score"]
    before = case.first
    split = len(case.rest) > 1 and case.odds(0.5)
    for number, factor in enumerate(case.rest):
        is_same = factor.direction == before.direction
        alike = ("also ", "similarly ", "likewise ", "") if number == 0 or is_same else ("",)
        clause = f"{worded_the(factor)} {case.one(*alike) if is_same else ''}{worded_verb(factor)}"
        last = number == len(case.rest) - 1
        if last != split:  # a sentence of its own
            turns = ("Additionally, ", "Similarly, ", "") if is_same else ("In contrast, ", "Conversely, ")
            turn = case.one(*turns)
            clause = f"{worded_the(factor)} {worded_verb(factor)}" if turn else clause
            sentences[-1] += "."
            sentences.append(f"{turn}{clause} the score")
        else:
            sentences[-1] += f", {case.one('and') if is_same else case.one('while', 'whereas')} {clause} it"
        before = factor
    sentences[-1] += "."
    missing = case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "{a} {was} not measured and {is_} considered typical.",
        "{a} {was} not measured and {is_} treated as typical.",
        "As {a} {was} not measured, {it} {is_} taken as typical.",
        "Since {a} {was} not measured, {value} {is_} assumed.",
    )
    return worded_text(opening, *sentences, missing)


def reported(facts: Facts, random: Random) -> str:
    """Answer as a Mistral does: the detector is the subject, and the score is acted upon."""
    case = Case.of(facts, random, oxford=0.4)
    detector = case.one("The anomaly detector", "The detector")
    opening = case.one(
        f"{detector} assigns a risk level of {case.level}, with an anomaly score ({SCORE}) {case.at} {case.bar}.",
        f"{detector} places this patient at a {case.level} risk level, as the anomaly score ({SCORE}) is {case.at} "
        f"{case.bar}.",
        f"{detector} reports a {case.level} risk level: its anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"{detector} has identified a {case.level} risk level. The anomaly score ({SCORE}) "
        f"{case.side('lies below', 'lies at or above')} {case.bar}.",
    )
    sentences: list[str] = []
    is_split = opening.count(". ") > 0 or (not facts.not_measured and case.odds(0.4))
    same, *others = case.groups()
    each = "by " if case.odds(0.3) else ""
    by = case.joined([f"{each}{worded_the(factor)}" for factor in same])
    subject = "The score" if case.odds(0.7) else "This score"
    passive = f"{subject} is {worded_past(same[0])} {'' if by.startswith('by ') else 'by '}{by}"
    if others:
        other = case.joined([worded_the(factor) for factor in others[0]])
        told = f"{case.one('it is ', 'and it is ', '')}{worded_past(others[0][0])} by {other}"
        if opening.count(". ") > 0:
            link = "and " if not told.startswith(("and", "it")) else ("while " if told.startswith("it") else "")
            sentences.append(f"{passive}, {link}{told}.")
        else:
            sentences += [f"{passive}.", f"It is {worded_past(others[0][0])} by {other}."]
    elif opening.count(". ") > 0 or len(same) == 1:
        sentences.append(f"{passive}.")
    else:
        count = 1 if is_split else len(same) - 1
        parts = [worded_the(factor) for factor in same]
        sentences.append(f"{subject} is {worded_past(same[0])} by {case.joined(parts[:count])}.")
        again = case.one("It is also", "It is further", "It is likewise")
        sentences.append(f"{again} {worded_past(same[0])} by {case.joined(parts[count:])}.")
    missing = case.missing(
        "{a} {was} not measured, and {is_} taken as typical.",
        "{a}, which {was} not measured, {is_} taken as typical.",
        "{a} {was} not measured; {it} {is_} taken as typical.",
        "It should be noted that {a} {was} not measured and {is_} taken as typical.",
        "{a} {was} not measured and {is_} assumed typical.",
    )
    return worded_text(opening, *sentences, missing)


def score_first(facts: Facts, random: Random) -> str:
    """Begin with the score, and hang the directions on relative clauses."""
    case = Case.of(facts, random, oxford=0.6)
    score = case.one(f"an anomaly score of {SCORE}", f"an anomaly score ({SCORE})")
    opening = case.one(
        f"With {score}, which is {case.at} {case.bar}, the risk level is {case.level}.",
        f"With {score} {case.at} {case.bar}, this patient has a risk level of {case.level}.",
        f"{worded_cap(score)}, {case.at} {case.bar}, gives a {case.level} risk level.",
        f"At {SCORE}, the anomaly score is {case.at} {case.bar}, so the risk level is {case.level}.",
        f"The anomaly score is {SCORE}, which is {case.at} {case.bar} and puts the risk level at {case.level}.",
    )
    told = [
        f"{worded_bare(factor)}, which {worded_verb(factor)} {'the score' if factor is case.first else 'it'}"
        for factor in case.factors
    ]
    lead = case.one("The factor with the most effect is", "The leading factor is", "The main factor is", "First comes")
    if case.first.name == "major_vessels":
        lead = "First come" if lead == "First comes" else lead
    first = f"{lead} {told[0]}."
    follow = ""
    if case.rest:
        comes = "follow" if worded_is_many(case.rest) else "follows"
        follow = case.one(
            f"This is followed by {', and '.join(told[1:])}.",
            f"Then {'come' if worded_is_many(case.rest) else 'comes'} {', and '.join(told[1:])}.",
            f"After that {comes} {', and '.join(told[1:])}.",
        )
    missing = case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "No measurement was made of {a}, so {it} {is_} taken as typical.",
        "{a} {was} not measured, so {it} {is_} taken as typical.",
        "For {a}, not having been measured, {value} {is_} used.",
    )
    return worded_text(opening, first, follow, missing)


def labels_as_names(facts: Facts, random: Random) -> str:
    """Answer as a very small model does: the labels are copied as they stand, without an article."""
    case = Case.of(facts, random, oxford=0.6)
    opening = case.one(
        f"Risk level is {case.level} and the anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"The risk level is {case.level}. The anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"The risk level is {case.level}, and the anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"Risk level {case.level}: anomaly score ({SCORE}) is {case.at} {case.bar}.",
    )
    label = _named if case.odds(0.6) else worded_plain
    thing = case.one("the score", "the score", "it", "the anomaly score")
    clauses = [
        f"{label(factor)} {factor.direction if label is _named else worded_verb(factor)}" for factor in case.factors
    ]
    first = f"{clauses[0]} the score"
    after = [f"{clause} {thing}" for clause in clauses[1:]]
    if opening.count(". "):
        body = [f"{', '.join([first, *after[:-1], f'and {after[-1]}'])}."] if after else [f"{first}."]
    elif len(after) > 1 and case.odds(0.3):
        body = [f"{first}, and {after[0]}.", f"{worded_cap(after[1])}."]
    else:
        body = [f"{first}.", f"{', and '.join(after)}." if after else ""]
    missing = case.missing(
        "{a} {was} not measured.",
        "{a} {was} not measured and {is_} taken as typical.",
        "{a} {was} not measured, and so taken as typical.",
        "Not measured {was} {a}, taken as typical.",
        article=0.2,
    )
    return worded_text(opening, *body, missing)


def grouped(facts: Facts, random: Random) -> str:
    """Set those that raise the score against those that lower it."""
    case = Case.of(facts, random, oxford=0.6)
    opening = case.one(
        f"The anomaly score ({SCORE}) is {case.at} {case.bar}, so the risk level is {case.level}.",
        f"The anomaly score ({SCORE}) {case.side('stays below', 'reaches or exceeds')} {case.bar}. "
        f"The risk level is {case.level}.",
        f"This record has a risk level of {case.level}; the anomaly score ({SCORE}) is {case.at} {case.bar}.",
        f"The risk level is {case.level}. This follows from an anomaly score ({SCORE}) {case.at} {case.bar}.",
    )
    is_long = opening.count(". ") > 0
    same, *others = case.groups()
    named = case.joined([worded_the(factor) for factor in same])
    if not others:
        verb = same[0].direction.removesuffix("s")
        all_of = case.one(
            f"All of the factors given {verb} the score: {named}.",
            f"Each of the factors given {same[0].direction} the score, namely {named}.",
            f"The factors that {verb} the score are {named}.",
            f"What {same[0].direction} the score is {named}.",
        )
        opposite = "lower" if verb == "raise" else "raise"
        first = f"the {label_in_sentence(case.first.label)} {worded_verb(case.first)}"
        extra = case.one(
            f"{worded_cap(first)} it most.",
            f"None of the factors given {opposite}s it.",
            f"Of these, {first} it most.",
        )
        return worded_text(opening, all_of, "" if is_long else extra, _grouped_missing(case))
    other = case.joined([worded_the(factor) for factor in others[0]])
    start = case.one(
        f"{worded_cap(named)} {worded_verb(*same)} the score",
        f"{worded_cap(worded_ing(same[0]))} the score {'are' if worded_is_many(same) else 'is'} {named}",
        f"The score is {worded_past(same[0])} by {named}",
    )
    if is_long:
        link = case.one("while", "whereas", "and")
        return worded_text(opening, f"{start}, {link} {other} {worded_verb(*others[0])} it.", _grouped_missing(case))
    turn = case.one("By contrast, ", "On the other side, ", "Conversely, ", "")
    end = case.one(f"{other} {worded_verb(*others[0])} it", f"it is {worded_past(others[0][0])} by {other}")
    return worded_text(opening, f"{start}.", f"{turn}{end}.", _grouped_missing(case))


def _grouped_missing(case: Case) -> str:
    return case.missing(
        "{a} {was} not measured and {is_} taken as typical.",
        "Not measured, and taken as typical, {is_} {a}.",
        "Of the other fields, {a} {was} not measured and {is_} taken as typical.",
        "{a} {was} not measured; {value} {stand} in for {them}.",
    )


def elliptic(facts: Facts, random: Random) -> str:
    """Say a direction once, and point back to it."""
    case = Case.of(facts, random, oxford=0.5)
    opening = case.one(
        f"The risk level is {case.level} because the anomaly score ({SCORE}) {case.side('does not reach', 'reaches')} "
        f"{case.bar}.",
        f"The risk level here is {case.level}, the anomaly score ({SCORE}) being {case.at} {case.bar}.",
        f"The risk level is {case.level}; the anomaly score ({SCORE}) is {case.side('under', 'at or above')} "
        f"{case.bar}.",
        f"The risk level comes out as {case.level}, given that the anomaly score ({SCORE}) is {case.at} {case.bar}.",
    )
    first = f"{worded_the(case.first)} {worded_verb(case.first)} the score"
    if not case.rest:
        return worded_text(opening, f"{first}.", _elliptic_missing(case))
    second, *last = case.rest
    do = "do" if worded_is_many([second]) else "does"
    if second.direction == case.first.direction:
        two = f"{first}, {case.one(f'as {do} {worded_the(second)}', f'and so {do} {worded_the(second)}')}."
    else:
        two = f"{first}, {case.one('but', 'while', 'whereas')} {worded_the(second)} {worded_verb(second)} it."
    if not last:
        return worded_text(opening, two, _elliptic_missing(case))
    third = last[0]
    do = "do" if worded_is_many([third]) else "does"
    has = "have" if worded_is_many([third]) else "has"
    if third.direction == second.direction:
        three = case.one(
            f"{worded_cap(worded_the(third))} {do} the same.",
            f"{worded_cap(worded_the(third))} {has} the same effect, and {worded_verb(third)} it.",
            f"{worded_cap(worded_the(third))} likewise {worded_verb(third)} it.",
            f"{worded_cap(worded_the(third))} {worded_verb(third)} it as well.",
            f"{worded_cap(worded_the(third))} {worded_verb(third)} it too.",
        )
    else:
        three = case.one(
            f"{worded_cap(worded_the(third))}, however, {worded_verb(third)} it.",
            f"{worded_cap(worded_the(third))} {has} the opposite effect and {worded_verb(third)} it.",
            f"{worded_cap(worded_the(third))}, by contrast, {worded_verb(third)} the score.",
            f"Of these, only {worded_the(third)} {worded_verb(third)} it."
            if case.first.direction != third.direction
            else f"{worded_cap(worded_the(third))} {worded_verb(third)} it.",
        )
    return worded_text(opening, two, three, _elliptic_missing(case))


def _elliptic_missing(case: Case) -> str:
    return case.missing(
        "{a} {was} not measured and {is_} taken to be typical.",
        "{a} {was} not measured, and {value} {stand} in.",
        "{a} {was} not measured and so {is_} taken as typical.",
        "{a} {was} not measured; {it} {is_} taken as typical here.",
    )
