"""How much waits for this account to agree, beside the way to its page."""

from __future__ import annotations

from html import escape

from nicegui import ui

from service.api.scoped_subject_views import MOST_WAITING
from service.dashboard import strings
from service.dashboard.desk import Desk, Unanswered

__all__ = ["PendingBadge"]


class PendingBadge:
    """Of one tab; `way` is the link to the page."""

    def __init__(self, desk: Desk, way: ui.html) -> None:
        self._desk, self._way = desk, way
        self._shown = 0

    async def refresh(self) -> None:
        """Look again; where the store does not answer, what was shown stays."""
        try:
            count = await self._desk.ask(self._desk.scoped.subject_views.waiting_count)
        except Unanswered:
            return
        if count == self._shown or self._way.is_deleted:
            return
        self._shown = count
        told = f"{MOST_WAITING}+" if count > MOST_WAITING else str(count)
        badge = f'<span class="tp-count" aria-hidden="true">{told}</span>' if count else ""
        self._way.content = escape(strings.PENDING_PAGE) + badge
        if count:
            self._way.props["aria-label"] = strings.PENDING_COUNT.format(title=strings.PENDING_PAGE, count=told)
        else:
            self._way.props.pop("aria-label", None)
        self._way.update()
