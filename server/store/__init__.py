"""The durable record of predictions; ``python -m server.store`` backs it up, restores, verifies and erases."""

from server.store.leases import Lease
from server.store.record import Entry, ExplainedPrediction, NewPrediction, Page, PredictionStore, Refusal

__all__ = ["Entry", "ExplainedPrediction", "Lease", "NewPrediction", "Page", "PredictionStore", "Refusal"]
