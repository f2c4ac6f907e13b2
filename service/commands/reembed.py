"""`tapetum gallery reembed`: every sighting from its pictures, with another checkpoint."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from service.commands.console import configure_logging, fail, print_json, progress_line
from service.commands.gallery import gallery_app
from service.commands.users import console_trail
from service.settings import load_settings

__all__ = ["register"]


def register() -> None:
    gallery_app.command("reembed")(reembed)


def reembed(
    checkpoint: Annotated[Path | None, typer.Option(help="The new one; else the configured.")] = None,
    accept_losses: Annotated[
        bool, typer.Option(help="Go over also when more than a tenth of the sightings cannot be embedded.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Embed every sighting with another checkpoint, while searches go on by the old one; then go over in one step.

    Ctrl-C or a dead machine lose nothing: the same command goes on, and so does a service with that checkpoint.
    """
    from service.audit import AuditLog
    from service.engines import load_embedder
    from service.gallery import MediaStore
    from service.gallery.model_in_use import GalleryModel
    from service.redis_server import connect
    from service.reembedding import Jobs, JobState, ReembeddingError, Runner
    from service.sealing import claimed_sealer

    settings = load_settings(**({"checkpoint": checkpoint} if checkpoint is not None else {}))
    configure_logging(settings)
    client = connect(settings)
    sealer = claimed_sealer(settings, client)
    embedder = load_embedder(settings, threads=settings.threads)
    target = GalleryModel(embedder.model_hash, embedder.dim, embedder.label, embedder.calibration)
    audit, trail, jobs = AuditLog(client), console_trail(), Jobs(client)
    audit.append("reembed.start", trail, model=target.hash, accept_losses=accept_losses)
    try:
        jobs.start(target, trail.account or "console", accept_losses=accept_losses)
    except ReembeddingError as error:
        fail(str(error), 1)
    with progress_line() as progress:
        media = MediaStore(settings.media_base, sealer)
        runner = Runner(client, media, sealer, on_event=lambda event, **told: audit.append(event, trail, **told),
                        progress=progress)  # fmt: skip
        if not runner.run(embedder, threading.Event()):
            fail(
                "another process is at it (GET /api/v1/reembedding tells how far it is), or was killed less than a "
                "minute ago",
                1,
            )
    job = jobs.read()
    if job is None:
        fail("the job is gone", 1)
    failed = jobs.failed_count()
    if as_json:
        failures = {one: f.reason for one, f in sorted(jobs.failures(failed).items())} if failed else {}
        told = {"state": job.state, "model": job.target.hash, "embedded": job.embedded, "failures": failures}
        print_json({**told, "watch_entries": job.watch_entries, "error": job.error or None})
    else:
        typer.echo(f"{job.state}: {job.embedded} sightings embedded with {job.target}, {failed} could not be")
        for one, failure in sorted(jobs.failures(10).items()):
            typer.echo(f"  {one}: {failure.reason}")
        if job.watch_entries:
            typer.echo(f"{job.watch_entries} entries of the watchlist were made from photos and must be made again.")
    if job.state is not JobState.DONE:
        fail(job.error or f"the job is {job.state}; the same command goes on", 1)
