"""A world that is filmed: a video for each camera, and the truth about who is where."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.samples import DataError
from models.files import replaced_whole
from models.synthetic.body import BodyModel
from models.synthetic.cameras import Camera, at_night, draw_camera
from models.synthetic.clip_files import VERSION, ClipWorld, read_clips
from models.synthetic.clip_plan import ClipCamera, ClipOptions, Visit, plan_cameras, plan_visits
from models.synthetic.clip_walk import Walk
from models.synthetic.crops import Studio
from models.synthetic.film import Film
from models.synthetic.processes import in_processes
from models.synthetic.scenes import SceneKind
from models.types import Modality

__all__ = ["encode_video", "render_clips"]

Progress = Callable[[str, float | None], None]

_LEAST_PX, _LEAST_VISIBLE = 24, 0.1
"""People smaller, or of whom less is to be seen, are not in the truth."""
_LEAST_SHARE = 0.34
_NEAR, _FAR = 0.32, 0.95
"""The way past a camera, from before to behind the point it looks at, by the distance to that point."""
_PLACES: dict[SceneKind, str] = {"street": "Street", "corridor": "Corridor", "carpark": "Car park", "plaza": "Plaza"}
_STARTS_AT = {
    "visible": datetime(2026, 6, 1, 15, 0, tzinfo=UTC),
    "switching": datetime(2026, 6, 1, 19, 30, tzinfo=UTC),
    "infrared": datetime(2026, 6, 1, 22, 0, tzinfo=UTC),
}


@dataclass(frozen=True)
class _Task:
    out: Path
    archive: Path
    options: ClipOptions
    place: int


def render_clips(
    out: Path, options: ClipOptions, archive: Path, *, jobs: int = 1, progress: Progress | None = None
) -> ClipWorld:
    """Film what is missing in `out`.

    The truth leaves out who is smaller than 24 pixels or to less than a tenth visible.

    Args:
        out: made when missing; a broken-off run with the same options is completed, camera by camera.
        archive: the body data, from `models.synthetic.source.body_archive`.
        jobs: processes, each with one camera at a time.

    Raises:
        RenderError: nothing can be drawn on this machine.
        DataError: `out` holds something else, or was filmed with other options.
    """
    cameras = plan_cameras(options)
    _claim(out, options, cameras)
    tasks = [_Task(out, archive, options, i) for i in range(len(cameras))]
    waiting = [task for task in tasks if not _finished(out, cameras[task.place])]
    done = len(tasks) - len(waiting)
    for seconds in in_processes(_film, waiting, jobs):
        done += 1
        if progress is not None:
            ms = 1000 * seconds / options.frames
            progress(f"{done} of {len(tasks)} cameras, {ms:.0f} ms a picture and process", done / len(tasks))
    return read_clips(out)


def camera_of(options: ClipOptions, planned: ClipCamera) -> Camera:
    """The rendered camera of the plan, its picture brought to the options' size; by day where it switches.

    Lenses are such that a person where the camera looks is at least a third of the picture high.
    """
    drawn = draw_camera(options.seed, options.part, planned.number, planned.kind == "infrared")
    scale = options.height_px / drawn.height_px
    focal = max(drawn.focal_px * scale, _LEAST_SHARE * options.height_px * drawn.reach_m / 1.72)
    return replace(drawn, width_px=options.width_px, height_px=options.height_px, focal_px=focal)


def _claim(out: Path, options: ClipOptions, cameras: list[ClipCamera]) -> None:
    note = out / "world.json"
    wanted: dict[str, Any] = {"version": VERSION, "seed": options.seed, "options": asdict(options)}
    wanted["cameras"] = [
        {
            "id": camera.id,
            "name": name,
            "file": f"{camera.id}.mp4",
            "truth": f"{camera.id}.txt",
            "width_px": options.width_px,
            "height_px": options.height_px,
            "fps": options.fps,
            "frames": options.frames,
            "starts_at": _STARTS_AT[camera.kind].isoformat(),
            "modalities": [[light.value, first] for light, first in _lights(options, camera)],
        }
        for camera, name in zip(cameras, _names(options, cameras), strict=True)
    ]
    if note.is_file():
        if json.loads(note.read_text(encoding="utf-8")) != wanted:
            raise DataError(f"{out}: was filmed with other options; give another folder")
        return
    if out.is_dir() and any(out.iterdir()):
        raise DataError(f"{out}: is not empty and holds no filmed world; give another folder")
    with replaced_whole(note) as scratch:
        scratch.write_text(json.dumps(wanted, indent=2), encoding="utf-8")


def _names(options: ClipOptions, cameras: list[ClipCamera]) -> list[str]:
    """After the place and the hour; numbered where two would be called the same."""
    hours = {"visible": "by day", "infrared": "at night", "switching": "from day to night"}
    names = [f"{_PLACES[camera_of(options, camera).scene.kind]} {hours[camera.kind]}" for camera in cameras]
    return [f"{name} {names[:i].count(name) + 1}" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _lights(options: ClipOptions, camera: ClipCamera) -> list[tuple[Modality, int]]:
    if camera.kind == "switching":
        return [(Modality.VISIBLE, 0), (Modality.INFRARED, options.frames // 2)]
    return [(Modality(camera.kind), 0)]


def _finished(out: Path, camera: ClipCamera) -> bool:
    return (out / f"{camera.id}.txt").is_file() and (out / f"{camera.id}.mp4").is_file()


def _film(task: _Task) -> float:
    """Films one camera; returns the seconds it took. The truth is written last and says that all is there."""
    begun = time.perf_counter()
    cv2.setNumThreads(1)
    options = task.options
    planned = plan_cameras(options)
    cameras = [camera_of(options, one) for one in planned]
    own = planned[task.place]
    studio = Studio(BodyModel(task.archive), options.seed)
    people = range(options.first_person, options.first_person + options.people)
    speeds = {person: Walk.own_speed(studio.model, studio.figure(person)) for person in people}
    visits = plan_visits(options, [(_NEAR + _FAR) * camera.reach_m for camera in cameras], speeds)[task.place]
    truth: list[str] = []
    pictures = _pictures(options, cameras[task.place], _lights(options, own), visits, studio, truth)
    with replaced_whole(task.out / f"{own.id}.mp4") as scratch:
        encode_video(scratch, pictures, options.fps)
    with replaced_whole(task.out / f"{own.id}.txt") as scratch:
        scratch.write_text("".join(truth), encoding="ascii")
    return time.perf_counter() - begun


def _pictures(
    options: ClipOptions,
    camera: Camera,
    lights: list[tuple[Modality, int]],
    visits: list[Visit],
    studio: Studio,
    truth: list[str],
) -> Iterator[NDArray[np.uint8]]:
    walks = _walks(options, camera, visits, studio)
    firsts = {first: light for light, first in lights}
    film: Film | None = None
    for frame in range(options.frames):
        if frame in firsts:
            switched = firsts[frame] is Modality.INFRARED and not camera.infrared
            film = Film(studio.renderer, at_night(camera, options.seed) if switched else camera)
        assert film is not None  # noqa: S101 - the first light begins with frame 0
        seconds = frame / options.fps
        present = [walk for walk in walks if walk.visit.begins_s <= seconds < walk.ends_s]
        actors = [walk.actor(studio.model, seconds) for walk in present]
        generator = np.random.default_rng([options.seed, 8, camera.number, int(camera.infrared), frame])
        picture, _, seen = film.picture(actors, generator)
        for one in seen:
            x1, y1, x2, y2 = one.box
            if one.height_px >= _LEAST_PX and one.visibility >= _LEAST_VISIBLE:
                person = present[one.number].visit.person
                truth.append(
                    f"{frame + 1},{person},{x1:.1f},{y1:.1f},{x2 - x1:.1f},{y2 - y1:.1f},1,1,{one.visibility:.3f}\n"
                )
        yield picture


def _walks(options: ClipOptions, camera: Camera, visits: list[Visit], studio: Studio) -> list[Walk]:
    near, far = -_NEAR * camera.reach_m, _FAR * camera.reach_m
    walks = []
    for visit in visits:
        figure = studio.figure(visit.person)
        leader = figure if visit.beside is None else studio.figure(visit.beside)
        generator = np.random.default_rng([options.seed, 9, visit.person, camera.number, int(camera.infrared)])
        arms = str(generator.choice(("swing", "phone", "pocket"), p=(0.84, 0.08, 0.08)))
        if figure.identity.outfit.bag in ("handbag", "tote"):
            arms = "carry"
        start, end = (near, far) if visit.away else (far, near)
        speed = Walk.own_speed(studio.model, leader)
        walks.append(Walk(visit, figure, start, end, camera.scene.half_width, speed, arms))
    return walks


def encode_video(path: Path, pictures: Iterator[NDArray[np.uint8]], fps: int) -> None:
    """H.264 in MP4 with a key picture each second, from pictures ``uint8[H, W, 3]`` BGR of one size."""
    options = {"preset": "medium", "crf": "27", "g": str(fps), "sc_threshold": "0", "bf": "0"}
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=options)
        stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
        for number, picture in enumerate(pictures):
            if not number:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
