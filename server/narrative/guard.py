"""What a language model's text must satisfy before anyone sees it: true to the facts, and nothing beyond them.

The model writes slots such as ``[[st_depression]]`` where a value belongs, and they are filled in here. So no patient
value leaves the machine, and a digit outside a slot is always an invention. Outside slots a text may consist of listed
words only, those of the labels among its facts included. Where a rule is in doubt, the text is withheld: the
deterministic one is always there.
"""

import re
from collections.abc import Iterator

from config.patient import FIELDS
from server.narrative.facts import Factor, Facts, score_in_words

SLOT = re.compile(r"\[\[([a-z_]+)\]\]")
SCORE_SLOTS = frozenset({"anomaly_score", "threshold"})
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_PLAIN_TEXT = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿ \n\t.,;:!?()'\"’‘“”/–—-]*")
_LABELS = {name: re.compile(rf"\b{re.escape(field.label)}\b", re.IGNORECASE) for name, field in FIELDS.items()}
_NUMBER_WORD = re.compile(
    r"\b(zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(thir|four|fif|six|seven|eigh|nine)teen|"
    r"(twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|thousands?|millions?|dozens?|percent|per cent|half|halves|"
    r"thirds?|quarters?|tenths?|double[sd]?|twice|thrice|triple[sd]?|twofold|tenfold)\b",
    re.IGNORECASE,
)
_NOT_DESCRIPTION = re.compile(
    r"\bhttps?:|\bwww\.|"
    r"\b(diagnos\w*|treat\w*|therap\w*|dos(e|es|age)|prescri\w*|medicat\w*|aspirin|statin\w*|surg\w*|recommend\w*|"
    r"advis\w*|advice|should|must|ought|consult\w*|refer\w*|urgent\w*|emergenc\w*|certain\w*|definite\w*|guarantee\w*|"
    r"proves?|proven|confirm\w*|reassur\w*|safe|healthy|no need|worry|don['’]t|do not|smok\w*|diabet\w*|obes\w*|"
    r"family history|infarction|heart attack|stroke|death|die|dying|ignore|instruction\w*|assistant|language model|"
    r"coronary|isch[ae]+mi\w*|stenos\w*|blockages?|probabilit\w*|likel\w*|diseased|disease(?![- ]free))\b",
    re.IGNORECASE,
)
_RAISES = re.compile(r"\b(rais\w*|increas\w*|push\w* (it |the score )?up|higher|elevat\w*)\b", re.IGNORECASE)
_LOWERS = re.compile(r"\b(lower\w*|decreas\w*|reduc\w*|pull\w* (it |the score )?down)\b", re.IGNORECASE)
_NOT_MEASURED = re.compile(r"\bnot (been )?measured\b", re.IGNORECASE)
_NEGATION = re.compile(r"\b(not|never|neither|nor|without|hardly)\b|n['’]t\b|\b(fails?|failed) to\b", re.IGNORECASE)
_LEVEL = re.compile(r"\b(low|medium|high)\b", re.IGNORECASE)
_FOREIGN_LEVEL = re.compile(
    r"\b(moderate|intermediate|severe|critical|extreme|minimal|negligible|mild|elevated)\b.*\brisk\b|"
    r"\brisk\b.*\b(moderate|intermediate|severe|critical|extreme|minimal|negligible|mild|elevated)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]+")
_VOCABULARY = """
score scores anomaly threshold thresholds level levels risk result results record records patient patients model
detector field fields factor factors value values finding findings reading measurement measurements direction degree
extent effect influence contribution contributions part share range average reference others

is are was were be been being has have had raise raises raised raising lower lowers lowered lowering increase increases
increased increasing decrease decreases decreased decreasing reduce reduces reduced reducing push pushes pushed pushing
pull pulls pulled pulling up down contribute contributes contributed contributing move moves moved moving exceed exceeds
exceeded lie lies sit sits stand stands fall falls reach reaches place places placed put puts set sets show shows shown
give gives given describe describes described compare compares compared come comes belong belongs correspond corresponds
remain remains taken assumed measured missing

most more less least much mainly mostly largely strongly slightly somewhat clearly only further also too even both each
all any other another same such higher highest greater greatest larger largest smaller smallest lesser stronger
strongest weaker weakest lowest main chief next first then typical typically usual unusual high medium low overall alone
together additionally moreover furthermore likewise similarly meanwhile however conversely hand contrast addition
comparison turn outside inside

a an the this that these those it its itself they them their there here which who whose what of in on at by for from to
with against above below over under between among as than into within toward towards relative and or but while whereas
although though yet when where per
"""
_ALLOWED = frozenset(_VOCABULARY.split())
"""Every word that may stand outside slots, beside those of the labels: nothing clinical can be said with them."""

