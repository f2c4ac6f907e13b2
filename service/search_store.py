"""Stored searches in Redis: what was asked, the answer, and what somebody thinks of the matches.

One hash a search. The question never changes; every new answer is written together with the verdict that caused it,
in one step that compares the revision with the one that was read, so that of two verdicts at once none is lost.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, cast

import numpy as np
import redis
import structlog

from models.types import Modality
from pipeline.sealing import PLAIN, Sealer, SealError, hash_place
from service.gallery import GalleryFilter
from service.gallery.store import redis_at_work
from service.search import Example, Pair, PhotoPersonVector

__all__ = ["Answer", "Question", "Ranked", "SearchStore", "StoredSearch", "Verdict", "VerdictKind", "tombstone"]

log = structlog.get_logger("tapetum.searches")

PREFIX = "tapetum:search:"  # + id: hash head, name, photos (sealed), version, revision, answer, v:<tracklet>
PHOTOS = "photos"
NAME = "name"
_ALL = "tapetum:searches"  # sorted set: ids by expiry, seconds
_OWN = "tapetum:searches:"  # + account: the same of one account
_KEY = "tapetum:search:key:"  # + account + key: the search that a retried request has made
_VERDICT = b"v:"
_ERASED = "~"
MAX_SEARCHES = 200
"""Of one account; the one that would expire first goes."""

# KEYS: search, all, own. ARGV: id, the version that was read ('0' a new search), the answer's revision, head, answer,
# expiry, now, searches to keep, prefix, photos, then the verdict's field and its text ('' takes it back), or nothing.
# Returns 1 written, 0 somebody else was faster, -1 it is gone.
_WRITE = """#!lua
local there = redis.call('HGET', KEYS[1], 'version')
if not there and ARGV[2] ~= '0' then return -1 end
if (there or '0') ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'head', ARGV[4], 'revision', ARGV[3], 'answer', ARGV[5], 'photos', ARGV[10])
redis.call('HINCRBY', KEYS[1], 'version', 1)
if ARGV[11] and ARGV[12] == '' then redis.call('HDEL', KEYS[1], ARGV[11])
elseif ARGV[11] then redis.call('HSET', KEYS[1], ARGV[11], ARGV[12]) end
redis.call('EXPIREAT', KEYS[1], ARGV[6])
for i = 2, 3 do
  redis.call('ZADD', KEYS[i], ARGV[6], ARGV[1])
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', ARGV[7])
end
redis.call('EXPIREAT', KEYS[3], ARGV[6])
local surplus = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[8])
if surplus > 0 then
  for _, one in ipairs(redis.call('ZRANGE', KEYS[3], 0, surplus)) do
    if one ~= ARGV[1] and surplus > 0 then
      surplus = surplus - 1
      redis.call('DEL', ARGV[9] .. one)
      redis.call('ZREM', KEYS[2], one)
      redis.call('ZREM', KEYS[3], one)
    end
  end
end
return 1
"""

# KEYS: search. ARGV: the name, '' for none. Returns 0 where it is gone.
_NAME_IT = """#!lua
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[1] == '' then redis.call('HDEL', KEYS[1], 'name') else redis.call('HSET', KEYS[1], 'name', ARGV[1]) end
return 1
"""

# KEYS: search. ARGV: the photos from now on ('' as they are), '1' where the name goes, ids, each followed by what
# stands in its place. A revision stays, and with it the cursors.
_ERASE = """#!lua
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for _, name in ipairs({'head', 'answer'}) do
  local text = redis.call('HGET', KEYS[1], name)
  for i = 3, #ARGV, 2 do text = string.gsub(text, ARGV[i], ARGV[i + 1]) end
  redis.call('HSET', KEYS[1], name, text)
