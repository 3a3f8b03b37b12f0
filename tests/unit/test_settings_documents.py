"""What a person may change stands in .env.example, and reaches the containers."""

import re

import pytest
from pydantic.fields import FieldInfo

from config.secrets import PROJECT_ROOT
from config.settings import ClientSettings, ServerSettings, TrainingSettings

GIVEN_BY_THE_LAUNCHER = {
    "HOST",
    "PORT",
    "PUBLIC_URL",
    "CLIENT_ID",
    "SERVER_URL",
    "DATA_DIR",
    "SECRETS_DIR",
    "MODEL_DIR",
    "SAMPLE_DATA",
}
"""Settings each process is told for itself, so that they have no place in a file that all share."""

READ_BY_THE_LAUNCHER = {"BIND_ADDRESS"} | {
    f"{app}_{setting}" for app in ("SERVER", "CLIENT_1", "CLIENT_2", "CLIENT_3") for setting in ("PORT", "PUBLIC_URL")
}

EXAMPLE = (PROJECT_ROOT / ".env.example").read_text(encoding="utf-8")
ENTRIES = {
    name: (sentence, default)
    for sentence, name, default in re.findall(r"^# (.+)\n#?([A-Z][A-Z0-9_]*)=(.*)$", EXAMPLE, re.M)
}


def fields() -> dict[str, FieldInfo]:
    """Return the field behind each environment variable that a process reads."""
    plain = ClientSettings.model_fields | ServerSettings.model_fields
    training = {f"model_{name}": field for name, field in TrainingSettings.model_fields.items()}
    return {name.upper(): field for name, field in (plain | training).items()}


def written(default: object) -> str:
    if default is None:
        return ""
    return ",".join(default) if isinstance(default, tuple) else str(default)


def test_the_example_names_every_setting_and_no_other() -> None:
    assert set(ENTRIES) == (set(fields()) - GIVEN_BY_THE_LAUNCHER) | READ_BY_THE_LAUNCHER
    assert len(ENTRIES) == len(re.findall(r"^#?[A-Z][A-Z0-9_]*=", EXAMPLE, re.M))


@pytest.mark.parametrize("name", sorted(set(ENTRIES) - READ_BY_THE_LAUNCHER))
def test_the_example_says_what_the_setting_says(name: str) -> None:
    field = fields()[name]
    assert ENTRIES[name] == (field.description, written(field.default))


def test_the_token_comes_first() -> None:
    assert next(iter(ENTRIES)) == "HUGGINGFACE_API_TOKEN"


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_every_setting_of_the_example_reaches_the_containers(name: str) -> None:
    compose = (PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    assert re.search(rf"^ +{name}:|\$\{{{name}:-", compose, re.M)
