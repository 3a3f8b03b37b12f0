"""Typed, frozen settings of every process, read from the environment and from ``.env``."""

import ipaddress
import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from config.secrets import (
    ENV_FILE,
    PROJECT_ROOT,
    SERVER,
    ConfigurationError,
    client_secret_names,
    load_or_create,
    server_secret_names,
)

AsyncMode = Literal["eventlet", "threading"]

CLIENT_ID = "[A-Za-z][A-Za-z0-9-]{0,31}"

RESERVED_IDS = frozenset({"server", "operator", "administrator"})
"""Names that would give a client app the server's own secrets."""


OF_OTHERS = r"(COMPOSE|DOCKER)_.*|BIND_ADDRESS|.+_(PORT|PUBLIC_URL|TOKEN|SECRET_KEY)"
"""Names in ``.env`` that are no fields here: read by Docker, by the launcher, or as a secret."""


def _split_at_commas(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


NameList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_at_commas)]
"""A list of names, separated by commas in the environment."""

ProjectPath = Annotated[Path, AfterValidator(lambda path: PROJECT_ROOT / path)]
"""A path that, if relative, counts from the project's folder, in whichever folder the process was started."""


SIGNING_KEY = Field(
    None, min_length=32, description="Key that models are signed with; if set, the server takes no other model."
)


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )


class TrainingSettings(_Settings):
    """How the detector is trained."""

    model_config = SettingsConfigDict(env_prefix="MODEL_")

    n_estimators: int = Field(1000, ge=50, le=5000, description="Trees in the isolation forest.")
    max_samples: int = Field(16, ge=4, le=64, description="Patients each tree is grown on.")
    random_state: int = Field(0, ge=0, le=2**32 - 1, description="Seed of every random choice in training.")
    calibration_folds: int = Field(10, ge=2, le=20, description="Folds that give the out-of-fold calibration scores.")
    evaluation_folds: int = Field(5, ge=2, le=10, description="Folds of the held-out evaluation.")
    calibration_by_age: bool = Field(
        False,
        description="Calibrate patients under 55 and from 55 on apart: fewer false alarms in the old, lower AUROC.",
    )
    medium_threshold: float = Field(0.80, gt=0, lt=1, description="Anomaly score from which a patient is Medium.")
    high_threshold: float = Field(0.95, gt=0, lt=1, description="Anomaly score from which a patient is High.")
    workers: int = Field(2, ge=1, le=64, description="Worker processes of training and evaluation.")
    signing_key: SecretStr | None = SIGNING_KEY

    @model_validator(mode="after")
    def _thresholds_ascend(self) -> Self:
        if self.medium_threshold >= self.high_threshold:
            raise ValueError("MODEL_MEDIUM_THRESHOLD must be below MODEL_HIGH_THRESHOLD")
        return self


