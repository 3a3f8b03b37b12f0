"""The 13 fields of a patient, described once: validation, forms, CSV columns, words and documents follow from it."""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Self, get_args

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from common.errors import InvalidRecordError

NOT_MEASURED = "not measured"


@dataclass(frozen=True)
class FieldDescription:
    """One field: what it is called, how it is measured and which values are possible.

    ``model_range`` is where the model was made to be used, ``possible_range`` what a living adult can have;
    both are inclusive and in ``unit``. A field has either ranges or ``codes``. A quantity may also be entered in
    ``other_unit``, one of which is ``other_factor`` of ``unit``.
    """

    label: str
    csv_column: str
    unit: str = ""
    model_range: tuple[float, float] | None = None
    possible_range: tuple[float, float] | None = None
    step: float = 1
    other_unit: str = ""
    other_factor: float = 1
    codes: Mapping[int, str] = field(default_factory=dict)
    help: str = ""
    name: str = ""
    required: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: float | None) -> float | None:
        if value is None:
            return None
        if self.codes and value not in self.codes:
            raise PydanticCustomError("code", "must be one of: {choices}", {"choices": self.choices})
        lowest, highest = self.possible_range or (value, value)
        if not lowest <= value <= highest:
            raise PydanticCustomError("range", "must be {range}", {"range": self.possible_text})
        return value

    @property
    def choices(self) -> str:
        return ", ".join(word if word == str(code) else f"{code} ({word})" for code, word in self.codes.items())

    @property
    def possible_text(self) -> str:
        """What a possible value is, in words; only of quantities, which have a range."""
        lowest, highest = self.possible_range or (-math.inf, math.inf)
        return f"between {lowest:g} and {highest:g} {self.unit}"

    def is_extrapolated(self, value: float | None) -> bool:
        """Tell whether a possible value lies outside the range the model was made for."""
        if value is None or self.model_range is None:
            return False
        lowest, highest = self.model_range
        return not lowest <= value <= highest

    def in_words(self, value: float | None) -> str:
        """Return a value as a clinician would write it: decoded, with its unit."""
        if value is None:
            return NOT_MEASURED
        if self.codes:
            return self.codes[int(value)]
        return f"{value:g} {self.unit}".strip()

    def to_wire(self) -> dict[str, Any]:
        return asdict(self) | {"codes": [{"code": code, "word": word} for code, word in self.codes.items()]}


class PatientRecord(BaseModel):
    """A patient's 13 fields as they go over the wire; ``None`` is *not measured*, and every key is present.

    Codes and units are those of UCI Heart Disease, doi 10.24432/C52P4X.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    # Of each quantity: label, CSV column, unit, the range of the model, the possible range.
    age: Annotated[int, FieldDescription("Age", "Age", "years", (1, 120), (1, 120))]
    sex: Annotated[int, FieldDescription("Sex", "Sex", codes={0: "female", 1: "male"})]
    chest_pain_type: Annotated[
        int | None,
        FieldDescription(
            "Chest pain type",
            "Chest pain type",
            codes={1: "typical angina", 2: "atypical angina", 3: "non-anginal pain", 4: "asymptomatic"},
        ),
    ]
    resting_bp: Annotated[
        float | None,
        FieldDescription(
            "Resting blood pressure", "BP", "mm Hg", (80, 200), (40, 300), help="Systolic, at rest, on admission."
        ),
    ]
    cholesterol: Annotated[
        float | None,
        FieldDescription(
            "Serum cholesterol", "Cholesterol", "mg/dL", (100, 600), (50, 1000), other_unit="mmol/L", other_factor=38.67
        ),
    ]
    fasting_blood_sugar_high: Annotated[
        int | None, FieldDescription("Fasting blood sugar over 120 mg/dL", "FBS over 120", codes={0: "no", 1: "yes"})
    ]
    resting_ecg: Annotated[
        int | None,
        FieldDescription(
            "Resting ECG", "EKG results", codes={0: "normal", 1: "ST-T abnormality", 2: "left ventricular hypertrophy"}
        ),
    ]
    max_heart_rate: Annotated[
        float | None,
        FieldDescription(
            "Maximum heart rate", "Max HR", "beats/min", (60, 220), (30, 250), help="The highest in the exercise test."
        ),
    ]
    exercise_angina: Annotated[
        int | None, FieldDescription("Exercise-induced angina", "Exercise angina", codes={0: "no", 1: "yes"})
    ]
    st_depression: Annotated[
        float | None,
        FieldDescription(
            "ST depression",
            "ST depression",
            "mm",
            (0, 10),
            (-5, 10),
            step=0.1,
            help="Induced by exercise, relative to rest; negative if the segment stood higher than at rest.",
        ),
    ]
    st_slope: Annotated[
        int | None,
        FieldDescription(
            "Slope of the ST segment", "Slope of ST", codes={1: "up", 2: "flat", 3: "down"}, help="At peak exercise."
        ),
    ]
    major_vessels: Annotated[
        int | None,
        FieldDescription(
            "Major vessels",
            "Number of vessels fluro",
            codes={0: "0", 1: "1", 2: "2", 3: "3"},
            help="Number colored by fluoroscopy.",
        ),
    ]
    thallium_scan: Annotated[
        int | None,
        FieldDescription("Thallium scan", "Thallium", codes={3: "normal", 6: "fixed defect", 7: "reversible defect"}),
    ]

    @classmethod
    def check(cls, values: object) -> Self:
        """Validate received values.

        Raises
        ------
        InvalidRecordError
            With every error of every field; an error of the whole record stands under ``record``.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise InvalidRecordError(fields=errors_by_field(error, whole="record")) from None

    def imputed(self) -> list[str]:
        """Name the fields that were not measured, in field order."""
        return [name for name in FIELDS if getattr(self, name) is None]

    def extrapolated(self) -> list[str]:
        """Name the fields whose values lie outside the range the model was made for."""
        return [name for name, description in FIELDS.items() if description.is_extrapolated(getattr(self, name))]


