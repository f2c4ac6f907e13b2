"""Renders a re-identification data set: people before cameras, filed as public data sets are.

One person is one unit of work: drawn by any process, written whole or not at all, and left alone when a
broken-off run is taken up again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import cv2

from models.data.samples import DataError
from models.files import replaced_whole
from models.synthetic.body import BodyModel
from models.synthetic.cameras import Camera, draw_camera
from models.synthetic.crops import Studio
from models.synthetic.processes import in_processes
from models.synthetic.reid_lists import write_lists
from models.synthetic.reid_plan import Part, Passage, ReidOptions, passages, split
from models.synthetic.renderer import probe

__all__ = ["RenderedSet", "render_reid_set"]

_WORLD_VERSION = 1
"""Raised when the same seed gives other pictures."""
_RECORDS = "records"

Done = Callable[[int, int, float], None]
"""Called with people done, people in all, and milliseconds of one process for a crop."""


@dataclass(frozen=True, slots=True)
class RenderedSet:
    """What a run did: crops drawn now, crops in all, milliseconds of one process for each drawn, and with what."""

    drawn: int
    crops: int
    ms_per_crop: float
    device: str


@dataclass(frozen=True, slots=True)
class _Task:
    out: Path
    archive: Path
    options: ReidOptions
    part: Part
    number: int
    passages: tuple[Passage, ...]


def render_reid_set(
    out: Path, options: ReidOptions, archive: Path, *, jobs: int = 1, progress: Done | None = None
) -> RenderedSet:
    """Renders what is missing in `out` and writes the data set's lists.

    Args:
        out: made when missing; a folder of an earlier run with the same options is completed.
        archive: the body data, from `models.synthetic.source.body_archive`.
        jobs: processes that draw.

    Raises:
        RenderError: nothing can be drawn on this machine.
        DataError: `out` holds something else, or a set rendered with other options.
    """
    if jobs < 1:
        raise ValueError(f"jobs: expected 1 or more, got {jobs}")
    _claim(out, options)
    device = probe()
    parts = split(options)
    every = [
        _Task(out, archive, options, part, number, tuple(passages(options, part, number, members)))
        for part, members in parts.items()
        for number in members
    ]
    waiting = [task for task in every if not _record(out, task.number).is_file()]
    drawn, busy_s, finished = 0, 0.0, len(every) - len(waiting)
    for crops, seconds in in_processes(_render_person, waiting, jobs):
        drawn, busy_s, finished = drawn + crops, busy_s + seconds, finished + 1
        if progress is not None:
            progress(finished, len(every), 1000 * busy_s / max(drawn, 1))
    records = {task.number: json.loads(_record(out, task.number).read_text()) for task in every}
    write_lists(out, options, parts, records)
    total = sum(len(passage["frames"]) for record in records.values() for passage in record["passages"])
    return RenderedSet(drawn, total, 1000 * busy_s / max(drawn, 1), device)


def _claim(out: Path, options: ReidOptions) -> None:
    """Notes in the folder what is rendered there, or checks that it is the same."""
    note = out / "world.json"
    wanted = {"version": _WORLD_VERSION, **asdict(options)}
    if note.is_file():
        try:
            found = {"thermal_cameras": 0, **json.loads(note.read_text())}  # older sets knew none
        except (ValueError, TypeError) as error:
            raise DataError(f"{note}: damaged ({error}); give another folder") from error
        if found != wanted:
            other = [f"{k} {found.get(k)!r}, not {v!r}" for k, v in wanted.items() if found.get(k) != v]
            raise DataError(f"{out}: was rendered with other options ({'; '.join(other)}); give another folder")
        return
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: is not empty and holds no rendered set; give another folder")
    out.mkdir(parents=True, exist_ok=True)
    with replaced_whole(note) as scratch:
        scratch.write_text(json.dumps(wanted, indent=2))


def _record(out: Path, number: int) -> Path:
    return out / _RECORDS / f"{number:04d}.json"


@lru_cache(maxsize=1)
def _studio(archive: Path, seed: int) -> Studio:
    cv2.setNumThreads(1)
    return Studio(BodyModel(archive), seed)


@lru_cache(maxsize=128)
def _camera(seed: int, part: str, number: int, infrared: bool, thermal: bool) -> Camera:
    return draw_camera(seed, part, number, infrared, thermal)


def _render_person(task: _Task) -> tuple[int, float]:
    """Draws one person's passages, files the pictures, and then writes the record that says so."""
    begun = time.perf_counter()
    options = task.options
    studio = _studio(task.archive, options.seed)
    part = "test" if task.part == "test" else "train"
    found = []
    (task.out / _RECORDS).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=task.out / _RECORDS, prefix=f".{task.number:04d}-") as scratch:
        taken: dict[Path, int] = {}
        for track, passage in enumerate(task.passages):
            camera = _camera(options.seed, part, passage.camera, passage.infrared, passage.thermal)
            folder = _folder(options, task.number, passage)
            frames = []
            crops = studio.tracklet(task.number, camera, options.frames, options.seconds, track, others=passage.others)
            for crop in crops:
                taken[folder] = place = taken.get(folder, 0) + 1
                name = f"{place:04d}.jpg" if options.layout == "sysu-mm01" else f"{place}.jpg"
                target = Path(scratch) / folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                quality = [cv2.IMWRITE_JPEG_QUALITY, camera.sensor.jpeg_quality]
                if not cv2.imwrite(str(target), crop.picture, quality):
                    raise DataError(f"{target}: cannot be written; is the disk full?")
                frames.append({"name": name, "box": [round(v, 2) for v in crop.box], "seen": round(crop.seen, 3)})
            found.append({**asdict(passage), "folder": str(folder), "frames": frames})
        for folder in {Path(str(passage["folder"])) for passage in found if passage["frames"]}:
            final = task.out / folder
            shutil.rmtree(final, ignore_errors=True)  # a run was broken off between here and the record
            final.parent.mkdir(parents=True, exist_ok=True)
            (Path(scratch) / folder).rename(final)
    with replaced_whole(_record(task.out, task.number)) as scratch_file:
        scratch_file.write_text(json.dumps({"part": task.part, "passages": found}))
    return sum(len(passage["frames"]) for passage in found), time.perf_counter() - begun


def _folder(options: ReidOptions, number: int, passage: Passage) -> Path:
    """Where a passage's pictures lie, below the root."""
    if options.layout == "sysu-mm01":
        return Path(f"cam{passage.filed_under}") / f"{number:04d}"
    return Path(f"{number:04d}") / ("ir" if passage.infrared else "rgb") / f"D{passage.filed_under}"
