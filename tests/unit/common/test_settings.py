"""Settings: where they come from, what is refused in which words, and that no secret shows."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from common.patient import errors_by_field
from common.settings_errors import settings_sentence
from config.secrets import ConfigurationError
from config.settings import ClientSettings, ServerSettings, TrainingSettings


def in_words(error: ValidationError) -> dict[str, list[str]]:
    return errors_by_field(error, whole="they")


def server(**values: object) -> ServerSettings:
    return ServerSettings.model_validate(values)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_text("PORT=5050\nBATCH_SIZE=8\nLLM_API_KEY=secret-of-the-file\nSOMETHING_ELSE=1\nSESSION_HOURS=\n")
    return path


def test_the_environment_wins_over_the_file(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "BATCH_SIZE", "SESSION_HOURS"):
        monkeypatch.delenv(name, raising=False)
    assert ServerSettings(_env_file=env_file).port == 5050
    monkeypatch.setenv("PORT", "5051")
    monkeypatch.setenv("BATCH_SIZE", "")
    settings = ServerSettings(_env_file=env_file)
    assert (settings.port, settings.batch_size) == (5051, 8)  # an empty variable counts as none
    assert settings.session_hours == 12


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"port": "five"}, "port"),
        ({"session_hours": 0}, "session_hours"),
        ({"log_level": "LOUD"}, "log_level"),
        ({"socketio_async_mode": "gevent"}, "socketio_async_mode"),
        ({"max_message_bytes": 100}, "max_message_bytes"),
        ({"trusted_proxies": -1}, "trusted_proxies"),
        ({"client_ids": "Client-1,../etc"}, "client_ids"),
        ({"client_ids": "Client-1,client-1"}, "client_ids"),
        ({"client_ids": "1"}, "client_ids"),
        ({"client_ids": " , "}, "client_ids"),
        ({"llm_timeout_seconds": 0}, "llm_timeout_seconds"),
        ({"llm_base_url": "garbage"}, "llm_base_url"),
        ({"llm_base_url": "ftp://127.0.0.1"}, "llm_base_url"),
        ({"llm_base_url": "http://"}, "llm_base_url"),
        ({"llm_base_url": "http://127.0.0.1:99999"}, "llm_base_url"),
        ({"llm_base_url": "http://127.0.0.1:0"}, "llm_base_url"),
        ({"llm_base_url": "http://key@127.0.0.1/v1"}, "llm_base_url"),
        ({"llm_base_url": "http://8.8.8.8/v1"}, "llm_base_url"),
        ({"llm_base_url": "http://[2606:4700::1111]/v1"}, "llm_base_url"),
        ({"llm_base_url": "http://[::ffff:8.8.8.8]/v1"}, "llm_base_url"),
    ],
)
def test_a_bad_value_is_refused_by_name(values: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as raised:
        server(**values)
    assert list(in_words(raised.value)) == [field]


@pytest.mark.parametrize(
    ("settings", "values", "said"),
    [
        (ServerSettings, {"model_signing_key": "k" * 31}, "MODEL_SIGNING_KEY must have at least 32 characters"),
        (TrainingSettings, {"signing_key": "k"}, "MODEL_SIGNING_KEY must have at least 32 characters"),
        (TrainingSettings, {"n_estimators": 1}, "MODEL_N_ESTIMATORS must be 50 or more"),
        (TrainingSettings, {"random_state": 2**32}, "MODEL_RANDOM_STATE must be 4294967295 or less"),
        (TrainingSettings, {"max_samples": "16.5"}, "MODEL_MAX_SAMPLES must be a whole number"),
        (TrainingSettings, {"high_threshold": 1}, "MODEL_HIGH_THRESHOLD must be less than 1"),
        (TrainingSettings, {"calibration_by_age": "x"}, "MODEL_CALIBRATION_BY_AGE must be true or false"),
        (ServerSettings, {"session_hours": 0}, "SESSION_HOURS must be more than 0"),
        (ServerSettings, {"session_hours": "x"}, "SESSION_HOURS must be a number"),
        (ServerSettings, {"max_message_bytes": 2**21}, "MAX_MESSAGE_BYTES must be 1048576 or less"),
        (ServerSettings, {"trusted_proxies": 1.5}, "TRUSTED_PROXIES must be a whole number"),
        (
            ServerSettings,
            {"public_url": "https://hads.example/heart"},
            "PUBLIC_URL must be http:// or https:// with a host and, if need be, a port: an app cannot be "
            "reached under a path",
        ),
        (ServerSettings, {"log_level": "x"}, "LOG_LEVEL must be 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        (
            ClientSettings,
            {"client_id": "1"},
            "CLIENT_ID must be a name of at most 32 letters, digits and hyphens that begins with a letter",
        ),
    ],
)
def test_what_is_wrong_with_a_setting_is_said_in_words(
    settings: type[ServerSettings | ClientSettings | TrainingSettings], values: dict[str, object], said: str
) -> None:
    with pytest.raises(ValidationError) as raised:
        settings.model_validate(values)
    assert settings_sentence(raised.value) == f"The settings cannot be used: {said}. See .env.example."


@pytest.mark.parametrize("url", ["server:5000", "ftp://server", "http://", "http://server/path", "http://server:0", ""])
def test_a_server_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValidationError) as raised:
        ClientSettings.model_validate({"server_url": url})
    assert list(in_words(raised.value)) == ["server_url"]


@pytest.mark.parametrize("client_id", ["", "1", "Client 1", "Client/1", "C" * 33, "Client-1\n"])
def test_a_client_id_that_could_not_name_a_file_is_refused(client_id: str) -> None:
    with pytest.raises(ValidationError):
        ClientSettings.model_validate({"client_id": client_id})


def test_thresholds_have_to_ascend() -> None:
    with pytest.raises(ValidationError, match="must be below MODEL_HIGH_THRESHOLD"):
        TrainingSettings.model_validate({"medium_threshold": 0.95, "high_threshold": 0.95})


def test_lists_are_given_with_commas() -> None:
    settings = server(client_ids=" A1 , B2,", allowed_hosts="one, two")
    assert settings.client_ids == ("A1", "B2")
    assert settings.allowed_hosts == ("one", "two")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        server().port = 1  # type: ignore[misc]


def test_the_address_for_people_needs_no_slash() -> None:
    assert server(public_url="https://example.org/", port=5000).url == "https://example.org"
    assert server(public_url="", port=5007).url == "http://127.0.0.1:5007"


def test_no_secret_shows(tmp_path: Path) -> None:
    settings = server(
        secrets_dir=tmp_path,
        huggingface_api_token="MARKER",
        llm_api_key="MARKER",
        database_url="postgresql://user:MARKER@host/name",
    )
    secrets = settings.secrets
    shown = f"{settings!r} {settings} {secrets!r} {secrets} {settings.model_fields_set}"
    assert "MARKER" not in shown
    for secret in (secrets.secret_key, secrets.operator_token, *secrets.client_tokens.values()):
        assert secret not in shown
    client = ClientSettings.model_validate({"secrets_dir": tmp_path})
    assert not [
        secret for secret in vars(client.secrets).values() if secret in f"{client!r} {client} {client.secrets!r}"
    ]


def test_server_and_client_that_share_a_folder_agree(tmp_path: Path) -> None:
    tokens = server(secrets_dir=tmp_path, client_ids="Client-1,Client-2").secrets.client_tokens
    for client_id in ("Client-1", "Client-2"):
        settings = ClientSettings.model_validate({"secrets_dir": tmp_path, "client_id": client_id})
        assert settings.secrets.token == tokens[client_id]
        assert settings.secrets.clinician_token not in tokens.values()


def test_two_identities_with_one_token_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIENT_1_TOKEN", "CLIENT_3_TOKEN"):
        monkeypatch.setenv(name, "the-same")
    with pytest.raises(ConfigurationError, match="are the same"):
        _ = server(secrets_dir=tmp_path).secrets
    monkeypatch.setenv("CLIENT_3_TOKEN", "another")
    monkeypatch.setenv("OPERATOR_TOKEN", "another")
    with pytest.raises(ConfigurationError, match="are the same"):
        _ = server(secrets_dir=tmp_path).secrets


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://llama.example/v1",
        "https://8.8.8.8/v1",
        "http://127.0.0.1:8080",
        "http://localhost:11434/v1",
        "http://llama:8080/v1",
        "http://192.168.1.20:8000/v1",
        "http://[::1]:8080/v1",
        "http://[fd00::1]/v1",
    ],
)
def test_a_language_model_may_be_private_or_behind_https(url: str) -> None:
    assert server(llm_base_url=url).llm_base_url == url


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({}, 5),
        ({"llm_base_url": "http://127.0.0.1:8080"}, 60),
        ({"llm_base_url": "http://127.0.0.1:8080", "llm_timeout_seconds": 7}, 7),
        ({"llm_timeout_seconds": 30}, 30),
    ],
)
def test_an_endpoint_of_ones_own_has_more_time(values: dict[str, object], seconds: float) -> None:
    usual: dict[str, object] = {"llm_base_url": "", "llm_timeout_seconds": None}
    assert server(**(usual | values)).llm_seconds == seconds