class _AppSettings(_Settings):
    """What both Flask apps need."""

    port: int
    host: str = Field("127.0.0.1", description="Address the process listens on.")
    public_url: str = Field("", description="Address people reach it at; empty means http://127.0.0.1 and the port.")
    socketio_async_mode: AsyncMode = Field("eventlet", description="Concurrency: eventlet, or threading as way out.")
    allowed_hosts: NameList = Field(
        ("127.0.0.1", "localhost", "[::1]"),
        description="Host names a request may be addressed to, separated by commas.",
    )
    trusted_proxies: int = Field(0, ge=0, le=5, description="Reverse proxies in front whose X-Forwarded headers count.")
    data_dir: ProjectPath = Field(PROJECT_ROOT / ".local", description="Folder for databases, one subfolder a process.")
    secrets_dir: ProjectPath = Field(
        PROJECT_ROOT / ".local" / "secrets", description="Folder for secrets that neither environment nor .env gives."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least severe log level shown.")
    session_hours: float = Field(12, gt=0, le=168, description="Hours until a sign-in ends.")
    session_idle_minutes: float = Field(
        60, ge=5, le=10_080, description="Minutes without a person at the page until a sign-in ends."
    )
    max_message_bytes: int = Field(65536, ge=4096, le=1_048_576, description="Largest request or event, in bytes.")
    max_connections: int = Field(
        2000, ge=1, le=20_000, description="Most pages and client apps connected at once; more are refused."
    )
    requests_per_minute: int = Field(
        3000, ge=10, le=1_000_000, description="Most HTTP requests a minute of one session or client app."
    )
    address_requests_per_minute: int = Field(
        30_000,
        ge=10,
        le=10_000_000,
        description="Most HTTP requests a minute of one address, all people there together.",
    )
    events_per_second: int = Field(
        300, ge=1, le=100_000, description="Most events a second of one connection; one that sends more is closed."
    )

    @field_validator("public_url")
    @classmethod
    def _is_no_path(cls, value: str) -> str:
        parts = urlsplit(value)
        is_address = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        if value and (not is_address or parts.path.strip("/") or parts.query or parts.fragment):
            raise ValueError(
                "must be http:// or https:// with a host and, if need be, a port: an app cannot be reached under a path"
            )
        return value

    @property
    def url(self) -> str:
        return self.public_url.rstrip("/") or f"http://127.0.0.1:{self.port}"


class ServerSettings(_AppSettings):
    """The server's settings."""

    port: int = Field(5000, ge=1, le=65535, description="TCP port of the server.")
    client_ids: NameList = Field(
        ("Client-1", "Client-2", "Client-3"), description="Client apps that may connect, separated by commas."
    )
    database_url: str = Field(
        "", repr=False, description="SQLAlchemy URL of the store; empty means SQLite in DATA_DIR/server."
    )
    retention_days: int | None = Field(
        None, ge=1, le=36_500, description="Days after which a prediction is erased for good; empty keeps all."
    )
    model_dir: ProjectPath = Field(PROJECT_ROOT / "saved_models", description="Folder of the trained model.")
    model_signing_key: SecretStr | None = SIGNING_KEY
    model_watch_seconds: float = Field(
        2, ge=0.05, le=3600, description="Seconds between two looks for a newly activated model."
    )
    batch_size: int = Field(16, ge=1, le=64, description="Most patients scored and stored at once.")
    max_waiting: int = Field(1000, ge=1, le=100_000, description="Most patients waiting to be scored.")
    drift_window_patients: int = Field(
        200, ge=100, le=1000, description="Newest patients of each client app that are compared with training."
    )
    drift_window_days: int = Field(90, ge=1, le=3650, description="Days after which a patient is no longer compared.")
    huggingface_api_token: SecretStr | None = Field(
        None, description="Hugging Face token; with it a Llama model writes explanations as well."
    )
    llm_model: str = Field(
        "meta-llama/Llama-3.1-8B-Instruct", description="Language model for explanations, or off for none."
    )
    llm_base_url: str = Field(
        "", description="OpenAI-compatible endpoint to use instead of Hugging Face; empty for none."
    )
    llm_api_key: SecretStr | None = Field(None, description="Key for LLM_BASE_URL; empty if it wants none.")
    llm_ca_file: ProjectPath | None = Field(
        None, description="PEM file of the authorities that a language model's certificate may come from."
    )
    llm_max_tokens: int = Field(
        400, ge=50, le=100_000, description="Tokens a language model may write; raise it for one that thinks first."
    )
    llm_constrained_decoding: Literal["off", "automatic", "on"] = Field(
        "automatic", description="Have the language model decode under a grammar of true texts: off, automatic or on."
    )
    llm_timeout_seconds: float | None = Field(
        None,
        ge=1,
        le=600,
        description="Seconds a language-model explanation may take; empty means 5, or 60 with LLM_BASE_URL.",
    )
    llm_concurrency: int = Field(4, ge=1, le=32, description="Language-model explanations under way at once.")

    @field_validator("client_ids")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not all(re.fullmatch(CLIENT_ID, name) for name in value):
            raise ValueError("must be names of at most 32 letters, digits and hyphens that begin with a letter")
        if RESERVED_IDS & {name.lower() for name in value}:
            raise ValueError(f"must not be one of: {', '.join(sorted(RESERVED_IDS))}")
        if len({name.lower() for name in value}) < len(value):
            raise ValueError("must differ in more than upper and lower case")
        return value

    @cached_property
    def secrets(self) -> "ServerSecrets":
        """The server's own secrets and every client app's token, made now where they are missing.

        Raises
        ------
        ConfigurationError
            When two that prove different identities are the same.
        """
        secret_key, operator_token, administrator_token = _load(self.app_name, server_secret_names(), self.secrets_dir)
        tokens = {
            client_id: _load(client_id.lower(), client_secret_names(client_id)[:1], self.secrets_dir)[0]
            for client_id in self.client_ids
        }
        if len({operator_token, administrator_token, *tokens.values()}) < 2 + len(tokens):
            raise ConfigurationError(
                "Two of OPERATOR_TOKEN, ADMINISTRATOR_TOKEN and the CLIENT_n_TOKEN are the same. "
                "Give each its own value."
            )
        return ServerSecrets(secret_key, operator_token, administrator_token, tokens)

    @field_validator("llm_base_url")
    @classmethod
    def _is_https_or_private(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.port == 0:
            raise ValueError("must be http:// or https:// with a host and, if need be, a port and a path")
        if parts.scheme == "http" and not _may_be_private(parts.hostname):
            raise ValueError("must be https:// unless it is on this machine or in a private network")
        return value

    @property
    def llm_seconds(self) -> float:
        """Seconds a language-model explanation may take: an endpoint of one's own may be a slow machine."""
        return self.llm_timeout_seconds or (60 if self.llm_base_url else 5)

    @property
    def app_name(self) -> str:
        return SERVER


class ClientSettings(_AppSettings):
    """A client app's settings."""

    port: int = Field(5001, ge=1, le=65535, description="TCP port of this client app.")
    client_id: str = Field("Client-1", description="Identity of this client app at the server.")
    server_url: str = Field("http://127.0.0.1:5000", description="Address of the server.")
    sample_data: ProjectPath = Field(
        PROJECT_ROOT / "data" / "heart_disease.csv", description="CSV that sample patients are taken from."
    )
    in_flight: int = Field(32, ge=1, le=256, description="Most requests sent to the server and not yet answered.")
    reply_timeout_seconds: float = Field(
        10, ge=1, le=120, description="Seconds after which an unanswered request is sent again."
    )
    reconnect_max_seconds: float = Field(
        10, ge=0.1, le=300, description="Longest pause between two attempts to reach the server."
    )

    @field_validator("client_id")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not re.fullmatch(CLIENT_ID, value):
            raise ValueError("must be a name of at most 32 letters, digits and hyphens that begins with a letter")
        return value

    @field_validator("server_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.port == 0:
            raise ValueError("must be http:// or https:// with a host and, if need be, a port")
        return value

    @cached_property
    def secrets(self) -> "ClientSecrets":
        """This client app's secrets, made now where they are missing."""
        return ClientSecrets(*_load(self.app_name, client_secret_names(self.client_id), self.secrets_dir))

    @property
    def app_name(self) -> str:
        return self.client_id.lower()


def unknown_names() -> list[str]:
    """Name what stands in ``.env`` and means nothing to any process: a setting that is gone, or a typing error."""
    prefix = TrainingSettings.model_config["env_prefix"]
    fields = [*ServerSettings.model_fields, *ClientSettings.model_fields]
    fields += [f"{prefix}{name}" for name in TrainingSettings.model_fields]
    known = {name.upper() for name in fields}
    given = [name for name in dotenv_values(ENV_FILE) if name.upper() not in known]
    return sorted(name for name in given if not re.fullmatch(OF_OTHERS, name, re.IGNORECASE))


def is_private(address: str) -> bool:
    """Tell whether what is sent to an IP address stays on this machine or in a private network.

    Raises
    ------
    ValueError
        If it is a name and not an address.
    """
    parsed = ipaddress.ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_private


def _may_be_private(host: str) -> bool:
    """Tell whether a host is private as far as its name shows; a name's addresses are checked when it is called."""
    try:
        return is_private(host)
    except ValueError:
        return True


@dataclass(frozen=True)
class ServerSecrets:
    """What proves who is who at the server."""

    secret_key: str = field(repr=False)
    operator_token: str = field(repr=False)
    administrator_token: str = field(repr=False)
    client_tokens: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class ClientSecrets:
    """What a client app proves itself with, and what its clinicians prove themselves with."""

    token: str = field(repr=False)
    clinician_token: str = field(repr=False)
    secret_key: str = field(repr=False)


def _load(scope: str, names: list[str], secrets_dir: Path) -> list[str]:
    given = dotenv_values(ENV_FILE) | {name: value for name, value in os.environ.items() if value}
    return [load_or_create(name, given=given, folder=secrets_dir / scope) for name in names]
