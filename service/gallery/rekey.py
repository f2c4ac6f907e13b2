"""Brings everything that is encrypted at rest, or should be, under the first key, while the service runs.

Nothing needs to be remembered between two runs: what lies under the first key already is passed over, so a run that
was stopped is simply begun again. A value that changes meanwhile is left to whoever changed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

import redis

from pipeline.sealing import Sealer, SealError, hash_place
from service.gallery import keys
from service.gallery.media import MediaStore, PictureSealError
from service.gallery.store import Gallery, redis_at_work

__all__ = ["Rekeyed", "Rekeying", "SealedValues"]

Progress = Callable[[str, float | None], None]
_BATCH = 500
_UNREADABLE_NAMED = 5

# KEYS: value. ARGV: field ('' for a plain string), what was read, what comes. Returns whether it still was that.
_EXCHANGE = """#!lua
if ARGV[1] == '' then
  if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
  redis.call('SET', KEYS[1], ARGV[3], 'KEEPTTL')
else
  if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
"""


@dataclass(frozen=True, slots=True)
class SealedValues:
    """Where in Redis sealed values lie: keys with a prefix, and the hash field; no field for plain strings."""

    prefix: str
    field: str | None = None
    sealed_as: str | None = None  # the field it may move to, for which it is sealed

    def place(self, name: str) -> str:
        return name if self.field is None else hash_place(name, self.sealed_as or self.field)


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What a run did.

    Attributes:
        values, pictures: that were not under the first key and are now.
        unreadable: what could not be opened and was left as it is, a sentence for each of the first five.
        unreadable_count: how many they are.
    """

    values: int
    pictures: int
    unreadable: tuple[str, ...]
    unreadable_count: int


class Rekeying:
    """One run. Raises GalleryUnavailable, or MediaError when the store of pictures cannot serve at all.

    Args:
        places: of the sealed values in Redis.
    """

    def __init__(
        self,
        client: redis.Redis,
        gallery: Gallery,
        media: MediaStore,
        sealer: Sealer,
        places: tuple[SealedValues, ...],
        progress: Progress = lambda what, share: None,
    ) -> None:
        self._redis, self._gallery, self._media, self._sealer = client, gallery, media, sealer
        self._places, self._progress = places, progress
        self._exchange = client.register_script(_EXCHANGE)
        self._unreadable: list[str] = []

    def run(self) -> Rekeyed:
        values = sum(self._values(place) for place in self._places)
        pictures = self._pictures()
        named = tuple(self._unreadable[:_UNREADABLE_NAMED])
        return Rekeyed(values, pictures, named, len(self._unreadable))

    def _values(self, place: SealedValues) -> int:
        done = seen = 0
        with redis_at_work():
            total = max(1, self._redis.dbsize())
        for names in self._names(place.prefix):
            with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.get(name) if place.field is None else pipe.hget(name, place.field)
                found = pipe.execute(raise_on_error=False)
            for name, old in zip(names, found, strict=True):
                done += isinstance(old, bytes) and self._value(place, name, old)
            seen += len(names)
            self._progress("vectors", min(1.0, seen / total))
        return done

    def _value(self, place: SealedValues, name: str, old: bytes) -> bool:
        """Whether a value was sealed anew; one that somebody wrote meanwhile was sealed by them."""
        try:
            new = self._sealer.reseal(old, place.place(name))
        except SealError as error:
            self._unreadable.append(f"{name}: {error}")
            return False
        if new is None:
            return False
        with redis_at_work():
            return bool(self._exchange([name], [place.field or "", old, new]))

    def _names(self, prefix: str) -> Iterator[list[str]]:
        cursor = 0
        while True:
            with redis_at_work():
                reply = self._redis.scan(cursor, match=prefix + "*", count=_BATCH)
            cursor, names = cast("tuple[int, list[bytes]]", reply)
            if names:
                yield [name.decode() for name in names]
            if cursor == 0:
                return

    def _pictures(self) -> int:
        done = seen = 0
        with redis_at_work():
            total = max(1, self._redis.zcard(keys.ALL))
        for folders in self._media.tracklet_folders(_BATCH, older_than=datetime.now(UTC) + timedelta(days=1)):
            written: dict[str, str] = {}
            for one, folder in folders.items():
                count = self._folder(folder)
                if count:
                    written[one] = folder
                done += count
                seen += 1
                self._progress("pictures", min(1.0, seen / total))
            # A picture that was being written while it was erased is there again; its id is remembered.
            for one in self._gallery.erased(list(written)):
                self._media.delete_tracklet(written[one])
        return done + sum(self._folder(folder) for folder in self._media.plan_folders())

    def _folder(self, folder: str) -> int:
        """How many of a folder's pictures were sealed anew."""
        try:
            return self._media.reseal_folder(folder)
        except PictureSealError as error:
            self._unreadable.append(f"{folder.rpartition('/')[0]}: {error}")
            return 0
