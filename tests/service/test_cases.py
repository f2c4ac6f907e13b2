"""Cases: notes that stay, pins in everybody's own cameras, members, and what an erasure takes out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.api_world import PASSWORD, START, World, bearer, client_of, record_of, world_in

from pipeline.camera import CameraConfig
from service.cases import CaseFull, CaseStore, Note, Pin, PinKind
from service.security import Role

NOBODY = "01K9ZB3Q0V5W1T8R6J2N4M7XCD"
JSON = dict[str, Any]
CASES = "/api/v1/cases"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("cases")) as world:
        for camera in ("gate", "vault"):
            world.services.cameras.declare(CameraConfig(camera, camera.title(), "rtsp://192.168.1.20/x"))
        yield world


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[TestClient]:
    """Logged in as an operator of all cameras, `operator-all`."""
    with client_of(world) as client:
        client.headers.update(bearer(world.token_of(Role.OPERATOR)))
        yield client


@pytest.fixture
def seen(world: World) -> Any:
    """Makes a sighting and gives its id."""

    def make(number: int, camera: str = "gate") -> str:
        started = START + timedelta(minutes=number)
        record = record_of(world.services.media, "red", number=number, camera=camera, started_at=started)
        world.services.gallery.put(record)
        return record.id

    return make


def session_of(world: World, name: str, role: Role = Role.OPERATOR, cameras: list[str] | None = None) -> dict[str, str]:
    account = world.services.accounts.get(name) or world.services.accounts.add(name, PASSWORD, role, cameras)
    return bearer(world.services.sessions.open(account)[0])


def opened(api: TestClient, title: str = "Bicycles", members: tuple[str, ...] = (), **headers: str) -> JSON:
    answer = api.post(CASES, json={"title": title, "members": list(members)}, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    found: JSON = answer.json()
    return found


def pin(api: TestClient, case: str, *tracklets: str, headers: Any = None, **more: Any) -> Any:
    return api.post(f"{CASES}/{case}/pins", json={"tracklet_ids": list(tracklets), **more}, headers=headers)


def pinned(api: TestClient, case: str, headers: Any = None) -> list[str]:
    return [p["id"] for p in api.get(f"{CASES}/{case}/pins", headers=headers).json()["items"]]


def change(api: TestClient, case: JSON, headers: Any = None, **changes: Any) -> Any:
    revision = api.get(f"{CASES}/{case['id']}").json()["revision"]
    return api.patch(f"{CASES}/{case['id']}", json={"revision": revision, **changes}, headers=headers)


def problem(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


def events(world: World, name: str) -> list[JSON]:
    return [entry for line in world.services.audit.lines() if (entry := json.loads(line))["event"] == name]


def test_the_life_of_a_case(world: World, api: TestClient, seen: Any) -> None:
    case = opened(api, "Bicycles from the north entrance")
    path = f"{CASES}/{case['id']}"
    assert (case["owner"], case["members"], case["state"], case["revision"]) == ("operator-all", [], "open", 1)
    one = seen(1)
    assert pin(api, case["id"], one, note="carries bolt cutters").json() == {"added": 1}
    assert api.post(f"{path}/notes", json={"text": "Seen twice.\n\tBoth times alone."}).status_code == 201
    assert change(api, case, title="Bicycles, north").json()["title"] == "Bicycles, north"
    assert change(api, case, state="closed").json()["state"] == "closed"
    for answer in (
        pin(api, case["id"], seen(2)),
        api.post(f"{path}/notes", json={"text": "late"}),
        api.delete(f"{path}/pins/{one}"),
    ):
        assert problem(answer) == (409, "case-closed")
    found = api.get(path).json()
    assert (found["sighting_count"], found["subject_count"], found["revision"]) == (1, 0, 3)
    assert change(api, case, state="open").status_code == 200
    (shown,) = api.get(f"{path}/pins").json()["items"]
    assert (shown["id"], shown["kind"], shown["account"], shown["note"], shown["tracklet"]["id"]) == (
        one, "tracklet", "operator-all", "carries bolt cutters", one,
    )  # fmt: skip
    assert api.delete(f"{path}/pins/{one}").status_code == 204
    assert problem(api.delete(f"{path}/pins/{one}")) == (404, "pin-not-found")
    assert problem(api.delete(path, params={"revision": 1})) == (409, "case-changed")
    assert api.delete(path, params={"revision": 4}).status_code == 204
    assert problem(api.get(path)) == (404, "case-not-found")
    assert not list(world.services.redis.scan_iter(f"tapetum:case:{case['id']}*"))


def test_two_who_change_the_same_revision(api: TestClient) -> None:
    case = opened(api)
    first, second = (api.patch(f"{CASES}/{case['id']}", json={"revision": 1, "title": t}) for t in ("one", "other"))
    assert first.status_code == 200
    assert problem(second) == (409, "case-changed")
    assert api.get(f"{CASES}/{case['id']}").json()["title"] == "one"


def test_with_a_key_it_is_made_once(api: TestClient) -> None:
    key = {"Idempotency-Key": "lost-answer-7"}
    first, again = opened(api, "Once", **key), opened(api, "Once", **key)
    assert first == again
    other = api.post(CASES, json={"title": "Other"}, headers=key)
    assert problem(other) == (409, "idempotency-key-taken")
    notes = [api.post(f"{CASES}/{first['id']}/notes", json={"text": "once"}, headers=key) for _ in range(2)]
    assert [answer.status_code for answer in notes] == [201, 200]
    assert notes[0].json() == notes[1].json()
    assert len(api.get(f"{CASES}/{first['id']}/notes").json()["items"]) == 1


def test_who_left_learns_nothing_by_an_old_key(world: World, api: TestClient) -> None:
    """A case that was handed on is not there for who opened it, also when they ask for it once more."""
    session_of(world, "heir")
    key = {"Idempotency-Key": "handed-on-1"}
    case = opened(api, "Handed on", **key)
    assert change(api, case, owner="heir").status_code == 200
    asked = api.post(CASES, json={"title": "Handed on", "members": []}, headers=key)
    assert problem(asked) == (404, "case-not-found")


def test_pages_go_through_all_of_them_once(api: TestClient, seen: Any) -> None:
    for number in range(5):
        opened(api, f"Page {number}")
    case = opened(api)["id"]
    pin(api, case, *(seen(10 + n) for n in range(5)))
    for number in range(5):
        api.post(f"{CASES}/{case}/notes", json={"text": f"note {number}"})
    for path, newest_first in ((CASES, True), (f"{CASES}/{case}/pins", True), (f"{CASES}/{case}/notes", False)):
        found: list[str] = []
        cursor = None
        while True:
            page = api.get(path, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
            found += [one["id"] for one in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == sorted(set(found), reverse=newest_first)
        assert found == [one["id"] for one in api.get(path, params={"limit": 200}).json()["items"]]
        assert len(found) >= 5


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {"title": "x\u202egnp"}),
        ("", {"title": "a\x00b"}),
        ("", {"title": " "}),
        ("", {"title": "x" * 201}),
        ("", {"title": "x", "members": ["no-such-account"]}),
        ("", {"title": "x", "members": ["../x"]}),
        ("", {"title": "x", "owner": "somebody-else"}),
        ("/{case}/notes", {"text": ""}),
        ("/{case}/notes", {"text": "a\x00b"}),
        ("/{case}/notes", {"text": "a\u2066b"}),
        ("/{case}/notes", {"text": "x" * 10_001}),
        ("/{case}/pins", {}),
        ("/{case}/pins", {"tracklet_ids": ["../../etc/passwd"]}),
        ("/{case}/pins", {"tracklet_ids": [NOBODY] * 1001}),
        ("/{case}/pins", {"tracklet_ids": [NOBODY], "note": "two\nlines"}),
    ],
)
def test_what_makes_no_sense_is_refused(api: TestClient, path: str, body: JSON) -> None:
    case = opened(api)["id"]
    assert api.post(CASES + path.format(case=case), json=body).status_code == 422
    assert pinned(api, case) == []


def test_nulls_are_no_values(api: TestClient) -> None:
    assert change(api, opened(api), title=None).status_code == 422


def test_who_takes_part(world: World, api: TestClient, seen: Any) -> None:
    """Owner, member, others; and administrators of all cameras or of some."""
    headers = {
        "member": session_of(world, "mara"),
        "viewer": session_of(world, "victor", Role.VIEWER),
        "other": session_of(world, "otto"),
        "admin": bearer(world.token_of(Role.ADMIN)),
        "some": bearer(world.token_of(Role.ADMIN, ["gate"])),
    }
    case = opened(api, members=("mara", "victor"))
    path, one = f"{CASES}/{case['id']}", seen(20)

    def asked(who: str) -> list[int]:
        h = headers[who]
        return [
            api.get(path, headers=h).status_code,
            api.get(f"{path}/notes", headers=h).status_code,
            pin(api, case["id"], one, headers=h).status_code,
            api.post(f"{path}/notes", json={"text": "x"}, headers=h).status_code,
            change(api, case, h, title="y").status_code,
            change(api, case, h, members=["mara", "victor"]).status_code,
        ]

    assert {who: asked(who) for who in headers} == {
        "member": [200, 200, 200, 201, 200, 403],
        "viewer": [200, 200, 403, 403, 403, 403],
        "other": [404, 404, 404, 404, 404, 404],
        "admin": [200, 200, 200, 201, 200, 200],
        "some": [404, 404, 404, 404, 404, 404],
    }
    listed = {who: [c["id"] for c in api.get(CASES, headers=h).json()["items"]] for who, h in headers.items()}
    assert {who for who, ids in listed.items() if case["id"] in ids} == {"member", "viewer", "admin"}
    unseen, unknown = (api.get(f"{CASES}/{one}", headers=headers["other"]).json() for one in (case["id"], NOBODY))
    assert unseen | {"request_id": ""} == unknown | {"request_id": ""}
    # A case that is handed on: the old owner is out, unless they stay as a member.
    assert change(api, case, owner="otto", members=["mara"]).json()["owner"] == "otto"
    assert api.get(path).status_code == 404
    assert api.get(path, headers=headers["other"]).status_code == 200


def test_a_new_account_of_an_old_name_takes_part_in_nothing(world: World, api: TestClient) -> None:
    session_of(world, "gone")
    case = opened(api, members=("gone",))
    world.services.accounts.remove("gone")
    assert api.get(f"{CASES}/{case['id']}", headers=session_of(world, "gone")).status_code == 404


def test_everybody_sees_the_pins_of_their_cameras(world: World, api: TestClient, seen: Any) -> None:
    gate_only = session_of(world, "gatekeeper", cameras=["gate"])
    case = opened(api, members=("gatekeeper",))
    path, mine, theirs = f"{CASES}/{case['id']}", seen(30, "gate"), seen(31, "vault")
    both = api.post("/api/v1/subjects", json={"tracklet_ids": [seen(32, "gate"), seen(33, "vault")]}).json()
    hidden = api.post("/api/v1/subjects", json={"tracklet_ids": [seen(34, "vault")]}).json()
    assert pin(api, case["id"], mine, theirs, subject_ids=[both["id"], hidden["id"]]).json() == {"added": 4}
    assert set(pinned(api, case["id"])) == {mine, theirs, both["id"], hidden["id"]}
    assert set(pinned(api, case["id"], gate_only)) == {mine, both["id"]}
    found = api.get(path, headers=gate_only).json()
    assert (found["sighting_count"], found["subject_count"]) == (1, 1)
    (subject,) = [p["subject"] for p in api.get(f"{path}/pins", headers=gate_only).json()["items"] if p["subject"]]
    assert subject["confirmed_count"] == 1
    for hidden_id in (theirs, hidden["id"], NOBODY):
        assert problem(api.delete(f"{path}/pins/{hidden_id}", headers=gate_only)) == (404, "pin-not-found")
    answers = [pin(api, case["id"], one, headers=gate_only) for one in (theirs, NOBODY)]
    assert [problem(answer) for answer in answers] == [(404, "tracklet-not-found")] * 2
    refused = pin(api, case["id"], subject_ids=[hidden["id"]], headers=gate_only)
    assert problem(refused) == (404, "subject-not-found")
    assert "vault" not in api.get(f"{path}/pins", headers=gate_only).text.lower()


def test_readers_read_and_do_nothing_else(world: World, api: TestClient, seen: Any) -> None:
    reader, owner = session_of(world, "rita"), session_of(world, "olga")
    case = api.post(CASES, json={"title": "Read", "members": ["olga"], "readers": ["rita", "olga"]}).json()
    assert (case["members"], case["readers"]) == (["olga"], ["rita"]), "everybody as what lets them do most"
    path = f"{CASES}/{case['id']}"
    assert pin(api, case["id"], seen(90)).status_code == 200
    for part in ("", "/notes", "/pins", "/exports"):
        assert api.get(path + part, headers=reader).status_code == 200
    assert case["id"] in [one["id"] for one in api.get(CASES, headers=reader).json()["items"]]
    refused = [
        change(api, case, reader, title="x"),
        change(api, case, reader, members=["rita"]),
        api.post(f"{path}/notes", json={"text": "x"}, headers=reader),
        pin(api, case["id"], seen(91), headers=reader),
        api.delete(f"{path}/pins/{seen(90)}", headers=reader),
        api.post(f"{path}/exports", json={"reason": "x"}, headers=reader),
        api.delete(f"{path}?revision=1", headers=reader),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)
    assert change(api, case, owner, readers=[]).status_code == 403, "who takes part is the owner's matter"
    promoted = change(api, case, members=["rita"]).json()
    assert (promoted["members"], promoted["readers"]) == (["rita"], [])
    assert api.post(f"{path}/notes", json={"text": "x"}, headers=reader).status_code == 201
    handed = change(api, case, owner="rita", members=["operator-all"], readers=["rita"]).json()
    assert (handed["owner"], handed["members"], handed["readers"]) == ("rita", ["operator-all"], [])
    assert change(api, case, reader, readers=["olga"]).json()["readers"] == ["olga"]
    assert change(api, case, reader, members=[], readers=[]).json()["members"] == []
    assert api.get(path).status_code == 404


def test_all_pins_or_none(api: TestClient, seen: Any) -> None:
    case = opened(api)["id"]
    assert problem(pin(api, case, seen(40), NOBODY)) == (404, "tracklet-not-found")
    assert pinned(api, case) == []


def test_two_subjects_that_became_one_are_one_pin(api: TestClient, seen: Any) -> None:
    kept, other = (api.post("/api/v1/subjects", json={"tracklet_ids": [seen(50 + n)]}).json() for n in range(2))
    case = opened(api)["id"]
    pin(api, case, subject_ids=[kept["id"], other["id"]])
    body = {"revision": 1, "other_id": other["id"], "other_revision": 1}
    assert api.post(f"/api/v1/subjects/{kept['id']}/merge", json=body).status_code == 200
    (shown,) = api.get(f"{CASES}/{case}/pins").json()["items"]
    assert shown["subject"]["confirmed_count"] == 2
    assert api.delete(f"{CASES}/{case}/pins/{shown['id']}").status_code == 204
    assert pinned(api, case) == []


def test_many_pin_at_once_and_nothing_is_lost(world: World, api: TestClient, seen: Any) -> None:
    case = opened(api)["id"]
    tracklets = [seen(60 + n) for n in range(6)]
    added: list[int] = []

    def put(mine: list[str]) -> None:
        added.append(pin(api, case, *mine).json()["added"])

    threads = [threading.Thread(target=put, args=(tracklets[n : n + 3],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(added) == 6, "each is new once"
    assert set(pinned(api, case)) == set(tracklets)


def test_a_case_holds_so_much(world: World, api: TestClient, seen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    case, store = opened(api)["id"], world.services.cases
    monkeypatch.setattr("service.cases.store.MAX_PINS", 2)
    assert pin(api, case, seen(70), seen(71)).status_code == 200
    assert problem(pin(api, case, seen(72))) == (409, "too-many")
    assert pin(api, case, *pinned(api, case)).json() == {"added": 0}
    monkeypatch.setattr("service.cases.store.MAX_NOTES", 0)
    with pytest.raises(CaseFull):
        store.add_note(case, Note(NOBODY, "x", START, "x"))


def test_what_is_erased_is_in_no_case(world: World, api: TestClient, seen: Any) -> None:
    one, other, closed = seen(80), seen(81), opened(api)
    case = opened(api)["id"]
    for where in (case, closed["id"]):
        pin(api, where, one, other, note="a word about somebody")
    change(api, closed, state="closed")
    admin = bearer(world.token_of(Role.ADMIN))
    api.put(f"/api/v1/tracklets/{other}/hold", json={"reason": "court order"}, headers=admin)
    body = {"tracklet_ids": [one, other], "reason": "asked"}
    assert problem(api.post("/api/v1/erasures", json=body, headers=admin)) == (409, "under-hold")
    assert set(pinned(api, case)) == {one, other}, "a refused erasure takes nothing out"
    report = api.post("/api/v1/erasures", json={**body, "tracklet_ids": [one]}, headers=admin).json()
    assert report["elsewhere"]["cases"] == 2
    assert world.services.cases.holds([one]) == 0
    assert pinned(api, case) == pinned(api, closed["id"]) == [other]
    assert problem(pin(api, case, one)) == (404, "tracklet-not-found")


def test_an_erasure_is_not_overtaken_by_a_pin(world: World, api: TestClient, seen: Any) -> None:
    """What was read before the record went cannot be pinned after it."""
    one, case = seen(90), opened(api)["id"]
    store: CaseStore = world.services.cases
    world.services.eraser.erase([one], account="x", reason="x")
    with pytest.raises(KeyError):
        store.pin(case, [Pin(PinKind.TRACKLET, one, "gate", "operator-all", START)])
    assert store.holds([one]) == 0


def test_those_that_cannot_be_read_hide_no_others(world: World, api: TestClient) -> None:
    case, redis = opened(api)["id"], world.services.redis
    broken = [f"7ZZZZZZZZZZZZZZZZZZZZZZ{number:03}" for number in range(150)]
    redis.hset("tapetum:cases", mapping=dict.fromkeys(broken, b'{"id": 1}'))
    redis.zadd("tapetum:cases:order", dict.fromkeys(broken, 0))
    assert case in [c["id"] for c in api.get(CASES, params={"limit": 200}).json()["items"]]
    redis.hdel("tapetum:cases", *broken)
    redis.zrem("tapetum:cases:order", *broken)


def test_what_is_done_is_recorded_and_what_is_written_is_not(world: World, api: TestClient, seen: Any) -> None:
    case, one = opened(api, "Recorded"), seen(100)
    pin(api, case["id"], one, note="whispered pin")
    note = api.post(f"{CASES}/{case['id']}/notes", json={"text": "whispered words"}).json()
    change(api, case, members=["operator-all"])
    api.delete(f"{CASES}/{case['id']}/pins/{one}")
    for event, told in (
        ("case.add", {"title": "Recorded"}),
        ("case.pin", {"tracklets": [one]}),
        ("case.note", {"note": note["id"]}),
        ("case.change", {"members": ["operator-all"]}),
        ("case.unpin", {"pin": one}),
    ):
        (entry,) = [e for e in events(world, event) if e["details"].get("case") == case["id"]]
        assert entry["account"] == "operator-all"
        assert told.items() <= entry["details"].items()
    assert not [line for line in world.services.audit.lines() if b"whispered" in line]
