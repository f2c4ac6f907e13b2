"""Subjects in Redis. Every change is one step that compares what was read with what is there.

A sighting is confirmed in one subject only, so nobody is counted twice; the step that confirms it also checks that
the sighting has a record, so that an erasure, which takes the record first, is never overtaken.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import redis
import structlog

from service.gallery import keys
from service.gallery.newest import newest_first
from service.gallery.store import redis_at_work
from service.subjects.subject import MAX_DECISIONS, MAX_PREVIOUS, Decision, Subject

__all__ = ["SubjectConflict", "SubjectMissing", "SubjectRefused", "SubjectStore"]

log = structlog.get_logger("tapetum.subjects")

_SUBJECTS = "tapetum:subjects"  # hash: id -> JSON
_ORDER = "tapetum:subjects:order"  # sorted set of ids, all of score 0: a ULID's order is that of time
_NUMBER = "tapetum:subjects:number"
_OF = "tapetum:subjects:of"  # hash: sighting -> the subject that it is confirmed in
_REJECTED = "tapetum:subjects:rejected"  # sorted set of sighting|subject, all of score 0
_PENDING = "tapetum:subjects:pending"  # the same of sightings that wait for a second person
_WAITING = "tapetum:subjects:waiting"  # like the order, of subjects where something waits for a second person
_MOVED = "tapetum:subjects:moved"  # hash: an id that a subject had -> its id now
_ATTEMPTS = 20
_MAX_OLD = 512  # ids looked for behind one sighting

# KEYS: subjects, order, of, moved, rejected, pending, waiting. ARGV: the plan as JSON, the prefix of a sighting's
# record. A plan lists documents {id, was, now, waits}, claims {tracklet, was, now, judged}, members {set, member, now},
# where a set is rejected or pending, and moves {id, now}; '' is nothing. What is judged needs a record: only a merge
# takes over what is there, and its old id leads an erasure on. It is carried out as a whole or not at all.
_CARRY_OUT = """#!lua
local plan = cjson.decode(ARGV[1])
for _, d in ipairs(plan.documents) do
  if (redis.call('HGET', KEYS[1], d.id) or '') ~= d.was then return {'conflict', d.id} end
end
for _, c in ipairs(plan.claims) do
  if (redis.call('HGET', KEYS[3], c.tracklet) or '') ~= c.was then return {'taken', c.tracklet} end
  if c.judged == 1 and redis.call('EXISTS', ARGV[2] .. c.tracklet) == 0 then return {'gone', c.tracklet} end
end
for _, r in ipairs(plan.members) do
  if r.now == 1 and redis.call('EXISTS', ARGV[2] .. string.sub(r.member, 1, 26)) == 0 then
    return {'gone', string.sub(r.member, 1, 26)}
  end
end
for _, d in ipairs(plan.documents) do
  if d.now == '' then
    redis.call('HDEL', KEYS[1], d.id)
    redis.call('ZREM', KEYS[2], d.id)
  else
    redis.call('HSET', KEYS[1], d.id, d.now)
    redis.call('ZADD', KEYS[2], 0, d.id)
  end
  if d.waits == 1 then redis.call('ZADD', KEYS[7], 0, d.id) else redis.call('ZREM', KEYS[7], d.id) end
end
for _, c in ipairs(plan.claims) do
  if c.now == '' then redis.call('HDEL', KEYS[3], c.tracklet) else redis.call('HSET', KEYS[3], c.tracklet, c.now) end
end
for _, r in ipairs(plan.members) do
  if r.now == 1 then redis.call('ZADD', KEYS[r.set], 0, r.member) else redis.call('ZREM', KEYS[r.set], r.member) end
end
for _, m in ipairs(plan.moves) do
  if m.now == '' then redis.call('HDEL', KEYS[4], m.id) else redis.call('HSET', KEYS[4], m.id, m.now) end
