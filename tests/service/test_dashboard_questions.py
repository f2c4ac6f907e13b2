"""What the dashboard asks of the scoped services beyond what the API does, and the slow wall."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from support.api_world import (
    CALIBRATION,
    PASSWORD,
    World,
    bearer,
    client_of,
    foreseeable_loaders,
    person_picture,
    record_of,
    world_in,
)
from support.cameras import wait_for

from models.types import Modality
from pipeline.camera import CameraConfig
from service.api.schema_subjects import SubjectCreate
from service.api.scoped import Scoped
from service.audit import Trail
from service.gallery import GalleryFilter, TrackletRecord
from service.live import RedisLiveView
from service.search import Example
from service.search_store import Question, VerdictKind
from service.security import Access, Role


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders = foreseeable_loaders(calibration=CALIBRATION)
    with world_in(tmp_path_factory.mktemp("questions"), loaders=loaders) as world:
        yield world


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        yield client


@pytest.fixture(scope="module")
def red(world: World, running: TestClient) -> list[TrackletRecord]:
    """Eight sightings of red by day at the gate and at night in the yard, in turn, among as many of blue."""
    made = []
    for number in range(16):
        night = number // 2 % 2 == 1
        made.append(
            record_of(
                world.services.media,
                ("red", "blue")[number % 2],
                number=number,
                camera="yard" if night else "gate",
                modality=Modality.INFRARED if night else Modality.VISIBLE,
            )
        )
    world.services.gallery.put_many(made)
    index = world.services.index
    wait_for(lambda: index is not None and len(index) == 16, 10, "the index")
    return made[::2]


def _as(world: World, name: str, role: Role, cameras: frozenset[str] | None = None) -> Scoped:
    world.services.accounts.get(name) or world.services.accounts.add(name, PASSWORD, role, cameras)
    return Scoped(world.services, Access(name, role, cameras), Trail(account=name))


def test_another_question_in_the_place_of_a_search_takes_the_verdicts_along(
    world: World, red: list[TrackletRecord]
) -> None:
    searches = _as(world, "mara", Role.OPERATOR).searches
    question = Question((Example(tracklet_id=red[0].id),), GalleryFilter(), 50, reason="a test")
    search_id = searches.make(question).search.id
    day, night, other_night = red[2], red[1], red[3]
    searches.judge(search_id, day.id, VerdictKind.CONFIRM)
    searches.judge(search_id, night.id, VerdictKind.CONFIRM)
    searches.judge(search_id, other_night.id, VerdictKind.REJECT)
    state = searches.vary(search_id, replace(question, filters=GalleryFilter(modality=Modality.INFRARED)))
    assert state.search.id != search_id
    assert {record.id: verdict.kind for record, verdict in state.judged} == {
        night.id: VerdictKind.CONFIRM,
        other_night.id: VerdictKind.REJECT,
    }
    # What the filter leaves out cannot be a match any more; it goes on as an example.
    assert [e.tracklet_id for e in state.search.question.examples] == [red[0].id, day.id]
    assert {night.id, other_night.id}.isdisjoint(one.tracklet_id for one in state.ranked)
    assert len(searches.get(search_id).judged) == 3


def test_own_searches_show_the_sighting_they_began_with_as_far_as_one_sees_it(
    world: World, red: list[TrackletRecord]
) -> None:
    everywhere = _as(world, "nils", Role.OPERATOR)
    question = Question((Example(tracklet_id=red[1].id),), GalleryFilter(), 50)
    made = everywhere.searches.make(question).search.id
    assert [(own.search.id, own.picture) for own in everywhere.searches.overview(5)] == [(made, red[1])]
    narrowed = Scoped(world.services, Access("nils", Role.OPERATOR, frozenset({"gate"})), Trail())
    assert [own.picture for own in narrowed.searches.overview(5)] == [None]


def test_subjects_are_shown_by_a_sighting_and_found_by_one(world: World, red: list[TrackletRecord]) -> None:
    everywhere = _as(world, "mara", Role.OPERATOR)
    ids = [red[4].id, red[5].id]
    subject, _ = everywhere.subjects.add("Red", ids, None, SubjectCreate(name="Red", tracklet_ids=ids))
    known, cursor = everywhere.subject_views.overview(5, None)
    assert [(one.subject.id, one.picture) for one in known] == [(subject.id, red[5])]
    assert cursor is None
    gate = _as(world, "gate-desk", Role.OPERATOR, frozenset({"gate"}))
    assert [one.picture for one in gate.subject_views.overview(5, None)[0]] == [red[4]]
    assert everywhere.subjects.holding(red[4].id) == everywhere.subjects.get(subject.id)
    assert everywhere.subjects.holding(red[0].id) is None
    assert gate.subjects.holding(red[5].id) is None  # its subject is there, but not for this sighting


def test_a_fresh_password_lets_in_and_the_old_one_does_not(world: World, running: TestClient) -> None:
    world.services.accounts.add("forgetful", PASSWORD, Role.VIEWER)
    admin = Scoped(world.services, Access("admin", Role.ADMIN), Trail(account="admin"))
    people = replace(admin.people, by=None)
    secret = people.renew_password("forgetful")
    assert running.post("/api/v1/session", json={"account": "forgetful", "password": PASSWORD}).status_code == 401
    assert running.post("/api/v1/session", json={"account": "forgetful", "password": secret}).status_code == 201


def test_a_slow_wall_gets_a_picture_only_so_often(world: World, running: TestClient) -> None:
    if not any(c.id == "gate" for c in world.services.camera_configs()):
        world.services.cameras.add(CameraConfig("gate", "Gate", "rtsp://192.168.1.20:554/gate"))
    view, stop, published = RedisLiveView(world.services.redis), threading.Event(), []

    def paint() -> None:
        while not stop.wait(0.05):
            view.publish("gate", person_picture("red"), [], datetime.now(UTC), Modality.VISIBLE)
            published.append(1)

    painter = threading.Thread(target=paint)
    painter.start()
    try:
        with running.websocket_connect("/api/v1/live", headers=bearer(world.token_of(Role.OPERATOR))) as socket:
            socket.send_text(json.dumps({"watch": ["gate"], "every_s": 60}))
            socket.receive_bytes()
            seen = len(published)
            wait_for(lambda: len(published) > seen + 5, 10, "more pictures")
            # None of them was sent: what comes next is the answer to a mistake.
            socket.send_text(json.dumps({"watch": ["gate"], "every_s": -1}))
            assert socket.receive()["type"] == "websocket.close"
    finally:
        stop.set()
        painter.join()
