"""What phrases of several languages mean as a column's name or a cell, by the words of ``phrases.toml``."""

import re
import tomllib
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Final

TABLE: Final[Mapping[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

_ALIKE, _FEWEST_LETTERS = 0.8, 4  # of 1: but for a letter or two
_MARKS = {">": " gt ", "≥": " gt ", "<": " lt ", "≤": " lt ", "≦": " lt ", "⩽": " lt "}


def folded(text: str) -> str:
    """Return a text without capitals and accents, with ``ae``, ``oe`` and ``ue`` as the letters they replace."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return re.sub("(?<=[aou])e", "", "".join(letter for letter in letters if not unicodedata.combining(letter)))


def tokens_of(text: str) -> list[str]:
    """Split a text into words and whole numbers; ``<`` and ``>`` are words, too."""
    return re.findall(r"[^\W\d_]+|\d+", "".join(_MARKS.get(letter, letter) for letter in folded(text)))


_CONCEPTS: Final[Mapping[str, set[str]]] = defaultdict(set)
for _concept, _words in TABLE["words"].items():
    for _word in tokens_of(_words):
        _CONCEPTS[_word].add(_concept)
_FILLERS = frozenset(tokens_of(TABLE["fillers"]))


@cache
def _parts_of(token: str, *, in_name: bool) -> tuple[str, ...]:
    """Split a compound, as *Ruheblutdruck* is one, into known words; empty where it is not made of them alone."""
    if token in _CONCEPTS or token in _FILLERS or token.isdigit():
        return (token,)
    for end in range(len(token) - 2, 1, -1):
        head, rest = token[:end], _parts_of(token[end:], in_name=in_name)
        # Inside a cell's word, what says nothing in a name may say much: "onomkeerbaar" is not "omkeerbaar".
        if rest and (head in _CONCEPTS or (in_name and head in _FILLERS)):
            return (head, *rest)
    return ()


@dataclass(frozen=True)
class Meaning:
    """What may stand for one thing: phrases of needed and of possible concepts, and whole abbreviations.

    ``beside`` are words that may stand beside any of them, and ``is_name`` tells whether this is said in the name of a
    column.
    """

    phrases: Sequence[tuple[Set[str], Set[str]]]
    whole: Set[str]
    beside: Set[str]
    is_name: bool

    def is_said(self, tokens: Iterable[str], *, loosely: bool = False) -> bool:
        """Tell whether tokens say this and nothing else; ``loosely``, whether they say it among other things."""
        said = [token for token in tokens if token not in self.beside]
        if "".join(said) in self.whole or "".join(token for token in said if token not in _FILLERS) in self.whole:
            return True
        if loosely:
            said = [word for token in said for word in _corrected(token)]
            if any(token in self.whole for token in said) or _nearly("".join(said), self.whole):
                return True
        # A word that nobody knows may turn the meaning round, as "un" does: then nothing is said.
        parts = [_parts_of(token, in_name=self.is_name) for token in said]
        words = [word for some in parts for word in some]
        if not words or not (all(parts) or loosely):
            return False
        return any(_holds(words, needs, needs | may, loosely=loosely) for needs, may in self.phrases)


def _nearly(text: str, known: Iterable[str]) -> list[str]:
    return get_close_matches(text, known, n=1, cutoff=_ALIKE) if len(text) >= _FEWEST_LETTERS else []


@cache
def _corrected(token: str) -> tuple[str, ...]:
    """Return a token as it is known: whole, with a letter or two changed, as it begins, or as what it shortens."""
    if _parts_of(token, in_name=True) or len(token) < _FEWEST_LETTERS:
        return (token,)
    begins = [token[:end] for end in range(len(token), _FEWEST_LETTERS - 1, -1) if token[:end] in _CONCEPTS]
    shortens = [word for word in _CONCEPTS if word.startswith(token)]
    return ((*_nearly(token, _CONCEPTS), *begins, *shortens, token)[0],)


def _holds(words: Sequence[str], needs: Set[str], allowed: Set[str], *, loosely: bool) -> bool:
    concepts = [_CONCEPTS[word] if word in _CONCEPTS else set[str]() for word in words]
    # Needed concepts may come from any word, but every word has to be one of those that may stand there.
    is_whole = loosely or all(of & allowed or word in _FILLERS for word, of in zip(words, concepts, strict=True))
    return is_whole and needs <= set[str]().union(*concepts)


def meaning_of(phrases: Iterable[str], *, beside: str = "", is_name: bool = False) -> Meaning:
    """Read phrases as ``phrases.toml`` has them, "needed | possible", or "= abbreviations"."""
    needed, whole = list[tuple[Set[str], Set[str]]](), set[str]()
    for phrase in phrases:
        if phrase.startswith("="):
            whole |= {folded(word) for word in re.split(r"[\s_]+", phrase[1:]) if word}
        else:
            needs, _, may = phrase.partition("|")
            needed.append(({*needs.split()}, {*may.split()}))
    return Meaning(needed, whole, {*tokens_of(beside)}, is_name)
