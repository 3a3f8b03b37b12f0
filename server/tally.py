"""What became of the explanations since the server started, counted for operators."""

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from common.messages import Explanation, ExplanationCounts

MOST_REASONS = 20


@dataclass
class _Mean:
    total: float = 0
    number: int = 0

    def add(self, value: float) -> None:
        self.total += value
        self.number += 1

    @property
    def value(self) -> float:
        return round(self.total / self.number, 4)


class ExplanationTally:
    """Counts final explanations by source and reason, and averages their times and measures by source."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._figures: dict[tuple[str, str], _Mean] = defaultdict(_Mean)

    def add(self, explanation: Explanation) -> None:
        with self._lock:
            self._sources[explanation.source] += 1
            if explanation.reason:
                self._reasons[explanation.reason] += 1
            for name, value in _figures(explanation):
                self._figures[explanation.source, name].add(value)

    @property
    def counts(self) -> ExplanationCounts:
        with self._lock:
            return ExplanationCounts(
                by_source=dict(self._sources),
                by_reason=dict(self._reasons.most_common(MOST_REASONS)),
                means={source: self._means(source) for source in self._sources},
            )

    def _means(self, of: str) -> dict[str, float]:
        return {name: mean.value for (source, name), mean in self._figures.items() if source == of}


def _figures(explanation: Explanation) -> Iterator[tuple[str, float]]:
    """Yield each figure that the explanation has."""
    measures = explanation.measures.model_dump() if explanation.measures else {}
    times = {"first_sentence_ms": explanation.first_sentence_ms, "total_ms": explanation.total_ms}
    for name, value in (times | measures).items():
        if value is not None:
            yield name, value
