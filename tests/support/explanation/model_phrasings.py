"""True texts as instruction-tuned models would answer the prompt; the guard was developed on them."""

from collections.abc import Callable
from random import Random
from typing import Final

from common.messages import RiskLevel
from server.explanation.facts import Direction, Factor, Facts
from tests.support.explanation.model_pen import (
    QUANTITIES,
    Pen,
    worded_acting,
    worded_capital,
    worded_passive,
    worded_sentence,
    worded_verb,
)
from tests.support.explanation.model_phrasings_more import (
    as_the_example,
    followed_by,
    grouped,
    near_the_example,
    one_breath,
    passive,
    score_first,
    semicolons,
    strongest_factor,
)


def detector_speaks(facts: Facts, random: Random) -> str:
    """The detector, or the result, is what the first sentence is about."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    level, score = pen.level(), pen.score()
    who = pen.pick("The anomaly detector", "The detector", "The anomaly detector")
    whom = pen.pick("this patient", "this record", "the patient", "this case")
    opening = pen.pick(
        f"{who} {pen.pick('assigns', 'gives')} {whom} a risk level of {level}, with an {score} {pen.standing()}.",
        f"{who} {pen.pick('reports', 'shows', 'indicates', 'returns')} a {level} risk level, with an {score} "
        f"{pen.standing()}.",
        f"{who} {pen.pick('places', 'puts')} {whom} at the {level} risk level: the {score} {pen.stands()}.",
        f"{who}'s result is a {level} risk level, {pen.pick('as', 'because', 'since')} the {score} {pen.stands()}.",
        f"{worded_capital(whom)} is {pen.pick('classified', 'rated')} as {level} risk, with an {score} "
        f"{pen.standing()}.",
        f"{worded_capital(whom)} has a {level} risk level, {pen.pick('as', 'since', 'because')} the {score} "
        f"{pen.stands()}.",
        f"{worded_capital(whom)} has a risk level of {level}, with an {score} {pen.standing()}.",
        f"The result of the anomaly detector is a risk level of {level}, and the {score} {pen.stands()}.",
    )
    return f"{opening} {pen.lead(first)}.{pen.rest(others, first.direction)}{pen.unmeasured()}"


def values_in_words(facts: Facts, random: Random) -> str:
    """Values without their brackets: the rule is kept loosely, the text is as true."""
    pen = Pen(facts, random)
    first, *others = pen.factors

    def told(factor: Factor) -> tuple[str, bool]:
        label, plural = pen.label(factor.name)
        slot = f"[[{factor.name}]]"
        if factor.name in QUANTITIES and random.random() < 0.7:
            return f"{pen.pick('the', 'a' if label[0] not in 'aeiouS' else 'an')} {label} of {slot}", plural
        return pen.pick(f"the {label} ({slot})", f"the {label}, {slot},", f"the {label} ({slot})"), plural

    def said(factor: Factor, thing: str, more: str = "") -> str:
        text, plural = told(factor)
        return f"{text} {more}{worded_verb(factor.direction, plural=plural)} {thing}"

    level = pen.level()
    opening = pen.pick(
        f"The risk level is {level}: the anomaly score of [[anomaly_score]] {pen.stands()}.",
        f"The risk level is {level}, with an anomaly score of [[anomaly_score]], "
        f"{'below' if facts.level is RiskLevel.LOW else 'at or above'} {pen.threshold()}.",
        f"The anomaly score is [[anomaly_score]], which {pen.stands()}, and the risk level is {level}.",
        f"The risk level is {level}: the anomaly score, [[anomaly_score]], {pen.stands()}.",
        f"At [[anomaly_score]], the anomaly score {pen.stands()}, so the risk level is {level}.",
        f"With an anomaly score of [[anomaly_score]], which {pen.stands()}, the risk level is {level}.",
    )
    parts = [worded_sentence(said(first, pen.pick("the score most", "the score the most", "the anomaly score most")))]
    if len(others) == 2:
        second, third = others
        same = second.direction == third.direction
        link = pen.pick(", and ", "; ") if same else pen.pick(", while ", ", whereas ", ", but ", ", and ")
        more = pen.pick("also ", "") if same else ""
        parts.append(worded_sentence(f"{said(second, 'the score')}{link}{said(third, 'it', more)}"))
    else:
        parts.extend(worded_sentence(said(factor, "the score")) for factor in others)
    return f"{opening} {' '.join(parts)}{pen.unmeasured()}"


def each_to_its_own(facts: Facts, random: Random) -> str:
    """A large model: what the factors do comes in apposition or as a participle."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    level, score = pen.level(), pen.score()
    opening = pen.pick(
        f"This record is at the {level} risk level, its {score} being "
        f"{'below' if facts.level is RiskLevel.LOW else 'at or above'} {pen.threshold()}.",
        f"The risk level is {level}, reflecting an {score} {pen.standing()}.",
        f"The risk level is {level}, based on an {score} {pen.standing()}.",
        f"The risk level is given as {level}, because the {score} {pen.stands()}.",
        f"A {level} risk level is {pen.pick('assigned', 'reported', 'given')}, with the {score} "
        f"{'below' if facts.level is RiskLevel.LOW else 'at or above'} {pen.threshold()}.",
        f"A risk level of {level} is {pen.pick('assigned', 'reported', 'given')}: the {score} {pen.stands()}.",
        f"The risk level is {level}. The {score} {pen.stands()}.",
    )
    parts: list[str] = []
    before: Direction | None = None
    for factor in pen.factors:
        acting = worded_acting(factor.direction)
        also = pen.pick("also ", "likewise ", "") if factor.direction == before else ""
        thing = pen.pick("the score", "it") if parts else "the score"
        parts.append(f"{pen.noun(factor)} {also}{acting} {thing}{'' if parts else pen.pick(' most', ' most', '')}")
        before = factor.direction
    if opening.count(". ") or random.random() < 0.3:
        frame = pen.pick(
            "the factors given show {}",
            "the contributions show {}",
            "in order, the factors show {}",
        )
        whole = pen.join(parts) if len(parts) != 2 else " and ".join(parts)
        if not opening.count(". "):
            opening = f"The risk level is {level}. The {score} {pen.stands()}."
        return f"{opening} {worded_sentence(frame.format(whole))}{pen.unmeasured()}"
    if len(others) < 2:
        return f"{opening} {pen.lead(first)}.{pen.rest(others, first.direction)}{pen.unmeasured()}"
    second, third = others
    tail = pen.pick(
        f"{pen.lead(first)}, with {parts[1]}. {worded_sentence(pen.clause(third, like=second.direction))}",
        f"{pen.lead(first)}, with {parts[1]} and {parts[2]}. ",
        f"{pen.lead(first)}.{pen.rest(others, first.direction)}",
    ).strip()
    if tail.count(". ") == 0:
        return (
            f"{opening} {tail}{pen.unmeasured()}"
            if pen.facts.not_measured
            else f"The risk level is {level}. The {score} {pen.stands()}. {tail}"
        )
    return f"{opening} {tail}{pen.unmeasured()}"


