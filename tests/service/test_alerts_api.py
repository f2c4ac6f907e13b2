"""Watchlist, alerts and webhooks as people and programs use them: over real sockets, from a sighting to an alert."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2 as httpx
import numpy as np
import pytest
from support.api_world import (
    CALIBRATION,
    PASSWORD,
    World,
    bearer,
    encoded,
    foreseeable_loaders,
    record_of,
    scene,
    served,
    world_in,
)
from support.cameras import wait_for
from support.disk import found_in
from support.webhooks import SECRET, answer, target

from pipeline.camera import CameraConfig
from service.alerts import Matcher, sender
from service.alerts import keys as alert_keys
from service.gallery import GalleryUnavailable, PutResult, TrackletRecord
from service.security import Role

NOBODY = "01K9ZB3Q0V5W1T8R6J2N4M7XCD"
JSON = dict[str, Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders = foreseeable_loaders(calibration=CALIBRATION)
    folder = tmp_path_factory.mktemp("alerts")
    with world_in(folder, loaders=loaders, webhook_allow_loopback=True, retention_days=30) as world:
        for camera in ("gate", "yard"):
            world.services.cameras.declare(CameraConfig(camera, camera.title(), "rtsp://192.168.1.20/x"))
        yield world


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with served(world) as port:
        yield f"http://127.0.0.1:{port}/api/v1"


@pytest.fixture(scope="module")
def client_for_role(world: World, url: str) -> Iterator[Callable[..., httpx.Client]]:
    clients: list[httpx.Client] = []

    def make(role: Role, cameras: list[str] | None = None) -> httpx.Client:
        clients.append(httpx.Client(base_url=url, headers=bearer(world.token_of(role, cameras)), timeout=30))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.fixture(scope="module")
def desk(client_for_role: Any) -> httpx.Client:
    return client_for_role(Role.OPERATOR)  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def admin(client_for_role: Any) -> httpx.Client:
    return client_for_role(Role.ADMIN)  # type: ignore[no-any-return]


class Street:
    """Where people walk past: each sighting is of a track of its own."""

    def __init__(self, world: World) -> None:
        self._world, self._number = world, 0

    def sees(self, colour: str, camera: str = "gate", **changes: Any) -> TrackletRecord:
        self._number += 1
        changes.setdefault("started_at", datetime.now(UTC))
        record = record_of(self._world.services.media, colour, number=self._number, camera=camera, **changes)
        assert self._world.services.gallery.put(record) is PutResult.STORED
        return record


@pytest.fixture(scope="module")
def street(world: World) -> Street:
    return Street(world)


@pytest.fixture
def seen(world: World, street: Street) -> Any:
    return street.sees


@pytest.fixture(autouse=True)
def _nobody_watched_for(world: World) -> Iterator[None]:
    yield
    for entry in list(world.services.alerting.watchlist.walk()):
        world.services.alerting.watchlist.remove(entry.id)
    for webhook in world.services.alerting.webhooks.all():
        world.services.alerting.webhooks.remove(webhook.id)


def body(*tracklets: str, **changes: Any) -> JSON:
    return {
        "name": "Missing boy",
        "reason": "Case 7",
        "examples": [{"tracklet_id": one} for one in tracklets],
        "threshold": 0.9,
        "expires_at": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        **changes,
    }


def watch(client: httpx.Client, *tracklets: str, **changes: Any) -> JSON:
    answered = client.post("/watchlist", json=body(*tracklets, **changes))
    assert answered.status_code == 201, answered.text
    made: JSON = answered.json()
    return made


def alerts(client: httpx.Client, **filters: Any) -> list[JSON]:
    answered = client.get("/alerts", params=filters)
    assert answered.status_code == 200, answered.text
    found: list[JSON] = answered.json()["items"]
    return found


def alert_about(client: httpx.Client, record: TrackletRecord, **filters: Any) -> JSON:
    """The one alert about a sighting, when it is there."""
    found: list[JSON] = []

    def raised() -> bool:
        found[:] = [one for one in alerts(client, **filters) if one["tracklet_id"] == record.id]
        return bool(found)

    wait_for(raised, 10, "the alert")
    assert len(found) == 1
    return found[0]


def matched(world: World) -> None:
    """Wait until everything that came was held against the watchlist."""
    wait_for(lambda: world.services.alerting.backlog() == 0, 10, "the matching")


# -- from sighting to alert ------------------------------------------------------------------------


def test_a_sighting_alerts(world: World, desk: httpx.Client, seen: Any) -> None:
    example = seen("red")
    entry = watch(desk, example.id)
    assert (entry["state"], entry["owner"], entry["revision"]) == ("watching", "operator-all", 1)
    assert entry["examples"] == [
        {"kind": "tracklet", "modality": "visible", "tracklet_id": example.id, "camera_id": "gate"}
    ]
    kept = datetime.fromisoformat(entry["examples_until"]) - datetime.now(UTC)
    assert timedelta(days=29) < kept <= timedelta(days=30)
    other, again = seen("blue", "yard"), seen("red", "yard")
    alert = alert_about(desk, again)
    assert alert["entry"] == {
        "id": entry["id"], "name": "Missing boy", "reason": "Case 7", "owner": "operator-all",
    }  # fmt: skip
    assert (alert["camera_id"], alert["camera_name"], alert["modality_pair"]) == ("yard", "Yard", "VV")
    assert alert["probability"] >= alert["threshold"] == 0.9
    assert alert["example"]["tracklet_id"] == example.id
    assert alert["acknowledged"] is None
    assert desk.get(f"/alerts/{alert['id']}").json() == alert
    assert not [one for one in alerts(desk) if one["tracklet_id"] in (other.id, example.id)]
    figures = world.services.metrics.render().decode()
    assert "tapetum_alerts_total 0.0" not in figures
    assert "tapetum_alert_seconds_count" in figures


def test_alerts_are_listed_by_what_is_asked(desk: httpx.Client, seen: Any) -> None:
    entry = watch(desk, seen("green").id)
    raised = [alert_about(desk, seen("green", camera)) for camera in ("gate", "yard", "gate")]
    assert [one["id"] for one in alerts(desk, entry=entry["id"])] == [one["id"] for one in raised[::-1]]
    assert [one["id"] for one in alerts(desk, entry=entry["id"], camera="yard")] == [raised[1]["id"]]
    assert alerts(desk, entry=NOBODY) == alerts(desk, camera="nowhere") == []
    first = desk.get("/alerts", params={"entry": entry["id"], "limit": 2}).json()
    rest = desk.get("/alerts", params={"entry": entry["id"], "limit": 2, "cursor": first["next_cursor"]}).json()
    assert [one["id"] for one in first["items"] + rest["items"]] == [one["id"] for one in raised[::-1]]
    assert rest["next_cursor"] is None
    assert desk.get("/alerts", params={"cursor": "x"}).status_code == 422
    middle = raised[1]["alerted_at"]
    for filters, expected in (
        ({"since": middle}, raised[:0:-1]),
        ({"until": middle}, raised[1::-1]),
        ({"since": middle, "until": middle}, [raised[1]]),
        ({"until": "0001-01-01T00:00:00Z"}, []),
        ({"since": "9999-12-31T23:59:59Z"}, []),
        ({"until": middle, "cursor": "999999999999999-0"}, raised[1::-1]),
    ):
        assert [a["id"] for a in alerts(desk, entry=entry["id"], **filters)] == [a["id"] for a in expected], filters
    assert desk.get("/alerts", params={"since": "2026-01-01T00:00:00"}).status_code == 422
    noted = desk.put(f"/alerts/{raised[0]['id']}/acknowledgement", json={"note": "sent somebody"}).json()
    assert (noted["acknowledged"]["account"], noted["acknowledged"]["note"]) == ("operator-all", "sent somebody")
    again = desk.put(f"/alerts/{raised[0]['id']}/acknowledgement", json={"note": "me too"}).json()
    assert again == noted, "who was first stays"
    assert [one["id"] for one in alerts(desk, entry=entry["id"], acknowledged=True)] == [raised[0]["id"]]
    assert len(alerts(desk, entry=entry["id"], acknowledged=False)) == 2


def test_an_entry_of_a_photo(desk: httpx.Client, seen: Any) -> None:
    files = {"photo": ("x.png", encoded(scene(["blue"]), ".png"), "image/png")}
    photo = desk.post("/photos", files=files).json()
    entry = watch(desk, examples=[{"photo_id": photo["id"], "person": 0}])
    assert entry["examples"] == [{"kind": "photo", "modality": "visible", "tracklet_id": None, "camera_id": None}]
    assert entry["examples_until"] is None, "a photo's vector stays as long as the entry"
    alert = alert_about(desk, seen("blue"))
    assert alert["example"]["kind"] == "photo"
    missing = desk.post("/watchlist", json=body(examples=[{"photo_id": photo["id"], "person": 7}]))
    assert missing.status_code == 404


def test_an_entry_of_a_subject(desk: httpx.Client, seen: Any) -> None:
    confirmed = [seen("white"), seen("white", "yard")]
    subject = desk.post("/subjects", json={"tracklet_ids": [one.id for one in confirmed]}).json()
    entry = watch(desk, examples=[], subject_id=subject["id"])
    assert entry["subject_id"] == subject["id"]
    assert {one["tracklet_id"] for one in entry["examples"]} == {one.id for one in confirmed}
    assert alert_about(desk, seen("white"))["entry"]["id"] == entry["id"]
    assert desk.post("/watchlist", json=body(examples=[], subject_id=NOBODY)).status_code == 404


def test_one_request_makes_one_entry(desk: httpx.Client, seen: Any) -> None:
    wanted, headers = body(seen("red").id), {"Idempotency-Key": "watch-for-him-1"}
    first, again = (desk.post("/watchlist", json=wanted, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    other = desk.post("/watchlist", json={**wanted, "name": "Other"}, headers=headers)
    assert (other.status_code, other.json()["type"]) == (409, "urn:tapetum:problem:idempotency-key-taken")
    assert len(desk.get("/watchlist").json()["items"]) == 1


def test_an_old_key_does_not_make_an_ended_entry_again(desk: httpx.Client, seen: Any) -> None:
    wanted, headers = body(seen("red").id), {"Idempotency-Key": "watch-for-him-2"}
    first = desk.post("/watchlist", json=wanted, headers=headers).json()
    before = len(desk.get("/watchlist").json()["items"])
    assert desk.delete(f"/watchlist/{first['id']}").status_code == 204
    again = desk.post("/watchlist", json=wanted, headers=headers)
    assert (again.status_code, again.json()["type"]) == (409, "urn:tapetum:problem:idempotency-key-spent")
    assert len(desk.get("/watchlist").json()["items"]) == before - 1


def test_an_entry_changes_and_ends(world: World, desk: httpx.Client, seen: Any) -> None:
    entry = watch(desk, seen("red").id, hours={"start": "22:00", "end": "06:00", "zone": "Europe/Berlin"})
    path = f"/watchlist/{entry['id']}"
    paused = desk.patch(path, json={"revision": 1, "enabled": False, "hours": None, "threshold": 0.8}).json()
    assert (paused["state"], paused["hours"], paused["threshold"], paused["revision"]) == ("paused", None, 0.8, 2)
    late = desk.patch(path, json={"revision": 1, "name": "x"})
    assert (late.status_code, late.json()["type"]) == (409, "urn:tapetum:problem:entry-changed")
    unseen = seen("red", "yard")
    matched(world)
    desk.patch(path, json={"revision": 2, "enabled": True, "cameras": ["gate"]})
    elsewhere, here = seen("red", "yard"), seen("red", "gate")
    alert_about(desk, here)
    matched(world)
    assert not {one["tracklet_id"] for one in alerts(desk, entry=entry["id"])} & {unseen.id, elsewhere.id}
    assert desk.patch(path, json={"revision": 3, "threshold": None}).status_code == 422
    assert desk.delete(path).status_code == 204
    assert (desk.get(path).status_code, desk.delete(path).status_code) == (404, 404)
    after = seen("red", "gate")
    matched(world)
    assert after.id not in {one["tracklet_id"] for one in alerts(desk)}
    assert len(alerts(desk, entry=entry["id"])) == 1, "what was said stays"
    events = [(e["event"], e["details"]) for e in world.services.audit.newest() if e["event"].startswith("watchlist")]
    made = next(details for event, details in events if event == "watchlist.add" and details["entry"] == entry["id"])
    assert (made["reason"], made["hours"]["zone"], made["scope"]) == ("Case 7", "Europe/Berlin", None)
    assert {"watchlist.change", "watchlist.change.undone", "watchlist.end"} <= {event for event, _ in events}


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0}, {"threshold": 1}, {"threshold": -0.5}, {"threshold": "x"}, {"threshold": None},
        {"expires_at": "2020-01-01T00:00:00Z"}, {"expires_at": "2999-01-01T00:00:00Z"},
        {"expires_at": "2026-12-24T18:00:00"}, {"expires_at": "9999-12-31T23:59:59-23:59"}, {"expires_at": "never"},
        {"hours": {"start": "22:00", "end": "22:00", "zone": "UTC"}},
        {"hours": {"start": "22:00", "end": "06:00", "zone": "../../etc/passwd"}},
        {"hours": {"start": "25:00", "end": "06:00", "zone": "UTC"}},
        {"hours": {"start": "22:00+01:00", "end": "06:00", "zone": "UTC"}},
        {"examples": []}, {"subject_id": NOBODY}, {"examples": [{"tracklet_id": NOBODY}] * 21},
        {"name": ""}, {"name": "x" * 121}, {"name": "a\u202eb"}, {"reason": "   "}, {"reason": None},
        {"cameras": []}, {"cameras": ["../gate"]}, {"owner": "somebody"},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_entry(desk: httpx.Client, seen: Any, wrong: JSON) -> None:
    answered = desk.post("/watchlist", json={**body(NOBODY), **wrong})
    assert answered.status_code == 422, answered.text
    assert answered.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_threshold_that_is_no_number(desk: httpx.Client, number: str) -> None:
    text = json.dumps(body(NOBODY)).replace("0.9", number)
    headers = {"Content-Type": "application/json"}
    assert desk.post("/watchlist", content=text, headers=headers).status_code == 422
    change = f'{{"revision": 1, "threshold": {number}}}'
    assert desk.patch(f"/watchlist/{NOBODY}", content=change, headers=headers).status_code == 422


def test_what_an_entry_names_must_be_there(desk: httpx.Client, seen: Any) -> None:
    assert desk.post("/watchlist", json=body(NOBODY)).status_code == 404
    assert desk.post("/watchlist", json=body(seen("red").id, cameras=["nowhere"])).status_code == 404
    other = seen("red", model_hash="another")
    assert desk.post("/watchlist", json=body(other.id)).status_code == 409


# -- who may see what ------------------------------------------------------------------------------


def test_entries_and_alerts_stay_in_scope(world: World, desk: httpx.Client, client_for_role: Any, seen: Any) -> None:
    gate, guard = client_for_role(Role.OPERATOR, ["gate"]), client_for_role(Role.VIEWER, ["gate"])
    at_gate, at_yard = seen("red", "gate"), seen("red", "yard")
    wide = watch(desk, at_yard.id)
    hidden, missing = (gate.get(f"/watchlist/{one}").json() for one in (wide["id"], NOBODY))
    assert hidden["status"] == 404
    assert hidden | {"request_id": ""} == missing | {"request_id": ""}
    assert gate.post("/watchlist", json=body(at_yard.id)).status_code == 404
    assert gate.post("/watchlist", json=body(at_gate.id, cameras=["yard"])).status_code == 404
    narrow = watch(gate, at_gate.id)
    assert narrow["cameras"] == ["gate"]
    assert [one["id"] for one in gate.get("/watchlist").json()["items"]] == [narrow["id"]]
    assert len(desk.get("/watchlist").json()["items"]) == 2
    # Who sees it may read it; its owner and administrators change it.
    assert desk.patch(f"/watchlist/{narrow['id']}", json={"revision": 1, "name": "x"}).status_code == 403
    boss = client_for_role(Role.ADMIN, ["gate"])
    assert boss.patch(f"/watchlist/{narrow['id']}", json={"revision": 1, "name": "x"}).json()["name"] == "x"
    assert boss.delete(f"/watchlist/{wide['id']}").status_code == 404
    here, there = seen("red", "gate"), seen("red", "yard")
    alert_about(desk, here, entry=narrow["id"])
    elsewhere = alert_about(desk, there)
    matched(world)
    for client in (gate, guard):
        assert {one["camera_id"] for one in alerts(client)} == {"gate"}
        assert there.id not in {one["tracklet_id"] for one in alerts(client)}
        assert client.get(f"/alerts/{elsewhere['id']}").status_code == 404
    # An alert of one's camera tells nothing of an example elsewhere.
    told = next(one for one in alerts(guard) if one["tracklet_id"] == here.id and one["entry"]["id"] == wide["id"])
    assert (told["example"]["kind"], told["example"]["tracklet_id"], told["example"]["camera_id"]) == (
        "tracklet", None, None,
    )  # fmt: skip
    assert guard.put(f"/alerts/{told['id']}/acknowledgement", json={}).status_code == 403
    assert gate.put(f"/alerts/{elsewhere['id']}/acknowledgement", json={}).status_code == 404


def test_nobody_makes_an_entry_look_further(world: World, client_for_role: Any, seen: Any) -> None:
    """The owner's scope grew, and an administrator sees everything: the entry watches what it was made for."""
    gate = client_for_role(Role.OPERATOR, ["gate"])
    entry = watch(gate, seen("red", "gate").id)
    boss = client_for_role(Role.ADMIN)
    changed = boss.patch(f"/watchlist/{entry['id']}", json={"revision": 1, "cameras": ["yard", "gate"]}).json()
    assert changed["cameras"] == ["gate"]
    assert boss.patch(f"/watchlist/{entry['id']}", json={"revision": 2, "cameras": None}).json()["cameras"] == ["gate"]
    elsewhere = seen("red", "yard")
    matched(world)
    assert elsewhere.id not in {one["tracklet_id"] for one in alerts(boss)}


