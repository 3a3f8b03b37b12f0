"""True texts as instruction-tuned models would answer the prompt; the guard was developed on them. The first half."""

from random import Random

from common.messages import RiskLevel
from server.explanation.facts import Facts
from tests.support.explanation.model_pen import Pen, worded_acting, worded_passive, worded_sentence, worded_verb


def as_the_example(facts: Facts, random: Random) -> str:
    """A small model that copies the example."""
    pen = Pen(facts, random, bare=0.0, brackets=1.0)
    first, *others = pen.factors
    place = "below" if facts.level is RiskLevel.LOW else "at or above"
    level = RiskLevel.MEDIUM if facts.level is RiskLevel.LOW else facts.level
    opening = (
        f"The risk level is {facts.level}: the anomaly score ([[anomaly_score]]) is {place} "
        f"the {level} threshold of [[threshold]]."
    )
    said = [f"{pen.noun(first)} {pen.verb(first)} the score most"]
    if len(others) == 2:
        second, third = others
        link = pen.pick("and", "and", "while") if second.direction != third.direction else "and"
        also = pen.pick(" also", "") if second.direction == third.direction else ""
        end = pen.pick("it", "it", "the score")
        said.append(
            f"{pen.noun(second)} {pen.verb(second)} the score, {link} {pen.noun(third)}{also} {pen.verb(third)} {end}"
        )
    else:
        said.extend(pen.clause(factor) for factor in others)
    return (
        f"{opening} {' '.join(worded_sentence(part) for part in said)}{pen.unmeasured(plainly=random.random() < 0.8)}"
    )


def near_the_example(facts: Facts, random: Random) -> str:
    """The order of the example in other words."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    return f"{pen.opening()} {pen.lead(first)}.{pen.rest(others, first.direction)}{pen.unmeasured()}"


def score_first(facts: Facts, random: Random) -> str:
    """The score opens, and the level follows from it."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    level, score = pen.level(), pen.score()
    opening = pen.pick(
        f"With an {score} {pen.standing()}, the {pen.pick('risk level', 'patient has a risk level')} {{}} {level}.",
        f"The {score} {pen.stands()}, so the risk level is {level}.",
        f"The {score} {pen.stands()}, and the risk level is {level}.",
        f"The {score} {pen.stands()}, which places the {pen.pick('patient', 'record', 'result')} at the {level} "
        f"risk level.",
        f"The {score} {pen.stands()}, {pen.pick('corresponding to', 'giving', 'resulting in')} a {level} risk level.",
        f"The {score} {pen.stands()}, which {pen.pick('corresponds to', 'gives', 'means')} a risk level of {level}.",
        f"The {score} {pen.stands()}, making the risk level {level}.",
        f"Because the {score} {pen.stands()}, the risk level is {level}.",
        f"As the {score} {pen.stands()}, the risk level is {level}.",
        f"An {score} {pen.standing()} gives {pen.pick('this patient', 'this record')} a {level} risk level.",
    )
    opening = opening.format("of" if "has a risk level" in opening else "is")
    return f"{opening} {pen.lead(first)}.{pen.rest(others, first.direction)}{pen.unmeasured()}"


