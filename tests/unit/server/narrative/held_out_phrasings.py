"""True paraphrases written before the guard's words and drawn by lot to be left aside: nothing is tuned on them."""

from collections.abc import Callable

from server.narrative.facts import Facts
from tests.unit.server.narrative.wording import (
    capital,
    chosen,
    deciding_threshold,
    dictated,
    joined,
    listed,
    others,
    place,
    score,
    the,
    verb,
    with_of,
)


def radiology_report(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"Risk level: {facts.level}. Anomaly score: {score(facts)}, {place(facts)}."
    text += f" Findings raising the score: {joined(up, with_of)}." if up else ""
    text += f" Findings lowering the score: {joined(down, with_of)}." if down else ""
    return text + (f" Not measured: {listed(others(facts))}." if others(facts) else "")


def letter_to_a_colleague(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"The detector gave this patient an anomaly score of {score(facts)}, which is {place(facts)}, "
    text += f"and therefore a risk level of {facts.level}."
    text += f" {capital(joined(up, dictated))} {verb(up, 'pushes', 'push')} the score up." if up else ""
    text += f" {capital(joined(down, dictated))} {verb(down, 'pulls', 'pull')} it down." if down else ""
    return text


def nominal_style(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = (
        f"Risk is rated {facts.level} with an anomaly score of {score(facts)} (threshold {deciding_threshold(facts)})."
    )
    if up:
        text += f" {verb(up, 'An upward contribution comes', 'Upward contributions come')} from {joined(up, dictated)}."
    if down:
        text += f" {verb(down, 'A downward contribution comes', 'Downward contributions come')} "
        text += f"from {joined(down, dictated)}."
    return text


def by_rank(facts: Facts) -> str:
    first, second, third = facts.factors[:3]
    text = f"With an anomaly score of {score(facts)}, {place(facts)}, the patient is at {facts.level} risk. "
    text += f"The most influential factor is {the(first)}, which {first.direction} the score. "
    text += f"It is followed by {the(second)}, which {second.direction} the score, "
    return text + f"and by {the(third)}, which {third.direction} it."


def factors_first(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"{capital(joined(up, the))} {verb(up, 'increases', 'increase')} the anomaly score. " if up else ""
    text += f"{capital(joined(down, the))} {verb(down, 'reduces', 'reduce')} the anomaly score. " if down else ""
    return text + f"Together they give a score of {score(facts)}, {place(facts)}, and hence a {facts.level} risk level."


def ward_round(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = (
        f"On this model the patient scores {score(facts)}, {place(facts)}; the risk level is therefore {facts.level}."
    )
    text += f" On the one hand, {joined(up, dictated)} {verb(up, 'adds', 'add')} to the score." if up else ""
    start = " On the other hand, " if up else " Here, "
    text += f"{start}{joined(down, dictated)} {verb(down, 'takes', 'take')} the score down." if down else ""
    return text


def main_drivers(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"At {score(facts)}, the anomaly score sits {place(facts)} and the patient is graded {facts.level}."
    text += f" The main {verb(up, 'driver', 'drivers')} of a higher score: {joined(up, with_of)}." if up else ""
    return (
        text
        + (f" This is offset in part by {joined(down, with_of)}." if up and down else "")
        + (f" The score is held down by {joined(down, with_of)}." if down and not up else "")
    )


def cardiology_consult(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = (
        f"Automated assessment: {facts.level} risk, anomaly score {score(facts)} (cut-off {deciding_threshold(facts)})."
    )
    text += (
        f" Notable for {joined(up, dictated)}, {verb(up, 'which raises', 'all of which raise')} the score."
        if up
        else ""
    )
    text += f" By comparison, {joined(down, dictated)} {verb(down, 'lowers', 'lower')} the score." if down else ""
    return text


PHRASINGS: tuple[Callable[[Facts], str], ...] = (
    radiology_report,
    letter_to_a_colleague,
    nominal_style,
    by_rank,
    factors_first,
    ward_round,
    main_drivers,
    cardiology_consult,
)
