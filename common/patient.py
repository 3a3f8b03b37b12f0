"""The 13 fields of a patient, described once: validation, forms, CSV columns, words and documents follow from it."""

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
    both are inclusive and in ``unit``. A field has either ranges or ``codes``.
    """

    label: str
    csv_column: str
    unit: str = ""
    model_range: tuple[float, float] | None = None
    possible_range: tuple[float, float] | None = None
    step: float = 1
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
        if self.possible_range and not self.possible_range[0] <= value <= self.possible_range[1]:
            raise PydanticCustomError("range", "must be {range}", {"range": self.possible_text})
        return value

    @property
    def choices(self) -> str:
        return ", ".join(word if word == str(code) else f"{code} ({word})" for code, word in self.codes.items())

    @property
    def possible_text(self) -> str:
        return _range_text(self.possible_range, self.unit)

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


def _range_text(bounds: tuple[float, float] | None, unit: str) -> str:
    return f"between {bounds[0]:g} and {bounds[1]:g} {unit}".strip() if bounds else ""


def quantity(
    label: str,
    column: str,
    *,
    unit: str,
    model: tuple[float, float],
    possible: tuple[float, float] | None = None,
    step: float = 1,
    help: str = "",
) -> FieldDescription:
    """Describe a measured quantity; what is possible is the model's range unless it is wider."""
    return FieldDescription(
        label, column, unit=unit, model_range=model, possible_range=possible or model, step=step, help=help
    )


def category(label: str, column: str, codes: Mapping[int, str], *, help: str = "") -> FieldDescription:
    """Describe a field whose values are codes with words."""
    return FieldDescription(label, column, codes=codes, help=help)


class PatientRecord(BaseModel):
    """A patient's 13 fields as they go over the wire; ``None`` is *not measured*, and every key is present.

    Codes and units are those of UCI Heart Disease, doi 10.24432/C52P4X.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    age: Annotated[int, quantity("Age", "Age", unit="years", model=(1, 120))]
    sex: Annotated[int, category("Sex", "Sex", {0: "female", 1: "male"})]
    chest_pain_type: Annotated[
        int | None,
        category(
            "Chest pain type",
            "Chest pain type",
            {1: "typical angina", 2: "atypical angina", 3: "non-anginal pain", 4: "asymptomatic"},
        ),
    ]
    resting_bp: Annotated[
        float | None,
        quantity(
            "Resting blood pressure",
            "BP",
            unit="mm Hg",
            model=(80, 200),
            possible=(40, 300),
            help="Systolic, at rest, on admission.",
        ),
    ]
    cholesterol: Annotated[
        float | None,
        quantity("Serum cholesterol", "Cholesterol", unit="mg/dL", model=(100, 600), possible=(50, 1000)),
    ]
    fasting_blood_sugar_high: Annotated[
        int | None,
        category("Fasting blood sugar over 120 mg/dL", "FBS over 120", {0: "no", 1: "yes"}),
    ]
    resting_ecg: Annotated[
        int | None,
        category("Resting ECG", "EKG results", {0: "normal", 1: "ST-T abnormality", 2: "left ventricular hypertrophy"}),
    ]
    max_heart_rate: Annotated[
        float | None,
        quantity(
            "Maximum heart rate",
            "Max HR",
            unit="beats/min",
            model=(60, 220),
            possible=(30, 250),
            help="The highest reached in the exercise test.",
        ),
    ]
    exercise_angina: Annotated[int | None, category("Exercise-induced angina", "Exercise angina", {0: "no", 1: "yes"})]
    st_depression: Annotated[
        float | None,
        quantity(
            "ST depression",
            "ST depression",
            unit="mm",
            model=(0, 10),
            possible=(-5, 10),
            step=0.1,
            help="Induced by exercise, relative to rest; negative is elevation.",
        ),
    ]
    st_slope: Annotated[
        int | None,
        category("Slope of the ST segment", "Slope of ST", {1: "up", 2: "flat", 3: "down"}, help="At peak exercise."),
    ]
    major_vessels: Annotated[
        int | None,
        category(
            "Major vessels",
            "Number of vessels fluro",
            {0: "0", 1: "1", 2: "2", 3: "3"},
            help="Number colored by fluoroscopy.",
        ),
    ]
    thallium_scan: Annotated[
        int | None,
        category("Thallium scan", "Thallium", {3: "normal", 6: "fixed defect", 7: "reversible defect"}),
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
    "string_pattern_mismatch": "holds a character that is not allowed",
    "missing": "is missing; send null for a value that was not measured",
    "extra_forbidden": "a field is not known here",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge:.16g} or more",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be {le:.16g} or less",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "model_attributes_type": "must be an object",
}


def _sentence(item: ErrorDetails) -> str:
    if item["input"] is None and item["type"].endswith("_type"):
        return "is required"
    context = item.get("ctx", {})
    if item["type"] == "too_short" and context["field_type"] == "Value":  # a SecretStr: pydantic counts it as a list
        return _SENTENCES["string_too_short"].format_map(context)
    if item["type"] in _SENTENCES:
        return _SENTENCES[item["type"]].format_map(context)
    said = item["msg"].removeprefix("Value error, ")
    is_name = said[1:2].isupper()
    return said if is_name else said[:1].lower() + said[1:]