end
return {'done', ''}
"""


class SubjectMissing(KeyError):  # noqa: N818 - a state of the world, as callers see it
    """There is no such subject."""


class SubjectConflict(RuntimeError):  # noqa: N818 - a state of the world, as callers see it
    """Somebody else changed the subject meanwhile: read it again."""


class SubjectRefused(ValueError):  # noqa: N818 - a state of the world, as callers see it
    """The change cannot be made; the message is a sentence for the one who asked.

    Attributes:
        kind: ``gone``, ``taken``, ``full`` or ``rejected``.
        tracklet_id: the sighting in the way.
    """

    def __init__(self, kind: str, sentence: str, tracklet_id: str | None = None) -> None:
        super().__init__(sentence)
        self.kind, self.tracklet_id = kind, tracklet_id


class SubjectStore:
    """The subjects, and an `Erasable`. Every method raises GalleryUnavailable when Redis cannot serve."""

    name = "subjects"

    def __init__(self, client: redis.Redis) -> None:
        self._redis = client
        self._script = client.register_script(_CARRY_OUT)

    # -- reading ---------------------------------------------------------------------------------

    def get(self, subject_id: str) -> Subject:
        """The subject that has, or had, this id. Raises SubjectMissing."""
        found = self.get_many([subject_id])
        if not found:
            raise SubjectMissing(subject_id)
        return found[subject_id]

    def get_many(self, subject_ids: Sequence[str]) -> dict[str, Subject]:
        """Subjects by the ids that they have, or had; what is not there, or cannot be read, is left out."""
        if not subject_ids:
            return {}
        texts = self._texts(subject_ids)
        lost = [one for one in subject_ids if one not in texts]
        if lost:
            with redis_at_work():
                now = cast("list[bytes | None]", self._redis.hmget(_MOVED, lost))
            moved = {one: new.decode() for one, new in zip(lost, now, strict=True) if new is not None}
            there = self._texts(list(moved.values()))
            texts |= {one: there[new] for one, new in moved.items() if new in there}
        return {one: subject for one, text in texts.items() if (subject := _read(one, text)) is not None}

    def _texts(self, ids: Sequence[str]) -> dict[str, bytes]:
        if not ids:
            return {}
        with redis_at_work():
            found = cast("list[bytes | None]", self._redis.hmget(_SUBJECTS, list(ids)))
        return {one: text for one, text in zip(ids, found, strict=True) if text is not None}

    def walk(self, before: str | None = None) -> Iterator[Subject]:
        """Subjects made before the one with an id, newest first. One that cannot be read is left out and logged."""
        return newest_first(self._redis, _ORDER, self.get_many, before)

    def walk_waiting(self, before: str | None = None) -> Iterator[Subject]:
        """Like `walk`, only those where something waits for a second person; looks at no others."""
        return newest_first(self._redis, _WAITING, self.get_many, before)

    def of(self, tracklet_ids: Sequence[str]) -> dict[str, str]:
        """The ids of the subjects that sightings are confirmed in."""
        if not tracklet_ids:
            return {}
        with redis_at_work():
            found = cast("list[bytes | None]", self._redis.hmget(_OF, list(tracklet_ids)))
        return {one: owner.decode() for one, owner in zip(tracklet_ids, found, strict=True) if owner is not None}

    # -- changing --------------------------------------------------------------------------------

    def add(
        self,
        subject_id: str,
        name: str | None,
        account: str,
        decisions: Mapping[str, Decision],
        *,
        pending: bool = False,
    ) -> tuple[Subject, bool]:
        """Make a subject; one that is there under this id is given back. Returns whether it was made now.

        Args:
            decisions: about its sightings, which are confirmed, or wait for a second person when `pending`.

        Raises:
            SubjectRefused: a sighting is confirmed in another subject, is gone, or there are too many.
        """
        with suppress(SubjectMissing):
            return self.get(subject_id), False
        made = self._made(subject_id, name, account, {} if pending else decisions)
        if pending:
            made = made.decided(pending=decisions)
        try:
            self._carry_out({subject_id: None}, {subject_id: made})
        except SubjectConflict:
            return self.get(subject_id), False
        return made, True

    def _made(self, subject_id: str, name: str | None, account: str, confirmed: Mapping[str, Decision]) -> Subject:
        with redis_at_work():
            number = self._redis.incr(_NUMBER)
        now = datetime.now(UTC)
        return Subject(subject_id, number, name, account, now, now, confirmed=confirmed)

    def change(self, subject_id: str, revision: int | None, change: Callable[[Subject], Subject]) -> Subject:
        """Replace a subject by what `change` makes of it; the same is not written again.

        Args:
            revision: that the caller has seen; None takes what is there, again when it changes meanwhile.

        Raises:
            SubjectMissing, SubjectConflict, SubjectRefused.
        """
        for _ in range(_ATTEMPTS):
            before = self.get(subject_id)
            _check_revision(before, revision)
            after = change(before)
            if after == before:
                return before
            after = after.next_revision()
            try:
                self._carry_out({before.id: before}, {before.id: after})
            except SubjectConflict:
                continue
            return after
        raise SubjectConflict(subject_id)

    def merge(self, kept_id: str, revision: int, other_id: str, other_revision: int) -> Subject:
        """Take another subject into the kept one; its id, and those it had, lead to the kept one.

        Raises:
            SubjectMissing, SubjectConflict: also when both are one.
            SubjectRefused: one subject's sighting was rejected for the other, or they are too many.
        """
        kept, other = self.get(kept_id), self.get(other_id)
        _check_revision(kept, revision)
        _check_revision(other, other_revision)
        if kept.id == other.id:
            raise SubjectConflict(kept_id)
        denied = (kept.confirmed.keys() & other.rejected.keys()) | (other.confirmed.keys() & kept.rejected.keys())
        if denied:
            raise SubjectRefused(
                "rejected", "A sighting of one was rejected for the other; withdraw that first.", min(denied)
            )
        merged = kept.with_merged(other).next_revision()
        self._carry_out({kept.id: kept, other.id: other}, {kept.id: merged, other.id: None})
        return merged

    def split(
        self,
        subject_id: str,
        revision: int,
        tracklet_ids: Iterable[str],
        new_id: str,
        name: str | None,
        account: str,
    ) -> tuple[Subject, Subject]:
        """Take sightings out into a subject of their own. Returns what is left and what is new.

        Raises:
            SubjectMissing, SubjectConflict.
            SubjectRefused: one of them is not confirmed in it, or none would be left.
        """
        before, left, taken = self._taken(subject_id, revision, tracklet_ids)
        made = replace(self._made(new_id, name, account, taken), split_from=before.id)
        self._carry_out({before.id: before, made.id: None}, {before.id: left, made.id: made})
        return left, made

    def move(
        self,
        subject_id: str,
        revision: int,
        tracklet_ids: Iterable[str],
        other_id: str,
        other_revision: int,
        take: Callable[[Subject], Subject],
    ) -> tuple[Subject, Subject]:
        """Take sightings out and give them to another subject, as `take` does. Returns both.

        Raises:
            SubjectMissing, SubjectConflict: also when both are one.
            SubjectRefused: one of them is not confirmed in it, none would be left, or there are too many.
        """
        before, left, _ = self._taken(subject_id, revision, tracklet_ids)
        other = self.get(other_id)
        _check_revision(other, other_revision)
        if other.id == before.id:
            raise SubjectConflict(other_id)
        gained = take(other).next_revision()
        self._carry_out({before.id: before, other.id: other}, {before.id: left, other.id: gained})
        return left, gained

    def _taken(
        self, subject_id: str, revision: int, tracklet_ids: Iterable[str]
    ) -> tuple[Subject, Subject, dict[str, Decision]]:
        """A subject as it is, as it is without some of its sightings, and what was decided about those."""
        before = self.get(subject_id)
        _check_revision(before, revision)
        wanted = frozenset(tracklet_ids)
        foreign = wanted - before.confirmed.keys()
        if foreign:
            raise SubjectRefused("taken", "A sighting is not confirmed in this subject.", min(foreign))
        if wanted == before.confirmed.keys():
            raise SubjectRefused("full", "At least one sighting must stay.")
        return before, before.without(wanted).next_revision(), {one: before.confirmed[one] for one in wanted}

    def remove(self, subject_id: str, revision: int) -> None:
        """Forget a subject and the ids that led to it; its sightings stay. Raises SubjectMissing, SubjectConflict."""
        before = self.get(subject_id)
        _check_revision(before, revision)
        self._carry_out({before.id: before}, {before.id: None})

    # -- erasure ---------------------------------------------------------------------------------

    def erase(self, ids: Sequence[str]) -> int:
        """Forget sightings. A subject without any confirmed or pending one left is forgotten with its name."""
        touched = self._with(ids)
        for subject_id in touched:
            self._forget(subject_id, ids)
        return len(touched)

    def holds(self, ids: Sequence[str]) -> int:
        return len(self._with(ids))

    def _forget(self, subject_id: str, ids: Sequence[str]) -> None:
        for _ in range(_ATTEMPTS):
            try:
                before = self.get(subject_id)
                after = before.without(ids)
                kept = after.next_revision() if after.confirmed or after.pending else None
                self._carry_out({before.id: before}, {before.id: kept})
            except SubjectMissing:
                return
            except SubjectConflict:
                continue
            return
        raise redis.ConnectionError(f"subject {subject_id} is being changed again and again")

    def _with(self, ids: Sequence[str]) -> list[str]:
        """Subjects that have confirmed or rejected any of them, or where they are pending."""
        found = set(self.of(ids).values())
        with redis_at_work(), self._redis.pipeline(transaction=False) as pipe:
            for one in ids:
                for name in (_REJECTED, _PENDING):
                    pipe.zrangebylex(name, f"[{one}|", f"[{one}|~", start=0, num=_MAX_OLD)
            for members in pipe.execute():
                found.update(member.decode().partition("|")[2] for member in members)
        return sorted(found)

    # -- the step --------------------------------------------------------------------------------

    def _carry_out(self, before: Mapping[str, Subject | None], after: Mapping[str, Subject | None]) -> None:
        """Exchange subjects. Raises SubjectConflict or SubjectRefused; then nothing has changed."""
        for one in after.values():
            if one is not None and max(map(len, (one.confirmed, one.rejected, one.pending))) > MAX_DECISIONS:
                raise SubjectRefused("full", f"A subject has at most {MAX_DECISIONS} sightings.")
            if one is not None and len(one.previous_ids) > MAX_PREVIOUS:
                raise SubjectRefused("full", f"At most {MAX_PREVIOUS} subjects are merged into one.")
        plan = json.dumps(_plan(before, after))
        names = [_SUBJECTS, _ORDER, _OF, _MOVED, _REJECTED, _PENDING, _WAITING]
        with redis_at_work():
            answer = self._script(names, [plan, keys.RECORD])
        outcome, which = (part.decode() for part in cast("list[bytes]", answer))
        if outcome == "conflict":
            raise SubjectConflict(which)
        if outcome == "taken":
            raise SubjectRefused("taken", f"The sighting {which} is confirmed in another subject; merge them.", which)
        if outcome == "gone":
            raise SubjectRefused("gone", "There is no such sighting.", which)


def _read(subject_id: str, text: bytes) -> Subject | None:
    try:
        return Subject.from_text(text)
    except ValueError as error:
        log.error("subject cannot be read and is left out", subject=subject_id, reason=str(error)[:200])
        return None


def _check_revision(subject: Subject, revision: int | None) -> None:
    if revision is not None and subject.revision != revision:
        raise SubjectConflict(subject.id)


def _plan(before: Mapping[str, Subject | None], after: Mapping[str, Subject | None]) -> dict[str, list[dict[str, Any]]]:
    """What differs, for the script."""
    was, now = _owners(before), _owners(after)
    members_was, members_now = _members(before), _members(after)
    led_was, led_now = _ways(before), _ways(after)
    return {
        "documents": [
            {
                "id": one,
                "was": _text(before.get(one)),
                "now": _text(subject),
                "waits": int(subject is not None and subject.waits),
            }
            for one, subject in after.items()
        ],
        "claims": [
            {
                "tracklet": one,
                "was": was.get(one, ""),
                "now": now.get(one, ""),
                "judged": int(one in now and (one not in was or after.get(was[one]) is not None)),
            }
            for one in sorted(was.keys() | now.keys())
            if was.get(one) != now.get(one)
        ],
        "members": [
            {"set": which, "member": one, "now": int((which, one) in members_now)}
            for which, one in sorted(members_was ^ members_now)
        ],
        "moves": [
            {"id": one, "now": led_now.get(one, "")}
            for one in sorted(led_was.keys() | led_now.keys())
            if led_was.get(one) != led_now.get(one)
        ],
    }


def _text(subject: Subject | None) -> str:
    return subject.to_text() if subject is not None else ""


def _owners(subjects: Mapping[str, Subject | None]) -> dict[str, str]:
    return {tracklet: one.id for one in subjects.values() if one is not None for tracklet in one.confirmed}


def _members(subjects: Mapping[str, Subject | None]) -> set[tuple[int, str]]:
    """Sightings and subjects that are not one, by the number of the script's key."""
    return {
        (key, f"{tracklet}|{one.id}")
        for one in subjects.values()
        if one is not None
        for key, tracklets in ((5, one.rejected), (6, one.pending))
        for tracklet in tracklets
    }


def _ways(subjects: Mapping[str, Subject | None]) -> dict[str, str]:
    return {old: one.id for one in subjects.values() if one is not None for old in one.previous_ids}
