"""What a person may change stands in .env.example, and reaches the containers."""

import re

from pydantic.fields import FieldInfo

from config.secrets import PROJECT_ROOT, client_secret_names
from config.settings import ClientSettings, ServerSettings, SystemSettings, TrainingSettings

GIVEN_BY_LAUNCHER = {"HOST", "PORT", "PUBLIC_URL", "CLIENT_ID", "SERVER_URL", "DATA_DIR", "SECRETS_DIR", "MODEL_DIR"}
"""Settings each process is told for itself, so that they have no place in a file that all share."""

READ_BY_THE_LAUNCHER = {name.upper() for name in SystemSettings.model_fields}

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
    assert set(ENTRIES) == (set(fields()) - GIVEN_BY_LAUNCHER) | READ_BY_THE_LAUNCHER
    assert len(ENTRIES) == len(re.findall(r"^#?[A-Z][A-Z0-9_]*=", EXAMPLE, re.M))


def test_the_example_says_what_the_settings_say() -> None:
    said = {name: ENTRIES[name] for name in set(ENTRIES) - READ_BY_THE_LAUNCHER}
    assert said == {name: (fields()[name].description, written(fields()[name].default)) for name in said}


def test_every_setting_reaches_the_containers() -> None:
    """The server is given all of ``.env``; a client app what is named for it, since it may know no other secret."""
    compose = (PROJECT_ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    shared, server, *clients = re.split(r"\n  (?:server|client-\d):\n", compose)
    assert "env_file: [{path: .env, required: false}]" in server
    wanted = {name.upper() for name in ClientSettings.model_fields} - {"HOST", "DATA_DIR", "SECRETS_DIR"}
    assert len(clients) == 3
    for number, client in enumerate(clients, start=1):
        given = re.findall(r"^ +([A-Z][A-Z0-9_]+):", shared + client, re.M)
        assert sorted(given) == sorted([*wanted, *client_secret_names(f"Client-{number}")])
        assert "env_file" not in shared + client
