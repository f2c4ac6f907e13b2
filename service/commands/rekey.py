"""`tapetum gallery rekey`: everything under the first encryption key."""

from __future__ import annotations

import time
from typing import Final

import typer

from service.commands.console import configure_logging, fail, progress_line
from service.commands.gallery import gallery_app
from service.commands.users import console_trail
from service.settings import load_settings

__all__ = ["register"]

WRITERS_STOP_S: Final = 5.0
"""By then every worker has seen that its key is being retired: they look once a second, between two deliveries."""


def register() -> None:
    gallery_app.command("rekey")(rekey)


def rekey() -> None:
    """Encrypt vectors, pictures and exports anew with the first key, also what was not; the service may run."""
    from service.audit import AuditLog
    from service.cases import ExportStore
    from service.gallery import Gallery, MediaStore
    from service.gallery.erasure import compact
    from service.gallery.rekey import Rekeying
    from service.redis_server import connect
    from service.sealed_values import SEALED_VALUES
    from service.sealing import KeyRegistry, claimed_sealer

    settings = load_settings()
    configure_logging(settings)
    client = connect(settings)
    sealer = claimed_sealer(settings, client)
    if not sealer.ids:
        fail("no key is set: TAPETUM_ENCRYPTION_KEYS or TAPETUM_ENCRYPTION_KEY_FILE")
    registry, audit, trail = KeyRegistry(client, sealer), AuditLog(client), console_trail()
    audit.append("rekey", trail, key=sealer.ids[0])
    if registry.begin_retiring():
        typer.echo("Who still encrypts with another key stops now; a worker keeps its tracklets until it is restarted.")
        time.sleep(WRITERS_STOP_S)
    media = MediaStore(settings.media_base, sealer)
    with progress_line() as progress:
        done = Rekeying(client, Gallery(client, sealer), media, sealer, SEALED_VALUES, progress).run()
    exports, closed = ExportStore(client, settings.exports_dir, sealer).reseal()
    unreadable = done.unreadable_count + len(closed)
    for line in (*done.unreadable, *closed):
        typer.echo(line, err=True)
    audit.append(
        "rekeyed",
        trail,
        key=sealer.ids[0],
        values=done.values,
        pictures=done.pictures,
        exports=exports,
        unreadable=unreadable,
    )
    now = f"{done.values} values, {done.pictures} pictures and {exports} exports"
    typer.echo(f"{now} encrypted with key {sealer.ids[0]}")
    if unreadable:
        fail(f"{unreadable} could not be read and stay as they are; no key was retired", 1)
    if done.values:
        compact(client)  # the server's files still hold what was there before
    registry.end_retiring()
    typer.echo("Other keys are not needed any more, except by workers that were not restarted with this one.")
