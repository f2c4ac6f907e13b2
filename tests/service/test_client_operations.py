"""Every operation that the API describes can be asked for by the client, or is left out for a reason."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import httpx2 as httpx
import pytest
from pydantic import BaseModel
from support.api_world import world_in

from service.client import ApiError, Client
from service.client.noun import Noun

LEFT_OUT = {
    "get_live": "for the supervisor of the process, without login",
    "get_ready": "for the load balancer, without login",
    "get_metrics": "for Prometheus, in a format of its own",
    "watch_camera": "MJPEG without end, for a browser's picture; `cameras.snapshot` and `boxes` give what it shows",
}
ID = "01K9ZB3Q0V5W1T8R6J2N4M7XCD"
NOT_OPERATIONS = {"close"}


def value_for(kind: Any) -> Any:
    """Something that an argument of this type may be."""
    if get_origin(kind) in (Union, UnionType):
        return value_for(get_args(kind)[-1 if Path in get_args(kind) else 0])
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) is Sequence:
        return [value_for(get_args(kind)[0])]
    if issubclass(kind, Enum):
        return next(iter(kind))
    if issubclass(kind, BaseModel):
        return kind.model_construct(id=ID, case_id=ID, revision=1, sha256="0" * 64)
    known = {str: ID, int: 1, float: 1.0, bool: True, bytes: b"x", datetime: datetime.now(UTC)}
    return known[kind]


def methods_of(client: Client) -> list[tuple[str, Any]]:
    """The public methods of the client and its nouns, bound."""
    nouns = {name: noun for name, noun in vars(client).items() if isinstance(noun, Noun)}
    assert nouns
    return [
        (f"{where}.{name}", method)
        for where, owner in {"client": client, **nouns}.items()
        for name, method in inspect.getmembers(owner, inspect.ismethod)
        if not name.startswith("_") and name not in NOT_OPERATIONS
    ]


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, str]]:
    """Method and path of every operation that is described."""
    with world_in(tmp_path_factory.mktemp("operations")) as world:
        paths = world.app.openapi()["paths"]
    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in paths.items()
        for method, operation in methods.items()
        if method in ("get", "post", "put", "patch", "delete")
    }


def operation_of(operations: dict[str, tuple[str, str]], request: httpx.Request) -> str | None:
    """The operation that a request asks for; a path without parameters goes before one with them."""
    found = [
        name
        for name, (method, path) in operations.items()
        if method == request.method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.url.path)
    ]
    return min(found, key=lambda name: operations[name][1].count("{"), default=None)


def ask(method: Any, arguments: dict[str, Any]) -> None:
    """Call a method; one that gives an iterator asks when that is looked at."""
    answer = method(**arguments)
    assert isinstance(answer, Iterator), f"{method} asks for nothing"
    next(answer)


def test_every_operation_is_in_the_client_or_left_out(operations: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    sent: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(404)

    asked: dict[str, set[str | None]] = {}
    with Client("http://tapetum.example", transport=httpx.MockTransport(refuse)) as client:
        for name, method in methods_of(client):
            hints = get_type_hints(method)
            arguments = {
                one.name: tmp_path / "file" if hints[one.name] is Path else value_for(hints[one.name])
                for one in inspect.signature(method).parameters.values()
                if one.default is one.empty
            }
            sent.clear()
            with pytest.raises(ApiError):
                ask(method, arguments)
            asked[name] = {operation_of(operations, request) for request in sent}
    assert [name for name, found in asked.items() if None in found] == [], "these ask for what is not there"
    reached = set().union(*asked.values())
    assert set(operations) - reached == set(LEFT_OUT)
