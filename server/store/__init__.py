"""The durable record of predictions; ``python -m server.store`` backs it up, restores, verifies and erases."""

from server.store.entries import Entry, Page, RequestKey
from server.store.record import Lease, NewPrediction, PredictionStore

__all__ = ["Entry", "Lease", "NewPrediction", "Page", "PredictionStore", "RequestKey"]
