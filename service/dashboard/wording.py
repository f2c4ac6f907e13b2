"""Values as an operator reads them: times in their own zone, states, sightings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pipeline.camera import CameraConfig, CameraHealth, CameraState
from service.api.scoped import Scoped
from service.dashboard import strings
from service.gallery import TrackletRecord
from service.likelihood import likelihood
from service.search import Match
from service.search_store import VerdictKind
from service.subjects import Subject

__all__ = [
    "Clock",
    "camera_tile",
    "footage_of",
    "quality_told",
    "reason",
    "reasons",
    "report_of",
    "sighting_card",
    "size",
    "span",
    "subject_name",
    "thumbnail",
]

REPORT_LASTS_S = 10.0
_WHOLE_MARK = 0.75  # what is above does not weigh a picture down
_SPANS = (
    (60, "s", 1, "", 1),
    (3600, "min", 60, "s", 1),
    (86400, "h", 3600, "min", 60),
    (30 * 86400, "d", 86400, "h", 3600),
)


@dataclass(frozen=True, slots=True)
class Clock:
    """The operator's zone."""

    zone: tzinfo

    @classmethod
    def of(cls, name: object, offset_min: object) -> Clock:
        """From what the browser says: an IANA name, else minutes west of UTC as JavaScript counts them."""
        try:
            return cls(ZoneInfo(str(name)))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            minutes = -int(offset_min) if isinstance(offset_min, (int, float)) else 0
            return cls(timezone(timedelta(minutes=max(-1439, min(1439, minutes)))))

    def short(self, moment: datetime) -> str:
        """``14 Nov 18:03:22 +01:00``."""
        return f"{self.day(moment)} {self.time(moment)}"

    def day(self, moment: datetime) -> str:
        local = moment.astimezone(self.zone)
        return f"{local.day} {local:%b}"

    def time(self, moment: datetime) -> str:
        local = moment.astimezone(self.zone)
        return f"{local:%H:%M:%S} {_offset(local)}"

    def minute(self, moment: datetime) -> str:
        """``14 Nov 18:03``; for what somebody has set, who knows the zone."""
        return f"{self.day(moment)} {moment.astimezone(self.zone):%H:%M}"

    def hour(self, moment: datetime) -> str:
        """``18:03``; where the day and the zone stand beside it."""
        return f"{moment.astimezone(self.zone):%H:%M}"

    def field(self, moment: datetime | None) -> str:
        """As a field of date and time holds it; empty for None."""
        return moment.astimezone(self.zone).strftime("%Y-%m-%dT%H:%M") if moment is not None else ""

    def moment(self, field: object) -> datetime | None:
        """What such a field holds; None for nothing, and for what cannot be read."""
        try:
            return datetime.fromisoformat(str(field)).replace(tzinfo=self.zone)
        except ValueError:
            return None

    def long(self, moment: datetime) -> str:
        local = moment.astimezone(self.zone)
        return f"{local:%A} {local.day} {local:%B %Y %H:%M:%S} UTC{_offset(local)}"


def _offset(local: datetime) -> str:
    text = local.strftime("%z")
    return f"{text[:3]}:{text[3:5]}"


def report_of(config: CameraConfig, health: CameraHealth | None, now: datetime) -> tuple[str, CameraHealth | None]:
    """A camera's state, one of `strings.STATES`, and its worker's report where there is a recent one."""
    if not config.enabled:
        return CameraState.DISABLED.value, None
    if health is None or (now - health.updated_at).total_seconds() >= REPORT_LASTS_S:
        return "waiting", None
    return health.state.value, health


def camera_tile(scoped: Scoped, config: CameraConfig, health: CameraHealth | None, now: datetime) -> dict[str, Any]:
    """What a tile of the live wall shows."""
    state, reported = report_of(config, health, now)
    text, icon = strings.STATES[state]
    return {
        "id": config.id,
        "name": config.name,
        "state": state,
        "state_text": text,
        "icon": icon,
        "reason": scoped.told(config, reported.error) if reported and reported.error else "",
        "modality": reported.modality.value if reported and reported.modality else None,
        "fps": f"{reported.analysed_fps:.0f} fps" if reported and reported.analysed_fps >= 0.5 else "",
    }


