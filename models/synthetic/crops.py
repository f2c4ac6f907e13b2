"""Tracklets: a person walks past a camera, and a detector cuts out what it sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.synthetic.body import BodyModel
from models.synthetic.cameras import Camera
from models.synthetic.dressing import Figure, dress
from models.synthetic.identity import draw_identity
from models.synthetic.places import Places
from models.synthetic.renderer import Actor, Picture, Renderer, View
from models.synthetic.sensor import develop
from models.synthetic.walk import stride_m

__all__ = ["Crop", "Studio"]

_LEAST_SEEN = 0.5
"""A crop shows at least this share of the person's height, or it is drawn anew elsewhere."""
_LEAST_AREA = 0.18
"""and covers at least this share of its box (a whole person covers about half)."""
_DRAWN_PX = 400.0
"""Height up to which crops are drawn finer than the sensor's pixels."""
_TRIES = 6
_FIGURES_KEPT = 16


@dataclass(frozen=True)
class Crop:
    """One picture of a tracklet.

    Attributes:
        picture: ``uint8[H, W, 3]`` BGR.
        box: of the window in the camera's picture (x1, y1, x2, y2), pixels.
        mask: ``uint8[h, w]`` as drawn: 1 the person, 2 and above others, 0 the scene.
        seen: share of the person's height that is visible.
    """

    picture: NDArray[np.uint8]
    box: tuple[float, float, float, float]
    mask: NDArray[np.uint8]
    seen: float


@dataclass(frozen=True)
class _Walk:
    """A straight path: where at the middle of the tracklet, which way, how."""

    start: tuple[float, float]
    heading: float
    pace: float
    phase: float
    arms: str