def turning_point(facts: Facts, random: Random) -> str:
    """Connectives at the head of sentences, and the contrast put first where there is one."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    if len(others) < 2:
        return near_the_example(facts, random)
    second, third = others
    head = pen.pick("Most notably, ", "Most of all, ", "Chiefly, ", "Above all, ")
    lead = worded_capital(f"{head}{pen.noun(first)} {pen.verb(first)} the score")
    if second.direction == third.direction == first.direction:
        link = pen.pick(
            "Likewise, ", "In the same direction, ", "In turn, ", "Further, ", "To a lesser extent, ", "After that, "
        )
        tail = pen.pick(
            f"{pen.nouns(others)} {worded_verb(second.direction, plural=True)} the score",
            f"{pen.nouns(others)} {worded_verb(second.direction, plural=True)} it",
            f"{pen.noun(second)} {pen.verb(second)} the score, and then {pen.noun(third)} {pen.verb(third)} it",
        )
        return f"{pen.opening()} {lead}. {worded_sentence(link + tail)}{pen.unmeasured()}"
    if second.direction == third.direction:
        link = pen.pick(
            "In the opposite direction, ", "Against this, ", "On the other side, ", "In contrast, ", "However, "
        )
        tail = f"{pen.nouns(others)} {worded_verb(second.direction, plural=True)} {pen.pick('the score', 'it')}"
        return f"{pen.opening()} {lead}. {worded_sentence(link + tail)}{pen.unmeasured()}"
    link = pen.pick("Next, ", "Then ", "", "Of the others, ")
    turn = pen.pick(", but ", ", while ", ", whereas ")
    tail = f"{pen.clause(second)}{turn}{pen.clause(third, pen.pick('it', 'the score'))}"
    return f"{pen.opening()} {lead}. {worded_sentence(link + tail)}{pen.unmeasured()}"


def brief_and_bare(facts: Facts, random: Random) -> str:
    """A terse model that drops articles and writes short sentences, now and then each on a line of its own."""
    pen = Pen(facts, random, bare=0.75)
    first, *others = pen.factors
    opening = pen.pick(
        f"Risk level is {pen.level()}: anomaly score ([[anomaly_score]]) {pen.stands()}.",
        f"Risk level is {pen.level()}, with anomaly score ([[anomaly_score]]) "
        f"{'below' if facts.level is RiskLevel.LOW else 'at or above'} {pen.threshold()}.",
        f"The risk level is {pen.level()}: the anomaly score ([[anomaly_score]]) {pen.stands()}.",
        f"Anomaly score ([[anomaly_score]]) {pen.stands()}, so the risk level is {pen.level()}.",
    )
    lead = f"{pen.noun(first)} {pen.verb(first)} the score{pen.pick(' most', ' most', '')}"
    said = [worded_sentence(lead)]
    if len(others) == 2 and others[0].direction == others[1].direction:
        also = pen.maybe("also ") if others[0].direction == first.direction else ""
        said.append(
            worded_sentence(
                f"{pen.nouns(others)} {also}{worded_verb(others[0].direction, plural=True)} "
                f"{pen.pick('it', 'the score')}"
            )
        )
    elif len(others) == 2:
        second, third = others
        said.append(
            worded_sentence(
                pen.clause(second, like=first.direction)
                + pen.pick(", and ", ", but ", "; ", ", while ")
                + pen.clause(third, "it")
            )
        )
    else:
        said.extend(worded_sentence(pen.clause(factor)) for factor in others)
    between = "\n\n" if random.random() < 0.08 else " "
    last = pen.unmeasured().strip()
    return between.join([opening, *said, *([last] if last else [])])


def pronouns(facts: Facts, random: Random) -> str:
    """Each sentence takes up the one before: *this score*, *this*, *it*."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    level, score = pen.level(), pen.score()
    this = pen.pick("This score", "It", "The score", "This")
    opening = pen.pick(
        f"The risk level is {level}, and the {score} {pen.stands()}.",
        f"The risk level of this patient is {level}: the {score} {pen.stands()}.",
        f"For this patient, the risk level is {level}, since the {score} {pen.stands()}.",
        f"In this case the risk level is {level}: the {score} {pen.stands()}.",
    )
    if this == "This":
        this = "This value"
    lead = pen.pick(
        f"{this} is {worded_passive(first.direction)} most by {pen.noun(first)}",
        f"{this} is {worded_passive(first.direction)} above all by {pen.noun(first)}",
        f"{this} is chiefly {worded_passive(first.direction)} by {pen.noun(first)}",
        f"what {first.direction} it most is {pen.noun(first)}",
        f"what {first.direction} the score most is {pen.noun(first)}",
        f"it is {pen.noun(first)} that {pen.verb(first)} the score most",
    )
    return f"{opening} {worded_sentence(lead)}{pen.rest(others, first.direction)}{pen.unmeasured()}"


