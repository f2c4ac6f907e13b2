"""Tiny data sets in the layouts of the real ones: a few people whose shape is their own in both kinds of light.

A person is a figure of blocks (head, trunk, legs) whose proportions follow from the number alone. Its colours in
visible pictures and its greys in infrared ones are drawn apart, so that only the shape tells who it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from models.types import Modality

SIZE = (64, 32)
VISIBLE, INFRARED = Modality.VISIBLE, Modality.INFRARED


def draw_person(
    person: int, modality: Modality, take: int = 0, size: tuple[int, int] = SIZE, camera: int = 1
) -> np.ndarray:
    """``uint8[H, W, 3]`` BGR of a person; another `take` moves it a little and changes the light."""
    height, width = size
    shape = np.random.default_rng([person, 1])
    head, shoulder, hip, waist, stance = shape.uniform([0.10, 0.30, 0.20, 0.42, 0.10], [0.20, 0.85, 0.70, 0.66, 0.75])
    greys = np.random.default_rng([person, 2, modality is VISIBLE]).uniform(70, 250, (3, 3))
    luck = np.random.default_rng([person, take, camera, modality is VISIBLE])
    background = luck.uniform(0, 50, 3)
    if modality is INFRARED:
        greys, background = np.repeat(greys[:, :1], 3, axis=1), np.full(3, background[0])
    picture = np.empty((height, width, 3), np.float64)
    picture[:] = background
    middle = width / 2 + luck.uniform(-0.06, 0.06) * width

    def block(top: float, bottom: float, share: float, grey: np.ndarray, at: float = 0.0) -> None:
        left, right = middle + (at - share / 2) * width, middle + (at + share / 2) * width
        picture[int(top * height) : int(bottom * height), max(0, int(left)) : max(0, int(right))] = grey

    block(0.04, 0.04 + head, head * 1.6, greys[0])
    block(0.04 + head, waist, shoulder, greys[1])
    for side in (-1, 1):
        block(waist, 0.97, hip / 3, greys[2], side * stance / 4)
    picture = picture * luck.uniform(0.8, 1.2) + luck.normal(0, 4, (height, width, 1))
    return np.clip(picture, 0, 255).astype(np.uint8)


def write_picture(file: Path, picture: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), picture)


def write_sysu(
    root: Path,
    *,
    train: Sequence[int] = (1, 2, 4, 5),
    val: Sequence[int] = (3, 6),
    test: Sequence[int] = (7, 9, 10),
    pictures: int = 3,
    size: tuple[int, int] = SIZE,
    cameras: Iterable[int] = range(1, 7),
) -> Path:
    """SYSU-MM01: ``cam{1..6}/{person:04d}/{frame:04d}.jpg``, ``exp/*_id.txt``."""
    for name, people in (("train", train), ("val", val), ("test", test)):
        (root / "exp").mkdir(parents=True, exist_ok=True)
        (root / "exp" / f"{name}_id.txt").write_text(",".join(map(str, people)) + "\n")
        for person in people:
            for camera in cameras:
                light = INFRARED if camera in (3, 6) else VISIBLE
                for take in range(pictures):
                    write_picture(
                        root / f"cam{camera}" / f"{person:04d}" / f"{take + 1:04d}.jpg",
                        draw_person(person, light, take, size, camera),
                    )
    return root


def write_sysu_arrays(root: Path, people: Sequence[int] = (1, 2, 3, 4, 5, 6), pictures: int = 2) -> Path:
    """The four files of AGW's preprocessing, 72 x 36 here, RGB; `people` are train and val together."""
    for light, name in ((VISIBLE, "rgb"), (INFRARED, "ir")):
        drawn = [draw_person(person, light, take, (72, 36)) for person in people for take in range(pictures)]
        np.save(root / f"train_{name}_resized_img.npy", np.stack(drawn)[..., ::-1])
        np.save(root / f"train_{name}_resized_label.npy", np.repeat(np.arange(len(people)), pictures))
    return root


def write_regdb(
    root: Path,
    *,
    people: int = 8,
    pictures: int = 3,
    trials: Iterable[int] = range(1, 11),
    size: tuple[int, int] = SIZE,
) -> Path:
    """RegDB: ``{Visible,Thermal}/{person}/*.bmp``, ``idx/{train,test}_{visible,thermal}_{trial}.txt``."""
    (root / "idx").mkdir(parents=True, exist_ok=True)
    names: dict[tuple[str, int], list[str]] = {}
    for light, name in ((VISIBLE, "Visible"), (INFRARED, "Thermal")):
        for person in range(1, people + 1):
            for take in range(pictures):
                file = f"{name}/{person}/male_back_{name[0].lower()}_{100 * person + take:05d}_{person}.bmp"
                write_picture(root / file, draw_person(person, light, take, size))
                names.setdefault((name.lower(), person), []).append(file)
    for trial in trials:
        order = (np.random.default_rng(trial).permutation(people) + 1).tolist()
        for part, chosen in (("train", order[: people // 2]), ("test", order[people // 2 :])):
            for name in ("visible", "thermal"):
                lines = [f"{file} {label}" for label, person in enumerate(chosen) for file in names[name, person]]
                (root / "idx" / f"{part}_{name}_{trial}.txt").write_text("\n".join(lines) + "\n")
    return root


def write_llcm(
    root: Path,
    *,
    train: Sequence[int] = (1, 3, 4, 6),
    test: Sequence[int] = (2, 5, 8),
    pictures: int = 2,
    cameras: Sequence[int] = (1, 2, 9),
    size: tuple[int, int] = SIZE,
) -> Path:
    """LLCM: ``{vis,nir}/{person:04d}/*.jpg`` to train, ``test_{vis,nir}/cam{k}/{person:04d}/*.jpg``, ``idx/*.txt``."""
    (root / "idx").mkdir(parents=True, exist_ok=True)
    for light, name in ((VISIBLE, "vis"), (INFRARED, "nir")):
        lines = []
        for people, testing in ((train, False), (test, True)):
            for label, person in enumerate(people):
                for camera in cameras:
                    for take in range(pictures):
                        file = f"{person:04d}_c{camera:02d}_s{1000 * person + take}_f{take}_{name}.jpg"
                        folder = f"test_{name}/cam{camera}/{person:04d}" if testing else f"{name}/{person:04d}"
                        write_picture(root / folder / file, draw_person(person, light, take, size, camera))
                        if not testing:
                            lines.append(f"{folder}/{file} {label}")
        (root / "idx" / f"train_{name}.txt").write_text("\n".join(lines) + "\n")
    (root / "idx" / "test_id.txt").write_text(",".join(map(str, test)))
    return root


def write_hitsz(
    root: Path,
    *,
    layout: str = "mitml",
    train: Sequence[int] = (1, 2, 3, 4),
    test: Sequence[int] = (501, 502, 503),
    lengths: Sequence[int] = (14, 12, 5),
    cameras: Sequence[int] = (1, 2),
    size: tuple[int, int] = SIZE,
) -> Path:
    """HITSZ-VCM: a tracklet of each of `lengths` frames per person, light and camera; ``mitml`` or ``m3reid``."""
    (root / "info").mkdir(parents=True, exist_ok=True)
    for part, people in (("train", train), ("test", test)):
        folder = root if layout == "mitml" else root / part.capitalize()
        names: list[str] = []
        rows: list[str] = []
        queries: list[str] = []
        for person in people:
            for code, light, light_name in ((1, INFRARED, "ir"), (2, VISIBLE, "rgb")):
                for camera in cameras:
                    frame = 0
                    for track, length in enumerate(lengths, 1):
                        first = len(names) + 1
                        for _ in range(length):
                            frame += 1
                            names.append(f"{person:04d}M{code}D{camera}T{track}F{frame}.jpg")
                            write_picture(
                                folder / f"{person:04d}" / light_name / f"D{camera}" / f"{frame}.jpg",
                                draw_person(person, light, frame, size, camera),
                            )
                        rows.append(f"{code} {first} {len(names)} {person:04d} {camera}")
                        if code == 1:
                            queries.append(str(len(rows)))
        (root / "info" / f"{part}_name.txt").write_text("\n".join(names) + "\n")
        (root / "info" / f"track_{part}_info.txt").write_text("\n".join(rows) + "\n")
        if part == "test":
            (root / "info" / "query_IDX.txt").write_text(" ".join(queries) + "\n")
    return root


def write_synthetic(root: Path, *, clips: bool = False) -> Path:
    """The rendered world's two layouts: pictures as SYSU-MM01 lays them out, or clips as HITSZ-VCM does."""
    return write_hitsz(root, layout="m3reid") if clips else write_sysu(root)
