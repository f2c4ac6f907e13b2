"""The services as one account may use them: the only way from routes and pages to what is stored.

Whatever a camera saw exists for an account only if the camera is in its scope. What lies outside is answered like
what never was, and is in no count.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from pipeline.camera import CameraConfig, CameraHealth, CameraPosition
from pipeline.camera_url import mask_url
from service.api.idempotency import Once
from service.api.photo_store import StoredPhoto
from service.api.probing import CameraProbe, without_place
from service.api.scoped_alerts import ScopedAlerts
from service.api.scoped_cases import ScopedCases
from service.api.scoped_exports import ScopedExports
from service.api.scoped_plans import ScopedPlans
from service.api.scoped_searches import ScopedSearches, search_problems, told_search
from service.api.scoped_subject_views import ScopedSubjectViews
from service.api.scoped_subjects import ScopedSubjects
from service.api.scoped_walks import ScopedWalks
from service.api.scoped_watchlist import ScopedWatchlist
from service.api.scoped_webhooks import ScopedWebhooks
from service.audit import Trail
from service.camera_board import CameraMissingError, CameraRecord
from service.gallery import ErasureReport, GalleryFilter, HeldError, Hold, MediaStore, Page, TrackletRecord
from service.history import Bucket, StateChange, resolution_for
from service.live import LiveFrame
from service.photos import PhotoAnalysis
from service.problems import ProblemError
from service.search import Example, SearchOutcome
from service.search_store import Question
from service.security.access import Access, AccessDenied, Permission, Role
from service.security.people import People, recorded

if TYPE_CHECKING:
    from pydantic import BaseModel

    from models.types import Modality
    from pipeline.footage import Clip, Scene
    from pipeline.types import Image
    from service.api.engines import LoadedModel, PhotoEngines
    from service.api.services import Services
    from service.gallery.model_in_use import GalleryModel
    from service.metrics import Metrics
    from service.security.sessions import Session
    from service.security.throttle import LoginThrottle
    from service.settings import Settings

__all__ = ["Scoped", "camera_not_found"]


def camera_not_found(camera_id: str) -> ProblemError:
    """The answer for a camera that is not there, and for one that is not for this account."""
    return ProblemError(404, "camera-not-found", f"There is no camera “{camera_id}”.")


class Scoped:
    """One account's view of the services. Methods block on Redis; call them in a thread.

    A request has just passed the gate; a page stays open, so it gives its session too, and what is changed, searched
    or tried from it asks again whether that lives.

    Every method may raise AccessDenied, AuditUnavailable, GalleryUnavailable and ``redis.RedisError``.
    """

    def __init__(self, services: Services, access: Access, trail: Trail, session: Session | None = None) -> None:
        self._services = services
        self._session = session
        self.access = access
        self.trail = trail

    # -- what does not depend on the account -----------------------------------------------------

    @property
    def settings(self) -> Settings:
        return self._services.settings

    @property
    def metrics(self) -> Metrics:
        return self._services.metrics

    @property
    def engines(self) -> PhotoEngines:
        return self._services.engines

    @property
    def search_slots(self) -> asyncio.Semaphore:
        return self._services.search_slots

    @property
    def photo_slots(self) -> asyncio.Semaphore:
        return self._services.photo_slots

    @property
    def probe_slots(self) -> asyncio.Semaphore:
        return self._services.probe_slots

    @property
    def password_checks(self) -> asyncio.Semaphore:
        return self._services.password_checks

    @property
    def throttle(self) -> LoginThrottle:
        return self._services.throttle

    @property
    def judge_photo(self) -> Callable[[Image], Modality]:
        return self._services.judge_photo

    def require_model(self) -> LoadedModel:
        """The model in use. Raises ProblemError 503 while it loads."""
        return self._services.require_model()

    def gallery_model(self) -> GalleryModel:
        """The model that the gallery is searched by. Raises ProblemError 503 while none is loaded."""
        return self._services.gallery_model()

    @property
    def store_away(self) -> bool:
        """Whether the index answers as it was, because Redis does not answer."""
        follower = self._services.follower
        return follower is not None and follower.stats().ready and not follower.stats().connected

    @property
    def people(self) -> People:
        """Accounts and tokens."""
        s = self._services
        return People(s.accounts, s.tokens, s.audit, self.access, self.trail, self.access)

    def once(self, operation: str, key: str | None, request: BaseModel) -> Once:
        """Makes what a request asks for once for each of the account's idempotency keys."""
        return Once(self._services.redis, self.access.account, operation, key, request)

    def log_out(self, session: Session) -> None:
        """End this session, in every tab and replica."""
        with recorded(self._services.audit, "logout", self.trail):
            self._services.sessions.close(session)

    def close(self) -> None:
        """See and do nothing from here on: whoever opened this is gone, and somebody else may have its page."""
        self.access = replace(self.access, role=Role.VIEWER, cameras=frozenset())

    def _require_now(self, permission: Permission) -> None:
        """Raises AccessDenied, also when the page's session ended a moment ago."""
        if self._session is not None and not self.still_there(self._session):
            self.close()
        self.access.require(permission)

    def still_there(self, session: Session) -> bool:
        """Whether the session lives, with the rights it had."""
        return self._services.sessions.lives(session)

    def of_every_camera(self, permission: Permission) -> Services:
        """The services themselves, for what is about the whole installation. Raises AccessDenied."""
        self.access.require(permission)
        if self.access.cameras is not None:
            raise ValueError(f"{permission}: expected a permission that only a scope of all cameras can have")
        return self._services

    # -- cameras ---------------------------------------------------------------------------------

    def cameras(self) -> list[CameraConfig]:
        """The cameras in scope, by name."""
        self.access.require(Permission.VIEW)
        return [config for config in self._services.camera_configs() if self.access.sees(config.id)]

    def camera(self, camera_id: str) -> CameraConfig:
        """Raises ProblemError 404."""
        self.access.require(Permission.VIEW)
        return self._record(camera_id).config

    def camera_names(self) -> Mapping[str, str]:
        """Names by id of the cameras in scope."""
        names = self._services.camera_names()
        return {one: name for one, name in names.items() if self.access.sees(one)}

    def camera_health(self, camera_ids: Sequence[str]) -> dict[str, CameraHealth]:
        """The workers' last reports about cameras in scope."""
        self.access.require(Permission.VIEW)
        return self._services.health.get_many([one for one in camera_ids if self.access.sees(one)])

    def camera_buckets(
        self, camera_ids: Sequence[str], since: datetime, until: datetime, step_s: int
    ) -> dict[str, tuple[Bucket, ...]]:
        """How cameras in scope were over time, by id."""
        self.access.require(Permission.VIEW)
        seen = [one for one in camera_ids if self.access.sees(one)]
        resolution = resolution_for(since, step_s, datetime.now(UTC))
        return self._services.history.cameras(seen, since, until, step_s, resolution)

    def camera_changes(self, camera_id: str, since: datetime, until: datetime) -> tuple[StateChange, ...]:
        """When a camera's state changed; reasons are to be `told`. Raises ProblemError 404."""
        self.camera(camera_id)
        return self._services.history.changes(camera_id, since, until)

    def told(self, config: CameraConfig, sentence: str) -> str:
        """What a camera's health or test says, without credentials; its address is for who manages cameras."""
        text = mask_url(sentence)
        return text if self.access.may(Permission.MANAGE_CAMERAS) else without_place(text, config.url)

    def frames(self, camera_id: str) -> AsyncGenerator[LiveFrame, None]:
        """Live pictures; ask `watch` first. Closing the generator ends the subscription."""
        if not self.access.sees(camera_id):
            raise camera_not_found(camera_id)
        return cast("AsyncGenerator[LiveFrame, None]", self._services.live.frames(camera_id))

    def watch(self, camera_id: str) -> None:
        """Record that live pictures of a camera are looked at. Raises ProblemError 404."""
        self.camera(camera_id)
        self._services.views.note("view.live", self.trail, camera_id, camera_id)

    def add_camera(self, config: CameraConfig) -> CameraConfig:
        """Raises CameraExistsError, or ValueError naming the field."""
        self._require_now(Permission.ADD_CAMERAS)
        _check_login(config.url)
        details = {"camera": config.id or None, "name": config.name, "url": mask_url(config.url)}
        with recorded(self._services.audit, "camera.add", self.trail, **details):
            return self._services.cameras.add(config).config

    def change_camera(self, camera_id: str, changes: Mapping[str, Any]) -> CameraConfig:
        """Change some fields. Raises ProblemError 404, CameraConflictError, or ValueError naming the field.

        Another address is as good as another camera, and needs the right to add one. So does a place on a plan on
        which no camera of the account stands: to stand on a plan is to see it.
        """
        self._require_now(Permission.MANAGE_CAMERAS)
        record = self._record(camera_id)
        if "url" in changes and changes["url"] != record.masked.config.url:
            self.access.require(Permission.ADD_CAMERAS)
            _check_login(changes["url"])
        place = changes.get("position")
        if self.access.cameras is not None and place is not None and place.plan not in self.plans.names() | {""}:
            raise AccessDenied(Permission.PLANS.value)
        told = {name: _told_value(name, value) for name, value in changes.items()}
        with recorded(self._services.audit, "camera.change", self.trail, camera=camera_id, changes=told):
            try:
                changed = replace(record.config, **changes)
                return self._services.cameras.edit(changed, expected_revision=record.revision).config
            except CameraMissingError:
                raise camera_not_found(camera_id) from None

    def remove_camera(self, camera_id: str) -> None:
        """Raises ProblemError 404."""
        self._require_now(Permission.MANAGE_CAMERAS)
        self._record(camera_id)
        with recorded(self._services.audit, "camera.remove", self.trail, camera=camera_id):
            try:
                self._services.cameras.remove(camera_id)
            except CameraMissingError:
                raise camera_not_found(camera_id) from None

    async def probe_camera(self, config: CameraConfig, *, saved: bool) -> CameraProbe:
        """Look once at a saved camera, or at an address that somebody is about to add; recorded either way."""
        await asyncio.to_thread(self._require_now, Permission.TEST_CAMERAS if saved else Permission.ADD_CAMERAS)
        what = {"camera": config.id} if saved else {"url": mask_url(config.url)}
        await asyncio.to_thread(self._services.audit.append, "camera.test", self.trail, **what)
        return await self._services.probe_camera(config)

    def _record(self, camera_id: str) -> CameraRecord:
        if not self.access.sees(camera_id):
            raise camera_not_found(camera_id)
        try:
            return self._services.cameras.get(camera_id)
        except CameraMissingError:
            raise camera_not_found(camera_id) from None

    # -- sightings -------------------------------------------------------------------------------

    def tracklets(self, filters: GalleryFilter, *, limit: int, cursor: str | None = None) -> Page:
        """One page of sightings in scope, newest first. Raises ValueError for a cursor that is none."""
        self.access.require(Permission.VIEW)
        return self._services.gallery.list(self.access.narrowed(filters), limit=limit, cursor=cursor)

    def tracklet(self, tracklet_id: str) -> TrackletRecord:
        """Raises ProblemError 404."""
        self.access.require(Permission.VIEW)
        record = self._services.gallery.get(tracklet_id)
        if record is None or not self.access.sees(record.camera_id):
            raise ProblemError(404, "tracklet-not-found", "There is no such sighting.")
        return record

    def picture(self, record: TrackletRecord, key: str) -> bytes:
        """One of a sighting's pictures; that it was looked at is noted. Raises ProblemError 404."""
        if not self.access.sees(record.camera_id):
            raise ProblemError(404, "tracklet-not-found", "There is no such sighting.")
        self._services.views.note("view.pictures", self.trail, record.id, record.camera_id)
        try:
            return self._services.media.read(key)
        except (KeyError, ValueError):
            raise ProblemError(404, "crop-not-found", "The pictures of this sighting are gone.") from None

    def footage(self, record: TrackletRecord, part: Scene | Clip | None) -> bytes:
        """A sighting's scene or clip, like `picture`. Raises ProblemError 404 also where there is none."""
        if part is None:
            raise ProblemError(404, "footage-not-found", "Nothing of that kind is kept of this sighting.")
        return self.picture(record, MediaStore.footage_keys(record)[part.digest])

    def finds(self, record: TrackletRecord) -> bool:
        """Whether searches find a sighting that was read here."""
        index = self._services.index
        return index is not None and record.id in index

    def gallery_size(self) -> int | None:
        """How many sightings in scope can be found; None while the index is loading."""
        searcher = self._services.searcher
        return searcher.extent(self.access)[0] if searcher is not None else None

    def hold(self, tracklet_id: str, reason: str) -> Hold:
        """Keep a sighting from retention and erasure. Raises ProblemError 404."""
        self._require_now(Permission.ERASE)
        record = self.tracklet(tracklet_id)
        with recorded(self._services.audit, "hold.place", self.trail, tracklet=record.id, reason=reason):
            return self._services.holds.place(record.id, reason, self.access.account)

    def lift_hold(self, tracklet_id: str) -> None:
        """Raises ProblemError 404 where there is no sighting, or no hold on it."""
        self._require_now(Permission.ERASE)
        record = self.tracklet(tracklet_id)
        if not self._services.holds.of([record.id]):
            raise ProblemError(404, "hold-not-found", "Nothing holds this sighting.")
        with recorded(self._services.audit, "hold.lift", self.trail, tracklet=record.id):
            self._services.holds.lift(record.id)

    def hold_of(self, record: TrackletRecord) -> Hold | None:
        """The hold on a sighting that was read here."""
        return self._services.holds.of([record.id]).get(record.id)

    def erase(self, tracklet_ids: Sequence[str], reason: str) -> ErasureReport:
        """Erase sightings for good, and record who did so and why, before and after.

        Raises:
            ProblemError: 404 for a sighting that is not there or not for this account, 409 for one under legal hold.
        """
        self._require_now(Permission.ERASE)
        wanted = list(dict.fromkeys(tracklet_ids))
        known = self._services.gallery.get_many(wanted)
        seen = {one for one, record in known.items() if self.access.sees(record.camera_id)}
        if self.access.cameras is None:
            # An erasure that stopped half way is asked for again; and what cannot be read must be erasable.
            seen |= self._services.gallery.erased(wanted) | self._services.gallery.present(wanted)
        unseen = [one for one in wanted if one not in seen]
        if unseen:
            raise ProblemError(404, "tracklet-not-found", f"There is no sighting {unseen[0]}.")
        try:
            with recorded(self._services.audit, "erase", self.trail, tracklets=wanted, reason=reason):
                report = self._services.eraser.erase(wanted, account=self.access.account, reason=reason)
        except HeldError as error:
            raise ProblemError(409, "under-hold", str(error)) from None
        self._services.audit.append("erased", self.trail, erasure=report.id, report=report.digest)
        return report

    def erase_subject(self, subject_id: str, reason: str) -> ErasureReport:
        """Erase all sightings that are confirmed in a subject, as far as this account sees them, like `erase`.

        Raises:
            ProblemError: 404 for a subject that is not there or not for this account, 409 for one without sightings.
        """
        self._require_now(Permission.ERASE)
        confirmed = self.subjects.get(subject_id).confirmed
        if not confirmed:
            raise ProblemError(409, "subject-empty", "No sighting is confirmed in this subject; remove it instead.")
        return self.erase(list(confirmed), reason)

    # -- search ----------------------------------------------------------------------------------

    def keep_photo(self, photo: PhotoAnalysis) -> StoredPhoto:
        """Keep a photo's vectors for this account."""
        self._require_now(Permission.PHOTOS)
        light, count = photo.modality.value, len(photo.persons)
        with recorded(self._services.audit, "photo", self.trail, persons=count, modality=light):
            return self._services.photos.put(photo, self.access.account)

    def search(
        self,
        examples: list[Example],
        filters: GalleryFilter,
        k: int,
        *,
        reason: str | None,
        exclude_examples: bool = True,
        exclude_example_cameras: bool = False,
        min_probability: float | None = None,
        rerank: bool = False,
    ) -> SearchOutcome:
        """Search, and record who searched for whom, where and why, before anything is answered.

        Raises:
            ProblemError: with the right status.
        """
        reason = self.may_search(examples, reason)
        searcher = self._services.require_searcher()
        with search_problems():
            outcome = searcher.search(
                examples,
                filters,
                k,
                access=self.access,
                exclude_examples=exclude_examples,
                exclude_example_cameras=exclude_example_cameras,
                min_probability=min_probability,
                rerank=rerank,
            )
        self._services.audit.append(
            "search",
            self.trail,
            **told_search(
                self.access,
                Question(
                    tuple(examples),
                    filters,
                    k,
                    exclude_examples,
                    exclude_example_cameras,
                    min_probability,
                    rerank,
                    reason,
                ),
            ),
            results=len(outcome.matches),
        )
        self.metrics.observe_search(outcome.took_s)
        return outcome

    def may_search(self, examples: Sequence[Example], reason: str | None) -> str | None:
        """Check that one may search with these examples, for this reason. Returns the reason to record.

        Raises:
            ProblemError: 422 where a reason is required and none is given.
        """
        self._require_now(Permission.SEARCH)
        if any(example.photo_id is not None for example in examples):
            self.access.require(Permission.PHOTOS)
        reason = (reason or "").strip() or None
        if reason is None and self.settings.search_reason_required:
            raise ProblemError(422, "reason-required", "Say why you search: reason must be given here.")
        return reason

    @property
    def searches(self) -> ScopedSearches:
        """The account's stored searches."""
        return ScopedSearches(self._services, self)

    @property
    def cases(self) -> ScopedCases:
        """The cases that the account takes part in."""
        return ScopedCases(self._services, self, self._require_now)

    @property
    def exports(self) -> ScopedExports:
        """Exports of those cases."""
        return ScopedExports(self._services, self, self._require_now)

    @property
    def subjects(self) -> ScopedSubjects:
        """The subjects that the account sees a sighting of."""
        return ScopedSubjects(self._services, self, self._require_now)

    @property
    def plans(self) -> ScopedPlans:
        """The floor plans that the account's cameras stand on."""
        return ScopedPlans(self._services, self, self._require_now)

    @property
    def subject_views(self) -> ScopedSubjectViews:
        """What pages show of several of them at once."""
        return ScopedSubjectViews(self._services, self, self._require_now)

    @property
    def walks(self) -> ScopedWalks:
        """Least times between the account's cameras."""
        return ScopedWalks(self._services, self, self._require_now)

    # -- watchlist and alerts --------------------------------------------------------------------

    @property
    def watchlist(self) -> ScopedWatchlist:
        """The entries that are the account's, or reach no further than it sees."""
        return ScopedWatchlist(self._services, self, self._require_now)

    @property
    def alerts(self) -> ScopedAlerts:
        """The alerts of the account's cameras."""
        return ScopedAlerts(self._services, self, self._require_now)

    @property
    def webhooks(self) -> ScopedWebhooks:
        """Where alerts are sent to; for who sees all cameras."""
        return ScopedWebhooks(self._services, self, self._require_now)


def _check_login(url: str) -> None:
    """The stars that stand for a login in what the API shows would be taken for one."""
    if "***" in url:
        raise ValueError("url: *** stands for a login that is not shown; write the address with its user and password")


def _told_value(name: str, value: Any) -> Any:
    """A changed field of a camera, for the audit log."""
    if name == "url":
        return mask_url(value)
    return asdict(value) if isinstance(value, CameraPosition) else value
