"""What a language model's text must satisfy before anyone sees it: true to the facts, and nothing beyond them.

The model writes slots such as ``[[st_depression]]`` where a value belongs, and they are filled in here. So no patient
value leaves the machine, and a digit outside a slot is always an invention.
"""

import re

from config.patient import FIELDS
from server.narrative.facts import Factor, Facts, score_in_words

SLOT = re.compile(r"\[\[([a-z_]+)\]\]")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_NUMBER = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|sixty|seventy|"
    r"eighty|ninety|hundred|thousand|percent|half|double|twice)\b",
    re.IGNORECASE,
)
_FORBIDDEN = re.compile(
    r"https?:|www\.|[<>{}`*#|\\]|[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]|"
    r"\b(diagnos\w*|treat\w*|therap\w*|dos(e|es|age)|prescri\w*|medicat\w*|aspirin|statin\w*|surg\w*|recommend\w*|"
    r"advis\w*|should|must|consult\w*|refer\w*|urgent\w*|emergenc\w*|certain\w*|definite\w*|guarantee\w*|proves?|"
    r"confirm\w*|reassur\w*|safe|healthy|no need|worry|don't|do not|smok\w*|diabet\w*|obes\w*|family history|"
    r"infarction|heart attack|stroke|death|die|dying|ignore|instruction\w*|assistant|language model)\b",
    re.IGNORECASE,
)
_RAISES = re.compile(r"\b(rais\w*|increas\w*|push\w* (it |the score )?up|higher|elevat\w*)\b", re.IGNORECASE)
_LOWERS = re.compile(r"\b(lower\w*|decreas\w*|reduc\w*|pull\w* (it |the score )?down)\b", re.IGNORECASE)
_LEVEL = re.compile(r"\b(low|medium|high)\b", re.IGNORECASE)
LEAST_WORDS, MOST_WORDS = 20, 140


class GuardError(Exception):
    """A text breaks a rule; the message says which, without quoting the text."""


def sentences_of(text: str) -> list[str]:
    """Split a text into sentences; the last one may be unfinished."""
    return [sentence for sentence in _SENTENCE_END.split(text.strip()) if sentence]


def checked_sentence(sentence: str, facts: Facts) -> str:
    """Return a sentence with its slots filled.

    Raises
    ------
    GuardError
        If it holds a number of its own, something that is not in the facts, a wrong direction or risk level, or
        anything that is not description.
    """
    bare = SLOT.sub("", sentence)
    if _NUMBER.search(bare):
        raise GuardError("it states a number of its own")
    if _FORBIDDEN.search(bare) or "[" in bare or "]" in bare:
        raise GuardError("it goes beyond describing the result")
    _check_factors(sentence, facts)
    _check_level(bare, facts)
    return SLOT.sub(lambda slot: _fill(slot.group(1), facts), sentence)


def check_whole(text: str, facts: Facts) -> None:
    """Check the raw text as a whole: its length, and that the factors that count most are all in it.

    Raises
    ------
    GuardError
        If it is too short, too long, or leaves out one of the first two factors or the risk level.
    """
    words = len(text.split())
    if not LEAST_WORDS <= words <= MOST_WORDS:
        raise GuardError("it is too short or too long")
    slots = set(SLOT.findall(text))
    if any(factor.name not in slots for factor in facts.factors[:2]):
        raise GuardError("it leaves out a factor that counts most")
    if not re.search(rf"\b{facts.level}\b", text, re.IGNORECASE):
        raise GuardError("it does not name the risk level")


def _check_factors(sentence: str, facts: Facts) -> None:
    known = {factor.name: factor for factor in facts.factors}
    named = [name for name in SLOT.findall(sentence) if name not in ("anomaly_score", "threshold")]
    if any(name not in known for name in named):
        raise GuardError("it names a factor that is not among the facts")
    text = SLOT.sub("", sentence).lower()
    for name, description in FIELDS.items():
        if name not in known and description.label.lower() in text:
            raise GuardError("it names a factor that is not among the facts")
    _check_directions(sentence, [known[name] for name in named])


def _check_directions(sentence: str, named: list[Factor]) -> None:
    directions = {factor.direction for factor in named}
    if len(directions) > 1:
        raise GuardError("it mixes factors of both directions in one sentence")
    if directions == {"raises"} and (_LOWERS.search(sentence) or not _RAISES.search(sentence)):
        raise GuardError("it gives a factor the wrong direction")
    if directions == {"lowers"} and (_RAISES.search(sentence) or not _LOWERS.search(sentence)):
        raise GuardError("it gives a factor the wrong direction")


def _check_level(bare: str, facts: Facts) -> None:
    if "risk" in bare.lower() and any(word.lower() != facts.level.lower() for word in _LEVEL.findall(bare)):
        raise GuardError("it names another risk level")


def _fill(name: str, facts: Facts) -> str:
    if name == "anomaly_score":
        return score_in_words(facts.anomaly_score)
    if name == "threshold":
        return f"{facts.thresholds.high if facts.level == 'High' else facts.thresholds.medium:g}"
    return next(factor.value for factor in facts.factors if factor.name == name)
