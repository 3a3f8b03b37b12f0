"""The tables in the documents that are drawn from the code: ``python -m tests.documents`` writes them anew."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic_settings import BaseSettings

from common import messages
from common.patient import FIELDS, FieldDescription
from config.secrets import PROJECT_ROOT
from config.settings import ClientSettings, ServerSettings, TrainingSettings
from server.anomaly.preprocessing import FACTORS

Row = tuple[str, ...]


def table(header: Row, rows: list[Row]) -> str:
    """Return a Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def fields_table() -> str:
    return table(
        ("field", "CSV column", "what it is", "unit", "model range", "possible", "may be not measured"),
        [_field_row(name, field) for name, field in FIELDS.items()],
    )


def factors_table() -> str:
    return table(
        ("factor", "fields it is made of", "definition"),
        [(f"`{name}`", ", ".join(factor.fields), factor.definition) for name, factor in FACTORS.items()],
    )


def _field_row(name: str, field: FieldDescription) -> Row:
    what = f"{field.label}: {field.choices}" if field.codes else field.label
    ranges = (_bounds(field.model_range), _bounds(field.possible_range))
    return (f"`{name}`", field.csv_column, what, field.unit, *ranges, "no" if field.required else "yes")


def _bounds(bounds: tuple[float, float] | None) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}" if bounds else ""


def settings_table() -> str:
    """Describe every environment variable, who reads it, and its default."""
    readers: dict[str, list[str]] = {}
    described: dict[str, Row] = {}
    for reader, settings in (("server", ServerSettings), ("client", ClientSettings), ("training", TrainingSettings)):
        for name, variable, row in _settings_rows(settings):
            key = variable if described.get(variable, row) == row else f"{variable} ({name})"
            readers.setdefault(key, []).append(reader)
            described[key] = row
    rows = [(f"`{key.split(' ')[0]}`", ", ".join(readers[key]), *row) for key, row in described.items()]
    return table(("variable", "read by", "default", "meaning"), rows)


def _settings_rows(settings: type[BaseSettings]) -> list[tuple[str, str, Row]]:
    prefix = settings.model_config.get("env_prefix", "")
    return [
        (name, f"{prefix}{name}".upper(), (_default(field.default), field.description or ""))
        for name, field in settings.model_fields.items()
    ]


def _default(value: object) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, Path):
        return f"`{value.relative_to(PROJECT_ROOT)}`"
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


BOTH = "`/clients`, `/operators`, `/`"
EVENTS: Mapping[str, tuple[str, str, tuple[type[messages.Message], ...]]] = {
    "predict": ("`/clients`", "client app to server", (messages.PredictRequest, messages.Receipt)),
    "submit": ("`/`", "page to client app", (messages.Submission, messages.SubmissionReceipt)),
    "follow": (BOTH, "follower to the app whose log it follows", (messages.Follow,)),
    "changes": (BOTH, "the one answer to a follow", (messages.Changes, messages.HistoryChanges)),
    "reload": (BOTH, "instead, to a page that is far behind", (messages.Reload,)),
    "closing": (BOTH, "to a follower whose connection is about to be closed", (messages.Closing,)),
}


def events_table() -> str:
    rows: list[Row] = [
        (f"`{event}`", namespace, way, _carried(event, models)) for event, (namespace, way, models) in EVENTS.items()
    ]
    return table(("event", "namespace", "from, to", "carries → acknowledged with"), rows)


def _carried(event: str, models: tuple[type[messages.Message], ...]) -> str:
    separator = " or " if event == messages.Event.CHANGES else " → "
    return separator.join(f"[{model.__name__}](#{model.__name__.lower()})" for model in models)


def messages_tables() -> str:
    """Describe every message and its fields."""
    models = [
        value
        for value in vars(messages).values()
        if isinstance(value, type) and issubclass(value, messages.Message) and value is not messages.Message
    ]
    return "\n\n".join(_message_table(model) for model in models)


def _message_table(model: type[BaseModel]) -> str:
    model.model_rebuild()  # some are declared with names that come later
    rows: list[Row] = [(f"`{name}`", _type_text(field.annotation)) for name, field in model.model_fields.items()]
    return f"#### {model.__name__}\n\n{(model.__doc__ or '').splitlines()[0]}\n\n{table(('field', 'type'), rows)}"


PLAIN_TYPES = {
    type(None): "null",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Any: "anything",
    messages.RiskLevel: "Low, Medium or High",
    messages.ChangeKind: " or ".join(messages.ChangeKind),
}


def _type_text(annotation: Any) -> str:
    arguments = get_args(annotation)[:1] if get_origin(annotation) is Annotated else get_args(annotation)
    if not arguments:
        return PLAIN_TYPES.get(annotation) or str(annotation.__name__).replace("AwareDatetime", "time, ISO 8601")
    origin = get_origin(annotation)
    if origin is Literal:
        return " or ".join(f'"{value}"' for value in arguments)
    inner = [_type_text(argument) for argument in arguments]
    if origin is list:
        return f"list of {inner[0]}"
    return f"object of {inner[1]}" if _is_mapping(origin) else " or ".join(inner)


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)


TABLES: Mapping[str, Callable[[], str]] = {
    "fields": fields_table,
    "factors": factors_table,
    "settings": settings_table,
    "events": events_table,
    "messages": messages_tables,
}
DOCUMENTS = ("README.md", "data/README.md", "docs/detector.md", "docs/protocol.md", "docs/settings.md")


def with_tables(text: str) -> str:
    """Return a document with every table between its two markers drawn from the code."""
    for name, draw in TABLES.items():
        start, end = markers(name)
        if start in text:
            before, _, rest = text.partition(start)
            _, found, after = rest.partition(end)
            if not found:
                raise ValueError(f"the marker {end} is missing")
            text = f"{before}{start}\n\n{draw()}\n\n{end}{after}"
    return text


def markers(name: str) -> tuple[str, str]:
    """Return the comments that a table stands between."""
    return f"<!-- {name} -->", f"<!-- end of {name} -->"


def main() -> None:
    for name in DOCUMENTS:
        path = PROJECT_ROOT / name
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