_ALLOWED_PHRASE = re.compile(r"\b(disease-free|as well|not (been )?measured)\b|['’]s\b", re.IGNORECASE)
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
        If it holds a number of its own, something that is not in the facts, a wrong direction or risk level,
        anything that is not description, or any word that is not allowed.
    """
    named = _named_factors(sentence, facts)
    bare = SLOT.sub("", sentence)
    for label in _LABELS.values():
        bare = label.sub("", bare)  # a label may hold a digit, as that of the blood sugar does
    _check_words(bare)
    _check_directions(bare, sentence, named)
    _check_level(bare, facts)
    _check_vocabulary(bare, facts)
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


def _check_words(bare: str) -> None:
    if _NUMBER_WORD.search(bare) or any(character.isnumeric() for character in bare):
        raise GuardError("it states a number of its own")
    if _NOT_DESCRIPTION.search(bare) or not _PLAIN_TEXT.fullmatch(bare):
        raise GuardError("it goes beyond describing the result")


def _named_factors(sentence: str, facts: Facts) -> list[Factor]:
    """Return the factors a sentence is about, by slot or by label; an unmeasured field may be named as such."""
    slots = set(SLOT.findall(sentence)) - SCORE_SLOTS
    labels = {name for name, label in _LABELS.items() if label.search(sentence)}
    known = {factor.name: factor for factor in facts.factors}
    if _NOT_MEASURED.search(sentence):
        labels -= {name for name in labels - known.keys() if FIELDS[name].label in facts.not_measured}
    if (slots | labels) - known.keys():
        raise GuardError("it names a factor that is not among the facts")
    return [known[name] for name in slots | labels]


def _check_directions(bare: str, sentence: str, named: list[Factor]) -> None:
    directions = {factor.direction for factor in named}
    raises, lowers = bool(_RAISES.search(bare)), bool(_LOWERS.search(bare))
    if len(directions) > 1:
        raise GuardError("it mixes factors of both directions in one sentence")
    if not directions:
        if (raises or lowers) and not SCORE_SLOTS & set(SLOT.findall(sentence)):
            raise GuardError("it gives a direction without naming a factor")
        return
    if not (raises or lowers) and _NOT_MEASURED.search(bare):
        return
    if (raises, lowers) != ("raises" in directions, "lowers" in directions):
        raise GuardError("it gives a factor the wrong direction")
    if _NEGATION.search(_NOT_MEASURED.sub("", bare)):
        raise GuardError("it negates what a factor does")


def _check_level(bare: str, facts: Facts) -> None:
    named = {word.lower() for word in _LEVEL.findall(bare)}
    if named - {facts.level.lower()} or _FOREIGN_LEVEL.search(bare):
        raise GuardError("it names another risk level")


def _check_vocabulary(bare: str, facts: Facts) -> None:
    labels = [*(factor.label for factor in facts.factors), *facts.not_measured, *facts.extrapolated]
    allowed = _ALLOWED.union(*(_words(label) for label in labels))
    if not allowed.issuperset(_words(_ALLOWED_PHRASE.sub("", bare))):
        raise GuardError("it uses a word outside the allowed ones")


def _words(text: str) -> Iterator[str]:
    return (word.lower() for word in _WORD.findall(text))


def _fill(name: str, facts: Facts) -> str:
    if name == "anomaly_score":
        return score_in_words(facts.anomaly_score)
    if name == "threshold":
        return f"{facts.thresholds.high if facts.level == 'High' else facts.thresholds.medium:g}"
    return next(factor.value for factor in facts.factors if factor.name == name)