def test_an_owner_who_is_gone(world: World, url: str, admin: httpx.Client, seen: Any) -> None:
    account = world.services.accounts.add("leaver", PASSWORD, Role.OPERATOR)
    with httpx.Client(base_url=url, headers=bearer(world.services.sessions.open(account)[0])) as leaver:
        entry = watch(leaver, seen("red").id)
    world.services.accounts.set("leaver", role=Role.VIEWER)
    assert admin.get(f"/watchlist/{entry['id']}").json()["state"] == "owner-may-not"
    world.services.accounts.remove("leaver")
    assert admin.get(f"/watchlist/{entry['id']}").json()["state"] == "owner-gone"
    world.services.accounts.add("leaver", PASSWORD, Role.OPERATOR, ["gate"])
    with httpx.Client(base_url=url) as client:
        token = client.post("/session", json={"account": "leaver", "password": PASSWORD}).json()["token"]
        client.headers.update(bearer(token))
        assert client.get(f"/watchlist/{entry['id']}").status_code == 404, (
            "a new account of an old name inherits nothing"
        )
    world.services.accounts.remove("leaver")


# -- the stream ------------------------------------------------------------------------------------


class Stream:
    """A reader of the event stream, as a browser's EventSource is one."""

    def __init__(self, client: httpx.Client, last: str | None) -> None:
        self.events: queue.Queue[JSON] = queue.Queue()
        self.opened, self.ended = threading.Event(), threading.Event()
        self.status = 0
        self._client, self._last = client, last
        self._response: httpx.Response | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        assert self.opened.wait(10)

    def _read(self) -> None:
        headers = {"Last-Event-ID": self._last} if self._last is not None else {}
        try:
            with self._client.stream("GET", "/alerts/stream", headers=headers) as response:
                self._response, self.status = response, response.status_code
                if response.status_code != 200:
                    return
                assert response.headers["content-type"].startswith("text/event-stream")
                event: JSON = {}
                for line in response.iter_lines():
                    name, _, value = line.partition(": ")
                    if line.startswith("retry"):
                        self.opened.set()
                    elif line:
                        event[name] = value
                    elif "data" in event:
                        self.events.put({**event, "data": json.loads(event["data"])})
                        event = {}
        except (httpx.HTTPError, RuntimeError):
            pass
        finally:
            self.opened.set()
            self.ended.set()

    def next(self) -> JSON:
        return self.events.get(timeout=10)


