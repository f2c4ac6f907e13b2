"""The whole API while its Redis is in a bad state, of either make: every operation says so in a problem document that
tells when to try again, nothing is half done, and all of it passes by itself.

The parts for themselves: test_gallery_store.py, test_ingest.py (kill -9 between store and acknowledge, poison,
replica, out of memory, restarted empty), test_redis_server.py (eviction), test_erasure.py (erasure during ingest),
tests/pipeline/test_spool.py (disk full).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.api_world import (
    CALIBRATION,
    PASSWORD,
    World,
    bearer,
    client_of,
    foreseeable_loaders,
    world_in,
)
from support.described import described, seed

from service.redis_server import client_for
from service.security import Role
from tests.service.conftest import SERVERS

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
AWAY = {"store-unavailable", "audit-unavailable", "media-unavailable", "index-loading"}


@pytest.fixture(scope="module", params=sorted(SERVERS))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders, program = foreseeable_loaders(calibration=CALIBRATION), SERVERS[request.param]
    if not program.is_file():
        pytest.fail(f"{program} is missing: apt install redis-server")
    with world_in(tmp_path_factory.mktemp("state"), loaders=loaders, program=program) as world:
        yield world


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        seed(world)
        yield client


@pytest.fixture
def api(world: World, running: TestClient, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr("service.api.live.FIRST_PICTURE_S", 0.02)
    monkeypatch.setattr("service.api.live.SILENT_S", 0.02)
    running.cookies.clear()
    running.headers.update(bearer(world.token_of(Role.ADMIN)))
    return running


def _ask_everything(world: World, api: TestClient) -> dict[str, tuple[str, Any]]:
    """Method and answer of every operation, asked as its example is. Logging out comes last."""
    answers = {}
    for one in sorted(described(world.app), key=lambda one: one.name == "log_out"):
        if not one.endless:
            answers[one.name] = (one.method, api.request(one.method, one.path, params=one.params, json=one.body))
    return answers


def _check(answers: dict[str, tuple[str, Any]]) -> set[str]:
    """That each answer is right in a bad state. Returns the operations that say that something is away."""
    away = set()
    for name, (_, answer) in answers.items():
        assert answer.status_code < 500 or answer.status_code == 503, (name, answer.text[:300])
        if answer.status_code == 503 and name != "get_ready":
            assert answer.headers["content-type"] == "application/problem+json", name
            assert answer.json()["type"].rpartition(":")[2] in AWAY, (name, answer.text)
            assert int(answer.headers["retry-after"]) > 0, name
            away.add(name)
    return away


def _what_is_there(api: TestClient) -> dict[str, Any]:
    return {
        path: [{k: v for k, v in item.items() if k != "health"} for item in api.get(f"/api/v1/{path}").json()["items"]]
        for path in ("cameras", "tracklets", "subjects", "users", "searches", "walking-times")
    }


def _until_ready(api: TestClient) -> None:
    deadline = time.monotonic() + 30
    while api.get("/health/ready").status_code != 200:
        assert time.monotonic() < deadline, "did not recover"
        time.sleep(0.05)


def _break_memory(world: World) -> Callable[[], None]:
    client = client_for(world.server.url)
    client.config_set("maxmemory", "1")
    return lambda: _and_close(client, client.config_set("maxmemory", "0"))


def _make_replica(world: World) -> Callable[[], None]:
    client = client_for(world.server.url)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    return lambda: _and_close(client, client.execute_command("REPLICAOF", "NO", "ONE"))


def _stop_saving(world: World) -> Callable[[], None]:
    """What a full disk leads to: writes are refused until the file can be written again."""
    client = client_for(world.server.url)
    client.config_set("min-replicas-to-write", "1")
    return lambda: _and_close(client, client.config_set("min-replicas-to-write", "0"))


def _and_close(client: Any, _: object) -> None:
    client.close()


# Reads go on, nothing is written.
WRITES_REFUSED = {"out of memory": _break_memory, "a read-only replica": _make_replica, "no replica": _stop_saving}


@pytest.mark.parametrize("state", WRITES_REFUSED)
def test_while_nothing_can_be_written_nothing_is_done_and_reading_goes_on(
    world: World, api: TestClient, state: str
) -> None:
    _until_ready(api)
    before = _what_is_there(api)
    owner = world.services.accounts.get("admin-all")
    assert owner is not None
    by_token = bearer(world.services.tokens.add(owner, "a test", days=1)[0])
    heal = WRITES_REFUSED[state](world)
    try:
        answers = _ask_everything(world, api)
        lists = _what_is_there(api)
        assert api.get("/api/v1/cameras", headers=by_token).status_code == 200
    finally:
        heal()
    away = _check(answers)
    assert {"add_camera", "remove_camera", "add_user", "create_search", "erase_tracklets", "log_in"} <= away
    # A search is recorded before it is answered, so it is no reading.
    assert not away & {"list_cameras", "list_tracklets", "get_session", "get_live"}
    done = {name for name, (method, answer) in answers.items() if method in UNSAFE and answer.status_code < 300}
    assert done <= {"test_camera_address", "test_camera"}, done
    assert lists == before
    assert _what_is_there(api) == before
    assert api.get("/api/v1/audit/verification").json()["intact"]


def test_while_it_is_down_everything_says_so_and_then_goes_on(world: World, api: TestClient) -> None:
    _until_ready(api)
    before = _what_is_there(api)
    world.server.stop()
    try:
        answers = _ask_everything(world, api)
    finally:
        world.server.start()
    assert set(answers) - _check(answers) <= {"get_live", "get_ready"}
    assert answers["get_live"][1].status_code == 200
    assert answers["get_ready"][1].json()["reasons"] == ["Redis does not answer."]
    _until_ready(api)
    assert _what_is_there(api) == before
    assert api.get("/api/v1/audit/verification").json()["intact"]


def test_connections_that_a_failover_cuts_are_made_again(world: World, api: TestClient) -> None:
    _until_ready(api)
    knife = client_for(world.server.url)
    for path in ("cameras", "tracklets", "subjects", "users", "audit", "searches", "session", "system"):
        knife.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert api.get(f"/api/v1/{path}").status_code == 200, path
    knife.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    made = api.put("/api/v1/walking-times/car-park-north/nowhere", json={"seconds": 3})
    assert made.status_code in (404, 422), made.text  # understood, not lost
    knife.close()


def test_a_server_that_comes_back_empty_is_an_empty_installation(world: World, api: TestClient) -> None:
    """Nothing of before is shown any more, no login of before opens, and it can be used at once."""
    _until_ready(api)
    assert len(api.get("/api/v1/tracklets").json()["items"]) == 4
    client = client_for(world.server.url)
    client.flushall()
    client.close()
    assert api.get("/api/v1/tracklets").status_code == 401
    world.services.accounts.reset_admin(PASSWORD)
    api.headers.update(bearer(world.log_in(api)))
    api.cookies.clear()
    _until_ready(api)
    assert not any(_what_is_there(api)[path] for path in ("cameras", "tracklets", "subjects", "searches"))
    deadline = time.monotonic() + 30
    while world.services.index is None or len(world.services.index):
        assert time.monotonic() < deadline, "the index still finds what is gone"
        time.sleep(0.05)
    _check(_ask_everything(world, api))
