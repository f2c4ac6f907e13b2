"""What of a subject waits for a second person, and how that person agrees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from nicegui import ui

from service.api.scoped_subject_views import ProposedMerge, WaitingSubject
from service.dashboard import strings
from service.dashboard.desk import Desk
from service.dashboard.elements import picture_of, plain, quiet
from service.dashboard.subject_pair import merge_pair
from service.dashboard.wording import subject_name
from service.security.access import Permission
from service.subjects import Decision

__all__ = ["PendingView"]


class PendingView:
    """Who proposed something can take it back; anybody else can agree, or say that it is wrong.

    Built where it is made; `redraw` is called when something was decided.
    """

    def __init__(
        self, desk: Desk, waiting: WaitingSubject, names: Mapping[str, str], redraw: Callable[[], Awaitable[None]]
    ) -> None:
        self._desk, self._waiting, self._names, self._redraw = desk, waiting, names, redraw
        self._subject = waiting.known.subject
        with ui.element("ol").classes("tp-order tp-pending"):
            for one, decision in sorted(self._subject.pending.items()):
                self._sighting(one, decision)
            for merge in waiting.merges:
                self._merge(merge)

    def _sighting(self, tracklet_id: str, decision: Decision) -> None:
        camera, clock = self._names.get(decision.camera_id, decision.camera_id), self._desk.clock
        record, taken = self._waiting.sightings.get(tracklet_id), self._waiting.taken
        with ui.element("li").classes("tp-order-row").props(f'data-pending="{tracklet_id}"'):
            with ui.element("a").props(f'href="/sightings/{tracklet_id}"').classes("tp-saved-link"):
                picture_of(record)
                with ui.element("span").classes("tp-saved-text"):
                    ui.label(camera).classes("tp-strong-text")
                    if record is not None:
                        ui.label(clock.short(record.started_at)).classes("tp-quiet")
                    told = {"account": decision.account, "time": clock.short(decision.at)}
                    ui.label(strings.PROPOSED_BY.format(**told)).classes("tp-quiet")
                    if tracklet_id in taken:
                        ui.label(strings.PENDING_TAKEN).classes("tp-error")
            self._acts(
                decision.account,
                camera,
                agree=None
                if tracklet_id in self._waiting.taken
                else partial(self._decide, tracklet_id, confirmed=True),
                reject=partial(self._decide, tracklet_id, confirmed=False),
                take_back=partial(self._withdraw, tracklet_id),
            )

    def _merge(self, merge: ProposedMerge) -> None:
        other = merge.other.subject
        with ui.element("li").classes("tp-order-row").props(f'data-merge="{other.id}"'):
            with ui.element("a").props(f'href="/subjects/{other.id}"').classes("tp-saved-link"):
                picture_of(merge.other.picture)
                with ui.element("span").classes("tp-saved-text"):
                    ui.label(strings.PENDING_MERGE.format(name=subject_name(other))).classes("tp-strong-text")
                    ui.label(strings.sightings(len(other.confirmed))).classes("tp-quiet")
                    told = {"account": merge.proposed.account, "time": self._desk.clock.short(merge.proposed.at)}
                    ui.label(strings.MERGE_PROPOSED_BY.format(**told)).classes("tp-quiet")
            self._acts(
                merge.proposed.account,
                subject_name(other),
                agree=partial(self._look, other.id),
                reject=partial(self._withdraw_merge, other.id),
                take_back=partial(self._withdraw_merge, other.id),
                verb=strings.LOOK_AT_BOTH,
            )

    def _acts(
        self,
        account: str,
        about: str,
        *,
        agree: Callable[[], Any] | None,
        reject: Callable[[], Any],
        take_back: Callable[[], Any],
        verb: str = strings.CONFIRM_TOO,
    ) -> None:
        if not self._desk.may(Permission.SUBJECTS):
            return
        mine = account == self._desk.scoped.access.account
        if mine:
            ui.label(strings.PENDING_MINE).classes("tp-note tp-pending-why")
        elif agree is not None:
            plain(verb, agree, icon="check").props["aria-label"] = f"{verb}: {about}"
        if not mine:
            quiet(strings.NOT_THIS, reject, icon="close").props["aria-label"] = f"{strings.NOT_THIS}: {about}"
        else:
            quiet(strings.TAKE_BACK, take_back).props["aria-label"] = f"{strings.TAKE_BACK}: {about}"

    async def _decide(self, tracklet_id: str, *, confirmed: bool) -> None:
        await self._do(lambda: self._desk.scoped.subjects.decide(self._subject.id, tracklet_id, confirmed=confirmed))

    async def _withdraw(self, tracklet_id: str) -> None:
        await self._do(lambda: self._desk.scoped.subjects.withdraw(self._subject.id, tracklet_id))

    async def _withdraw_merge(self, other_id: str) -> None:
        await self._do(lambda: self._desk.scoped.subjects.withdraw_merge(self._subject.id, other_id))

    async def _look(self, other_id: str) -> None:
        if await merge_pair(self._desk, self._subject.id, other_id) is not None:
            await self._redraw()

    async def _do(self, act: Callable[[], Any]) -> None:
        if await self._desk.try_to(act) is not None:
            await self._redraw()
