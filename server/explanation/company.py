"""Whether each word stands in a part of a sentence that is about what the word is listed for."""

from collections.abc import Iterator, Sequence
from typing import Final

from server.explanation.kinds import Kind, Token
from server.explanation.vocabulary import ALONE, JOINING, OF_A_FINDING, OF_A_GAP, OF_THE_MOVES, OF_THE_RESULT, words

_RESULT: Final = (Kind.SCORE, Kind.THRESHOLD, Kind.LEVEL, Kind.RISK, Kind.SHARE, Kind.POPULATION, Kind.UNUSUAL)
_MOVES: Final = (Kind.RAISES, Kind.LOWERS, Kind.CONTRIBUTES, Kind.OPPOSES, Kind.FIRST, Kind.FIRST_OF_ALL, Kind.LESSER)
_FINDING: Final = (Kind.FIELD, Kind.VALUE, Kind.NUMBER, Kind.UNIT)
_GAP: Final = (Kind.ABSENT, Kind.OUTSIDE, Kind.TYPICAL)

_BESIDE: Final = (
    dict.fromkeys((*_RESULT, Kind.RELATION, Kind.PASSED), OF_THE_RESULT)
    | dict.fromkeys((*_MOVES, Kind.SEQUENCE, Kind.RANK, Kind.SAME, Kind.OPPOSITE), OF_THE_MOVES)
    | dict.fromkeys(_FINDING, OF_A_FINDING)
    | dict.fromkeys(_GAP, OF_A_GAP)
)
_COPULAS: Final = words("is are was were be has have had")
_PERSONS: Final = words("patient patient's person individual subject them they he she him his her their")
PARTICLES: Final = frozenset(["up", "down"])
_ENDS: Final = frozenset([Kind.AND, Kind.CONTRAST, Kind.BRACKET])


def parts_of(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Divide a sentence at commas, brackets, joining and relative words."""
    part: list[Token] = []
    for token in tokens:
        if token.kind in _ENDS or token.text == "which":
            yield part
            part = []
        else:
            part.append(token)
    yield part


def is_in_company(tokens: Sequence[Token]) -> bool:
    """Tell whether every part has only the words of what it is about, and the sentence is about something."""
    if not any(token.kind in _BESIDE for token in tokens):
        said = {token.text for token in tokens}
        return (
            any(token.kind is Kind.OPENING for token in tokens) and said.isdisjoint(_PERSONS) and not misplaced(tokens)
        )
    return not misplaced(tokens) and not _says_something_of_nothing(tokens)


def _says_something_of_nothing(tokens: Sequence[Token]) -> bool:
    """Tell whether a part states something that is about nothing listed: *and so is the patient*, *that is all*."""
    at = 0
    for part in parts_of(tokens):
        at += len(part)
        end = tokens[at].text if at < len(tokens) else ""
        at += 1
        begins = part[0].text if part else ""
        states = any(token.text in _COPULAS for token in part) and end not in {":", "(", "which"}
        states = states and begins not in {"among", "of", "from", "given"}
        if states and not any(token.kind in _BESIDE or token.text in PARTICLES for token in part):
            return True
    return False


def misplaced(tokens: Sequence[Token]) -> list[str]:
    """Return the words that are listed, but not for the part in which they stand."""
    return [
        token.text
        for part in parts_of(tokens)
        for known in [_known_in(part)]
        for token in part
        if token.kind is Kind.WORD and token.is_single and token.text not in known
    ]


def _known_in(part: Sequence[Token]) -> frozenset[str]:
    about = [_BESIDE[token.kind] for token in part if token.kind in _BESIDE]
    about += [OF_THE_MOVES for token in part if token.text in PARTICLES]
    return JOINING.union(*about) if about else JOINING | ALONE
