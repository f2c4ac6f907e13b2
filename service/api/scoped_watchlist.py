"""The watchlist as one account may use it: its own entries, and those that reach no further than it sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from ulid import ULID

from service.alerts import Hours, WatchEntry, WatchExample, WatchState
from service.alerts.entries import Cameras, narrow
from service.alerts.entry_store import EntryEnded, ExampleGone, WatchlistError, server_time
from service.api.idempotency import id_for, spent
from service.api.scoped_searches import search_problems, told_example, told_scope
from service.problems import ProblemError
from service.search import Example
from service.security.access import Access, AccessDenied, Permission, Role
from service.security.accounts import Account
from service.security.people import recorded

if TYPE_CHECKING:
    from pydantic import BaseModel

    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = ["NewEntry", "ScopedWatchlist", "SeenEntry"]

LONGEST = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class NewEntry:
    """What an entry is to be made of.

    Attributes:
        examples: sightings and persons of photos; empty where `subject_id` names a subject, whose best confirmed
            sightings are taken.
        cameras: None for all that the account sees.
    """

    name: str
    reason: str
    examples: tuple[Example, ...]
    subject_id: str | None
    cameras: Cameras
    hours: Hours | None
    threshold: float
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SeenEntry:
    """An entry as somebody sees it.

    Attributes:
        cameras: those it watches and they see; None for all.
        changeable: by who sees it.
        examples_until: about when retention will have removed the last sighting that it looks for, and it ends;
            None where it has a photo, or a sighting is kept for ever.
    """

    entry: WatchEntry
    state: WatchState
    cameras: Cameras
    examples_until: datetime | None
    changeable: bool


@dataclass(frozen=True, slots=True)
class ScopedWatchlist:
    """One account's watchlist: its own entries, and those whose cameras and examples it sees all of.

    Who sees an entry may read it; its owner and administrators may change it. It always looks with the rights of its
    owner. Every method may raise ProblemError 404, and what `Scoped` may.

    Attributes:
        require: raises AccessDenied when the permission is missing now.
    """

    services: Services
    scoped: Scoped
    require: Callable[[Permission], None]

    def page(self, limit: int, cursor: str | None) -> tuple[list[SeenEntry], str | None]:
        """Newest first, and the id to go on below."""
        self.require(Permission.WATCHLISTS)
        me, found = self._me(), list[WatchEntry]()
        for entry in self.services.alerting.watchlist.walk(cursor):
            if not self._sees(entry, me):
                continue
            if len(found) == limit:
                return self._shown(found), found[-1].id
            found.append(entry)
        return self._shown(found), None

    def get(self, entry_id: str) -> SeenEntry:
        self.require(Permission.WATCHLISTS)
        return self._shown([self._find(entry_id)])[0]

    def add(self, new: NewEntry, key: str | None, request: BaseModel) -> tuple[SeenEntry, bool]:
        """Make an entry. Returns it, and whether it was made now.

        Raises:
            ProblemError: 404 for an example, a subject or a camera that is not there, 409 for a model that gives no
                probabilities or a full watchlist, 422 for an expiry that is not in the next 366 days.
        """
        self.require(Permission.WATCHLISTS)
        me = self._me()
        if me is None:  # removed a moment ago
            raise AccessDenied(Permission.WATCHLISTS.value)
        now = self._now()
        _check_expiry(new.expires_at, now)
        self._check_cameras(new.cameras)
        examples = new.examples
        if new.subject_id is not None:
            examples = tuple(Example(tracklet_id=r.id) for r in self.scoped.subjects.best(new.subject_id))
        if any(example.photo_id is not None for example in examples):
            self._access.require(Permission.PHOTOS)
        with search_problems():
            resolved = self.services.require_searcher().resolve(examples, self._access)
        model = self.services.alerting.model
        if model is None or not model.calibrated:
            raise ProblemError(409, "not-calibrated", "The model in use gives no probabilities to alert by.")
        entry = WatchEntry(
            id=id_for(self.services.redis, me.name, "watchlist", key, request),
            name=new.name,
            reason=new.reason,
            owner=me.name,
            owner_since=me.created_at,
            scope=self._access.cameras,
            cameras=new.cameras,
            hours=new.hours,
            threshold=new.threshold,
            expires_at=new.expires_at,
            enabled=True,
            model_hash=model.hash,
            examples=tuple(
                WatchExample(
                    modality=one.modality,
                    tracklet_id=one.example.tracklet_id,
                    camera_id=one.record.camera_id if one.record is not None else None,
                    photo_id=one.example.photo_id,
                    person=one.example.person,
                )
                for one in resolved
            ),
            vectors=np.stack([one.vector for one in resolved]).astype(np.float16),
            created_at=now,
            changed_at=now,
            changed_by=me.name,
            subject_id=new.subject_id,
        )
        told = {
            "name": new.name,
            "reason": new.reason,
            "subject": new.subject_id,
            "examples": [told_example(example) for example in examples],
            "scope": told_scope(self._access),
            **_told(entry, _CHANGEABLE - {"name", "reason"}),
        }
        with _problems(), recorded(self.services.audit, "watchlist.add", self.scoped.trail, entry=entry.id, **told):
            made = self.services.alerting.watchlist.add(entry)
        return self.get(entry.id), made

    def change(self, entry_id: str, revision: int, changes: Mapping[str, Any]) -> SeenEntry:
        """Change some fields of `WatchEntry`.

        Raises:
            ProblemError: as `add`, and 409 when it is not the revision that was seen.
        """
        self.require(Permission.WATCHLISTS)
        entry = self._changeable(entry_id)
        now = self._now()
        if "expires_at" in changes:
            _check_expiry(changes["expires_at"], now)
        if "cameras" in changes:
            self._check_cameras(changes["cameras"])

        def changed(old: WatchEntry) -> WatchEntry:
            if old.revision != revision:
                raise ProblemError(409, "entry-changed", "The entry was changed meanwhile. Read it again.")
            new = replace(old, **changes, changed_at=now, changed_by=self._access.account)
            # Nobody makes it look further than they see themselves.
            return replace(new, scope=narrow(old.scope, self._access.cameras)) if "cameras" in changes else new

        told = _told(replace(entry, **changes), changes.keys())
        with _problems(), recorded(self.services.audit, "watchlist.change", self.scoped.trail, entry=entry.id, **told):
            new = self.services.alerting.watchlist.change(entry.id, changed)
            if new is None:
                raise _not_found()
        return self._shown([new])[0]

    def end(self, entry_id: str) -> None:
        """It never matches again, and its vectors are gone. Its alerts stay as long as their sightings."""
        self.require(Permission.WATCHLISTS)
        entry = self._changeable(entry_id)
        with recorded(self.services.audit, "watchlist.end", self.scoped.trail, entry=entry.id, name=entry.name):
            self.services.alerting.watchlist.remove(entry.id)

    # -- parts -----------------------------------------------------------------------------------

    @property
    def _access(self) -> Access:
        return self.scoped.access

    def _now(self) -> datetime:
        return server_time(self.services.redis)

    def _me(self) -> Account | None:
        return self.services.accounts.get(self._access.account)

    def _find(self, entry_id: str) -> WatchEntry:
        entry = self.services.alerting.watchlist.get(entry_id)
        if entry is None or not self._sees(entry, self._me()):
            raise _not_found()
        return entry

    def _changeable(self, entry_id: str) -> WatchEntry:
        entry = self._find(entry_id)
        if not self._may_change(entry, self._me()):
            raise AccessDenied(Permission.WATCHLISTS.value)
        return entry

    def _may_change(self, entry: WatchEntry, me: Account | None) -> bool:
        return entry.is_owned_by(me) or self._access.role is Role.ADMIN

    def _sees(self, entry: WatchEntry, me: Account | None) -> bool:
        seen = self._access.cameras
        if seen is None or entry.is_owned_by(me):
            return True
        watched = narrow(entry.cameras, entry.scope)
        shown = {example.camera_id for example in entry.examples if example.camera_id is not None}
        return watched is not None and watched | shown <= seen

    def _check_cameras(self, cameras: Cameras) -> None:
        for one in sorted(cameras or ()):
            self.scoped.camera(one)

    def _shown(self, entries: Sequence[WatchEntry]) -> list[SeenEntry]:
        if not entries:
            return []
        now, model, days_of = self._now(), self.services.alerting.model, self.services.keep_days()
        default_days = self.services.settings.retention_days
        owners = {name: self.services.accounts.get(name) for name in {entry.owner for entry in entries}}
        me = self._me()

        def kept_until(example: WatchExample) -> datetime | None:
            days = days_of.get(example.camera_id or "", default_days)
            if example.tracklet_id is None or days is None:
                return None
            return ULID.from_str(example.tracklet_id).datetime + timedelta(days=days)

        shown = []
        for entry in entries:
            ends = [kept_until(example) for example in entry.examples]
            known = [end for end in ends if end is not None]
            shown.append(
                SeenEntry(
                    entry,
                    entry.state(now, owners[entry.owner], model),
                    narrow(narrow(entry.cameras, entry.scope), self._access.cameras),
                    max(known) if len(known) == len(ends) else None,
                    self._may_change(entry, me),
                )
            )
        return shown


_CHANGEABLE = frozenset({"name", "reason", "cameras", "hours", "threshold", "expires_at", "enabled"})


def _told(entry: WatchEntry, names: Iterable[str]) -> dict[str, Any]:
    """Some fields of an entry, for the audit log."""
    values: dict[str, Any] = {name: getattr(entry, name) for name in sorted(names)}
    if values.get("cameras") is not None:
        values["cameras"] = sorted(values["cameras"])
    if values.get("hours") is not None:
        values["hours"] = values["hours"].to_dict()
    if "expires_at" in values:
        values["expires_at"] = values["expires_at"].isoformat()
    return values


def _check_expiry(expires_at: datetime, now: datetime) -> None:
    if not now < expires_at <= now + LONGEST:
        latest = (now + LONGEST).astimezone(UTC).isoformat(timespec="seconds")
        raise ProblemError(422, "invalid", f"expires_at: expected a time from now to {latest}")


@contextmanager
def _problems() -> Iterator[None]:
    try:
        yield
    except ExampleGone as error:
        raise ProblemError(404, "example-not-found", str(error)) from None
    except EntryEnded:
        raise spent() from None
    except WatchlistError as error:
        raise ProblemError(409, "watchlist-refused", str(error)) from None


def _not_found() -> ProblemError:
    return ProblemError(404, "entry-not-found", "There is no such entry of the watchlist.")
