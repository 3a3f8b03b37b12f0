"""What the tests that were not measured could still show, and which one would settle most."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Final

import numpy as np

from common.messages import MissingTests, Outcome
from common.patient import FIELDS
from server.anomaly.dataset import COLUMNS, FloatArray
from server.anomaly.preprocessing import LOWER_WITH_DISEASE

MOST_IN_FULL: Final = 4
"""Tests up to which every combination is looked at; of more, a sample is."""

SAMPLES: Final = 200
_SLICE: Final = 200  # combinations scored at once: so long nobody else has a turn
_MIDDLES: Final = (0.025, 0.2, 0.5, 0.8, 0.975)
_STEPS: Final = 5


def possible_values(values: FloatArray) -> dict[str, list[float]]:
    """Return what each field that may be missing can show, by name, from the least risky on.

    These are its codes or, of a quantity, the medians of five bins, of 5, 30, 30, 30 and 5 % of all patients of shape
    (n, 13), rounded to five steps of the field, so that no patient's own value shows.
    """
    possible = {}
    optional = [(name, field) for name, field in FIELDS.items() if not field.required]
    for name, field in optional:
        step = _STEPS * field.step
        middles = np.nanquantile(values[:, COLUMNS.index(name)], _MIDDLES)
        rounded = sorted({round(round(middle / step) * step, 6) for middle in middles.tolist()})
        choices = [float(code) for code in sorted(field.codes)] or rounded
        possible[name] = choices[::-1] if name in LOWER_WITH_DISEASE else choices
    return possible


def missing_tests(
    values: Sequence[float | None],
    possible: Mapping[str, Sequence[float]],
    complete_scores: Callable[[Sequence[Sequence[float | None]]], Sequence[float]],
    outcome: Callable[[float], Outcome],
) -> MissingTests | None:
    """Return the range of what a patient's 13 fields would come to if all were measured; ``None`` if all are."""
    places = [column for column, value in enumerate(values) if value is None]
    if not places:
        return None
    choices = [possible[COLUMNS[place]] for place in places]
    is_sampled = len(places) > MOST_IN_FULL
    if is_sampled:
        # Beside a random sample what is least and most risky throughout, which it would hardly ever hold.
        random = np.random.default_rng(0)
        found = np.array([[of[0], of[-1], *random.choice(of, SAMPLES)] for of in choices]).T
    else:
        found = np.array(list(product(*choices)))
    complete = np.tile(np.array(values, dtype=np.float64), (len(found), 1))
    complete[:, places] = found
    scored: list[float] = []
    for start in range(0, len(found), _SLICE):
        scored += complete_scores(complete[start : start + _SLICE].tolist())
        time.sleep(0)
    scores = np.array(scored)
    # Of each test, how wide the range of the score stays once it is known, on average over what it may show.
    left = [np.mean([np.ptp(scores[shown == value]) for value in np.unique(shown)]) for shown in found.T]
    return MissingTests(
        lowest=outcome(float(scores.min())),
        highest=outcome(float(scores.max())),
        most_informative=COLUMNS[places[int(np.argmin(left))]],
        is_sampled=is_sampled,
    )
