"""Webhook targets of every kind, on this machine."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ulid import ULID

from service.alerts.webhook import Webhook
from tests.support.cameras import talker

SECRET = "whsec_" + base64.b64encode(b"a secret for the tests only").decode()


@dataclass
class Target:
    """What a target was sent, and what it answers: bytes, one after another, the last for ever."""

    answers: list[bytes] = field(default_factory=lambda: [answer(204)])
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]

    def speak(self, connection: socket.socket, stop: threading.Event) -> None:
        reader = connection.makefile("rb")
        reader.readline()
        headers = {}
        while (line := reader.readline().strip()) and not stop.is_set():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        self.got.append((headers, reader.read(int(headers.get("content-length", 0)))))
        connection.sendall(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def target(*answers: bytes) -> Iterator[Target]:
    """A target on this machine that keeps what it is sent."""
    kept = Target(list(answers) or [answer(204)])
    with talker(kept.speak) as port:
        kept.url = f"http://127.0.0.1:{port}/hooks?to=desk"
        yield kept


@contextmanager
def strange_target(speak: Callable[[socket.socket, threading.Event], None]) -> Iterator[str]:
    """The address of a target that does something else."""
    with talker(speak) as port:
        yield f"http://127.0.0.1:{port}/"


def webhook_to(url: str, **changes: Any) -> Webhook:
    now = datetime.now(UTC)
    values: dict[str, Any] = {
        "id": str(ULID()), "name": "a test", "url": url, "secret": SECRET, "cameras": None, "enabled": True,
        "created_at": now, "changed_at": now,
    }  # fmt: skip
    return Webhook(**{**values, **changes})
