"""Vectors and boxes of an uploaded photo, for an hour in Redis, so that any replica can search with them."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import structlog

from models.types import Modality
from pipeline.sealing import PLAIN, Sealer, SealError
from pipeline.types import FloatArray
from service.photos import PhotoAnalysis

__all__ = ["PhotoStore", "StoredPhoto"]

log = structlog.get_logger("tapetum.photos")

PREFIX = "tapetum:photo:"
LIFETIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class StoredPhoto:
    """What is kept of a photo: `vectors` ``float32[N, D]``, one row a person. Never the pixels.

    Only the account that sent it can search with it.
    """

    id: str
    account: str
    modality: Modality
    model_hash: str
    expires_at: datetime
    vectors: FloatArray = field(repr=False)


class PhotoStore:
    """Every call goes to Redis and may raise ``redis.RedisError``."""

    def __init__(self, redis: Any, sealer: Sealer = PLAIN) -> None:
        self._redis = redis
        self._sealer = sealer

    def put(self, photo: PhotoAnalysis, account: str) -> StoredPhoto:
        """Keep a photo's vectors for an account under a new random id."""
        stored = StoredPhoto(
            id=secrets.token_urlsafe(18),
            account=account,
            modality=photo.modality,
            model_hash=photo.model_hash,
            expires_at=datetime.now(UTC) + LIFETIME,
            vectors=np.stack([p.vector for p in photo.persons]) if photo.persons else np.zeros((0, 0), np.float32),
        )
        head = json.dumps(
            {
                "account": account,
                "modality": stored.modality.value,
                "model_hash": stored.model_hash,
                "expires_at": stored.expires_at.isoformat(),
                "shape": stored.vectors.shape,
            }
        ).encode()
        # One value, so that it expires as a whole: the head, a newline (JSON holds none), the vectors.
        value = head + b"\n" + stored.vectors.astype("<f4").tobytes()
        name = PREFIX + stored.id
        self._redis.set(name, self._sealer.seal(value, name), exat=stored.expires_at)
        return stored

    def get(self, photo_id: str) -> StoredPhoto | None:
        """The photo, or None when it is unknown or older than an hour."""
        value = self._redis.get(PREFIX + photo_id)
        if value is None:
            return None
        try:
            head, _, body = self._sealer.open(value, PREFIX + photo_id).partition(b"\n")
        except SealError as error:
            log.error("a photo's vectors cannot be read", reason=str(error))
            return None
        fields = json.loads(head)
        vectors = np.frombuffer(body, "<f4").astype(np.float32).reshape(fields["shape"])
        return StoredPhoto(
            photo_id,
            fields["account"],
            Modality(fields["modality"]),
            fields["model_hash"],
            datetime.fromisoformat(fields["expires_at"]),
            vectors,
        )
