"""Stored searches as one account may use them: its own, in its cameras, and recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from service.gallery import TrackletRecord
from service.problems import ProblemError
from service.search import MAX_EXAMPLES, Example, Match, ModelMismatch, SearchError, SearchOutcome, UnknownExample
from service.search_store import Question, Ranked, StoredSearch, Verdict, VerdictKind
from service.searches import KeyTaken, NotInAnswer, SearchGone, SearchState, TooManyVerdicts
from service.security.access import Access, Permission
from service.security.people import recorded

if TYPE_CHECKING:
    from service.api.scoped import Scoped
    from service.api.services import Services

__all__ = ["OwnSearch", "ScopedSearches", "search_problems", "told_example", "told_scope", "told_search"]


@contextmanager
def search_problems() -> Iterator[None]:
    """Turn why a search cannot be made into a problem document with the right status."""
    try:
        yield
    except UnknownExample as error:
        raise ProblemError(404, "example-not-found", str(error)) from None
    except ModelMismatch as error:
        raise ProblemError(409, "model-mismatch", str(error)) from None
    except TooManyVerdicts as error:
        raise ProblemError(409, "too-much-feedback", str(error)) from None
    except SearchError as error:
        raise ProblemError(422, "invalid", str(error)) from None
    except KeyTaken as error:
        raise ProblemError(409, "idempotency-key-taken", str(error)) from None
    except NotInAnswer as error:
        raise ProblemError(404, "not-in-answer", str(error)) from None
    except SearchGone:
        raise _search_not_found() from None


@dataclass(frozen=True, slots=True)
class OwnSearch:
    """A search and the sighting it was first asked with; None for a photo, and for what is gone or out of scope."""

    search: StoredSearch
    picture: TrackletRecord | None


@dataclass(frozen=True, slots=True)
class ScopedSearches:
    """One account's searches. Another's is not there, nor one of an account that had this name before.

    Every method may raise ProblemError 404, and what `Scoped` may.
    """

    services: Services
    scoped: Scoped

    def make(self, question: Question, key: str | None = None) -> SearchState:
        """Search and keep it; with an idempotency key only once. Recorded before it is kept or answered."""
        self.scoped.may_search(question.examples, question.reason)
        searcher, position = self.services.require_searcher(), self._position()
        searches = self.services.searches
        with search_problems():
            search, outcome = searches.answer(question, searcher, position, self._access, key)
            if outcome is not None:
                told = told_search(self._access, question)
                self.services.audit.append(
                    "search", self.scoped.trail, search=search.id, **told, results=len(outcome.matches)
                )
                self.scoped.metrics.observe_search(outcome.took_s)
                search = searches.keep(search)
            elif not self._owned(search):
                raise KeyTaken("This Idempotency-Key was used before.")
        return self._state(search, outcome)

    def own(self) -> list[StoredSearch]:
        """Newest first."""
        self._access.require(Permission.SEARCH)
        born = self._born()
        return [one for one in self.services.searches.store.own(self._access.account) if one.created_at >= born]

    def overview(self, limit: int) -> list[OwnSearch]:
        """The newest, each with the first of its examples."""
        newest = self.own()[:limit]
        first = [next((e.tracklet_id for e in one.question.examples if e.tracklet_id), None) for one in newest]
        known = self.services.gallery.get_many([one for one in first if one is not None])
        pictures = [known.get(one) if one is not None else None for one in first]
        return [
            OwnSearch(search, record if record is not None and self._access.sees(record.camera_id) else None)
            for search, record in zip(newest, pictures, strict=True)
        ]

    def get(self, search_id: str) -> SearchState:
        return self._state(self._find(search_id))

    def rename(self, search_id: str, name: str | None) -> StoredSearch:
        """Call a search otherwise, or (None) nothing."""
        search = self._find(search_id)
        with recorded(self.services.audit, "search.rename", self.scoped.trail, search=search.id, name=name):
            if not self.services.searches.store.rename(search, name):
                raise _search_not_found()
        return replace(search, name=name)

    def delete(self, search_id: str) -> None:
        search = self._find(search_id)
        with recorded(self.services.audit, "search.delete", self.scoped.trail, search=search.id):
            self.services.searches.store.delete(search)

    def refresh(self, search_id: str) -> SearchState:
        """Answer it anew over the gallery as it is."""
        search = self._find(search_id)
        reason = self.scoped.may_search(search.question.examples, search.question.reason)
        searcher, position = self.services.require_searcher(), self._position()
        told = {"search": search.id, "reason": reason, "scope": told_scope(self._access)}
        with search_problems(), recorded(self.services.audit, "search.refresh", self.scoped.trail, **told):
            outcome = self.services.searches.refresh(search, searcher, position, self._access)
        self.scoped.metrics.observe_search(outcome.took_s)
        return self._state(self._find(search_id), outcome)

    def judge(self, search_id: str, tracklet_id: str, kind: VerdictKind | None) -> SearchState:
        """Say what one thinks of a match, or (None) take it back; ranked anew at once. The same again is nothing."""
        search = self._find(search_id)
        self.scoped.may_search(search.question.examples, search.question.reason)
        searches, trail = self.services.searches, self.scoped.trail
        with search_problems():
            if not searches.changes(search, tracklet_id, kind, self._access):
                return self._state(search)
            verdict = Verdict(kind, self._access.account, trail.token, datetime.now(UTC)) if kind is not None else None
            searcher, position = self.services.require_searcher(), self._position()
            told = {"search": search.id, "tracklet": tracklet_id, "verdict": kind.value if kind else "undo"}
            with recorded(self.services.audit, "search.feedback", trail, **told):
                outcome = searches.judge(search, tracklet_id, verdict, searcher, position, self._access)
        self.scoped.metrics.observe_search(outcome.took_s)
        return self._state(self._find(search_id), outcome)

    def vary(self, search_id: str, question: Question) -> SearchState:
        """Ask another question in the place of a search, and take over what was thought of its matches.

        What was confirmed there and the new filters leave out goes on as an example; what is in the new answer too is
        judged alike; the rest is not asked about any more.
        """
        search = self._find(search_id)
        judged = self.services.searches.judged(search, self._access)
        outside = [
            Example(tracklet_id=one)
            for one, (record, kind) in judged.items()
            if kind is VerdictKind.CONFIRM and not question.filters.admits(record)
        ]
        examples = tuple(dict.fromkeys((*question.examples, *outside)))[:MAX_EXAMPLES]
        state = self.make(replace(question, examples=examples))
        for one, (_, kind) in judged.items():
            if any(one == place.tracklet_id for place in state.ranked):
                state = self.judge(state.search.id, one, kind)
        return state

    def matches(
        self, ranked: Sequence[Ranked], first: int, at_hand: Mapping[str, TrackletRecord] | None = None
    ) -> list[Match]:
        """See `Searches.matches`."""
        return self.services.searches.matches(ranked, first, at_hand)

    @property
    def _access(self) -> Access:
        return self.scoped.access

    def _find(self, search_id: str) -> StoredSearch:
        self._access.require(Permission.SEARCH)
        search = self.services.searches.store.get(search_id)
        if search is None or not self._owned(search):
            raise _search_not_found()
        return search

    def _owned(self, search: StoredSearch) -> bool:
        return search.account == self._access.account and search.created_at >= self._born()

    def _born(self) -> datetime:
        return self.services.accounts.born(self._access.account)

    def _state(self, search: StoredSearch, outcome: SearchOutcome | None = None) -> SearchState:
        searcher = self.services.searcher
        return self.services.searches.state(search, searcher.model_hash if searcher else None, self._access, outcome)

    def _position(self) -> str:
        """What the index had read of the gallery's changes at least; asked before the index is."""
        follower = self.services.follower
        return follower.stats().position if follower is not None else "0-0"


