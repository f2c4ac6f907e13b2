"""Searches that are kept: the same answer until somebody asks again, and ranked anew by what is thought of it.

How a verdict counts, on purpose simple:

* **confirmed** sightings join the examples as equals and leave the ranking, because they are no longer a question.
  Those of one kind of light are averaged; day and night stay two queries, so that a confirmed sighting at night draws
  others at night by the curve of two infrared pictures, and never bends the query of the day.
* **rejected** sightings leave the ranking, and with them what the same camera's tracker followed as the same track
  within `SAME_TRACK` of them: the same person again, cut in pieces.
* **unsure** changes nothing but what is shown.

Probabilities are those of the plain cosine to the examples and the confirmed; a verdict is never turned into one.
Every answer is a function of question, verdicts, scope and gallery, so taking a verdict back gives the answer that
would have been without it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ulid import ULID

from service.gallery import Arrivals, Gallery, GalleryFilter, Since, TrackletRecord
from service.search import (
    Match,
    PhotoPersonVector,
    ResolvedExample,
    Searcher,
    SearchError,
    SearchOutcome,
    UnknownExample,
    band,
)
from service.search_store import Answer, Question, Ranked, SearchStore, StoredSearch, Verdict, VerdictKind
from service.security.access import Access

__all__ = ["KeyTaken", "NotInAnswer", "SearchGone", "SearchState", "Searches", "TooManyVerdicts"]

MAX_VERDICTS = 200
SAME_TRACK = timedelta(minutes=10)
_ATTEMPTS = 10


class SearchGone(LookupError):  # noqa: N818  a state of the world, as callers see it
    """The search was deleted or has expired meanwhile."""


class NotInAnswer(LookupError):  # noqa: N818  a state of the world, as callers see it
    """Feedback on a sighting that the search has not found."""


class TooManyVerdicts(SearchError):  # noqa: N818  a kind of SearchError
    """The search has as much feedback as it may have."""


class KeyTaken(ValueError):  # noqa: N818  a state of the world, as callers see it
    """The idempotency key belongs to another request."""


@dataclass(frozen=True, slots=True)
class SearchState:
    """A search as one account may see it now.

    Attributes:
        ranked: what is there and in scope, in order; a rank is a place in it.
        judged: sightings with a verdict, that are there and in scope.
        examples: example sightings, likewise.
        examples_gone: sightings that were examples, and are erased or out of scope.
        vanished: sightings of the answer, in scope, that are there no more.
        since: what came since the answer.
        other_model: the index has another model's vectors than the answer.
        scope_widened: the account sees cameras now that the answer is not about.
        at_hand: records that an answer of this moment has read already, so that its matches need no second reading. Not
            for later: what is erased meanwhile is in them.
    """

    search: StoredSearch
    ranked: tuple[Ranked, ...]
    judged: tuple[tuple[TrackletRecord, Verdict], ...]
    examples: tuple[TrackletRecord, ...]
    examples_gone: int
    vanished: int
    since: Since
    other_model: bool
    scope_widened: bool
    at_hand: Mapping[str, TrackletRecord] = field(default_factory=dict, repr=False, compare=False)

    @property
    def gallery_changed(self) -> bool:
        """Whether asking again may give another answer."""
        return bool(self.since.any or self.vanished or self.other_model or self.scope_widened)


class Searches:
    """Makes, answers and judges stored searches; whose they are, callers have checked."""

    def __init__(self, store: SearchStore, gallery: Gallery, arrivals: Arrivals, lifetime: timedelta) -> None:
        self.store = store
        self._gallery = gallery
        self._arrivals = arrivals
        self._lifetime = lifetime

    def answer(
        self, question: Question, searcher: Searcher, position: str, access: Access, key: str | None = None
    ) -> tuple[StoredSearch, SearchOutcome | None]:
        """Answer a question; `keep` keeps it. With an idempotency key what it has made, then without an outcome.

        Raises:
            KeyTaken: the key has made a search for another question.
            SearchError: see `Searcher.search`.
        """
        search_id = str(ULID())
        if key is not None:
            search_id = self.store.reserve(access.account, key, search_id, self._lifetime)
            made = self.store.get(search_id)
            if made is not None:
                return _same(made, question), None
        examples = searcher.resolve(question.examples, access)
        outcome = _ask(searcher, question, examples, access)
        now = datetime.now(UTC)
        search = StoredSearch(
            id=search_id,
            account=access.account,
            created_at=now,
            expires_at=now + self._lifetime,
            question=question,
            answer=_answer(outcome, 1, searcher, position, access),
            photos={
                one.example: PhotoPersonVector(one.vector, one.modality, searcher.model_hash)
                for one in examples
                if one.record is None
            },
        )
        return search, outcome

    def keep(self, search: StoredSearch) -> StoredSearch:
        """Keep a first answer; where a retry of the same request has been faster, that one stays."""
        if self.store.write(search):
            self._forget_erased(search)
            return search
        made = self.store.get(search.id)
        if made is None:
            raise SearchGone
        return _same(made, search.question)

    def refresh(self, search: StoredSearch, searcher: Searcher, position: str, access: Access) -> SearchOutcome:
        """Answer the question again over the gallery as it is. Raises SearchError, SearchGone."""
        return self._again(search, None, searcher, position, access)

    def changes(self, search: StoredSearch, tracklet_id: str, kind: VerdictKind | None, access: Access) -> bool:
        """Whether a verdict, or (None) taking one back, would change anything.

        Raises:
            NotInAnswer: the sighting is not in the answer that this account sees.
            TooManyVerdicts.
        """
        known = search.verdicts.get(tracklet_id)
        record = None
        if known is not None or any(tracklet_id == r.tracklet_id for r in search.answer.ranked):
            record = self._gallery.get(tracklet_id)
        if record is None or not access.sees(record.camera_id):
            raise NotInAnswer(f"Sighting {tracklet_id} is not in the answer of this search.")
        if known is None and kind is not None and len(search.verdicts) >= MAX_VERDICTS:
            raise TooManyVerdicts(f"feedback: expected at most {MAX_VERDICTS} of one search")
        return (known.kind if known is not None else None) is not kind

    def judge(
        self,
        search: StoredSearch,
        tracklet_id: str,
        verdict: Verdict | None,
        searcher: Searcher,
        position: str,
        access: Access,
    ) -> SearchOutcome:
        """Give or change a verdict that `changes` has admitted, or (None) take it back, and rank anew.

        Raises:
            SearchError, SearchGone.
        """
        return self._again(search, (tracklet_id, verdict), searcher, position, access)

    def _again(
        self,
        search: StoredSearch,
        change: tuple[str, Verdict | None] | None,
        searcher: Searcher,
        position: str,
        access: Access,
    ) -> SearchOutcome:
        for _ in range(_ATTEMPTS):
            verdicts = {**search.verdicts}
            if change is not None:
                tracklet_id, verdict = change
                verdicts.pop(tracklet_id, None)
                verdicts |= {tracklet_id: verdict} if verdict is not None else {}
            outcome = self._outcome(replace(search, verdicts=verdicts), searcher, access)
            answer = _answer(outcome, search.answer.revision + 1, searcher, position, access)
            expires_at = datetime.now(UTC) + self._lifetime
            written = self.store.write(replace(search, answer=answer, expires_at=expires_at), change)
            if written:
                self._forget_erased(replace(search, answer=answer))
                return outcome
            found = self.store.get(search.id) if written is not None else None
            if found is None:
                raise SearchGone
            search = found  # with the verdict that came between
        raise SearchError("others changed this search at the same time; try again")

    def _outcome(self, search: StoredSearch, searcher: Searcher, access: Access) -> SearchOutcome:
        """What examples, verdicts and gallery give now. Examples that are gone are no longer asked with."""
        question = search.question
        judged = self.judged(search, access).values()
        confirmed = [record for record, kind in judged if kind is VerdictKind.CONFIRM]
        rejected = [record for record, kind in judged if kind is VerdictKind.REJECT]
        seen = self._seen([e.tracklet_id for e in question.examples if e.tracklet_id is not None], access)
        there = [e for e in question.examples if e.tracklet_id in seen]
        examples = searcher.resolve(there, access) if there else []
        for example, person in search.photos.items():
            examples.append(searcher.resolved(example, person))
        if not examples and not confirmed:
            raise UnknownExample("The sightings that this search was asked with are erased or not yours to see.")
        decided = frozenset(r.id for r in (*confirmed, *rejected))
        narrowed = replace(question.filters, exclude_ids=decided)
        return _ask(
            searcher,
            replace(question, filters=narrowed),
            examples,
            access,
            confirmed=confirmed,
            rejected=rejected,
        )

    def _forget_erased(self, search: StoredSearch) -> None:
        """An erasure that looked through the searches just before this one was written has not found it."""
        examples = [e.tracklet_id for e in search.question.examples if e.tracklet_id is not None]
        ids = [*examples, *search.verdicts, *(r.tracklet_id for r in search.answer.ranked)]
        erased = self._gallery.erased(ids)
        if erased:
            self.store.erase(list(erased))

    # -- reading ---------------------------------------------------------------------------------

    def state(
        self, search: StoredSearch, model_hash: str | None, access: Access, outcome: SearchOutcome | None = None
    ) -> SearchState:
        """The search as an account may see it now.

        Args:
            model_hash: of the index; None while it is loading.
            outcome: where the search was answered just now.
        """
        question, answer = search.question, search.answer
        in_scope = [r for r in answer.ranked if access.sees(r.camera_id)]
        there = self._gallery.present([r.tracklet_id for r in in_scope])
        ranked = tuple(r for r in in_scope if r.tracklet_id in there)
        wanted = [e.tracklet_id for e in question.examples if e.tracklet_id is not None]
        seen = self._seen([*wanted, *search.verdicts], access)
        examples = [seen[one] for one in wanted if one in seen]
        since = self._arrivals.since(answer.position, self._asked_of(question, examples, access))
        known = frozenset(r.tracklet_id for r in in_scope) | frozenset(search.verdicts)
        return SearchState(
            search=search,
            ranked=ranked,
            judged=tuple((seen[one], verdict) for one, verdict in search.verdicts.items() if one in seen),
            examples=tuple(examples),
            examples_gone=len(wanted) - len(examples),
            vanished=len(in_scope) - len(ranked),
            since=replace(since, new=since.new - known) if since.new is not None else since,
            other_model=model_hash is not None and model_hash != answer.model_hash,
            scope_widened=answer.scope is not None and (access.cameras is None or not access.cameras <= answer.scope),
            at_hand={match.record.id: match.record for match in outcome.matches} if outcome is not None else {},
        )

    def judged(self, search: StoredSearch, access: Access) -> dict[str, tuple[TrackletRecord, VerdictKind]]:
        """What a state tells of verdicts, by sighting; nothing else is read."""
        seen = self._seen(search.verdicts, access)
        return {one: (record, search.verdicts[one].kind) for one, record in seen.items()}

    def matches(
        self, ranked: Sequence[Ranked], first: int, at_hand: Mapping[str, TrackletRecord] | None = None
    ) -> list[Match]:
        """Some places of a state's ranking with their records, the first of which has the rank `first`.

        Args:
            at_hand: the state's, where it is of this moment.
        """
        records = dict(at_hand or {})
        records |= self._gallery.get_many([one.tracklet_id for one in ranked if one.tracklet_id not in records])
        return [
            Match(rank, records[one.tracklet_id], one.cosine, one.pair, one.probability, band(one.probability))
            for rank, one in enumerate(ranked, start=first)
            if one.tracklet_id in records
        ]

    @staticmethod
    def _asked_of(question: Question, examples: Sequence[TrackletRecord], access: Access) -> GalleryFilter:
        """The part of the gallery that the answer is about."""
        filters = access.narrowed(question.filters)
        if question.exclude_examples:
            filters = replace(filters, exclude_ids=frozenset(r.id for r in examples))
        if question.exclude_example_cameras:
            away = frozenset(r.camera_id for r in examples)
            filters = replace(filters, exclude_cameras=filters.exclude_cameras | away)
        return filters

    def _seen(self, ids: Collection[str], access: Access) -> dict[str, TrackletRecord]:
        records = self._gallery.get_many(list(ids))
        return {one: records[one] for one in ids if one in records and access.sees(records[one].camera_id)}


def _same(made: StoredSearch, question: Question) -> StoredSearch:
    if made.question != question:
        raise KeyTaken("This Idempotency-Key was used for another search.")
    return made


def _ask(
    searcher: Searcher,
    question: Question,
    examples: Sequence[ResolvedExample],
    access: Access,
    *,
    confirmed: Sequence[TrackletRecord] = (),
    rejected: Sequence[TrackletRecord] = (),
) -> SearchOutcome:
    return searcher.answer(
        examples,
        question.filters,
        question.k,
        access=access,
        exclude_examples=question.exclude_examples,
        exclude_example_cameras=question.exclude_example_cameras,
        min_probability=question.min_probability,
        rerank=question.rerank,
        confirmed=confirmed,
        left_out=lambda record: any(_same_track(record, other) for other in rejected),
    )


def _same_track(one: TrackletRecord, other: TrackletRecord) -> bool:
    """Whether two sightings are pieces of what one camera's tracker followed as one.

    A tracker counts anew after a restart, so the number alone says little: they must lie near in time.
    """
    return (
        one.camera_id == other.camera_id
        and one.track_id == other.track_id
        and one.started_at - other.ended_at <= SAME_TRACK
        and other.started_at - one.ended_at <= SAME_TRACK
    )


def _answer(outcome: SearchOutcome, revision: int, searcher: Searcher, position: str, access: Access) -> Answer:
    return Answer(
        revision=revision,
        at=datetime.now(UTC),
        model_hash=searcher.model_hash,
        scope=access.cameras,
        position=position,
        ranked=tuple(Ranked(m.record.id, m.record.camera_id, m.cosine, m.pair, m.probability) for m in outcome.matches),
    )
