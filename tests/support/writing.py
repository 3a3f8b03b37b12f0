"""A language model's writer for tests, at an endpoint of the test."""

from common.messages import CircuitStatus
from config.settings import ServerSettings
from server.explanation.endpoint import Endpoint

CLOSED = CircuitStatus(state="closed", seconds_left=0, reason=None)


def settings_for(url: str, **changes: object) -> ServerSettings:
    usual: dict[str, object] = {
        "llm_base_url": url,
        "llm_model": "a/model",
        "llm_timeout_seconds": None,
        "llm_api_key": None,
        "llm_ca_file": None,
        "huggingface_api_token": None,
    }
    return ServerSettings.model_validate(usual | changes)


def endpoint_at(url: str, **changes: object) -> Endpoint:
    return Endpoint.of(settings_for(url, **changes))
