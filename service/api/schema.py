"""What the API takes and gives. Times are UTC with offset, boxes are fractions of the picture."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from models.types import Modality
from pipeline.camera import CameraState
from service.gallery import GalleryFilter
from service.search import LEAST
from service.security.access import Permission, Role

__all__ = [
    "Box",
    "Camera",
    "CameraChange",
    "CameraCreate",
    "CameraHealthReport",
    "CameraList",
    "CameraPlace",
    "CameraTest",
    "CameraTestRequest",
    "CropInfo",
    "EngineInfo",
    "LiveBoxes",
    "LivePerson",
    "Login",
    "ModelInfo",
    "Photo",
    "PhotoPerson",
    "SearchAnswer",
    "SearchExample",
    "SearchFilters",
    "SearchMatch",
    "SearchRequest",
    "SessionInfo",
    "SessionOpened",
    "SystemInfo",
    "Tracklet",
    "TrackletPage",
    "WorkerInfo",
]

Box = Annotated[
    tuple[float, float, float, float],
    Field(description="x1 y1 x2 y2, fractions of the picture.", examples=[(0.1, 0.2, 0.2, 0.8)]),
]
CameraId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$", examples=["car-park-north"])]
TrackletId = Annotated[str, Field(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$", examples=["01K9ZB3Q0V5W1T8R6J2N4M7XCD"])]
Polygon = Annotated[
    list[tuple[Annotated[float, Field(ge=0, le=1)], Annotated[float, Field(ge=0, le=1)]]],
    Field(min_length=3, max_length=64),
]
# One line of ordinary writing: no control characters, no direction marks that disguise what is written.
_UNPRINTABLE = frozenset(
    chr(c) for c in (*range(32), 127, *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)
)


def one_plain_line(text: str) -> str:
    """The text without spaces at its ends. Raises ValueError for what could disguise what is written."""
    if any(c in _UNPRINTABLE for c in text):
        raise ValueError("control characters and direction marks are not accepted")
    if not text.strip():
        raise ValueError("a letter is needed")
    return text.strip()


_SAID = r"\u0000-\u001f\u007f\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the same in the API's description
PlainText = Annotated[
    str,
    AfterValidator(one_plain_line),
    Field(json_schema_extra={"pattern": rf"^[^{_SAID}]*[^\s{_SAID}][^{_SAID}]*$"}),
]


SearchReason = Annotated[PlainText, Field(min_length=1, max_length=500)]


def written_moment(given: object) -> object:
    """Times are written in RFC 3339 and never counted. Raises ValueError."""
    if not isinstance(given, datetime) and not (isinstance(given, str) and _WRITTEN.match(given)):
        raise ValueError("expected a time with its offset, such as 2026-01-31T18:00:00+01:00")
    return given


def _with_offset(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time needs its offset, such as 2026-01-31T18:00:00+01:00")
    return moment


_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:")
Moment = Annotated[datetime, BeforeValidator(written_moment), AfterValidator(_with_offset)]


def _make_strict(part: Any) -> None:
    """Have every number, truth and text in a schema be what it is; pydantic gives the same schema again and again."""
    if isinstance(part, list):
        for inner in part:
            _make_strict(inner)
    elif isinstance(part, dict) and part.get("type") == "function-before" and _is_ours(part):
        return
    elif isinstance(part, dict) and part.get("type") in _FIRST:
        check, inner = _FIRST[part["type"]], dict(part)
        part.clear()
        part.update(core_schema.no_info_before_validator_function(check, inner))
    elif isinstance(part, dict):
        if part.get("type") in ("float", "bool"):
            part["strict"] = True
        for inner in part.values():
            _make_strict(inner)


def _is_ours(part: dict[str, Any]) -> bool:
    return part["function"]["function"] in _FIRST.values()


def _number(given: object) -> object:
    # Strict ones refuse 5.0, which JSON does not tell from 5.
    if isinstance(given, bool | str):
        raise ValueError("expected a whole number")
    return given


def _text(given: object) -> object:
    # JSON can write half a character, which nothing can store.
    if isinstance(given, str) and any("\ud800" <= c <= "\udfff" for c in given):
        raise ValueError("half of a surrogate pair is no character")
    return given


_FIRST: dict[str, Callable[[object], object]] = {"int": _number, "str": _text}


class Closed(BaseModel):
    """Fields that nobody knows are refused, so that a typing mistake is not silently ignored.

    Nor is one kind taken for another: neither `false` nor `"5"` is a number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[BaseModel], handler: GetCoreSchemaHandler) -> CoreSchema:
        # Not `strict` in the configuration: that refuses times, names of an enum and tuples, which JSON has not.
        schema = handler(source)
        _make_strict(schema)
        return schema