def reason(name: str) -> str:
    """Why a picture or a sighting was left out, as an operator says it."""
    return strings.REASONS.get(name, name.replace("_", " "))


def reasons(counts: Mapping[str, int]) -> str:
    """What was left out and why: ``nothing moved 12, blurred 3``."""
    told = {reason(name): count for name, count in counts.items() if count}
    return ", ".join(f"{why} {count:,}" for why, count in sorted(told.items()))


def span(seconds: float) -> str:
    """A length of time: ``4 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = round(seconds)
    for below, unit, length, rest_unit, rest_length in _SPANS:
        if whole < below:
            rest = whole % length // rest_length
            return f"{whole // length} {unit}" + (f" {rest} {rest_unit}" if rest else "")
    return f"{whole // 86400} d"


def size(count: int) -> str:
    """Bytes as people read them: ``3.4 MB``."""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count} B"


def sighting_card(
    record: TrackletRecord,
    names: Mapping[str, str],
    clock: Clock,
    match: Match | None = None,
    verdict: VerdictKind | None = None,
) -> dict[str, Any]:
    """What a card of the result grid shows."""
    card: dict[str, Any] = {
        "id": record.id,
        "thumbnail": thumbnail(record),
        "frames": len(record.crops),
        "camera": names.get(record.camera_id, record.camera_id),
        "day": clock.day(record.started_at),
        "time": clock.time(record.started_at),
        "when_long": clock.long(record.started_at),
        "modality": record.modality.value,
        "in_view": not record.closed,
        "verdict": verdict.value if verdict else "",
    }
    if match is not None:
        card |= {
            "rank": match.rank,
            "score": f"{match.cosine:.2f}" if match.probability is None else likelihood(match.probability),
            "band": match.band,
            "band_text": strings.BANDS[match.band] if match.band else "",
            "pair": strings.PAIRS_SHORT[match.pair],
            "pair_title": strings.PAIRS_TITLE[match.pair],
        }
    return card


def quality_told(record: TrackletRecord) -> str:
    """In a word and per cent, with what weighs it down, the heaviest first."""
    word = next(word for least, word in strings.QUALITIES if record.quality >= least)
    figure = f"{record.quality:.0%}"
    marks = asdict(record.marks) if record.marks is not None else {}
    low = sorted((mark, name) for name, mark in marks.items() if mark < _WHOLE_MARK)
    if not low:
        return f"{word}, {figure}"
    told = ", ".join(strings.MARKS[name].format(figure=f"{mark:.0%}") for mark, name in low)
    return strings.QUALITY_LESS.format(word=word, figure=figure, marks=told)


def footage_of(record: TrackletRecord, camera: str, clock: Clock) -> dict[str, Any] | None:
    """What the view of a sighting's scene and clip shows; None where there is neither."""
    scene, clip = record.footage.scene, record.footage.clip
    if scene is None and clip is None:
        return None
    shown: dict[str, Any] = {"scene": None, "clip": None}
    base = f"/api/v1/tracklets/{record.id}"
    if scene is not None:
        time = clock.short(scene.captured_at)
        shown["scene"] = {
            "src": f"{base}/scene?r={record.revision}",
            "box": scene.box,
            "alt": strings.SCENE.format(camera=camera, time=time),
            "caption": strings.SCENE_CAPTION.format(time=clock.time(scene.captured_at)),
        }
    if clip is not None:
        told = {"length": span(clip.duration_s), "time": clock.time(clip.started_at)}
        shown["clip"] = {
            "src": f"{base}/clip",
            "boxes": [asdict(one) for one in clip.boxes],
            "label": strings.CLIP.format(**told),
            "caption": strings.CLIP_CAPTION.format(**told),
        }
    return shown


def subject_name(subject: Subject) -> str:
    """What a subject is called; by its number where nobody has named it."""
    return subject.name or strings.SUBJECT_NUMBER.format(number=subject.number)


def thumbnail(record: TrackletRecord) -> str:
    """Address of a sighting's small picture; another one when it has grown."""
    return f"/api/v1/tracklets/{record.id}/thumbnail?r={record.revision}"
