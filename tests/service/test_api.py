"""The REST API over a real server: every noun, every kind of error, live pictures."""

from __future__ import annotations

import base64
import json
import signal
import struct
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import cv2
import numpy as np
import psutil
import pytest
import redis
from fastapi.testclient import TestClient
from support.api_world import (
    COLOURS,
    World,
    bearer,
    client_of,
    encoded,
    foreseeable_loaders,
    record_of,
    scene,
    world_in,
)

from models.types import Modality
from pipeline.camera import CameraConfig, CameraHealth, CameraState, LiveBox
from service.api.probing import CameraProbe
from service.camera_board import RedisCameraBoard
from service.live import RedisLiveView

FIRST_FRAME = np.full((480, 640, 3), 90, np.uint8)
PROBE = CameraProbe(image=FIRST_FRAME, codec="h264", fps=25.0, modality=Modality.INFRARED, clock_offset_s=0.2)
Api = Any


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders = foreseeable_loaders(probe=PROBE)
    folder = tmp_path_factory.mktemp("api")
    with world_in(folder, loaders=loaders, max_upload_bytes=300_000, max_photo_pixels=1_000_000) as world:
        yield world


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        client.headers.update(bearer(world.log_in(client)))
        client.cookies.clear()
        yield client


@pytest.fixture(scope="module")
def sightings(world: World, api: TestClient) -> list[str]:
    made = [
        record_of(world.services.media, list(COLOURS)[n % 4], number=n + 1, camera=("gate", "hall")[n % 2])
        for n in range(20)
    ]
    world.services.gallery.put_many(made)
    _until(lambda: world.services.index is not None and len(world.services.index) == 20)
    return [record.id for record in made]


def _until(true: Any, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The document of an error, checked."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == f"urn:tapetum:problem:{code}"
    assert document["status"] == status
    assert document["detail"]
    assert document["request_id"] == answer.headers["x-request-id"]
    return document


# -- cameras ---------------------------------------------------------------------------------------


def test_a_camera_lives(world: World, api: TestClient) -> None:
    url = "rtsp://viewer:p@ss:w#rd@192.168.1.20:554/stream"
    made = api.post("/api/v1/cameras", json={"name": "Tür <b>Nord</b>", "url": url, "max_fps": 5})
    assert made.status_code == 201, made.text
    camera = made.json()["id"]
    assert made.headers["location"] == f"/api/v1/cameras/{camera}"
    for answer in (made, api.get(f"/api/v1/cameras/{camera}"), api.get("/api/v1/cameras")):
        assert "w#rd" not in answer.text
        assert "viewer" not in answer.text
    assert world.services.cameras.get(camera).config.url == url
    changed = api.patch(f"/api/v1/cameras/{camera}", json={"max_fps": None, "modality": "infrared"})
    assert (changed.json()["max_fps"], changed.json()["modality"]) == (None, "infrared")
    # What a client read and sends back does not overwrite the credentials it never saw.
    api.patch(f"/api/v1/cameras/{camera}", json={"url": made.json()["url"], "name": "North"})
    assert world.services.cameras.get(camera).config.url == url
    problem(api.post("/api/v1/cameras", json={"id": camera, "name": "x", "url": url}), 409, "camera-exists")
    assert api.delete(f"/api/v1/cameras/{camera}").status_code == 204
    problem(api.get(f"/api/v1/cameras/{camera}"), 404, "camera-not-found")
    problem(api.delete(f"/api/v1/cameras/{camera}"), 404, "camera-not-found")
    problem(api.patch(f"/api/v1/cameras/{camera}", json={"name": "y"}), 404, "camera-not-found")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "/etc/passwd", "exec:ls", "concat:a|b", "http://169.254.169.254/latest", "rtsp://127.0.0.1/x",
     "rtsp://2130706433/x", "rtsp://[::1]/x", "-i rtsp://192.168.1.1/x", "rtsp://192.168.1.1/x\n-f", "gopher://192.168.1.1"],
)  # fmt: skip
def test_addresses_that_are_no_cameras(api: TestClient, url: str) -> None:
    refused = api.post("/api/v1/cameras", json={"name": "x", "url": url})
    assert problem(refused, 422, "camera-refused")["errors"][0]["field"] == "body.url"
    tested = api.post("/api/v1/cameras/test", json={"url": url})
    assert tested.status_code == 200
    assert not tested.json()["ok"]
    assert tested.json()["reason"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "url": ["rtsp://192.168.1.1"]},
        {"name": "x", "url": {"exec": "ls"}},
        {"name": "", "url": "rtsp://192.168.1.1/"},
        {"name": "a" * 10_000, "url": "rtsp://192.168.1.1/"},
        {"name": "a\u202eb", "url": "rtsp://192.168.1.1/"},
        {"name": "a\0b", "url": "rtsp://192.168.1.1/"},
        {"id": "../x", "name": "x", "url": "rtsp://192.168.1.1/"},
        {"id": "a*{b}", "name": "x", "url": "rtsp://192.168.1.1/"},
        {"name": "x", "url": "rtsp://192.168.1.1/", "max_fps": -1},
        {"name": "x", "url": "rtsp://192.168.1.1/", "include": [[[0, 0], [2, 0], [0, 1]]]},
        {"name": "x", "url": "rtsp://192.168.1.1/", "include": [[[0, 0], [1, 0]]]},
        {"name": "x", "url": "rtsp://192.168.1.1/", "unknown": 1},
        {"name": "x"},
        [],
        None,
    ],
)
def test_bodies_that_are_no_cameras(api: TestClient, body: Any) -> None:
    assert problem(api.post("/api/v1/cameras", json=body), 422, "invalid")["errors"]


