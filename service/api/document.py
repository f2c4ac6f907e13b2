"""The OpenAPI document: what the gate, the limits and the error handlers do to every operation, said in one place.

A route declares the errors of its own (404, 409 and the like, with a sentence); everything that any route can be
answered with is added here, in the form it has: `application/problem+json`. So are examples, and the headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from service.api.access import permissions_of
from service.api.examples import Examples
from service.metrics import API_PREFIX
from service.problems import MEDIA_TYPE, Problem, problem_document
from service.security.access import Permission

__all__ = ["describe_all"]

Json = dict[str, Any]
# What any operation of the kind can be answered with: code of the problem, what it means.
_ANY_LOGIN = {
    401: ("not-logged-in", "Not logged in, or the login has ended."),
    403: ("forbidden", "The account's role, scope or token does not reach so far, or another site's page sent this."),
}
_ANY_INPUT = {422: ("invalid", "A field was not accepted; `errors` names it.")}
_ANY_BODY = {
    400: ("bad-request", "The request could not be read."),
    408: ("too-slow", "The request did not arrive in time."),
    413: ("too-large", "The request is larger than is accepted."),
    415: ("unsupported-media-type", "The body is of another kind than this operation takes."),
}
_ANY_OF_API = {429: ("too-many-requests", "Too many requests; `Retry-After` says when to go on.")}
_AWAY = {
    503: ("store-unavailable", "What this needs does not answer or is still loading; try again after `Retry-After`."),
}
_HEADERS: Json = {
    "X-Request-ID": {
        "description": "Of this request, here and in the log; the caller's own where it sent one of 8 to 64 letters, "
        "digits, `-` and `_`.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]{8,64}$"},
    },
    "RateLimit-Policy": {
        "description": "The limit that counts here: q requests in w seconds.",
        "schema": {"type": "string"},
        "example": '"requests";q=1200;w=60',
    },
    "RateLimit": {
        "description": "What is left of it: r requests for the next t seconds.",
        "schema": {"type": "string"},
        "example": '"requests";r=1199;t=60',
    },
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string", "pattern": "^[0-9]+$"}},
    "WWW-Authenticate": {"description": "How to log in.", "schema": {"type": "string"}},
}


def describe_all(app: FastAPI) -> None:
    """Complete the application's OpenAPI document whenever it is made."""
    make = app.openapi

    def openapi() -> Json:
        if app.openapi_schema is None:
            _complete(make(), {(method, path): permission for method, path, permission in permissions_of(app)})
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(document: Json, permissions: Mapping[tuple[str, str], Permission | None]) -> None:
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"session": {"type": "http", "scheme": "bearer"}}
    components["headers"] = _HEADERS
    schemas = components.setdefault("schemas", {})
    schemas |= _problem_schemas()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    common = _ANY_LOGIN | _ANY_INPUT | _ANY_BODY | _ANY_OF_API | _AWAY
    components["responses"] = {
        _name(status): _problem(status, code, sentence) for status, (code, sentence) in common.items()
    }
    document["security"] = [{"session": []}]
    examples = Examples(schemas)
    for method, path, operation in _operations(document):
        permission = permissions.get((method, path))
        if permission is not None:
            operation["x-permission"] = permission.value
        _describe_parameters(operation)
        _describe_errors(operation, path)
        _describe_success(operation, path)
        examples.add_to(operation)


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document.get("paths", {}).items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _describe_parameters(operation: Json) -> None:
    """A parameter is given or left out, and never null."""
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
        if len(options) == 1:
            del schema["anyOf"]
            parameter["schema"] = schema | options[0]


def _describe_errors(operation: Json, path: str) -> None:
    expected: dict[int, tuple[str, str]] = {}
    if operation.get("security") != []:
        expected |= _ANY_LOGIN
    if "requestBody" in operation:
        expected |= _ANY_BODY
    if "requestBody" in operation or operation.get("parameters"):
        expected |= _ANY_INPUT
    if path.startswith(API_PREFIX):
        expected |= _ANY_OF_API
    if path.startswith(API_PREFIX) or operation.get("security") != []:
        expected |= _AWAY
    responses = operation["responses"]
    for status in list(responses):
        response = responses[status]
        if int(status) < 400 or not _is_problem(response):
            continue
        if _is_general(response):
            del responses[status]
        else:
            responses[status] = _problem(int(status), _code(int(status)), response["description"])
    for status in expected:
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{_name(status)}"})
    operation["responses"] = dict(sorted(responses.items()))


def _describe_success(operation: Json, path: str) -> None:
    names = ["X-Request-ID"]
    if path.startswith(API_PREFIX) and operation.get("security") != []:
        names += ["RateLimit-Policy", "RateLimit"]
    for response in operation["responses"].values():
        if "$ref" not in response:
            response["headers"] = _links(*names) | response.get("headers", {})


def _problem(status: int, code: str, sentence: str) -> Json:
    """A response that is a problem document."""
    names = ["X-Request-ID"]
    names += {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])
    example = problem_document(status, code, sentence, request_id="5f0c2a1e9b7d4c38")
    return {
        "description": sentence,
        "headers": _links(*names),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }


def _links(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _is_problem(response: Json) -> bool:
    """Whether it is not another document that a route answers with, such as why it is not ready."""
    schemas = [content.get("schema", {}).get("$ref", "") for content in response.get("content", {}).values()]
    named = {ref.rpartition("/")[2] for ref in schemas if ref}
    return named <= {"Problem", "HTTPValidationError"}


def _is_general(response: Json) -> bool:
    """Whether FastAPI or the router of a noun has put it there, and not the route itself."""
    return "HTTPValidationError" in str(response) or MEDIA_TYPE in response.get("content", {})


def _problem_schemas() -> Json:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs", {}), "Problem": schema}


def _name(status: int) -> str:
    return HTTPStatus(status).name.title().replace("_", "")


def _code(status: int) -> str:
    return HTTPStatus(status).phrase.lower().replace(" ", "-")
