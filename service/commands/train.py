"""The command that trains: ``tapetum train cmft_sysu-mm01 --data ROOT --out FOLDER``."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from service.commands.console import configure_logging, fail, print_json, progress_line
from service.memory import keep_large_blocks
from service.settings import load_settings

__all__ = ["register"]

_LINE_EVERY_S = 30.0
_INTERRUPTED = 130


def register(app: typer.Typer) -> None:
    app.command()(train)


def train(
    recipe: Annotated[str | None, typer.Argument(help="A recipe's name (see --list), or a .toml file.")] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="The data set's folder, as its makers lay it out. Repeated: learns from all, is judged by the first."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the checkpoint and everything on the way to it.")] = None,
    pretrained: Annotated[
        list[str] | None,
        typer.Option(
            help="Weights the trunk starts from: a file, a name, or none for random ones. Repeated: the mean of "
            "several checkpoints of one network."
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Go on where a stopped run was, or anew.")] = True,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes that prepare batches; 0 for none.")] = 0,
    threads: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Of torch on the CPU; all cores if not given.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change the recipe, as training.epochs=2; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, and train nothing.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the recipes.")] = False,
) -> None:
    """Train a network by a recipe, or go on training it. Several processes: torchrun -m service.cli train ..."""
    from models.data.datasets import join_datasets, open_dataset
    from models.data.samples import DataError
    from models.training import RecipeError, TrainingError, TrainingStopped, describe_run, list_recipes, load_recipe
    from models.training import train as run_training

    if list_:
        width = max(map(len, list_recipes())) + 2
        for name in list_recipes():
            typer.echo(f"{name:{width}}{load_recipe(name).summary}")
        return
    settings = load_settings()
    configure_logging(settings)
    if recipe is None:
        fail("expected a recipe; tapetum train --list shows those there are")
    if not data:
        fail("expected the data set's folder: --data ROOT")
    if len({root.resolve() for root in data}) < len(data):
        fail("--data: expected different folders, got one twice: its people would be learned as two each")
    seeds = [seed for root in data if (seed := _world_seed(root)) is not None]
    if len(set(seeds)) < len(seeds):
        fail("--data: expected rendered worlds of different seeds, got two of one: they show the same people")
    try:
        chosen = load_recipe(recipe, tuple(change or ()))
        dataset = join_datasets([open_dataset(chosen.data.name, root, **chosen.data.options) for root in data])
    except (RecipeError, DataError) as error:
        fail(str(error))
    except (KeyError, ValueError) as error:
        fail(f"{recipe}: data: {error.args[0]}")
    try:
        if dry_run:
            print_json(describe_run(chosen, dataset))
            return
        if out is None:
            fail("expected a folder for what comes out: --out FOLDER")
        _use_cores(threads, workers)
        keep_large_blocks()
        with progress_line() as show, _asked_to_stop() as stop:
            result = run_training(
                chosen,
                dataset,
                out,
                pretrained=tuple(pretrained or ()),
                resume=resume,
                workers=workers,
                device=device,
                cache_dir=settings.cache_dir,
                progress=_seldom(show),
                stop=stop,
            )
    except DataError as error:
        fail(str(error))
    except TrainingError as error:
        fail(str(error), 1)
    except TrainingStopped as stopped:
        fail(str(stopped), _INTERRUPTED)
    if os.environ.get("RANK", "0") == "0":
        for name, value in result.figures.items():
            typer.echo(f"{name:32}{100 * value:6.2f} %")
        typer.echo(f"{result.checkpoint}\n{result.card}")


def _world_seed(root: Path) -> int | None:
    """Of a rendered world, by what it was rendered with; None where that is not told."""
    try:
        seed = json.loads((root / "world.json").read_text(encoding="utf-8"))["seed"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return seed if isinstance(seed, int) else None


def _use_cores(threads: int | None, workers: int) -> None:
    """Live analysis keeps torch to one thread; training takes the cores that no other process of it uses."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
        return
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch.set_num_threads(max(1, available // processes - workers))


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM end a run after the step it is in; a second Ctrl-C at once."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _seldom(show: Callable[[str, float | None], None]) -> Callable[[str, float | None], None]:
    """Off a terminal a line of progress every half minute is enough."""
    if sys.stderr.isatty():
        return show
    last = float("-inf")

    def sometimes(what: str, share: float | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_EVERY_S:
            last = now
            show(what, share)

    return sometimes
