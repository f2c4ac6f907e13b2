"""The audit log from the console: take it out, check it, without trusting the service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.console import configure_logging, fail, print_json
from service.commands.users import console_trail
from service.settings import load_settings

if TYPE_CHECKING:
    from service.audit import AuditLog, Verification

__all__ = ["register"]

audit_app = typer.Typer(help="Who did what, in a chain of hashes.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(audit_app, name="audit")


@audit_app.command("export")
def export(file: Annotated[Path, typer.Argument(help="JSON lines; must not be there yet.")]) -> None:
    """Write the whole log to a file, and print its head. Note the head elsewhere: it pins everything before it."""
    from service.audit import Head, verify_chain

    log = _log()
    entry = log.append("audit.export", console_trail())
    head = Head(entry.seq, entry.hash)  # and not the stored one: others go on writing while this reads
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            for line in log.lines():
                out.write(line + b"\n")
            out.flush()
            os.fsync(out.fileno())
    except FileExistsError:
        fail(f"{file} is there already")
    with file.open("rb") as written:
        outcome = verify_chain(written, head)
    _report(outcome, as_json=False)


@audit_app.command("verify")
def verify(
    file: Annotated[Path | None, typer.Argument(help="An exported log; else the one of this installation.")] = None,
    head: Annotated[str | None, typer.Option(help="NUMBER:HASH that was noted before; a cut end shows by it.")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Check every entry; names the first that is not as it was written, and ends with 1."""
    from service.audit import Head, verify_chain

    try:
        known = Head.parse(head) if head is not None else None
    except ValueError as error:
        fail(str(error))
    if file is None:
        outcome = _log().verify(known)
    elif file.is_file():
        outcome = verify_chain(_lines(file), known)
    else:
        fail(f"no file at {file}")
    _report(outcome, as_json=as_json)


def _report(outcome: Verification, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "intact": outcome.intact,
                "checked": outcome.checked,
                "head": str(outcome.head) if outcome.head else None,
                "broken_at": outcome.broken_at,
                "reason": outcome.reason,
            }
        )
    else:
        typer.echo(f"{outcome.checked} entries in order, head {outcome.head}")
    if not outcome.intact:
        fail(str(outcome.reason), 1)


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        yield from opened


def _log() -> AuditLog:
    from service.audit import AuditLog
    from service.redis_server import connect

    settings = load_settings()
    configure_logging(settings)
    return AuditLog(connect(settings))
