"""True paraphrases of any facts, as clinicians and chat models write them; the guard's words were chosen with these."""

from collections.abc import Callable

from server.narrative.facts import Facts
from tests.unit.server.narrative.wording import (
    capital,
    chosen,
    in_brackets,
    joined,
    listed,
    others,
    place,
    score,
    share,
    spelled,
    the,
    verb,
    verb_of,
)


def one_sentence_a_factor(facts: Facts) -> str:
    text = f"The anomaly score of {score(facts)} is {place(facts)}, so the risk level is {facts.level}."
    for factor in facts.factors[:3]:
        text += f" {capital(the(factor))} {factor.direction} the anomaly score."
    return text


def passive_voice(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"An anomaly score of {score(facts)} was calculated, which corresponds to the {facts.level} risk level. "
    text += f"It lies {place(facts)}."
    text += f" The score was increased by {joined(up, in_brackets)}." if up else ""
    text += f" The score was decreased by {joined(down, in_brackets)}." if down else ""
    return text


def contrast_in_one_sentence(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = (
        f"This record falls into the {facts.level} risk category: its anomaly score is {score(facts)}, {place(facts)}. "
    )
    if up and down:
        text += f"While {joined(up, the)} {verb(up, 'raises', 'raise')} the score, "
        return text + f"{joined(down, the)} {verb(down, 'lowers', 'lower')} it."
    factors = up or down
    word = verb(factors, "raises", "raise") if up else verb(factors, "lowers", "lower")
    return text + f"{capital(joined(factors, the))} {word} the score."


def against_the_disease_free(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"The patient's record is more unusual than {share(facts)} of disease-free patients "
    text += f"(anomaly score {score(facts)}), which places it at {facts.level} risk."
    text += f" Contributing to a higher score: {joined(up, in_brackets)}." if up else ""
    text += f" Contributing to a lower score: {joined(down, in_brackets)}." if down else ""
    return text


def as_a_chat_model(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"Based on the anomaly detector, this patient has a {facts.level} risk level, with an anomaly score of "
    text += f"{score(facts)} that is {place(facts)}."
    text += f" The factors that contribute most to raising the score are {joined(up, the)}." if up else ""
    start = " In contrast, the" if up else " The"
    text += f"{start} factors that contribute to lowering the score are {joined(down, the)}." if down else ""
    rest = others(facts)
    text += f" {capital(listed(rest))} {verb_of(rest, 'was', 'were')} not measured." if rest else ""
    return text


def handover_note(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"{facts.level} risk; anomaly score {score(facts)}, {place(facts)}."
    text += f" Score driven up by {joined(up, in_brackets)}." if up else ""
    text += f" Score brought down by {joined(down, in_brackets)}." if down else ""
    return text + " Compared with disease-free patients, the record is more unusual than " + share(facts) + " of them."


def numbers_spelled(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"The risk level of this patient is {facts.level}, the anomaly score being {score(facts)}."
    text += f" The score goes up with {joined(up, spelled)}." if up else ""
    text += f" The score goes down with {joined(down, spelled)}." if down else ""
    return text + f" The record is more unusual than {share(facts).replace('%', 'percent')} of disease-free patients."


def with_semicolons(facts: Facts) -> str:
    clauses = [f"{the(factor)} {factor.direction} it" for factor in facts.factors[:3]]
    text = f"The anomaly score is {score(facts)} against a {facts.level} risk level. "
    return text + f"These findings matter most for the score: {'; '.join(clauses)}."


def research_summary(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"The isolation forest assigned an anomaly score of {score(facts)}, i.e. a more unusual record than "
    text += f"{share(facts)} of the disease-free reference patients; this is classified as {facts.level} risk."
    text += f" Positive contributions were seen for {joined(up, in_brackets)}." if up else ""
    return text + (f" Negative contributions were seen for {joined(down, in_brackets)}." if down else "")


def relative_clauses(facts: Facts) -> str:
    text = f"The result is an anomaly score of {score(facts)} and a {facts.level} level of risk. "
    text += "It is shaped above all by "
    parts = [f"{the(factor)}, which {factor.direction} the score" for factor in facts.factors[:3]]
    return text + f"{parts[0]}, by {parts[1]}, and by {parts[2]}."


def plain_speech(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"This patient is at {facts.level} risk according to the detector, whose score of {score(facts)} "
    text += f"is {place(facts)}."
    text += f" What makes the score higher {verb(up, 'is', 'are')} {joined(up, the)}." if up else ""
    return text + (f" What makes it lower {verb(down, 'is', 'are')} {joined(down, the)}." if down else "")


def unmeasured_first(facts: Facts) -> str:
    rest = others(facts)
    text = (
        f"{capital(listed(rest))} {verb_of(rest, 'was', 'were')} not available and taken as typical. " if rest else ""
    )
    text += f"On the remaining data the score is {score(facts)} and the level {facts.level}. "
    clauses = [f"{the(factor)} {factor.direction} the score" for factor in facts.factors[:3]]
    return text + f"Of the factors, {clauses[0]} the most, {clauses[1]} and {clauses[2]}."


PHRASINGS: tuple[Callable[[Facts], str], ...] = (
    one_sentence_a_factor,
    passive_voice,
    contrast_in_one_sentence,
    against_the_disease_free,
    as_a_chat_model,
    handover_note,
    numbers_spelled,
    with_semicolons,
    research_summary,
    relative_clauses,
    plain_speech,
    unmeasured_first,
)
