"""The page of an export: one HTML file that needs nothing but the pictures beside it, and runs nothing.

Whatever people or cameras were called is escaped and kept apart from the direction of writing around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized
from datetime import UTC, datetime
from html import escape
from typing import Any

from service.cases.case import Pin
from service.cases.content import NOTE, CaseContent, Pictures
from service.gallery import TrackletRecord
from service.subjects import Subject, Timeline

__all__ = ["summary"]

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light; }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #111; }}
h1, td, p {{ overflow-wrap: anywhere; }}
h2 {{ margin-top: 2.5rem; border-bottom: 2px solid #111; }}
h3 {{ margin: 1.5rem 0 0; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #ccc; }}
.facts th {{ width: 8rem; font-weight: 600; }}
img {{ height: 12rem; max-width: 100%; object-fit: contain; margin: .3rem .3rem 0 0; vertical-align: top; }}
code {{ font-size: .85em; }}
.text {{ white-space: pre-wrap; margin: 0; }}
.small {{ color: #444; font-size: .9rem; margin: 0; }}
.impossible {{ color: #a40000; font-weight: bold; }}
section {{ break-inside: avoid; margin-bottom: 1rem; }}
</style>
</head>
<body>
"""


def summary(content: CaseContent, pictures: Pictures, about: Mapping[str, Any]) -> Iterator[str]:
    """The page in parts; `about` is the export itself."""
    case = content.case
    yield _HEAD.format(title=escape(case.title))
    yield f'<main>\n<h1>{_said(case.title)}</h1>\n<p>{escape(NOTE)}</p>\n<table class="facts">\n'
    yield _row("Case", f"{_code(case.id)}, {escape(case.state.value)}, of {_said(case.owner.account)}")
    exported = _time(datetime.fromisoformat(about["created_at"]))
    yield _row("Exported", f"{exported} by {_said(about['account'])}, as far as that account may see")
    yield _row("Why", _said(about["reason"]))
    yield _row("Bystanders", "made unrecognisable" if about["blurred"] else "<strong>not</strong> made unrecognisable")
    yield _row("Holds", f"{_count(content.sightings, 'sighting')}, {_count(content.subjects, 'subject')}")
    yield _row(
        "Signed",
        "<code>manifest.json</code> has the SHA-256 of every file, <code>manifest.sig</code> is its Ed25519 signature "
        f"with the key {_code(about['key'])}",
    )
    yield _row("Times", "UTC")
    yield "</table>\n"
    if content.notes:
        yield "<h2>Notes</h2>\n"
        for note in content.notes:
            head = f"{_said(note.account)}, {_time(note.at)}"
            yield f'<section><p class="small">{head}</p><p class="text">{_said(note.text)}</p></section>\n'
    for subject, timeline in content.subjects:
        yield from _subject(content, subject, timeline)
    yield "<h2>Sightings</h2>\n" if content.sightings else "<p>Nothing is pinned that this account sees.</p>\n"
    for record in content.sightings:
        yield from _sighting(content, record, pictures[record.id])
    yield "</main>\n</body>\n</html>\n"


def _subject(content: CaseContent, subject: Subject, timeline: Timeline) -> Iterator[str]:
    yield f"<h2>{_said(subject.name or f'Subject {subject.number}')}</h2>\n"
    yield _pinned(content.pin_of(subject.id, *subject.previous_ids))
    yield "<table>\n<tr><th>From</th><th>To</th><th>Camera</th><th>Sighting</th><th>Confirmed by</th></tr>\n"
    for sighting in timeline.sightings:
        place = _said(content.camera_name(sighting.camera_id))
        link = f'<a href="#{escape(sighting.id)}">{_code(sighting.id)}</a>'
        yield (
            f"<tr><td>{_time(sighting.started_at)}</td><td>{_time(sighting.ended_at)}</td>"
            f"<td>{place}</td><td>{link}</td><td>{_said(subject.confirmed[sighting.id].account)}</td></tr>\n"
        )
    yield "</table>\n"
    for conflict in timeline.conflicts:
        gap = f"there are {conflict.gap_s:.0f}" if conflict.gap_s >= 0 else "they overlap"
        yield (
            f'<p class="impossible">{escape(conflict.first.id)} and {escape(conflict.second.id)} cannot be one person: '
            f"the way takes at least {conflict.least_s:.0f} s, and {gap}.</p>\n"
        )
    more = timeline.conflict_count - len(timeline.conflicts)
    if more:
        yield f'<p class="impossible">And {more} more pairs.</p>\n'


def _sighting(content: CaseContent, record: TrackletRecord, pictures: tuple[str | None, ...]) -> Iterator[str]:
    place = _said(content.camera_name(record.camera_id))
    yield (
        f'<section id="{escape(record.id)}">\n<h3>{place}, {_time(record.started_at)}</h3>\n'
        f'<p class="small">{_code(record.id)}, {escape(record.modality.value)}, until {_time(record.ended_at)}</p>\n'
    )
    yield _pinned(content.pin_of(record.id))
    for path, crop in zip(pictures, record.crops, strict=True):
        if path is not None:
            alt = f"Seen at {_time(crop.captured_at)}"
            yield f'<img src="{escape(path)}" alt="{alt}" title="{alt}" loading="lazy">'
    gone = sum(path is None for path in pictures)
    if gone or not pictures:
        yield f'<p class="small">{gone or "All"} of its pictures are gone.</p>'
    yield "\n</section>\n"


def _pinned(pin: Pin | None) -> str:
    if pin is None:
        return ""
    note = f": {_said(pin.note)}" if pin.note else ""
    return f'<p class="small">Pinned by {_said(pin.account)}, {_time(pin.at)}{note}</p>\n'


def _count(found: Sized, name: str) -> str:
    return f"{len(found)} {name}{'s' * (len(found) != 1)}"


def _row(name: str, value: str) -> str:
    return f"<tr><th>{escape(name)}</th><td>{value}</td></tr>\n"


def _said(text: str) -> str:
    """What somebody wrote: escaped, and its direction of writing kept to itself."""
    return f"<bdi>{escape(text)}</bdi>"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _time(moment: datetime) -> str:
    return escape(f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}")
