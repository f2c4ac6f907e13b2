"""Scenes and clips: from the worker to whoever may see them, in parts too, sealed on the disk, and gone when erased."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from support.api_world import MODEL_HASH, World, bearer, client_of, encoded, record_of, world_in
from support.cameras import wait_for
from support.disk import found_in
from support.filmed import MARKS, filmed, walk

from models.types import Modality
from pipeline.clips import with_clip
from pipeline.footage import Footage, Scene, content_digest
from pipeline.handover import HandedOver
from pipeline.sealing import Sealer
from pipeline.spool import Spool
from pipeline.types import Moment, Still
from service.backup.sightings import pictures_of
from service.gallery import MediaError, MediaStore, PutResult, Retention, TrackletRecord, keys, verify_erasure
from service.ingest import Ingest
from service.security import Role
from tests.support.tracklets import handed_over

OLD, NEW = bytes(range(32)), bytes(32)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    key = base64.b64encode(OLD).decode()
    with world_in(tmp_path_factory.mktemp("footage"), encryption_keys=[key]) as world:
        yield world


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        client.headers.update(bearer(world.token_of(Role.ADMIN)))
        yield client


def revisions(number: int) -> tuple[HandedOver, HandedOver]:
    """A sighting under way with one scene, and ended with another and a clip."""
    open_one = replace(handed_over(number), model_hash=MODEL_HASH, vector=np.eye(1, 32, dtype=np.float32)[0])
    record = record_like(open_one)
    reel = tuple(
        Moment(Still(encoded(image), i / 2, open_one.started_at + timedelta(seconds=i / 2)), box, 0.4)
        for i, (image, box) in enumerate(walk(record))
    )
    return tuple(
        with_clip(
            replace(open_one, revision=revision, closed=closed, **scene_of(reel[place]), reel=reel if closed else ())
        )
        for revision, closed, place in ((1, False, 1), (2, True, 5))
    )  # type: ignore[return-value]


def record_like(tracklet: HandedOver) -> TrackletRecord:
    return TrackletRecord(**tracklet.common(), model_hash=tracklet.model_hash, vector=tracklet.vector)


def scene_of(moment: Moment) -> dict[str, Any]:
    scene = Scene(content_digest(moment.still.jpeg), moment.box, moment.still.captured_at)
    return {"footage": Footage(scene), "media": {scene.digest: moment.still.jpeg}, "marks": MARKS}


def stored(world: World, number: int, **fields: Any) -> TrackletRecord:
    record = filmed(world.services.media, record_of(world.services.media, "red", number=number, **fields))
    assert world.services.gallery.put(record) is PutResult.STORED
    return record


def files_of(world: World, tracklet_id: str) -> list[str]:
    return sorted(
        path.name for path in Path(world.settings.data_dir, "media").rglob("*") if tracklet_id in str(path.parent)
    )


def test_from_the_spool_to_the_api_and_nothing_lies_open_on_the_disk(world: World, api: TestClient) -> None:
    services, folder = world.services, world.settings.data_dir
    first, last = revisions(1)
    assert last.footage.clip is not None
    assert last.footage.scene is not None
    needles = [data[-200:] for one in (first, last) for data in one.media.values()]
    with closing(Spool(folder / "spool" / "worker.sqlite", services.sealer)) as spool:
        ingest = Ingest(spool, services.gallery, services.media, check_keys=services.keys.claim)
        ingest.start()
        for one in (first, last):
            spool.put(one)
            assert found_in(folder, needles) == []
            wait_for(lambda r=one.revision: (g := services.gallery.get(first.id)) and g.revision == r, 10, "delivery")
        assert ingest.stop()
    assert found_in(folder, needles) == []
    told = api.get(f"/api/v1/tracklets/{last.id}").json()
    assert told["scene"]["box"] == pytest.approx(last.footage.scene.box, abs=1e-4)
    assert told["clip"]["duration_s"] == last.footage.clip.duration_s
    assert [one["at_s"] for one in told["clip"]["boxes"]] == [one.at_s for one in last.footage.clip.boxes]
    assert told["quality_marks"]["sharpness"] == MARKS.sharpness
    scene = api.get(told["scene"]["url"])
    assert (scene.headers["content-type"], scene.content) == ("image/jpeg", last.media[last.footage.scene.digest])
    clip = api.get(told["clip"]["url"])
    assert (clip.headers["content-type"], clip.content) == ("video/mp4", last.media[last.footage.clip.digest])
    for answer in (scene, clip):
        assert answer.headers["cache-control"] == "no-store"
    # The scene of the earlier revision went with it.
    named = {part.digest for part in last.footage.parts()}
    assert len([name for name in files_of(world, last.id) if name.split(".")[0] in named]) == 2
    assert not any(
        name.startswith(first.footage.scene.digest) for name in files_of(world, last.id) if first.footage.scene
    )
    listed = api.get("/api/v1/tracklets").json()["items"][0]
    assert (listed["scene"], listed["clip"]) == (None, None)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-", (0, None)),
        ("bytes=0-99", (0, 100)),
        ("bytes=100-199", (100, 200)),
        ("bytes=-50", (-50, None)),
        ("bytes=100-99999999", (100, None)),
        ("bytes=-99999999", (0, None)),
    ],
)
def test_players_fetch_parts(world: World, api: TestClient, asked: str, expected: tuple[int, int | None]) -> None:
    path = f"/api/v1/tracklets/{_shared(world).id}/clip"
    whole = api.get(path).content
    part = api.get(path, headers={"Range": asked})
    assert part.status_code == 206
    assert part.content == whole[slice(*expected)]
    first = expected[0] % len(whole)
    assert part.headers["content-range"] == f"bytes {first}-{first + len(part.content) - 1}/{len(whole)}"


@pytest.mark.parametrize(
    "asked", ["bytes=", "bytes=-", "bytes=9-3", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", "bytes=²-3"]
)
def test_what_is_no_range_is_answered_with_the_whole(world: World, api: TestClient, asked: str) -> None:
    answer = api.get(f"/api/v1/tracklets/{_shared(world).id}/clip", headers={"Range": asked.encode()})
    assert answer.status_code == 200
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.content[4:8] == b"ftyp"


def test_a_range_beyond_the_end_and_one_with_a_condition(world: World, api: TestClient) -> None:
    path = f"/api/v1/tracklets/{_shared(world).id}/clip"
    size = len(api.get(path).content)
    beyond = api.get(path, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert beyond.json()["type"].endswith("range-not-satisfiable")
    assert api.get(path, headers={"Range": "bytes=-0"}).status_code == 416
    assert api.get(path, headers={"Range": "bytes=0-9", "If-Range": '"x"'}).status_code == 200


def deliver(world: World, tracklet: HandedOver) -> TrackletRecord:
    """What the gallery has of it when a worker has handed it over."""
    services = world.services
    with closing(Spool(world.settings.data_dir / "spool" / "late.sqlite", services.sealer)) as spool:
        ingest = Ingest(spool, services.gallery, services.media, check_keys=services.keys.claim)
        spool.put(tracklet)
        ingest.start()
        assert ingest.stop()
    record = services.gallery.get(tracklet.id)
    assert record is not None
    assert record.revision == tracklet.revision
    return record


def moved_to(record: TrackletRecord) -> dict[str, Any]:
    names = ("id", "camera_id", "modality", "started_at", "ended_at")
    return {name: getattr(record, name) for name in names}


def _shared(world: World) -> TrackletRecord:
    known = getattr(world, "shared", None) or stored(world, 2)
    world.shared = known  # type: ignore[attr-defined]
    return known


def test_records_from_before_there_was_footage_are_read_and_say_so(world: World, api: TestClient) -> None:
    record = record_of(world.services.media, "red", number=3)
    world.services.gallery.put(record)
    world.services.redis.hdel(keys.record(record.id), "footage", "marks")
    assert world.services.gallery.get(record.id) == record
    told = api.get(f"/api/v1/tracklets/{record.id}").json()
    assert (told["scene"], told["clip"], told["quality_marks"]) == (None, None, None)
    for part in ("scene", "clip"):
        answer = api.get(f"/api/v1/tracklets/{record.id}/{part}")
        assert answer.status_code == 404
        assert answer.json()["type"].endswith("footage-not-found")


def test_a_record_with_footage_that_makes_no_sense_is_left_out(world: World) -> None:
    record = stored(world, 4)
    for broken in (b'{"scene":["../../../etc/passwd",0,0,0,1,1]}', b"7", b'{"clip":[]}'):
        world.services.redis.hset(keys.record(record.id), "footage", broken)
        assert world.services.gallery.get(record.id) is None
    world.services.gallery.delete([record.id])


def test_looking_at_footage_is_noted(world: World, api: TestClient) -> None:
    record = stored(world, 5)
    api.get(f"/api/v1/tracklets/{record.id}/clip")

    def noted() -> bool:
        return any(
            record.id in e["details"].get("items", {})
            for e in world.services.audit.newest()
            if e["event"] == "view.pictures"
        )

    wait_for(noted, 10, "the audit log")


def test_an_erased_sighting_takes_its_footage_with_it(world: World, api: TestClient) -> None:
    record = stored(world, 6)
    paths = [f"/api/v1/tracklets/{record.id}/{part}" for part in ("scene", "clip")]
    assert [api.get(path).status_code for path in paths] == [200, 200]
    report = world.services.eraser.erase([record.id], account="x", reason="x")
    assert report.pictures == 6  # three crops, a thumbnail, scene and clip
    assert [api.get(path).status_code for path in paths] == [404, 404]
    assert files_of(world, record.id) == []
    assert verify_erasure(report, world.services.gallery, world.services.media) == []


def test_a_clip_that_is_left_behind_is_found_out(world: World) -> None:
    record = stored(world, 7)
    (_, clip) = MediaStore.footage_keys(record).values()
    report = world.services.eraser.erase([record.id], account="x", reason="x")
    world.services.media.write(clip, b"left behind")
    assert verify_erasure(report, world.services.gallery, world.services.media) != []


def test_whoever_is_erased_is_also_gone_from_what_others_keep_of_the_place(world: World, api: TestClient) -> None:
    gone = stored(world, 20, camera="yard")
    near = {
        "at the same time": stored(world, 21, camera="yard", started_at=gone.started_at + timedelta(seconds=3)),
        "by night": stored(
            world, 22, camera="yard", modality=Modality.INFRARED, started_at=gone.started_at - timedelta(seconds=3)
        ),
        "held": stored(world, 23, camera="yard", started_at=gone.started_at + timedelta(seconds=1)),
        "later": stored(world, 24, camera="yard", started_at=gone.started_at + timedelta(minutes=5)),
        "elsewhere": stored(world, 25, camera="gate", started_at=gone.started_at),
    }
    world.services.holds.place(near["held"].id, "court order 7", "admin")
    report = world.services.eraser.erase([gone.id], account="x", reason="x")
    assert report.elsewhere["footage"] == 2
    left = {}
    for name, record in near.items():
        told = api.get(f"/api/v1/tracklets/{record.id}").json()
        assert (told["scene"] is None) == (told["clip"] is None)
        left[name] = told["scene"] is not None
        assert len(files_of(world, record.id)) == (6 if left[name] else 4)
        assert api.get(f"/api/v1/tracklets/{record.id}/crops/0").status_code == 200
        if name == "at the same time":
            assert deliver(world, replace(revisions(26)[1], **moved_to(record), revision=9)).footage.parts() == ()
            assert len(files_of(world, record.id)) == 3  # a late revision: two crops and a thumbnail
    assert left == {"at the same time": False, "by night": False, "held": True, "later": True, "elsewhere": True}


def test_footage_goes_when_its_time_is_over(world: World) -> None:
    services = world.services
    record = stored(world, 30, camera="attic")
    sweep = Retention(
        services.redis,
        services.gallery,
        services.media,
        services.holds,
        default_days=None,
        keep_days=lambda: {"attic": 1},
    )
    swept = sweep.sweep(record.ended_at + timedelta(days=2))
    assert (swept.records, swept.pictures) == (1, 6)
    assert files_of(world, record.id) == []


def test_a_backup_names_scene_and_clip_and_a_new_key_seals_them(world: World) -> None:
    services = world.services
    record = stored(world, 31)
    names = pictures_of(record.id, services.redis.hgetall(keys.record(record.id)))
    assert sorted(name.rpartition("/")[2] for name in names) == files_of(world, record.id)
    assert len(names) == 6
    base = world.settings.media_base
    assert MediaStore(base, Sealer([NEW, OLD])).reseal_folder(names[0]) == 6
    for key in MediaStore.footage_keys(record).values():
        assert MediaStore(base, Sealer([NEW])).read(key)[:2] in (b"\xff\xd8", b"\0\0")
        with pytest.raises(MediaError):
            services.media.read(key)
    services.eraser.erase([record.id], account="x", reason="x")