def test_validation_never_repeats_what_was_sent(api: TestClient) -> None:
    answer = api.post("/api/v1/session", json={"account": "admin", "password": ["hunter2-hunter2"]})
    assert "hunter2" not in answer.text


def test_a_test_shows_the_first_frame(world: World, api: TestClient) -> None:
    tested = api.post("/api/v1/cameras/test", json={"url": "rtsp://192.168.1.9/x"}).json()
    assert (tested["ok"], tested["width_px"], tested["height_px"], tested["codec"]) == (True, 640, 480, "h264")
    data = np.frombuffer(base64.b64decode(tested["first_frame_jpeg"]), np.uint8)
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (480, 640, 3)
    world.services.cameras.add(CameraConfig("saved", "Saved", "rtsp://192.168.1.9/x"))
    assert api.post("/api/v1/cameras/saved/test").json()["ok"]
    problem(api.post("/api/v1/cameras/nobody/test"), 404, "camera-not-found")


def test_health_is_the_workers_report_without_credentials(world: World, api: TestClient) -> None:
    world.services.cameras.add(CameraConfig("sick", "Sick", "rtsp://192.168.1.9/x"))
    report = CameraHealth(
        "sick", CameraState.RECONNECTING, "w", datetime.now(UTC), error="rtsp://u:secret@192.168.1.9/x: no answer",
        frames_skipped={"motion": 3}, reconnects=2,
    )  # fmt: skip
    RedisCameraBoard(world.services.redis, "w", 1).report([report])
    health = api.get("/api/v1/cameras/sick").json()["health"]
    assert (health["state"], health["reconnects"], health["frames_skipped"]) == ("reconnecting", 2, {"motion": 3})
    assert "secret" not in health["error"]
    text = api.get("/metrics").text
    assert 'tapetum_camera_state{camera="sick",state="reconnecting"} 1.0' in text
    assert 'tapetum_camera_frames_skipped{camera="sick",reason="motion"} 3.0' in text
    assert 'route="/api/v1/cameras/{camera_id}"' in text
    assert "secret" not in text


# -- live ------------------------------------------------------------------------------------------


@pytest.fixture
def live_camera(world: World) -> Iterator[str]:
    """A camera whose worker publishes while somebody watches."""
    world.services.cameras.declare(CameraConfig("live", "Live", "rtsp://192.168.1.9/x"))
    view, stop = RedisLiveView(world.services.redis), threading.Event()

    def publish() -> None:
        while not stop.wait(0.03):
            if "live" in view.wanted():
                box = LiveBox((0.1, 0.2, 0.3, 0.9), 7, 0.8, "01K9ZB3Q0V5W1T8R6J2N4M7XCD")
                view.publish("live", scene(["red"]), [box], datetime.now(UTC), Modality.VISIBLE)

    thread = threading.Thread(target=publish)
    thread.start()
    yield "live"
    stop.set()
    thread.join()


def test_snapshot_and_boxes(api: TestClient, live_camera: str) -> None:
    picture = api.get(f"/api/v1/cameras/{live_camera}/snapshot")
    assert picture.headers["content-type"] == "image/jpeg"
    assert cv2.imdecode(np.frombuffer(picture.content, np.uint8), cv2.IMREAD_COLOR) is not None
    boxes = api.get(f"/api/v1/cameras/{live_camera}/boxes").json()
    assert boxes["modality"] == "visible"
    assert boxes["persons"][0]["track_id"] == 7
    assert boxes["persons"][0]["box"] == pytest.approx([0.1, 0.2, 0.3, 0.9], abs=1e-4)


