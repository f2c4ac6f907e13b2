"""Alerts as one account may see them: those of its cameras."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from redis.exceptions import RedisError
from starlette.concurrency import run_in_threadpool

from service.alerts import Alert
from service.alerts.alert_store import POSITION, AlertPage
from service.alerts.telling import told_alert
from service.gallery import GalleryUnavailable
from service.problems import ProblemError
from service.security.access import Access, Permission
from service.security.people import recorded

if TYPE_CHECKING:
    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = ["ScopedAlerts"]

_log = structlog.get_logger(__name__)
SILENT_S = 15.0  # after so long without an alert a stream says that it lives
AWAY_S = 1.0
CHUNK = 200


@dataclass(frozen=True, slots=True)
class ScopedAlerts:
    """One account's alerts. Every method may raise ProblemError 404, and what `Scoped` may.

    Attributes:
        require: raises AccessDenied when the permission is missing now.
    """

    services: Services
    scoped: Scoped
    require: Callable[[Permission], None]

    def page(
        self,
        limit: int,
        cursor: str | None = None,
        *,
        camera_id: str | None = None,
        entry_id: str | None = None,
        acknowledged: bool | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AlertPage:
        """Newest first; a page may be short and still have a next one. Raises ProblemError 422 for a bad cursor.

        Args:
            since, until: when they were raised, both inclusive.
        """
        self.require(Permission.ALERTS)
        cameras = self._access.cameras
        if camera_id is not None:
            cameras = frozenset({camera_id} if self._access.sees(camera_id) else ())
        try:
            return self.services.alerting.alerts.page(
                cameras,
                limit=limit,
                cursor=cursor,
                entry_id=entry_id,
                acknowledged=acknowledged,
                since=since,
                until=until,
            )
        except ValueError as error:
            raise ProblemError(422, "invalid", str(error)) from None

    def get(self, alert_id: str) -> Alert:
        self.require(Permission.ALERTS)
        alert = self.services.alerting.alerts.get(alert_id)
        if alert is None or not self._access.sees(alert.camera_id):
            raise _not_found()
        return alert

    def acknowledge(self, alert_id: str, note: str | None) -> Alert:
        """Take note of an alert. Who was first stays: the same again, or somebody else's, changes nothing."""
        self.require(Permission.WATCHLISTS)
        alert = self.get(alert_id)
        if alert.acknowledged is not None:
            return alert
        told = {"alert": alert.id, "entry": alert.entry_id, "camera": alert.camera_id}
        with recorded(self.services.audit, "alert.acknowledge", self.scoped.trail, **told):
            noted = self.services.alerting.alerts.acknowledge(alert.id, self._access.account, note)
            if noted is None:
                raise _not_found()
        return noted

    def told(self, alert: Alert) -> dict[str, Any]:
        """An alert in plain JSON values, as the account may know of it."""
        return told_alert(alert, self._access.sees, self.services.camera_names())

    # -- as they come ----------------------------------------------------------------------------

    def begin(self, after: str | None) -> str:
        """The position from which a stream goes on; that somebody watches is noted.

        Args:
            after: the position of the last alert that was seen; None for those to come.

        Raises:
            ProblemError: 422 for what is no position.
        """
        self.require(Permission.ALERTS)
        if after is not None and not POSITION.fullmatch(after):
            raise ProblemError(422, "invalid", "Last-Event-ID: expected the id of an event of this stream")
        self.services.views.note("view.alerts", self.scoped.trail, "stream", "")
        return after if after is not None else self.services.alerting.alerts.last()

    async def stream(self, position: str) -> AsyncGenerator[Alert | None, None]:
        """The alerts after a position, and then each as it is raised; None where there was none for a while.

        After each reading of at most `CHUNK`, role, scope and (where `Scoped` knows one) session are judged anew. While
        Redis is away it waits, and then goes on where it was.

        Raises:
            AccessDenied: the account may not see alerts any more.
        """
        away = False
        with self.services.alerting.bell.listening() as rung:
            while True:
                rung.clear()
                try:
                    found, position = await run_in_threadpool(self._after, position)
                    away = False
                except (GalleryUnavailable, RedisError) as error:
                    if not away:
                        _log.warning("alert_stream_waits", reason=str(error))
                    away = True
                    await asyncio.sleep(AWAY_S)
                    yield None
                    continue
                for alert in found:
                    yield alert
                if found:
                    continue
                with suppress(TimeoutError):
                    async with asyncio.timeout(SILENT_S):
                        await rung.wait()
                    continue
                yield None

    def _after(self, position: str) -> tuple[list[Alert], str]:
        """What came since and may be seen, and the position to go on from; empty only when nothing is left."""
        while True:
            found, newest = self.services.alerting.alerts.after(position, self._access.cameras, CHUNK)
            self.require(Permission.ALERTS)  # asked after they were read: what ended meanwhile shows nothing
            seen = [alert for alert in found if self._access.sees(alert.camera_id)]
            if seen or newest == position:
                return seen, newest
            position = newest

    @property
    def _access(self) -> Access:
        return self.scoped.access


def _not_found() -> ProblemError:
    return ProblemError(404, "alert-not-found", "There is no such alert.")
