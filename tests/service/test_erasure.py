"""What is erased is gone: from answers, from the index, from pictures, from the server's files, and for good."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from support.api_world import World, bearer, client_of, person_picture, record_of, world_in
from support.cameras import wait_for
from support.command import run_command
from support.disk import found_in
from ulid import ULID

from pipeline.spool import Spool
from service.gallery import Eraser, ErasureReport, GalleryUnavailable, HeldError, PutResult, verify_erasure
from service.gallery.erasure import compact
from service.gallery.store import ERASURE_REMEMBERED_S
from service.ingest import Ingest
from service.security import Role
from service.subjects import Decision
from tests.support.tracklets import handed_over

NOBODY = "01K9ZB3Q0V5W1T8R6J2N4M7XCD"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("erasure")) as world:
        yield world


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        client.headers.update(bearer(world.token_of(Role.ADMIN)))
        yield client


def stored(world: World, number: int, colour: str = "red", **fields: Any) -> Any:
    record = record_of(world.services.media, colour, number=number, **fields)
    assert world.services.gallery.put(record) is PutResult.STORED
    return record


def indexed(world: World, tracklet_id: str) -> bool:
    index = world.services.index
    return index is not None and tracklet_id in index.search(np.ones((1, index.dimension), np.float32), 1000)[0].ids


def test_an_erased_sighting_answers_nowhere(world: World, api: TestClient) -> None:
    record, other = stored(world, 1), stored(world, 2)
    wait_for(lambda: indexed(world, record.id), 10, "the index")
    answer = api.post("/api/v1/erasures", json={"tracklet_ids": [record.id, record.id], "reason": "asked for it"})
    assert answer.status_code == 201, answer.text
    report = answer.json()
    assert (report["records"], report["missing"], report["tracklet_ids"]) == (1, 0, [record.id])
    assert report["pictures"] == 4  # three crops and a thumbnail
    assert report["compacted"]
    assert api.get(f"/api/v1/tracklets/{record.id}").status_code == 404
    assert api.get(f"/api/v1/tracklets/{record.id}/crops/0").status_code == 404
    assert api.get(f"/api/v1/tracklets/{other.id}/crops/0").status_code == 200
    wait_for(lambda: not indexed(world, record.id), 10, "the index to forget")
    erased = ErasureReport.from_dict(report)
    assert erased.digest == report["digest"]
    assert verify_erasure(erased, world.services.gallery, world.services.media) == []
    events = [e for e in world.services.audit.newest() if e["event"] in ("erase", "erased")]
    assert events[0]["details"]["report"] == report["digest"]
    assert (events[1]["details"]["reason"], events[1]["details"]["tracklets"]) == ("asked for it", [record.id])


def test_a_late_delivery_does_not_bring_it_back(world: World, api: TestClient) -> None:
    record = stored(world, 3)
    api.post("/api/v1/erasures", json={"tracklet_ids": [record.id], "reason": "x"})
    assert world.services.gallery.put(replace(record, revision=9)) is PutResult.ERASED


def test_one_that_is_still_on_its_way_is_refused_when_it_comes(world: World) -> None:
    services = world.services
    record = record_of(services.media, "blue", number=4)
    report = services.eraser.erase([record.id], account="x", reason="x")
    assert (report.records, report.missing) == (0, 1)
    assert services.gallery.put(record) is PutResult.ERASED


def test_what_is_held_stays_and_nothing_else_goes_either(world: World, api: TestClient) -> None:
    held, free = stored(world, 5), stored(world, 6)
    placed = api.put(f"/api/v1/tracklets/{held.id}/hold", json={"reason": "court order 7"})
    assert placed.status_code == 200
    again = api.put(f"/api/v1/tracklets/{held.id}/hold", json={"reason": "another"})
    assert again.json() == placed.json()
    refused = api.post("/api/v1/erasures", json={"tracklet_ids": [free.id, held.id], "reason": "x"})
    assert refused.status_code == 409
    assert refused.json()["type"].endswith("under-hold")
    assert world.services.gallery.present([held.id, free.id]) == {held.id, free.id}
    assert api.delete(f"/api/v1/tracklets/{held.id}/hold").status_code == 204
    assert api.delete(f"/api/v1/tracklets/{held.id}/hold").status_code == 404
    assert api.post("/api/v1/erasures", json={"tracklet_ids": [free.id, held.id], "reason": "x"}).json()["records"] == 2


@pytest.mark.parametrize(
    "body",
    [
        {"tracklet_ids": [], "reason": "x"},
        {"tracklet_ids": [NOBODY]},
        {"tracklet_ids": [NOBODY], "reason": " "},
        {"tracklet_ids": [NOBODY], "reason": "x\u202ey"},
        {"tracklet_ids": ["../../etc"], "reason": "x"},
        {"tracklet_ids": [NOBODY] * 1001, "reason": "x"},
    ],
)
def test_requests_that_make_no_sense_are_refused(api: TestClient, body: dict[str, Any]) -> None:
    assert api.post("/api/v1/erasures", json=body).status_code == 422


def test_a_scope_of_cameras_erases_within_it_only(world: World, api: TestClient) -> None:
    mine, theirs = stored(world, 7, camera="gate"), stored(world, 8, camera="vault")
    headers = bearer(world.token_of(Role.ADMIN, ["gate"]))
    for ids in ([theirs.id], [mine.id, theirs.id], [NOBODY]):
        answer = api.post("/api/v1/erasures", json={"tracklet_ids": ids, "reason": "x"}, headers=headers)
        assert answer.status_code == 404
    assert world.services.gallery.present([mine.id, theirs.id]) == {mine.id, theirs.id}
    answer = api.post("/api/v1/erasures", json={"tracklet_ids": [mine.id], "reason": "x"}, headers=headers)
    assert answer.status_code == 201


def test_verification_finds_what_is_left_and_what_was_changed(world: World) -> None:
    services = world.services
    record = stored(world, 9)
    report = services.eraser.erase([record.id], account="x", reason="x")
    services.media.write(record.crops[0].key, b"left behind")
    assert verify_erasure(report, services.gallery, services.media) == [
        f"{record.id}: there are pictures of camera {record.camera_id}"
    ]
    services.media.delete_tracklet(record.crops[0].key)
    never = replace(report, tracklet_ids=(stored(world, 10).id,))
    found = verify_erasure(never, services.gallery, services.media)
    assert [line.partition(": ")[2] for line in found] == [
        "there is a record",
        "a late delivery would not be refused",
        f"there are pictures of camera {record.camera_id}",
    ]
    assert never.digest != report.digest
    for broken in ({}, {**report.to_dict(), "tracklet_ids": ["x"]}, {**report.to_dict(), "at": "yesterday"}):
        with pytest.raises(ValueError, match="expected an erasure report"):
            ErasureReport.from_dict(broken)


def test_verification_holds_after_the_ids_are_forgotten(world: World) -> None:
    services = world.services
    report = services.eraser.erase([stored(world, 12).id], account="x", reason="x")
    services.redis.zrem("tapetum:tracklets:erased", *report.tracklet_ids)
    assert len(verify_erasure(report, services.gallery, services.media)) == 1
    later = report.at + timedelta(seconds=ERASURE_REMEMBERED_S + 1)
    assert verify_erasure(report, services.gallery, services.media, now=later) == []


def test_several_at_once_all_end_well(world: World) -> None:
    services = world.services
    records = [stored(world, 200 + i) for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        reports = list(pool.map(lambda r: services.eraser.erase([r.id], account="x", reason="x"), records))
    assert [report.records for report in reports] == [1] * 6
    assert all(report.compacted for report in reports)


def test_one_that_stopped_half_way_can_be_asked_for_again(
    world: World, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = stored(world, 210)
    body = {"tracklet_ids": [record.id], "reason": "x"}

    def away(_client: Any) -> tuple[str, ...]:
        raise GalleryUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr("service.gallery.erasure.compact", away)
        assert api.post("/api/v1/erasures", json=body).status_code == 503
    again = api.post("/api/v1/erasures", json=body)
    assert again.status_code == 201
    assert (again.json()["records"], again.json()["missing"]) == (0, 1)
    assert api.post("/api/v1/erasures", json={**body, "tracklet_ids": [NOBODY]}).status_code == 404


def test_a_hold_placed_at_the_last_moment_holds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    services = world.services
    record = stored(world, 211)
    before = services.gallery.delete

    def late(ids: Any) -> int:
        services.holds.place(record.id, "court", "admin")
        return before(ids)

    monkeypatch.setattr(services.gallery, "delete", late)
    with pytest.raises(HeldError):
        services.eraser.erase([record.id], account="x", reason="x")
    assert services.gallery.present([record.id])
    assert services.media.exists(record.crops[0].key)
    services.holds.lift(record.id)


def test_pictures_written_while_redis_was_away_go_too(world: World, tmp_path: Path) -> None:
    services = world.services
    tracklet = handed_over(77)
    with closing(Spool(tmp_path / "spool.sqlite")) as spool:
        spool.put(tracklet)
        ingest = Ingest(spool, services.gallery, services.media)
        services.redis.sadd("tapetum:tracklets:cameras", tracklet.camera_id)
        services.eraser.erase([tracklet.id], account="x", reason="x")
        ingest._empty_pictures()
        key = services.media.key(tracklet.camera_id, tracklet.started_at, tracklet.id, "0" * 32)
        assert services.media.holds_tracklet(key)
        ingest._check_server()
        assert not services.media.holds_tracklet(key)
        assert spool.stats().pending == 0


def test_erasing_under_load_leaves_no_byte_in_the_data_folder(world: World, api: TestClient) -> None:
    """Vectors as they are stored, pictures as they were written; searched for in every file the server keeps."""
    services = world.services
    picture = person_picture("red", width=90, height=190)
    picture[40:90, 20:70] = np.random.default_rng(5).integers(0, 255, (50, 50, 3))  # unlike any other's
    subject = [stored(world, 100 + i, pictures=[picture]) for i in range(5)]
    needles = [np.asarray(record.vector, "<f2").tobytes() for record in subject]
    needles += [services.media.read(crop.key)[-400:] for record in subject for crop in record.crops]
    compact(services.redis)
    assert found_in(world.settings.data_dir, needles), "the search finds what is there"
    stop, written = threading.Event(), []

    def deliver() -> None:
        number = 1000
        while not stop.is_set():
            written.append(stored(world, number, "blue").id)
            number += 1

    writer = threading.Thread(target=deliver)
    writer.start()
    try:
        wait_for(lambda: len(written) > 20, 20, "the load")
        body = {"tracklet_ids": [record.id for record in subject], "reason": "right to erasure"}
        answer = api.post("/api/v1/erasures", json=body)
        assert answer.status_code == 201
    finally:
        stop.set()
        writer.join()
    assert found_in(world.settings.data_dir, needles) == []
    assert services.gallery.present(written) == set(written), "nobody else lost anything"


def test_a_worker_forgets_its_copy(world: World, tmp_path: Path) -> None:
    services = world.services
    spool = Spool(tmp_path / "spool.sqlite")
    tracklet = handed_over(1)
    spool.put(tracklet)
    ingest = Ingest(spool, services.gallery, services.media)
    ingest.start()
    try:
        wait_for(lambda: tracklet.id in services.gallery.present([tracklet.id]), 10, "the delivery")
        wait_for(lambda: spool.stats().delivered_kept == 1, 10, "the copy that is kept")
        services.eraser.erase([tracklet.id], account="x", reason="x")
        wait_for(lambda: spool.stats().delivered_kept == 0, 10, "the copy to go")
    finally:
        ingest.stop()
        spool.close()
    needle = np.asarray(tracklet.vector, "<f4").tobytes()
    assert found_in(tmp_path, [needle, np.asarray(tracklet.vector, "<f2").tobytes()]) == []


def test_an_id_that_is_none_is_refused_before_anything_is_touched(world: World) -> None:
    services = world.services
    record = stored(world, 11)
    with pytest.raises(ValueError, match="expected ids of sightings"):
        services.eraser.erase([record.id, "../x"], account="x", reason="x")
    services.holds.place(record.id, "x", "x")
    services.redis.hset("tapetum:tracklets:holds", record.id, b"damaged")
    with pytest.raises(HeldError, match="1 of the sightings"):
        Eraser(services.redis, services.gallery, services.media, services.holds).erase(
            [record.id], account="x", reason="x"
        )
    assert services.gallery.present([record.id])


def test_reports_are_plain_json() -> None:
    report = ErasureReport(NOBODY, datetime(2026, 1, 2, tzinfo=UTC), "x", "y", (NOBODY,), 1, 2, 0, ("snapshot",))
    assert ErasureReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_a_subject_is_erased_and_checked_from_the_console(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = world.services
    monkeypatch.setenv("TAPETUM_REDIS_URL", world.server.url)
    monkeypatch.setenv("TAPETUM_DATA_DIR", str(world.settings.data_dir))
    records = [stored(world, 20), stored(world, 21)]
    decision = Decision("gate", "somebody", datetime.now(UTC))
    subject, _ = services.subjects.add(str(ULID()), None, "somebody", {one.id: decision for one in records})
    report = tmp_path / "erasure.json"
    erase = ["gallery", "erase", "--reason", "asked", "--report", str(report), "--subject"]
    run_command(*erase, NOBODY, code=1)
    run_command(*erase, subject.id, records[0].id, code=2)
    assert not report.exists()
    run_command(*erase, subject.id)
    assert not services.gallery.present([one.id for one in records])
    run_command("gallery", "verify-erasure", str(report))
    services.media.write(records[0].crops[0].key, b"left behind")
    found = run_command("gallery", "verify-erasure", str(report), code=1)
    assert records[0].id in found.output