class Studio:
    """Body model, renderer and the figures used last: what one process needs to draw crops."""

    def __init__(self, model: BodyModel, world_seed: int) -> None:
        self._model = model
        self._places = Places.measure(model)
        self._seed = world_seed
        self._renderer = Renderer(self._places.eye_m)
        self._figures: dict[int, Figure] = {}

    @property
    def model(self) -> BodyModel:
        """The body model."""
        return self._model

    @property
    def renderer(self) -> Renderer:
        """What draws."""
        return self._renderer

    @property
    def device(self) -> str:
        """What draws, as OpenGL names it."""
        return self._renderer.device

    def figure(self, number: int) -> Figure:
        """The dressed figure of a person."""
        kept = self._figures.pop(number, None)
        if kept is None:
            while len(self._figures) >= _FIGURES_KEPT:
                self._figures.pop(next(iter(self._figures)))
            kept = dress(self._model, self._places, draw_identity(self._seed, number))
        self._figures[number] = kept
        return kept

    def draw(self, view: View, camera: Camera, actors: list[Actor]) -> Picture:
        """Radiance and owners of a window of a camera."""
        return self._renderer.draw(view, camera.scene.scenery, actors, camera.light)

    def tracklet(
        self, number: int, camera: Camera, frames: int, seconds: float, track: int, others: tuple[int, ...] = ()
    ) -> list[Crop]:
        """`frames` crops of person `number` before a camera, evenly spread over `seconds`.

        Args:
            track: number of this passage; another one is another walk.
            others: people who may be near, in front or behind.
        """
        part = [self._seed, 3, number, camera.number, int(camera.infrared), track]
        generator = np.random.default_rng(part)
        figure = self.figure(number)
        walk = self._walk(generator, camera, figure)
        company = self._company(generator, camera, walk, others)
        crops = []
        for t in np.linspace(-seconds / 2, seconds / 2, frames):
            crop = None
            for _ in range(_TRIES):
                crop = self._crop(generator, camera, figure, walk, float(t), company)
                if crop is not None and crop.seen >= _LEAST_SEEN:
                    break
                walk, company = self._walk(generator, camera, figure), []
            if crop is not None:
                crops.append(crop)
        return crops

    def _walk(self, generator: np.random.Generator, camera: Camera, figure: Figure) -> _Walk:
        half = camera.scene.half_width
        away = camera.reach_m * generator.uniform(-0.22, 0.3)
        along = generator.choice((0.0, np.pi))
        turn = generator.normal(0, 0.18 if camera.scene.kind == "corridor" else 0.45)
        if camera.scene.kind == "plaza":
            turn = generator.uniform(-np.pi, np.pi)
        stands = generator.random() < 0.06
        bag = figure.identity.outfit.bag
        arms = str(generator.choice(("swing", "phone", "call", "pocket"), p=(0.78, 0.09, 0.03, 0.1)))
        if bag in ("handbag", "tote"):
            arms = "carry"
        elif bag == "backpack" and generator.random() < 0.12:
            arms = "straps"
        sideways = camera.target[0] + generator.normal(0, 0.35 * half)
        return _Walk(
            (float(np.clip(sideways, -half, half)), float(away)),
            float(along + turn),
            0.0 if stands else 1.0,
            float(generator.random()),
            arms,
        )

    def _company(
        self, generator: np.random.Generator, camera: Camera, walk: _Walk, others: tuple[int, ...]
    ) -> list[tuple[Figure, _Walk]]:
        """Now and then somebody else is near: beside, behind, or crossing in front."""
        company = []
        for other in others:
            if generator.random() > 0.16:
                continue
            side = generator.choice((-1, 1)) * generator.uniform(0.45, 1.3)
            deep = generator.uniform(0.5, 2.5) if generator.random() < 0.7 else -generator.uniform(0.5, 1.2)
            heading = walk.heading if generator.random() < 0.6 else walk.heading + np.pi
            start = (walk.start[0] + side, walk.start[1] + deep)
            company.append((self.figure(other), _Walk(start, float(heading), 1.0, float(generator.random()), "swing")))
        return company

    def _actor(self, figure: Figure, walk: _Walk, t: float) -> tuple[Actor, float]:
        """The figure at time `t`, and its speed in m/s."""
        gait = figure.identity.gait
        cadence = gait.cadence_hz * figure.identity.speed
        speed = stride_m(figure.body, self._model, gait) * cadence * walk.pace
        x = walk.start[0] + np.sin(walk.heading) * speed * t
        z = walk.start[1] + np.cos(walk.heading) * speed * t
        points, normals = figure.posed(self._model, (walk.phase + cadence * t) % 1.0, walk.arms, walk.pace)
        return Actor(figure, points, normals, (float(x), float(z)), walk.heading), speed

    def _crop(
        self,
        generator: np.random.Generator,
        camera: Camera,
        figure: Figure,
        walk: _Walk,
        t: float,
        company: list[tuple[Figure, _Walk]],
    ) -> Crop | None:
        actor, speed = self._actor(figure, walk, t)
        pixels = camera.project(actor.in_world()[0])
        if np.isnan(pixels).any():
            return None
        (x1, y1), (x2, y2) = pixels.min(axis=0), pixels.max(axis=0)
        full = (x1, y1, x2, y2)
        box = _detected(generator, full, camera)
        if box is None:
            return None
        height = box[3] - box[1]
        scale = float(np.clip(_DRAWN_PX / height, 1.25, 2.0))
        view = camera.window(box, scale)
        actors = [actor] + [self._actor(other, path, t)[0] for other, path in company]
        drawn = self.draw(view, camera, actors)
        rows = np.flatnonzero((drawn.owners == 1).any(axis=1))
        if not len(rows):
            return None
        if (drawn.owners == 1).sum() < _LEAST_AREA * (x2 - x1) * (y2 - y1) * scale**2:
            return None
        seen = (rows[-1] - rows[0] + 1) / scale / max(y2 - y1, 1.0)
        centre = ((box[0] + box[2]) / camera.width_px - 1, (box[1] + box[3]) / camera.height_px - 1)
        forward = camera.world_to_camera()[:3, :3] @ np.array([np.sin(walk.heading), 0, np.cos(walk.heading)])
        reach = camera.focal_px / camera.reach_m * speed * camera.sensor.shutter_s
        motion = (float(forward[0] * reach), float(-forward[1] * reach))
        size = (max(8, round(box[2] - box[0])), max(8, round(height)))
        picture = develop(drawn.radiance, size, camera.sensor, centre, motion, generator)
        return Crop(picture, box, drawn.owners, float(min(1.0, seen)))


def _detected(
    generator: np.random.Generator, full: tuple[float, float, float, float], camera: Camera
) -> tuple[float, float, float, float] | None:
    """A detector's box: a little off on each side, at times too tight or too wide, cut by the picture's edge."""
    x1, y1, x2, y2 = full
    width, height = x2 - x1, y2 - y1
    spread = 0.05 if generator.random() < 0.85 else 0.11
    off = generator.normal(0.03, spread, 4) * np.array([1.8, 0.7, 1.8, 0.7])
    box = (
        max(0.0, x1 - off[0] * width),
        max(0.0, y1 - off[1] * height),
        min(float(camera.width_px), x2 + off[2] * width),
        min(float(camera.height_px), y2 + off[3] * height),
    )
    inside = box[2] - box[0] >= 0.55 * width and box[3] - box[1] >= _LEAST_SEEN * height
    return (float(box[0]), float(box[1]), float(box[2]), float(box[3])) if inside and height >= 40 else None