@contextmanager
def stream_of(world: World, url: str, token: str, last: str | None = None) -> Iterator[Stream]:
    with httpx.Client(base_url=url, headers=bearer(token), timeout=30) as client:
        yield Stream(client, last)


def test_alerts_are_streamed_and_a_reader_goes_on_where_it_was(
    world: World, url: str, desk: httpx.Client, seen: Any
) -> None:
    entry = watch(desk, seen("red").id)
    before = alert_about(desk, seen("red"))
    token = world.token_of(Role.VIEWER)
    with stream_of(world, url, token) as stream:
        raised = [seen("red", camera) for camera in ("gate", "yard")]
        events = [stream.next() for _ in raised]
    assert {one["data"]["tracklet_id"] for one in events} == {one.id for one in raised}
    assert {one["event"] for one in events} == {"alert"}
    assert before["id"] not in {one["data"]["id"] for one in events}, "it begins with those to come"
    assert events[0]["data"] == desk.get(f"/alerts/{events[0]['data']['id']}").json()
    missed = [alert_about(desk, seen("red")) for _ in range(3)]
    with stream_of(world, url, token, events[0]["id"]) as stream:
        told = [stream.next() for _ in range(4)]
        live = seen("red")
        assert stream.next()["data"]["tracklet_id"] == live.id
    assert [one["data"]["id"] for one in told] == [events[1]["data"]["id"], *(one["id"] for one in missed)]
    assert {one["data"]["entry"]["id"] for one in told} == {entry["id"]}
    for wrong in ("x", "1-", "-1-0", "9" * 30):
        with stream_of(world, url, token, wrong) as stream:
            assert stream.ended.wait(10)
            assert stream.status == 422


