"""Retention: what is too old goes, camera by camera; what is held stays; nobody does it twice at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.api_world import World, record_of, world_in
from ulid import ULID

from service.gallery import Retention, Swept
from service.gallery import retention as module

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("retention")) as world:
        yield world


@pytest.fixture(autouse=True)
def empty(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_S", 0.0)
    world.services.redis.flushdb()


def aged(world: World, days: float, number: int, camera: str = "gate", **fields: Any) -> str:
    record = record_of(
        world.services.media, "red", number=number, camera=camera, started_at=NOW - timedelta(days=days), **fields
    )
    world.services.gallery.put(record)
    return record.id


def job(world: World, days: float | None = 30.0, by_camera: dict[str, float | None] | None = None) -> Retention:
    s = world.services
    return Retention(s.redis, s.gallery, s.media, s.holds, default_days=days, keep_days=lambda: by_camera or {})


def test_what_is_too_old_goes_with_its_pictures(world: World) -> None:
    old, young = aged(world, 31, 1), aged(world, 29, 2)
    key = world.services.gallery.get(old).crops[0].key  # type: ignore[union-attr]
    assert job(world).sweep(NOW) == Swept(records=1, pictures=4)
    assert world.services.gallery.present([old, young]) == {young}
    assert not world.services.media.exists(key)
    assert job(world).sweep(NOW) == Swept()


def test_cameras_have_their_own_time_also_when_they_are_gone(world: World) -> None:
    ids = {camera: aged(world, 10, i, camera) for i, camera in enumerate(("short", "long", "usual", "removed"))}
    days: dict[str, float | None] = {"short": 5, "long": 400}
    assert job(world, 9, days).sweep(NOW).records == 3
    assert world.services.gallery.present(list(ids.values())) == {ids["long"]}


def test_for_ever_is_for_ever(world: World) -> None:
    old, short = aged(world, 9000, 1), aged(world, 9000, 2, "short")
    assert job(world, None, {"short": 1}).sweep(NOW).records == 1
    assert world.services.gallery.present([old, short]) == {old}


def test_holds_stop_it_and_do_not_stand_in_the_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 2)
    ids = [aged(world, 40 - i / 100, i) for i in range(9)]
    for one in ids[:3]:
        world.services.holds.place(one, "court", "admin")
    swept = job(world).sweep(NOW)
    assert (swept.records, swept.held) == (6, 3)
    assert world.services.gallery.present(ids) == set(ids[:3])
    world.services.holds.lift(ids[0])
    assert job(world).sweep(NOW).records == 0, "the first job holds the lease"


def test_of_two_processes_one_works(world: World) -> None:
    aged(world, 40, 1)
    first, second = job(world), job(world)
    assert first.sweep(NOW).records == 1
    late = aged(world, 40, 2)
    assert second.sweep(NOW) == Swept()
    assert world.services.gallery.present([late])
    world.services.redis.delete("tapetum:retention")  # the first one died
    assert second.sweep(NOW).records == 1


def test_a_record_that_cannot_be_read_goes_too(world: World) -> None:
    broken = aged(world, 40, 1)
    world.services.redis.hset(f"tapetum:tracklet:{broken}", "ended", b"never")
    assert job(world).sweep(NOW).records == 1
    assert not world.services.gallery.present([broken])


def test_a_long_sighting_counts_from_its_end(world: World) -> None:
    record = record_of(world.services.media, "red", number=1, started_at=NOW - timedelta(days=30, seconds=2))
    world.services.gallery.put(record)  # four seconds long: it ended less than thirty days ago
    assert job(world).sweep(NOW) == Swept()


def test_pictures_without_a_record_are_found_unless_they_are_young(world: World) -> None:
    services = world.services
    job(world).sweep(NOW)  # what other tests left
    services.redis.flushdb()
    orphan = record_of(services.media, "red", number=1, started_at=NOW - timedelta(days=3))
    waiting = record_of(services.media, "red", number=2, started_at=NOW - timedelta(minutes=5))
    kept = aged(world, 3, 3)
    swept = job(world).sweep(NOW)
    assert swept.orphans == 4
    assert not services.media.exists(orphan.crops[0].key)
    assert services.media.exists(waiting.crops[0].key)
    assert services.media.exists(services.gallery.get(kept).crops[0].key)  # type: ignore[union-attr]
    services.media.delete_tracklet(waiting.crops[0].key)


def test_a_sweep_is_told_and_counted(world: World) -> None:
    services = world.services
    before = services.metrics.registry.get_sample_value("tapetum_retention_removed_total") or 0
    services._note_swept(Swept(3, 12, 0, 1))
    assert services.metrics.registry.get_sample_value("tapetum_retention_removed_total") == before + 3
    newest = services.audit.newest(count=1)[0]
    assert newest["event"] == "retention"
    assert newest["details"] == {"records": 3, "pictures": 12, "orphans": 0, "held": 1}


def test_ids_are_as_old_as_their_sightings(world: World) -> None:
    one = aged(world, 12, 1)
    assert abs((ULID.from_str(one).datetime - (NOW - timedelta(days=12))).total_seconds()) < 1


def test_the_servers_files_forget_once_a_day(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    monkeypatch.setattr(module, "compact", written.append)
    work = job(world)
    assert (work.sweep(NOW).records, written) == (0, [])  # nothing went, so there is nothing to forget
    aged(world, 31, 1)
    assert (work.sweep(NOW).records, written) == (1, [])  # not yet
    monkeypatch.setattr(module, "_TIDYING_EVERY_S", 0.0)
    work._tidying_due_s = 0.0
    for _ in range(2):
        work.sweep(NOW)
    assert written == [world.services.redis]  # once, until something goes again