def passive(facts: Facts, random: Random) -> str:
    """The score is raised by this and lowered by that."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    start = pen.pick("The score is", "It is", "This score is", "The anomaly score is")
    said = [f"{start} {worded_passive(first.direction)} most by {pen.noun(first)}."]
    before = first.direction
    parts: list[str] = []
    for factor in others:
        also = pen.pick("also ", "further ", "") if factor.direction == before else ""
        parts.append(f"{also}{worded_passive(factor.direction)} by {pen.noun(factor)}")
        before = factor.direction
    link = ", and " if random.random() < 0.5 else " and "
    if len(others) == 2 and others[0].direction != others[1].direction and random.random() < 0.4:
        link = pen.pick(" but ", ", but ")
    again = pen.pick("It is", "The score is", "It is then", "It is")
    if parts:
        said.append(f"{again} {link.join(parts)}.")
    opening = pen.pick(
        f"The risk level is {pen.level()}: the {pen.score()} {pen.stands()}.",
        f"The risk level is {pen.level()}, as the {pen.score()} {pen.stands()}.",
        f"The {pen.pick('reported', 'given', 'assigned')} risk level is {pen.level()}; the {pen.score()} "
        f"{pen.stands()}.",
    )
    return f"{opening} {' '.join(said)}{pen.unmeasured()}"


def grouped(facts: Facts, random: Random) -> str:
    """Those that raise the score together, and those that lower it together."""
    pen = Pen(facts, random)
    first, *others = pen.groups()
    verb = pen.verbs(first)
    opening = pen.opening()
    if not others:
        said = pen.pick(
            f"{pen.nouns(first)} {pen.pick('', 'all ') if len(first) > 2 else ''}{verb} the score",
            f"the score is {worded_passive(first[0].direction)} by {pen.nouns(first)}",
            f"in order of effect, {pen.nouns(first)} {verb} the score",
            f"{pen.nouns(first)} {verb} the score, in that order",
            f"the score is {worded_passive(first[0].direction)} by the following: {pen.nouns(first)}",
            f"the factors that {worded_verb(first[0].direction, plural=True)} the score most are {pen.nouns(first)}",
        )
        level = f"The {pen.pick('risk level', 'overall risk level')} is {pen.level()}."
        score = f"The {pen.score()} {pen.stands()}."
        return f"{level} {score} {worded_sentence(said)}{pen.unmeasured()}"
    second = others[0]
    if random.random() < 0.5:
        other = f"{pen.nouns(second)} {pen.verbs(second)} it"
        link = pen.pick(", while ", ", whereas ", ", but ", "; by contrast, ", "; in contrast, ", ", and ")
        said = pen.pick(
            f"{pen.nouns(first)} {verb} the score{link}{other}",
            f"the score is {worded_passive(first[0].direction)} by {pen.nouns(first)}{link}{other}",
            f"the score is {worded_passive(first[0].direction)} by {pen.nouns(first)} and "
            f"{worded_passive(second[0].direction)} by {pen.nouns(second)}",
            f"while {pen.nouns(first)} {verb} the score, {other}",
        )
        level = f"The risk level is {pen.level()}."
        return f"{level} The {pen.score()} {pen.stands()}. {worded_sentence(said)}{pen.unmeasured()}"
    lead = pen.pick(
        f"{pen.nouns(first)} {verb} the score",
        f"the score is {worded_passive(first[0].direction)} by {pen.nouns(first)}",
        f"the score is {worded_passive(first[0].direction)} most by {pen.nouns(first)}",
    )
    contrast = pen.pick("", "", "In contrast, ", "By contrast, ", "However, ", "On the other hand, ", "Conversely, ")
    tail = pen.pick(
        f"{pen.nouns(second)} {pen.verbs(second)} the score",
        f"the score is {worded_passive(second[0].direction)} by {pen.nouns(second)}",
        f"it is {worded_passive(second[0].direction)} by {pen.nouns(second)}",
    )
    return f"{opening} {worded_sentence(lead)} {worded_sentence(contrast + tail)}{pen.unmeasured()}"


def one_breath(facts: Facts, random: Random) -> str:
    """Level and score each in a sentence, all the factors in a third."""
    pen = Pen(facts, random)
    level = pen.pick(
        f"The risk level is {pen.level()}.",
        f"The patient's risk level is {pen.level()}.",
        f"The risk level for this record is {pen.level()}.",
        f"The anomaly detector gives a {pen.level()} risk level.",
        f"This case has a {pen.level()} risk level.",
        f"The result shows a risk level of {pen.level()}.",
    )
    score = pen.pick(
        f"The {pen.score()} {pen.stands()}.",
        f"Its {pen.score()} {pen.stands()}." if "This case" in level else f"The {pen.score()} {pen.stands()}.",
    )
    lead = pen.pick(" most", " most", " the most", "")
    said = pen.pick("", "", "", "Among the factors, ", "Of the given factors, ", "In order of effect, ") + pen.series(
        lead
    )
    return f"{level} {score} {worded_sentence(said)}{pen.unmeasured()}"


def semicolons(facts: Facts, random: Random) -> str:
    """A writer who likes semicolons."""
    pen = Pen(facts, random, bare=0.25)
    first, *others = pen.factors
    opening = pen.pick(
        f"The risk level is {pen.level()}; the {pen.score()} {pen.stands()}.",
        f"Risk level is {pen.level()}; the {pen.score()} {pen.stands()}.",
        f"The {pen.score()} {pen.stands()}; the risk level is {pen.level()}.",
        f"The {pen.score()} {pen.stands()}; the risk level is therefore {pen.level()}.",
    )
    clauses: list[str] = []
    before = first.direction
    for factor in others:
        start = ""
        if factor.direction != before:
            start = pen.pick("", "", "by contrast, ", "in contrast, ", "conversely, ", "however, ")
        clauses.append(start + pen.clause(factor, pen.pick("it", "the score"), like=before))
        before = factor.direction
    if random.random() < 0.5 and clauses:
        middle = (
            f"{pen.lead(first)}; {clauses[0]}. {' '.join(worded_sentence(clause) for clause in clauses[1:])}".strip()
        )
    else:
        middle = f"{pen.lead(first)}. {worded_sentence('; '.join(clauses))}" if clauses else f"{pen.lead(first)}."
    return f"{opening} {middle}{pen.unmeasured()}"


def strongest_factor(facts: Facts, random: Random) -> str:
    """The first factor is called the strongest, the others follow it."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    verb = pen.verb(first)
    lead = pen.pick(
        f"the strongest factor is {pen.noun(first)}, which {verb} the score",
        f"the most influential factor is {pen.noun(first)}, which {verb} the score",
        f"the leading factor is {pen.noun(first)}, which {verb} the score",
        f"the factor with the largest effect is {pen.noun(first)}, which {verb} the score",
        f"the main factor is {pen.noun(first)}, which {verb} the score",
        f"{pen.noun(first)} {'have' if pen.label(first.name)[1] else 'has'} the largest effect and {verb} the score",
        f"{pen.noun(first)} {'have' if pen.label(first.name)[1] else 'has'} the greatest influence, "
        f"{worded_acting(first.direction)} the score",
        f"{pen.noun(first)} {verb} the score more than the others do",
    )
    follow: list[str] = []
    before = first.direction
    for factor in others:
        also = pen.pick("also ", "") if factor.direction == before else ""
        follow.append(f"{pen.noun(factor)}, which {also}{pen.verb(factor)} {pen.pick('it', 'the score')}")
        before = factor.direction
    if len(follow) == 2 and random.random() < 0.5:
        tail = pen.pick("This is followed by", "It is followed by", "Next comes", "This factor is followed by")
        return f"{pen.opening()} {worded_sentence(lead)} {tail} {follow[0]}, and {follow[1]}.{pen.unmeasured()}"
    return f"{pen.opening()} {worded_sentence(lead)}{pen.rest(others, first.direction)}{pen.unmeasured()}"


