"""What the values of a record mean clinically; the sentences, with their sources, are those of ``meanings.toml``."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from common.patient import PatientRecord

_TABLE: Final = tomllib.loads(Path(__file__).with_name("meanings.toml").read_text(encoding="utf-8"))

MEANINGS: Final[Mapping[str, Mapping[str, str]]] = _TABLE["codes"]
RANGES: Final[Mapping[str, Sequence[Mapping[str, Any]]]] = _TABLE["ranges"]


def meaning_of(name: str, record: PatientRecord) -> str | None:
    """Return what a record's measured value of one field means; ``None`` where there is nothing to explain."""
    value = getattr(record, name)
    if name in MEANINGS:
        return MEANINGS[name][str(value)]
    size = value / (220 - record.age) if name == "max_heart_rate" else value
    return next((one["meaning"] for one in RANGES.get(name, ()) if one["from"] <= size < one["below"]), None)
