"""Whole pictures of a camera: the empty place is drawn once, and of each picture only where people are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from models.synthetic.cameras import Camera
from models.synthetic.materials import Material
from models.synthetic.renderer import Actor, Light, Renderer
from models.synthetic.scenery import SceneryBuilder
from models.synthetic.sensor import develop

__all__ = ["Film", "Seen"]

_SCALE = 1.5
"""Drawn pixels for each of the sensor's."""
_ALONE_SCALE = 0.5
"""For how large a person would be with nobody in front."""
_BLOCK = 16
"""Windows come in steps of so many pixels: the renderer keeps a target for each size."""
_PAD = 0.06
"""Of a person's height: contact shadows reach that far."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Seen:
    """One person in one picture.

    Attributes:
        number: of the actor, from 0.
        box: x1, y1, x2, y2 of the whole person cut to the picture, pixels.
        height_px: of the whole person, cut or not.
        visibility: 0 to 1, what is to be seen of the whole person.
    """

    number: int
    box: tuple[float, float, float, float]
    height_px: float
    visibility: float


class Film:
    """One camera in one light."""

    def __init__(self, renderer: Renderer, camera: Camera) -> None:
        self._renderer, self._camera = renderer, camera
        # The renderer's shadow map spans one person. Many people get the soft shadows below their feet alone.
        light = camera.light
        self._light = replace(light, shadows=False) if isinstance(light, Light) else light
        nowhere = SceneryBuilder()
        nowhere.box((0, -500, 0), (1, 1, 1), Material((0.1, 0.1, 0.1), 0.1))
        self._nowhere = nowhere.build()
        whole = (0, 0, camera.width_px, camera.height_px)
        view = camera.window(whole, _SCALE)
        empty = renderer.draw(view, camera.scene.scenery, [], self._light).radiance
        self._empty = self._shrunk(empty, whole)

    def picture(
        self, actors: Sequence[Actor], generator: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], list[Seen]]:
        """The picture ``uint8[H, W, 3]`` BGR, owners ``uint8[H, W]`` (0 nobody, i + 1 actor i), and who is in it."""
        camera = self._camera
        radiance, owners = self._empty.copy(), np.zeros(self._empty.shape[:2], np.uint8)
        whole = {i: self._extent(actor) for i, actor in enumerate(actors)}
        windows = {i: box for i, full in whole.items() if full is not None and (box := self._window(full))}
        for group, (x1, y1, x2, y2) in _together(windows):
            view = camera.window((x1, y1, x2, y2), _SCALE)
            drawn = self._renderer.draw(view, camera.scene.scenery, [actors[i] for i in group], self._light)
            radiance[y1:y2, x1:x2] = self._shrunk(drawn.radiance, (x1, y1, x2, y2))
            numbers = np.zeros(256, np.uint8)  # the sky's owner is 255
            numbers[1 : len(group) + 1] = np.array(group) + 1
            small = cv2.resize(drawn.owners, (x2 - x1, y2 - y1), interpolation=cv2.INTER_NEAREST)
            owners[y1:y2, x1:x2] = numbers[small]
        size = (camera.width_px, camera.height_px)
        shown = develop(radiance, size, camera.sensor, (0.0, 0.0), (0.0, 0.0), generator)
        seen = [
            self._seen(i, full, windows[i], actors[i], owners) for i, full in whole.items() if i in windows and full
        ]
        return shown, owners, seen

    def _extent(self, actor: Actor) -> tuple[float, float, float, float] | None:
        """The whole person's box in pixels, beyond the picture's edges too; None behind the lens."""
        pixels = self._camera.project(actor.in_world()[0])
        if np.isnan(pixels).any():
            return None
        (x1, y1), (x2, y2) = pixels.min(axis=0), pixels.max(axis=0)
        return float(x1), float(y1), float(x2), float(y2)

    def _window(self, full: tuple[float, float, float, float]) -> Box | None:
        """What must be drawn anew for a person, in whole blocks; None outside the picture."""
        x1, y1, x2, y2 = full
        pad = _PAD * (y2 - y1)
        width, height = self._camera.width_px, self._camera.height_px
        left, top = max(0, int(x1 - pad) // _BLOCK * _BLOCK), max(0, int(y1 - pad) // _BLOCK * _BLOCK)
        right = min(width, -(-int(np.ceil(x2 + pad)) // _BLOCK) * _BLOCK)
        bottom = min(height, -(-int(np.ceil(y2 + pad)) // _BLOCK) * _BLOCK)
        inside = x1 < width and y1 < height and x2 > 0 and y2 > 0
        return (left, top, right, bottom) if inside and right - left >= 2 and bottom - top >= 2 else None

    def _seen(
        self,
        number: int,
        full: tuple[float, float, float, float],
        window: Box,
        actor: Actor,
        owners: NDArray[np.uint8],
    ) -> Seen:
        camera = self._camera
        x1, y1, x2, y2 = full
        cut = (max(x1, 0.0), max(y1, 0.0), min(x2, float(camera.width_px)), min(y2, float(camera.height_px)))
        inside = (cut[2] - cut[0]) * (cut[3] - cut[1]) / max((x2 - x1) * (y2 - y1), 1.0)
        view = camera.window(window, _ALONE_SCALE)
        alone = self._renderer.draw(view, self._nowhere, [actor], self._light)
        area = max(float((alone.owners == 1).sum()) / _ALONE_SCALE**2, 1.0)
        share = float((owners == number + 1).sum()) / area
        return Seen(number, cut, y2 - y1, float(np.clip(share, 0, 1) * inside))

    @staticmethod
    def _shrunk(radiance: NDArray[np.float32], box: Box) -> NDArray[np.float32]:
        size = (box[2] - box[0], box[3] - box[1])
        return np.asarray(cv2.resize(radiance, size, interpolation=cv2.INTER_AREA), np.float32)


def _together(windows: dict[int, Box]) -> list[tuple[list[int], Box]]:
    """Windows that overlap, joined until none do: who is in each, and what it spans."""
    groups = [([number], box) for number, box in windows.items()]
    merged = True
    while merged:
        merged = False
        for i in range(len(groups)):
            for j in range(i + 1, len(groups)):
                (first, one), (second, other) = groups[i], groups[j]
                if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]:
                    low, high = np.minimum(one, other), np.maximum(one, other)
                    span = (int(low[0]), int(low[1]), int(high[2]), int(high[3]))
                    groups[i] = (sorted(first + second), span)
                    del groups[j]
                    merged = True
                    break
            if merged:
                break
    return groups
