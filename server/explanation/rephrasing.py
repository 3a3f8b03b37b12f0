"""Rephrases, before a sentence is read, what is said in a roundabout way: each pattern means what replaces it."""

import re
from typing import Final

_LEVEL = r"(low|medium|high)(?:[- ]risk)?(?: level| category)?"
_NUMBER = r"(\d+(?:\.\d+)?)"
_THRESHOLD = r"(?:thresholds?|cut-?offs?)"
_NEXT = r"(?:,| \()"
_MEASURED = r"(measured|available|recorded|obtained)"

_REPHRASINGS: Final = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (rf"{_THRESHOLD} (?:of )?\(?{_NUMBER}\)? (?:for|of) (?:an? |the )?{_LEVEL}\b", r"\2 threshold of \1"),
        (rf"\bneither of which (?:was|were) {_MEASURED}", r"which were not \1"),
        (r"\b(?:towards?|to|in the direction of) (?:a |the )?(higher|lower) (?:values?|end|level)\b", r"\1"),
        (rf"\b{_THRESHOLD} (?:between|separating) low (?:and|from) medium\b", "medium threshold"),
        (rf"\b{_THRESHOLD} (?:between|separating) medium (?:and|from) high\b", "high threshold"),
        (r"\bat, or above,", "at or above"),
        (rf"\b(than|above|below|over|under|exceeds|exceeding|reaches|reaching|meets|at) {_NUMBER}{_NEXT} ?"
         rf"(?:which is )?the {_LEVEL} {_THRESHOLD}\)?", r"\1 the \3 threshold of \2"),
        (rf"between the medium \({_NUMBER}\) and (?:the )?high \({_NUMBER}\) {_THRESHOLD}",
         r"between the medium threshold of \1 and the high threshold of \2"),
        (rf"between the medium and (?:the )?high {_THRESHOLD},? (?:of |\(){_NUMBER} and {_NUMBER}\)?(?:,? "
         rf"respectively)?",
         r"between the medium threshold of \1 and the high threshold of \2"),
        (rf"between the medium and (?:the )?high {_THRESHOLD}", "between the medium threshold and the high "
                                                                "threshold"),
        (rf"\bbut not (?:yet )?(?:the )?{_LEVEL} {_THRESHOLD}", r"but below the \1 threshold"),
        (r"fasting blood sugar (?:that is )?not (?:over|above|exceeding) 120 mg/dl", "fasting blood sugar over "
                                                                                     "120 mg/dl (no)"),
        (rf"\bneither (?:of (?:them|these|the two) )?(?:was|were|has been|have been) {_MEASURED}", r"they were "
                                                                                                   r"not \1"),
        (rf"\bneither (.+?) nor (.+?) (?:was|were|has been|have been) {_MEASURED}", r"\1 and \2 were not \3"),
        (rf"\bnot {_MEASURED},? (?:and )?nor (?:was|were) (?!the (?:anomaly|score|risk|level|patient))", r"not "
                                                                                                         r"\1, and "),
    )
)  # fmt: skip


def plainly(sentence: str) -> str:
    """Return a sentence in lower case with its roundabout ways made plain."""
    plain = sentence.lower().replace("’", "'")
    for pattern, replacement in _REPHRASINGS:
        plain = pattern.sub(replacement, plain)
    return plain