def test_a_stream_stays_in_scope_and_is_judged_anew(
    world: World, url: str, desk: httpx.Client, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(desk, seen("red").id)
    account = world.services.accounts.add("reader", PASSWORD, Role.VIEWER, ["gate"])
    token = world.services.sessions.open(account)[0]
    with stream_of(world, url, token) as stream:
        elsewhere, here = seen("red", "yard"), seen("red", "gate")
        alert_about(desk, elsewhere)
        event = stream.next()
        assert event["data"]["tracklet_id"] == here.id
        # Even before the gate notices: what is raised after the rights have changed is not told.
        monkeypatch.setattr("service.security.gate.RECHECK_S", 60)
    monkeypatch.setattr("service.security.gate.RECHECK_S", 60)
    with stream_of(world, url, token) as stream:
        world.services.accounts.set("reader", cameras=["yard"])
        for camera in ("gate", "yard"):
            alert_about(desk, seen("red", camera))
        time.sleep(0.3)
        assert stream.events.empty()
    monkeypatch.setattr("service.security.gate.RECHECK_S", 0.1)
    account = world.services.accounts.get("reader")
    assert account is not None
    with stream_of(world, url, world.services.sessions.open(account)[0]) as stream:
        world.services.accounts.remove("reader")
        assert stream.ended.wait(10), "and then the gate hangs up"


def test_a_stream_ends_in_time_and_says_that_it_lives(world: World, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.alerts.STREAM_S", 0.5)
    monkeypatch.setattr("service.api.scoped_alerts.SILENT_S", 0.05)
    with httpx.Client(base_url=url, headers=bearer(world.token_of(Role.VIEWER))) as client:
        text = client.get("/alerts/stream").text
    assert text.startswith("retry: 2000\n\n: nothing new\n\n")


def test_a_stream_waits_for_redis(
    world: World, url: str, desk: httpx.Client, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(desk, seen("red").id)
    monkeypatch.setattr("service.api.scoped_alerts.AWAY_S", 0.05)
    store = world.services.alerting.alerts
    with stream_of(world, url, world.token_of(Role.VIEWER)) as stream:
        with monkeypatch.context() as away:
            away.setattr(store, "after", lambda *_: (_ for _ in ()).throw(GalleryUnavailable("away")))
            missed = seen("red")
            alert_about(desk, missed)
        assert stream.next()["data"]["tracklet_id"] == missed.id


# -- webhooks --------------------------------------------------------------------------------------


def test_a_webhook_from_beginning_to_end(world: World, admin: httpx.Client, desk: httpx.Client, seen: Any) -> None:
    with target() as hook:
        made = admin.post("/webhooks", json={"name": "Control room", "url": hook.url, "cameras": ["gate"]})
        assert made.status_code == 201, made.text
        webhook = made.json()
        assert webhook["secret"].startswith("whsec_")
        assert webhook["target"] == hook.url.rpartition("/")[0]
        path = f"/webhooks/{webhook['id']}"
        assert admin.post(f"{path}/test").json() == {"delivered": True, "reason": None}
        assert [message["type"] for message in hook.messages] == ["ping"]
        watch(desk, seen("red").id)
        elsewhere, here = seen("red", "yard"), seen("red", "gate")
        alert, _ = alert_about(desk, here), alert_about(desk, elsewhere)
        wait_for(lambda: len(hook.got) == 2, 10, "the message")
        assert hook.messages[1]["data"] == alert
        wait_for(lambda: admin.get(path).json()["waiting"] == 0, 10)
        assert (admin.get(path).json()["error"], admin.get(path).json()["dead"]) == (None, 0)
        assert admin.patch(path, json={"enabled": False, "secret": SECRET}).json()["enabled"] is False
        alert_about(desk, seen("red", "gate"))
        matched(world)
        assert admin.get(path).json()["waiting"] == 0, "while it is off nothing is queued"
    listed = admin.get("/webhooks").text
    told = str(world.services.audit.newest())
    for secret in (webhook["secret"], SECRET, "hooks?to=desk"):
        assert secret not in listed
        assert secret not in told
    assert "webhook.change" in told
    assert admin.delete(path).status_code == 204
    assert admin.get(path).status_code == admin.post(f"{path}/test").status_code == 404


def test_dead_letters_are_sent_again(
    world: World, admin: httpx.Client, desk: httpx.Client, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "MAX_ATTEMPTS", 1)
    with target(answer(500), answer(500), answer(204)) as hook:
        path = "/webhooks/" + admin.post("/webhooks", json={"name": "x", "url": hook.url}).json()["id"]
        watch(desk, seen("green").id)
        raised = [alert_about(desk, seen("green"))["id"] for _ in range(2)]
        wait_for(lambda: admin.get(path).json()["dead"] == 2, 10, "the giving up")
        first = admin.get(f"{path}/dead-letters", params={"limit": 1}).json()
        rest = admin.get(f"{path}/dead-letters", params={"limit": 1, "cursor": first["next_cursor"]}).json()
        letters = first["items"] + rest["items"]
        assert {one["alert_id"] for one in letters} == set(raised)
        assert {(one["attempts"], one["error"]) for one in letters} == {(1, "The target answered 500.")}
        assert admin.get(f"{path}/dead-letters", params={"cursor": "x"}).status_code == 422
        resend = f"{path}/dead-letters/resend"
        assert admin.post(resend, json={"alert_ids": [NOBODY]}).json() == {"count": 0}
        assert admin.post(resend, json={"alert_ids": raised[:1]}).json() == {"count": 1}
        assert admin.post(resend, json={}).json() == {"count": 1}
        wait_for(lambda: len(hook.got) == 4, 10, "the messages")
        assert sorted(headers["webhook-id"] for headers, _ in hook.got[2:]) == sorted(raised)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"url": "https://169.254.169.254/latest/meta-data"}, "link-local or metadata"),
        ({"url": "https://[fd00:ec2::254]/"}, "link-local or metadata"),
        ({"url": "https://10.0.0.7/"}, "private network (webhook_allow_private is off)"),
        ({"url": "http://93.184.216.34/"}, "https only"),
        ({"url": "file:///etc/passwd"}, "begins with https://"),
        ({"url": "https://u:p@93.184.216.34/"}, "no login"),
        ({"secret": "short"}, "whsec_"),
        ({"cameras": []}, "at least 1 item"),
        ({"retries": 3}, "Extra inputs"),
    ],
    ids=str,
)
def test_what_is_no_webhook(admin: httpx.Client, wrong: JSON, sentence: str) -> None:
    answered = admin.post("/webhooks", json={"name": "x", "url": "https://93.184.216.34/", **wrong})
    assert answered.status_code == 422, answered.text
    assert sentence in answered.json()["detail"]
    made = admin.post("/webhooks", json={"name": "x", "url": "https://93.184.216.34/"}).json()
    assert admin.patch(f"/webhooks/{made['id']}", json=wrong).status_code == 422
    assert admin.patch(f"/webhooks/{made['id']}", json={"cameras": ["nowhere"]}).status_code == 404


