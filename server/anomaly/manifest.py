"""What is recorded of a model: where it comes from, how well it does, and what proves that its files are its own."""

import hashlib
import hmac
import json
from datetime import UTC
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, Field, SecretStr

from common.messages import Message, RiskLevel, Thresholds
from common.patient import PatientRecord
from server.anomaly.dataset import Dataset
from server.anomaly.evaluation_figures import Abstention, Estimate, Evaluation
from server.anomaly.reference import Reference

FORMAT: Final = 4
"""The version of the files' layout; a model of another one has to be trained again."""

KNOWN_PATIENTS = 12


class DataDescription(Message):
    """A CSV of patients."""

    name: str
    sha256: str
    patients: int
    disease_free: int


class Parameters(Message):
    """The settings that a model follows from."""

    n_estimators: int
    max_samples: int
    random_state: int
    calibration_folds: int
    evaluation_folds: int
    calibration_by_age: bool


class KnownAnswer(Message):
    """A made-up patient, and what the model must say of it to 1e-9."""

    record: PatientRecord
    raw_score: float
    anomaly_score: float
    risk_level: Annotated[RiskLevel, Field(strict=False)]
    base_value: float
    contributions: dict[str, float]


class Manifest(Message):
    """What is recorded of a model; ``model_version`` ends in a hash over everything else in it but the signature.

    It is strict: what was hashed into its name reads back as the very same.

    ``data`` is what the forest was trained and evaluated on. ``recalibrated_from`` names the version whose forest a
    recalibrated one keeps; ``calibration_data`` is then another site's, and ``data`` otherwise. ``possible_values`` are
    what a test that was not measured is taken to be able to show.
    """

    format: Literal[4] = FORMAT
    model_version: str = ""
    signature: str | None = None
    made_at: AwareDatetime
    recalibrated_from: str | None
    versions: dict[str, str]
    columns: list[str]
    factors: list[str]
    data: DataDescription
    calibration_data: DataDescription
    parameters: Parameters
    thresholds: Thresholds
    evaluation: Evaluation
    abstention: Abstention
    possible_values: dict[str, list[float]]
    reference: Reference
    files: dict[str, str]
    known_answers: Annotated[list[KnownAnswer], Field(min_length=KNOWN_PATIENTS)]

    @property
    def predictive_value(self) -> Estimate | None:
        """Of the patients at High, the share with disease at the prevalence of ``data``; not after a recalibration."""
        # The figures belong to the earlier calibration then.
        evaluation = self.evaluation
        return None if self.recalibrated_from else evaluation.predictive_value(evaluation.prevalence)

    def expected_version(self) -> str:
        """Return the time it was made, in UTC and sortable, and the hash of the content."""
        return f"{self.made_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{hashlib.sha256(self._content()).hexdigest()[:12]}"

    def expected_signature(self, key: SecretStr) -> str:
        """Return the HMAC-SHA256 (RFC 2104) over version and content, in hexadecimal digits."""
        # The zero byte keeps the two apart: without it, text could move from one to the other under one signature.
        content = self.model_version.encode() + b"\0" + self._content()
        return hmac.new(key.get_secret_value().encode(), content, hashlib.sha256).hexdigest()

    def is_signed_with(self, key: SecretStr) -> bool:
        return hmac.compare_digest((self.signature or "").encode(), self.expected_signature(key).encode())

    def sealed(self, key: SecretStr | None) -> "Manifest":
        """Return it with its version and, if there is a key, its signature."""
        # The version first: the signature covers it, so that a signed model cannot be passed off under another name.
        named = self.model_copy(update={"model_version": self.expected_version()})
        return named.model_copy(update={"signature": named.expected_signature(key)}) if key else named

    def _content(self) -> bytes:
        content = self.model_dump(mode="json", exclude={"model_version", "signature"})
        return json.dumps(content, sort_keys=True).encode()


def description_of(dataset: Dataset) -> DataDescription:
    """Describe the file that patients came from."""
    return DataDescription(
        name=dataset.name,
        sha256=dataset.sha256,
        patients=dataset.has_disease.size,
        disease_free=dataset.disease_free.size,
    )
