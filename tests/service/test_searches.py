"""Searches that are kept, over the API of a running application with a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.api_world import (
    CALIBRATION,
    COLOURS,
    PASSWORD,
    START,
    World,
    bearer,
    client_of,
    encoded,
    foreseeable_loaders,
    record_of,
    scene,
    world_in,
)
from support.cameras import wait_for
from ulid import ULID

from models.types import Modality
from service.gallery import TrackletRecord
from service.search_store import MAX_SEARCHES
from service.security import Role

JSON = dict[str, Any]
SEARCHES = "/api/v1/searches"
NOBODY = "01K9ZB3Q0V5W1T8R6J2N4M7XCD"
CAMERAS = ("gate", "hall", "yard")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders = foreseeable_loaders(calibration=CALIBRATION)
    with world_in(tmp_path_factory.mktemp("searches"), loaders=loaders) as world:
        yield world


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        yield client


@pytest.fixture
def api(world: World, running: TestClient) -> TestClient:
    running.cookies.clear()
    running.headers.update(bearer(world.token_of(Role.OPERATOR)))
    return running


@pytest.fixture(scope="module")
def patterns(world: World) -> list[TrackletRecord]:
    """Four colours on three cameras, day and night, a minute after each other."""
    made = []
    for number in range(24):
        light = Modality.INFRARED if number // 4 % 2 else Modality.VISIBLE
        colour = list(COLOURS)[number % 4]
        made.append(record_of(world.services.media, colour, number=number, camera=CAMERAS[number // 8], modality=light))
    return made


@pytest.fixture
def records(world: World, running: TestClient, patterns: list[TrackletRecord]) -> Iterator[list[TrackletRecord]]:
    """They under new ids, gone again after the test: what was erased does not come back."""
    made = [replace(pattern, id=str(ULID.from_datetime(pattern.started_at))) for pattern in patterns]
    _index(world, made)
    yield made
    gallery = world.services.gallery
    gallery.delete([record.id for record in gallery.list(limit=1000).records])
    index = world.services.index
    wait_for(lambda: index is not None and len(index) == 0, 10, "the index to be empty")


def _index(world: World, records: list[TrackletRecord]) -> None:
    world.services.gallery.put_many(records)
    position = world.services.redis.xinfo_stream("tapetum:changes")["last-generated-id"].decode()
    follower = world.services.follower
    assert follower is not None
    wait_for(lambda: follower.stats().position == position, 10, "the index")


def _make(api: TestClient, example: TrackletRecord | None = None, status: int = 201, **body: Any) -> JSON:
    examples = [{"tracklet_id": example.id}] if example is not None else []
    answer = api.post(SEARCHES, json={"examples": examples, **body}, params={"limit": 200})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def _get(api: TestClient, search_id: str, **params: Any) -> JSON:
    answer = api.get(f"{SEARCHES}/{search_id}", params={"limit": 200, **params})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def _judge(api: TestClient, search_id: str, tracklet_id: str, verdict: str | None, status: int = 200) -> JSON:
    path = f"{SEARCHES}/{search_id}/feedback/{tracklet_id}"
    params = {"limit": 200}
    answer = api.put(path, json={"verdict": verdict}, params=params) if verdict else api.delete(path, params=params)
    assert answer.status_code == status, answer.text
    return dict(answer.json())


def _ids(answer: JSON) -> list[str]:
    return [match["tracklet"]["id"] for match in answer["matches"]]


# -- the same answer -------------------------------------------------------------------------------


def test_a_search_is_answered_like_a_single_one_and_stays(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    made = _make(api, records[0], reason="a test")
    once = api.post("/api/v1/search", json={"examples": [{"tracklet_id": records[0].id}], "k": 200}).json()
    assert made["matches"] == once["matches"]
    assert (made["total"], made["revision"], made["gallery_changed"]) == (23, 1, False)
    assert made["matches"][0].keys() >= {"cosine", "probability", "band", "modality_pair", "rank"}
    assert _get(api, made["id"]) == made
    assert [one["id"] for one in api.get(SEARCHES).json()["items"]][:1] == [made["id"]]


def test_pages_stay_while_the_gallery_grows_and_it_is_said(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    made = _make(api, records[0], filters={"cameras": ["gate", "hall"]})
    seen, cursor, number = [], None, 100
    while True:
        page = _get(api, made["id"], limit=4, **({"cursor": cursor} if cursor else {}))
        seen += [(match["rank"], match["tracklet"]["id"]) for match in page["matches"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        _index(world, [record_of(world.services.media, "red", number=number, camera=c) for c in ("gate", "yard")])
        number += 1
    assert seen == list(enumerate(_ids(made), start=1))
    came = number - 100
    assert (page["gallery_changed"], page["new_sightings"], page["changes_exact"]) == (True, came, True)
    fresh = api.post(f"{SEARCHES}/{made['id']}/refresh", params={"limit": 200}).json()
    assert (fresh["total"], fresh["revision"], fresh["gallery_changed"]) == (made["total"] + came, 2, False)


def test_what_the_search_is_not_about_is_no_change(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    until = (START + timedelta(hours=1)).isoformat()
    made = _make(api, records[0], filters={"cameras": ["gate"], "modality": "visible", "until": until})
    media = world.services.media
    _index(
        world,
        [
            record_of(media, "red", number=30, camera="hall"),
            record_of(media, "red", number=31, modality=Modality.INFRARED),
            record_of(media, "red", number=90),
        ],
    )
    assert not _get(api, made["id"])["gallery_changed"]
    _index(world, [record_of(media, "red", number=32)])
    assert _get(api, made["id"])["new_sightings"] == 1


def test_a_cursor_ends_with_its_answer(api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0])
    cursor = _get(api, made["id"], limit=3)["next_cursor"]
    api.post(f"{SEARCHES}/{made['id']}/refresh")
    answer = api.get(f"{SEARCHES}/{made['id']}", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:tapetum:problem:answer-changed")


def test_what_is_erased_vanishes_and_pages_go_on(world: World, api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0])
    page = _get(api, made["id"], limit=3)
    gone = _ids(page)[2]  # the one that the cursor names
    _judge(api, made["id"], _ids(made)[5], "unsure")
    page = _get(api, made["id"], limit=3)
    admin = bearer(world.token_of(Role.ADMIN))
    erased = api.post("/api/v1/erasures", json={"tracklet_ids": [gone], "reason": "x"}, headers=admin)
    assert erased.status_code == 201
    assert erased.json()["elsewhere"]["searches"] >= 1
    assert world.services.searches.store.holds([gone]) == 0
    left = [one for one in _ids(made) if one != gone]
    rest = _get(api, made["id"], cursor=page["next_cursor"])
    assert _ids(rest) == left[2:]
    assert rest["matches"][0]["rank"] == 3
    whole = _get(api, made["id"])
    assert (_ids(whole), whole["total"], whole["vanished"], whole["gallery_changed"]) == (left, 22, 1, True)
    assert gone not in json.dumps(whole)
    _judge(api, made["id"], gone, "confirm", status=404)


@pytest.mark.parametrize("judging", [False, True])
def test_an_erasure_just_before_a_search_is_written_reaches_it(
    world: World, api: TestClient, records: list[TrackletRecord], judging: bool
) -> None:
    store, gone = world.services.searches.store, records[4].id
    made = _make(api, records[0]) if judging else None
    write = store.write

    def after_an_erasure(*args: Any) -> bool | None:
        store.write = write  # type: ignore[method-assign]
        world.services.gallery.delete([gone])
        assert store.erase([gone]) == int(judging)
        return write(*args)

    store.write = after_an_erasure  # type: ignore[method-assign]
    answer = _judge(api, made["id"], records[8].id, "confirm") if made is not None else _make(api, records[0])
    assert store.holds([gone]) == 0
    assert len(_ids(answer)) == (21 if judging else 22)


def test_without_its_examples_a_search_can_be_read_but_not_asked_again(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    made = _make(api, records[0])
    world.services.gallery.delete([records[0].id])
    left = _get(api, made["id"])
    assert (_ids(left), left["examples"], left["examples_gone"]) == (_ids(made), [], 1)
    refused = api.post(f"{SEARCHES}/{made['id']}/refresh")
    assert (refused.status_code, refused.json()["type"]) == (404, "urn:tapetum:problem:example-not-found")
    again = _judge(api, made["id"], _ids(made)[0], "confirm")  # what is confirmed carries it on
    assert again["revision"] == 2


def test_an_answers_records_are_read_once(
    world: World, api: TestClient, records: list[TrackletRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    gallery = world.services.gallery
    ask = gallery.get_many
    monkeypatch.setattr(gallery, "get_many", lambda ids: (read.extend(ids), ask(ids))[1])
    made = _make(api, records[0])
    answered = [match["tracklet"]["id"] for match in made["matches"]]
    assert len(answered) == 23
    assert sorted(read.count(one) for one in answered) == [1] * 23
    read.clear()
    judged = _judge(api, made["id"], answered[0], "confirm")
    left = [match["tracklet"]["id"] for match in judged["matches"]]
    assert [read.count(one) for one in left] == [1] * 22
    read.clear()
    assert [match["tracklet"]["id"] for match in _get(api, made["id"])["matches"]] == left
    assert [read.count(one) for one in left] == [1] * 22  # later they are read anew


# -- whose -----------------------------------------------------------------------------------------


def test_another_accounts_search_is_not_there(world: World, api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0])
    tracklet = _ids(made)[0]
    path, unknown = f"{SEARCHES}/{made['id']}", f"{SEARCHES}/{NOBODY}"
    for role in (Role.ADMIN, Role.VIEWER):
        headers = bearer(world.token_of(role))
        for method, suffix, body in (
            ("GET", "", None),
            ("GET", "/groups", None),
            ("POST", "/refresh", None),
            ("PUT", f"/feedback/{tracklet}", {"verdict": "confirm"}),
            ("DELETE", f"/feedback/{tracklet}", None),
            ("DELETE", "", None),
        ):
            answers = [api.request(method, one + suffix, headers=headers, json=body) for one in (path, unknown)]
            assert [a.status_code for a in answers] == [404, 404]
            assert answers[0].json()["detail"] == answers[1].json()["detail"]
        assert api.get(SEARCHES, headers=headers).json()["items"] == []
    assert _get(api, made["id"]) == made


def test_a_new_account_of_an_old_name_inherits_nothing(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    accounts, sessions = world.services.accounts, world.services.sessions
    first = bearer(sessions.open(accounts.add("kim", PASSWORD, Role.VIEWER))[0])
    body = {"examples": [{"tracklet_id": records[0].id}]}
    keyed = {**first, "Idempotency-Key": "the-key-of-kim"}
    made = api.post(SEARCHES, json=body, headers=keyed).json()["id"]
    accounts.remove("kim")
    second = bearer(sessions.open(accounts.add("kim", PASSWORD, Role.VIEWER))[0])
    assert api.get(f"{SEARCHES}/{made}", headers=second).status_code == 404
    assert api.get(SEARCHES, headers=second).json()["items"] == []
    assert api.post(SEARCHES, json=body, headers={**second, "Idempotency-Key": "the-key-of-kim"}).status_code == 409
    accounts.remove("kim")


def test_a_search_is_named_and_goes_on_as_it_is(world: World, api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0])
    path = f"/api/v1/searches/{made['id']}"
    assert made["name"] is None
    named = api.patch(path, json={"name": "Red jacket"}).json()
    assert (named["name"], named["revision"], named["expires_at"]) == ("Red jacket", 1, made["expires_at"])
    _judge(api, made["id"], records[1].id, "unsure")
    assert _get(api, made["id"])["name"] == "Red jacket", "an answer that is made anew keeps it"
    assert api.get("/api/v1/searches").json()["items"][0]["name"] == "Red jacket"
    other = bearer(world.token_of(Role.VIEWER, ["gate"]))
    assert api.patch(path, json={"name": "x"}, headers=other).status_code == 404
    for wrong in ("", "x\u202egnp", "x" * 121):
        assert api.patch(path, json={"name": wrong}).status_code == 422
    assert api.patch(path, json={"name": None}).json()["name"] is None
    api.patch(path, json={"name": "Somebody's name"})
    _judge(api, made["id"], records[1].id, "confirm")
    world.services.eraser.erase([records[1].id], account="x", reason="x")
    assert _get(api, made["id"])["name"] is None, "a name may be that of who was erased"
    api.patch(path, json={"name": "Somebody's name"})
    world.services.eraser.erase([records[2].id], account="x", reason="x")
    assert _get(api, made["id"])["name"] == "Somebody's name", "a match says nothing of whom the question is about"
    world.services.eraser.erase([records[0].id], account="x", reason="x")
    assert _get(api, made["id"])["name"] is None


def test_a_narrower_scope_narrows_what_an_old_search_shows(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    accounts, sessions = world.services.accounts, world.services.sessions
    wide = bearer(sessions.open(accounts.add("mo", PASSWORD, Role.VIEWER))[0])
    body = {"examples": [{"tracklet_id": records[8].id}]}
    made = api.post(SEARCHES, json=body, headers=wide, params={"limit": 200}).json()
    path = f"{SEARCHES}/{made['id']}"
    hidden = [m["tracklet"]["id"] for m in made["matches"] if m["tracklet"]["camera_id"] != "gate"]
    api.put(f"{path}/feedback/{hidden[0]}", json={"verdict": "unsure"}, headers=wide)
    accounts.set("mo", cameras=["gate"])
    account = accounts.get("mo")
    assert account is not None
    narrow = bearer(sessions.open(account)[0])
    shown = api.get(path, headers=narrow, params={"limit": 3}).json()
    assert {m["tracklet"]["camera_id"] for m in shown["matches"]} == {"gate"}
    assert [m["rank"] for m in shown["matches"]] == [1, 2, 3]
    assert (shown["total"], shown["feedback"], shown["examples"], shown["vanished"]) == (8, [], [], 0)
    rest = api.get(path, headers=narrow, params={"limit": 200, "cursor": shown["next_cursor"]}).json()
    assert [m["rank"] for m in rest["matches"]] == [4, 5, 6, 7, 8]
    groups = api.get(f"{path}/groups", headers=narrow).json()
    assert [(g["camera_id"], g["count"]) for g in groups["groups"]] == [("gate", 8)]
    assert not [one for one in (*hidden, records[8].id) if one in json.dumps([shown, rest, groups])]
    _index(world, [record_of(world.services.media, "red", number=40, camera="hall")])
    assert not api.get(path, headers=narrow).json()["gallery_changed"]
    judged = api.put(f"{path}/feedback/{hidden[1]}", json={"verdict": "confirm"}, headers=narrow)
    never = api.put(f"{path}/feedback/{NOBODY}", json={"verdict": "confirm"}, headers=narrow)
    assert (judged.status_code, never.status_code) == (404, 404)
    assert judged.json()["detail"].replace(hidden[1], "?") == never.json()["detail"].replace(NOBODY, "?")
    assert api.post(f"{path}/refresh", headers=narrow).status_code == 404  # its example is out of sight
    accounts.remove("mo")


def test_a_wider_scope_is_not_answered_for_silently(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    accounts, sessions = world.services.accounts, world.services.sessions
    narrow = bearer(sessions.open(accounts.add("lu", PASSWORD, Role.VIEWER, ["gate"]))[0])
    body = {"examples": [{"tracklet_id": records[0].id}]}
    path = f"{SEARCHES}/{api.post(SEARCHES, json=body, headers=narrow).json()['id']}"
    accounts.set("lu", every_camera=True)
    account = accounts.get("lu")
    assert account is not None
    wide = bearer(sessions.open(account)[0])
    shown = api.get(path, headers=wide).json()
    assert (shown["total"], shown["scope_widened"], shown["gallery_changed"]) == (7, True, True)
    fresh = api.post(f"{path}/refresh", headers=wide).json()
    assert (fresh["total"], fresh["scope_widened"], fresh["gallery_changed"]) == (23, False, False)
    accounts.remove("lu")


def test_a_photos_persons_stay_searchable_with_the_search(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    files = {"photo": ("x.png", encoded(scene(["red"]), ".png"), "image/png")}
    photo = api.post("/api/v1/photos", files=files).json()["id"]
    made = _make(api, examples=[{"photo_id": photo, "person": 0}])
    world.services.redis.delete(f"tapetum:photo:{photo}")
    fresh = api.post(f"{SEARCHES}/{made['id']}/refresh", params={"limit": 200}).json()
    assert (_ids(fresh), fresh["revision"]) == (_ids(made), 2)
    assert _make(api, examples=[{"photo_id": photo, "person": 0}], status=404)["type"].endswith("example-not-found")


def test_erasing_who_was_confirmed_takes_the_photo_with_it(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    files = {"photo": ("x.png", encoded(scene(["red"]), ".png"), "image/png")}
    asked = {"examples": [{"photo_id": api.post("/api/v1/photos", files=files).json()["id"], "person": 0}]}
    one, other = _make(api, **asked), _make(api, **asked)
    lost, doubted = _ids(one)[:2]
    _judge(api, one["id"], lost, "confirm")
    _judge(api, other["id"], doubted, "unsure")
    body = {"tracklet_ids": [lost, doubted], "reason": "x"}
    erased = api.post("/api/v1/erasures", json=body, headers=bearer(world.token_of(Role.ADMIN)))
    assert erased.status_code == 201
    store = world.services.searches.store
    assert [len(found.photos) for found in map(store.get, (one["id"], other["id"])) if found is not None] == [0, 1]
    assert _get(api, one["id"])["total"] == len(records) - 2  # the answer stays, without the erased
    assert api.post(f"{SEARCHES}/{one['id']}/refresh").status_code == 404  # there is nothing to ask with
    assert api.post(f"{SEARCHES}/{other['id']}/refresh").status_code == 200


# -- feedback --------------------------------------------------------------------------------------


def test_the_confirmed_join_the_examples(world: World, api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0])
    night = next(m["tracklet"]["id"] for m in made["matches"] if m["modality_pair"] == "VI")
    judged = _judge(api, made["id"], night, "confirm")
    assert night not in _ids(judged)
    both = {"examples": [{"tracklet_id": records[0].id}, {"tracklet_id": night}], "k": 200}
    together = api.post("/api/v1/search", json=both).json()
    assert judged["matches"] == together["matches"]
    assert {m["modality_pair"] for m in judged["matches"]} >= {"II", "VV"}
    (feedback,) = judged["feedback"]
    assert (feedback["verdict"], feedback["account"], feedback["token"]) == ("confirm", "operator-all", None)
    assert feedback["tracklet"]["id"] == night
    assert _ids(_get(api, made["id"])) == _ids(judged)


def test_the_rejected_go_with_the_rest_of_their_track(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    media = world.services.media
    at = START + timedelta(hours=2)
    piece, rest, later, elsewhere = (
        record_of(media, "red", number=77, started_at=at),
        record_of(media, "red", number=77, started_at=at + timedelta(minutes=5)),
        record_of(media, "red", number=77, started_at=at + timedelta(hours=5)),
        record_of(media, "red", number=77, started_at=at, camera="hall"),
    )
    _index(world, [piece, rest, later, elsewhere])
    made = _make(api, records[0])
    judged = _judge(api, made["id"], piece.id, "reject")
    assert _ids(judged) == [one for one in _ids(made) if one not in (piece.id, rest.id)]
    assert {later.id, elsewhere.id} <= set(_ids(judged))
    assert [m["rank"] for m in judged["matches"]] == list(range(1, len(judged["matches"]) + 1))


def test_unsure_moves_nothing(api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0])
    judged = _judge(api, made["id"], _ids(made)[3], "unsure")
    assert judged["matches"] == made["matches"]
    assert [f["verdict"] for f in judged["feedback"]] == ["unsure"]


def test_taking_it_back_gives_the_answer_without_it(api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0])
    first, second = _ids(made)[0], _ids(made)[9]
    one = _judge(api, made["id"], second, "reject")
    _judge(api, made["id"], first, "confirm")
    back = _judge(api, made["id"], first, None)
    assert (back["matches"], [f["verdict"] for f in back["feedback"]]) == (one["matches"], ["reject"])
    changed = _judge(api, made["id"], second, "unsure")  # another verdict in the place of the first
    assert changed["matches"] == made["matches"]
    assert _judge(api, made["id"], second, None)["feedback"] == []


def test_the_same_verdict_again_changes_nothing(world: World, api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0])
    one = _judge(api, made["id"], _ids(made)[0], "reject")
    assert _judge(api, made["id"], _ids(made)[0], "reject") == one
    back = _judge(api, made["id"], _ids(made)[0], None)
    assert _judge(api, made["id"], _ids(made)[0], None) == back
    feedback = [e for e in world.services.audit.newest() if e["event"] == "search.feedback"]
    told = [(e["details"]["verdict"], e["account"]) for e in feedback if e["details"]["search"] == made["id"]]
    assert told == [("undo", "operator-all"), ("reject", "operator-all")]


def test_of_verdicts_at_once_none_is_lost(world: World, api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0])
    searches, store = world.services.searches, world.services.searches.store
    write = store.write

    def while_another_judges(*args: Any) -> bool | None:
        searches.store.write = write  # type: ignore[method-assign]
        _judge(api, made["id"], _ids(made)[1], "reject")
        return write(*args)

    store.write = while_another_judges  # type: ignore[method-assign]
    judged = _judge(api, made["id"], _ids(made)[0], "confirm")
    assert {f["tracklet"]["id"]: f["verdict"] for f in judged["feedback"]} == {
        _ids(made)[0]: "confirm",
        _ids(made)[1]: "reject",
    }
    assert judged["revision"] == 3
    assert not {_ids(made)[0], _ids(made)[1]} & set(_ids(judged))


def test_feedback_has_a_bound(api: TestClient, records: list[TrackletRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.searches.MAX_VERDICTS", 2)
    made = _make(api, records[0])
    for one in _ids(made)[:2]:
        _judge(api, made["id"], one, "unsure")
    assert _judge(api, made["id"], _ids(made)[2], "unsure", status=409)["type"].endswith("too-much-feedback")
    _judge(api, made["id"], _ids(made)[0], "reject")  # changing one is no more


# -- filters, groups, order ------------------------------------------------------------------------


@pytest.mark.parametrize(("band", "least"), [("strong", 0.8), ("possible", 0.4), ("weak", 0.0)])
def test_a_least_band(api: TestClient, records: list[TrackletRecord], band: str, least: float) -> None:
    everything = _make(api, records[0])["matches"]
    found = _make(api, records[0], filters={"min_band": band})
    assert found["matches"] == [m for m in everything if m["probability"] >= least]
    assert found["filters"]["min_probability"] == least
    both = _make(api, records[0], filters={"min_band": band, "min_probability": 0.9})["matches"]
    assert both == [m for m in everything if m["probability"] >= 0.9]


def test_the_examples_own_camera_is_left_out(world: World, api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0], filters={"exclude_example_cameras": True})
    assert {m["tracklet"]["camera_id"] for m in made["matches"]} == {"hall", "yard"}
    judged = _judge(api, made["id"], _ids(made)[0], "confirm")  # which takes no further camera away
    assert {m["tracklet"]["camera_id"] for m in judged["matches"]} == {"hall", "yard"}
    _index(world, [record_of(world.services.media, "red", number=50, camera="gate")])
    assert not _get(api, made["id"])["gallery_changed"]


def test_groups_by_camera_count_every_match(api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0])
    found = api.get(f"{SEARCHES}/{made['id']}/groups").json()
    assert found["total"] == made["total"]
    assert {g["camera_id"]: g["count"] for g in found["groups"]} == {"gate": 7, "hall": 8, "yard": 8}
    assert [g["best"]["rank"] for g in found["groups"]] == sorted(g["best"]["rank"] for g in found["groups"])
    for group in found["groups"]:
        own = [m["tracklet"]["id"] for m in made["matches"] if m["tracklet"]["camera_id"] == group["camera_id"]]
        assert (group["tracklet_ids"], group["best"]["tracklet"]["id"]) == (own, own[0])


@pytest.mark.parametrize(("gap", "counts"), [(2, [23]), (0.5, [1] * 23), (0, [1] * 23)])
def test_groups_by_time_end_at_a_gap(
    api: TestClient, records: list[TrackletRecord], gap: float, counts: list[int]
) -> None:
    made = _make(api, records[0])  # a sighting of 4 s every minute
    found = api.get(f"{SEARCHES}/{made['id']}/groups", params={"by": "time", "gap_minutes": gap}).json()
    assert [g["count"] for g in found["groups"]] == counts
    begins = [g["since"] for g in found["groups"]]
    assert begins == sorted(begins, reverse=True)


def test_by_neighbours_only_the_order_changes(api: TestClient, records: list[TrackletRecord]) -> None:
    plain, other = _make(api, records[0]), _make(api, records[0], rerank=True)
    assert other["rerank"] is True
    figures = [
        {m["tracklet"]["id"]: (m["cosine"], m["probability"], m["band"], m["modality_pair"]) for m in one["matches"]}
        for one in (plain, other)
    ]
    assert figures[0] == figures[1]


# -- hostile and repeated requests -----------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"k": -1},
        {"k": 0},
        {"k": 10**9},
        {"k": 1001},
        {"k": "many"},
        {"examples": []},
        {"examples": [{"tracklet_id": NOBODY}] * 21},
        {"examples": [{"tracklet_id": "٠١K9ZB3Q0V5W1T8R6J2N4M7XCD"}]},
        {"examples": [{"tracklet_id": "../../etc/passwd"}]},
        {"examples": [{"tracklet_id": NOBODY, "photo_id": "x" * 20}]},
        {"examples": [{}]},
        {"filters": {"since": "2026-03-02T00:00:00Z", "until": "2026-03-01T00:00:00Z"}},
        {"filters": {"since": "2026-03-02T00:00:00"}},
        {"filters": {"since": "99999-03-02T00:00:00Z"}},
        {"filters": {"cameras": []}},
        {"filters": {"cameras": ["ga*te"]}},
        {"filters": {"cameras": ["gåte"]}},
        {"filters": {"min_probability": 1.5}},
        {"filters": {"min_band": "certain"}},
        {"filters": {"modality": "thermal"}},
        {"reason": "x\u202ey"},
        {"unknown": 1},
    ],
)
def test_questions_that_make_no_sense(api: TestClient, records: list[TrackletRecord], change: JSON) -> None:
    answer = api.post(SEARCHES, json={"examples": [{"tracklet_id": records[0].id}], **change})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"]


def test_a_number_that_is_none(api: TestClient, records: list[TrackletRecord]) -> None:
    body = json.dumps({"examples": [{"tracklet_id": records[0].id}], "filters": {"min_probability": float("nan")}})
    assert "NaN" in body
    answer = api.post(SEARCHES, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    "window",
    [
        {"since": "1926-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"since": "0001-01-01T00:00:00+14:00", "until": "0001-01-02T00:00:00Z"},
        {"cameras": ["no-such-camera"]},
    ],
)
def test_a_window_without_sightings_is_an_empty_answer(
    api: TestClient, records: list[TrackletRecord], window: JSON
) -> None:
    made = _make(api, records[0], filters=window)
    assert (made["matches"], made["total"], made["gallery_changed"]) == ([], 0, False)
    assert "does not mean" in made["note"]
    assert api.get(f"{SEARCHES}/{made['id']}/groups").json()["groups"] == []


def test_a_window_of_centuries_is_the_whole_gallery(api: TestClient, records: list[TrackletRecord]) -> None:
    window = {"since": "0001-01-01T00:00:00Z", "until": "9999-12-31T23:59:59Z"}
    assert _make(api, records[0], filters=window)["total"] == 23


@pytest.mark.parametrize("name", ["x", "ÄÖÜ", "%00", "١" * 26, "8" * 26, NOBODY.lower(), "*"])
def test_ids_that_are_none(api: TestClient, records: list[TrackletRecord], name: str) -> None:
    made = _make(api, records[0])
    for answer in (
        api.get(f"{SEARCHES}/{name}"),
        api.put(f"{SEARCHES}/{made['id']}/feedback/{name}", json={"verdict": "confirm"}),
        api.delete(f"{SEARCHES}/{made['id']}/feedback/{name}"),
    ):
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("cursor", ["x", "é", "AAAA", "=" * 100, "MS4wMUs5WkIzUTBWNVcxVDhSNkoyTjRNN1hDRA"])
def test_cursors_that_are_none(api: TestClient, records: list[TrackletRecord], cursor: str) -> None:
    made = _make(api, records[0])
    answer = api.get(f"{SEARCHES}/{made['id']}", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:tapetum:problem:invalid")


def test_feedback_on_what_was_not_found_is_refused(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    made = _make(api, records[0], filters={"cameras": ["gate"]})
    for one in (records[9].id, records[0].id, NOBODY):  # of another camera, the example itself, of nobody
        assert _judge(api, made["id"], one, "confirm", status=404)["type"].endswith("not-in-answer")
        assert _judge(api, made["id"], one, None, status=404)["type"].endswith("not-in-answer")
    wrong = api.put(f"{SEARCHES}/{made['id']}/feedback/{_ids(made)[0]}", json={"verdict": "maybe"})
    assert wrong.status_code == 422
    assert _get(api, made["id"]) == made


def test_models_are_never_mixed(world: World, api: TestClient, records: list[TrackletRecord]) -> None:
    other = record_of(world.services.media, "red", number=60, model_hash="another-model")
    _index(world, [other])
    assert _make(api, other, status=409)["type"].endswith("model-mismatch")


def test_an_answer_of_another_model_says_that_it_is_old(
    world: World, api: TestClient, records: list[TrackletRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _make(api, records[0])
    monkeypatch.setattr(world.services.index, "model_hash", "the-next-model")
    assert _get(api, made["id"])["gallery_changed"] is True
    refused = api.post(f"{SEARCHES}/{made['id']}/refresh")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:tapetum:problem:model-mismatch")


def test_a_request_that_comes_again_makes_one_search(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    headers = {"Idempotency-Key": "a-key-of-the-client"}
    body: JSON = {"examples": [{"tracklet_id": records[0].id}]}
    first, again = (api.post(SEARCHES, json=body, headers=headers) for _ in range(2))
    assert (first.status_code, again.json()) == (201, first.json())
    other = api.post(SEARCHES, json={**body, "k": 7}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (409, "urn:tapetum:problem:idempotency-key-taken")
    theirs = api.post(SEARCHES, json=body, headers={**headers, **bearer(world.token_of(Role.ADMIN))})
    assert theirs.json()["id"] != first.json()["id"]
    assert api.post(SEARCHES, json=body, headers={"Idempotency-Key": "x y"}).status_code == 422


def test_a_deleted_search_is_gone(world: World, api: TestClient, records: list[TrackletRecord]) -> None:
    made = _make(api, records[0])
    path = f"{SEARCHES}/{made['id']}"
    assert api.delete(path).status_code == 204
    assert [api.get(path).status_code, api.delete(path).status_code, api.post(f"{path}/refresh").status_code] == [
        404, 404, 404,
    ]  # fmt: skip
    assert made["id"] not in api.get(SEARCHES).text


def test_searches_expire_and_the_oldest_makes_room(
    world: World, api: TestClient, records: list[TrackletRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.search_store.MAX_SEARCHES", 3)
    headers = bearer(world.token_of(Role.VIEWER))
    body = {"examples": [{"tracklet_id": records[0].id}], "k": 1}
    made = [api.post(SEARCHES, json=body, headers=headers).json()["id"] for _ in range(5)]
    assert [one["id"] for one in api.get(SEARCHES, headers=headers).json()["items"]] == made[:1:-1]
    assert api.get(f"{SEARCHES}/{made[0]}", headers=headers).status_code == 404
    seconds = world.services.redis.ttl(f"tapetum:search:{made[4]}")
    assert 0 < seconds <= timedelta(days=world.settings.search_days).total_seconds()
    assert MAX_SEARCHES == 200


def test_every_step_is_recorded_before_it_is_answered(
    world: World, api: TestClient, records: list[TrackletRecord]
) -> None:
    made = _make(api, records[0], reason="case 7", filters={"cameras": ["hall"]}, rerank=True)
    _judge(api, made["id"], _ids(made)[0], "confirm")
    api.post(f"{SEARCHES}/{made['id']}/refresh")
    api.delete(f"{SEARCHES}/{made['id']}")
    entries = [e for e in world.services.audit.newest() if e["details"].get("search") == made["id"]]
    assert [e["event"] for e in reversed(entries)] == ["search", "search.feedback", "search.refresh", "search.delete"]
    told = entries[-1]["details"]
    assert (told["reason"], told["filters"], told["results"]) == ("case 7", {"cameras": ["hall"], "rerank": True}, 8)
    assert told["examples"] == [{"tracklet": records[0].id}]
