"""A whole installation in separate processes over one folder: Redis, a worker, the API; each may be killed."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx

from service.redis_server import EmbeddedRedis, client_for
from service.security import AccountStore
from service.supervisor import give_way


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Installation:
    """Processes as ``tapetum serve`` runs them, by hand."""

    def __init__(self, folder: Path, **settings: str):
        self.folder = folder
        self.redis = EmbeddedRedis(folder / "redis")
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            **os.environ,
            "TAPETUM_DATA_DIR": str(folder),
            "TAPETUM_PORT": str(self.port),
            "TAPETUM_REDIS_URL": self.redis.url,
            "TAPETUM_CAMERA_ALLOW_LOOPBACK": "true",
            **{f"TAPETUM_{name.upper()}": value for name, value in settings.items()},
        }
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def start(self, *names: str, niceness: int = 0) -> None:
        for name in names:
            log = (self.folder / f"{name}.log").open("ab")
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "service.cli", name],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,  # as the supervisor does: Linux may share processors between sessions first
                preexec_fn=partial(give_way, niceness),
            )
            log.close()

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        process = self.processes.pop(name)
        process.send_signal(number)
        process.wait(30)

    def close(self) -> None:
        self.client.close()
        for name in list(self.processes):
            self.kill(name, signal.SIGTERM)
        self.redis.stop()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def log_in(self) -> None:
        password = AccountStore(client_for(self.redis.url)).reset_admin()
        answer = self.client.post("/api/v1/session", json={"account": "admin", "password": password})
        assert answer.status_code < 300, answer.text
        self.client.headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def ready(self) -> bool:
        try:
            return self.client.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def get(self, path: str, **parameters: Any) -> Any:
        answer = self.client.get(f"/api/v1{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, **kwargs: Any) -> Any:
        answer = self.client.post(f"/api/v1{path}", **kwargs)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def camera(self, camera_id: str) -> Any:
        return self.get(f"/cameras/{camera_id}")

    def tracklets(self, **filters: Any) -> list[Any]:
        found: list[Any] = []
        cursor: str | None = None
        while True:
            page = self.get("/tracklets", limit=200, **filters, **({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def spooled(self) -> tuple[set[str], set[str]]:
        """Ids in the spools: still to be delivered, and delivered (kept for a while)."""
        waiting: set[str] = set()
        delivered: set[str] = set()
        for file in (self.folder / "spool").glob("*.sqlite"):
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as spool:
                for tracklet_id, done in spool.execute(SPOOLED):
                    (delivered if done else waiting).add(tracklet_id)
        return waiting, delivered


SPOOLED = "SELECT id, state FROM tracklets"  # state 0 waits, see pipeline.spool
