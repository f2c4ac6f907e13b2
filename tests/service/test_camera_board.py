"""Cameras and who follows them: checked names, no lost edits, every camera held by one worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from support.command import run_command

from models.types import Modality
from pipeline.camera import CameraConfig, CameraHealth, CameraState
from service.camera_board import CameraHealthReader, RedisCameraBoard
from service.camera_registry import (
    CAMERAS,
    CameraConflictError,
    CameraExistsError,
    CameraMissingError,
    CameraRegistry,
)
from service.gallery import GalleryUnavailable

URL = "rtsp://admin:p%40ss@10.0.0.5/stream?channel=1"


def camera(name: str = "Front door", **fields) -> CameraConfig:
    return CameraConfig(id=fields.pop("id", ""), name=name, url=fields.pop("url", URL), **fields)


@pytest.fixture
def registry(redis_server) -> CameraRegistry:
    return CameraRegistry(redis_server.client())


def test_a_camera_is_added_found_edited_and_removed(registry: CameraRegistry) -> None:
    polygon = ((0.0, 0.0), (1.0, 0.0), (0.5, 1.0))
    added = registry.add(camera(modality=Modality.INFRARED, include=(polygon,), max_fps=5.0))
    assert added.config.id == "front-door"
    assert registry.get("front-door") == added
    edited = registry.edit(replace(added.config, name="Back door"), expected_revision=1)
    assert (edited.revision, edited.config.name, edited.config.include) == (2, "Back door", (polygon,))
    assert registry.list() == (edited,)
    registry.remove("front-door")
    assert registry.list() == ()
    for call in (registry.get, registry.remove, lambda i: registry.edit(camera(id=i))):
        with pytest.raises(CameraMissingError):
            call("front-door")


def test_ids_are_made_of_names_and_never_given_twice(registry: CameraRegistry) -> None:
    ids = [registry.add(camera(name)).config.id for name in ("Eingang Süd", "Eingang  süd!", "入口", "x" * 120)]
    assert ids == ["eingang-sud", "eingang-sud-2", "camera", "x" * 56]
    registry.remove("eingang-sud-2")
    assert registry.add(camera("Eingang Süd")).config.id == "eingang-sud-3"
    with pytest.raises(CameraExistsError):
        registry.add(camera(id="camera"))


def test_credentials_are_masked_and_survive_an_edit_with_the_mask(registry: CameraRegistry) -> None:
    added = registry.add(camera())
    shown = added.masked.config
    assert "p%40ss" not in shown.url
    assert "admin" not in shown.url
    assert "p%40ss" not in repr(added)
    registry.edit(replace(shown, name="Renamed"))
    assert registry.get(added.config.id).config.url == URL


def test_the_second_of_two_editors_is_told(registry: CameraRegistry) -> None:
    config = registry.add(camera()).config
    registry.edit(replace(config, max_fps=3.0), expected_revision=1)
    with pytest.raises(CameraConflictError, match="at 2"):
        registry.edit(replace(config, max_fps=4.0), expected_revision=1)
    assert registry.get(config.id).config.max_fps == 3.0


def test_declaring_adds_changes_or_leaves(registry: CameraRegistry) -> None:
    config = camera(id="demo-1")
    assert registry.declare(config).revision == 1
    assert registry.declare(config).revision == 1
    assert registry.declare(replace(config, max_fps=2.0)).revision == 2
    registry.remove("demo-1")
    assert registry.declare(config).revision == 1


def test_every_way_in_passes_the_check_of_addresses(redis_server) -> None:
    def check(url: str) -> None:
        if url.startswith("exec:"):
            raise ValueError("address not allowed")

    registry = CameraRegistry(redis_server.client(), check_url=check)
    config = registry.add(camera(id="a")).config
    bad = replace(config, url="exec:rm -rf")
    for call in (registry.edit, registry.declare, lambda c: registry.add(replace(c, id="b"))):
        with pytest.raises(ValueError, match="not allowed"):
            call(bad)
    assert registry.get("a").config.url == URL


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"name": "x" * 10_000}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "gate \u202egpj"}, "name"),
        ({"name": "a\u2028b"}, "name"),
        ({"name": " padded"}, "name"),
        ({"id": "../etc"}, "id"),
        ({"id": "a" * 65}, "id"),
        ({"id": "Upper"}, "id"),
        ({"url": ""}, "url"),
        ({"url": "rtsp://a/\r\nX"}, "url"),
        ({"url": "rtsp://" + "a" * 3000}, "url"),
        ({"max_fps": 0.0}, "max_fps"),
        ({"max_fps": float("nan")}, "max_fps"),
        ({"min_height_px": 0}, "min_height_px"),
        ({"read_timeout_s": 1e9}, "read_timeout_s"),
        ({"include": (((0.0, 0.0), (1.0, 1.0)),)}, "include"),
        ({"exclude": (((0.0, 0.0), (1.0, 1.0), (2.0, 0.0)),)}, "exclude"),
        ({"exclude": (((0.0, 0.0), (1.0, 1.0), (float("nan"), 0.0)),)}, "exclude"),
    ],
)
def test_what_cannot_be_a_camera_is_refused_by_name(registry: CameraRegistry, fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        registry.add(camera(**({"name": "ok"} | fields)))
    assert registry.list() == ()


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "*?[a-z]{1}", "O'Brien; DROP", "@tag:{x}", "门", "Tor 3 / Süd"]
)
def test_strange_but_harmless_names_are_kept_as_they_are(registry: CameraRegistry, name: str) -> None:
    assert registry.get(registry.add(camera(name)).config.id).config.name == name


def test_a_broken_entry_hides_only_itself(registry: CameraRegistry, redis_server) -> None:
    registry.add(camera("Good"))
    redis_server.client().hset(CAMERAS, mapping={"bad": "{", "worse": '{"config": {}}'})
    assert [r.config.id for r in registry.list()] == ["good"]


# -- leases --------------------------------------------------------------------------------------


def until(condition: Callable[[], bool], timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def fill(server, count: int) -> None:
    registry = CameraRegistry(server.client())
    for number in range(count):
        registry.add(camera(f"cam {number}"))


def rounds(boards: list[RedisCameraBoard], times: int = 6) -> list[set[str]]:
    for _ in range(times):
        held = [{c.id for c in board.lease()} for board in boards]
        flat = [one for part in held for one in part]
        assert len(flat) == len(set(flat)), "two workers hold one camera"
    return held


@pytest.mark.parametrize(
    ("cameras", "capacities", "sizes"),
    [
        (4, [10], [4]),
        (4, [10, 10], [2, 2]),
        (4, [10, 10, 10], [1, 1, 2]),
        (10, [2, 100], [2, 8]),
        (10, [3, 3], [3, 3]),
        (2, [5, 5, 5], [0, 1, 1]),
        (0, [5], [0]),
    ],
)
def test_cameras_are_shared_fairly_within_capacity(
    redis_server, cameras: int, capacities: list[int], sizes: list[int]
) -> None:
    fill(redis_server, cameras)
    boards = [RedisCameraBoard(redis_server.client(), f"w{i}", c) for i, c in enumerate(capacities)]
    assert sorted(len(part) for part in rounds(boards)) == sorted(sizes)


def test_a_newcomer_gets_its_share_and_then_nothing_moves(redis_server) -> None:
    fill(redis_server, 6)
    boards = [RedisCameraBoard(redis_server.client(), f"w{i}", 10) for i in range(3)]
    assert [len(part) for part in rounds(boards[:1])] == [6]
    after = rounds(boards)
    assert [len(part) for part in after] == [2, 2, 2]
    assert rounds(boards, 10) == after


def test_who_stops_gives_back_at_once_and_who_dies_is_replaced(redis_server) -> None:
    fill(redis_server, 4)
    boards = [RedisCameraBoard(redis_server.client(), f"w{i}", 10, lease_ms=800) for i in range(3)]
    assert all(rounds(boards))
    boards[0].release()
    assert sum(len(part) for part in rounds(boards[1:], 3)) == 4
    began = time.monotonic()  # w1 is not heard of any more
    until(lambda: len(boards[2].lease()) == 4)
    assert time.monotonic() - began < 3


def test_disabled_and_removed_cameras_are_let_go(redis_server) -> None:
    fill(redis_server, 3)
    registry, board = CameraRegistry(redis_server.client()), RedisCameraBoard(redis_server.client(), "w", 10)
    assert len(board.lease()) == 3
    registry.edit(replace(registry.get("cam-1").config, enabled=False))
    registry.remove("cam-2")
    assert [c.id for c in board.lease()] == ["cam-0"]
    registry.edit(replace(registry.get("cam-1").config, enabled=True, max_fps=2.0))
    assert {c.id: c.max_fps for c in board.lease()} == {"cam-0": None, "cam-1": 2.0}


def test_while_redis_is_dead_the_cameras_are_kept(mortal_server) -> None:
    fill(mortal_server, 2)
    board = RedisCameraBoard(mortal_server.client(timeout_s=0.5), "w", 10)
    held = board.lease()
    assert len(held) == 2
    mortal_server.kill()
    for _ in range(3):
        assert board.lease() == held
    board.report([health("cam-0")])
    with pytest.raises(GalleryUnavailable):
        CameraHealthReader(mortal_server.client(timeout_s=0.5)).get("cam-0")
    mortal_server.start()
    assert board.lease() == held


# -- health --------------------------------------------------------------------------------------


def health(camera_id: str, **fields) -> CameraHealth:
    return CameraHealth(camera_id, CameraState.LIVE, "w", datetime.now(UTC), **fields)


def test_health_is_read_as_it_was_reported_and_fades(redis_server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.camera_board.HEALTH_S", 1)
    board, reader = RedisCameraBoard(redis_server.client(), "w", 5), CameraHealthReader(redis_server.client())
    report = health(
        "a",
        error="it's fine",
        last_frame_at=datetime.now(UTC) - timedelta(seconds=1),
        modality=Modality.INFRARED,
        latency_p95_s=0.25,
        frames_skipped={"no motion": 7},
    )
    board.report([report, health("b")])
    assert reader.get("a") == report
    assert set(reader.get_many(["a", "b", "c"])) == {"a", "b"}
    until(lambda: reader.get("a") is None)


def test_the_console_tells_what_is_wrong_with_a_camera(redis_server, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    client = redis_server.client()
    CameraRegistry(client).declare(CameraConfig(id="gate", name="Gate", url="rtsp://eve:secret@192.168.1.2/x"))
    RedisCameraBoard(client, "w", 5).report([health("gate", error="192.168.1.2:554 refuses access.")])
    monkeypatch.setenv("TAPETUM_REDIS_URL", redis_server.url)
    monkeypatch.setenv("TAPETUM_DATA_DIR", str(tmp_path))
    told = run_command("cameras", "list").stdout
    assert "192.168.1.2:554 refuses access." in told
    assert "secret" not in told


def test_a_broken_report_is_no_report(redis_server) -> None:
    redis_server.client().set("tapetum:health:a", '{"camera_id": "a"}')
    assert CameraHealthReader(redis_server.client()).get("a") is None


def test_the_workers_are_known(redis_server) -> None:
    board = RedisCameraBoard(redis_server.client(), "w1", 7)
    board.lease()
    reader = CameraHealthReader(redis_server.client())
    assert reader.workers() == {"w1": 7}
    board.release()
    assert reader.workers() == {}
