"""Typed, frozen settings of every process, read from the environment and from ``.env``."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, create_model, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from config import env_file
from config.hosts import in_host_header, in_url, reachable_url
from config.secrets import (
    CLIENT_IDS,
    ENV_FILE,
    PROJECT_ROOT,
    SERVER,
    ConfigurationError,
    client_secret_names,
    env_prefix,
    is_scaled,
    load,
    require,
    server_secret_names,
)

RESERVED_IDS = frozenset({"server", "operator", "administrator"})
"""Names that would give a client app the server's own secrets."""

OF_OTHERS = r"(COMPOSE|DOCKER|POSTGRES|TLS)_.*|.+_(PORT|PUBLIC_URL|TOKEN|SECRET_KEY)"
"""Names in ``.env`` that are no fields here: read by Docker, of a fourth client app, or secrets."""


def _split_at_commas(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _client_ids(ids: tuple[str, ...]) -> tuple[str, ...]:
    if not ids or not all(re.fullmatch("[A-Za-z][A-Za-z0-9-]{0,31}", name) for name in ids):
        raise ValueError("must be a name of at most 32 letters, digits and hyphens that begins with a letter")
    # Secrets are named for their client app, in capitals: names that differ only in case would share them.
    if RESERVED_IDS & {name.lower() for name in ids}:
        raise ValueError(f"must not be one of: {', '.join(sorted(RESERVED_IDS))}")
    if len({name.lower() for name in ids}) < len(ids):
        raise ValueError("must differ in more than upper and lower case")
    return ids


def _host_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(in_host_header(name) for name in names)


def _bind_address(address: str) -> str:
    try:
        name = in_host_header(address).strip("[]")
    except ValueError:
        name = ""
    if not name or re.search(r"^\.|^[^:]+:\d+$|\]:", address):
        raise ValueError("must be an IP address or a host name, without http:// or a port; 0.0.0.0 means all addresses")
    return name


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        # A name and password in a URL would be shown wherever the URL is.
        is_url = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError("must be an http:// or https:// URL with a host and, optionally, a port")
    return value


def _url_without_path(value: str) -> str:
    parts = urlsplit(_url(value))
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must end after the host and port: an app cannot be served under a path")
    return reachable_url(value.rstrip("/"))


def _two_decimals(share: float) -> float:
    if share != round(share, 2):
        raise ValueError("must have at most two decimal places")
    return share


NameList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_at_commas)]
"""A list of names, separated by commas in the environment."""

ClientId = Annotated[str, AfterValidator(lambda name: _client_ids((name,))[0])]

ServerUrl = Annotated[str, AfterValidator(_url_without_path)]

PublicUrl = Annotated[str, AfterValidator(lambda value: value and _url_without_path(value))]

Port = Annotated[int, Field(ge=1, le=65535)]

ProjectPath = Annotated[Path, AfterValidator(lambda path: PROJECT_ROOT / path)]
"""A path that, if relative, counts from the project's folder, in whichever folder the process was started."""

Threshold = Annotated[float, Field(gt=0, lt=1), AfterValidator(_two_decimals)]

SIGNING_KEY = Field(
    None, min_length=32, description="Key that signs models; if set, the server accepts only models signed with it."
)


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # it may be a secret
        use_attribute_docstrings=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _file_is_readable(cls, values: object) -> object:
        if lines := env_file.unreadable_lines():
            raise ValueError(f"line {lines[0]} of .env must be NAME=VALUE, or begin with #")
        return values


class TrainingSettings(_Settings):
    """How the detector is trained."""

    model_config = SettingsConfigDict(env_prefix="MODEL_")

    n_estimators: int = Field(1000, ge=50, le=5000)
    """Trees in the isolation forest."""
    max_samples: int = Field(16, ge=4, le=64)
    """Patients sampled to grow each tree."""
    random_state: int = Field(0, ge=0, le=2**32 - 1)
    """Seed of every random choice in training."""
    calibration_folds: int = Field(10, ge=2, le=20)
    """Folds used for the out-of-fold calibration scores."""
    evaluation_folds: int = Field(5, ge=2, le=10)
    """Folds used for the held-out evaluation."""
    calibration_by_age: bool = False
    """Calibrate patients under 55 and from 55 separately: fewer false alarms in older patients, lower AUROC."""
    medium_threshold: Threshold = 0.80
    """Lowest anomaly score that is rated Medium."""
    high_threshold: Threshold = 0.95
    """Lowest anomaly score that is rated High."""
    workers: int = Field(2, ge=1, le=64)
    """Worker processes for training and evaluation."""
    signing_key: SecretStr | None = SIGNING_KEY

    @model_validator(mode="after")
    def _thresholds_ascend(self) -> Self:
        if self.medium_threshold >= self.high_threshold:
            raise ValueError("MODEL_MEDIUM_THRESHOLD must be below MODEL_HIGH_THRESHOLD")
        return self


