"""The gallery from the console: erase for good, check an erasure, hold."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.console import configure_logging, fail
from service.commands.users import console_trail
from service.settings import load_settings

if TYPE_CHECKING:
    from service.audit import AuditLog
    from service.gallery import Eraser, Gallery, Holds, MediaStore
    from service.gallery.erasable import Erasable

__all__ = ["register"]

gallery_app = typer.Typer(help="What is kept of people, and how it goes.", no_args_is_help=True)
Ids = Annotated[list[str], typer.Argument(help="Ids of sightings.")]
NoIds = Annotated[list[str] | None, typer.Argument(help="Ids of sightings.")]


def register(app: typer.Typer) -> None:
    app.add_typer(gallery_app, name="gallery")


@gallery_app.command("erase")
def erase(
    reason: Annotated[str, typer.Option(help="Why; goes to the audit log.")],
    report: Annotated[Path, typer.Option(help="File for the report; must not be there yet.")],
    ids: NoIds = None,
    subject: Annotated[str | None, typer.Option(help="Instead: all sightings confirmed in this subject.")] = None,
) -> None:
    """Erase sightings for good and write a report that `verify-erasure` checks."""
    from service.gallery import HeldError

    if bool(ids) == (subject is not None):
        fail("expected ids of sightings, or --subject")
    parts = _Parts()
    ids = ids or parts.confirmed_in(str(subject))
    try:
        out = os.fdopen(os.open(report, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
    except OSError as error:  # before anything is gone
        fail(f"{report}: {error.strerror or error}")
    trail = console_trail()
    parts.audit.append("erase", trail, tracklets=list(dict.fromkeys(ids)), reason=reason)
    try:
        done = parts.eraser.erase(ids, account=trail.account or "console", reason=reason)
    except (HeldError, ValueError) as error:
        fail(str(error), 1)
    parts.audit.append("erased", trail, erasure=done.id, report=done.digest)
    with out:
        json.dump({**done.to_dict(), "digest": done.digest}, out, indent=2)
    typer.echo(f"{done.records} sightings and {done.pictures} pictures erased")
    if done.compacted:
        typer.echo(f"written anew: {', '.join(done.compacted)}")


@gallery_app.command("verify-erasure")
def verify(report: Annotated[Path, typer.Argument(help="What an erasure reported.")]) -> None:
    """Check that nothing of an erasure is left, and that the audit log knows its report; else ends with 1."""
    from service.gallery import ErasureReport, verify_erasure

    try:
        values = json.loads(report.read_text(encoding="utf-8"))
        erased = ErasureReport.from_dict(values)
    except (OSError, ValueError, TypeError) as error:
        fail(f"{report}: {error}")
    parts = _Parts()
    found = verify_erasure(erased, parts.gallery, parts.media, parts.elsewhere)
    if not any(b'"erased"' in line and erased.digest.encode() in line for line in parts.audit.lines()):
        found.append("the audit log holds no such report: it was changed, or is of another installation")
    for line in found:
        typer.echo(line)
    if found:
        fail(f"{len(found)} findings", 1)
    typer.echo(f"{len(erased.tracklet_ids)} sightings: no record, no picture, and none can come back")


@gallery_app.command("hold")
def hold(ids: Ids, reason: Annotated[str, typer.Option(help="Why; goes to the audit log.")]) -> None:
    """Keep sightings from retention and erasure."""
    parts = _Parts()
    missing = [one for one in ids if one not in parts.gallery.get_many(ids)]
    if missing:
        fail(f"there is no sighting {missing[0]}", 1)
    trail = console_trail()
    for one in ids:
        parts.audit.append("hold.place", trail, tracklet=one, reason=reason)
        parts.holds.place(one, reason, trail.account or "console")


@gallery_app.command("release")
def release(ids: Ids) -> None:
    """Lift holds."""
    parts = _Parts()
    for one in ids:
        parts.audit.append("hold.lift", console_trail(), tracklet=one)
        if not parts.holds.lift(one):
            typer.echo(f"nothing held {one}", err=True)


class _Parts:
    """What these commands work with."""

    gallery: Gallery
    media: MediaStore
    holds: Holds
    eraser: Eraser
    audit: AuditLog
    elsewhere: tuple[Erasable, ...]

    def __init__(self) -> None:
        from service.audit import AuditLog
        from service.erasables import erasables
        from service.gallery import Eraser, Gallery, Holds, MediaStore
        from service.redis_server import connect
        from service.sealing import claimed_sealer
        from service.subjects import SubjectStore

        settings = load_settings()
        configure_logging(settings)
        client = connect(settings)
        sealer = claimed_sealer(settings, client)
        self.gallery, self.media = Gallery(client, sealer), MediaStore(settings.media_base, sealer)
        self.elsewhere = erasables(client, settings)
        self.holds, self.audit = Holds(client), AuditLog(client)
        self.eraser = Eraser(client, self.gallery, self.media, self.holds, self.elsewhere)
        self._subjects = SubjectStore(client)

    def confirmed_in(self, subject_id: str) -> list[str]:
        """The sightings of a subject; ends the command where there are none."""
        from service.subjects import SubjectMissing

        try:
            found = list(self._subjects.get(subject_id).confirmed)
        except SubjectMissing:
            fail(f"there is no subject {subject_id}", 1)
        return found or fail(f"no sighting is confirmed in subject {subject_id}", 1)
