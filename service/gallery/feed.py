"""What an index process reads from Redis: everything once, then every change."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from models.types import Modality
from pipeline.sealing import PLAIN, Sealer
from service.gallery import keys, scripts
from service.gallery.rows import IndexRow
from service.gallery.store import redis_at_work

__all__ = ["Change", "Feed", "FeedLostError", "entries_of"]

_BATCH = 500  # records in one script call, a few milliseconds of the server's time
_BEGINNING = "0-0"
_LENGTHS = struct.Struct("<7I")
_MODALITIES = {str(m).encode(): m for m in Modality}


class FeedLostError(RuntimeError):
    """Changes were missed: the stream was trimmed past us, or another or an emptied server answers."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the stream."""

    position: str
    op: str  # put | delete
    id: str
    camera: str = ""  # empty where the record had been broken
    new: bool = False  # put for the first time


class Feed:
    """Reads ids, rows and changes. Every method raises GalleryUnavailable when Redis cannot serve.

    Args:
        model_hash: whose vectors are wanted; revisions are those of an index of it, see `scripts.ROWS`.
    """

    def __init__(self, client: redis.Redis, sealer: Sealer = PLAIN, model_hash: str = ""):
        self._redis = client
        self._model_hash = model_hash
        self._sealer = sealer
        self._rows = client.register_script(scripts.ROWS)
        self._revisions = client.register_script(scripts.REVISIONS)

    def run_id(self) -> str:
        """Changes whenever the server was started again or another one answers."""
        with redis_at_work():
            return str(self._redis.info("server")["run_id"])

    def position(self) -> str:
        """The last change so far; read it before a snapshot, so that nothing falls between the two."""
        with redis_at_work():
            return self._stream()[0]

    def ids(self) -> Iterator[list[str]]:
        """All tracklets' ids in batches; an id may come twice."""
        with redis_at_work():
            cursor = 0
            while True:
                reply = self._redis.zscan(keys.ALL, cursor=cursor, count=5000)
                cursor, members = cast("tuple[int, list[tuple[bytes, float]]]", reply)
                if members:
                    yield [member.decode() for member, _ in members]
                if cursor == 0:
                    return

    def revisions(self, ids: Sequence[str]) -> Iterator[int]:
        """The stored revision of each id as an index has it, -1 for none."""
        with redis_at_work():
            for batch in _batches(ids):
                text = cast("bytes", self._revisions([keys.record(one) for one in batch], [self._model_hash]))
                yield from (int(part) for part in text.split(b","))

    def rows(self, ids: Sequence[str]) -> Iterator[tuple[str, IndexRow | ValueError | None]]:
        """What the index needs of each record: None when it is gone, a ValueError when it is broken."""
        with redis_at_work():
            for batch in _batches(ids):
                blob = cast("bytes", self._rows([keys.record(one) for one in batch], [self._model_hash]))
                at = 0
                for one in batch:
                    lengths = _LENGTHS.unpack_from(blob, at)
                    at += _LENGTHS.size
                    fields = []
                    for length in lengths:
                        fields.append(blob[at : at + length])
                        at += length
                    yield one, self._row(one, fields)

    def changes(self, after: str, *, wait_ms: int, limit: int = 1000) -> list[Change]:
        """What happened after a position; waits for it.

        Raises:
            FeedLostError: entries between `after` and the answer may be missing.
        """
        with redis_at_work():
            reply = cast("Any", self._redis.xread({keys.CHANGES: after}, count=limit, block=wait_ms))
            if not reply:
                return []
            self.check(after)
            return [_change(position, fields) for position, fields in entries_of(reply)]

    def since(self, after: str, limit: int) -> list[Change]:
        """What happened after a position, at most `limit`, without waiting. Raises FeedLostError."""
        with redis_at_work():
            self.check(after)
            reply = self._redis.xrange(keys.CHANGES, min=f"({after}", count=limit)
            return [_change(position, fields) for position, fields in cast("Any", reply)]

    def check(self, after: str) -> None:
        """Raise FeedLostError when the stream no longer continues from `after`."""
        with redis_at_work():
            last, first, trimmed = self._stream()
        if _order(last) < _order(after):
            raise FeedLostError("the server lost changes or was emptied")
        if after == _BEGINNING:
            if trimmed:
                raise FeedLostError("the stream was trimmed before it was read")
        elif _order(first) > _order(after):
            raise FeedLostError("the stream was trimmed past the last change read")

    def _row(self, tracklet_id: str, fields: list[bytes]) -> IndexRow | ValueError | None:
        revision, camera, modality, started, ended, model, vector = fields
        if not any(fields):
            return None
        try:
            return IndexRow(
                tracklet_id,
                int(revision),
                camera.decode(),
                _MODALITIES[modality],
                int(started),
                int(ended),
                model.decode(),
                self._sealer.open(vector, keys.vector_place(tracklet_id)),
            )
        except (ValueError, KeyError) as error:
            return ValueError(f"cannot be read: {error!r}")

    def _stream(self) -> tuple[str, str, bool]:
        """Position of the last entry, position of the first, whether entries were trimmed."""
        try:
            info = self._redis.xinfo_stream(keys.CHANGES)
        except redis.ResponseError as error:
            if "no such key" in str(error):
                return _BEGINNING, _BEGINNING, False
            raise
        last = info["last-generated-id"]
        first = info["first-entry"]
        return (
            last.decode() if isinstance(last, bytes) else str(last),
            first[0].decode() if first else _BEGINNING,
            int(info["entries-added"]) > int(info["length"]),
        )


def entries_of(reply: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """Positions and fields of a read from one stream, which found something or nothing."""
    if not reply:
        return []
    # redis-py answers with a list under RESP2 and with a mapping under RESP3.
    entries = next(iter(reply.values()))[0] if isinstance(reply, dict) else reply[0][1]
    return cast("list[tuple[bytes, dict[bytes, bytes]]]", entries)


def _change(position: bytes, fields: Mapping[bytes, bytes]) -> Change:
    op, one, camera, new = (fields.get(name, b"").decode() for name in (b"op", b"id", b"camera", b"new"))
    return Change(position.decode(), op, one, camera, new == "1")


def _order(position: str) -> tuple[int, int]:
    milliseconds, _, sequence = position.partition("-")
    return int(milliseconds), int(sequence or 0)


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))