def test_the_socket_brings_pictures_of_watched_cameras_only(world: World, api: TestClient, live_camera: str) -> None:
    with api.websocket_connect("/api/v1/live") as socket:
        socket.send_text(json.dumps({"watch": [live_camera, "nobody"]}))
        message = socket.receive_bytes()
        (length,) = struct.unpack_from(">I", message)
        header = json.loads(message[4 : 4 + length])
        assert header["camera_id"] == live_camera
        assert header["persons"][0]["tracklet_id"] == "01K9ZB3Q0V5W1T8R6J2N4M7XCD"
        assert message[4 + length :][:2] == b"\xff\xd8"
        assert live_camera in world.services.live.watched
        socket.send_text(json.dumps({"watch": []}))
        _until(lambda: live_camera not in world.services.live.watched)
        socket.send_text(json.dumps({"watch": [live_camera]}))
        _until(lambda: live_camera in world.services.live.watched)
    _until(lambda: live_camera not in world.services.live.watched)  # a closed tab frees its streams


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"watch": 1}', '{"watch": [], "every_s": 61}', '{"watch": [1]}', '{"watch": ["' + "a" * 9000 + '"]}'],
)
def test_the_socket_hangs_up_on_nonsense(api: TestClient, text: str) -> None:
    with api.websocket_connect("/api/v1/live") as socket:
        socket.send_text(text)
        assert socket.receive()["type"] == "websocket.close"


def test_a_silent_camera_has_no_picture(world: World, api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.live.FIRST_PICTURE_S", 0.2)
    monkeypatch.setattr("service.api.live.SILENT_S", 0.2)
    world.services.cameras.declare(CameraConfig("silent", "Silent", "rtsp://192.168.1.9/x"))
    problem(api.get("/api/v1/cameras/silent/snapshot"), 404, "no-picture")
    problem(api.get("/api/v1/cameras/nobody/live"), 404, "camera-not-found")
    stream = api.get("/api/v1/cameras/silent/live")
    assert stream.headers["content-type"].startswith("multipart/x-mixed-replace")
    assert stream.content == b""
    _until(lambda: "silent" not in world.services.live.watched)


# -- tracklets -------------------------------------------------------------------------------------


def test_pages_are_complete_and_stay_right_while_sightings_come(
    world: World, api: TestClient, sightings: list[str]
) -> None:
    seen, cursor, pages = [], None, 0
    while True:
        page = api.get("/api/v1/tracklets", params={"limit": 6, **({"cursor": cursor} if cursor else {})}).json()
        seen += [item["id"] for item in page["items"]]
        pages += 1
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(sightings, reverse=True)
    assert pages == 4
    hall = api.get("/api/v1/tracklets", params={"camera": "hall", "limit": 500}).json()["items"]
    assert {item["camera_id"] for item in hall} == {"hall"}
    assert len(hall) == 10


def test_one_sighting_and_its_pictures(api: TestClient, sightings: list[str]) -> None:
    one = api.get(f"/api/v1/tracklets/{sightings[0]}").json()
    assert one["crop_count"] == len(one["crops"]) == 3
    assert "vector" not in one
    for url in (one["thumbnail_url"], one["crops"][2]["url"]):
        picture = api.get(url)
        assert picture.headers["content-type"] == "image/jpeg"
        assert picture.headers["cache-control"] == "no-store"
        assert picture.content[:2] == b"\xff\xd8"
    problem(api.get(f"/api/v1/tracklets/{sightings[0]}/crops/3"), 404, "crop-not-found")
    problem(api.get("/api/v1/tracklets/01K9ZB3Q0V5W1T8R6J2N4M7XCD"), 404, "tracklet-not-found")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1000000000", "limit=x", "cursor=nonsense", "modality=x-ray", "camera=../x", "since=yesterday",
     "since=2026-01-01T00:00:00", "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z"],
)  # fmt: skip
def test_lists_that_cannot_be_asked_for(api: TestClient, query: str) -> None:
    problem(api.get(f"/api/v1/tracklets?{query}"), 422, "invalid")


@pytest.mark.parametrize("name", ["x", "../../etc/passwd", "01K9ZB3Q0V5W1T8R6J2N4M7XC*", "81K9ZB3Q0V5W1T8R6J2N4M7XCD"])
def test_ids_that_are_none(api: TestClient, name: str) -> None:
    assert api.get(f"/api/v1/tracklets/{name}").status_code in (404, 422)


# -- photos and search -----------------------------------------------------------------------------