def test_one_request_makes_one_webhook(admin: httpx.Client) -> None:
    wanted, headers = {"name": "x", "url": "https://93.184.216.34/"}, {"Idempotency-Key": "the-control-room"}
    first, again = (admin.post("/webhooks", json=wanted, headers=headers) for _ in range(2))
    assert (first.status_code, again.status_code, again.json()["secret"]) == (201, 200, None)
    assert first.json()["id"] == again.json()["id"]
    assert admin.delete(f"/webhooks/{first.json()['id']}").status_code == 204
    late = admin.post("/webhooks", json=wanted, headers=headers)
    assert (late.status_code, late.json()["type"]) == (409, "urn:tapetum:problem:idempotency-key-spent")
    assert admin.get(f"/webhooks/{first.json()['id']}").status_code == 404


# -- restarts, erasure, retention ------------------------------------------------------------------


def test_a_restart_catches_up(world: World, desk: httpx.Client, seen: Any) -> None:
    entry = watch(desk, seen("red").id)
    alerting = world.services.alerting
    running = alerting.matcher
    assert isinstance(running, Matcher)
    running.stop()
    missed = [seen("red") for _ in range(3)]
    assert alerts(desk, entry=entry["id"]) == []
    alerting.use_model(running.model)
    for one in missed:
        alert_about(desk, one)
    matched(world)
    assert len(alerts(desk, entry=entry["id"])) == 3


