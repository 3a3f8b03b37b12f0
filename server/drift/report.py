"""What operators are told about drift: each client app's patients, and all of them, against the model's reference."""

import time
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from common.messages import Message, Timestamp
from common.patient import FIELDS
from server.anomaly.reference import Reference
from server.drift.comparison import FieldDrift, Status, drifted, field_drifts, score_drifts, worst
from server.drift.sentences import levels_in_words, sentence, summary
from server.drift.windows import RollingWindows, SeenPatient

# Patients below which nothing is compared and nothing told: chance would hide most of it, and few are soon recognized.
LEAST_PATIENTS = 100

DriftStatus = Annotated[Status, Field(strict=False)]


class Finding(Message):
    """One thing that has drifted, in a sentence."""

    status: DriftStatus
    sentence: str


class FieldComparison(Message):
    """One field: the share not measured here and in the reference (0 to 1), and its population stability indices.

    The indices are net of what sampling alone adds on average; ``None`` where too few were measured.
    """

    name: str
    label: str
    missing: float
    missing_in_reference: float
    psi_disease_free: float | None
    psi_all_patients: float | None
    status: DriftStatus


class GroupDrift(Message):
    """The patients of one client app, or of all together where ``client_id`` is ``None``.

    While there are too few, ``status`` is ``None`` and only their number is told.
    """

    client_id: str | None
    patients: int
    status: DriftStatus | None = None
    summary: str
    since: Timestamp | None = None
    high: float | None = None
    """The share that this version of the model found High (0 to 1); ``None`` while it scored too few."""
    levels: str | None = None
    findings: tuple[Finding, ...] = ()
    fields: tuple[FieldComparison, ...] = ()


class DriftReport(Message):
    """All groups, that of all patients first; what they are compared with, in words too, and over what window.

    ``with_disease`` is 0 where the data hold too few patients with disease to tell case mix from drift.
    """

    model_version: str
    compared_with: str
    patients_needed: int
    window_patients: int
    window_days: int
    disease_free: int
    with_disease: int
    groups: list[GroupDrift]


def drift_report(windows: RollingWindows, reference: Reference, model_version: str, data: str) -> DriftReport:
    """Compare the patients seen lately with the reference of a model, and the scores that this model gave them.

    ``data`` says in words what the reference was made of, as in "training".

    Raises
    ------
    StoreUnavailableError
        When the record of predictions cannot be read.
    """
    seen = windows.read()
    everybody = [patient for window in seen.values() for patient in window]
    groups = []
    for client_id, patients in [(None, everybody), *seen.items()]:
        groups.append(_group(client_id, patients, reference, model_version, data))
        time.sleep(0)  # between groups everybody else has a turn
    return DriftReport(
        model_version=model_version,
        compared_with=data,
        patients_needed=LEAST_PATIENTS,
        window_patients=windows.patients,
        window_days=windows.days,
        disease_free=reference.disease_free.patients,
        with_disease=reference.with_disease.patients,
        groups=groups,
    )


def _group(
    client_id: str | None, patients: Sequence[SeenPatient], reference: Reference, model_version: str, data: str
) -> GroupDrift:
    number = len(patients)
    if number < LEAST_PATIENTS:
        return GroupDrift(client_id=client_id, patients=number, summary=_needed(number))
    # Scores of another version of the model are on another scale.
    its_own = [patient.anomaly_score for patient in patients if patient.model_version == model_version]
    scores = np.array([score for score in its_own if score is not None])
    scored = score_drifts(scores, reference) if len(scores) >= LEAST_PATIENTS else []
    too_few = f"This version of the model has given a level to {len(scores)} of these patients; "
    too_few += f"{LEAST_PATIENTS} are needed."
    fields = field_drifts(np.array([patient.values for patient in patients], dtype=np.float64), reference)
    whose = f"{client_id}'s patients" if client_id else "all clients' patients"
    findings = [
        Finding(status=found.status, sentence=sentence(name, found, reference, whose=whose, data=data))
        for name, found in drifted(fields, scored)
    ]
    return GroupDrift(
        client_id=client_id,
        patients=number,
        status=worst(finding.status for finding in findings),
        summary=summary(fields, scored, data),
        since=min(patient.seen_at for patient in patients),
        high=scored[0].share if scored else None,
        levels=levels_in_words(scored, data) if scored else too_few,
        findings=tuple(findings),
        fields=tuple(_comparison(name, drift) for name, drift in fields.items()),
    )


def _needed(number: int) -> str:
    return f"{number} of {LEAST_PATIENTS} patients needed"


def _comparison(name: str, drift: FieldDrift) -> FieldComparison:
    psi = drift.distribution.psi if drift.distribution else {}
    return FieldComparison(
        name=name,
        label=FIELDS[name].label,
        missing=drift.missing.share,
        missing_in_reference=drift.missing.references["all_patients"],
        psi_disease_free=psi.get("disease_free"),
        psi_all_patients=psi.get("all_patients"),
        status=drift.status,
    )
