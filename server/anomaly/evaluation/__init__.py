"""How well the detector does: the figures, the cross-validation behind them, and validation on other clinics' data."""

from server.anomaly.evaluation.metrics import HeldOutFold, as_table, evaluate

__all__ = ["HeldOutFold", "as_table", "evaluate"]