def test_erasing_an_example(world: World, desk: httpx.Client, admin: httpx.Client, seen: Any) -> None:
    example, other = seen("red"), seen("blue")
    one, two = watch(desk, example.id), watch(desk, example.id, other.id)
    about = alert_about(desk, seen("red"), entry=one["id"])
    later = seen("blue")
    alert_about(desk, later, entry=two["id"])
    report = admin.post("/erasures", json={"tracklet_ids": [example.id], "reason": "asked for it"}).json()
    assert report["elsewhere"]["watchlist"] == 2
    assert report["elsewhere"]["alerts"] >= 2
    assert desk.get(f"/watchlist/{one['id']}").status_code == 404, "nobody is left to look for"
    assert [e["tracklet_id"] for e in desk.get(f"/watchlist/{two['id']}").json()["examples"]] == [other.id]
    vector = np.asarray(example.vector, "<f2").tobytes()
    stored = [world.services.redis.hgetall(key) for key in world.services.redis.scan_iter(alert_keys.ENTRY + "*")]
    assert stored
    assert not any(vector in fields[b"vectors"] for fields in stored)
    assert found_in(world.settings.data_dir / "redis", [vector]) == [], "nor do the server's files remember it"
    told = desk.get(f"/alerts/{about['id']}").json()
    assert (told["example"]["kind"], told["example"]["tracklet_id"]) == ("erased", None)
    assert example.id not in desk.get("/alerts", params={"limit": 200}).text
    report = admin.post("/erasures", json={"tracklet_ids": [later.id], "reason": "too"}).json()
    assert report["elsewhere"]["alerts"] >= 1
    assert later.id not in desk.get("/alerts", params={"limit": 200}).text
    assert desk.post("/watchlist", json=body(example.id)).status_code == 404


