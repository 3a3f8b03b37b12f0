"""An app's HTTP API held to its own OpenAPI description by schemathesis: many requests of every kind to every route."""

from collections.abc import Mapping
from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

SECONDS: Final = 20.0
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def check_conformance(document: Mapping[str, Any], url: str, headers: Mapping[str, str], requests_each: int) -> int:
    """Ask every operation so many times with what it expects, and with what it does not; return how many there are."""
    schema = schemathesis.openapi.from_dict(dict(document))
    operations: list[Any] = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]
    for operation in operations:
        for mode in GenerationMode:
            _check(operation, mode, url, headers, requests_each)
    return len(operations)


def _check(
    operation: Any,
    mode: GenerationMode,
    url: str,
    headers: Mapping[str, str],
    requests: int,
) -> None:
    takes_anything = not operation.query and not operation.path_parameters
    if mode is GenerationMode.NEGATIVE and takes_anything:
        return

    @seed(20261123)
    @settings(
        max_examples=1 if takes_anything else requests,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def ask(case: Any) -> None:
        case.call_and_validate(base_url=url, headers=dict(headers), checks=list(CHECKS), timeout=SECONDS)

    ask()
