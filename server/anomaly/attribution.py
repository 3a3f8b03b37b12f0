"""Log2 of a patient's raw score, and what each of the 13 fields contributes to it."""

from collections.abc import Sequence

from sklearn.ensemble import IsolationForest

from server.anomaly.dataset import COLUMNS
from server.anomaly.preprocessing import FACTORS, OneSidedRiskFactors, directed
from server.anomaly.shapley import CellTables


class Attribution:
    """A fitted preprocessor and forest at work.

    ``base_value`` and a patient's contributions add up to log2 of the raw score.
    """

    # One patient at a time, in Python's own numbers: an operation on a small numpy array takes longer than all that is
    # done with one patient's 13.
    def __init__(self, preprocessor: OneSidedRiskFactors, forest: IsolationForest) -> None:
        self._typical: list[float] = preprocessor.typical_.tolist()
        self._shares = FieldShares(self._typical)
        self._medians: list[float] = preprocessor.factor_medians_.tolist()
        self._tables = CellTables(forest)
        self.base_value = self._tables.base_value

    def of(self, values: Sequence[float | None]) -> tuple[list[float], float]:
        """Return the signed contributions of a patient's 13 fields in order, and log2 of the raw score.

        Both are in log2 score units, and positive contributions pull toward anomalous; ``None`` was not measured.
        """
        complete = [usual if value is None else value for value, usual in zip(values, self._typical, strict=True)]
        factors = [max(x - median, 0.0) for x, median in zip(directed(complete), self._medians, strict=True)]
        by_factor, log2_score = self._tables.look_up(factors)
        return self._shares.divide(by_factor, complete), log2_score


class FieldShares:
    """Divides what a factor contributes among the fields it is made of, keeping every sum.

    Each field of a factor gets a share in proportion to how far it alone takes the directed factor from the typical
    patient's in the direction of the contribution; where none does, all its fields get the same.
    """

    def __init__(self, typical: Sequence[float]) -> None:
        self._factors = []
        for factor in FACTORS.values():
            usual = [typical[place] for place in factor.places]
            self._factors.append((factor.directed, factor.places, usual, factor.directed(*usual)))

    def divide(self, by_factor: Sequence[float], complete: Sequence[float]) -> list[float]:
        """Return the contributions of the 13 fields, from those of the eight factors and a patient's imputed values."""
        by_field = [0.0] * len(COLUMNS)
        for contribution, (directed_factor, places, usual, at_usual) in zip(by_factor, self._factors, strict=True):
            if len(places) == 1:
                by_field[places[0]] += contribution
                continue
            weights = []
            for number, place in enumerate(places):
                # Its effect on the typical patient and not on this one: what the other fields are must not matter.
                alone = usual.copy()
                alone[number] = complete[place]
                effect = directed_factor(*alone) - at_usual if alone != usual else 0.0
                weights.append(abs(effect) if effect * contribution > 0 else 0.0)
            total = sum(weights)
            for place, weight in zip(places, weights, strict=True):
                by_field[place] += contribution * (weight / total if total else 1 / len(weights))
        return by_field
