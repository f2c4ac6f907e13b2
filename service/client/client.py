"""The client: one object, a noun each for what the API has."""

from __future__ import annotations

import os
from datetime import datetime
from types import TracebackType
from typing import Self

import httpx2 as httpx

from service.api.schema import Login, SessionInfo, SessionOpened, SystemInfo
from service.api.schema_history import SystemHistory
from service.client.alerting import Alerts, Watchlist, Webhooks
from service.client.cameras import Cameras
from service.client.cases import Cases, Exports
from service.client.gallery import Erasures, Tracklets
from service.client.noun import window
from service.client.people import Audit, Tokens, Users
from service.client.plans import Plans
from service.client.reembedding import Reembeddings
from service.client.searching import Photos, Searches
from service.client.subjects import Subjects, WalkingTimes
from service.client.transport import Transport

__all__ = ["Client"]

ADDRESS = "http://127.0.0.1:8420"


class Client:
    """A running installation, as one account may use it. Not for several threads at once.

    Every method raises ApiError (of the kind that fits) and UnreachableError.

    Args:
        address: of the installation; else ``TAPETUM_URL``, else this machine.
        token: of a session or an API token; else ``TAPETUM_TOKEN``. Without one: `log_in`.
        retries: how often a request that is safe to repeat is sent again while nobody answers or the service is busy.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | None = None,
        timeout_s: float = 120.0,
        retries: int = 3,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._transport = Transport(
            address or os.environ.get("TAPETUM_URL") or ADDRESS,
            timeout_s=timeout_s,
            retries=retries,
            transport=transport,
        )
        token = token or os.environ.get("TAPETUM_TOKEN")
        if token:
            self._transport.use_token(token)
        self.cameras = Cameras(self._transport)
        self.tracklets = Tracklets(self._transport)
        self.erasures = Erasures(self._transport)
        self.photos = Photos(self._transport)
        self.searches = Searches(self._transport)
        self.subjects = Subjects(self._transport)
        self.walking_times = WalkingTimes(self._transport)
        self.plans = Plans(self._transport)
        self.cases = Cases(self._transport)
        self.exports = Exports(self._transport)
        self.watchlist = Watchlist(self._transport)
        self.alerts = Alerts(self._transport)
        self.webhooks = Webhooks(self._transport)
        self.reembedding = Reembeddings(self._transport)
        self.users = Users(self._transport)
        self.tokens = Tokens(self._transport)
        self.audit = Audit(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connections go. A session that `log_in` opened goes on until it expires; see `log_out`."""
        self._transport.close()

    def log_in(self, account: str, password: str) -> SessionOpened:
        """Open a session and use it from here on."""
        login = Login(account=account, password=password)
        opened = self._transport.call(SessionOpened, "POST", "/session", login)
        self._transport.use_token(opened.token)
        return opened

    def session(self) -> SessionInfo:
        """Who one is, and what one may."""
        return self._transport.get(SessionInfo, "/session")

    def log_out(self) -> None:
        """End the session."""
        self._transport.send("DELETE", "/session")

    def system(self) -> SystemInfo:
        """What runs there."""
        return self._transport.get(SystemInfo, "/system")

    def system_history(
        self, *, since: datetime | None = None, until: datetime | None = None, step_s: int | None = None
    ) -> SystemHistory:
        """How it did over time; the last 24 hours when nothing is said."""
        return self._transport.get(SystemHistory, "/system/history", **window(since, until, step_s))
