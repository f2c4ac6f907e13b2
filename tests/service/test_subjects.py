"""Subjects: confirmed by people, proposed by likeness, never merged silently, nobody counted twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.api_world import CALIBRATION, START, World, bearer, client_of, foreseeable_loaders, record_of, world_in

from pipeline.camera import CameraConfig, CameraPosition
from service.gallery import keys
from service.security import Role
from service.subjects import SubjectStore

NOBODY = "01K9ZB3Q0V5W1T8R6J2N4M7XCD"
PLACES = {"gate": 0.0, "yard": 10.0, "harbour": 9000.0}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("subjects"), loaders=foreseeable_loaders(calibration=CALIBRATION)) as world:
        for camera, x_m in PLACES.items():
            config = CameraConfig(camera, camera.title(), "rtsp://192.168.1.20/x", position=CameraPosition(x_m, 0.0))
            world.services.cameras.declare(config)
        yield world


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        client.headers.update(bearer(world.token_of(Role.OPERATOR)))
        yield client


@pytest.fixture
def seen(world: World) -> Any:
    """Makes a sighting and gives its id."""

    def make(number: int, colour: str = "red", camera: str = "gate") -> str:
        started = START + timedelta(minutes=number)
        record = record_of(world.services.media, colour, number=number, camera=camera, started_at=started)
        world.services.gallery.put(record)
        deadline = time.monotonic() + 10
        while world.services.index is not None and record.id not in world.services.index:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return record.id

    return make


def made(api: TestClient, *tracklets: str, name: str | None = None, **headers: str) -> dict[str, Any]:
    answer = api.post("/api/v1/subjects", json={"tracklet_ids": list(tracklets), "name": name}, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    found: dict[str, Any] = answer.json()
    return found


def decide(api: TestClient, subject: str, tracklet: str, decision: str) -> Any:
    return api.put(f"/api/v1/subjects/{subject}/tracklets/{tracklet}", json={"decision": decision})


def test_a_subject_is_named_or_numbered(api: TestClient, seen: Any) -> None:
    first, second = made(api, seen(1)), made(api, seen(2), name="Man with the red bag")
    assert (first["name"], second["name"]) == (None, "Man with the red bag")
    assert second["number"] == first["number"] + 1
    renamed = api.patch(f"/api/v1/subjects/{first['id']}", json={"revision": 1, "name": "Somebody"}).json()
    assert (renamed["name"], renamed["revision"]) == ("Somebody", 2)
    late = api.patch(f"/api/v1/subjects/{first['id']}", json={"revision": 1, "name": "Too late"})
    assert (late.status_code, late.json()["type"]) == (409, "urn:tapetum:problem:subject-changed")


@pytest.mark.parametrize("name", ["x\u202egnp", "a\x00b", "", " ", "x" * 10_000])
def test_names_that_disguise_are_refused(api: TestClient, name: str) -> None:
    assert api.post("/api/v1/subjects", json={"tracklet_ids": [NOBODY], "name": name}).status_code == 422


def test_made_with_a_key_it_is_made_once(api: TestClient, seen: Any) -> None:
    one, other = seen(3), seen(4)
    first = made(api, one, **{"Idempotency-Key": "lost-answer-1"})
    again = made(api, one, **{"Idempotency-Key": "lost-answer-1"})
    assert again == first
    answer = api.post("/api/v1/subjects", json={"tracklet_ids": [other]}, headers={"Idempotency-Key": "lost-answer-1"})
    assert answer.status_code == 409


def test_a_sighting_is_confirmed_in_one_subject_only(api: TestClient, seen: Any) -> None:
    one, other = seen(5), seen(6)
    subject = made(api, one)
    assert api.post("/api/v1/subjects", json={"tracklet_ids": [other, one]}).status_code == 409
    taken = decide(api, made(api, other)["id"], one, "confirmed")
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:tapetum:problem:in-another-subject")
    assert api.get(f"/api/v1/subjects/{subject['id']}").json()["confirmed_count"] == 1


def test_the_latest_decision_counts(api: TestClient, seen: Any) -> None:
    one, other = seen(7), seen(8)
    subject = made(api, one)["id"]

    def decided(tracklet: str) -> list[str]:
        found = api.get(f"/api/v1/subjects/{subject}").json()["sightings"]
        return [s["decision"] for s in found if s["tracklet_id"] == tracklet]

    assert decide(api, subject, other, "rejected").status_code == 200
    assert decided(other) == ["rejected"]
    revision = decide(api, subject, other, "confirmed").json()["revision"]
    assert decided(other) == ["confirmed"]
    assert decide(api, subject, other, "confirmed").json()["revision"] == revision
    assert api.delete(f"/api/v1/subjects/{subject}/tracklets/{other}").status_code == 200
    assert decided(other) == []
    assert api.delete(f"/api/v1/subjects/{subject}/tracklets/{other}").status_code == 404
    assert decide(api, subject, NOBODY, "confirmed").status_code == 404


def test_proposals_are_only_proposed(api: TestClient, seen: Any) -> None:
    one, like, unlike = seen(20, "green", "gate"), seen(25, "green", "yard"), seen(26, "blue", "yard")
    subject = made(api, one)["id"]
    answer = api.post(f"/api/v1/subjects/{subject}/proposals", json={"min_probability": 0.9}).json()
    found = {p["tracklet"]["id"]: p for p in answer["items"]}
    assert like in found
    assert unlike not in found
    assert one not in found
    assert found[like]["probability"] > 0.9
    assert not found[like]["impossible"]
    assert answer["examples"] == [one]
    assert api.get(f"/api/v1/subjects/{subject}").json()["confirmed_count"] == 1
    decide(api, subject, like, "rejected")
    again = api.post(f"/api/v1/subjects/{subject}/proposals", json={}).json()
    assert like not in {p["tracklet"]["id"] for p in again["items"]}


def test_a_proposal_tells_what_it_contradicts_and_whose_it_is(api: TestClient, seen: Any) -> None:
    one, far = seen(40, "white", "gate"), seen(41, "white", "harbour")
    subject, other = made(api, one)["id"], made(api, far)["id"]
    (found,) = api.post(f"/api/v1/subjects/{subject}/proposals", json={"min_probability": 0.9}).json()["items"]
    assert (found["tracklet"]["id"], found["subject_id"]) == (far, other)
    assert (found["impossible"], found["contradicts"]) == (True, [one])


def test_an_old_id_leads_to_the_one_it_is_now(api: TestClient, seen: Any) -> None:
    a, b, c = (made(api, seen(50 + n)) for n in range(3))

    def merge(kept: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        body = {"revision": kept["revision"], "other_id": other["id"], "other_revision": other["revision"]}
        answer = api.post(f"/api/v1/subjects/{kept['id']}/merge", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    ab = merge(a, b)
    assert (ab["previous_ids"], ab["confirmed_count"]) == ([b["id"]], 2)
    cab = merge(c, ab)
    assert cab["previous_ids"] == [b["id"], a["id"]]
    for one in (a, b, c):
        assert api.get(f"/api/v1/subjects/{one['id']}").json() == api.get(f"/api/v1/subjects/{c['id']}").json()
    listed = [s["id"] for s in api.get("/api/v1/subjects?limit=200").json()["items"]]
    assert c["id"] in listed
    assert not {a["id"], b["id"]} & set(listed)
    late = api.post(f"/api/v1/subjects/{c['id']}/merge", json={"revision": 1, "other_id": a["id"], "other_revision": 1})
    assert late.status_code == 409

    out = sorted(s["tracklet_id"] for s in cab["sightings"])[:1]
    body = {"revision": cab["revision"], "tracklet_ids": out}
    split = api.post(f"/api/v1/subjects/{b['id']}/split", json=body).json()
    assert (split["split_from"], split["confirmed_count"]) == (c["id"], 1)
    left = api.get(f"/api/v1/subjects/{c['id']}").json()
    assert left["confirmed_count"] == 2
    rest = {"revision": left["revision"], "tracklet_ids": [s["tracklet_id"] for s in left["sightings"]]}
    assert api.post(f"/api/v1/subjects/{c['id']}/split", json=rest).status_code == 409
    assert api.delete(f"/api/v1/subjects/{a['id']}?revision={left['revision']}").status_code == 204
    assert {api.get(f"/api/v1/subjects/{one['id']}").status_code for one in (a, b, c)} == {404}


def test_split_with_a_key_it_is_split_once(api: TestClient, seen: Any) -> None:
    subject = made(api, seen(62), seen(63), seen(64))
    out = [s["tracklet_id"] for s in subject["sightings"]][:2]
    path, key = f"/api/v1/subjects/{subject['id']}/split", {"Idempotency-Key": "lost-answer-2"}
    first = api.post(path, json={"revision": 1, "tracklet_ids": out}, headers=key)
    again = api.post(path, json={"revision": 1, "tracklet_ids": out}, headers=key)
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    assert first.headers["Location"] == f"/api/v1/subjects/{first.json()['id']}"
    other = api.post(path, json={"revision": 1, "tracklet_ids": out[:1]}, headers=key)
    assert other.json()["type"] == "urn:tapetum:problem:idempotency-key-taken"
    assert api.delete(f"/api/v1/subjects/{first.json()['id']}?revision=1").status_code == 204
    gone = api.post(path, json={"revision": 1, "tracklet_ids": out}, headers=key)
    assert gone.status_code in (404, 409), "what was removed is not made again"


def move(api: TestClient, source: dict[str, Any], tracklets: list[str], other: dict[str, Any]) -> Any:
    body = {
        "revision": source["revision"],
        "tracklet_ids": tracklets,
        "other_id": other["id"],
        "other_revision": other["revision"],
    }
    return api.post(f"/api/v1/subjects/{source['id']}/move", json=body)


def test_sightings_are_moved_to_another_subject_in_one_step(world: World, api: TestClient, seen: Any) -> None:
    one, two, three, four = (seen(65 + n) for n in range(4))
    a, b = made(api, one, two, three), made(api, four)
    decide(api, b["id"], one, "rejected")
    assert move(api, a, [one], b).json()["type"] == "urn:tapetum:problem:subject-changed"
    b = api.get(f"/api/v1/subjects/{b['id']}").json()
    assert move(api, a, [one, four], b).status_code == 404
    assert move(api, a, [one, two, three], b).status_code == 409, "all of them is a merge"
    assert move(api, a, [one], a).status_code == 409
    assert move(api, a, [one, NOBODY], b).status_code == 404
    moved = move(api, a, [two, one], b)
    assert moved.status_code == 200, moved.text
    found = {s["tracklet_id"]: s["decision"] for s in moved.json()["sightings"]}
    assert found == {one: "confirmed", two: "confirmed", four: "confirmed"}, "the latest decision counts"
    left = api.get(f"/api/v1/subjects/{a['id']}").json()
    assert ([s["tracklet_id"] for s in left["sightings"]], left["revision"]) == ([three], 2)
    assert world.services.subjects.of([one, two]) == {one: b["id"], two: b["id"]}
    assert move(api, a, [two, one], b).json() == moved.json(), "done already, it changes nothing"
    told = next(e for e in world.services.audit.newest() if e["event"] == "subject.move")["details"]
    assert (told["subject"], told["other"], sorted(told["tracklets"])) == (a["id"], b["id"], sorted([one, two]))


@pytest.mark.parametrize("act", ["split", "move"])
def test_what_is_erased_meanwhile_is_neither_moved_nor_split_off(
    world: World, api: TestClient, seen: Any, act: str
) -> None:
    """An erasure takes the record first: what comes after it must not carry the sighting where it does not look."""
    number = 200 if act == "split" else 210
    one, other, third = (seen(number + n) for n in range(3))
    a, b = made(api, one, other), made(api, third)
    world.services.redis.delete(f"{keys.RECORD}{one}")
    if act == "split":
        answer = api.post(f"/api/v1/subjects/{a['id']}/split", json={"revision": 1, "tracklet_ids": [one]})
    else:
        answer = move(api, a, [one], b)
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:tapetum:problem:tracklet-not-found")
    assert api.get(f"/api/v1/subjects/{a['id']}").json()["revision"] == 1


def test_what_was_rejected_is_not_merged(api: TestClient, seen: Any) -> None:
    one, other = seen(60), seen(61)
    a, b = made(api, one)["id"], made(api, other)["id"]
    decide(api, a, other, "rejected")
    answer = api.post(f"/api/v1/subjects/{a}/merge", json={"revision": 2, "other_id": b, "other_revision": 1})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:tapetum:problem:was-rejected")


def test_where_it_was_and_what_cannot_be(api: TestClient, seen: Any) -> None:
    gate, yard, harbour = seen(70, camera="gate"), seen(71, camera="yard"), seen(72, camera="harbour")
    subject = made(api, gate, yard, harbour)["id"]
    timeline = api.get(f"/api/v1/subjects/{subject}/timeline").json()
    assert [s["tracklet"]["id"] for s in timeline["sightings"]] == [gate, yard, harbour]
    assert [s["dwell_s"] for s in timeline["sightings"]] == [4.0, 4.0, 4.0]
    assert [t["impossible"] for t in timeline["transitions"]] == [False, True]
    assert timeline["transitions"][1]["least_s"] == pytest.approx((8990 - 50) / 8)
    assert {tuple(c["tracklet_ids"]) for c in timeline["conflicts"]} == {(gate, harbour), (yard, harbour)}
    assert timeline["first_seen"] < timeline["last_seen"]


def test_a_walking_time_of_the_table(world: World, api: TestClient, seen: Any) -> None:
    subject = made(api, seen(80, camera="gate"), seen(81, camera="yard"))["id"]
    admin = bearer(world.token_of(Role.ADMIN))
    path = "/api/v1/walking-times/yard/gate"
    assert api.put(path, json={"seconds": 600}).status_code == 403
    assert api.put(path, json={"seconds": 600}, headers=admin).status_code == 200
    assert api.put("/api/v1/walking-times/yard/yard", json={"seconds": 1}, headers=admin).status_code == 422
    assert api.get("/api/v1/walking-times").json()["items"] == [{"camera_ids": ["gate", "yard"], "seconds": 600.0}]
    assert api.get(f"/api/v1/subjects/{subject}/timeline").json()["conflict_count"] == 1
    scoped = bearer(world.token_of(Role.ADMIN, ["gate"]))
    assert api.get("/api/v1/walking-times", headers=scoped).json()["items"] == []
    assert api.delete(path, headers=scoped).status_code == 404
    assert api.delete(path, headers=admin).status_code == 204
    assert api.get(f"/api/v1/subjects/{subject}/timeline").json()["conflict_count"] == 0


def test_of_a_subject_everybody_sees_their_cameras(world: World, api: TestClient, seen: Any) -> None:
    mine, theirs = seen(90, camera="gate"), seen(91, camera="harbour")
    both, hidden = made(api, mine, theirs), made(api, seen(92, camera="harbour"))
    headers = bearer(world.token_of(Role.OPERATOR, ["gate"]))
    path = f"/api/v1/subjects/{both['id']}"
    found = api.get(path, headers=headers).json()
    assert (found["confirmed_count"], [s["tracklet_id"] for s in found["sightings"]]) == (1, [mine])
    timeline = api.get(f"{path}/timeline", headers=headers).json()
    assert (len(timeline["sightings"]), timeline["transitions"], timeline["conflict_count"]) == (1, [], 0)
    assert api.delete(f"{path}/tracklets/{theirs}", headers=headers).status_code == 404
    split = {"revision": 1, "tracklet_ids": [theirs]}
    assert api.post(f"{path}/split", headers=headers, json=split).status_code == 404
    listed = api.get("/api/v1/subjects?limit=200", headers=headers).json()["items"]
    assert both["id"] in {s["id"] for s in listed}
    assert hidden["id"] not in {s["id"] for s in listed}
    unknown, unseen = (api.get(f"/api/v1/subjects/{one}", headers=headers) for one in (NOBODY, hidden["id"]))
    assert unknown.status_code == unseen.status_code == 404
    assert unknown.json()["detail"] == unseen.json()["detail"]
    assert decide(api, both["id"], theirs, "confirmed").status_code == 200
    assert api.put(f"{path}/tracklets/{theirs}", json={"decision": "rejected"}, headers=headers).status_code == 404


def test_pages_go_through_all_of_them_once(api: TestClient, seen: Any) -> None:
    for number in range(5):
        made(api, seen(100 + number))
    found, cursor = [], None
    while True:
        page = api.get("/api/v1/subjects", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        found += [s["id"] for s in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == sorted(set(found), reverse=True)
    assert found == [s["id"] for s in api.get("/api/v1/subjects?limit=200").json()["items"]]


def test_what_is_erased_is_in_no_subject(world: World, api: TestClient, seen: Any) -> None:
    one, other, denied = seen(110), seen(111), seen(112)
    alone, both = made(api, seen(113), name="Nobody's name"), made(api, one, other)
    decide(api, both["id"], denied, "rejected")
    gone = [one, denied, alone["sightings"][0]["tracklet_id"]]
    admin = bearer(world.token_of(Role.ADMIN))
    report = api.post("/api/v1/erasures", json={"tracklet_ids": gone, "reason": "asked"}, headers=admin).json()
    assert report["elsewhere"]["subjects"] == 2
    assert world.services.subjects.holds(gone) == 0
    left = api.get(f"/api/v1/subjects/{both['id']}").json()
    assert [s["tracklet_id"] for s in left["sightings"]] == [other]
    assert api.get(f"/api/v1/subjects/{alone['id']}").status_code == 404
    assert decide(api, both["id"], one, "confirmed").status_code == 404
    assert not [v for v in world.services.redis.hvals("tapetum:subjects") if b"Nobody's name" in v]


def test_a_subject_is_erased_with_all_that_is_confirmed_in_it(world: World, api: TestClient, seen: Any) -> None:
    admin, mine, denied = bearer(world.token_of(Role.ADMIN)), [seen(114), seen(115, camera="yard")], seen(116)
    subject = made(api, *mine, name="Asked to go")
    decide(api, subject["id"], denied, "rejected")
    body = {"subject_id": subject["id"], "reason": "request of the person"}
    assert api.post("/api/v1/erasures", json=body).status_code == 403
    answer = api.post("/api/v1/erasures", json=body, headers=admin)
    assert answer.status_code == 201, answer.text
    report = answer.json()
    assert (sorted(report["tracklet_ids"]), report["elsewhere"]["subjects"]) == (sorted(mine), 1)
    assert world.services.gallery.present([*mine, denied]) == {denied}
    assert api.get(f"/api/v1/subjects/{subject['id']}").status_code == 404
    assert api.post("/api/v1/erasures", json=body, headers=admin).status_code == 404
    empty = made(api, denied)["id"]
    api.delete(f"/api/v1/subjects/{empty}/tracklets/{denied}")
    nothing = api.post("/api/v1/erasures", json={**body, "subject_id": empty}, headers=admin)
    assert (nothing.status_code, nothing.json()["type"]) == (409, "urn:tapetum:problem:subject-empty")


def test_a_subject_is_erased_within_the_cameras_of_who_asks(world: World, api: TestClient, seen: Any) -> None:
    here, there = seen(117), seen(118, camera="yard")
    subject = made(api, here, there)
    narrow = bearer(world.token_of(Role.ADMIN, ["gate"]))
    body = {"subject_id": subject["id"], "reason": "x"}
    assert api.post("/api/v1/erasures", json=body, headers=narrow).json()["tracklet_ids"] == [here]
    left = api.get(f"/api/v1/subjects/{subject['id']}").json()
    assert [s["tracklet_id"] for s in left["sightings"]] == [there]
    assert api.post("/api/v1/erasures", json=body, headers=narrow).status_code == 404


def test_many_decide_at_once_and_nothing_is_lost(world: World, api: TestClient, seen: Any) -> None:
    tracklets = [seen(120 + n) for n in range(6)]
    subject = made(api, tracklets[0])["id"]
    threads = [threading.Thread(target=decide, args=(api, subject, one, "confirmed")) for one in tracklets[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert api.get(f"/api/v1/subjects/{subject}").json()["confirmed_count"] == 6


def test_two_merges_of_one_subject_leave_it_in_one_place(world: World, api: TestClient, seen: Any) -> None:
    store: SubjectStore = world.services.subjects
    a, b, c = (made(api, seen(130 + n)) for n in range(3))
    results: list[int] = []

    def merge(kept: str) -> None:
        body = {"revision": 1, "other_id": c["id"], "other_revision": 1}
        results.append(api.post(f"/api/v1/subjects/{kept}/merge", json=body).status_code)

    threads = [threading.Thread(target=merge, args=(one["id"],)) for one in (a, b)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [200, 409]
    assert store.get(c["id"]).id in (a["id"], b["id"])
    assert sorted(len(store.get(one["id"]).confirmed) for one in (a, b)) == [1, 2]


def test_what_was_done_is_recorded(world: World, api: TestClient, seen: Any) -> None:
    one = seen(140)
    made(api, one, name="Recorded")
    entry = next(e for e in world.services.audit.newest() if e["event"] == "subject.add")
    assert (entry["account"], entry["details"]["name"], entry["details"]["tracklets"]) == (
        "operator-all",
        "Recorded",
        [one],
    )
