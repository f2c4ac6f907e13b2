"""Queries that mean harm, at every operation: each gets a sentence, and none breaks anything.

What is in a photo is in test_photos.py; windows, k and ids of searches in test_api.py; scopes in test_roles.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.api_world import CALIBRATION, World, bearer, client_of, foreseeable_loaders, world_in
from support.described import Described, described, seed

from service.security import Role

MARK = "hostile-mark"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders = foreseeable_loaders(calibration=CALIBRATION)
    with world_in(tmp_path_factory.mktemp("queries"), loaders=loaders, rate_limit_per_minute=None) as world:
        yield world


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        seed(world)
        client.headers.update(bearer(world.token_of(Role.ADMIN)))
        yield client


def _problem(answer: Any) -> dict[str, Any]:
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = json.loads(answer.content.decode("utf-8"))
    assert document["detail"]
    return document


# Each is sent as it is to everything that takes JSON.
BODIES: dict[str, bytes] = {
    "empty": b"",
    "no object": b"17",
    "an object in a list": b"[{}]",
    "cut off": b'{"name": "x',
    "not utf-8": b'{"name": "\xff\xfe"}',
    "utf-16": '{"there is no such field": 1}'.encode("utf-16"),  # json.loads takes it
    "a byte order mark": b'\xef\xbb\xbf{"name": 1}',
    "NUL": b'{"name": "\\u0000"}',
    "nested ten thousand times": b"[" * 10_000 + b"]" * 10_000,
    "an object nested ten thousand times": b'{"name":' * 10_000 + b"1" + b"}" * 10_000,
    "a number of five thousand digits": b'{"name": ' + b"9" * 5000 + b"}",
    "infinity": b'{"name": 1e999}',
    "NaN": b'{"name": NaN}',
    "python": b"{'name': __import__('os')}",
    "yaml": b"!!python/object/apply:os.system ['id']",
    "xml": b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "form": b"name=x&url=y",
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_none(world: World, api: TestClient, name: str) -> None:
    for one in described(world.app):
        if one.body is not None and one.name not in ("log_in", "change_own_password"):
            answer = api.request(
                one.method,
                one.path,
                params=one.params,
                content=BODIES[name],
                headers={"Content-Type": "application/json"},
            )
            # Where every field may be left out, what is said of one that there is not is enough.
            document = _problem(answer)
            assert document["type"].startswith("urn:tapetum:problem:"), one.name


# Each takes the place of every text in the example of everything that takes JSON.
TEXTS: dict[str, str] = {
    "half a surrogate": "\ud800" + MARK,
    "NUL": f"{MARK}\0",
    "direction": f"{MARK}\u202e",
    "line": f"{MARK}\r\nSet-Cookie: a=b",
    "script": f"<script>{MARK}</script>",
    "path": f"../../{MARK}",
    "backslash": f"..\\{MARK}",
    "pattern": f"*?[{MARK}]{{}}",
    "redis": f"{MARK} }} | -@tag:{{*}} \r\n*1\r\n$8\r\nFLUSHALL\r\n",
    "template": f"{{{{{MARK}.__class__}}}}",
    "long": MARK * 1000,
    "wide": "\U0001f600" * 500,
    "zero width": f"{MARK}\u200b\ufeff",
}


def _with(value: Any, text: str) -> Any:
    """Every text of a document replaced."""
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [_with(one, text) for one in value]
    if isinstance(value, dict):
        return {key: _with(one, text) for key, one in value.items()}
    return value


@pytest.mark.parametrize("name", TEXTS)
def test_texts_that_mean_harm(world: World, api: TestClient, name: str) -> None:
    before = world.services.redis.dbsize()
    for one in described(world.app):
        if one.body is None or one.name in ("log_in", "change_own_password"):
            continue
        body = json.dumps(_with(one.body, TEXTS[name])).encode()
        answer = api.request(one.method, one.path, params=one.params, content=body, headers=JSON)
        assert answer.status_code < 500, (one.name, answer.text[:300])
        if answer.status_code >= 400:
            assert MARK not in json.dumps(_problem(answer)), one.name  # nothing is sent back to whoever reads the log
        assert "set-cookie" not in answer.headers
    assert world.services.redis.dbsize() >= before  # nobody has flushed anything


IDS = ["%00", "%ff%fe", "..%2f..%2fetc%2fpasswd", "..%5c..%5cx", "%2e%2e", "*", "%7b%7d", "%3Cscript%3E", "a" * 3000,
       "%e2%80%ae", "%25%30%30", "0", "-1", "9" * 400, "01K9ZB3Q0V5W1T8R6J2N4M7XC%0A", "null", "%20"]  # fmt: skip


@pytest.mark.parametrize("hostile", IDS)
def test_ids_that_are_none(world: World, api: TestClient, hostile: str) -> None:
    for template, methods in world.app.openapi()["paths"].items():
        if "{" not in template:
            continue
        path = "/".join(hostile if part.startswith("{") else part for part in template.split("/"))
        for method in methods:
            answer = api.request(method.upper(), path)
            assert 400 <= answer.status_code < 500, (method, path, answer.text[:200])
            assert answer.headers["content-type"] == "application/problem+json"


def _lists(world: World) -> list[tuple[str, list[str]]]:
    return [
        (path, [p["name"] for p in methods["get"].get("parameters", ()) if p["in"] == "query"])
        for path, methods in world.app.openapi()["paths"].items()
        if "get" in methods and "{" not in path
    ]


@pytest.mark.parametrize(
    "hostile",
    ["-1", "1e9", "1000000000", "NaN", "Infinity", "true", "", " ", "%00", "%ff", "0x10", "9" * 5000, "[]", "1;DROP",
     "1926-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z",
     "0-0", "\u0661-\u0661", "Li4vLi4vZXRj", "MS5hLi4v", "AAAA", "gICAgA", "\U0001f600"],
)  # fmt: skip
def test_parameters_that_are_none(world: World, api: TestClient, hostile: str) -> None:
    """Also cursors that nobody was given, and the ends of time."""
    asked = 0
    for path, names in _lists(world):
        for name in names:
            answer = api.get(f"{path}?{name}={hostile}")
            assert answer.status_code in (200, 422), (path, name, answer.text[:200])
            asked += 1
            if answer.status_code == 422:
                _problem(answer)
    assert asked > 10


def test_a_parameter_many_times_is_survived(world: World, api: TestClient) -> None:
    for path, names in _lists(world):
        for name in names:
            answer = api.get(path + "?" + "&".join([f"{name}=x"] * 2000))
            assert answer.status_code in (200, 422), (path, name)


def test_headers_that_are_none(world: World, api: TestClient) -> None:
    for name, value in (
        ("Idempotency-Key", "x y"),
        ("Idempotency-Key", "x" * 500),
        ("Idempotency-Key", "../../x-y-z"),
    ):
        for one in described(world.app):
            if one.method == "POST" and one.body is not None and "201" in map(str, one.answers):
                answer = api.post(one.path, json=one.body, headers={name: value})
                if answer.status_code < 400:  # it takes no key
                    assert "Idempotency-Key" not in str(world.app.openapi()["paths"][one.path]["post"])
                else:
                    _problem(answer)


def test_every_example_is_one_that_the_server_understands(world: World, api: TestClient) -> None:
    """So that the tests above change what is right, and not what was wrong before."""
    not_understood = [one.name for one in described(world.app) if one.body is not None and not _understood(api, one)]
    assert not_understood == []


def _understood(api: TestClient, one: Described) -> bool:
    if one.name in ("log_in", "change_own_password"):
        return True
    answer = api.request(one.method, one.path, params=one.params, json=one.body)
    return answer.status_code < 500 and (answer.status_code != 422 or answer.json()["type"].split(":")[-1] != "invalid")