def told_search(access: Access, question: Question) -> dict[str, Any]:
    """Who is searched for, where and why, for the audit log; of the filters those that were set."""
    filters = question.filters
    told: dict[str, Any] = {
        "cameras": None if filters.cameras is None else sorted(filters.cameras),
        "exclude_cameras": sorted(filters.exclude_cameras),
        "modality": filters.modality.value if filters.modality else None,
        "since": filters.since.isoformat() if filters.since else None,
        "until": filters.until.isoformat() if filters.until else None,
        "exclude_example_cameras": question.exclude_example_cameras,
        "rerank": question.rerank,
    }
    told = {name: value for name, value in told.items() if value}
    if question.min_probability is not None:
        told["min_probability"] = question.min_probability
    return {
        "reason": question.reason,
        "scope": told_scope(access),
        "filters": told,
        "examples": [told_example(example) for example in question.examples],
        "k": question.k,
    }


def told_scope(access: Access) -> list[str] | None:
    """The cameras that somebody sees; None for all."""
    return None if access.cameras is None else sorted(access.cameras)


def told_example(example: Example) -> dict[str, Any]:
    if example.tracklet_id is not None:
        return {"tracklet": example.tracklet_id}
    return {"photo": example.photo_id, "person": example.person}


def _search_not_found() -> ProblemError:
    return ProblemError(404, "search-not-found", "There is no such search; it may have expired.")
