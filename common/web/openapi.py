"""The OpenAPI description of an app's HTTP API, made from its own routes and from the models of their answers."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar

from flask import Blueprint, Flask, current_app
from flask.typing import ResponseReturnValue
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from common.messages import PROTOCOL_VERSION, Message, WireError
from common.web.query import LARGEST
from common.web.sign_in import signed_in

View = TypeVar("View", bound=Callable[..., ResponseReturnValue])

_SCHEMAS: Final = "#/components/schemas/{model}"
_PREFIXES: Final = ("/api/", "/livez", "/readyz")
_ATTRIBUTE: Final = "api_operation"


class ErrorAnswer(Message):
    """What every route answers when it refuses or fails."""

    error: WireError


class Connections(Message):
    """Standing connections of a process: how many there are, may be and were refused."""

    now: int
    at_most: int
    refused: int


class Health(Message):
    """That the process serves, or can do its job."""

    status: str


class Description(Message):
    """An OpenAPI document."""

    openapi: str
    info: dict[str, Any]
    servers: list[dict[str, str]]
    security: list[dict[str, list[str]]]
    paths: dict[str, Any]
    components: dict[str, Any]


@dataclass(frozen=True)
class Operation:
    """What one route does; ``answer`` is ``None`` where it answers nothing, and ``query`` gives schemas by name."""

    summary: str
    answer: type[BaseModel] | None
    query: Mapping[str, Mapping[str, Any]]
    is_open: bool


def number(least: int = 0) -> Mapping[str, Any]:
    """Return the schema of a whole number in a query, as ``number_of_query`` reads it."""
    return {"type": "integer", "minimum": least, "maximum": LARGEST}


def described(
    summary: str,
    answer: type[BaseModel] | None,
    *,
    query: Mapping[str, Mapping[str, Any]] | None = None,
    is_open: bool = False,
) -> Callable[[View], View]:
    """Describe a view for the OpenAPI document."""

    def note(view: View) -> View:
        setattr(view, _ATTRIBUTE, Operation(summary, answer, query or {}, is_open))
        return view

    return note


def openapi_blueprint() -> Blueprint:
    """Make the route of the document; it is for whoever is signed in."""
    blueprint = Blueprint("openapi", __name__)

    @blueprint.get("/api/openapi.json")
    @described("This description.", Description)
    @signed_in
    def document() -> ResponseReturnValue:
        return openapi_document(current_app)

    return blueprint


def openapi_document(app: Flask) -> dict[str, Any]:
    """Describe every route of the API; raises ``LookupError`` for one that says nothing of itself."""
    operations = list(_operations(app))
    models = {operation.answer for _, operation in operations if operation.answer} | {ErrorAnswer}
    _, schemas = models_json_schema(
        [(model, "serialization") for model in sorted(models, key=lambda one: one.__name__)], ref_template=_SCHEMAS
    )
    paths: dict[str, dict[str, Any]] = {}
    for rule, operation in operations:
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            paths.setdefault(_path(rule), {})[method.lower()] = _described(rule, method, operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": f"Heart-attack anomaly detection, {app.import_name}", "version": str(PROTOCOL_VERSION)},
        "servers": [{"url": "/"}],
        "security": [{"cookie": []}, {"bearer": []}],
        "paths": paths,
        "components": {"schemas": schemas["$defs"], "securitySchemes": _security(app)},
    }


def _operations(app: Flask) -> Iterator[tuple[Rule, Operation]]:
    for rule in sorted(app.url_map.iter_rules(), key=lambda one: one.rule):
        if rule.rule.startswith(_PREFIXES):
            operation = getattr(app.view_functions[rule.endpoint], _ATTRIBUTE, None)
            if operation is None:
                raise LookupError(f"{rule.rule} has no description; put @described(...) on its view.")
            yield rule, operation


def _path(rule: Rule) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def _described(rule: Rule, method: str, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{rule.endpoint.replace('.', '_')}_{method.lower()}",
        "summary": operation.summary,
        "parameters": _parameters(rule, operation),
        "responses": _responses(operation),
    }
    return described | ({"security": []} if operation.is_open else {})


def _parameters(rule: Rule, operation: Operation) -> Sequence[Mapping[str, Any]]:
    in_path = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in sorted(rule.arguments)
    ]
    return in_path + [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()]


def _responses(operation: Operation) -> Mapping[str, Any]:
    if operation.answer is None:
        done = {str(HTTPStatus.NO_CONTENT.value): {"description": "Done."}}
    else:
        done = {str(HTTPStatus.OK.value): _json(operation.summary, operation.answer)}
    return done | {"default": _json("Refused or failed, with the reason.", ErrorAnswer)}


def _json(description: str, model: type[BaseModel]) -> dict[str, Any]:
    schema = {"$ref": _SCHEMAS.format(model=model.__name__)}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _security(app: Flask) -> Mapping[str, Any]:
    cookie = app.session_interface.get_cookie_name(app)
    return {
        "cookie": {"type": "apiKey", "in": "cookie", "name": cookie},
        "bearer": {"type": "http", "scheme": "bearer", "description": "A client app's token; for its own data."},
    }
