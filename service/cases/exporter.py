"""Makes exports, one at a time, in a thread of one API process; removes those whose time is over."""

from __future__ import annotations

import errno
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from service.audit import AuditLog, AuditUnavailable, Trail
from service.cases.blur import Blur
from service.cases.case import Pin, PinKind
from service.cases.content import CaseContent, Pictures, picture_path, told
from service.cases.export_job import Export
from service.cases.export_store import INTERRUPTED, ExportStore
from service.cases.package import Package, Packed
from service.cases.seen import pinned_subjects, seen_pins
from service.cases.signing import SigningKey
from service.cases.store import CaseMissing, CaseStore
from service.cases.summary import summary
from service.gallery import Gallery, GalleryFilter, GalleryUnavailable, MediaError, MediaStore, TrackletRecord
from service.photos import PersonDetector
from service.security.access import Access
from service.subjects import Subject, SubjectStore, Walking, timeline_of

__all__ = ["ExportJob", "ExportParts", "Exporter"]

log = structlog.get_logger("tapetum.exports")

SWEEP_EVERY_S = 60.0
_ADVANCE_EVERY_S = 0.5
_ALIVE_EVERY_S = 10.0
_BATCH = 500
_OTHERS = 500  # sightings looked at around one, for bystanders
_NO_DETECTOR = "Bystanders cannot be found: the detector does not run. The log of the service says why."


class _NotWantedError(Exception):
    """The export was withdrawn or removed while it was being made."""


class _FailedError(Exception):
    """It cannot be made; the message is a sentence for the one who asked."""


@dataclass(frozen=True, slots=True)
class ExportParts:
    """What exports are made of.

    Attributes:
        key: of the installation; made when first asked for.
        detector: waits at most so many seconds for it. None: not there yet. Raises LookupError when it never will be.
    """

    store: ExportStore
    cases: CaseStore
    subjects: SubjectStore
    gallery: Gallery
    media: MediaStore
    audit: AuditLog
    key: Callable[[], SigningKey]
    detector: Callable[[float], PersonDetector | None]
    camera_names: Callable[[], Mapping[str, str]]
    walking: Callable[[], Walking]
    version: str


@dataclass(frozen=True, slots=True)
class ExportJob:
    """An export that was asked for, and by whom: it holds what that account sees."""

    export: Export
    access: Access
    trail: Trail


