"""The tables in the documents that are made from the code: ``python -m tests.documents`` writes them again."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common import messages
from common.patient import FIELDS
from config.secrets import PROJECT_ROOT
from config.settings import ClientSettings, ServerSettings, TrainingSettings
from server.anomaly.preprocessing import FACTORS

PAGES = sorted(path for pattern in ("*.md", "docs/*.md", "data/*.md") for path in PROJECT_ROOT.glob(pattern))
Row = tuple[str, ...]


def table(header: Row, rows: list[Row]) -> str:
    """Return a Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def fields_table() -> str:
    rows: list[Row] = []
    for name, field in FIELDS.items():
        what = f"{field.label}: {field.choices}" if field.codes else field.label
        ranges = (f"{ends[0]:g} to {ends[1]:g}" if ends else "" for ends in (field.model_range, field.possible_range))
        rows.append((f"`{name}`", field.csv_column, what, field.unit, *ranges, "no" if field.required else "yes"))
    header = ("field", "CSV column", "what it is", "unit", "model range", "possible", "may be not measured")
    return table(header, rows)


def factors_table() -> str:
    return table(
        ("factor", "fields it is made of", "definition"),
        [(f"`{name}`", ", ".join(factor.fields), factor.definition) for name, factor in FACTORS.items()],
    )


def settings_table() -> str:
    """Describe every environment variable, who reads it, and its default."""
    readers: dict[Row, list[str]] = {}
    for reader, settings in (("server", ServerSettings), ("client", ClientSettings), ("training", TrainingSettings)):
        prefix = settings.model_config.get("env_prefix", "")
        for name, field in settings.model_fields.items():
            row = (f"`{f'{prefix}{name}'.upper()}`", _default(field.default), field.description or "")
            readers.setdefault(row, []).append(reader)
    rows: list[Row] = [(name, ", ".join(by), default, meaning) for (name, default, meaning), by in readers.items()]
    return table(("variable", "read by", "default", "meaning"), rows)


def _default(value: object) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, Path):
        return f"`{value.relative_to(PROJECT_ROOT)}`"
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


def alerts_table() -> str:
    """Describe every alert, and what to do."""
    rules = (PROJECT_ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    found = re.findall(r'alert: (\w+)\n.*?severity: (\w+).*?action: "(.*?)"', rules, flags=re.S)
    return table(("alert", "severity", "what to do"), [(f"`{name}`", severity, do) for name, severity, do in found])


def messages_tables() -> str:
    """Describe every message and the JSON types of its fields."""
    tables = []
    for model in vars(messages).values():
        # Those that others are made of are not sent.
        if isinstance(model, type) and issubclass(model, messages.Message) and not model.__subclasses__():
            schema = model.model_json_schema()
            definitions, fields = schema.get("$defs", {}), schema["properties"]
            rows: list[Row] = [(f"`{name}`", _type_text(field, definitions)) for name, field in fields.items()]
            summary = (model.__doc__ or "").splitlines()[0]
            tables.append(f"#### {model.__name__}\n\n{summary}\n\n{table(('field', 'type'), rows)}")
    return "\n\n".join(tables)


def _type_text(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _type_text(definitions[name], {}) if "enum" in definitions[name] else name
    if "anyOf" in schema:
        return " or ".join(_type_text(one, definitions) for one in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f'"{value}"' for value in schema["enum"])
    if "items" in schema:
        return f"array of {_type_text(schema['items'], definitions)}"
    if isinstance(inner := schema.get("additionalProperties"), dict):
        return f"object of {_type_text(inner, definitions)}"
    return str(schema.get("format") or schema.get("type", "anything"))


TABLES: Mapping[str, Callable[[], str]] = {
    "fields": fields_table,
    "factors": factors_table,
    "settings": settings_table,
    "alerts": alerts_table,
    "messages": messages_tables,
}


def with_tables(text: str) -> str:
    """Return a document with every table between its two markers made from the code."""

    def made(found: re.Match[str]) -> str:
        return f"{found[1]}\n\n{TABLES[found[2]]()}\n\n{found[3]}"

    return re.sub(rf"(<!-- ({'|'.join(TABLES)}) -->).*?(<!-- end of \2 -->)", made, text, flags=re.S)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
