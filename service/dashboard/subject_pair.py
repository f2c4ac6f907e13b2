"""Two subjects side by side, before they are merged or sightings go from one to the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nicegui import ui

from service.api.scoped_subject_views import SubjectPair
from service.dashboard import strings
from service.dashboard.desk import Desk
from service.dashboard.elements import answer_of, heading, link, plain, primary, quiet
from service.dashboard.subject_picker import choose_subject
from service.dashboard.wording import Clock, span, subject_name, thumbnail
from service.gallery import TrackletRecord
from service.subjects import Conflict, Subject

__all__ = ["merge_pair", "merge_with", "move_to_another"]

PICTURES = 24
CONFLICTS = 5
_ANOTHER = "another"


async def merge_with(desk: Desk, subject: Subject) -> str | None:
    """Choose another subject, look at both, and merge it into this one. Returns the id of the one that is kept."""
    title = strings.MERGE_WHICH.format(name=subject_name(subject))
    while (other := await choose_subject(desk, title, without={subject.id})) is not None:
        kept = await merge_pair(desk, subject.id, other.id, again=True)
        if kept != _ANOTHER:
            return kept
    return None


async def merge_pair(desk: Desk, subject_id: str, other_id: str, *, again: bool = False) -> str | None:
    """Look at both and merge, propose it or agree. Returns the id of the one that is kept, None for no.

    Args:
        again: another one can be chosen, which is answered by ``another``.
    """
    pair = await desk.try_to(lambda: desk.scoped.subject_views.pair(subject_id, other_id))
    names = await desk.try_to(desk.scoped.camera_names)
    if pair is None or names is None:
        return None
    kept, other = pair.subject, pair.other
    two = desk.scoped.settings.two_person_confirmation
    proposed = kept.pending_merges.get(other.id) or other.pending_merges.get(kept.id)
    agreeing = proposed is not None and proposed.account != desk.scoped.access.account
    verb = strings.MERGE if not two else strings.MERGE_AGREE if agreeing else strings.MERGE_PROPOSE
    with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-wide"):
        dialog.props["aria-label"] = strings.MERGE
        heading(strings.MERGE_SURE, level=2)
        _both(pair, subject_name(kept), names, desk.clock)
        _in_the_way(pair, names, desk.clock)
        kept_name, other_name = subject_name(kept if kept.name or not other.name else other), subject_name(other)
        ui.label(strings.MERGE_TEXT.format(name=kept_name, other=other_name)).classes("tp-quiet")
        if two and not agreeing:
            ui.label(strings.MERGE_MINE if proposed is not None else strings.MERGE_TWO).classes("tp-quiet")
        with ui.element("div").classes("tp-line"):
            if not pair.denied and (not two or proposed is None or agreeing):
                _sure(verb, pair, lambda: dialog.submit(True))
            if again:
                plain(strings.CHOOSE_ANOTHER, lambda: dialog.submit(_ANOTHER))
            quiet(strings.CANCEL, lambda: dialog.submit(None)).props("autofocus")
    given = await answer_of(dialog)
    if given is not True:
        return given if isinstance(given, str) else None
    subjects = desk.scoped.subjects
    merged = await desk.try_to(lambda: subjects.merge(kept.id, kept.revision, other.id, other.revision))
    if merged is None:
        return None
    if other.id in merged.pending_merges:
        ui.notify(strings.MERGE_WAITS, type="info", position="top")
    return merged.id


async def move_to_another(desk: Desk, subject: Subject, tracklet_ids: Sequence[str]) -> Subject | None:
    """Choose another subject, look at it beside the sightings, and move them there. Returns it, None for no."""
    while True:
        other = await choose_subject(desk, strings.MOVE_WHICH, without={subject.id})
        if other is None:
            return None
        found = await _move(desk, subject, tracklet_ids, other.id)
        if found != _ANOTHER:
            return found if isinstance(found, Subject) else None


async def _move(desk: Desk, subject: Subject, tracklet_ids: Sequence[str], other_id: str) -> Subject | str | None:
    pair = await desk.try_to(lambda: desk.scoped.subject_views.pair(subject.id, other_id, tracklet_ids))
    names = await desk.try_to(desk.scoped.camera_names)
    if pair is None or names is None:
        return None
    with ui.dialog(value=True) as dialog, ui.element("div").classes("tp-dialog tp-wide"):
        dialog.props["aria-label"] = strings.MOVE
        heading(strings.MOVE_SURE.format(name=subject_name(pair.other)), level=2)
        _both(pair, strings.CHOSEN.format(count=len(pair.sightings)), names, desk.clock)
        _in_the_way(pair, names, desk.clock, denying=False)
        if desk.scoped.settings.two_person_confirmation:
            ui.label(strings.MOVE_TWO).classes("tp-quiet")
        with ui.element("div").classes("tp-line"):
            _sure(strings.MOVE, pair, lambda: dialog.submit(True))
            plain(strings.CHOOSE_ANOTHER, lambda: dialog.submit(_ANOTHER))
            quiet(strings.CANCEL, lambda: dialog.submit(None)).props("autofocus")
    given = await answer_of(dialog)
    if given is not True:
        return given if isinstance(given, str) else None
    subjects, other = desk.scoped.subjects, pair.other
    return await desk.try_to(
        lambda: subjects.move(subject.id, subject.revision, tracklet_ids, other.id, other.revision)
    )


def _sure(verb: str, pair: SubjectPair, act: Callable[[], None]) -> None:
    if pair.conflict_count:
        primary(strings.ALL_THE_SAME.format(verb=verb), act).classes("tp-bad")
    else:
        primary(verb, act)


def _both(pair: SubjectPair, title: str, names: Mapping[str, str], clock: Clock) -> None:
    with ui.element("div").classes("tp-both"):
        _side(title, pair.sightings, None, names, clock)
        _side(subject_name(pair.other), pair.others, f"/subjects/{pair.other.id}", names, clock)


def _side(
    title: str, records: Sequence[TrackletRecord], path: str | None, names: Mapping[str, str], clock: Clock
) -> None:
    with ui.element("section").classes("tp-block"):
        with ui.element("div").classes("tp-line"):
            heading(title, level=3)
            if path is not None:
                link(strings.OPEN_PAGE, path, classes="tp-link").props('target="_blank"')
        cameras = len({record.camera_id for record in records})
        told = strings.SUBJECT_SUM.format(sightings=strings.sightings(len(records)), cameras=strings.cameras(cameras))
        ui.label(told).classes("tp-quiet")
        if records:
            ui.label(f"{clock.short(records[0].started_at)} – {clock.short(records[-1].started_at)}").classes(
                "tp-quiet"
            )
        picture_row(records[:PICTURES], names, clock, label=title)


def picture_row(records: Sequence[TrackletRecord], names: Mapping[str, str], clock: Clock, *, label: str) -> None:
    """Small pictures in a row that wraps."""
    with ui.element("div").classes("tp-pair-pictures").props('tabindex="0" role="group"') as row:
        row.props["aria-label"] = label
        for record in records:
            image = ui.element("img")
            where = f"{names.get(record.camera_id, record.camera_id)}, {clock.short(record.started_at)}"
            image.props["src"], image.props["alt"], image.props["title"] = thumbnail(record), where, where


def _in_the_way(pair: SubjectPair, names: Mapping[str, str], clock: Clock, *, denying: bool = True) -> None:
    """What says that both are not one person."""
    if pair.denied and denying:
        with ui.element("div").classes("tp-news tp-news-bad").props('role="status"'):
            ui.icon("block", size="18px")
            ui.label(strings.MERGE_DENIED)
    if not pair.conflict_count:
        ui.label(strings.PAIR_FITS).classes("tp-quiet")
        return
    with ui.element("div").classes("tp-news tp-news-bad tp-news-list").props('role="status"'):
        with ui.element("div").classes("tp-line"):
            ui.icon("warning", size="18px")
            ui.label(strings.PAIR_CONFLICTS[min(pair.conflict_count, 2)].format(count=pair.conflict_count))
        with ui.element("ul"):
            for conflict in pair.conflicts[:CONFLICTS]:
                with ui.element("li"):
                    ui.label(_told(conflict, names, clock))
            if pair.conflict_count > CONFLICTS:
                with ui.element("li"):
                    ui.label(strings.PAIR_MORE.format(count=pair.conflict_count - CONFLICTS))


def _told(conflict: Conflict, names: Mapping[str, str], clock: Clock) -> str:
    one, other = (
        f"{names.get(sighting.camera_id, sighting.camera_id)} {clock.short(sighting.started_at)}"
        for sighting in (conflict.first, conflict.second)
    )
    if conflict.gap_s < 0:
        return strings.PAIR_AT_ONCE.format(one=one, other=other)
    return strings.PAIR_TOO_FAR.format(one=one, other=other, time=span(conflict.gap_s), least=span(conflict.least_s))
