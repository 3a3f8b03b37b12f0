"""The durable record of predictions; ``python -m server.store`` backs it up, restores, verifies and erases."""

from server.store.record import Entry, ExplainedPrediction, NewPrediction, Page, PredictionStore, Refusal, Unfinished

__all__ = ["Entry", "ExplainedPrediction", "NewPrediction", "Page", "PredictionStore", "Refusal", "Unfinished"]
