"""Random facts, random texts of their language, and a deliberately simple reader of what a text says."""

import re
from functools import cache
from random import Random
from typing import Any

from common.messages import LEVELS, RiskLevel
from common.patient import FIELDS
from server.explanation import language
from server.explanation.facts import Direction, Facts
from tests.support.narratives import factor, facts

FACTOR_TOKENS = set("".join(language.FACTORS.values()))
FACT_TOKENS = {language.SCORE, language.THRESHOLD, language.MEANING, language.GAPS, language.OUTSIDE} | FACTOR_TOKENS
STATEMENT_TOKENS = {token for tokens in language.STATEMENTS.values() for token in tokens}
MAX_TOKENS = 120
OPPOSITE: dict[Direction, Direction] = {"raises": "lowers", "lowers": "raises"}
SCORES = {RiskLevel.LOW: (0.4321, 0.0), RiskLevel.MEDIUM: (0.8765, 0.8), RiskLevel.HIGH: (0.9876, 0.95)}
"""For each level one score within it, and the least."""


def random_value(random: Random, name: str) -> float:
    field = FIELDS[name]
    lowest, highest = (18, 100) if name == "age" else field.model_range or (0, 0)
    return random.choice(sorted(field.codes)) if field.codes else round(random.uniform(lowest, highest))


def random_facts(random: Random) -> Facts:
    """Make facts with three to five factors, up to two gaps and up to one value outside the model's range."""
    names = random.sample(list(FIELDS), random.randint(6, 8))
    gaps = [name for name in names[-2:] if not FIELDS[name].required and random.random() < 0.5]
    outside = [name for name in names[-3:-2] if FIELDS[name].model_range and random.random() < 0.5]
    stated = [factor(name, random_value(random, name), random.choice(list(OPPOSITE))) for name in names[:-3]]
    level = random.choice(list(LEVELS))
    score = random.choice(SCORES[level])
    return facts(level, score, factors=tuple(stated), not_measured=tuple(gaps), extrapolated=tuple(outside))


@cache
def _parsed(form: str) -> list[Any]:
    """Return the alternatives of a form: each a list of parts, characters or alternatives, with how often they come."""
    groups: list[list[Any]] = [[[]]]
    for piece in re.findall(r"\\.|\[.*?\]|.", form):
        if piece == "(":
            groups.append([[]])
        elif piece == "|":
            groups[-1].append([])
        elif piece in {"?", "*"}:
            groups[-1][-1][-1][1] = piece
        else:
            part = groups.pop() if piece == ")" else piece[-1]
            part = [[[choice, ""]] for choice in piece[1:-1]] if piece[0] == "[" else part
            groups[-1][-1].append([part, ""])
    return groups[0]


def sample(form: str, random: Random) -> str:
    """Return a random text of a form, in which what may be repeated comes at most twice."""
    return _text(_parsed(form), random)


def _text(part: Any, random: Random) -> str:
    if isinstance(part, str):
        return part
    times = {"": (1, 1), "?": (0, 1), "*": (0, 2)}
    chosen = random.choice(part)
    return "".join(_text(one, random) for one, often in chosen for _ in range(random.randint(*times[often])))


def written(tokens: str, forms: language.Forms, random: Random) -> str:
    """Return a text with each token that has forms written out."""
    return "".join(sample(forms[token], random) if token in forms else token for token in tokens)


def random_tokens(known: Facts, random: Random) -> str:
    """Return a random text of the language, with the tokens of facts in it, of which these facts have something."""
    statements = language.statement_forms(known)
    absent = FACT_TOKENS - set(language.fact_forms(known))
    while True:
        text = sample(language.TEXT, random)
        if STATEMENT_TOKENS & set(text) and not absent & set(text) and len(text) <= MAX_TOKENS:
            tokens = written(text, statements, random)
            if not absent & set(tokens):
                return tokens


