"""What the values of a record mean clinically; the sentences, with their sources, are those of ``meanings.toml``."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from common.patient import PatientRecord

_TABLE: Final = tomllib.loads(Path(__file__).with_name("meanings.toml").read_text(encoding="utf-8"))

MEANINGS: Final[Mapping[str, Mapping[int, str]]] = {
    name: {int(code): meaning for code, meaning in codes.items()} for name, codes in _TABLE["codes"].items()
}
RANGES: Final[Mapping[str, Mapping[tuple[float, float], str]]] = {
    name: {(one["from"], one["below"]): one["meaning"] for one in ranges} for name, ranges in _TABLE["ranges"].items()
}
"""From which value, and below which, a quantity means what."""


def meaning_of(name: str, record: PatientRecord) -> str | None:
    """Return what a record's value of one field means; ``None`` where there is nothing to explain."""
    value = getattr(record, name)
    if value is None or name in MEANINGS:
        return MEANINGS[name][value] if value is not None else None
    size = value / (220 - record.age) if name == "max_heart_rate" else value
    return next((meaning for (least, end), meaning in RANGES.get(name, {}).items() if least <= size < end), None)