end
if ARGV[1] ~= '' then redis.call('HSET', KEYS[1], 'photos', ARGV[1]) end
if ARGV[2] == '1' then redis.call('HDEL', KEYS[1], 'name') end
for i = 3, #ARGV, 2 do redis.call('HDEL', KEYS[1], 'v:' .. ARGV[i]) end
redis.call('HINCRBY', KEYS[1], 'version', 1)
return 1
"""


def tombstone(tracklet_id: str) -> str:
    """What stands in the place of an erased id, so that pages go on: a digest that leads back to nothing."""
    if tracklet_id.startswith(_ERASED):
        return tracklet_id
    return _ERASED + hashlib.sha256(tracklet_id.encode()).hexdigest()[:16]


class VerdictKind(StrEnum):
    """What somebody thinks of a match."""

    CONFIRM = "confirm"
    REJECT = "reject"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody thinks of a match, who (through which API token) and when."""

    kind: VerdictKind
    account: str
    token: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked. `filters` are as they were given: the account's scope comes in whenever it is answered."""

    examples: tuple[Example, ...]
    filters: GalleryFilter
    k: int
    exclude_examples: bool = True
    exclude_example_cameras: bool = False
    min_probability: float | None = None
    rerank: bool = False
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One place in an answer; the id is a `tombstone` where the sighting was erased."""

    tracklet_id: str
    camera_id: str
    cosine: float
    pair: Pair
    probability: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """A ranking, and of what.

    Attributes:
        revision: rises with every new answer, from 1.
        scope: the cameras that the account saw then; None for all.
        position: of the gallery's stream of changes that the index had read.
    """

    revision: int
    at: datetime
    model_hash: str
    scope: frozenset[str] | None
    position: str
    ranked: tuple[Ranked, ...]


@dataclass(frozen=True, slots=True)
class StoredSearch:
    """A search of one account.

    Attributes:
        version: of what is stored, 0 before it is; rises with every change.
        name: what its account calls it.
        photos: vectors of the examples that are persons of photos, which outlive the photo with the search.
    """

    id: str
    account: str
    created_at: datetime
    expires_at: datetime
    question: Question
    answer: Answer
    version: int = 0
    photos: Mapping[Example, PhotoPersonVector] = field(default_factory=dict, repr=False)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    name: str | None = None


class SearchStore:
    """Every method raises GalleryUnavailable when Redis cannot serve. Erasure reaches it as an `Erasable`."""

    name = "searches"

    def __init__(self, client: redis.Redis, sealer: Sealer = PLAIN) -> None:
        self._redis = client
        self._sealer = sealer
        self._write = client.register_script(_WRITE)
        self._erase = client.register_script(_ERASE)
        self._name_it = client.register_script(_NAME_IT)

    def reserve(self, account: str, key: str, search_id: str, lifetime: timedelta) -> str:
        """The id for the search that an account's idempotency key makes: the first that was offered."""
        name = f"{_KEY}{account}:{key}"
        with redis_at_work():
            self._redis.set(name, search_id, nx=True, ex=lifetime)
            kept = cast("bytes | None", self._redis.get(name))
        return kept.decode() if kept else search_id

    def write(self, search: StoredSearch, verdict: tuple[str, Verdict | None] | None = None) -> bool | None:
        """Write a search's next answer, and the verdict on a tracklet that caused it (None takes one back).

        Returns:
            True when it was written, False when another answer came first, None when the search is gone.
        """
        arguments: list[bytes | str | int] = [
            search.id,
            search.version,
            search.answer.revision,
            json.dumps(_head(search), separators=(",", ":")),
            json.dumps(_answer(search.answer), separators=(",", ":")),
            int(search.expires_at.timestamp()),
            int(datetime.now(UTC).timestamp()),
            MAX_SEARCHES,
            PREFIX,
            self._sealer.seal(_photos(search), _photos_place(search.id)),
        ]
        if verdict is not None:
            tracklet_id, given = verdict
            arguments += [_VERDICT.decode() + tracklet_id, "" if given is None else json.dumps(_told(given))]
        with redis_at_work():
            done = int(cast("int", self._write([PREFIX + search.id, _ALL, _OWN + search.account], arguments)))
        return None if done < 0 else bool(done)

    def get(self, search_id: str) -> StoredSearch | None:
        with redis_at_work():
            fields = cast("dict[bytes, bytes]", self._redis.hgetall(PREFIX + search_id))
        return self._read(search_id, fields) if fields else None

    def own(self, account: str) -> list[StoredSearch]:
        """An account's searches, newest first."""
        with redis_at_work():
            found = cast("list[bytes]", self._redis.zrange(_OWN + account, 0, -1))
            ids = sorted((one.decode() for one in found), reverse=True)
            with self._redis.pipeline(transaction=False) as pipe:
                for one in ids:
                    pipe.hgetall(PREFIX + one)
                replies = pipe.execute()
        read = (self._read(one, fields) for one, fields in zip(ids, replies, strict=True) if fields)
        return [search for search in read if search is not None]

    def rename(self, search: StoredSearch, name: str | None) -> bool:
        """Call a search otherwise, or (None) nothing; answer and verdicts stay. False where it is gone."""
        with redis_at_work():
            return bool(self._name_it([PREFIX + search.id], [name or ""]))

    def delete(self, search: StoredSearch) -> None:
        with redis_at_work(), self._redis.pipeline() as pipe:
            pipe.delete(PREFIX + search.id)
            pipe.zrem(_ALL, search.id)
            pipe.zrem(_OWN + search.account, search.id)
            pipe.execute()

    def erase(self, ids: Sequence[str]) -> int:
        """Put tombstones in the place of sightings and forget the verdicts on them. Returns of how many searches.

        Where one of them was confirmed, the question was about that person: photos it was asked with go too, and so
        does its name, also where one was an example.
        """
        erased = 0
        for search_id, fields in self._fields():
            text = _text(fields)
            held = [part for one in ids if one in text for part in (one, tombstone(one))]
            if held:
                confirmed = _confirms(fields, ids)
                photos = self._no_photos(search_id, fields) if confirmed else b""
                unnamed = "1" if confirmed or not _examples(fields).isdisjoint(ids) else ""
                with redis_at_work():
                    erased += int(cast("int", self._erase([PREFIX + search_id], [photos, unnamed, *held])))
        return erased

    def holds(self, ids: Sequence[str]) -> int:
        """In how many searches the sightings are."""
        return sum(any(one in text for one in ids) for text in (_text(fields) for _, fields in self._fields()))

    def _fields(self) -> Iterator[tuple[str, dict[bytes, bytes]]]:
        """Every search's id, and all that is written in it."""
        with redis_at_work():
            ids = [one.decode() for one in cast("list[bytes]", self._redis.zrange(_ALL, 0, -1))]
            for one in ids:
                yield one, cast("dict[bytes, bytes]", self._redis.hgetall(PREFIX + one))

    def _no_photos(self, search_id: str, fields: Mapping[bytes, bytes]) -> bytes:
        """What stands for the photos of a search that has forgotten them."""
        examples = json.loads(fields[b"head"])["examples"]
        return self._sealer.seal(json.dumps([None] * len(examples)).encode(), _photos_place(search_id))

    def _read(self, search_id: str, fields: Mapping[bytes, bytes]) -> StoredSearch | None:
        try:
            photos = self._sealer.open(fields[PHOTOS.encode()], _photos_place(search_id))
        except SealError as error:
            log.error("a kept search cannot be read", search=search_id, reason=str(error))
            return None
        return _read(search_id, fields, photos)