class Exporter:
    """The thread. `submit` may be called from any other."""

    def __init__(self, parts: ExportParts) -> None:
        self._parts = parts
        self._jobs: deque[ExportJob] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._alive_s = 0.0

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="exports", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the sighting that is under way; what is not finished has failed."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join(10.0)

    def submit(self, job: ExportJob) -> None:
        with self._wake:
            self._jobs.append(job)
            self._wake.notify()

    def _run(self) -> None:
        swept_s = -SWEEP_EVERY_S
        while not self._stopping:
            with self._wake:
                if not self._jobs:
                    self._wake.wait(1.0)
                job = self._jobs.popleft() if self._jobs else None
            if job is not None:
                self.make(job)
            if time.monotonic() - swept_s > SWEEP_EVERY_S:
                swept_s = time.monotonic()
                self._sweep()
        for waiting in self._jobs:
            self._fail(waiting, INTERRUPTED)

    def make(self, job: ExportJob) -> None:
        """Make one export; whatever goes wrong becomes its state."""
        export_id = job.export.id
        try:
            self._make(job)
        except _NotWantedError:
            log.info("export stopped, nobody wants it any more", export=export_id)
        except _FailedError as error:
            self._fail(job, str(error))
        except CaseMissing:
            self._fail(job, "The case is gone.")
        except OSError as error:
            log.error("export could not be written", export=export_id, reason=str(error))
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            self._fail(job, "The disk is full." if full else "The file could not be written.")
        except (AuditUnavailable, GalleryUnavailable, MediaError) as error:
            log.warning("export stopped half way", export=export_id, reason=str(error))
            self._fail(job, "The store did not answer. Export again.")
        except Exception:
            log.exception("export failed", export=export_id)
            self._fail(job, "It could not be made. The log of the service says why.")
        finally:
            with suppress(OSError):  # the next sweep finds it
                self._parts.store.drop_half(export_id)

    def _sweep(self) -> None:
        try:
            self._parts.store.sweep(datetime.now(UTC))
        except (GalleryUnavailable, OSError) as error:  # the next sweep finds the same
            log.warning("exports could not be swept", reason=str(error))
        except Exception:
            log.exception("exports could not be swept")

    def _fail(self, job: ExportJob, sentence: str) -> None:
        try:
            self._parts.store.fail(job.export.id, sentence)
        except Exception as error:  # nobody keeps it alive any more, which is as good
            log.warning("the end of an export could not be noted", export=job.export.id, reason=str(error))

    def _make(self, job: ExportJob) -> None:
        parts, export, access = self._parts, job.export, job.access
        pins = seen_pins(parts.cases.pins(export.case_id), access)
        wanted = _sightings(pins, pinned_subjects(pins, parts.subjects, access).values())
        # From here on an erasure finds the export, so everything is read after it.
        if parts.store.begin(export.id, wanted, set(wanted.values())) is None:
            raise _NotWantedError
        content = self._content(job, pins, wanted)
        blur = Blur(self._detector(job)) if export.blurred else None
        key = parts.key()
        about = {
            "id": export.id,
            "created_at": export.created_at.isoformat(),
            "account": export.account,
            "reason": export.reason,
            "tapetum": parts.version,
            "blurred": export.blurred,
            "key": key.public.fingerprint,
        }
        with Package(parts.store.half_file(export.id), export.created_at) as package:
            pictures = self._pictures(job, package, content, blur)
            package.add_json("case.json", told(content, pictures, about))
            package.add_text("index.html", summary(content, pictures, about))
            packed = package.seal(key, {"case": export.case_id, "export": about})
        self._finish(job, packed, len(content.sightings))

    def _finish(self, job: ExportJob, packed: Packed, sightings: int) -> None:
        told_of = {"export": job.export.id, "case": job.export.case_id, "sightings": sightings}
        self._parts.audit.append("export.done", job.trail, **told_of, manifest=packed.manifest_sha256)
        if not self._parts.store.finish(
            job.export.id,
            size_bytes=packed.size_bytes,
            sha256=packed.sha256,
            manifest_sha256=packed.manifest_sha256,
            key=packed.key,
        ):
            raise _NotWantedError

    def _detector(self, job: ExportJob) -> PersonDetector:
        """Waits while it is being loaded."""
        try:
            while (found := self._parts.detector(1.0)) is None:
                self._advance(job, 0)
        except LookupError:
            raise _FailedError(_NO_DETECTOR) from None
        return found

    def _content(self, job: ExportJob, pins: Sequence[Pin], wanted: Mapping[str, str]) -> CaseContent:
        parts = self._parts
        records: dict[str, TrackletRecord] = {}
        ids = list(wanted)
        for start in range(0, len(ids), _BATCH):
            records |= parts.gallery.get_many(ids[start : start + _BATCH])
        walking = parts.walking()
        subjects = [
            (subject, timeline_of((records[one] for one in subject.confirmed if one in records), walking))
            for subject in {s.id: s for s in pinned_subjects(pins, parts.subjects, job.access).values()}.values()
        ]
        return CaseContent(
            case=parts.cases.get(job.export.case_id),
            notes=tuple(parts.cases.notes(job.export.case_id)),
            pins=tuple(pins),
            sightings=tuple(sorted(records.values(), key=lambda record: (record.started_at, record.id))),
            subjects=tuple(subjects),
            camera_names={one: name for one, name in parts.camera_names().items() if job.access.sees(one)},
        )

    def _pictures(self, job: ExportJob, package: Package, content: CaseContent, blur: Blur | None) -> Pictures:
        same = {one: frozenset(subject.confirmed) for subject, _ in content.subjects for one in subject.confirmed}
        paths: dict[str, tuple[str | None, ...]] = {}
        advanced_s = 0.0
        for done, record in enumerate(content.sightings):
            if time.monotonic() - advanced_s > _ADVANCE_EVERY_S:
                advanced_s = time.monotonic()
                self._advance(job, done)
            paths[record.id] = self._of_sighting(package, record, blur, same.get(record.id, frozenset()))
        self._advance(job, len(content.sightings))
        return paths

    def _advance(self, job: ExportJob, done: int) -> None:
        if self._stopping:
            raise _FailedError(INTERRUPTED)
        if not self._parts.store.advance(job.export.id, done):
            raise _NotWantedError
        if time.monotonic() - self._alive_s > _ALIVE_EVERY_S:
            self._alive_s = time.monotonic()
            for waiting in list(self._jobs):
                self._parts.store.keep_alive(waiting.export.id)

    def _of_sighting(
        self, package: Package, record: TrackletRecord, blur: Blur | None, same: frozenset[str]
    ) -> tuple[str | None, ...]:
        """Write a sighting's pictures. Returns their paths, None for what is gone or cannot be read."""
        read: dict[int, bytes] = {}
        for index, crop in enumerate(record.crops):
            with suppress(KeyError, ValueError):
                read[index] = self._parts.media.read(crop.key)
        if blur is not None and read:
            crops = [record.crops[index] for index in read]
            clean = blur.pictures(list(read.values()), crops, self._others(record, same))
            read = {index: jpeg for index, jpeg in zip(read, clean, strict=True) if jpeg is not None}
        for index, jpeg in read.items():
            package.add(picture_path(record, index), jpeg)
        return tuple(picture_path(record, index) if index in read else None for index in range(len(record.crops)))

    def _others(self, record: TrackletRecord, same: frozenset[str]) -> list[TrackletRecord]:
        """Sightings of other people by the same camera at that time."""
        around = GalleryFilter(
            cameras=frozenset({record.camera_id}),
            since=record.started_at,
            until=record.ended_at,
            exclude_ids=same | {record.id},
        )
        page = self._parts.gallery.list(around, limit=_OTHERS)
        return [other for other in page.records if other.track_id != record.track_id]


def _sightings(pins: Sequence[Pin], subjects: Iterable[Subject]) -> dict[str, str]:
    """Cameras by sighting: the pinned ones, and those confirmed in pinned subjects."""
    found = {pin.id: pin.camera_id for pin in pins if pin.kind is PinKind.TRACKLET and pin.camera_id}
    return found | {one: d.camera_id for subject in subjects for one, d in subject.confirmed.items()}
