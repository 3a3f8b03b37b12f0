"""Random facts, random texts of their language, and a deliberately simple reader of what a text says."""

import re
from collections.abc import Iterator
from functools import cache
from random import Random

from common.messages import RiskLevel
from common.patient import FIELDS
from server.explanation.facts import Direction, Facts
from server.explanation.language import FACTORS, STATEMENTS, Forms, Language, fact_forms, statement_forms, text_form
from tests.support.narratives import THRESHOLDS, factor, facts

STATED = {token for tokens in STATEMENTS.values() for token in tokens}
TEXT = text_form()
MAX_TOKENS = 120
OPPOSITE: dict[Direction, Direction] = {"raises": "lowers", "lowers": "raises"}
SCORES = {RiskLevel.LOW: 0.4321, RiskLevel.MEDIUM: 0.8765, RiskLevel.HIGH: 0.9876}


def random_value(random: Random, name: str) -> float:
    field = FIELDS[name]
    if field.codes:
        return random.choice(sorted(field.codes))
    lowest, highest = field.model_range or (0, 0)
    return round(
        random.uniform(max(lowest, 18), min(highest, 100)) if name == "age" else random.uniform(lowest, highest)
    )


def random_facts(random: Random) -> Facts:
    """Make facts with three to five factors, up to two gaps and up to one value outside the model's range."""
    names = random.sample(list(FIELDS), random.randint(3, 5) + 3)
    gaps = [name for name in names[-2:] if not FIELDS[name].required and random.random() < 0.5]
    outside = [name for name in names[-3:-2] if FIELDS[name].model_range and random.random() < 0.5]
    stated = [factor(name, random_value(random, name), random.choice(list(OPPOSITE))) for name in names[:-3]]
    level = random.choice(list(RiskLevel))
    score = random.choice([SCORES[level], {"Low": 0.0, "Medium": THRESHOLDS.medium, "High": THRESHOLDS.high}[level]])
    return facts(level, score, factors=tuple(stated), not_measured=tuple(gaps), extrapolated=tuple(outside))


Tree = str | list[list[tuple["Tree", str]]]
"""A text, or alternatives of sequences of parts, each with how often it comes: once, ``?`` or ``*``."""


def sample(form: str, random: Random) -> str:
    """Return a random text of a form, in which what may be repeated comes at most twice."""
    return _text(_tree(form), random)


def _text(tree: Tree, random: Random) -> str:
    if isinstance(tree, str):
        return tree
    most = {"": 1, "?": 1, "*": 2}
    parts = random.choice(tree)
    return "".join(
        _text(part, random) for part, often in parts for _ in range(random.randint(1 if not often else 0, most[often]))
    )


@cache
def _tree(form: str) -> Tree:
    alternatives: list[list[tuple[Tree, str]]] = [[]]
    rest = form
    while rest:
        if rest[0] == "|":
            alternatives.append([])
            rest = rest[1:]
            continue
        if rest[0] == "(":
            end = _closing(rest)
            part, rest = _tree(rest[1:end]), rest[end + 1 :]
        elif rest[0] == "[":
            choices, _, rest = rest[1:].partition("]")
            part = [[(choice, "")] for choice in choices]
        else:
            at = 1 if rest[0] == "\\" else 0
            part, rest = rest[at], rest[at + 1 :]
        often = rest[0] if rest[:1] in {"?", "*"} else ""
        alternatives[-1].append((part, often))
        rest = rest.removeprefix(often)
    return alternatives


def _closing(form: str) -> int:
    """Return where the bracket closes that a form begins with."""
    depth, at = 0, 0
    while True:
        depth += {"(": 1, ")": -1}.get(form[at], 0)
        if not depth:
            return at
        at += 2 if form[at] == "\\" else 1


def written(tokens: str, forms: Forms, random: Random) -> str:
    """Return a text with each token that has forms written out."""
    return "".join(sample(forms[token], random) if token in forms else token for token in tokens)


def random_tokens(known: Facts, random: Random) -> str:
    """Return a random text of the language, with the tokens of facts in it."""
    text = sample(TEXT, random)
    while _has_no_facts(text, known) or not set(text) & STATED or len(text) > MAX_TOKENS:
        text = sample(TEXT, random)
    tokens = written(text, statement_forms(known.level, is_over=Language(known).is_over), random)
    return random_tokens(known, random) if _has_no_facts(tokens, known) else tokens


def _has_no_facts(text: str, known: Facts) -> bool:
    """Tell whether a text has a token that these facts have nothing for."""
    here = set(fact_forms(known))
    of_facts = {
        "\ue000",
        "\ue001",
        "\ue002",
        "\ue003",
        "\ue004",
        *(token for both in FACTORS.values() for token in both),
    }
    return bool((set(text) & of_facts) - here)


def random_text(known: Facts, random: Random) -> str:
    return written(random_tokens(known, random), fact_forms(known), random)


_KEYWORDS = {
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
    for index in range(len(verbs) + 1):
        before = verbs[index - 1] if index else None
        after = verbs[index] if index < len(verbs) else None
        zone = low[before.end() if before else 0 : after.start() if after else len(low)]
        looks_ahead = before is not None and re.match(r"(?: most)? by\b| (?:the|the anomaly) score:|.*\bas do", zone)
        looks_back = after is not None and not re.match(
            r"(?: most)? by\b| (?:the|the anomaly) score:", low[after.end() :]
        )
        looks_back = looks_back and not re.search(r"factors $", zone)
        wrong += _misread(
            list(_named(zone, known)), before if looks_ahead else None, after if looks_back else None, known
        )
    first = known.factors[0]
    for index, verb in enumerate(verbs):
        if re.match(r"(?: it| the score| the anomaly score)? most", low[verb.end() :]):
            zone = low[verbs[index - 1].end() if index else 0 :]
            wrong += [] if re.search(_KEYWORDS[first.name], zone) and _way(verb) == first.direction else ["most"]
    return wrong


def _named(zone: str, known: Facts) -> Iterator[str]:
    places = [(found.start(), name) for name, words in _KEYWORDS.items() for found in re.finditer(words, zone)]
    return (name for _, name in sorted(places))


def _way(verb: re.Match[str]) -> Direction:
    return "raises" if verb[1] in {"rais", "increas"} else "lowers"


def _misread(names: list[str], ahead: re.Match[str] | None, back: re.Match[str] | None, known: Facts) -> list[str]:
    true = {factor.name: factor.direction for factor in known.factors}
    wrong = []
    for at, name in enumerate(names):
        verbs = [verb for verb in (ahead, back) if verb]
        if ahead and back:
            verbs = [ahead] if at == 0 and len(names) > 1 else [back] if at == len(names) - 1 else verbs
        wrong += [] if any(_way(verb) == true.get(name) for verb in verbs) else [name]
    return wrong
