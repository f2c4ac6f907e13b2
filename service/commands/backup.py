"""Everything into one file, and back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.console import configure_logging, fail, print_json, progress_line
from service.commands.users import console_trail
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    import redis

__all__ = ["named_when_cut_off", "register"]

AsJson = Annotated[bool, typer.Option("--json")]


def register(app: typer.Typer) -> None:
    app.command()(backup)
    app.command()(restore)


def backup(
    file: Annotated[Path, typer.Argument(help="A new file; only you will be able to read it.")], as_json: AsJson = False
) -> None:
    """Save records, accounts, audit log and pictures into one file, while everything runs.

    Whoever has the file has all of it: keep it as you keep the installation.
    """
    from pipeline.sealing import PLAIN
    from service.backup import write_backup
    from service.gallery import MediaStore

    with ExitStack() as stack:
        settings = _settings()
        client = _client(stack, settings)
        with progress_line() as progress:
            manifest, digest = write_backup(
                client, MediaStore(settings.media_base, PLAIN), file, trail=console_trail(), progress=progress
            )
    size = file.stat().st_size
    if as_json:
        told = {"file": str(file), "bytes": size, "records": manifest.records, "pictures": manifest.pictures}
        told |= {"missing": manifest.missing, "keys": manifest.keys, "manifest": digest}
        print_json({**told, "audit_head": str(manifest.audit_head), "audit_intact": manifest.audit_intact})
        return
    typer.echo(f"{manifest.records} sightings, {manifest.pictures} pictures, {manifest.keys} other keys: {size} bytes")
    typer.echo(f"manifest {digest}, audit log to {manifest.audit_head}")
    if manifest.missing:
        typer.echo(f"{manifest.missing} pictures were not there any more.", err=True)
    if not manifest.audit_intact:
        typer.echo("The audit log is broken, and is saved as it is: see `tapetum audit verify`.", err=True)


def restore(
    file: Annotated[Path, typer.Argument(help="What `tapetum backup` wrote.")],
    replace: Annotated[
        bool, typer.Option(help="Also where something is: it is backed up first, then removed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring a backup into this installation. Stop workers and API first; everybody must log in again."""
    from pipeline.sealing import PLAIN
    from service.backup import restore as restored
    from service.erasables import erasables
    from service.gallery import MediaStore
    from service.migrations import backup_path

    with ExitStack() as stack:
        settings = _settings()
        client = _client(stack, settings, alone=True)
        earlier = backup_path(settings, "before-restore")
        with named_when_cut_off(earlier), progress_line() as progress:
            done = restored(
                client,
                MediaStore(settings.media_base, PLAIN),
                file,
                elsewhere=erasables(client, settings),
                trail=console_trail(),
                replace=replace,
                earlier=earlier,
                progress=progress,
            )
    if as_json:
        told = {"records": done.manifest.records - done.left_out, "left_out": done.left_out, "manifest": done.digest}
        print_json({**told, "earlier": str(done.earlier) if done.earlier else None})
        return
    typer.echo(f"{done.manifest.records - done.left_out} sightings of {done.manifest.created_at:%Y-%m-%d %H:%M} UTC")
    typer.echo(f"manifest {done.digest}; counts, pictures' hashes and audit log are right")
    if done.left_out:
        typer.echo(f"{done.left_out} sightings were erased since and stay erased.")
    if done.earlier:
        typer.echo(f"What was here before: {done.earlier}")


@contextmanager
def named_when_cut_off(earlier: Path) -> Iterator[None]:
    """Whoever is left with half a restore wants to know where the other half is."""
    try:
        yield
    except BaseException:
        if earlier.exists():
            typer.echo(f"What was here before: {earlier}", err=True)
        raise


def _settings() -> Settings:
    settings = load_settings()
    configure_logging(settings)
    return settings


def _client(stack: ExitStack, settings: Settings, *, alone: bool = False) -> redis.Redis:
    """The installation's Redis; its embedded server is started when it does not run.

    Args:
        alone: refuse the embedded server of somebody else, and take data of any version.
    """
    from service.redis_server import connect, embedded_redis

    if settings.redis_url is None:
        server = stack.enter_context(embedded_redis(settings))
        if alone and not server.owned:
            fail("Tapetum is running over this folder: stop it first", 1)
    client = connect(settings, any_schema=alone)
    stack.callback(client.close)
    return client
