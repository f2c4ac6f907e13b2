"""Walking: periodic joint angles through a gait cycle, and a few other things arms do meanwhile.

The curves of hip, knee and ankle follow the textbook shape of normal gait (heel strike at phase 0, toe off
near 0.6); people differ in amplitude, posture, cadence and arm carriage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.synthetic.body import Body, BodyModel

__all__ = ["ARMS", "Gait", "pose", "stride_m"]

Floats = NDArray[np.float32]

ARMS = ("swing", "phone", "call", "pocket", "carry", "straps")
"""What the right or both arms do: swing freely, hold a phone in front or at the ear, rest in pockets, carry
something at the side, hold the straps of a backpack."""

_PHASES = np.linspace(0, 1, 10, endpoint=False)
_HIP_DEG = np.array([27, 23, 14, 4, -6, -11, -3, 14, 27, 30], float)
_KNEE_DEG = np.array([4, 15, 13, 7, 5, 14, 42, 60, 40, 11], float)
_ANKLE_DEG = np.array([0, -4, 4, 8, 10, 3, -16, -4, 1, 1], float)


_PRONATION_DEG = 15.0
"""From the rest pose's palms forward to palms at the thighs."""
_CURL_DEG = 30.0


@dataclass(frozen=True, slots=True)
class Gait:
    """How a person walks; angles in degrees, amplitudes relative to 1.

    Attributes:
        stride: amplitude of hip, knee and ankle.
        cadence_hz: gait cycles (two steps) a second.
        lean_deg: trunk forward.
        arm_swing_deg: half the sweep of the upper arm.
        elbow_deg: mean bend.
        abduction_deg: upper arms away from the trunk.
        toe_out_deg: feet turned outwards.
        sway_deg: list of the pelvis.
        head_deg: head bent forward.
        slouch_deg: shoulders forward.
    """

    stride: float
    cadence_hz: float
    lean_deg: float
    arm_swing_deg: float
    elbow_deg: float
    abduction_deg: float
    toe_out_deg: float
    sway_deg: float
    head_deg: float
    slouch_deg: float


