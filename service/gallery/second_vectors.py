"""The vector of another model beside the one that a record has, until the gallery is searched by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import redis

from pipeline.sealing import Sealer
from pipeline.types import FloatArray
from service.gallery import keys, scripts
from service.gallery.feed import Feed
from service.gallery.store import CHANGES_KEPT, redis_at_work

__all__ = ["SecondVectors"]


class SecondVectors:
    """Vectors of one model beside others. Every method raises GalleryUnavailable when Redis cannot serve."""

    def __init__(self, client: redis.Redis, sealer: Sealer, model_hash: str) -> None:
        self._redis, self._sealer, self._model_hash = client, sealer, model_hash
        self._feed = Feed(client, sealer, model_hash)
        self._reembed = client.register_script(scripts.REEMBED)
        self._settle = client.register_script(scripts.SETTLE)

    def ids(self) -> Iterator[list[str]]:
        """All sightings in batches; one may come twice."""
        return self._feed.ids()

    def missing(self, ids: Sequence[str]) -> dict[str, int]:
        """Those that have no vector of the model, or one of an earlier revision, with their revision."""
        found = zip(ids, self._feed.revisions(ids), strict=True)
        return {one: revision // 2 for one, revision in found if revision >= 0 and revision % 2 == 0}

    def write(self, tracklet_id: str, revision: int, vector: FloatArray) -> bool:
        """Write one that was made of this revision; False where the record is another by now, or erased."""
        data = self._sealer.seal(vector.astype("<f2").tobytes(), keys.vector_place(tracklet_id))
        names = [keys.record(tracklet_id), keys.MODEL, keys.CHANGES]
        with redis_at_work():
            return bool(self._reembed(names, [tracklet_id, revision, self._model_hash, data, CHANGES_KEPT]))

    def settle(self, ids: Sequence[str]) -> None:
        """Make the model's vector the record's own, and let the other one go."""
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in ids:
                self._settle([keys.record(one)], [self._model_hash], client=pipe)
            pipe.execute()
