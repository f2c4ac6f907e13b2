"""Requests as the API's description gives examples of them: one for every operation, a new one too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from support.api_world import ADMIN, World, record_of
from support.filmed import filmed

from pipeline.camera import CameraConfig
from service.subjects import Decision

__all__ = ["CAMERA", "EXAMPLE", "STREAMS", "Described", "described", "seed"]

CAMERA, EXAMPLE = "car-park-north", "01K9ZB3Q0V5W1T8R6J2N4M7XCD"  # as in the examples

STREAMS = frozenset({"text/event-stream", "multipart/x-mixed-replace"})


@dataclass(frozen=True)
class Described:
    """One operation with the values of its examples.

    Attributes:
        body: the JSON it takes; None where it takes none.
        endless: the answer is a stream that never ends by itself.
        answers: the statuses that are described.
    """

    name: str
    method: str
    path: str
    body: Any
    endless: bool
    answers: frozenset[int]
    params: dict[str, Any] = field(default_factory=dict)


def described(app: FastAPI) -> Iterator[Described]:
    for template, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            path, params = template, {}
            for parameter in operation.get("parameters", ()):
                schema = parameter["schema"]
                value = schema.get("examples", [schema.get("minimum", "x")])[0]
                if parameter["in"] == "path":
                    path = path.replace("{" + parameter["name"] + "}", str(value))
                elif parameter.get("required"):
                    params[parameter["name"]] = value
            content = operation.get("requestBody", {}).get("content", {})
            kinds = set(operation["responses"].get("200", {}).get("content", {}))
            yield Described(
                operation["operationId"],
                method.upper(),
                path,
                content.get("application/json", {}).get("example"),
                bool(STREAMS & kinds),
                frozenset(int(status) for status in operation["responses"]),
                params,
            )


def seed(world: World) -> None:
    """Put there what the examples ask for: a camera, sightings, a subject."""
    services = world.services
    services.cameras.declare(CameraConfig(CAMERA, CAMERA, "rtsp://192.168.1.20/x"))
    for number in range(4):
        record = record_of(services.media, "red", number=number + 1, camera=CAMERA)
        services.gallery.put(filmed(services.media, replace(record, id=EXAMPLE) if number == 0 else record))
    services.subjects.add(EXAMPLE, None, ADMIN, {EXAMPLE: Decision(CAMERA, ADMIN, datetime.now(UTC))})
