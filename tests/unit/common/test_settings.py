"""Settings: where they come from, what is refused in which words, and that no secret shows."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from common.settings_errors import settings_sentence
from config import env_file
from config.secrets import ConfigurationError
from config.settings import ClientSettings, ServerSettings, SystemSettings, TrainingSettings, unknown_names

Kind = type[ServerSettings | ClientSettings | SystemSettings | TrainingSettings]

NAME = "must be a name of at most 32 letters, digits and hyphens that begins with a letter"
URL = "must be an http:// or https:// URL with a host and, optionally, a port"
PATH = "must end after the host and port: an app cannot be served under a path"
PORTS = "these ports must differ: SERVER_PORT, CLIENT_1_PORT, CLIENT_2_PORT, CLIENT_3_PORT"
ADDRESS = "must be an IP address or a host name, without http:// or a port; 0.0.0.0 means all addresses"
HOSTS = "must contain only host names, without http://, a path or *"


def server(**values: object) -> ServerSettings:
    return ServerSettings.model_validate(values)


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file := tmp_path / ".env").write_text("PORT=5050\nBATCH_SIZE=8\nSOMETHING_ELSE=1\nSESSION_HOURS=\n")
    for name in ("PORT", "BATCH_SIZE", "SESSION_HOURS"):
        monkeypatch.delenv(name, raising=False)
    assert ServerSettings(_env_file=file).port == 5050
    monkeypatch.setenv("PORT", "5051")
    monkeypatch.setenv("BATCH_SIZE", "")
    settings = ServerSettings(_env_file=file)
    assert (settings.port, settings.batch_size) == (5051, 8)  # an empty variable counts as none
    assert settings.session_hours == 12


def test_what_means_nothing_in_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env_file, "ENV_FILE", tmp_path / ".env")
    known = "log_level=INFO\nBIND_ADDRESS=::1\nCLIENT_4_PORT=1\nCLIENT_4_TOKEN=t\nMODEL_WORKERS=1\nCOMPOSE_FILE=f\n"
    (tmp_path / ".env").write_text(f"{known}LOGLEVEL=INFO\nSTALLED_SECONDS=3\n")
    assert unknown_names() == ["LOGLEVEL", "STALLED_SECONDS"]


@pytest.mark.parametrize("line", ["set PORT=5", "PORT: 5", 'LOG_LEVEL="INFO', "; a comment"])
def test_a_line_of_the_file_that_would_be_passed_over_is_an_error(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env_file, "ENV_FILE", tmp_path / ".env")
    (tmp_path / ".env").write_text(f"# a comment\n\nMAX_WAITING=5\n{line}\nBATCH_SIZE=8\n")
    with pytest.raises(ValidationError) as raised:
        ServerSettings()
    said = "line 4 of .env must be NAME=VALUE, or begin with #"
    assert settings_sentence(raised.value) == f"The settings cannot be used: {said}. See .env.example."


NO_URLS = ("a.b", "a:1", "ftp://a", "http://", "http://a:0", "http://a:99999", "http://key@a")


@pytest.mark.parametrize(
    ("kind", "name", "value", "said"),
    [
        (ServerSettings, "port", 65536, "PORT must be 65535 or less"),
        (ServerSettings, "session_hours", "x", "SESSION_HOURS must be a number"),
        (ServerSettings, "trusted_proxies", 1.5, "TRUSTED_PROXIES must be a whole number"),
        (ServerSettings, "log_level", "x", "LOG_LEVEL must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        (ServerSettings, "client_ids", " , ", f"CLIENT_IDS {NAME}"),
        (ServerSettings, "client_ids", "a,A", "CLIENT_IDS must differ in more than upper and lower case"),
        (ServerSettings, "client_ids", "a,Server", "CLIENT_IDS must not be one of: administrator, operator, server"),
        *((ClientSettings, "client_id", value, f"CLIENT_ID {NAME}") for value in ("", "../etc", "C" * 33, "a\n")),
        *((ServerSettings, "allowed_hosts", value, f"ALLOWED_HOSTS {HOSTS}") for value in ("http://a", "*", "a/b")),
        *((ServerSettings, "public_url", value, f"PUBLIC_URL {URL}") for value in NO_URLS),
        (ServerSettings, "public_url", "https://a/heart", f"PUBLIC_URL {PATH}"),
        (SystemSettings, "client_2_port", 5000, PORTS),
        *(
            (SystemSettings, "bind_address", value, f"BIND_ADDRESS {ADDRESS}")
            for value in ("*", "http://a", "127.0.0.1:5000", "[::1]:5000", ".a")
        ),
        (TrainingSettings, "signing_key", "k" * 31, "MODEL_SIGNING_KEY must have at least 32 characters"),
        (TrainingSettings, "high_threshold", 0.955, "MODEL_HIGH_THRESHOLD must have at most two decimal places"),
        (TrainingSettings, "high_threshold", 0.8, "MODEL_MEDIUM_THRESHOLD must be below MODEL_HIGH_THRESHOLD"),
        (TrainingSettings, "calibration_by_age", "x", "MODEL_CALIBRATION_BY_AGE must be true or false"),
    ],
)
def test_what_is_wrong_with_a_setting_is_said_in_words(kind: Kind, name: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        kind.model_validate({name: value})
    assert settings_sentence(raised.value) == f"The settings cannot be used: {said}. See .env.example."


def test_host_names_are_taken_as_people_write_them() -> None:
    settings = server(
        client_ids=" A1 , B2,", allowed_hosts="Desk.example, .lan,b\u00fcro:5000,::1,[FD00::0:1],10.0.0.1"
    )
    assert settings.client_ids == ("A1", "B2")
    assert settings.allowed_hosts == ("desk.example", ".lan", "xn--bro-hoa", "[::1]", "[fd00::1]", "10.0.0.1")


@pytest.mark.parametrize(
    ("values", "url"),
    [
        ({"public_url": "https://example.org/"}, "https://example.org"),
        ({"public_url": "http://0.0.0.0:5000"}, "http://127.0.0.1:5000"),
        ({"public_url": "", "port": 5007, "host": "::1"}, "http://[::1]:5007"),
    ],
)
def test_the_address_for_people_leads_to_the_app(values: dict[str, object], url: str) -> None:
    assert server(**values).url == url


def test_no_secret_shows_and_no_setting_changes(tmp_path: Path) -> None:
    marked = {"huggingface_api_token": "MARKER", "llm_api_key": "MARKER", "database_url": "mysql://u:MARKER@h/n"}
    settings = server(secrets_dir=tmp_path, **marked)
    client = ClientSettings.model_validate({"secrets_dir": tmp_path})
    shown = f"{settings!r} {settings} {settings.secrets!r} {client!r} {client} {client.secrets!r}"
    server_secrets, client_secrets = vars(settings.secrets).copy(), vars(client.secrets)
    tokens = server_secrets.pop("client_tokens").values()
    hidden = ["MARKER", *server_secrets.values(), *tokens, *client_secrets.values()]
    assert not [secret for secret in hidden if secret in shown]
    with pytest.raises(ValidationError):
        settings.port = 1  # type: ignore[misc]


def test_server_and_client_that_share_a_folder_agree(tmp_path: Path) -> None:
    tokens = server(secrets_dir=tmp_path, client_ids="Client-1,Client-2").secrets.client_tokens
    for client_id in ("Client-1", "Client-2"):
        secrets = ClientSettings.model_validate({"secrets_dir": tmp_path, "client_id": client_id}).secrets
        assert secrets.token == tokens[client_id]
        assert secrets.clinician_token not in tokens.values()


@pytest.mark.parametrize("names", [("CLIENT_1_TOKEN", "CLIENT_3_TOKEN"), ("CLIENT_3_TOKEN", "OPERATOR_TOKEN")])
def test_two_identities_with_one_token_are_refused(
    names: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in names:
        monkeypatch.setenv(name, "the-same")
    with pytest.raises(ConfigurationError, match="are the same"):
        _ = server(secrets_dir=tmp_path).secrets


def test_servers_on_postgresql_are_given_their_secrets_and_make_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = server(secrets_dir=tmp_path, client_ids="A,Client-2", database_url="postgresql://h/n")
    monkeypatch.setenv("OPERATOR_TOKEN", "given")
    folder = tmp_path / "client-2"
    folder.mkdir()
    (folder / "CLIENT_2_TOKEN").write_text("in a file that was made for all")
    with pytest.raises(ConfigurationError, match=r"Missing: SERVER_SECRET_KEY, ADMINISTRATOR_TOKEN, A_TOKEN\. Put"):
        _ = settings.secrets
    assert [path.name for path in tmp_path.iterdir()] == ["client-2"]
    for name in ("SERVER_SECRET_KEY", "ADMINISTRATOR_TOKEN", "A_TOKEN"):
        monkeypatch.setenv(name, name)
    assert settings.secrets.client_tokens["A"] == "A_TOKEN"