def unmeasured_within(facts: Facts, random: Random) -> str:
    """What was not measured is said before the factors or as an aside; otherwise the usual order."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    said = f"{pen.lead(first)}.{pen.rest(others, first.direction)}"
    last = pen.unmeasured()
    if last and random.random() < 0.4:
        return f"{pen.opening()}{last} {said}"
    aside = ("Not", "No ", "As ", "Since", "Because", "The following")
    if last and not last.strip().startswith(aside) and random.random() < 0.5:
        return f"{pen.opening()} {said} {pen.pick('Finally, ', 'Lastly, ', 'In addition, ')}{_lowered(last.strip())}"
    return f"{pen.opening()} {said}{last}"


def all_of_them(facts: Facts, random: Random) -> str:
    """The factors as one list, of which the strongest is then named again without its value."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    if not others:
        return near_the_example(facts, random)
    direction = first.direction
    again = pen.plain(first.name)
    plural = worded_verb(direction, plural=True)
    if len(pen.groups()) == 1:
        whole = pen.nouns(pen.factors)
        every = "all " if len(pen.factors) > 2 else "both "
        said = pen.pick(
            f"{whole} {every}{plural} the score, with {again} {worded_acting(direction)} it "
            f"{pen.pick('most', 'the most')}",
            f"{whole} {every}{plural} the score, {again} {pen.pick('most', 'the most')}",
            f"the factors given {every}{plural} the score: {whole}",
            f"the following factors {plural} the score: {whole}",
            f"the score is {worded_passive(direction)} by {whole}, in that order",
            f"the score is {worded_passive(direction)}, in order of effect, by {whole}",
            f"{pen.noun(first)} {pen.verb(first)} the score most, and {pen.nouns(others)} also "
            f"{worded_verb(direction, plural=len(others) > 1 or pen.label(others[0].name)[1])} it",
            f"{pen.noun(first)} {pen.verb(first)} the score most, followed by {pen.nouns(others)}",
        )
    else:
        one, two = pen.groups()
        said = pen.pick(
            f"{pen.nouns(one)} {pen.verbs(one)} the score, and {pen.nouns(two)} {pen.verbs(two)} it",
            f"{pen.nouns(one)} {pen.verbs(one)} the score, with {pen.nouns(two)} {worded_acting(two[0].direction)} it",
            f"the score is {worded_passive(direction)} by {pen.nouns(one)}, with {pen.nouns(two)} "
            f"{worded_acting(two[0].direction)} it",
            f"among the factors given, {pen.nouns(one)} {pen.verbs(one)} the score, while {pen.nouns(two)} "
            f"{pen.verbs(two)} it",
            f"{worded_acting(direction)} the score {'are' if pen.verbs(one) == plural else 'is'} "
            f"{pen.nouns(one)}, and "
            f"{worded_acting(two[0].direction)} it {'is' if pen.verbs(two) == two[0].direction else 'are'} "
            f"{pen.nouns(two)}",
        )
    level = pen.pick(
        "The risk level is", "The patient's risk level is", "The overall risk level is", "The reported risk level is"
    )
    score = pen.pick(
        f"The {pen.score()} {pen.stands()}.",
        f"This is because the {pen.score()} {pen.stands()}.",
        f"The {pen.score()} {pen.stands()}.",
    )
    return f"{level} {pen.level()}. {score} {worded_sentence(said)}{pen.unmeasured()}"


