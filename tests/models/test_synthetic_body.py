"""Bodies: fewer triangles without holes, statures as asked, walking on the ground."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from support.synthetic import model

from models.synthetic.body import BodyShape, rest_normals, skin_points
from models.synthetic.decimate import collapse
from models.synthetic.identity import draw_identity
from models.synthetic.walk import ARMS, pose, stride_m

SHAPE = BodyShape(0.9, 0.5, 0.5, 0.5, 0.5, 0.5, (0.2, 0.3, 0.5), 1.75)
GAIT = draw_identity(0, 1).gait


def sphere(rings: int, sides: int) -> tuple[np.ndarray, np.ndarray]:
    """A closed mesh of ``rings`` x ``sides`` vertices and two poles."""
    polar = np.linspace(0, np.pi, rings + 2)[1:-1]
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    sine, cosine = np.sin(polar)[:, None], np.cos(polar)[:, None]
    ring = np.stack([sine * np.cos(turn), cosine + 0 * turn, sine * np.sin(turn)], axis=-1).reshape(-1, 3)
    points = np.concatenate([ring, [[0, 1, 0], [0, -1, 0]]])
    top, bottom = len(ring), len(ring) + 1
    faces = []
    for s in range(sides):
        n = (s + 1) % sides
        faces += [(top, n, s), (bottom, (rings - 1) * sides + s, (rings - 1) * sides + n)]
        for r in range(rings - 1):
            a, b, c, d = r * sides + s, r * sides + n, (r + 1) * sides + n, (r + 1) * sides + s
            faces += [(a, b, c), (a, c, d)]
    return points, np.array(faces, np.int64)


def test_collapse_keeps_a_closed_surface_on_original_vertices() -> None:
    points, faces = sphere(20, 30)
    fewer = collapse(points, faces, 150, np.ones(len(points)))
    assert len(np.unique(fewer)) == 150
    edges = Counter(tuple(sorted((f[i], f[i - 1]))) for f in fewer.tolist() for i in range(3))
    assert set(edges.values()) == {2}  # every edge has a face on both sides: no hole, no fold
    a, b, c = (points[fewer[:, i]] for i in range(3))
    volume = abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
    assert volume == pytest.approx(4 / 3 * np.pi, rel=0.1)


def test_collapse_spares_what_is_important() -> None:
    points, faces = sphere(20, 30)
    importance = np.where(points[:, 0] > 0, 50.0, 1.0)
    kept = np.unique(collapse(points, faces, 200, importance))
    assert (points[kept, 0] > 0).sum() > 2 * (points[kept, 0] <= 0).sum()


def test_body_has_the_stature_asked_for_and_stands_on_the_ground() -> None:
    for stature in (1.5, 1.75, 1.95):
        body = model().build(replace(SHAPE, stature_m=stature))
        skin = body.points[np.unique(model().skin)]
        assert skin[:, 1].min() == pytest.approx(0, abs=1e-4)
        assert skin[:, 1].max() == pytest.approx(stature, abs=1e-3)


def test_weight_and_gender_change_the_shape_at_one_stature() -> None:
    def girth(shape: BodyShape) -> float:
        points = model().build(shape).points[np.unique(model().cloth)]
        waist = points[(np.abs(points[:, 1] - 1.05) < 0.04) & (np.abs(points[:, 0]) < 0.3)]
        return float(np.ptp(waist[:, 0]) * np.ptp(waist[:, 2]))

    assert girth(replace(SHAPE, weight=1.0)) > 1.25 * girth(replace(SHAPE, weight=0.1))
    men, women = model().build(SHAPE).points, model().build(replace(SHAPE, gender=0.1)).points
    assert np.abs(men - women).max() > 0.02


def test_every_vertex_is_moved_by_bones_that_sum_to_one() -> None:
    np.testing.assert_allclose(model().weights.sum(axis=1), 1, atol=1e-4)


def test_rest_pose_leaves_the_body_as_it_is() -> None:
    body = model().build(SHAPE)
    still = np.broadcast_to(np.eye(3, dtype=np.float32), (len(model().bones), 3, 3))
    matrices = model().bone_matrices(body, still, np.zeros(3, np.float32))
    normals = rest_normals(body.points, model().skin)
    points, turned = skin_points(body.points, normals, model().weights, matrices)
    np.testing.assert_allclose(points, body.points, atol=1e-4)
    np.testing.assert_allclose(turned, normals, atol=1e-3)


@pytest.mark.parametrize("arms", ARMS)
def test_walker_touches_the_ground_in_every_phase(arms: str) -> None:
    body = model().build(SHAPE)
    feet = np.unique(model().skin)
    for phase in np.linspace(0, 1, 12, endpoint=False):
        rotations, root = pose(model(), body, GAIT, float(phase), arms)
        matrices = model().bone_matrices(body, rotations, root)
        points, _ = skin_points(body.points, body.points, model().weights, matrices)
        assert -0.035 < points[feet, 1].min() < 0.02


def test_gait_is_periodic_smooth_and_alternates() -> None:
    body = model().build(SHAPE)

    def ankles(phase: float) -> np.ndarray:
        rotations, root = pose(model(), body, GAIT, phase)
        matrices = model().bone_matrices(body, rotations, root)
        rows = [model().bone("foot_l"), model().bone("foot_r")]
        return np.stack([matrices[r][:, :3] @ body.joints[r] + matrices[r][:, 3] for r in rows])

    path = np.stack([ankles(p) for p in np.linspace(0, 1, 41)])
    np.testing.assert_allclose(path[0], path[-1], atol=1e-4)
    assert np.abs(np.diff(path, axis=0)).max() < 0.12
    left, right = path[:-1, 0, 2], path[:-1, 1, 2]
    assert np.corrcoef(left, right)[0, 1] < -0.6  # one forward, the other back
    assert np.ptp(left) > 0.5 * stride_m(body, model(), GAIT) / 2


def test_unknown_arms_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one of swing"):
        pose(model(), model().build(SHAPE), GAIT, 0.0, arms="wave")
