"""What happened over time: robust to restarts, to Redis being away, and to several workers; bounded; and forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from support.api_world import World, bearer, client_of, world_in

from models.types import Modality
from pipeline.camera import CameraConfig, CameraHealth, CameraState
from service.camera_board import RedisCameraBoard
from service.camera_registry import CAMERAS, CameraRegistry
from service.gallery import GalleryUnavailable
from service.history import (
    COARSE,
    FINE,
    NOBODY,
    SYSTEM,
    CameraRecorder,
    HistoryReader,
    Level,
    Part,
    ProcessRecorder,
    Tally,
    latency_name,
    percentile,
)
from service.security import Role

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LIVE = CameraHealth("gate", CameraState.LIVE, "w1", NOON, modality=Modality.VISIBLE)


@pytest.fixture
def client(redis_server):
    client = redis_server.client()
    CameraRegistry(client).add(CameraConfig("gate", "Gate", "rtsp://10.0.0.5/x"))
    return client


def total(client, *, step_s: int = 3600, resolution=COARSE, hours: int = 2) -> Part:
    found = HistoryReader(client).series("camera:gate", NOON, NOON + timedelta(hours=hours), step_s, resolution)
    return Part.of_all(bucket.part for bucket in found)


def report(recorder: CameraRecorder, second: float, health: CameraHealth = LIVE, **fields) -> None:
    recorder.note([replace(health, updated_at=NOON + timedelta(seconds=second), **fields)])


def test_counters_become_differences_and_survive_that_they_begin_anew(client) -> None:
    recorder = CameraRecorder(client, CAMERAS)
    for second, analysed in ((0, 5), (10, 60), (20, 110), (30, 7), (40, 57)):  # opened anew before 30 s
        report(recorder, second, frames_analysed=analysed, frames_skipped={"no motion": analysed // 5})
    # Another worker takes over, in the same bucket; its counters begin at nothing.
    other = CameraRecorder(client, CAMERAS)
    for second, analysed in ((50, 3), (60, 53)):
        report(other, second, frames_analysed=analysed, worker_id="w2")
    part = total(client)
    assert part.counts["analysed"] == 110 + 57 + 53
    assert part.under("skipped") == {"no motion": 22 + 11}
    assert part.under("state") == {"live": 50.0}  # the ten seconds between the two are nobody's
    assert part.under("light") == {"visible": 50.0}


def test_a_part_that_is_written_again_and_again_is_counted_once(client) -> None:
    recorder = CameraRecorder(client, CAMERAS)
    for second in range(0, 1200, 10):
        report(recorder, second, frames_decoded=second)
        recorder.write()
    assert total(client).counts["decoded"] == total(client, step_s=300, resolution=FINE).counts["decoded"] == 1190
    steps = HistoryReader(client).series("camera:gate", NOON, NOON + timedelta(hours=1), 300, FINE)
    assert [(b.start.minute, b.part.counts["decoded"]) for b in steps] == [(0, 290), (5, 300), (10, 300), (15, 300)]


def test_samples_keep_their_extremes_over_processes() -> None:
    one, two = Tally(), Tally()
    for value in (0.2, -3.0):
        one.sample("clock", value)
    two.sample("clock", 1.0)
    both = Part.of_all(Part.read(tally.part().write()) for tally in (one, two))
    assert both.levels["clock"] == Level(3, pytest.approx(-1.8), -3.0, 1.0, 1.0)


@pytest.mark.parametrize("text", ["", "{}", "[1,2]", '[{"a":"x"},{}]', '[{},{"a":[1]}]', '[{},{"a":[]}]'])
def test_what_is_no_part_is_left_out(client, text: str) -> None:
    with pytest.raises(ValueError, match="expected a part"):
        Part.read(text)
    report(CameraRecorder(client, CAMERAS), 0, frames_analysed=4)
    client.hset(COARSE.key("camera:gate", NOON.timestamp()), f"{round(NOON.timestamp())}:bad", text)
    assert total(client).counts["analysed"] == 4


def test_changes_of_state_with_their_reasons_and_without_credentials(client) -> None:
    recorder = CameraRecorder(client, CAMERAS)
    report(recorder, 0)
    report(recorder, 1)
    told = "rtsp://admin:hidden@10.0.0.5/x: no picture for 10 s"
    report(recorder, 30, state=CameraState.STALLED, error=told)
    report(recorder, 40)
    recorder.leave({"gate": "disabled"}, NOON + timedelta(seconds=50))
    changes = HistoryReader(client).changes("gate", NOON, NOON + timedelta(hours=1))
    assert [(c.at.second, c.state) for c in changes] == [(0, "live"), (30, "stalled"), (40, "live"), (50, "disabled")]
    assert "no picture for 10 s" in (changes[1].reason or "")
    assert "hidden" not in (changes[1].reason or "")
    later = HistoryReader(client).changes("gate", NOON + timedelta(seconds=45), NOON + timedelta(hours=1))
    assert [c.state for c in later] == ["live", "disabled"], "how it was at the beginning belongs to it"


def test_a_time_in_which_nobody_followed_the_camera_is_told(client) -> None:
    report(CameraRecorder(client, CAMERAS), 0)  # and then it dies
    (live, nobody) = HistoryReader(client).changes("gate", NOON, datetime.now(UTC))
    assert (live.state, nobody.state, nobody.at) == ("live", NOBODY, NOON)
    report(CameraRecorder(client, CAMERAS), 600, worker_id="w2")
    changes = HistoryReader(client).changes("gate", NOON, NOON + timedelta(hours=1))
    assert [(c.at.minute, c.state) for c in changes][1:3] == [(0, NOBODY), (10, "live")]


def test_while_redis_is_away_nothing_is_lost(mortal_server) -> None:
    client = mortal_server.client(timeout_s=0.5)
    CameraRegistry(client).add(CameraConfig("gate", "Gate", "rtsp://10.0.0.5/x"))
    recorder = CameraRecorder(client, CAMERAS)
    report(recorder, 0, frames_analysed=0)
    mortal_server.kill()
    for second in range(20, 2000, 60):
        with pytest.raises(GalleryUnavailable):
            report(recorder, second, frames_analysed=second, state=CameraState.RECONNECTING)
    mortal_server.start()
    report(recorder, 2000, frames_analysed=2000)
    assert total(client).counts["analysed"] == 2000
    changes = HistoryReader(client).changes("gate", NOON, NOON + timedelta(hours=1))
    assert [c.state for c in changes][-3:] == ["reconnecting", "live", NOBODY]


def test_a_removed_camera_leaves_nothing_and_nothing_comes_back(client) -> None:
    now = datetime.now(UTC)
    board = RedisCameraBoard(client, "w1", 4)
    board.lease()
    board.report([replace(LIVE, updated_at=now - timedelta(seconds=30))])
    board.report([replace(LIVE, updated_at=now, frames_analysed=9)])
    assert client.keys("tapetum:history:camera:gate:*")
    CameraRegistry(client).remove("gate")
    board.report([replace(LIVE, updated_at=now + timedelta(seconds=60), state=CameraState.FAILED)])
    board.lease()
    board.release()
    assert client.keys("tapetum:history:camera:gate:*") == []


def test_every_key_ends_by_itself(client) -> None:
    recorder = CameraRecorder(client, CAMERAS)
    report(recorder, 0, frames_analysed=1)
    report(recorder, 20, frames_analysed=2)
    ProcessRecorder(client, "w1", lambda: {"queued.w1": 3.0}).note(NOON.timestamp())
    ends = {key.decode(): client.ttl(key) for key in client.keys("tapetum:history:*")}
    assert len(ends) == 6
    assert all(0 < ttl <= COARSE.keep_s + 2 * 86_400 for ttl in ends.values())


def test_a_flapping_camera_does_not_fill_the_store(client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.history.cameras._MOST_CHANGES", 50)
    recorder = CameraRecorder(client, CAMERAS)
    for second in range(120):
        report(recorder, second, state=(CameraState.LIVE, CameraState.STALLED)[second % 2])
    changes = HistoryReader(client).changes("gate", NOON, NOON + timedelta(hours=1))
    assert [c.state for c in changes[-2:]] == ["stalled", NOBODY]
    assert len(changes) == 51
    assert changes[-1].at == NOON + timedelta(seconds=119)


def test_processes_say_how_they_stand(client) -> None:
    found = [{f"search.{latency_name(0.01)}": 3.0}, {}]
    recorder = ProcessRecorder(client, "API, here", lambda: {"gallery": 7.0}, lambda: found.pop(0))
    recorder.note(NOON.timestamp())
    recorder.note(NOON.timestamp() + 10)
    (bucket,) = HistoryReader(client).series(SYSTEM, NOON, NOON + timedelta(minutes=4), 300, FINE)
    assert bucket.part.levels["gallery"].last == 7.0
    assert bucket.part.levels["memory.API, here"].samples == 2
    assert bucket.part.levels["memory.Redis"].least > 100_000
    assert sum(bucket.part.under("search").values()) == 3


@pytest.mark.parametrize("seconds", [0.0, 0.0003, 0.004, 0.07, 1.5, 40.0])
def test_percentiles_are_never_too_low_and_at_most_a_tenth_too_high(seconds: float) -> None:
    counts = {latency_name(seconds): 10.0, latency_name(100.0): 1.0}
    told = percentile(counts, 0.5)
    assert told is not None
    assert max(seconds, 0.000_25) <= told * 1.000_001 <= 1.1 * max(seconds, 0.000_25)
    assert percentile({}, 0.5) is None


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("history")) as world:
        yield world


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        client.headers.update(bearer(world.token_of(Role.ADMIN)))
        yield client


def test_the_api_tells_of_a_camera_and_of_the_installation(world: World, api: TestClient) -> None:
    services = world.services
    services.cameras.declare(CameraConfig("gate", "Gate", "rtsp://u:pw@192.168.1.20/x"))
    now = datetime.now(UTC)
    recorder = CameraRecorder(services.redis, CAMERAS)
    for second, state in ((30, CameraState.LIVE), (15, CameraState.LIVE), (1, CameraState.STALLED)):
        reason = "No picture from rtsp://u:pw@192.168.1.20/x" if state is CameraState.STALLED else None
        at = now - timedelta(seconds=second)
        health = replace(LIVE, state=state, updated_at=at, error=reason, frames_analysed=200 - second * 2)
        recorder.note([replace(health, clock_offset_s=1.5, latency_p95_s=second / 10)])
    recorder.write()
    told = api.get("/api/v1/cameras/gate/history").json()
    assert told["step_s"] == 300
    assert sum(item["analysed"] for item in told["items"]) == 198
    assert sum(item["states_s"].get("live", 0) for item in told["items"]) == pytest.approx(29, abs=0.1)
    assert told["items"][-1]["clock_offset_s"] == 1.5
    assert [change["state"] for change in told["changes"]][:2] == ["live", "stalled"]
    assert "u:pw" not in str(told)
    hours = api.get("/api/v1/cameras/gate/history", params={"step": 3600}).json()
    assert (hours["step_s"], sum(item["analysed"] for item in hours["items"])) == (3600, 198)
    system = api.get("/api/v1/system/history").json()
    assert sum(item["analysed"] for item in system["items"]) == 198
    viewing = bearer(world.token_of(Role.VIEWER, ["gate"]))
    viewer = api.get("/api/v1/cameras/gate/history", headers=viewing).json()
    assert viewer["changes"][1]["state"] == "stalled"
    assert "192.168.1.20" not in str(viewer)


def test_a_viewer_is_told_no_address_that_the_camera_had_before(world: World, api: TestClient) -> None:
    services = world.services
    cameras = CameraRegistry(services.redis)
    cameras.add(CameraConfig("yard", "Yard", "rtsp://old-name:554/x"))
    report(CameraRecorder(services.redis, CAMERAS), 0, replace(LIVE, camera_id="yard", error="old-name:554 is silent."))
    cameras.declare(CameraConfig("yard", "Yard", "rtsp://192.168.1.20/x"))
    params = {"since": NOON.isoformat(), "until": (NOON + timedelta(hours=1)).isoformat()}
    for role, told in ((Role.VIEWER, "The camera is silent."), (Role.ADMIN, "old-name:554 is silent.")):
        headers = bearer(world.token_of(role, ["yard"]))
        answer = api.get("/api/v1/cameras/yard/history", params=params, headers=headers).json()
        assert answer["changes"][0]["reason"] == told


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"since": "2026-11-01T00:00:00Z", "until": "2026-10-01T00:00:00Z"}, 422),
        ({"since": "0001-01-01T00:00:00+14:00"}, 422),
        ({"until": "0001-01-01T00:00:00Z"}, 422),
        ({"since": "0001-01-01T00:00:00Z", "until": "0001-01-02T00:00:00Z", "step": 86_100}, 422),
        ({"step": 7}, 422),
        ({"step": 0}, 422),
        ({"step": 300, "since": "2026-11-01T00:00:00Z", "until": "2126-11-01T00:00:00Z"}, 422),
        ({"since": "yesterday"}, 422),
        ({"since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00Z", "step": 300}, 200),
    ],
)
def test_strange_windows_are_refused_or_hold_nothing(api: TestClient, params: dict, status: int) -> None:
    answer = api.get("/api/v1/system/history", params=params)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json()["items"] == []
        assert answer.json()["step_s"] == 3600
