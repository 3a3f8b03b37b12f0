"""A language model's writer for tests, at an endpoint of the test."""

import time
from collections.abc import Callable

from config.settings import ServerSettings
from server.explanation.llama import LlamaWriter


def settings_for(url: str, **changes: object) -> ServerSettings:
    usual: dict[str, object] = {
        "llm_base_url": url,
        "llm_model": "a/model",
        "llm_timeout_seconds": None,
        "llm_max_tokens": 400,
        "llm_constrained_decoding": "off",
        "llm_api_key": None,
        "llm_ca_file": None,
        "huggingface_api_token": None,
    }
    return ServerSettings.model_validate(usual | changes)


def asked_but(clause: str) -> str:
    """What is said where nothing came of asking the language model."""
    return f"The language model was asked, but {clause}."


def writer_at(url: str, clock: Callable[[], float] = time.time, **changes: object) -> LlamaWriter:
    return LlamaWriter(settings_for(url, **changes), clock)
