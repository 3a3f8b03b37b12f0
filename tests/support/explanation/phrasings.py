"""True paraphrases of any facts, as clinicians and chat models write them; the guard's words were chosen with these."""

from server.explanation.facts import Facts
from tests.support.explanation.wording import (
    Phrasing,
    capital,
    chosen,
    deciding_threshold,
    dictated,
    in_brackets,
    joined,
    label,
    listed,
    others,
    place,
    score,
    share,
    spelled,
    the,
    verb,
    verb_of,
    with_of,
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


def discharge_summary(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"Anomaly screening result: {facts.level} risk (score {score(facts)}, {place(facts)}). "
    text += f"Raised by: {joined(up, in_brackets)}. " if up else ""
    text += f"Lowered by: {joined(down, in_brackets)}. " if down else ""
    return text + f"The patient's record is more unusual than {share(facts)} of the disease-free group."


def verbose_assistant(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"The patient has been assigned a {facts.level} risk level due to an anomaly score of {score(facts)}, "
    text += f"which is {place(facts)}."
    text += (
        f" This score is primarily influenced by {joined(up, the)}, which {verb(up, 'raises', 'raise')} it."
        if up
        else ""
    )
    start = " However, " if up else " The score is held down, as "
    text += f"{start}{joined(down, the)} {verb(down, 'lowers', 'lower')} the score." if down else ""
    rest = others(facts)
    return text + (f" Please note that {listed(rest)} {verb_of(rest, 'was', 'were')} not measured." if rest else "")


def general_practitioner(facts: Facts) -> str:
    first, second, third = facts.factors[:3]
    text = f"The computer puts this patient in the {facts.level} risk group with a score of {score(facts)}. That is "
    text += f"{place(facts)}. The biggest influence is {the(first)}, which {first.direction} the score; "
    return text + f"{the(second)} {second.direction} it as well, and {the(third)} {third.direction} it."


def registrar(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"{facts.level}-risk record by anomaly score ({score(facts)}), {place(facts)}."
    text += f" The upward pull is from {joined(up, dictated)}." if up else ""
    return text + (f" The downward pull is from {joined(down, dictated)}." if down else "")


def teaching_note(facts: Facts) -> str:
    text = f"How the score of {score(facts)} comes about: "
    for factor in facts.factors[:3]:
        effect = "an increase" if factor.direction == "raises" else "a decrease"
        text += f"{capital(the(factor))} is associated with {effect} in the score. "
    return text + f"The resulting score is {place(facts)}, giving a risk level of {facts.level}."


def formal_report(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"On evaluation by the anomaly detector, a score of {score(facts)} was returned, {place(facts)}; "
    text += f"the record is accordingly designated {facts.level} risk."
    text += f" An elevating effect is attributed to {joined(up, in_brackets)}." if up else ""
    return text + (f" A lowering effect is attributed to {joined(down, in_brackets)}." if down else "")


def one_long_sentence(facts: Facts) -> str:
    clauses = [f"{the(factor)} {factor.direction} the score" for factor in facts.factors[:3]]
    text = f"In this {facts.level} risk patient, whose anomaly score of {score(facts)} is {place(facts)}, "
    return text + f"{clauses[0]}, {clauses[1]}, and {clauses[2]}."


def email_to_the_team(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = (
        f"For this record the model gives {score(facts)} as the anomaly score, so {facts.level} risk ({place(facts)})."
    )
    text += f" Upward: {joined(up, in_brackets)}." if up else ""
    text += f" Downward: {joined(down, in_brackets)}." if down else ""
    return text + f" In other words, it is more unusual than {share(facts)} of disease-free patients."


def nurse_on_the_phone(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"There is a {facts.level} risk result here, with an anomaly score of {score(facts)}; "
    text += f"that is {place(facts)}."
    text += f" It went up on account of {joined(up, in_brackets)}." if up else ""
    return text + (f" It went down on account of {joined(down, in_brackets)}." if down else "")


def audit_entry(facts: Facts) -> str:
    parts = [f"{label(factor)}, {factor.value}, {factor.direction} the score" for factor in facts.factors[:3]]
    text = f"Anomaly score recorded as {score(facts)}; category assigned: {facts.level} (score {place(facts)}). "
    return text + f"Leading contributions in descending order: {'; '.join(parts)}."


def bedside_teacher(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"Let us look at the numbers. The score of {score(facts)} is {place(facts)}, "
    text += f"which makes the risk {facts.level}."
    text += f" Working in favour of a higher score, we have {joined(up, the)}." if up else ""
    return text + (f" Working in favour of a lower score, we have {joined(down, the)}." if down else "")


def journal_style(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"The subject's record attained an anomaly score of {score(facts)}, exceeding that of {share(facts)} of "
    text += f"disease-free individuals, and was thus allocated to the {facts.level} risk stratum."
    text += f" Score elevation was attributable to {joined(up, in_brackets)}." if up else ""
    return text + (f" Score reduction was attributable to {joined(down, in_brackets)}." if down else "")


def large_chat_model(facts: Facts) -> str:
    first, second, third = facts.factors[:3]
    text = f"The anomaly detector classifies this patient as {facts.level} risk, with a score of {score(facts)} "
    text += (
        f"that falls {place(facts)}. The primary factor is {the(first)}, which {first.direction} the anomaly score. "
    )
    text += f"Additionally, {the(second)} {second.direction} the score, whereas {the(third)} {third.direction} it."
    return text if second.direction != third.direction else text.replace("whereas", "and")


def hospital_letter(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = (
        f"Dear colleague, this patient's anomaly score came back at {score(facts)}, {place(facts)}, and the risk level "
    )
    text += f"is accordingly given as {facts.level}."
    text += f" The items that raised it were {joined(up, dictated)}." if up else ""
    return text + (f" The items that lowered it were {joined(down, dictated)}." if down else "")


def dashboard_caption(facts: Facts) -> str:
    up, down = chosen(facts, "raises"), chosen(facts, "lowers")
    text = f"{facts.level} risk, score {score(facts)}: {place(facts)}, and more unusual than {share(facts)} of "
    text += "disease-free patients."
    text += f" Pushing upward: {joined(up, with_of)}." if up else ""
    return text + (f" Pushing downward: {joined(down, with_of)}." if down else "")


def question_free_summary(facts: Facts) -> str:
    first, second, third = facts.factors[:3]
    text = f"In summary, the level of risk comes out as {facts.level} at an anomaly score of {score(facts)}, "
    text += f"{place(facts)}. "
    text += f"Looking at the findings one after another, {the(first)} {first.direction} the score. "
    return text + f"{capital(the(second))} {second.direction} it. {capital(the(third))} {third.direction} it too."


PHRASINGS: tuple[Phrasing, ...] = (
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
    radiology_report,
    letter_to_a_colleague,
    nominal_style,
    by_rank,
    factors_first,
    ward_round,
    main_drivers,
    cardiology_consult,
    discharge_summary,
    verbose_assistant,
    general_practitioner,
    registrar,
    teaching_note,
    formal_report,
    one_long_sentence,
    email_to_the_team,
    nurse_on_the_phone,
    audit_entry,
    bedside_teacher,
    journal_style,
    large_chat_model,
    hospital_letter,
    dashboard_caption,
    question_free_summary,
)
