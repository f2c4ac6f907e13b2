"""Photos to search with: who is in them. The photo is looked at in memory and dropped."""

from __future__ import annotations

import base64
import time
from typing import Any

from fastapi import APIRouter, Request, status
from starlette.concurrency import run_in_threadpool

from models.types import Modality
from service.api.access import SendingPhotos
from service.api.forms import read_form
from service.api.photo_store import StoredPhoto
from service.api.schema import Photo, PhotoPerson
from service.api.scoped import Scoped
from service.photos import PhotoAnalysis, analyse, decode_photo
from service.pictures import PictureError
from service.problems import Problem, ProblemError

__all__ = ["router"]

router = APIRouter(prefix="/photos", tags=["photos"])
_OTHER_FIELDS = frozenset({"modality", "whole", "preview"})


_FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["photo"],
    "additionalProperties": False,
    "properties": {
        "photo": {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, BMP or TIFF."},
        "modality": {"type": "string", "enum": [m.value for m in Modality]},
        "whole": {"type": "boolean", "default": False},
        "preview": {"type": "boolean", "default": False},
    },
}


@router.post(
    "",
    operation_id="find_persons_in_photo",
    summary="Find the persons of a photo",
    status_code=status.HTTP_201_CREATED,
    responses={413: {"model": Problem, "description": "The photo is too large."}},
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM_SCHEMA}}}},
)
async def find_persons(request: Request, scoped: SendingPhotos) -> Photo:
    """Choose one of them as an example for a search, within an hour.

    `modality` (visible, infrared) is judged when left out; `whole=true` takes the entire photo for one
    person; `preview=true` answers with a small upright version.
    """
    limit = scoped.settings.max_upload_bytes
    data, fields = await read_form(request, "photo", noun="photo", max_bytes=limit, others=_OTHER_FIELDS)
    modality = _modality(fields.get("modality", ""))
    whole, preview = _truth("whole", fields), _truth("preview", fields)
    scoped.engines.require()
    async with scoped.photo_slots:
        started = time.perf_counter()
        try:
            found, stored, judged = await run_in_threadpool(_look, scoped, data, modality, whole)
        except PictureError as error:
            scoped.metrics.photos.labels("refused").inc()
            raise ProblemError(422, "photo", str(error)) from None
        scoped.metrics.photo_seconds.observe(time.perf_counter() - started)
    scoped.metrics.photos.labels("persons" if found.persons else "nobody").inc()
    return _shown(found, stored, judged, preview)


def _look(
    scoped: Scoped, data: bytes, modality: Modality | None, whole: bool
) -> tuple[PhotoAnalysis, StoredPhoto, bool]:
    model, detector = scoped.engines.require()
    image = decode_photo(data, max_pixels=scoped.settings.max_photo_pixels)
    light = modality or scoped.judge_photo(image)
    found = analyse(image, detector.detector, model.embedder, modality=light, whole=whole)
    return found, scoped.keep_photo(found), modality is None


def _modality(text: str) -> Modality | None:
    if not text:
        return None
    try:
        return Modality(text)
    except ValueError:
        raise ProblemError(422, "invalid", "modality: expected visible or infrared.") from None


def _truth(name: str, fields: dict[str, str]) -> bool:
    word = fields.get(name, "false").lower()
    if word not in ("true", "false", "1", "0"):
        raise ProblemError(422, "invalid", f"{name}: expected true or false.")
    return word in ("true", "1")


def _shown(found: PhotoAnalysis, stored: StoredPhoto, judged: bool, preview: bool) -> Photo:
    return Photo(
        id=stored.id,
        expires_at=stored.expires_at,
        width_px=found.width_px,
        height_px=found.height_px,
        modality=found.modality,
        modality_judged=judged,
        model_hash=found.model_hash,
        persons=[
            PhotoPerson(index=p.index, box=p.box, score=p.score, whole_image=p.whole_image) for p in found.persons
        ],
        preview_jpeg=base64.b64encode(found.preview_jpeg).decode() if preview else None,
    )
