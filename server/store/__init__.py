"""The durable record of predictions; ``python -m server.store`` backs it up, restores, verifies and erases."""

from server.store.record import ExplainedPrediction, NewPrediction, PredictionStore

__all__ = ["ExplainedPrediction", "NewPrediction", "PredictionStore"]