def framed(facts: Facts, random: Random) -> str:
    """A model that announces what it will say, and puts an infinitive in the place of the verb."""
    pen = Pen(facts, random)
    first, *others = pen.factors
    bare = worded_verb(first.direction, plural=True)
    has = "have" if pen.label(first.name)[1] else "has"
    acts = "act" if pen.label(first.name)[1] else "acts"
    frame = pen.pick(
        "Among the factors, ",
        "As for the factors, ",
        "Of the given factors, ",
        "Regarding the factors, ",
        "Looking at the factors, ",
        "Specifically, ",
        "",
    )
    said = pen.pick(
        f"{pen.noun(first)} {pen.verb(first)} the score most",
        f"{pen.noun(first)} {acts} to {bare} the score most",
        f"{pen.noun(first)} {has} the effect of {worded_acting(first.direction)} the score most",
        f"{pen.noun(first)} {has} the largest contribution, {worded_acting(first.direction)} the score",
        f"the largest contribution comes from {pen.noun(first)}, which {pen.verb(first)} the score",
    )
    end = pen.unmeasured()
    if frame == "Looking at the factors, ":
        said = f"{pen.noun(first)} {pen.verb(first)} the score most"
    level, score = pen.level(), pen.score()
    opening = pen.pick(
        f"The anomaly detector's result is a {level} risk level: the {score} {pen.stands()}.",
        f"According to the anomaly detector, the risk level is {level}: the {score} {pen.stands()}.",
        f"The result shows a {level} risk level, as the {score} {pen.stands()}.",
        f"For this record, the risk level is {level}, with an {score} {pen.standing()}.",
        f"The risk level has been determined as {level}, since the {score} {pen.stands()}.",
        f"The patient's result is at the {level} risk level: the {score} {pen.stands()}.",
    )
    return f"{opening} {worded_sentence(frame + said)}{pen.rest(others, first.direction)}{end}"


def _lowered(sentence: str) -> str:
    return sentence if sentence[1:2].isupper() else sentence[:1].lower() + sentence[1:]


PHRASINGS: Final[tuple[Callable[[Facts, Random], str], ...]] = (
    as_the_example,
    near_the_example,
    score_first,
    passive,
    grouped,
    one_breath,
    semicolons,
    strongest_factor,
    followed_by,
    detector_speaks,
    values_in_words,
    each_to_its_own,
    turning_point,
    brief_and_bare,
    pronouns,
    unmeasured_within,
    all_of_them,
    framed,
)