class Changes(Closed):
    """Only the fields given are changed, and only those of `clearable` to nothing."""

    clearable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="after")
    def _keeps_what_is_needed(self) -> Self:
        for name in sorted(self.model_fields_set - self.clearable):
            if getattr(self, name) is None:
                raise ValueError(f"{name} cannot be null")
        return self

    def given(self) -> dict[str, Any]:
        """The fields that a request gives."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core))
        for name, field in schema["properties"].items():
            field.pop("default", None)
            if name not in cls.clearable and "anyOf" in field:
                (kept,) = (one for one in field.pop("anyOf") if one.get("type") != "null")
                field |= kept
        return schema


class Login(Closed):
    account: str = Field("admin", min_length=1, max_length=64)
    password: str = Field(min_length=1, max_length=256, json_schema_extra={"format": "password", "writeOnly": True})


class SessionInfo(BaseModel):
    account: str = Field(examples=["admin"])
    role: Role
    cameras: list[str] | None = Field(description="The cameras this account sees; null for all.")
    permissions: list[Permission] = Field(description="What this login may.")
    created_at: datetime
    expires_at: datetime


class SessionOpened(SessionInfo):
    token: str = Field(description="Send it as `Authorization: Bearer`. Browsers use the cookie set beside it.")


class CameraPlace(Closed):
    """Where a camera stands: on a plan, on the globe, or both."""

    x_m: float | None = Field(
        None, ge=-1e6, le=1e6, description="Metres on the plan, from its left edge.", examples=[12.5]
    )
    y_m: float | None = Field(None, ge=-1e6, le=1e6, description="From its upper edge, downwards.", examples=[40])
    plan: str = Field("", max_length=120, description="Positions on different plans are not compared.")
    latitude: float | None = Field(None, ge=-90, le=90, description="Degrees, WGS 84.")
    longitude: float | None = Field(None, ge=-180, le=180)


class CameraBase(Closed):
    name: PlainText = Field(min_length=1, max_length=120, examples=["Car park north"])
    url: str = Field(
        min_length=1,
        max_length=2048,
        description="rtsp, rtsps, http, https, or a path inside an allowed folder. Credentials in it are write-only.",
        examples=["rtsp://viewer:secret@192.168.1.20:554/stream1"],
    )
    loop: bool = Field(False, description="Start a file again when it ends.")
    max_fps: float | None = Field(None, gt=0, le=120, description="Analyse at most so many frames a second.")
    modality: Modality | None = Field(None, description="Fixed by the operator; null: judged on every frame.")
    include: list[Polygon] = Field([], max_length=16, description="Regions that count, in fractions of the picture.")
    exclude: list[Polygon] = Field([], max_length=16)
    min_height_px: int = Field(24, ge=1, le=4096, description="Smaller persons are ignored.")
    open_timeout_s: float = Field(10.0, ge=1, le=120)
    read_timeout_s: float = Field(10.0, ge=1, le=120)
    keep_days: float | None = Field(
        None, gt=0, le=36500, description="Sightings are removed when they are so old; null: as the settings say."
    )
    position: CameraPlace | None = Field(None, description="Tells which ways between cameras are too far for a time.")
    enabled: bool = True


class CameraCreate(CameraBase):
    id: CameraId | None = Field(None, description="Chosen once; made from the name when left out.")


class CameraChange(Changes):
    """Only the fields given are changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"max_fps": 5, "modality": None}]})
    clearable = frozenset({"max_fps", "modality", "keep_days", "position"})

    name: PlainText | None = Field(None, min_length=1, max_length=120)
    url: str | None = Field(None, min_length=1, max_length=2048)
    loop: bool | None = None
    max_fps: float | None = Field(None, gt=0, le=120)
    modality: Modality | None = None
    include: list[Polygon] | None = Field(None, max_length=16)
    exclude: list[Polygon] | None = Field(None, max_length=16)
    min_height_px: int | None = Field(None, ge=1, le=4096)
    open_timeout_s: float | None = Field(None, ge=1, le=120)
    read_timeout_s: float | None = Field(None, ge=1, le=120)
    keep_days: float | None = Field(None, gt=0, le=36500)
    position: CameraPlace | None = None
    enabled: bool | None = None