def test_retention_reaches_entries_and_alerts(world: World, desk: httpx.Client, seen: Any) -> None:
    example = seen("red")
    entry = watch(desk, example.id)
    alert = alert_about(desk, seen("red"), entry=entry["id"])
    now = datetime.now(UTC)
    world.services.retention.sweep(now + timedelta(days=29))
    assert desk.get(f"/watchlist/{entry['id']}").status_code == 404, "it expired more than a week before"
    assert desk.get(f"/alerts/{alert['id']}").status_code == 200
    kept = watch(desk, seen("red").id, expires_at=(now + timedelta(days=300)).isoformat())
    world.services.retention.sweep(now + timedelta(days=29))
    assert desk.get(f"/watchlist/{kept['id']}").status_code == 200
    world.services.retention.sweep(now + timedelta(days=31))
    assert desk.get(f"/watchlist/{kept['id']}").status_code == 404, "its example is gone"
    assert desk.get(f"/alerts/{alert['id']}").status_code == 404
    assert alerts(desk) == []
    events = [e["details"] for e in world.services.audit.newest() if e["event"] == "watchlist.tidy"]
    assert events[0]["expired_entries"] >= 1


def test_an_expired_entry_can_be_prolonged(world: World, desk: httpx.Client, seen: Any) -> None:
    entry = watch(desk, seen("red").id)
    store = world.services.alerting.watchlist
    store.change(entry["id"], lambda old: replace(old, expires_at=datetime.now(UTC) - timedelta(days=6)))
    assert desk.get(f"/watchlist/{entry['id']}").json()["state"] == "expired"
    unseen = seen("red")
    matched(world)
    world.services.alerting.tidy(datetime.now(UTC))
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    assert (
        desk.patch(f"/watchlist/{entry['id']}", json={"revision": 2, "expires_at": later}).json()["state"] == "watching"
    )
    alert_about(desk, seen("red"), entry=entry["id"])
    assert unseen.id not in {one["tracklet_id"] for one in alerts(desk, entry=entry["id"])}


def test_a_model_without_calibration_watches_for_nobody(
    world: World, desk: httpx.Client, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    matcher = world.services.alerting.matcher
    assert matcher is not None
    example = seen("red")
    monkeypatch.setattr(matcher, "model", replace(matcher.model, calibration=None))
    refused = desk.post("/watchlist", json=body(example.id))
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:tapetum:problem:not-calibrated")
