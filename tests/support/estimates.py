"""Figures that must be there, taken out of what may lack them."""

from server.anomaly.evaluation_figures import Estimate, Evaluation


def known(value: float | None) -> float:
    assert value is not None
    return value


def interval(estimate: Estimate) -> tuple[float, float, float]:
    """The lower end, the figure itself and the upper end."""
    return known(estimate.low), known(estimate.value), known(estimate.high)


def ours(evaluation: Evaluation, name: str) -> float:
    return known(evaluation.figures[name].ours.value)