class CameraHealthReport(BaseModel):
    state: CameraState
    worker_id: str
    updated_at: datetime
    error: str | None = None
    last_frame_at: datetime | None = None
    decoded_fps: float
    analysed_fps: float
    latency_p95_s: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    codec: str | None = None
    modality: Modality | None = None
    clock_offset_s: float | None = None
    frames_decoded: int
    frames_analysed: int
    frames_skipped: dict[str, int]
    reconnects: int
    tracklets: int
    tracklets_refused: dict[str, int]


class Camera(BaseModel):
    id: CameraId
    name: str
    url: str | None = Field(
        description="Without its credentials; null for who may not manage cameras.",
        examples=["rtsp://***@192.168.1.20:554/stream1"],
    )
    loop: bool
    max_fps: float | None
    modality: Modality | None
    include: list[list[tuple[float, float]]]
    exclude: list[list[tuple[float, float]]]
    min_height_px: int
    open_timeout_s: float
    read_timeout_s: float
    keep_days: float | None
    position: CameraPlace | None
    enabled: bool
    health: CameraHealthReport | None = Field(None, description="The worker's last report; null when none is recent.")


class CameraList(BaseModel):
    items: list[Camera]
    next_cursor: str | None = Field(None, description="Give it back to go on; null at the end.")


class CameraTestRequest(Closed):
    url: str = Field(min_length=1, max_length=2048, examples=["rtsp://viewer:secret@192.168.1.20:554/stream1"])
    open_timeout_s: float = Field(10.0, ge=1, le=30)
    read_timeout_s: float = Field(10.0, ge=1, le=30)


class CameraTest(BaseModel):
    ok: bool
    reason: str | None = Field(None, description="Why it failed, in words.")
    width_px: int | None = None
    height_px: int | None = None
    codec: str | None = None
    fps: float | None = None
    modality: Modality | None = None
    clock_offset_s: float | None = None
    first_frame_jpeg: str | None = Field(None, description="The first frame, base64 JPEG.")


class LivePerson(BaseModel):
    box: Box
    track_id: int
    score: float
    tracklet_id: str | None = Field(description="Search with it; null until the person is searchable.")


class LiveBoxes(BaseModel):
    camera_id: str
    captured_at: datetime
    modality: Modality
    persons: list[LivePerson]


class CropInfo(BaseModel):
    index: int
    url: str
    box: tuple[float, float, float, float] = Field(description="x1 y1 x2 y2 in pixels of the frame.")
    quality: float
    pts_s: float
    captured_at: datetime


class QualityMarks(BaseModel):
    """What the quality of the best picture is made of, each from 0 to 1."""

    size: float
    sharpness: float
    confidence: float
    visibility: float
    completeness: float


