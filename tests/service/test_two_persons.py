"""Two-person confirmation: nobody makes a person of sightings alone, and who proposed and who confirmed is kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.api_world import PASSWORD, START, World, bearer, client_of, record_of, world_in

from service.api.scoped import Scoped
from service.audit import Trail
from service.problems import ProblemError
from service.security import AccessDenied, Role
from service.subjects import SubjectStore
from service.subjects.seen import merges_in_sight

JSON = dict[str, Any]
SUBJECTS = "/api/v1/subjects"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("two"), two_person_confirmation=True) as world:
        for name in ("ann", "ben"):
            world.services.accounts.add(name, PASSWORD, Role.OPERATOR)
        world.services.accounts.add("gatekeeper", PASSWORD, Role.OPERATOR, ["gate"])
        world.services.accounts.add("vic", PASSWORD, Role.VIEWER)
        yield world


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        yield client


class Person:
    """One account at the API."""

    def __init__(self, world: World, client: TestClient, name: str) -> None:
        self.world, self.client, self.name = world, client, name
        account = world.services.accounts.get(name)
        assert account is not None
        self.headers = bearer(world.services.sessions.open(account)[0])

    def with_token(self) -> Person:
        """The same person, through an API token of theirs."""
        body = {"name": f"t{self.name}", "expires_in_days": 1}
        made = self.client.post("/api/v1/tokens", json=body, headers=self.headers)
        assert made.status_code == 201, made.text
        other = Person(self.world, self.client, self.name)
        other.headers = bearer(made.json()["token"])
        return other

    def make(self, *tracklets: str) -> JSON:
        answer = self.client.post(SUBJECTS, json={"tracklet_ids": list(tracklets)}, headers=self.headers)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def decide(self, subject: str, tracklet: str, decision: str = "confirmed", status: int = 200) -> JSON:
        path = f"{SUBJECTS}/{subject}/tracklets/{tracklet}"
        answer = self.client.put(path, json={"decision": decision}, headers=self.headers)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def get(self, subject: str, status: int = 200) -> JSON:
        answer = self.client.get(f"{SUBJECTS}/{subject}", headers=self.headers)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def merge(self, kept: JSON, other: JSON, status: int = 200) -> JSON:
        body = {"revision": kept["revision"], "other_id": other["id"], "other_revision": other["revision"]}
        answer = self.client.post(f"{SUBJECTS}/{kept['id']}/merge", json=body, headers=self.headers)
        assert answer.status_code == status, answer.text
        return dict(answer.json())

    def confirmed(self, *tracklets: str) -> JSON:
        """A subject that this person and another one have confirmed."""
        made = self.make(*tracklets)
        ben = Person(self.world, self.client, "ben")
        return [ben.decide(made["id"], one) for one in tracklets][-1]


@pytest.fixture
def ann(world: World, client: TestClient) -> Person:
    return Person(world, client, "ann")


@pytest.fixture
def ben(world: World, client: TestClient) -> Person:
    return Person(world, client, "ben")


@pytest.fixture
def seen(world: World) -> Any:
    """Makes a sighting and gives its id."""

    def make(number: int, camera: str = "gate") -> str:
        started = START + timedelta(minutes=number)
        record = record_of(world.services.media, "red", number=number, camera=camera, started_at=started)
        world.services.gallery.put(record)
        return record.id

    return make


def of(subject: JSON, tracklet: str) -> JSON:
    (found,) = [s for s in subject["sightings"] if s["tracklet_id"] == tracklet]
    return dict(found)


def events(world: World, subject: str) -> list[tuple[str, str, JSON]]:
    """What the audit log holds of a subject, oldest first."""
    found = [e for e in world.services.audit.newest() if e["details"].get("subject") == subject]
    return [(e["event"], e["account"], e["details"]) for e in reversed(found)]


def test_a_second_account_has_to_confirm(world: World, ann: Person, ben: Person, seen: Any) -> None:
    one = seen(1)
    made = ann.make(one)
    assert (made["confirmed_count"], made["pending_count"]) == (0, 1)
    assert (of(made, one)["decision"], of(made, one)["account"]) == ("pending", "ann")
    listed = ben.client.get(SUBJECTS, params={"pending": True}, headers=ben.headers).json()["items"]
    assert made["id"] in [s["id"] for s in listed]
    done = ben.decide(made["id"], one)
    assert (done["confirmed_count"], done["pending_count"]) == (1, 0)
    sighting = of(done, one)
    assert (sighting["decision"], sighting["account"], sighting["proposed_by"]) == ("confirmed", "ben", "ann")
    assert sighting["proposed_at"] < sighting["at"]
    assert ben.decide(made["id"], one)["revision"] == done["revision"], "the same again changes nothing"
    listed = ben.client.get(SUBJECTS, params={"pending": True}, headers=ben.headers).json()["items"]
    assert made["id"] not in [s["id"] for s in listed]
    log = events(world, made["id"])
    assert [(event, who) for event, who, _ in log][:4] == [
        ("subject.add", "ann"),
        ("subject.pending", "ann"),
        ("subject.confirm", "ben"),
        ("subject.confirmed", "ben"),
    ]
    assert (log[3][2]["proposed_by"], log[3][2]["confirmed_by"]) == ("ann", "ben")


def test_nobody_confirms_their_own_not_by_a_token_either(ann: Person, ben: Person, seen: Any) -> None:
    one, other = seen(10), seen(11)
    subject = ann.confirmed(one)["id"]
    proposed = ann.decide(subject, other)
    assert of(proposed, other)["decision"] == "pending"
    token = ann.with_token()
    for again in (ann, token, ann):
        found = again.decide(subject, other)
        assert (of(found, other)["decision"], found["revision"]) == ("pending", proposed["revision"])
    assert of(ben.with_token().decide(subject, other), other)["proposed_by"] == "ann"
    third = seen(12)
    assert of(token.decide(subject, third), third)["account"] == "ann"
    assert of(ann.decide(subject, third), third)["decision"] == "pending"


def test_the_second_one_needs_the_role_and_the_camera(
    world: World, client: TestClient, ann: Person, ben: Person, seen: Any
) -> None:
    mine, theirs = seen(20, "gate"), seen(21, "vault")
    subject = ann.make(mine, theirs)["id"]
    viewer, keeper = Person(world, client, "vic"), Person(world, client, "gatekeeper")
    viewer.decide(subject, mine, status=403)
    keeper.decide(subject, theirs, status=404)
    seen_by_keeper = keeper.get(subject)
    assert [s["tracklet_id"] for s in seen_by_keeper["sightings"]] == [mine]
    assert (seen_by_keeper["pending_count"], seen_by_keeper["confirmed_count"]) == (1, 0)
    assert of(keeper.decide(subject, mine), mine)["decision"] == "confirmed"
    assert of(ben.get(subject), theirs)["decision"] == "pending"
    hidden = ann.make(seen(22, "vault"))["id"]
    keeper.get(hidden, status=404)


@pytest.mark.parametrize("who", ["ann", "ben"])
def test_it_can_be_withdrawn_or_rejected(world: World, client: TestClient, ann: Person, seen: Any, who: str) -> None:
    number = 30 if who == "ann" else 40
    first, one, other = seen(number), seen(number + 1), seen(number + 2)
    subject, somebody = ann.confirmed(first)["id"], Person(world, client, who)
    ann.decide(subject, one), ann.decide(subject, other)
    path = f"{SUBJECTS}/{subject}/tracklets/{one}"
    assert client.delete(path, headers=somebody.headers).json()["pending_count"] == 1
    assert client.delete(path, headers=somebody.headers).status_code == 404
    rejected = somebody.decide(subject, other, "rejected")
    assert (of(rejected, other)["decision"], rejected["pending_count"]) == ("rejected", 0)
    again = Person(world, client, "ben").decide(subject, other)
    assert of(again, other)["decision"] == "pending", "one person alone does not turn a rejection round"
    assert of(ann.decide(subject, other), other)["proposed_by"] == "ben"


def test_what_is_pending_is_no_part_of_the_subject(ann: Person, ben: Person, seen: Any) -> None:
    one, other = seen(50), seen(51)
    subject = ann.make(one)["id"]
    empty = ann.client.post(f"{SUBJECTS}/{subject}/proposals", json={}, headers=ann.headers)
    assert empty.status_code == 409
    timeline = ann.client.get(f"{SUBJECTS}/{subject}/timeline", headers=ann.headers).json()
    assert timeline["sightings"] == []
    elsewhere = ann.make(other)["id"]
    ben.decide(elsewhere, other)
    refused = ann.decide(subject, other, status=409)
    assert refused["type"].endswith("in-another-subject")
    third = seen(52)
    ann.decide(subject, third), ann.decide(elsewhere, third)
    ben.decide(subject, third)
    late = ben.decide(elsewhere, third, status=409)
    assert late["type"].endswith("in-another-subject")


def test_two_at_once_are_one_who_proposes_and_one_who_confirms(
    world: World, client: TestClient, ann: Person, ben: Person, seen: Any
) -> None:
    for number in range(60, 66):
        one = seen(number)
        subject = ann.confirmed(seen(number + 20))["id"]
        both = [threading.Thread(target=person.decide, args=(subject, one)) for person in (ann, ben)]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        found = of(ann.get(subject), one)
        assert found["decision"] == "confirmed"
        assert {found["account"], found["proposed_by"]} == {"ann", "ben"}


def test_one_person_many_times_at_once_stays_one_person(ann: Person, seen: Any) -> None:
    one = seen(90)
    subject = ann.confirmed(seen(91))["id"]
    token = ann.with_token()
    many = [threading.Thread(target=person.decide, args=(subject, one)) for person in (ann, token) * 3]
    for thread in many:
        thread.start()
    for thread in many:
        thread.join()
    assert of(ann.get(subject), one)["decision"] == "pending"


def test_a_merge_wants_two_as_well(world: World, client: TestClient, ann: Person, ben: Person, seen: Any) -> None:
    kept, other = ann.confirmed(seen(100)), ann.confirmed(seen(101))
    proposed = ann.merge(kept, other)
    assert [(m["subject_id"], m["account"]) for m in proposed["pending_merges"]] == [(other["id"], "ann")]
    assert proposed["confirmed_count"] == 1
    assert ann.merge(proposed, other)["revision"] == proposed["revision"]
    assert ann.with_token().merge(proposed, other)["confirmed_count"] == 1
    ann.merge(other, proposed)  # the other way round is the same
    assert ann.get(other["id"])["id"] == other["id"]
    merged = ben.merge(ann.get(kept["id"]), ann.get(other["id"]))
    assert (merged["confirmed_count"], merged["pending_merges"]) == (2, [])
    assert ann.get(other["id"])["id"] == kept["id"]
    told = [(event, who) for event, who, _ in events(world, kept["id"])]
    assert ("subject.merge.propose", "ann") in told
    assert ("subject.merge", "ben") in told


def test_what_is_moved_waits_in_the_other_subject(world: World, ann: Person, ben: Person, seen: Any) -> None:
    source, other = ann.confirmed(seen(106), three := seen(107)), ann.confirmed(seen(108))
    body = {
        "revision": source["revision"],
        "tracklet_ids": [three],
        "other_id": other["id"],
        "other_revision": other["revision"],
    }
    answer = ann.client.post(f"{SUBJECTS}/{source['id']}/move", json=body, headers=ann.headers)
    assert answer.status_code == 200, answer.text
    assert (of(answer.json(), three)["decision"], of(answer.json(), three)["account"]) == ("pending", "ann")
    assert ann.get(source["id"])["confirmed_count"] == 1
    assert of(ben.decide(other["id"], three), three)["proposed_by"] == "ann"
    told = [(event, who) for event, who, _ in events(world, other["id"])]
    assert told[-3:] == [("subject.pending", "ann"), ("subject.confirm", "ben"), ("subject.confirmed", "ben")]


def test_what_waits_is_listed_without_a_walk_over_the_rest(ann: Person, ben: Person, seen: Any) -> None:
    def listed() -> list[str]:
        answer = ann.client.get(SUBJECTS, params={"pending": True, "limit": 200}, headers=ann.headers)
        return [s["id"] for s in answer.json()["items"]]

    one = seen(170)
    proposed = ann.make(one)["id"]
    kept, other = ann.confirmed(seen(171)), ann.confirmed(seen(172))
    assert (proposed in listed(), kept["id"] in listed()) == (True, False)
    ann.merge(kept, other)
    assert kept["id"] in listed()
    ben.decide(proposed, one)
    ben.merge(ann.get(kept["id"]), ann.get(other["id"]))
    assert not {proposed, kept["id"], other["id"]} & set(listed())


def test_what_waits_for_somebody_is_what_others_proposed_in_their_cameras(
    world: World, ann: Person, ben: Person, seen: Any
) -> None:
    def views(name: str) -> Any:
        account = world.services.accounts.get(name)
        assert account is not None
        return Scoped(world.services, account.access(), Trail(account=name)).subject_views

    before = {name: views(name).waiting_count() for name in ("ann", "ben", "gatekeeper")}
    mine, theirs, third = seen(180, "gate"), seen(181, "vault"), seen(182, "vault")
    subject = ann.make(mine, theirs)["id"]
    hidden, other = ann.make(third)["id"], ann.confirmed(seen(183, "vault"))
    ann.merge(ann.get(other["id"]), ann.confirmed(seen(184, "gate")))
    now = {name: views(name).waiting_count() - count for name, count in before.items()}
    assert now == {"ann": 0, "ben": 4, "gatekeeper": 1}, "one sighting at the gate; of the merge they see one side"
    found = {one.known.subject.id: one for one in views("gatekeeper").waiting(50, None)[0]}
    assert (set(found[subject].sightings), hidden in found, other["id"] in found) == ({mine}, False, False)
    assert views("ann").waiting(1, None)[1] is not None
    with pytest.raises(AccessDenied):
        views("vic").waiting_count()
    # Confirmed in another subject meanwhile, it waits for nobody any more, and that is said.
    elsewhere = ann.make(seen(185))["id"]
    ann.decide(elsewhere, mine), ben.decide(elsewhere, mine)
    (stale,) = [one for one in views("ben").waiting(50, None)[0] if one.known.subject.id == subject]
    assert stale.taken == {mine}


def test_a_merge_that_is_done_while_it_is_read_does_not_wait(
    world: World, ann: Person, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = world.services.accounts.get("ben")
    assert account is not None
    views = Scoped(world.services, account.access(), Trail(account="ben")).subject_views
    store = world.services.subjects
    kept, other, third = (ann.confirmed(seen(number)) for number in (186, 187, 188))
    ann.merge(kept, other)

    def meanwhile(*arguments: Any) -> Any:
        found = merges_in_sight(*arguments)
        store.merge(third["id"], third["revision"], other["id"], other["revision"])
        return found

    monkeypatch.setattr("service.api.scoped_subject_views.merges_in_sight", meanwhile)
    assert views.waiting_of(store.get(kept["id"])).merges == ()


def test_two_side_by_side_tell_what_contradicts_and_what_was_rejected(
    world: World, ann: Person, ben: Person, seen: Any
) -> None:
    account = world.services.accounts.get("ann")
    assert account is not None
    views = Scoped(world.services, account.access(), Trail(account="ann")).subject_views
    world.services.walking_times.put("gate", "vault", 600)
    one, two, three = seen(190, "gate"), seen(220, "gate"), seen(191, "vault")
    kept, other = ann.confirmed(one, two), ann.confirmed(three)
    pair = views.pair(kept["id"], other["id"])
    assert [r.id for r in pair.sightings] == [one, two]
    assert [r.id for r in pair.others] == [three]
    assert (pair.conflict_count, {c.first.id for c in pair.conflicts}, pair.denied) == (1, {one}, frozenset())
    assert views.pair(kept["id"], other["id"], [two]).conflict_count == 0
    ann.decide(kept["id"], three, "rejected")
    assert views.pair(kept["id"], other["id"]).denied == {three}
    with pytest.raises(ProblemError):
        views.pair(kept["id"], kept["id"])
    world.services.walking_times.remove("gate", "vault")


def test_a_merge_can_be_withdrawn_and_shows_only_what_one_sees(
    world: World, client: TestClient, ann: Person, ben: Person, seen: Any
) -> None:
    kept, other = ann.confirmed(seen(110, "gate")), ann.confirmed(seen(111, "vault"))
    ann.merge(kept, other)
    assert Person(world, client, "gatekeeper").get(kept["id"])["pending_merges"] == []
    path = f"{SUBJECTS}/{kept['id']}/merge/{other['id']}"
    assert client.delete(path, headers=Person(world, client, "gatekeeper").headers).status_code == 404
    assert client.delete(path, headers=ben.headers).json()["pending_merges"] == []
    assert client.delete(path, headers=ben.headers).status_code == 404
    assert ben.merge(ben.get(kept["id"]), other)["pending_merges"][0]["account"] == "ben"


def test_a_withdrawal_is_not_outrun_by_guessing_the_next_revision(
    world: World, ann: Person, ben: Person, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, other = ann.confirmed(seen(120)), ann.confirmed(seen(121))
    proposed = ann.merge(kept, other)
    merge = SubjectStore.merge

    def after_a_withdrawal(store: SubjectStore, *args: Any) -> Any:
        store.change(kept["id"], None, lambda subject: replace(subject, pending_merges={}))
        return merge(store, *args)

    monkeypatch.setattr(SubjectStore, "merge", after_a_withdrawal)
    ben.merge({**proposed, "revision": proposed["revision"] + 1}, other, 409)
    ben.merge(proposed, other, 409)
    assert ann.get(other["id"])["id"] == other["id"]


def test_what_is_erased_is_not_pending_either(world: World, ann: Person, seen: Any) -> None:
    one, other = seen(120), seen(121)
    alone, both = ann.make(one)["id"], ann.confirmed(other)["id"]
    ann.decide(both, one)
    world.services.eraser.erase([one], account="x", reason="x")
    assert world.services.subjects.holds([one]) == 0
    ann.get(alone, status=404)
    assert ann.get(both)["pending_count"] == 0
    ann.decide(both, one, status=404)


def test_without_the_setting_one_is_enough(tmp_path: Any) -> None:
    with world_in(tmp_path) as world, client_of(world) as client:
        world.services.accounts.add("ann", PASSWORD, Role.OPERATOR)
        record = record_of(world.services.media, "red", number=1)
        world.services.gallery.put(record)
        made = Person(world, client, "ann").make(record.id)
        assert (made["confirmed_count"], made["pending_count"]) == (1, 0)
        assert of(made, record.id)["proposed_by"] is None