def followed_by(facts: Facts, random: Random) -> str:
    """Two factors in the second sentence, the third on its own."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    if not others:
        return near_the_example(facts, random)
    second = others[0]
    most = f"{pen.noun(first)} {pen.verb(first)} the score {pen.pick('most', 'the most')}"
    if second.direction == first.direction:
        said = pen.pick(
            f"{most}, followed by {pen.noun(second)}",
            f"{most}, followed by {pen.noun(second)}, which also {pen.verb(second)} it",
            f"{most}, and {pen.noun(second)} also {pen.verb(second)} it",
            f"the score is {worded_passive(first.direction)} most by {pen.noun(first)}, then by {pen.noun(second)}",
            f"the score is {worded_passive(first.direction)} by {pen.noun(first)} and by {pen.noun(second)}",
            f"{pen.nouns([first, second])} {worded_verb(first.direction, plural=True)} the score",
        )
    else:
        said = pen.pick(
            f"{most}, {pen.pick('while', 'whereas', 'but', 'and')} {pen.noun(second)} {pen.verb(second)} it",
            f"{pen.pick('while', 'although')} {most}, {pen.noun(second)} {pen.verb(second)} it",
            f"the score is {worded_passive(first.direction)} most by {pen.noun(first)} and "
            f"{worded_passive(second.direction)} by {pen.noun(second)}",
        )
    return f"{pen.opening()} {worded_sentence(said)}{pen.rest(others[1:], second.direction)}{pen.unmeasured()}"