def _photo(api: TestClient, data: bytes, **fields: str) -> Any:
    return api.post("/api/v1/photos", files={"photo": ("photo.jpg", data, "image/jpeg")}, data=fields)


def test_a_photo_finds_its_person(world: World, api: TestClient, sightings: list[str]) -> None:
    photo = _photo(api, encoded(scene(["blue", "green"])), preview="true")
    assert photo.status_code == 201, photo.text
    found = photo.json()
    assert len(found["persons"]) == 2
    assert found["modality"] == "visible"
    assert found["modality_judged"]
    assert base64.b64decode(found["preview_jpeg"])[:2] == b"\xff\xd8"
    answer = api.post("/api/v1/search", json={"examples": [{"photo_id": found["id"], "person": 0}], "k": 5})
    matches = answer.json()["matches"]
    assert len(matches) == 5
    assert all(sightings.index(m["tracklet"]["id"]) % 4 == 2 for m in matches)  # blue
    assert [m["rank"] for m in matches] == [1, 2, 3, 4, 5]
    assert matches[0]["probability"] is None
    assert "does not mean" in answer.json()["note"]
    key = f"tapetum:photo:{found['id']}"
    assert 0 < world.services.redis.ttl(key) <= 3600
    assert b"\xff\xd8\xff" not in world.services.redis.get(key)  # vectors, never pixels


def test_fields_of_a_photo(api: TestClient) -> None:
    data = encoded(scene(["blue"]))
    night = _photo(api, data, modality="infrared").json()
    assert (night["modality"], night["modality_judged"], night["preview_jpeg"]) == ("infrared", False, None)
    whole = _photo(api, data, whole="true").json()
    assert [(p["whole_image"], p["box"]) for p in whole["persons"]] == [(True, [0, 0, 1, 1])]
    assert _photo(api, encoded(scene([]))).json()["persons"] == []
    problem(_photo(api, data, modality="x-ray"), 422, "invalid")
    problem(_photo(api, data, whole="perhaps"), 422, "invalid")
    problem(_photo(api, data, other="1"), 422, "invalid")


def test_photos_that_are_refused(api: TestClient) -> None:
    assert "not a photo" in problem(_photo(api, b"<svg/>"), 422, "photo")["detail"]
    problem(_photo(api, encoded(np.zeros((2000, 2000, 3), np.uint8), ".png")), 422, "photo")
    problem(_photo(api, b"x" * 300_001), 413, "too-large")
    problem(_photo(api, b"x" * 600_000), 413, "too-large")
    problem(api.post("/api/v1/photos", json={}), 415, "unsupported-media-type")
    problem(api.post("/api/v1/photos", files={"other": b"x"}), 422, "invalid")
    multipart = {"Content-Type": "multipart/form-data"}
    problem(api.post("/api/v1/photos", content=b"xx", headers=multipart), 400, "bad-form")
    broken = {"Content-Type": "multipart/form-data; boundary=b"}
    assert api.post("/api/v1/photos", content=b"xx", headers=broken).status_code in (400, 422)


