"""Commands for data sets: ``tapetum data check NAME ROOT``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.commands.console import fail, print_json, progress_line

__all__ = ["app"]

app = typer.Typer(help="Data sets to train and to judge networks on.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Data sets to train and to judge networks on."""


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="sysu-mm01, regdb, llcm, hitsz-vcm or synthetic.")],
    root: Annotated[Path, typer.Argument(help="The data set's folder.")],
    every_picture: Annotated[bool, typer.Option("--all", help="Decode every picture, not 200 of them.")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Say exactly what is missing or wrong in a data set's folder; exit code 1 if anything is."""
    from models.data import check_dataset, list_datasets

    if name not in list_datasets():
        fail(f"no data set called {name!r}; there are {', '.join(list_datasets())}")
    with progress_line() as progress:
        report = check_dataset(name, root, every_picture=every_picture, progress=progress)
    if as_json:
        print_json(report.to_dict())
    else:
        for problem in report.problems:
            typer.echo(f"problem: {problem}")
        for note in report.notes:
            typer.echo(f"note: {note}")
        for what, count in report.counts.items():
            typer.echo(f"{what:<20} {count:>8}")
        state = "is complete" if report.ok else f"has problems ({len(report.problems)})"
        typer.echo(f"{name} at {root} {state}; {report.decoded} of {report.pictures} listed pictures decoded")
    if not report.ok:
        raise typer.Exit(1)