def _curve(values: NDArray[np.float64], phase: float) -> float:
    """Periodic interpolation by the discrete Fourier series of the ten values: smooth and closed."""
    terms = np.fft.rfft(values) / len(values)
    k = np.arange(len(terms))
    weight = np.where((k == 0) | (k == len(values) // 2), 1.0, 2.0)
    return float(np.sum(weight * (terms * np.exp(2j * np.pi * k * phase)).real))


def stride_m(body: Body, model: BodyModel, gait: Gait) -> float:
    """Ground covered in one gait cycle: what the legs' reach spans in two steps."""
    leg = float(body.joints[model.bone("thigh_l")][1])
    return 2.0 * leg * gait.stride * float(np.sin(np.radians(27)) + np.sin(np.radians(11))) * 0.98


def pose(
    model: BodyModel, body: Body, gait: Gait, phase: float, arms: str = "swing", pace: float = 1.0
) -> tuple[Floats, Floats]:
    """Rotations ``[B, 3, 3]`` and root offset ``[3]`` of a gait phase in [0, 1).

    Args:
        arms: one of `ARMS`.
        pace: 1 walking as the gait says, 0 standing.
    """
    if arms not in ARMS:
        raise ValueError(f"arms: expected one of {', '.join(ARMS)}, got {arms!r}")
    turns = np.broadcast_to(np.eye(3), (len(model.bones), 3, 3)).copy()
    amount = gait.stride * pace
    twist = 6.0 * amount * np.cos(2 * np.pi * phase)  # the left hip leads at the left heel strike
    turns[model.bone("pelvis")] = _y(-twist) @ _z(gait.sway_deg * pace * np.sin(2 * np.pi * phase))
    turns[model.bone("spine_01")] = _x(gait.lean_deg * 0.6) @ _y(twist * 0.9)
    turns[model.bone("spine_02")] = _x(gait.lean_deg * 0.4) @ _z(-gait.sway_deg * pace * np.sin(2 * np.pi * phase))
    turns[model.bone("spine_03")] = _x(gait.slouch_deg * 0.5) @ _y(twist * 0.9)
    turns[model.bone("neck_01")] = _x(-gait.slouch_deg * 0.3 - gait.lean_deg * 0.5) @ _y(-twist * 0.5)
    turns[model.bone("head")] = _x(gait.head_deg + (14 if arms == "phone" else 0)) @ _y(-twist * 0.3)
    for side, sign, own in (("l", 1.0, phase), ("r", -1.0, phase + 0.5)):
        hip = _curve(_HIP_DEG, own) * amount + (1 - pace) * 2
        knee = max(0.0, _curve(_KNEE_DEG, own)) * amount + (1 - pace) * 3
        ankle = _curve(_ANKLE_DEG, own) * amount
        out = sign * gait.toe_out_deg
        turns[model.bone(f"thigh_{side}")] = _y(out * 0.6) @ _z(sign * -4.5) @ _x(-hip)
        turns[model.bone(f"calf_{side}")] = _x(knee)
        turns[model.bone(f"foot_{side}")] = _z(sign * 2.0) @ _y(out * 0.4) @ _x(-ankle + (knee - hip) * 0.06)
        lift = max(0.0, np.sin(2 * np.pi * (own - 0.45))) if 0.45 < own % 1 < 0.66 else 0.0
        turns[model.bone(f"ball_{side}")] = _x(-28 * lift * amount)
        _pose_arm(model, body, turns, side, sign, gait, phase, pace, arms)
    root = np.zeros(3, np.float32)
    rotations = turns.astype(np.float32)
    matrices = model.bone_matrices(body, rotations, root)
    soles = [_sole_height(model, body, matrices, side) for side in "lr"]
    root[1] = -min(soles)
    return rotations, root


def _pose_arm(
    model: BodyModel,
    body: Body,
    turns: NDArray[np.float64],
    side: str,
    sign: float,
    gait: Gait,
    phase: float,
    pace: float,
    arms: str,
) -> None:
    """Sets upper arm, forearm and hand by the directions they should have in the trunk's axes."""
    shoulder, elbow, wrist = (body.joints[model.bone(f"{b}_{side}")] for b in ("upperarm", "lowerarm", "hand"))
    own = phase + (0.5 if sign > 0 else 0.0)  # an arm swings with the other leg
    swing = gait.arm_swing_deg * pace * np.cos(2 * np.pi * own) - 4.0
    bend = gait.elbow_deg + 0.35 * gait.arm_swing_deg * pace * (1 + np.cos(2 * np.pi * (own - 0.05)))
    spread, inward = gait.abduction_deg, 6.0
    busy = sign < 0 or arms in ("pocket", "straps")
    if busy and arms == "phone":
        swing, bend, spread, inward = 14.0, 92.0, 9.0, 34.0
    elif busy and arms == "call":
        swing, bend, spread, inward = 30.0, 138.0, 24.0, 14.0
    elif busy and arms == "pocket":
        swing, bend, spread, inward = -14.0, 38.0, 17.0, 20.0
    elif busy and arms == "straps":
        swing, bend, spread, inward = -4.0, 128.0, 14.0, 12.0
    elif busy and arms == "carry":
        swing, bend, spread = swing * 0.3, 6.0, gait.abduction_deg + 4
    upper_way = _x(-swing) @ np.array([sign * np.sin(np.radians(spread)), -np.cos(np.radians(spread)), 0.0])
    lower_way = _x(-swing - bend) @ np.array([0.0, -1.0, 0.0])
    lower_way = _y(-sign * inward * min(1.0, bend / 30)) @ (lower_way + np.array([sign * 0.06, 0, 0]))
    upper = _aim(elbow - shoulder, upper_way)
    straight = _aim(upper @ (wrist - elbow), lower_way) @ upper
    axis = _unit(lower_way)
    lower = _about(axis, sign * _PRONATION_DEG * 0.4) @ straight
    hand = _about(axis, sign * _PRONATION_DEG) @ straight
    clavicle = _y(-sign * gait.slouch_deg * 0.6)
    turns[model.bone(f"clavicle_{side}")] = clavicle
    turns[model.bone(f"upperarm_{side}")] = clavicle.T @ upper
    turns[model.bone(f"lowerarm_{side}")] = upper.T @ lower
    palm = np.cross(elbow - wrist, body.joints[model.bone(f"index_01_{side}")] - wrist) * sign
    hinge = _unit(np.cross(palm, elbow - wrist))
    curl = _about(hinge, _CURL_DEG)
    for finger in ("index", "middle", "ring", "pinky"):
        for link in ("01", "02"):
            turns[model.bone(f"{finger}_{link}_{side}")] = curl
    turns[model.bone(f"hand_{side}")] = lower.T @ hand


def _sole_height(model: BodyModel, body: Body, matrices: Floats, side: str) -> float:
    """Height of the lowest of heel, ball and toe tip."""
    ankle = body.joints[model.bone(f"foot_{side}")]
    toe = body.marks[f"{side}-foot-2"]
    heel = np.array([ankle[0], 0.0, ankle[2] - 0.06], np.float32)
    ball = np.array([(ankle[0] + toe[0]) / 2, 0.0, body.joints[model.bone(f"ball_{side}")][2]], np.float32)
    tip = np.array([toe[0], 0.005, toe[2]], np.float32)
    foot, front = matrices[model.bone(f"foot_{side}")], matrices[model.bone(f"ball_{side}")]
    spots = ((foot, heel), (foot, ball), (front, tip))
    return float(min((matrix[:, :3] @ point + matrix[:, 3])[1] for matrix, point in spots))


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9))


def _aim(start: NDArray[np.floating], end: NDArray[np.floating]) -> NDArray[np.float64]:
    """The shortest turn from one direction to another."""
    a, b = _unit(np.asarray(start, float)), _unit(np.asarray(end, float))
    axis = np.cross(a, b)
    sine, cosine = float(np.linalg.norm(axis)), float(a @ b)
    return _about(_unit(axis), float(np.degrees(np.arctan2(sine, cosine))))


def _about(axis: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Rodrigues' formula."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _x(degrees: float) -> NDArray[np.float64]:
    return _about(np.array([1.0, 0, 0]), degrees)


def _y(degrees: float) -> NDArray[np.float64]:
    return _about(np.array([0, 1.0, 0]), degrees)


def _z(degrees: float) -> NDArray[np.float64]:
    return _about(np.array([0, 0, 1.0]), degrees)
