"""The figures of an evaluation as they are kept and shown: frozen values that are JSON as well."""

from pydantic import BaseModel, ConfigDict, Field


class Value(BaseModel):
    """A frozen, strict value that is kept as JSON."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Estimate(Value):
    """A figure and its 95 % interval; ``None`` where there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None


class Rates(Value):
    """Shares (0 to 1) of the patients without and with disease that are at a level or above."""

    false_alarm_rate: Estimate
    sensitivity: Estimate


class GroupRates(Value):
    """How a group of patients fares: their number, and false alarms and sensitivity at Medium or higher and at High."""

    name: str
    disease_free: int
    with_disease: int
    medium_or_higher: Rates
    high: Rates


class Figure(Value):
    """A measured figure, and the same figure of the usual isolation forest where it is worked out."""

    ours: Estimate
    usual: Estimate | None = None


class Confusion(Value):
    """How many patients without and with disease are at each level, on average over the repeats."""

    disease_free: dict[str, float]
    with_disease: dict[str, float]


class Evaluation(Value):
    """All figures of a repeated stratified cross-validation, by name, with 95 % intervals over the folds.

    Figures that need labels of both kinds, or a look in depth, are missing where there was none.
    """

    folds: int
    repeats: int
    disease_free: int
    with_disease: int
    figures: dict[str, Figure]
    groups: list[GroupRates]
    confusion: Confusion
    additivity_patients: int = Field(description="Random patients whose contributions were added up.")

    def value(self, name: str) -> float | None:
        """Return a figure; ``None`` where there is none."""
        return self.figures[name].ours.value if name in self.figures else None