def test_bodies_are_counted_while_they_come_in(api: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(2000):
            yield b" " * 10_000

    for path, kind in (("/api/v1/search", "application/json"), ("/api/v1/photos", "multipart/form-data; boundary=b")):
        problem(api.post(path, content=endless(), headers={"Content-Type": kind}), 413, "too-large")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"k": -1}, 422),
        ({"k": 0}, 422),
        ({"k": 10**9}, 422),
        ({"k": 1.5}, 422),
        ({"k": float("nan")}, 422),
        ({"examples": []}, 422),
        ({"examples": [{}]}, 422),
        ({"examples": [{"tracklet_id": "x"}]}, 422),
        ({"examples": [{"vector": [1, 2, 3]}]}, 422),
        ({"examples": [{"tracklet_id": "01K9ZB3Q0V5W1T8R6J2N4M7XCD"}] * 21}, 422),
        ({"examples": [{"tracklet_id": "01K9ZB3Q0V5W1T8R6J2N4M7XCD"}]}, 404),
        ({"examples": [{"photo_id": "guessed-photo-id"}]}, 404),
        ({"filters": {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}}, 422),
        ({"filters": {"since": "2026-01-02T00:00:00"}}, 422),
        ({"filters": {"cameras": []}}, 422),
        ({"filters": {"cameras": ["../x"]}}, 422),
        ({"filters": {"modality": "x-ray"}}, 422),
        ({"filters": {"min_probability": 0.5}}, 422),
    ],
)
def test_searches_that_cannot_be_made(
    api: TestClient, sightings: list[str], change: dict[str, Any], status: int
) -> None:
    body = {"examples": [{"tracklet_id": sightings[0]}], **change}
    answer = api.post("/api/v1/search", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_filters_of_the_api(api: TestClient, sightings: list[str]) -> None:
    def search(**filters: Any) -> list[dict[str, Any]]:
        body = {"examples": [{"tracklet_id": sightings[0]}], "filters": filters, "k": 1000}
        return list(api.post("/api/v1/search", json=body).json()["matches"])

    assert len(search()) == 19
    assert len(search(exclude_examples=False)) == 20
    assert {m["tracklet"]["camera_id"] for m in search(exclude_cameras=["gate"])} == {"hall"}
    assert search(cameras=["nowhere"]) == []
    assert search(since="1926-01-01T00:00:00Z", until="2026-01-01T00:00:00Z") == []


def test_another_models_sighting_is_a_conflict(world: World, api: TestClient) -> None:
    other = record_of(world.services.media, "red", number=77, camera="old", model_hash="older-model")
    world.services.gallery.put(other)
    answer = api.post("/api/v1/search", json={"examples": [{"tracklet_id": other.id}]})
    problem(answer, 409, "model-mismatch")
    world.services.gallery.delete([other.id])


# -- the rest --------------------------------------------------------------------------------------


def test_system_says_what_runs(api: TestClient) -> None:
    system = api.get("/api/v1/system").json()
    assert {engine["purpose"] for engine in system["engines"]} == {"detection", "re-identification"}
    assert system["redis"]["product"] == "valkey"


def test_unknown_paths_and_methods(api: TestClient) -> None:
    problem(api.get("/api/v1/nothing"), 404, "not-found")
    wrong = api.put("/api/v1/cameras", json={})
    problem(wrong, 405, "method-not-allowed")
    assert "GET" in wrong.headers["allow"]


def test_what_breaks_inside_stays_inside(world: World, api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("secret internals at /home/somebody")

    monkeypatch.setattr(world.services.cameras, "list", broken)
    answer = api.get("/api/v1/cameras")
    problem(answer, 500, "internal")
    assert "internals" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_openapi_document_generates_good_names(api: TestClient) -> None:
    document = api.get("/api/v1/openapi.json").json()
    names = [o["operationId"] for methods in document["paths"].values() for o in methods.values()]
    assert len(names) == len(set(names))
    assert {"log_in", "list_cameras", "search", "find_persons_in_photo", "get_tracklet_crop"} <= set(names)
    assert all(name.isidentifier() and "api_v1" not in name for name in names)
    for methods in document["paths"].values():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["tags"]
    assert document["components"]["securitySchemes"]["session"]["scheme"] == "bearer"
    assert document["paths"]["/api/v1/session"]["post"]["security"] == []


def test_readiness_answers_while_redis_hangs_and_all_threads_wait(
    world: World, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.health.WAIT_S", 0.2)
    goes_on = threading.Event()
    last_resort = threading.Timer(60, goes_on.set)
    last_resort.start()

    def hanging(*_: Any, **__: Any) -> Any:
        goes_on.wait()
        raise redis.ConnectionError

    with monkeypatch.context() as hung:
        hung.setattr(world.services.redis, "ping", hanging)
        hung.setattr(world.services.cameras, "list", hanging)
        waiting = [threading.Thread(target=api.get, args=("/api/v1/cameras",)) for _ in range(45)]
        for one in waiting:
            one.start()
        for _ in range(4):
            ready = api.get("/health/ready")
            assert (ready.status_code, ready.json()["reasons"]) == (503, ["Redis does not answer."])
        assert not goes_on.is_set()
        goes_on.set()
        for one in waiting:
            one.join()
    last_resort.cancel()
    _until(lambda: api.get("/health/ready").status_code == 200)


def test_while_redis_hangs_or_is_gone_answers_are_503_and_it_recovers(world: World, api: TestClient) -> None:
    server = psutil.Process(world.server.pid)
    server.send_signal(signal.SIGKILL)
    _until(lambda: not world.server.is_running())
    try:
        gone = api.get("/api/v1/cameras")
        problem(gone, 503, "store-unavailable")
        assert gone.headers["retry-after"]
        ready = api.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["reasons"] == ["Redis does not answer."]
        assert api.get("/health/live").status_code == 200
        problem(api.post("/api/v1/session", json={"account": "admin", "password": "x"}), 503, "store-unavailable")
    finally:
        world.server.start()
    _until(lambda: api.get("/api/v1/cameras").status_code == 200)
    _until(lambda: api.get("/health/ready").status_code == 200)
