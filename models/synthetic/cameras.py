"""Cameras of the rendered world: where they hang, how they see, what their electronics do to the picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.synthetic.renderer import Illumination, Lamp, View
from models.synthetic.scenes import KINDS, Scene, draw_light, draw_scene
from models.synthetic.sensor import Sensor, draw_sensor
from models.synthetic.thermal import ThermalSensor, draw_heat, draw_thermal_sensor

__all__ = ["Camera", "at_night", "draw_camera"]

Floats = NDArray[np.float32]
_FAR_M = 70.0
_CLEAR = 0.4
"""Share of the way to the target that nothing may block: what hangs there is not drawn."""


@dataclass(frozen=True)
class Camera:
    """A mounted camera; everything about it stays the same for all who pass.

    Attributes:
        place: of the lens, metres; the scene's walkway runs along z.
        target: the point looked at.
        focal_px: focal length in pixels of the full picture.
        reach_m: distance to the target.
        infrared: sees by a lamp of its own in the near infrared, or is a thermal camera.
        light: what it sees by.
    """

    number: int
    infrared: bool
    scene: Scene
    place: tuple[float, float, float]
    target: tuple[float, float, float]
    roll_deg: float
    focal_px: float
    width_px: int
    height_px: int
    light: Illumination
    sensor: Sensor | ThermalSensor

    @property
    def reach_m(self) -> float:
        """Distance from the lens to the target."""
        return float(np.linalg.norm(np.subtract(self.target, self.place)))

    def world_to_camera(self) -> NDArray[np.float64]:
        """``[4, 4]``: x right, y up, looking along -z."""
        eye = np.array(self.place)
        forward = np.array(self.target) - eye
        forward = forward / np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 1.0, 0.0])
        right = right / np.linalg.norm(right)
        up = np.cross(right, forward)
        c, s = np.cos(np.radians(self.roll_deg)), np.sin(np.radians(self.roll_deg))
        axes = np.stack([c * right + s * up, c * up - s * right, -forward])
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = axes, -axes @ eye
        return matrix

    def project(self, points: Floats) -> NDArray[np.float64]:
        """Pixels ``[N, 2]`` (x right, y down) of world points ``[N, 3]``; NaN behind the lens."""
        seen = points @ self.world_to_camera()[:3, :3].T + self.world_to_camera()[:3, 3]
        depth = np.where(seen[:, 2] < -0.1, -seen[:, 2], np.nan)
        x = self.width_px / 2 + self.focal_px * seen[:, 0] / depth
        y = self.height_px / 2 - self.focal_px * seen[:, 1] / depth
        return np.stack([x, y], axis=1)

    def window(self, box: tuple[float, float, float, float], scale: float) -> View:
        """The view of a rectangle (x1, y1, x2, y2) of the picture, `scale` drawn pixels for each of its pixels."""
        x1, y1, x2, y2 = box
        width, height = max(8, round((x2 - x1) * scale)), max(8, round((y2 - y1) * scale))
        left, right = (x1 - self.width_px / 2) / self.focal_px, (x2 - self.width_px / 2) / self.focal_px
        top, bottom = (self.height_px / 2 - y1) / self.focal_px, (self.height_px / 2 - y2) / self.focal_px
        near, far = _CLEAR * self.reach_m, _FAR_M
        projection = np.zeros((4, 4))
        projection[0, 0], projection[0, 2] = 2 / (right - left), (right + left) / (right - left)
        projection[1, 1], projection[1, 2] = 2 / (top - bottom), (top + bottom) / (top - bottom)
        projection[2, 2], projection[2, 3] = -(far + near) / (far - near), -2 * far * near / (far - near)
        projection[3, 2] = -1
        matrix = (projection @ self.world_to_camera()).astype(np.float32)
        return View(matrix, np.array(self.place, np.float32), width, height)


def draw_camera(world_seed: int, part: str, number: int, infrared: bool, thermal: bool = False) -> Camera:
    """Camera `number` of a part (``train``, ``test`` ...) of a world: other parts have other cameras and scenes.

    Args:
        thermal: an infrared camera that sees warmth; it hangs where the other one would.
    """
    if thermal and not infrared:
        raise ValueError("draw_camera: expected a thermal camera to be an infrared one")
    generator = np.random.default_rng([world_seed, 2, *part.encode(), number, int(infrared)])
    odds = (0.3, 0.35, 0.15, 0.2) if infrared else (0.36, 0.24, 0.12, 0.28)
    scene = draw_scene(generator, KINDS[generator.choice(4, p=odds)])
    width, height = ((1280, 720), (1920, 1080), (704, 576))[generator.choice(3, p=(0.45, 0.4, 0.15))]
    reach = float(generator.uniform(4.5, 9) if scene.kind == "corridor" else generator.uniform(5, 15))
    if infrared:
        reach = min(reach, float(generator.uniform(4.5, 11)))
    highest = 2.9 if scene.indoor else 6.0
    lens = float(generator.uniform(2.3, highest)) if generator.random() < 0.85 else float(generator.uniform(1.3, 2.2))
    lens = min(lens, 0.9 + 0.62 * reach)
    flat = float(np.sqrt(reach**2 - (lens - 1.0) ** 2))
    azimuth = float(generator.normal(0, 0.25) if scene.kind == "corridor" else generator.uniform(-1.25, 1.25))
    target = (float(generator.uniform(-0.3, 0.3)), 1.0, 0.0)
    x = float(np.clip(target[0] - flat * np.sin(azimuth), -scene.half_width - 0.2, scene.half_width + 0.2))
    place = (x, lens, -float(np.sqrt(max(flat**2 - (x - target[0]) ** 2, 1.0))))
    person_px = float(np.clip(np.exp(generator.normal(np.log(175), 0.36)), 80, 360)) * min(1.0, height / 640)
    focal = person_px * reach / 1.72
    light: Illumination
    sensor: Sensor | ThermalSensor
    if thermal:
        light, sensor = draw_heat(generator, scene.indoor), draw_thermal_sensor(generator)
    elif infrared:
        light = _lamp(generator, place, target, reach)
        sensor = draw_sensor(generator, infrared, False)
    else:
        light = draw_light(generator, scene)
        sensor = draw_sensor(generator, infrared, dim=light.sky[1] + light.key[1] < 0.6)
    return Camera(
        number,
        infrared,
        scene,
        place,
        target,
        float(generator.normal(0, 1.2)),
        focal,
        width,
        height,
        light,
        sensor,
    )


def at_night(camera: Camera, world_seed: int) -> Camera:
    """The same colour camera when it has switched its filter away and its lamp on."""
    generator = np.random.default_rng([world_seed, 6, camera.number])
    lamp = _lamp(generator, camera.place, camera.target, camera.reach_m)
    return replace(camera, infrared=True, light=lamp, sensor=draw_sensor(generator, True, False))


def _lamp(
    generator: np.random.Generator,
    place: tuple[float, float, float],
    target: tuple[float, float, float],
    reach: float,
) -> Lamp:
    """An illuminator a hand's breadth from the lens, bright enough for the target's distance."""
    beside = np.array(place) + np.append(generator.normal(0, 0.06, 2), 0.0)
    aim = np.array(target) + generator.normal(0, 0.35, 3) * np.array([1, 0.5, 1])
    way = (aim - beside) / np.linalg.norm(aim - beside)
    inner = float(generator.uniform(6, 28))
    power = float(reach**2 * np.exp(generator.normal(0, 0.22)))
    return Lamp(
        (float(beside[0]), float(beside[1]), float(beside[2])),
        (float(way[0]), float(way[1]), float(way[2])),
        power,
        inner,
        inner + float(generator.uniform(12, 35)),
        float(np.exp(generator.uniform(np.log(0.01), np.log(0.16)))),
    )