def _describe(model: type[BaseModel]) -> dict[str, FieldDescription]:
    fields = {}
    for name, info in model.model_fields.items():
        (description,) = (item for item in info.metadata if isinstance(item, FieldDescription))
        required = type(None) not in get_args(info.annotation)
        fields[name] = FieldDescription(**vars(description) | {"name": name, "required": required})
    return fields


FIELDS: Mapping[str, FieldDescription] = _describe(PatientRecord)
"""The 13 field descriptions by wire name, in the order of every matrix, CSV and form."""

LABEL_COLUMN = "Heart Disease"
LABELS: Mapping[str, bool] = {"Absence": False, "Presence": True}
"""The angiographic label of a training CSV: at least 50 % narrowing of a major vessel."""


def errors_by_field(error: ValidationError, *, whole: str) -> dict[str, list[str]]:
    """Group pydantic's errors by dotted field name, without any received value; ``whole`` names the message itself."""
    grouped: dict[str, list[str]] = {}
    for item in error.errors(include_url=False):
        path = [str(part) for part in item["loc"]]
        name = ".".join(path) if item["type"] != "extra_forbidden" else ".".join([*path[:-1], "unknown field"])
        grouped.setdefault(name or whole, []).append(_sentence(item))
    return grouped


_SENTENCES: Mapping[str, str] = {
    "string_pattern_mismatch": "contains a character that is not allowed",
    "missing": "is missing; send null for a value that was not measured",
    "extra_forbidden": "a field is not known here",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:.16g} or more",
    "less_than_equal": "must be {le:.16g} or less",
}
_TYPES: Mapping[str, str] = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "dict": "must be an object",
    "model": "must be an object",
}
"""By the first word of pydantic's own names, such as ``int_type``, ``int_parsing`` and ``int_from_float``."""


def _sentence(item: ErrorDetails) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if item["input"] is None and kind.endswith("_type"):
        return "is required"
    if kind == "too_short" and context["field_type"] == "Value":  # a SecretStr: pydantic counts it as a list
        return f"must have at least {context['min_length']} characters"
    if kind in _SENTENCES:
        return _SENTENCES[kind].format_map(context)
    if (word := kind.partition("_")[0]) in _TYPES:
        return _TYPES[word]
    said = re.sub(r"^\w+ should ", "must ", item["msg"].removeprefix("Value error, "))
    is_name = said[1:2].isupper()
    return said if is_name else said[:1].lower() + said[1:]
