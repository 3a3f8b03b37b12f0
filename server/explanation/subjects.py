"""Whether a sentence moves and rates what it may: the score and the risk level, but no factor and no person."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from server.explanation.kinds import PHRASE, Kind, Token
from server.explanation.vocabulary import COPULAS, DETERMINERS, ORDERS, words

OF_A_FACTOR: Final = frozenset([Kind.FIELD, Kind.VALUE, Kind.UNIT, Kind.NUMBER, Kind.BRACKET])
_BEFORE_AN_ORDER: Final = {"", *words("so therefore thus hence")}
_MOVES: Final = frozenset([Kind.RAISES, Kind.LOWERS])
_MOVED: Final = frozenset([Kind.SCORE, Kind.AND, Kind.CONTRAST, Kind.BRACKET, Kind.SEQUENCE, Kind.LESSER, Kind.OPPOSES])
_MOVED_KINDS: Final = _MOVED | _MOVES | {Kind.FIRST, Kind.FIRST_OF_ALL, Kind.CONTRIBUTES}
_MOVED_WORDS: Final = words("""
it by with from too also as well due owing thanks through via further together here which are is was were for . up down
contribution contributions contributor contributors effect effects influence influences impact impacts pull push force
forces pressure direction factor factors finding findings feature features variable variables item items element
elements shift shifts change changes role side partly partially similarly likewise come comes came include includes
""")
_OF_A_MOVE: Final = words("in of to on")
_PERSONS: Final = words("patient person individual subject record case threshold thresholds model detector them")
_WHERE_TO_FALL: Final = words("in into within under")
_INTRANSITIVE: Final = words("rise rises rising rose drop drops dropped climb climbs climbed")
_ON_THEIR_OWN: Final = _INTRANSITIVE | words("up down")
_ON_THEIR_WAY: Final = _INTRANSITIVE | words("""
go goes going went gone is are was were move moves moved moving come comes came point points pointing jumps climbs
""")
_ENDING: Final = OF_A_FACTOR | {Kind.SCORE}
_START: Final = Token(Kind.WORD, "")


def moves_only_the_score(tokens: Sequence[Token]) -> bool:
    """Tell whether a sentence gives no order, moves nothing but the score, and calls no factor high or low."""
    return not (_gives_an_order(tokens) or _moves_something_else(tokens) or _rates_a_factor(tokens))


def _gives_an_order(tokens: Sequence[Token]) -> bool:
    return any(
        before.text in _BEFORE_AN_ORDER and after.text in ORDERS for before, after in pairwise([_START, *tokens])
    )


def _moves_something_else(tokens: Sequence[Token]) -> bool:
    """Tell whether anything but the score is raised or lowered: no cause is known, and no value is judged."""
    bare = [*(token for token in tokens if token.text not in DETERMINERS), _START]
    followers = [
        (after, second)
        for token, after, second in zip(bare, bare[1:], [*bare[2:], _START], strict=False)
        if token.kind in _MOVES
    ]
    moves = [at for at, token in enumerate(tokens) if token.kind in _MOVES]
    if any(_is_said_to_move(tokens, at) for at, token in enumerate(tokens) if token.text in _ON_THEIR_OWN):
        return True
    return any(not _may_be_moved(after, second) for after, second in followers) or any(
        _is_said_of(tokens, at, {Kind.RISK})
        or (_follows_factor_and_copula(tokens, at) and not _has_the_score_after(tokens, at))
        or _follows_value(tokens, at)
        or _is_said_of_a_person(tokens, at)
        for at in moves
    )


def _may_be_moved(after: Token, second: Token) -> bool:
    if after.text in _OF_A_MOVE:
        return second.kind in {Kind.SCORE, *_MOVES} or second.text in {"it", "direction", "effect"}
    return after is _START or after.kind in _MOVED_KINDS or after.text in _MOVED_WORDS or after.detail == PHRASE


def _has_the_score_after(tokens: Sequence[Token], at: int) -> bool:
    after = next((token for token in tokens[at + 1 :] if token.text not in DETERMINERS), _START)
    return after.kind is Kind.SCORE or after.text == "it"


def _is_said_to_move(tokens: Sequence[Token], at: int) -> bool:
    """Tell whether a factor, not the score, is what goes up or down, rises or drops."""
    if tokens[at].kind is Kind.VALUE and at > 0 and tokens[at - 1].kind in {Kind.FIELD, Kind.BRACKET}:
        return False
    before = at - 1
    while before >= 0 and tokens[before].kind not in _ENDING and tokens[before].text != "it":
        before -= 1
    after = [token for token in tokens[at + 1 : at + 3] if token.text not in DETERMINERS][:1]
    moves_the_score = any(token.kind is Kind.SCORE or token.text == "it" for token in after)
    is_of_a_factor = before >= 0 and tokens[before].kind in OF_A_FACTOR and tokens[before].text != "("
    is_a_slope = before >= 0 and tokens[before].detail == "st_slope"
    on_their_way = _ON_THEIR_WAY - COPULAS if is_a_slope else _ON_THEIR_WAY
    return is_of_a_factor and not moves_the_score and any(t.text in on_their_way for t in tokens[before + 1 : at + 1])


def _follows_value(tokens: Sequence[Token], at: int) -> bool:
    """Tell whether *higher* or *lower* ends what is said of a value, as in *3.5 mm higher*."""
    is_last = at + 1 == len(tokens) or tokens[at + 1].kind in {Kind.AND, Kind.CONTRAST} or tokens[at + 1].text == "."
    follows = at > 0 and tokens[at - 1].kind in {Kind.NUMBER, Kind.UNIT}
    return follows and is_last and tokens[at].text in {"higher", "lower"}


def _rates_a_factor(tokens: Sequence[Token]) -> bool:
    """Tell whether a level is said of a factor, as in *high cholesterol* or *the cholesterol is high*."""
    if any(token.kind is Kind.LEVEL and after.kind is Kind.FIELD for token, after in pairwise(tokens)):
        return True
    if any(
        token.text in COPULAS and after.text == "so" and level.kind is Kind.LEVEL
        for token, after, level in zip(tokens, tokens[1:], tokens[2:], strict=False)
    ):
        return True
    if any(_falls_nowhere(token, after) for token, after in pairwise(tokens)):
        return True
    return any(token.kind is Kind.LEVEL and _follows_factor_and_copula(tokens, at) for at, token in enumerate(tokens))


def _falls_nowhere(token: Token, after: Token) -> bool:
    is_place = after.kind is Kind.RELATION or after.text in _WHERE_TO_FALL
    return token.kind is Kind.WORD and token.text in {"fall", "falls", "fell", "falling"} and not is_place


def _is_said_of(tokens: Sequence[Token], at: int, kinds: set[Kind]) -> bool:
    """Tell whether one of these kinds stands before, with nothing but plain words between."""
    before = at - 1
    while before >= 0 and tokens[before].kind is Kind.WORD:
        before -= 1
    return before >= 0 and tokens[before].kind in kinds


def _is_said_of_a_person(tokens: Sequence[Token], at: int) -> bool:
    before = at - 1
    while before >= 0 and tokens[before].text in {*COPULAS, "also"}:
        before -= 1
    return before != at - 1 and before >= 0 and tokens[before].text in _PERSONS


def _follows_factor_and_copula(tokens: Sequence[Token], at: int) -> bool:
    before = at - 1
    while before >= 0 and tokens[before].text in COPULAS:
        before -= 1
    return before != at - 1 and before >= 0 and tokens[before].kind in OF_A_FACTOR