def _head(search: StoredSearch) -> dict[str, Any]:
    question, filters = search.question, search.question.filters
    return {
        "account": search.account,
        "created_at": search.created_at.isoformat(),
        "expires_at": search.expires_at.isoformat(),
        "examples": [[e.tracklet_id, e.photo_id, e.person] for e in question.examples],
        "cameras": None if filters.cameras is None else sorted(filters.cameras),
        "exclude_cameras": sorted(filters.exclude_cameras),
        "modality": filters.modality,
        "since": filters.since.isoformat() if filters.since else None,
        "until": filters.until.isoformat() if filters.until else None,
        "k": question.k,
        "exclude_examples": question.exclude_examples,
        "exclude_example_cameras": question.exclude_example_cameras,
        "min_probability": question.min_probability,
        "rerank": question.rerank,
        "reason": question.reason,
    }


def _text(fields: Mapping[bytes, bytes]) -> str:
    """All that may name a sighting; the photos name none, and may be no text."""
    return b"\n".join(part for item in fields.items() if item[0] != PHOTOS.encode() for part in item).decode()


def _confirms(fields: Mapping[bytes, bytes], ids: Sequence[str]) -> bool:
    verdicts = (fields.get(_VERDICT + one.encode()) for one in ids)
    return any(text is not None and json.loads(text)["kind"] == VerdictKind.CONFIRM for text in verdicts)


