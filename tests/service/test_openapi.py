"""The API against its own description, by schemathesis: every operation, every check, over a real server."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from jsonschema_rs import Draft202012Validator
from pydantic import TypeAdapter
from support.api_world import ADMIN, CALIBRATION, PASSWORD, World, bearer, foreseeable_loaders, scene, world_in
from support.described import CAMERA, EXAMPLE, described, seed
from support.served import served

from models.types import Modality
from pipeline.camera import CameraConfig
from service.api.schema import SearchRequest
from service.live import RedisLiveView

SUPPORT = Path(__file__).parents[1] / "support"


def test_a_description_made_again_is_no_deeper() -> None:
    """Pydantic hands the same schema to whoever asks again; checks must not be wrapped in checks."""
    depths = {str(TypeAdapter(list[SearchRequest]).core_schema).count("function-before") for _ in range(3)}
    assert len(depths) == 1


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders = foreseeable_loaders(calibration=CALIBRATION)
    folder = tmp_path_factory.mktemp("openapi")
    with world_in(folder, loaders=loaders, rate_limit_per_minute=None, photo_limit_per_minute=None) as world:
        yield world


@pytest.fixture(scope="module")
def address(world: World) -> Iterator[str]:
    """The application with a camera that sends pictures and some sightings, as the examples name them."""
    services = world.services
    seed(world)
    services.cameras.declare(CameraConfig("car-park-south", "South", "rtsp://192.168.1.21/x"))
    services.holds.place(EXAMPLE, "so that the first example does not erase it", ADMIN)
    view, stop = RedisLiveView(services.redis), threading.Event()

    def publish() -> None:
        while not stop.wait(0.1):
            if CAMERA not in services.camera_names():  # it is removed again and again
                services.cameras.declare(CameraConfig(CAMERA, CAMERA, "rtsp://192.168.1.20/x"))
            view.publish(CAMERA, scene(["red"]), [], datetime.now(UTC), Modality.VISIBLE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service.api.live.FIRST_PICTURE_S", 0.5)
        publisher = threading.Thread(target=publish)
        with served(world) as address:
            publisher.start()
            yield address
            stop.set()
            publisher.join()


def _session(world: World) -> str:
    account = world.services.accounts.get(ADMIN)
    assert account is not None
    return world.services.sessions.open(account)[0]


@contextmanager
def _logged_in(world: World, file: Path) -> Iterator[None]:
    """Keeps a living session of the administrator in a file, whatever becomes of the account."""
    stop = threading.Event()

    def renew() -> None:
        token = ""
        while not stop.is_set():
            if world.services.sessions.find(token) is None:
                world.services.accounts.reset_admin(PASSWORD)  # enabled, with its role and all cameras
                token = _session(world)
                written = file.with_suffix(".new")
                written.write_text(token, encoding="utf-8")
                written.replace(file)
            stop.wait(0.05)

    renewer = threading.Thread(target=renew)
    renewer.start()
    while not file.exists():
        stop.wait(0.01)
    try:
        yield
    finally:
        stop.set()
        renewer.join()


def _streams(world: World) -> dict[str, str]:
    """Names and templates of paths of what never ends by itself."""
    paths = {one["get"]["operationId"]: path for path, one in world.app.openapi()["paths"].items() if "get" in one}
    return {one.name: paths[one.name] for one in described(world.app) if one.endless}


def test_every_operation_keeps_what_the_description_says(world: World, address: str, tmp_path: Path) -> None:
    session = tmp_path / "session"
    environment = {
        **os.environ,
        "TAPETUM_TEST_SESSION": str(session),
        "PYTHONPATH": os.pathsep.join([str(SUPPORT.parent), os.environ.get("PYTHONPATH", "")]),
        "COLUMNS": "120",
    }
    left_out = [option for name in _streams(world) for option in ("--exclude-operation-id", name)]
    description = tmp_path / "openapi.json"
    with _logged_in(world, session):
        login = bearer(session.read_text(encoding="utf-8"))
        description.write_bytes(httpx.get(f"{address}/api/v1/openapi.json", headers=login).content)
        ran = subprocess.run(
            [sys.executable, "-m", "schemathesis.cli", "--config-file", SUPPORT / "schemathesis.toml", "run",
             description, "--url", address, "--no-color", *left_out],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]


def test_every_body_and_answer_has_an_example_that_fits(world: World) -> None:
    document, wrong, without = world.app.openapi(), {}, set()
    for methods in document["paths"].values():
        for operation in methods.values():
            for where, holder in [("body", operation.get("requestBody", {})), *operation["responses"].items()]:
                content = holder.get("content", {}).get("application/json")
                if content is None or (where != "body" and where >= "300"):
                    continue
                if "example" not in content:
                    without.add((operation["operationId"], where))
                    continue
                judge = Draft202012Validator({**content["schema"], "components": document["components"]})
                errors = [str(error.message) for error in judge.iter_errors(content["example"])]
                if errors:
                    wrong[operation["operationId"], where] = errors[:3]
    assert (wrong, without) == ({}, set())


def test_what_creates_takes_an_idempotency_key(world: World) -> None:
    without = {
        operation["operationId"]
        for methods in world.app.openapi()["paths"].values()
        for method, operation in methods.items()
        if method == "post" and "201" in operation["responses"]
        and not any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    }  # fmt: skip
    # A login, what goes by itself after an hour, what is the same twice, what a revision keeps from being done twice.
    assert without == {"log_in", "find_persons_in_photo", "erase_tracklets"}


def test_streams_begin_as_the_description_says(world: World, address: str) -> None:
    login = bearer(_session(world))
    document = world.app.openapi()["paths"]
    found = _streams(world)
    assert "watch_camera" in found
    for path in found.values():
        documented: Any = document[path]["get"]["responses"]
        where = path.replace("{camera_id}", CAMERA)
        with httpx.stream("GET", address + where, headers=login, timeout=20) as answer:
            assert answer.status_code == 200, path
            assert answer.headers["content-type"].partition(";")[0] in documented["200"]["content"]
        assert httpx.get(address + where).status_code == 401
        if where != path:
            missing = httpx.get(address + path.replace("{camera_id}", "nobody"), headers=login)
            assert missing.status_code == 404
            assert "application/problem+json" in documented["404"]["content"]
