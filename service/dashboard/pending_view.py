"""What of a subject waits for a second person, and how that person agrees."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from nicegui import ui

from service.dashboard import strings
from service.dashboard.desk import Desk
from service.dashboard.elements import heading, plain, quiet
from service.security.access import Permission
from service.subjects import Subject

__all__ = ["show_pending"]


def show_pending(desk: Desk, subject: Subject, names: Mapping[str, str], redraw: Callable[[], Awaitable[None]]) -> None:
    """The sightings that one account confirmed. Who that was can take them back, anybody else can confirm them too."""

    async def confirm(tracklet_id: str) -> None:
        subjects = desk.scoped.subjects
        if await desk.try_to(lambda: subjects.decide(subject.id, tracklet_id, confirmed=True)) is not None:
            await redraw()

    async def withdraw(tracklet_id: str) -> None:
        subjects = desk.scoped.subjects
        if await desk.try_to(lambda: subjects.withdraw(subject.id, tracklet_id)) is not None:
            await redraw()

    with ui.element("section").classes("tp-block"):
        heading(strings.PENDING, level=2)
        ui.label(strings.PENDING_TEXT).classes("tp-quiet")
        with ui.element("ol").classes("tp-order"):
            for one, decision in sorted(subject.pending.items()):
                camera = names.get(decision.camera_id, decision.camera_id)
                with ui.element("li").classes("tp-order-row").props(f'data-pending="{one}"'):
                    with ui.element("a").props(f'href="/sightings/{one}"').classes("tp-saved-link"):
                        image = ui.element("img")
                        image.props["src"] = f"/api/v1/tracklets/{one}/thumbnail"
                        image.props["alt"] = ""
                        with ui.element("span").classes("tp-saved-text"):
                            ui.label(camera).classes("tp-strong-text")
                            told = {"account": decision.account, "time": desk.clock.short(decision.at)}
                            ui.label(strings.PROPOSED_BY.format(**told)).classes("tp-quiet")
                    if not desk.may(Permission.SUBJECTS):
                        continue
                    if decision.account != desk.scoped.access.account:
                        agree = plain(strings.CONFIRM_TOO, partial(confirm, one), icon="check")
                        agree.props["aria-label"] = f"{strings.CONFIRM_TOO}: {camera}"
                    out = quiet(strings.TAKE_OUT, partial(withdraw, one))
                    out.props["aria-label"] = f"{strings.TAKE_OUT}: {camera}"
