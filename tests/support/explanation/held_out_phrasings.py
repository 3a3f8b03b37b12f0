"""True paraphrases that the guard's words were chosen without: nothing is tuned on them."""

from server.explanation.facts import Facts
from tests.support.explanation.wording import (
    Phrasing,
    capital,
    chosen,
    in_brackets,
    joined,
    label,
    place,
    score,
    share,
    the,
    verb,
)


def instructed_model(facts: Facts) -> str:
    first, second, third = facts.factors[:3]
    text = f"The risk level is {facts.level}, as the anomaly score of {score(facts)} is {place(facts)}. "
    text += f"The largest contribution comes from {the(first)}, which {first.direction} the score. "
    text += (
        f"{capital(the(second))} also {second.direction} the score. "
        if second.direction == first.direction
        else (f"On the other hand, {the(second)} {second.direction} the score. ")
    )
    return text + f"Finally, {the(third)} {third.direction} the score."


def instructed_model_in_one_breath(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"This record has been classified as {facts.level} risk with an anomaly score of {score(facts)}, which is "
    text += f"{place(facts)}."
    if up and down:
        return (
            f"{text} {capital(joined(up, the))} {verb(up, 'raises', 'raise')} the score, but {joined(down, the)} "
            + (f"{verb(down, 'lowers', 'lower')} it.")
        )
    return f"{text} The main factors, {joined(up or down, the)}, {'raise' if up else 'lower'} it."


def colon_and_list(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"The patient's risk level is {facts.level} and the anomaly score is {score(facts)}, {place(facts)}."
    text += f" The score is raised by the following: {joined(up, in_brackets)}." if up else ""
    return text + (f" The score is lowered by the following: {joined(down, in_brackets)}." if down else "")


def observations_first(facts: Facts) -> str:
    text = ""
    for factor in facts.factors[:3]:
        text += f"The patient's {in_brackets(factor)} {factor.direction} the score. "
    return (
        text
        + f"Taken together, these result in an anomaly score of {score(facts)}, {place(facts)}: {facts.level} risk."
    )


def hedge_free_prose(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"At an anomaly score of {score(facts)}, which sits {place(facts)}, the patient is considered to be at "
    text += f"{facts.level} risk."
    text += (
        f" Among the factors considered, {joined(up, the)} {verb(up, 'has', 'have')} a raising effect." if up else ""
    )
    text += (
        f" Among the factors considered, {joined(down, the)} {verb(down, 'has', 'have')} a lowering effect."
        if down
        else ""
    )
    return text


def american_resident(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"Patient scored {score(facts)} on the anomaly detector ({facts.level} risk, {place(facts)})."
    text += f" Drivers pushing the score higher include {joined(up, in_brackets)}." if up else ""
    return text + (f" Drivers pushing the score lower include {joined(down, in_brackets)}." if down else "")


def small_local_model(facts: Facts) -> str:
    text = f"The patient has an anomaly score of {score(facts)} and the risk level is {facts.level}. "
    text += f"The anomaly score is {place(facts)}. "
    first, second, third = facts.factors[:3]
    text += (
        f"{capital(label(first))} ({first.value}) {first.direction} the score most, {label(second)} ({second.value}) "
    )
    return text + f"{second.direction} the score, and {label(third)} ({third.value}) {third.direction} the score."


def comparison_led(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"Compared with the disease-free reference group, this record is more unusual than {share(facts)}, "
    text += f"corresponding to an anomaly score of {score(facts)} and {facts.level} risk."
    text += f" {capital(joined(up, the))} {verb(up, 'moves', 'move')} the score upward." if up else ""
    return text + (f" {capital(joined(down, the))} {verb(down, 'moves', 'move')} the score downward." if down else "")


PHRASINGS: tuple[Phrasing, ...] = (
    instructed_model,
    instructed_model_in_one_breath,
    colon_and_list,
    observations_first,
    hedge_free_prose,
    american_resident,
    small_local_model,
    comparison_led,
)