class _AppSettings(_Settings):
    """What both Flask apps need."""

    port: int
    host: str = "127.0.0.1"
    """Address the process listens on."""
    public_url: PublicUrl = ""
    """Public URL of this app; empty means http:// with its own address and port."""
    socketio_async_mode: Literal["eventlet", "threading"] = "eventlet"
    """Concurrency: eventlet (default) or threading."""
    allowed_hosts: Annotated[NameList, AfterValidator(_host_names)] = ("127.0.0.1", "localhost", "[::1]")
    """Host names that requests may be addressed to, separated by commas."""
    trusted_proxies: int = Field(0, ge=0, le=5)
    """Number of reverse proxies in front whose X-Forwarded headers are trusted."""
    data_dir: ProjectPath = PROJECT_ROOT / ".local"
    """Folder for databases, with a subfolder for each app."""
    secrets_dir: ProjectPath = PROJECT_ROOT / ".local" / "secrets"
    """Folder for secrets that are set neither in the environment nor in .env."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Minimum log level."""
    log_format: Literal["text", "json"] = "text"
    """Log lines as text (default) or as JSON objects."""
    metrics_token: SecretStr | None = Field(None, min_length=16)
    """Token that Prometheus sends to read /metrics, at least 16 characters; empty turns /metrics off."""
    session_hours: float = Field(12, gt=0, le=168)
    """Hours after which a sign-in ends."""
    session_idle_minutes: float = Field(60, ge=5, le=10_080)
    """Minutes without activity after which a sign-in ends."""
    max_message_bytes: int = Field(65536, ge=4096, le=1_048_576)
    """Maximum size of a request or event, in bytes."""
    max_connections: int = Field(2000, ge=1, le=20_000)
    """Maximum number of pages and client apps connected at once."""
    requests_per_minute: int = Field(3000, ge=10, le=1_000_000)
    """Maximum HTTP requests per minute of one session or client app."""
    address_requests_per_minute: int = Field(30_000, ge=10, le=10_000_000)
    """Maximum HTTP requests per minute of one IP address, which a whole clinic may share."""
    events_per_second: int = Field(300, ge=1, le=100_000)
    """Maximum events per second of one connection; one that sends more is closed."""

    @property
    def url(self) -> str:
        return self.public_url or f"http://{in_url(self.host)}:{self.port}"


class ServerSettings(_AppSettings):
    """The server's settings."""

    app_name: ClassVar[str] = "server"

    port: Port = 5000
    """TCP port of the server."""
    client_ids: Annotated[NameList, AfterValidator(_client_ids)] = CLIENT_IDS
    """Client apps that may connect, separated by commas."""
    database_url: str = Field("", repr=False)
    """URL of the store, postgresql:// or sqlite://; empty means SQLite in DATA_DIR/server."""
    retention_days: int | None = Field(None, ge=1, le=36_500)
    """Days after which predictions are erased for good; empty keeps all."""
    model_dir: ProjectPath = PROJECT_ROOT / "saved_models"
    """Folder of the trained model."""
    model_signing_key: SecretStr | None = SIGNING_KEY
    model_watch_seconds: float = Field(2, ge=0.05, le=3600)
    """Seconds between checks for a newly activated model."""
    batch_size: int = Field(32, ge=1, le=64)
    """Maximum number of patients scored and stored at once."""
    max_waiting: int = Field(1000, ge=1, le=100_000)
    """Maximum number of patients waiting to be scored."""
    drift_window_patients: int = Field(200, ge=100, le=1000)
    """Number of newest patients of each client app to compare with the training data."""
    drift_window_days: int = Field(90, ge=1, le=3650)
    """Days after which a patient is no longer compared with the training data."""
    huggingface_api_token: SecretStr | None = None
    """Hugging Face token; with it, a Llama model writes explanations too."""
    llm_model: str = "meta-llama/Llama-3.1-8B-Instruct"
    """Language model for explanations, or off for none."""
    llm_base_url: Annotated[str, AfterValidator(lambda value: value and _url(value))] = ""
    """OpenAI-compatible endpoint to use instead of Hugging Face; empty for none."""
    llm_api_key: SecretStr | None = None
    """Key for LLM_BASE_URL; empty if it needs none."""
    llm_ca_file: ProjectPath | None = None
    """PEM file of the certificate authorities to trust for the language model."""
    llm_max_tokens: int = Field(400, ge=50, le=100_000)
    """Maximum tokens of a draft; raise it for a model that reasons first."""
    llm_constrained_decoding: Literal["off", "automatic", "on"] = "automatic"
    """Restrict the language model's output to a grammar of true texts: off, automatic or on."""
    llm_timeout_seconds: float | None = Field(None, ge=1, le=600)
    """Seconds until a language-model explanation times out; empty means 5, or 60 with LLM_BASE_URL."""
    llm_concurrency: int = Field(4, ge=1, le=32)
    """Maximum number of language-model explanations in progress at once."""

    @cached_property
    def secrets(self) -> "ServerSecrets":
        """The server's own secrets and every client app's token, made now where they are missing.

        Raises
        ------
        ConfigurationError
            When two that prove different identities are the same, or a server of several lacks one.
        """
        # A client app's token has its name and its folder, so that the two agree wherever they share that.
        files = [self.secrets_dir / self.app_name / name for name in server_secret_names()]
        files += [self.secrets_dir / one.lower() / client_secret_names(one)[0] for one in self.client_ids]
        given = env_file.given()
        if self.is_scaled:
            require(files, given)
        secret_key, operator_token, administrator_token, *tokens = load(files, given)
        if len({operator_token, administrator_token, *tokens}) < 2 + len(tokens):
            raise ConfigurationError(
                "Two of OPERATOR_TOKEN, ADMINISTRATOR_TOKEN and the CLIENT_n_TOKEN are the same. "
                "Give each its own value."
            )
        client_tokens = dict(zip(self.client_ids, tokens, strict=True))
        return ServerSecrets(secret_key, operator_token, administrator_token, client_tokens)

    @property
    def is_scaled(self) -> bool:
        """Whether several servers may share the database: it is PostgreSQL."""
        return is_scaled(self.database_url)

    @property
    def llm_seconds(self) -> float:
        """Seconds a language-model explanation may take: an endpoint of one's own may be a slow machine."""
        return self.llm_timeout_seconds or (60 if self.llm_base_url else 5)