_WORDS = {
    "age": r"\bage\b",
    "sex": r"\bsex\b",
    "chest_pain_type": "chest pain",
    "resting_bp": r"blood pressure|\bbp\b",
    "cholesterol": "cholesterol",
    "fasting_blood_sugar_high": "blood sugar",
    "resting_ecg": "ecg",
    "max_heart_rate": "heart rate",
    "exercise_angina": "exercise-induced|exercise angina|angina induced",
    "st_depression": r"st (?:segment )?depression",
    "st_slope": "slope",
    "major_vessels": "vessel",
    "thallium_scan": "thallium",
}
_AHEAD = r"(?: most)? by\b| (?:the|the anomaly) score:"
_VERB = re.compile(r"\b(rais|increas|lower|decreas|reduc)(?:es?|ed|s)?\b(?! than)")


def untruths(text: str, known: Facts) -> list[str]:
    """Return what a text says wrongly: it knows words and verbs alone, and reads each factor by the verb beside it.

    A factor between a verb that looks ahead (*raised by A*) and one that looks back (*B lowers*) may belong to either,
    but the first and the last of such a run.
    """
    low = " ".join(text.lower().split())
    for stated in known.factors:
        low = low.replace(f"[[{stated.name}_meaning]]", "").replace((stated.meaning or "\0").lower(), "")
        low = low.replace(f"[[{stated.name}]]", "").replace(f"({stated.value.lower()})", "")
    low = re.sub(r"[^.]*(?:not measured|outside the model's range)[^.]*\.", "", low)
    low = re.sub(r"threshold for (?:the )?(low|medium|high) risk(?: level)?", r"\1 threshold", low)
    levels = re.findall(
        r"(low|medium|high) risk level|risk level(?: of \w+ patient)?(?: is|:| of) (low|medium|high)\b", low
    )
    wrong = [f"level {before or after}" for before, after in levels if before + after != known.level.lower()]
    between = "below the high threshold" if known.level == RiskLevel.MEDIUM else "."
    above = re.search(r"at or above|\babove|\bover (?!120)|higher than|greater than|reaches|meets|exceeds", low)
    below = re.search(r"below|under|lower than|less than|does not reach", low.replace(between, "."))
    wrong += ["place"] if (below and known.level != RiskLevel.LOW) or (above and known.level == RiskLevel.LOW) else []
    verbs = list(_VERB.finditer(low))
    for before, after in zip([None, *verbs], [*verbs, None], strict=True):
        zone = low[before.end() if before else 0 : after.start() if after else len(low)]
        ahead = before if before and re.match(rf"{_AHEAD}|.*\bas do", zone) else None
        looks_back = after and not re.match(_AHEAD, low[after.end() :]) and not zone.endswith("factors ")
        wrong += _misread(zone, ahead, after if looks_back else None, known)
    first = known.factors[0]
    for index, verb in enumerate(verbs):
        if re.match(r"(?: it| the score| the anomaly score)? most", low[verb.end() :]):
            zone = low[verbs[index - 1].end() if index else 0 :]
            wrong += [] if re.search(_WORDS[first.name], zone) and _way(verb) == first.direction else ["most"]
    return wrong


def _way(verb: re.Match[str]) -> Direction:
    return "raises" if verb[1] in {"rais", "increas"} else "lowers"


def _misread(zone: str, ahead: re.Match[str] | None, back: re.Match[str] | None, known: Facts) -> list[str]:
    true = {factor.name: factor.direction for factor in known.factors}
    places = sorted((found.start(), name) for name in FIELDS for found in re.finditer(_WORDS[name], zone))
    names = [name for _, name in places]
    wrong = []
    for at, name in enumerate(names):
        verbs = [verb for verb in (ahead, back) if verb]
        if ahead and back:
            verbs = [ahead] if at == 0 and len(names) > 1 else [back] if at == len(names) - 1 else verbs
        wrong += [] if any(_way(verb) == true.get(name) for verb in verbs) else [name]
    return wrong
