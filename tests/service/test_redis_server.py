"""The embedded server: one a folder, found by others, adopted when its starter is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.redis_server import EmbeddedRedis, RedisServerError, client_for, connect, describe
from service.settings import Settings


def test_it_says_what_is_connected(redis_server) -> None:
    found = describe(redis_server.client(), redis_server.url)
    assert found.product == ("valkey" if "valkey" in redis_server.program.name else "redis")
    assert int(found.version.split(".")[0]) >= 7
    assert len(found.run_id) == 40
    assert not found.may_evict


def test_a_server_that_evicts_is_noticed(mortal_server) -> None:
    client = mortal_server.client()
    client.config_set("maxmemory", "100mb")
    assert not describe(client).may_evict
    client.config_set("maxmemory-policy", "allkeys-lru")
    assert describe(client).may_evict


def test_every_acknowledged_write_survives_kill_9(mortal_server) -> None:
    client = mortal_server.client()
    for number in range(200):
        client.set(f"k{number}", number)
    mortal_server.kill()
    mortal_server.start()
    assert client.dbsize() == 200


def test_start_again_and_again_starts_one(mortal_server) -> None:
    pid = mortal_server.embedded.pid
    mortal_server.start()
    assert mortal_server.embedded.pid == pid


def test_a_second_holder_finds_the_first_ones_server_and_does_not_end_it(mortal_server) -> None:
    second = EmbeddedRedis(mortal_server.embedded.data_dir, server=mortal_server.program)
    second.start()
    assert second.url == mortal_server.url
    assert not second.owned
    second.stop()
    assert mortal_server.embedded.is_running()


def test_a_server_whose_starter_was_killed_is_adopted(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys, time
        from pathlib import Path
        from service.redis_server import EmbeddedRedis
        server = EmbeddedRedis(Path(sys.argv[1]))
        server.start()
        print("up", flush=True)
        time.sleep(60)
        """
    )
    root = Path(__file__).parents[2]
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "r")],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert starter.stdout is not None
    while b"up" not in (line := starter.stdout.readline()):
        assert line, "the starter ended"
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    server = EmbeddedRedis(tmp_path / "r")
    server.start()
    assert server.owned
    server.stop()
    assert not server.is_running()


def test_a_long_path_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with EmbeddedRedis(deep) as server:
        assert len(server.url) < 120
        client = client_for(server.url)
        assert client.ping()
        client.close()
        assert (deep / "appendonlydir").is_dir()


def test_a_folder_that_cannot_be_loaded_is_explained(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    server.start()
    client = client_for(server.url)
    client.set("a", "b")
    client.close()
    server.stop()
    for file in (tmp_path / "appendonlydir").glob("*.incr.aof"):
        file.write_bytes(b"*3\r\n$3\r\nSET\r\nrubbish" + file.read_bytes())
    with pytest.raises(RedisServerError, match="did not start"):
        server.start(timeout_s=10)


def test_connect_says_what_to_do_when_nothing_answers(tmp_path: Path) -> None:
    with pytest.raises(RedisServerError, match="TAPETUM_REDIS_URL"):
        connect(Settings(data_dir=tmp_path))
    url = SecretStr("redis://admin:hunter2@127.0.0.1:1/0")
    with pytest.raises(RedisServerError, match="does not answer") as caught:
        connect(Settings(data_dir=tmp_path, redis_url=url))
    assert "hunter2" not in str(caught.value)


def test_connect_finds_the_embedded_server(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "redis"):
        client = connect(Settings(data_dir=tmp_path))
        assert client.ping()
        client.close()


def test_a_frozen_server_does_not_hang_its_clients(mortal_server) -> None:
    client = mortal_server.client(timeout_s=0.3)
    client.ping()
    os.kill(mortal_server.embedded.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Exception, match=r"(?i)time"):
            client.ping()
        assert time.monotonic() - began < 5
    finally:
        os.kill(mortal_server.embedded.pid, signal.SIGCONT)