class ClientSettings(_AppSettings):
    """A client app's settings."""

    port: Port = 5001
    """TCP port of this client app."""
    client_id: ClientId = "Client-1"
    """Identity of this client app at the server."""
    server_url: ServerUrl = "http://127.0.0.1:5000"
    """Address of the server."""
    reply_timeout_seconds: float = Field(10, ge=1, le=120)
    """Seconds after which an unanswered request is sent again."""
    reconnect_max_seconds: float = Field(10, ge=0.1, le=300)
    """Maximum seconds between two attempts to reach the server."""

    @cached_property
    def secrets(self) -> "ClientSecrets":
        """This client app's secrets, made now where they are missing."""
        files = [self.secrets_dir / self.app_name / name for name in client_secret_names(self.client_id)]
        return ClientSecrets(*load(files, env_file.given()))

    @property
    def app_name(self) -> str:
        return self.client_id.lower()


_PORTS = {f"{env_prefix(app)}_port".lower(): 5000 + number for number, app in enumerate((SERVER, *CLIENT_IDS))}
_ADDRESSES: dict[str, Any] = {name: (Port, port) for name, port in _PORTS.items()}
_ADDRESSES |= {name.replace("_port", "_public_url"): (PublicUrl, "") for name in _PORTS}


class SystemSettings(create_model("_Addresses", __base__=_Settings, **_ADDRESSES)):  # type: ignore[misc]
    """Where the apps are reached: what the launcher, or Docker Compose, tells each of them for itself."""

    bind_address: Annotated[str, AfterValidator(_bind_address)] = "127.0.0.1"

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        if len({getattr(self, name) for name in _PORTS}) < len(_PORTS):
            raise ValueError(f"these ports must differ: {', '.join(_PORTS).upper()}")
        return self


KINDS: tuple[type[_Settings], ...] = (SystemSettings, ServerSettings, ClientSettings, TrainingSettings)


def known_names() -> set[str]:
    """Return the names of all settings, but for the secrets."""
    return {f"{kind.model_config.get('env_prefix', '')}{name}".upper() for kind in KINDS for name in kind.model_fields}


def unknown_names() -> list[str]:
    """Return the names in ``.env`` that no process reads: settings that are gone, or typing errors."""
    return sorted(name for name in env_file.in_file().keys() - known_names() if not re.fullmatch(OF_OTHERS, name))


@dataclass(frozen=True, repr=False)
class ServerSecrets:
    """What proves who is who at the server."""

    secret_key: str
    operator_token: str
    administrator_token: str
    client_tokens: dict[str, str]


@dataclass(frozen=True, repr=False)
class ClientSecrets:
    """What a client app proves itself with, and what its clinicians prove themselves with."""

    token: str
    clinician_token: str
    secret_key: str
