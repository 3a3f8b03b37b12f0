"""The rules that a text must keep, each with what to tell people and what to tell a language model that broke it."""

from enum import StrEnum


class Rule(StrEnum):
    """A rule; its value is the clause that says how a text broke it."""

    CHARACTERS = "it holds markup or characters that are no plain text"
    SLOTS = "it refers to a value that is not among the facts"
    WORDS = "it goes beyond describing the result"
    NUMBERS = "it states a number or value that is not a fact"
    FACTORS = "it names a factor that is not among the facts"
    DIRECTIONS = "it gives a factor the wrong direction"
    LEVEL = "it names another risk level"
    COMPARISONS = "it compares the score wrongly"
    RANKS = "it ranks the factors wrongly"
    LENGTH = "it is too short or too long"
    COMPLETENESS = "it leaves out the risk level or one of the main factors"

    @property
    def instruction(self) -> str:
        """What to tell the language model that is to write again."""
        return _INSTRUCTIONS[self]


_INSTRUCTIONS = {
    Rule.CHARACTERS: "Write plain prose: no lists, markup, links or special characters.",
    Rule.SLOTS: "Use only the slots that you were given, copied exactly.",
    Rule.WORDS: "Only describe the result, in plain words: no diagnosis, cause, treatment, advice or comfort.",
    Rule.NUMBERS: "Write no number and no value of your own; put each slot right after the label it belongs to.",
    Rule.FACTORS: "Name only the factors that you were given, by the labels that you were given.",
    Rule.DIRECTIONS: "Say of each factor what you were told, raises or lowers, and say it once, without any negation.",
    Rule.LEVEL: "Name only the risk level that you were given.",
    Rule.COMPARISONS: "Do not compare the score with anything but the threshold that you were given.",
    Rule.RANKS: "Name the factors in the order that you were given.",
    Rule.LENGTH: "Write between 40 and 90 words.",
    Rule.COMPLETENESS: "Name the risk level, and each of the first three factors with what it does.",
}