class SceneInfo(BaseModel):
    """The whole picture at the sighting's best moment."""

    url: str
    box: Box
    captured_at: datetime


class ClipBox(BaseModel):
    at_s: float = Field(description="Seconds after the clip's beginning.")
    box: Box


class ClipInfo(BaseModel):
    """A short silent film around that moment, H.264 in MP4."""

    url: str
    started_at: datetime
    duration_s: float
    boxes: list[ClipBox] = Field(description="Where the person was; in between they go straight.")


class Tracklet(BaseModel):
    """An unbroken sighting of one person by one camera in one kind of light."""

    id: str
    camera_id: str
    camera_name: str = Field(description="The camera's name now, or its id when it was removed.")
    track_id: int
    modality: Modality
    started_at: datetime
    ended_at: datetime
    closed: bool = Field(description="False while the person is still in view.")
    frame_count: int
    quality: float
    model_hash: str
    crop_count: int
    thumbnail_url: str
    crops: list[CropInfo] | None = Field(None, description="Only when one tracklet is asked for.")
    quality_marks: QualityMarks | None = Field(None, description="Like `crops`; null where they were not kept.")
    scene: SceneInfo | None = Field(None, description="Like `crops`; null where no whole picture is kept.")
    clip: ClipInfo | None = Field(None, description="Like `crops`; null until the sighting has ended.")


class TrackletPage(BaseModel):
    items: list[Tracklet]
    next_cursor: str | None = Field(None, description="Give it back to go on; null at the end.")


class PhotoPerson(BaseModel):
    index: int
    box: Box
    score: float
    whole_image: bool = Field(description="Nobody was detected, and the whole photo is taken for one person.")


class Photo(BaseModel):
    """What was found in a photo. The photo itself is not kept; its persons can be searched for an hour."""

    id: str
    expires_at: datetime
    width_px: int
    height_px: int
    modality: Modality
    modality_judged: bool = Field(description="True when the kind of light was judged from the photo.")
    model_hash: str
    persons: list[PhotoPerson]
    preview_jpeg: str | None = Field(None, description="The upright photo, small, base64 JPEG, when asked for.")


def one_of(**kinds: str) -> dict[str, Any]:
    """Says in a model's schema that exactly one of some fields is given; they are named with their kinds of JSON."""
    return {"oneOf": [{"required": [name], "properties": {name: {"type": kind}}} for name, kind in kinds.items()]}


class SearchExample(Closed):
    """A tracklet, or a person of an uploaded photo."""

    model_config = ConfigDict(json_schema_extra=one_of(tracklet_id="string", photo_id="string"))

    tracklet_id: TrackletId | None = None
    photo_id: str | None = Field(None, min_length=8, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    person: int = Field(0, ge=0, le=49, description="Which person of the photo.")

    @model_validator(mode="after")
    def _one_kind(self) -> SearchExample:
        if (self.tracklet_id is None) == (self.photo_id is None):
            raise ValueError("give either tracklet_id or photo_id")
        return self


class SearchFilters(Closed):
    """Each narrows the search; the scope asked for is never widened."""

    cameras: list[CameraId] | None = Field(None, min_length=1, max_length=1000, description="Only these cameras.")
    exclude_cameras: list[CameraId] = Field([], max_length=1000)
    modality: Modality | None = None
    since: Moment | None = Field(None, description="Seen at or after, with offset.")
    until: Moment | None = Field(None, description="Seen at or before, with offset.")
    exclude_examples: bool = Field(True, description="Leave the example tracklets themselves out.")
    exclude_example_cameras: bool = Field(False, description="Leave out the cameras the example tracklets are of.")
    min_probability: float | None = Field(
        None, ge=0, le=1, description="Leave out what is less likely; needs a calibrated model."
    )
    min_band: Literal["strong", "possible", "weak"] | None = Field(None, description="The same in words.")

    @property
    def least(self) -> float | None:
        """The greater of both least probabilities."""
        given = [p for p in (self.min_probability, LEAST[self.min_band] if self.min_band else None) if p is not None]
        return max(given, default=None)

    @property
    def of_gallery(self) -> GalleryFilter:
        """What of it the gallery judges by itself."""
        return GalleryFilter(
            cameras=frozenset(self.cameras) if self.cameras is not None else None,
            modality=self.modality,
            since=self.since,
            until=self.until,
            exclude_cameras=frozenset(self.exclude_cameras),
        )

    @model_validator(mode="after")
    def _forwards(self) -> SearchFilters:
        if self.since and self.until and self.until < self.since:
            raise ValueError("until lies before since")
        return self


class SearchRequest(Closed):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "examples": [{"tracklet_id": "01K9ZB3Q0V5W1T8R6J2N4M7XCD"}],
                    "filters": {"modality": "infrared", "since": "2026-01-31T18:00:00+01:00"},
                    "k": 50,
                }
            ]
        }
    )

    examples: list[SearchExample] = Field(min_length=1, max_length=20)
    filters: SearchFilters = SearchFilters()
    k: int = Field(50, ge=1, le=1000)
    rerank: bool = Field(
        False, description="Order the first 300 by k-reciprocal neighbours; probabilities stay as they are."
    )
    reason: SearchReason | None = Field(None, description="Why; goes to the audit log. Some installations require it.")


