"""Models that several tests of the detector look at, each made once."""

from datetime import UTC, datetime

import pytest

from server.anomaly.dataset import COLUMNS, Dataset
from server.anomaly.detector import Detector
from server.anomaly.manifest import Manifest
from server.evaluation.new_version import recalibrated_version
from server.registry.artifact import MANIFEST_FILE, detector_of
from tests.support.patients import real_patients, small_training


@pytest.fixture(scope="session")
def sicker_site() -> Dataset:
    """Every second real patient, all of them older, with a higher blood pressure and more ST depression."""
    whole = real_patients()
    values = whole.values[::2].copy()
    for field, more in (("age", 10), ("resting_bp", 20), ("st_depression", 1)):
        values[:, COLUMNS.index(field)] += more
    return Dataset("sicker.csv", "0" * 64, values, whole.has_disease[::2])


@pytest.fixture(scope="session")
def recalibrated(detector: Detector, sicker_site: Dataset) -> Detector:
    """The usual model, recalibrated on the disease-free patients of the sicker site."""
    made_at = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    files = recalibrated_version(detector, sicker_site, small_training(), made_at=made_at)
    return detector_of(Manifest.model_validate_json(files[MANIFEST_FILE]), files)