def _examples(fields: Mapping[bytes, bytes]) -> set[str]:
    return {one[0] for one in json.loads(fields[b"head"])["examples"] if one[0] is not None}


def _photos_place(search_id: str) -> str:
    return hash_place(PREFIX + search_id, PHOTOS)


def _photos(search: StoredSearch) -> bytes:
    """The vectors of the examples that are persons of photos, in the order of the examples."""
    photos = [_photo(search.photos.get(example)) for example in search.question.examples]
    return json.dumps(photos, separators=(",", ":")).encode()


def _photo(person: PhotoPersonVector | None) -> list[str] | None:
    if person is None:
        return None
    vector = base64.b64encode(person.vector.astype("<f4").tobytes()).decode()
    return [vector, person.modality.value, person.model_hash]


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "at": answer.at.isoformat(),
        "model": answer.model_hash,
        "scope": None if answer.scope is None else sorted(answer.scope),
        "position": answer.position,
        "ranked": [[r.tracklet_id, r.camera_id, r.cosine, r.pair, r.probability] for r in answer.ranked],
    }


def _told(verdict: Verdict) -> dict[str, Any]:
    return {
        "kind": verdict.kind,
        "account": verdict.account,
        "token": verdict.token,
        "at": verdict.at.isoformat(),
    }


def _read(search_id: str, fields: Mapping[bytes, bytes], photos: bytes) -> StoredSearch:
    head, answer = json.loads(fields[b"head"]), json.loads(fields[b"answer"])
    examples = tuple(Example(*one) for one in head["examples"])
    return StoredSearch(
        id=search_id,
        version=int(fields[b"version"]),
        account=head["account"],
        created_at=datetime.fromisoformat(head["created_at"]),
        expires_at=datetime.fromisoformat(head["expires_at"]),
        question=Question(
            examples=examples,
            filters=GalleryFilter(
                cameras=_set(head["cameras"]),
                exclude_cameras=frozenset(head["exclude_cameras"]),
                modality=Modality(head["modality"]) if head["modality"] else None,
                since=_moment(head["since"]),
                until=_moment(head["until"]),
            ),
            k=head["k"],
            exclude_examples=head["exclude_examples"],
            exclude_example_cameras=head["exclude_example_cameras"],
            min_probability=head["min_probability"],
            rerank=head["rerank"],
            reason=head["reason"],
        ),
        answer=Answer(
            revision=int(fields[b"revision"]),
            at=datetime.fromisoformat(answer["at"]),
            model_hash=answer["model"],
            scope=_set(answer["scope"]),
            position=answer["position"],
            ranked=tuple(Ranked(*one) for one in answer["ranked"]),
        ),
        photos={e: _person(kept) for e, kept in zip(examples, json.loads(photos), strict=True) if kept is not None},
        verdicts={
            name.removeprefix(_VERDICT).decode(): _verdict(json.loads(text))
            for name, text in fields.items()
            if name.startswith(_VERDICT)
        },
        name=fields[NAME.encode()].decode() if NAME.encode() in fields else None,
    )


def _person(kept: list[str]) -> PhotoPersonVector:
    vector = np.frombuffer(base64.b64decode(kept[0]), "<f4").astype(np.float32)
    return PhotoPersonVector(vector, Modality(kept[1]), kept[2])


def _verdict(told: Mapping[str, Any]) -> Verdict:
    return Verdict(VerdictKind(told["kind"]), told["account"], told["token"], datetime.fromisoformat(told["at"]))


def _set(values: list[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
