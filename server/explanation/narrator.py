"""Who explains: the deterministic text at once, and a language model afterwards if one is configured."""

from dataclasses import dataclass
from typing import Protocol

from common.messages import CircuitStatus
from config.settings import ServerSettings
from server.explanation.facts import Facts
from server.explanation.llama import LlamaWriter


class Writer(Protocol):
    """A language model that explains by a deadline; raises ``NarrativeError`` when it cannot."""

    model: str
    prompt_version: str

    def write(self, facts: Facts, deadline: float) -> str: ...

    @property
    def circuit(self) -> CircuitStatus:
        """How its endpoint is doing."""


@dataclass(frozen=True)
class ExplanationSource:
    """Who writes explanations at the moment, and why nobody else does."""

    writer: Writer | None
    reason: str


def explanation_source(settings: ServerSettings) -> ExplanationSource:
    """Choose the language model of the settings, or none."""
    if settings.llm_model.lower() == "off":
        return ExplanationSource(None, "LLM_MODEL is off, so explanations are the deterministic text.")
    if settings.llm_base_url:
        return ExplanationSource(LlamaWriter(settings), "LLM_BASE_URL is set.")
    if settings.huggingface_api_token:
        return ExplanationSource(LlamaWriter(settings), "HUGGINGFACE_API_TOKEN is set.")
    return ExplanationSource(
        None, "HUGGINGFACE_API_TOKEN is not set in .env, so explanations are the deterministic text."
    )
