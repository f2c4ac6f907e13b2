"""Where somebody is while passing a camera: a smooth way with a pace of their own, and the pose that goes with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.synthetic.body import BodyModel
from models.synthetic.clip_plan import RAMP_S, Visit
from models.synthetic.dressing import Figure
from models.synthetic.renderer import Actor
from models.synthetic.walk import stride_m

__all__ = ["Walk"]

_BESIDE_M = 0.62


@dataclass(frozen=True)
class Walk:
    """A visit walked by a figure.

    Attributes:
        start_m, end_m: along the walkway, the ends in the order of walking.
        half_width_m: of the walkway.
        speed_m_s: while walking; a companion's is the leader's.
        arms: as `models.synthetic.walk.ARMS`.
    """

    visit: Visit
    figure: Figure
    start_m: float
    end_m: float
    half_width_m: float
    speed_m_s: float
    arms: str

    @staticmethod
    def own_speed(model: BodyModel, figure: Figure) -> float:
        """Metres a second at which a figure's feet do not slide."""
        gait = figure.identity.gait
        return stride_m(figure.body, model, gait) * gait.cadence_hz * figure.identity.speed

    @property
    def ends_s(self) -> float:
        return self.visit.begins_s + abs(self.end_m - self.start_m) / self.speed_m_s + self.visit.pauses_s + RAMP_S

    def _walked(self, t: float) -> tuple[float, float]:
        """Metres walked and pace (0 standing, 1 walking) `t` seconds after the beginning."""
        pause = self.visit.pauses_s
        stop = self.visit.pauses_at * abs(self.end_m - self.start_m) / self.speed_m_s
        if not pause or t <= stop:
            return self.speed_m_s * t, 1.0
        slow = min(t - stop, RAMP_S)
        walked = stop + slow - slow**2 / (2 * RAMP_S)
        again = min(max(t - stop - RAMP_S - pause, 0.0), RAMP_S)
        walked += again**2 / (2 * RAMP_S) + max(t - stop - 2 * RAMP_S - pause, 0.0)
        return self.speed_m_s * walked, max(1 - slow / RAMP_S, again / RAMP_S)

    def place(self, seconds: float) -> tuple[float, float, float]:
        """x, z and heading at a time of the video; see `ends_s` for when the walk is over."""
        t = seconds - self.visit.begins_s
        way = 1.0 if self.end_m > self.start_m else -1.0
        walked, _ = self._walked(t)
        visit = self.visit
        turn = 2 * math.pi * walked / self.speed_m_s / visit.sway_s
        lane = visit.lane * (self.half_width_m - visit.sway_m)
        if visit.beside is not None:
            lane -= math.copysign(_BESIDE_M, lane)
        x = lane + visit.sway_m * math.sin(turn)
        slope = visit.sway_m * math.cos(turn) * 2 * math.pi / visit.sway_s / self.speed_m_s
        return x, self.start_m + way * walked, math.atan2(slope, way)

    def actor(self, model: BodyModel, seconds: float) -> Actor:
        """The figure in its pose at a time of the video."""
        x, z, heading = self.place(seconds)
        walked, pace = self._walked(seconds - self.visit.begins_s)
        stride = stride_m(self.figure.body, model, self.figure.identity.gait)
        points, normals = self.figure.posed(model, (self.visit.phase + walked / stride) % 1.0, self.arms, pace)
        return Actor(self.figure, points, normals, (x, z), heading)