class SearchMatch(BaseModel):
    rank: int = Field(description="From 1.")
    tracklet: Tracklet
    cosine: float = Field(description="Similarity of the vectors, -1 to 1. Evidence, never proof.")
    probability: float | None = Field(description="That it is the same person, where the model is calibrated.")
    band: Literal["strong", "possible", "weak"] | None = Field(description="The probability in words.")
    modality_pair: Literal["VV", "II", "VI"]


class ModelInfo(BaseModel):
    hash: str
    label: str


class SearchAnswer(BaseModel):
    matches: list[SearchMatch]
    model: ModelInfo
    gallery_size: int = Field(description="Tracklets in the index, of the cameras that the account sees.")
    gallery_generation: int | None = Field(
        description="Rises whenever the index of this process changes; null for who sees only some cameras."
    )
    left_out_other_model: int = Field(description="Of these cameras, tracklets whose vectors come from another model.")
    took_ms: float
    note: str = Field(description="What an answer, and an empty one, means.")


class EngineInfo(BaseModel):
    purpose: str = Field(examples=["detection"])
    backend: str
    version: str
    device: str
    precision: str
    threads: int | None
    model: str


class WorkerInfo(BaseModel):
    """One worker: what it runs on, and how its tracklets reach the gallery."""

    worker_id: str
    engines: list[EngineInfo]
    queued: int = Field(description="Tracklets on the worker's disk that the gallery has not yet.")
    oldest_s: float | None = Field(description="For how long the oldest of them has waited.")
    delivered: int
    replayed: int = Field(description="Delivered again because Redis had been restarted or replaced.")
    quarantined: int = Field(description="Set aside on the worker's disk because they cannot be delivered.")
    away_s: float | None = Field(description="For how long Redis or the media store have not answered.")


class SystemInfo(BaseModel):
    version: str
    python: str
    model: ModelInfo | None = Field(description="Of this process, for photos. Null while it loads.")
    gallery_model: ModelInfo | None = Field(description="By whose vectors the gallery is searched.")
    photo_engines: Literal["loading", "ready", "failed"]
    photo_engines_error: str | None
    engines: list[EngineInfo] = Field(description="Of this API process, for photos.")
    workers: list[WorkerInfo]
    gallery_size: int
    gallery_generation: int | None
    gallery_index_bytes: int | None
    gallery_left_out: int = Field(description="Tracklets of other models, or with broken records.")
    cameras: int
    redis: dict[str, str | int | float]
