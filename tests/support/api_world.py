"""What the API tests share: a real embedded server, a seeded gallery, and networks that tests can foresee."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from ulid import ULID

from models.calibration import Calibration, LogisticCalibration
from models.runtime.engine import EngineDescription
from models.types import Modality
from pipeline.camera import CameraConfig
from pipeline.camera_url import UrlPolicy
from pipeline.modality import photo_modality
from pipeline.types import Detections, FloatArray, Image
from service.api import Services, build_services, create_app
from service.api.engines import LoadedDetector, LoadedModel
from service.api.probing import CameraProbe
from service.api.services import Loaders
from service.gallery import CropRef, MediaStore, TrackletRecord
from service.gallery.media import make_thumbnail
from service.redis_server import EmbeddedRedis
from service.security import ADMIN, Access, Role
from service.settings import Settings, load_settings

DIM = 32
MODEL_HASH = "test-model-1"
PASSWORD = "a-password-for-tests"
EVERYTHING = Access(ADMIN, Role.ADMIN)
COLOURS = {"red": (40, 40, 200), "green": (40, 160, 40), "blue": (200, 60, 30), "white": (225, 225, 225)}
START = datetime(2026, 3, 1, 18, 0, tzinfo=UTC)


class ColourDetector:
    """Finds upright rectangles of the four plain colours on a grey ground: a detector whose answers are known."""

    def detect(self, images: Sequence[Image]) -> list[Detections]:
        return [self._one(image) for image in images]

    def _one(self, image: Image) -> Detections:
        boxes = []
        for colour in COLOURS.values():
            near = (np.abs(image.astype(int) - np.array(colour)).max(axis=2) < 40).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(near)
            for x, y, w, h, area in stats[1:]:
                if area > 400 and h > w and h < 0.98 * image.shape[0]:
                    boxes.append((x, y, x + w, y + h))
        found = np.array(boxes, np.float32).reshape(-1, 4)
        return Detections(found, np.full(len(found), 0.9, np.float32))


class ColourEmbedder:
    """Maps a crop to a fixed direction for its mean colour, so that like clothes lie near."""

    model_hash = MODEL_HASH
    dim = DIM

    def __init__(self) -> None:
        self._axes = np.random.default_rng(7).normal(size=(4, DIM)).astype(np.float32)

    def embed_images(self, crops: Sequence[Image], modalities: Sequence[Modality]) -> FloatArray:
        return np.stack([self.of_colour(crop.reshape(-1, 3).mean(axis=0)) for crop in crops])

    def embed_clips(self, clips: Sequence[Sequence[Image]], modalities: Sequence[Modality]) -> FloatArray:
        return self.embed_images([crop for clip in clips for crop in clip[:1]], modalities)

    def of_colour(self, bgr: Any) -> FloatArray:
        vector = np.array([*(np.asarray(bgr, np.float32) / 255.0 - 0.4), 0.1], np.float32) @ self._axes
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    def describe(self) -> EngineDescription:
        return EngineDescription("test", "1", "cpu", "fp32", 1, "colours")


@dataclass
class World:
    """One running application and what is in it."""

    settings: Settings
    services: Services
    app: FastAPI
    server: EmbeddedRedis

    def log_in(self, client: TestClient, account: str = ADMIN) -> str:
        """A session's token; the client keeps the cookie too."""
        answer = client.post("/api/v1/session", json={"account": account, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])

    def token_of(self, role: Role, cameras: Collection[str] | None = None) -> str:
        """A session's token of an account with this role and scope, which is made when it is not there."""
        scope = hashlib.sha256(repr(sorted(cameras)).encode()).hexdigest()[:8] if cameras is not None else "all"
        name = f"{role}-{scope}"
        account = self.services.accounts.get(name) or self.services.accounts.add(name, PASSWORD, role, cameras)
        return self.services.sessions.open(account)[0]


