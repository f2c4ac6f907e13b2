"""Requests that are sent half, and the rest after their login has ended: over real sockets, as an attacker would."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.api_world import PASSWORD, World, served, world_in

from pipeline.camera import CameraConfig
from service.security import Role


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("held")) as world:
        yield world


@pytest.fixture(scope="module")
def port(world: World) -> Iterator[int]:
    with served(world) as port:
        yield port


class Held:
    """A request of which the last byte is missing."""

    def __init__(self, port: int, method: str, path: str, token: str, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        login = f"Authorization: Bearer {token}\r\n" if token else ""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.sendall(f"{head}{login}Content-Length: {len(data)}\r\n\r\n".encode() + data[:-1])
        self._last = data[-1:]
        time.sleep(0.3)  # it has passed the gate

    def finish(self) -> int:
        """Send the last byte; the status of the answer."""
        with contextlib.suppress(OSError):  # hung up already; what was answered can still be read
            self._socket.sendall(self._last)
        return self.status()

    def status(self) -> int:
        answer = b""
        with self._socket:
            while part := self._socket.recv(4096):
                answer += part
        return int(answer.split()[1])


ENDS: dict[str, Callable[[World, Any], object]] = {
    "logged out": lambda world, session: world.services.sessions.close(session),
    "disabled": lambda world, session: world.services.accounts.set("boss", active=False),
    "new password": lambda world, session: world.services.accounts.set("boss", password=PASSWORD),
    "removed": lambda world, session: world.services.accounts.remove("boss"),
}


@pytest.mark.parametrize("wait_s", [0.0, 1.5], ids=["at once", "later"])
@pytest.mark.parametrize("end", list(ENDS))
def test_what_was_held_is_not_carried_out_when_the_login_has_ended(
    world: World, port: int, end: str, wait_s: float
) -> None:
    services = world.services
    if services.accounts.get("boss") is not None:
        services.accounts.remove("boss")
    services.cameras.declare(CameraConfig("gate", "Gate", "rtsp://192.168.1.9/x"))
    token, session = services.sessions.open(services.accounts.add("boss", PASSWORD, Role.ADMIN))
    held = [
        Held(port, "POST", "/api/v1/users", token, {"account": "backdoor", "role": "admin", "password": PASSWORD}),
        Held(port, "PATCH", "/api/v1/cameras/gate", token, {"name": "Taken over"}),
    ]
    ENDS[end](world, session)
    time.sleep(wait_s)  # before the gate looks again by itself, and after
    assert [one.finish() for one in held] == [401, 401]
    assert services.accounts.get("backdoor") is None
    assert services.cameras.get("gate").config.name == "Gate"


def test_what_was_held_with_a_token_is_not_carried_out_when_it_is_revoked(world: World, port: int) -> None:
    services = world.services
    services.cameras.declare(CameraConfig("gate", "Gate", "rtsp://192.168.1.9/x"))
    owner = services.accounts.get("admin")
    assert owner is not None
    secret, token = services.tokens.add(owner, "leaked", days=1)
    held = Held(port, "PATCH", "/api/v1/cameras/gate", secret, {"name": "Taken over"})
    services.tokens.revoke(token.id)
    assert held.finish() == 401
    assert services.cameras.get("gate").config.name == "Gate"


def test_a_slow_request_of_a_login_that_lives_is_carried_out(world: World, port: int) -> None:
    services = world.services
    services.cameras.declare(CameraConfig("gate", "Gate", "rtsp://192.168.1.9/x"))
    held = Held(port, "PATCH", "/api/v1/cameras/gate", world.token_of(Role.ADMIN), {"name": "Main gate"})
    time.sleep(1.5)
    assert held.finish() == 200
    assert services.cameras.get("gate").config.name == "Main gate"


@pytest.mark.parametrize("path", ["/api/v1/session", "/api/v1/search"])
def test_a_request_that_never_ends_is_given_up(
    world: World, port: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.limits.JSON_LIMIT_S", 0.5)
    body = {"account": "admin", "password": PASSWORD}
    token = world.token_of(Role.VIEWER) if path.endswith("search") else ""
    assert Held(port, "POST", path, token, body).status() == 408