def person_picture(colour: str, *, width: int = 64, height: int = 128) -> Image:
    """A standing figure in clothes of one colour."""
    image = np.full((height, width, 3), 110, np.uint8)
    cv2.ellipse(image, (width // 2, height // 6), (width // 7, height // 9), 0, 0, 360, (150, 170, 200), -1)
    cv2.rectangle(image, (width // 5, height // 4), (4 * width // 5, height - 4), COLOURS[colour], -1)
    return image


def scene(colours: Sequence[str], *, width: int = 640, height: int = 360) -> Image:
    """Several of them beside each other."""
    image = np.full((height, width, 3), 110, np.uint8)
    step = width // max(len(colours), 1)
    for i, colour in enumerate(colours):
        left = i * step + step // 3
        cv2.rectangle(image, (left, 60 + 12 * i), (left + max(step // 4, 12), height - 40), COLOURS[colour], -1)
    return image


def encoded(image: Image, suffix: str = ".jpg") -> bytes:
    ok, data = cv2.imencode(suffix, image)
    assert ok
    return data.tobytes()


def record_of(
    media: MediaStore,
    colour: str,
    *,
    number: int,
    camera: str = "gate",
    modality: Modality = Modality.VISIBLE,
    model_hash: str = MODEL_HASH,
    started_at: datetime | None = None,
    closed: bool = True,
    pictures: Sequence[Image] = (),
) -> TrackletRecord:
    """A tracklet with its pictures written; of a person in one colour where no other `pictures` are given."""
    started = started_at or START + timedelta(minutes=number)
    tracklet_id = str(ULID.from_datetime(started))
    crops, thumbnail = [], None
    for i in range(3):
        image = pictures[i % len(pictures)] if pictures else person_picture(colour)
        if modality is Modality.INFRARED and not pictures:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        jpeg = encoded(cv2.convertScaleAbs(image, alpha=1.0 - 0.05 * i))
        digest = hashlib.sha256(jpeg).hexdigest()[:32]
        key = MediaStore.key(camera, started, tracklet_id, digest)
        media.write(key, jpeg)
        if thumbnail is None:
            thumbnail = MediaStore.key(camera, started, tracklet_id, digest, thumbnail=True)
            media.write(thumbnail, make_thumbnail(jpeg))
        crops.append(CropRef(key, (10.0, 10.0, 74.0, 138.0), 0.9 - 0.1 * i, float(i), started + timedelta(seconds=i)))
    rng = np.random.default_rng(number)
    vector = ColourEmbedder().of_colour(COLOURS[colour]) + rng.normal(scale=0.02, size=DIM).astype(np.float32)
    vector /= np.linalg.norm(vector)
    return TrackletRecord(
        id=tracklet_id,
        revision=1,
        camera_id=camera,
        track_id=number,
        modality=modality,
        started_at=started,
        ended_at=started + timedelta(seconds=4),
        closed=closed,
        frame_count=12,
        quality=0.8,
        model_hash=model_hash,
        vector=vector,
        crops=tuple(crops),
        thumbnail=thumbnail,
    )


def foreseeable_loaders(*, calibration: Calibration | None = None, probe: CameraProbe | None = None) -> Loaders:
    """Networks and cameras whose answers a test knows; decoding, boxes, vectors and ranking are real."""

    def look(config: CameraConfig, policy: UrlPolicy) -> CameraProbe:
        return probe or CameraProbe(reason="The camera does not answer.")

    return Loaders(
        lambda: LoadedModel(ColourEmbedder(), DIM, "colours, for tests", calibration),
        lambda: LoadedDetector(ColourDetector(), EngineDescription("test", "1", "cpu", "fp32", 1, "rectangles")),
        photo_modality,
        look,
    )


CALIBRATION = Calibration(
    LogisticCalibration(20.0, -10.0), LogisticCalibration(20.0, -10.0), LogisticCalibration(12.0, -6.0)
)


@contextmanager
def world_in(
    folder: Path, *, loaders: Loaders | None = None, dashboard: bool = False, program: Path | None = None, **extra: Any
) -> Iterator[World]:
    """A new server, settings and application over one folder; the networks are loaded when it is given."""
    # The pretty traces of structlog's default take seconds to draw; the service itself does not use them.
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )
    extra.setdefault("retention_days", None)  # the made-up sightings are old, and retention looks once a minute
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedRedis(folder / "redis", server=program))
        settings = load_settings(data_dir=folder, cache_dir=folder / "cache", redis_url=server.url, **extra)
        services = build_services(settings, loaders=loaders or foreseeable_loaders())
        services.accounts.reset_admin(PASSWORD)
        yield World(settings, services, create_app(settings, services, dashboard=dashboard), server)


@contextmanager
def client_of(world: World, *, engines_s: float = 30.0, **options: Any) -> Iterator[TestClient]:
    """A client that is not logged in, over the running application with its index loaded."""
    options.setdefault("raise_server_exceptions", False)
    with TestClient(world.app, base_url="http://testserver", **options) as client:
        world.services.engines.wait(engines_s)
        assert world.services.engines.error is None, world.services.engines.error
        assert world.services.follower is not None
        assert world.services.follower.wait_ready(30)
        yield client


@contextmanager
def served(world: World) -> Iterator[int]:
    """The port of the application behind real sockets, with its index loaded."""
    config = uvicorn.Config(world.app, host="127.0.0.1", port=0, log_level="error", proxy_headers=False)
    config.timeout_graceful_shutdown = 1  # for streams that a failed test left open
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        world.services.engines.wait(30)
        assert world.services.follower is not None
        assert world.services.follower.wait_ready(30)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
