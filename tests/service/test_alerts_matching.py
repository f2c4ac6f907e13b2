"""From tracklets that arrive to alerts: once a sighting, nothing lost, nobody's scope exceeded."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from datetime import time as day_time
from typing import Any

import numpy as np
import pytest
import redis
from support.tracklets import DIMENSION, record, tracklet_id, unit_vector
from support.watchlists import BEGIN, PASSWORD, Desk

from models.types import Modality
from service.alerts import change_group, keys
from service.alerts.alert import alert_id
from service.alerts.entries import WatchEntry, WatchExample
from service.alerts.entry_store import server_time
from service.alerts.hours import Hours
from service.gallery import GalleryUnavailable
from service.gallery import keys as gallery_keys
from service.security.access import Role

PERSON, SOMEBODY_ELSE = 1, 58  # of seeds whose directions are almost orthogonal


@pytest.fixture(autouse=True)
def _no_costly_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody logs in here."""
    monkeypatch.setattr("service.security.accounts.hashed", lambda password: "x")


@pytest.fixture
def desk(redis_server: Any) -> Desk:
    return Desk(redis_server.client())


def test_an_alert_says_who_where_when_and_why(desk: Desk) -> None:
    entry = desk.watch(unit_vector(PERSON), name="Missing boy", reason="case 7", threshold=0.95)
    other = desk.put(1, SOMEBODY_ELSE)
    seen = desk.put(2, PERSON, camera="yard", modality=Modality.VISIBLE)
    desk.match()
    (alert,) = desk.raised()
    assert alert.id == alert_id(entry.id, seen.id)
    assert (alert.entry_id, alert.entry_name, alert.reason, alert.owner) == (entry.id, "Missing boy", "case 7", "desk")
    assert (alert.tracklet_id, alert.camera_id, alert.pair) == (seen.id, "yard", "VV")
    assert alert.example == entry.examples[0]
    assert alert.threshold == 0.95
    assert alert.probability == pytest.approx(1 / (1 + np.exp(-10)), abs=1e-4)
    assert alert.cosine == pytest.approx(1.0, abs=1e-3)
    assert (alert.started_at, alert.captured_at) == (seen.started_at, seen.ended_at)
    assert timedelta(0) <= alert.alerted_at - alert.indexed_at < timedelta(minutes=1)
    assert [latency for _, latency in desk.heard] == [alert.latency_s]
    assert other.id not in {one.tracklet_id for one in desk.raised()}


def test_one_alert_a_sighting_not_one_an_update(desk: Desk) -> None:
    desk.watch(unit_vector(PERSON), unit_vector(PERSON) + 0.01)
    minute = (server_time(desk.client) - datetime(2026, 3, 1, 12, 0, tzinfo=UTC)).total_seconds() / 60
    for revision in range(1, 5):
        desk.put(1, PERSON, revision=revision, minute=minute, lasts_s=revision * 3.0)
        desk.match()
    assert len(desk.raised()) == 1
    # A long track goes on in another tracklet of the same number: the same person still stands there.
    first = record(1, minute=minute)
    goes_on = replace(record(2, minute=minute + 14 / 60, vector=unit_vector(PERSON)), track_id=first.track_id)
    desk.gallery.put(goes_on)
    desk.match()
    assert len(desk.raised()) == 1
    # The person comes back a minute later, and the tracker knows them again: another sighting.
    again = replace(record(3, minute=minute + 90 / 60, vector=unit_vector(PERSON)), track_id=first.track_id)
    desk.gallery.put(again)
    desk.match()
    assert [one.tracklet_id for one in desk.raised()] == [tracklet_id(1), tracklet_id(3)]


def test_an_update_that_shows_more_gives_the_alert(desk: Desk) -> None:
    desk.watch(unit_vector(PERSON))
    desk.put(1, unit_vector(PERSON) + unit_vector(SOMEBODY_ELSE) * 3)
    desk.match()
    assert desk.raised() == []
    seen = desk.put(1, PERSON, revision=2)
    desk.match()
    assert [one.tracklet_revision for one in desk.raised()] == [2]
    assert desk.raised()[0].tracklet_id == seen.id


def test_the_same_change_twice_and_by_two_processes(desk: Desk) -> None:
    """After a restart, and with two replicas: everything may be matched again, and is not told again."""
    desk.watch(unit_vector(PERSON))
    desk.put(1, PERSON)
    desk.match()
    other = desk.another()
    for number in range(2, 6):
        desk.put(number, PERSON, minute=5 * number)
        desk.match(other)
        desk.match()
    assert len(desk.raised()) == 5
    before = [one.id for one in desk.raised()]
    desk.client.xgroup_setid(gallery_keys.CHANGES, f"alerts:{desk.model_hash}", "0")
    desk.match()
    assert [one.id for one in desk.raised()] == before


def test_what_a_dead_process_left_is_taken_over(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_group, "CLAIM_IDLE_S", 0.0)
    desk.watch(unit_vector(PERSON))
    dead = desk.another()
    dead.step(None)
    desk.put(1, PERSON)
    assert dead._group.read(wait_ms=None, limit=10), "it has read the change, and dies"
    desk.match()
    assert len(desk.raised()) == 1
    assert desk.matcher.backlog() == 0


@pytest.mark.parametrize("away", [GalleryUnavailable("away"), redis.ConnectionError("away")])
def test_redis_away_while_matching_loses_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch, away: Exception) -> None:
    desk.watch(unit_vector(PERSON))
    desk.matcher.step(None)
    desk.put(1, PERSON)
    with monkeypatch.context() as patch:
        patch.setattr(desk.alerts, "raise_alert", lambda *_: (_ for _ in ()).throw(away))
        if isinstance(away, GalleryUnavailable):
            with pytest.raises(GalleryUnavailable):
                desk.matcher.step(None)
        else:
            desk.matcher.step(None)
    desk.matcher._joined = False
    desk.match()
    assert len(desk.raised()) == 1


def test_a_killed_server_and_a_running_matcher(mortal_server: Any) -> None:
    """The thread itself, through the death of Redis: what was written before and after is told, once."""
    desk = Desk(mortal_server.client())
    desk.watch(unit_vector(PERSON))
    desk.matcher.start()
    try:
        desk.put(1, PERSON, minute=0)
        wait_for(lambda: len(desk.raised()) == 1)
        time.sleep(1.1)  # the file is synced once a second
        mortal_server.kill()
        mortal_server.start()
        desk.put(2, PERSON, minute=5)
        wait_for(lambda: len(desk.raised()) == 2)
    finally:
        desk.matcher.stop()
    assert {one.tracklet_id for one in desk.raised()} == {tracklet_id(1), tracklet_id(2)}


def test_a_server_that_comes_back_empty(desk: Desk) -> None:
    """The group is gone with everything else; what comes from now on is matched."""
    desk.match()
    desk.client.flushall()
    desk.owner = desk.accounts.add("desk", PASSWORD, Role.OPERATOR)
    desk.watch(unit_vector(PERSON))
    desk.put(1, PERSON)
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        desk.matcher.step(None)
    desk.matcher._joined = False  # what the thread does after an exception
    desk.match()
    assert len(desk.raised()) == 1


def test_changes_that_were_trimmed_unread_are_looked_for_in_the_gallery(desk: Desk) -> None:
    desk.watch(unit_vector(PERSON))
    desk.match()
    for number in range(1, 6):
        desk.put(number, PERSON if number == 2 else SOMEBODY_ELSE)
    desk.client.xtrim(gallery_keys.CHANGES, maxlen=1, approximate=False)
    desk.matcher = desk.another()  # everybody was away meanwhile
    desk.match()
    assert [one.tracklet_id for one in desk.raised()] == [tracklet_id(2)]


def test_what_is_looked_for_in_the_gallery_is_not_older_than_its_entry(desk: Desk) -> None:
    desk.match()
    long_ago = (server_time(desk.client) - timedelta(minutes=20) - BEGIN).total_seconds() / 60
    desk.put(1, PERSON, minute=long_ago)
    desk.watch(unit_vector(PERSON))
    for number in range(2, 6):
        desk.put(number, PERSON if number == 2 else SOMEBODY_ELSE)
    desk.client.xtrim(gallery_keys.CHANGES, maxlen=1, approximate=False)
    desk.matcher = desk.another()
    desk.match()
    assert [one.tracklet_id for one in desk.raised()] == [tracklet_id(2)]


def test_a_change_that_was_read_and_then_trimmed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.watch(unit_vector(PERSON))
    desk.match()
    desk.put(1, PERSON)
    assert desk.matcher._group.read(wait_ms=None, limit=10)
    desk.client.xtrim(gallery_keys.CHANGES, maxlen=0, approximate=False)
    desk.matcher._group.leave_unfinished()
    desk.match()
    assert len(desk.raised()) == 1
    assert desk.matcher.backlog() == 0


def test_a_poison_message_holds_nobody_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.watch(unit_vector(PERSON))
    desk.match()
    desk.client.xadd(gallery_keys.CHANGES, {"nothing": "known"})
    desk.client.xadd(gallery_keys.CHANGES, {"op": b"\xff\xfe", "id": b"\xff\x00"})
    desk.client.xadd(gallery_keys.CHANGES, {"op": "put", "id": "../../etc/passwd"})
    desk.client.set(gallery_keys.record(tracklet_id(7)), "not a hash")
    desk.client.xadd(gallery_keys.CHANGES, {"op": "put", "id": tracklet_id(7)})
    short = record(8, vector=np.ones(3, np.float32))  # of the same model, and another dimension
    desk.gallery.put(short)
    desk.put(9, PERSON)
    desk.match()
    assert [one.tracklet_id for one in desk.raised()] == [tracklet_id(9)]
    assert desk.set_aside == 1
    ((_, told),) = desk.client.xrange(keys.POISON)
    assert told[b"id"].decode() == short.id
    assert b"expected shape" in told[b"reason"]
    assert desk.matcher.backlog() == 0


def test_a_change_that_kills_every_process_is_set_aside_in_the_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(change_group, "CLAIM_IDLE_S", 0.0)
    desk.match()
    desk.put(1, PERSON)
    for _ in range(change_group.MAX_DELIVERIES + 1):
        victim = desk.another()
        victim._group.join()
        victim._group.read(wait_ms=None, limit=1)  # and is gone
    desk.match()
    assert desk.client.xlen(keys.POISON) == 1
    assert desk.matcher.backlog() == 0


def test_an_entry_looks_only_at_what_comes_after_it(desk: Desk) -> None:
    desk.put(1, PERSON)
    time.sleep(0.005)
    desk.watch(unit_vector(PERSON))
    desk.match()
    assert desk.raised() == []
    desk.put(1, PERSON, revision=2)  # still in view
    desk.match()
    assert len(desk.raised()) == 1


def test_its_own_example_is_no_news(desk: Desk) -> None:
    seen = desk.put(1, PERSON)
    example = WatchExample(Modality.VISIBLE, tracklet_id=seen.id, camera_id=seen.camera_id)
    desk.watch(unit_vector(PERSON), examples=[example])
    desk.put(1, PERSON, revision=2)
    desk.match()
    assert desk.raised() == []


def test_lights_have_curves_of_their_own(desk: Desk) -> None:
    """CALIBRATION gives 20 c - 10 within a light and 12 c - 6 across: the same threshold is another cosine."""
    desk.watch(unit_vector(PERSON), threshold=0.9)
    orthogonal = unit_vector(SOMEBODY_ELSE) - unit_vector(PERSON) * float(
        unit_vector(PERSON) @ unit_vector(SOMEBODY_ELSE)
    )
    orthogonal /= np.linalg.norm(orthogonal)
    cosine = 0.65  # log-odds 3.0 (0.953) within a light, 1.8 (0.858) across
    vector = cosine * unit_vector(PERSON) + np.sqrt(1 - cosine**2) * orthogonal
    desk.put(1, vector, modality=Modality.INFRARED)
    desk.put(2, vector, modality=Modality.VISIBLE)
    desk.match()
    assert [(one.tracklet_id, one.pair) for one in desk.raised()] == [(tracklet_id(2), "VV")]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"enabled": False}, "paused"),
        ({"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}, "expired"),
        ({"model_hash": "another"}, "the vectors of another model"),
        ({"cameras": frozenset({"yard"})}, "another camera"),
        ({"scope": frozenset({"yard"})}, "its owner did not see this camera when it was made"),
        ({"owner": "nobody"}, "no such account"),
        ({"owner_since": datetime(2020, 1, 1, tzinfo=UTC)}, "an account of the same name, made anew"),
    ],
)
def test_what_does_not_match(desk: Desk, changes: dict[str, Any], why: str) -> None:
    owner = desk.owner
    if changes.get("owner") == "nobody":
        changes = {"owner": replace(owner, name="nobody")}
    desk.watch(unit_vector(PERSON), **changes)
    desk.put(1, PERSON, camera="hall")
    desk.match()
    assert desk.raised() == [], why


@pytest.mark.parametrize("change", ["scope", "role", "disabled", "removed"])
def test_the_owner_s_rights_now_are_what_counts(desk: Desk, change: str) -> None:
    desk.watch(unit_vector(PERSON))
    desk.put(1, PERSON, camera="hall", minute=0)
    desk.match()
    if change == "scope":
        desk.accounts.set("desk", cameras=["yard"])
    elif change == "role":
        desk.accounts.set("desk", role=Role.VIEWER)
    elif change == "disabled":
        desk.accounts.set("desk", active=False)
    else:
        desk.accounts.remove("desk", by=None)
        desk.accounts.add("desk", PASSWORD, Role.OPERATOR)
    desk.put(2, PERSON, camera="hall", minute=5)
    desk.match()
    assert [one.tracklet_id for one in desk.raised()] == [tracklet_id(1)]
    if change == "scope":
        desk.put(3, PERSON, camera="yard", minute=10)
        desk.match()
        assert [one.camera_id for one in desk.raised()] == ["hall", "yard"]


def test_an_example_of_a_camera_that_its_owner_does_not_see_any_more(desk: Desk) -> None:
    examples = [
        WatchExample(Modality.VISIBLE, tracklet_id=tracklet_id(100), camera_id="vault"),
        WatchExample(Modality.VISIBLE, tracklet_id=tracklet_id(101), camera_id="hall"),
    ]
    for number, camera in ((100, "vault"), (101, "hall")):
        desk.put(number, PERSON if camera == "vault" else SOMEBODY_ELSE, camera=camera)
    desk.watch(unit_vector(PERSON), unit_vector(SOMEBODY_ELSE), examples=examples)
    desk.accounts.set("desk", cameras=["hall", "yard"])
    desk.put(1, PERSON, camera="hall", minute=0)
    desk.put(2, SOMEBODY_ELSE, camera="hall", minute=5)
    desk.match()
    assert [(one.tracklet_id, one.example.camera_id) for one in desk.raised()] == [(tracklet_id(2), "hall")]


def test_a_model_without_calibration_matches_nothing(redis_server: Any) -> None:
    desk = Desk(redis_server.client(), calibration=None)
    desk.watch(unit_vector(PERSON))
    desk.put(1, PERSON)
    desk.match()
    assert desk.raised() == []
    assert desk.matcher.backlog() == 0


def test_replicas_of_two_models_each_match_their_own(redis_server: Any) -> None:
    """While an installation is being upgraded, each change is for the processes of each model."""
    desk = Desk(redis_server.client())
    newer = Desk(redis_server.client(), model_hash="newer")
    old, new = desk.watch(unit_vector(PERSON)), desk.watch(unit_vector(PERSON), model_hash="newer")
    desk.put(1, PERSON, minute=0)
    desk.put(2, PERSON, minute=5, model="newer")
    newer.match()
    desk.match()
    assert {(one.entry_id, one.tracklet_id) for one in desk.raised()} == {
        (old.id, tracklet_id(1)), (new.id, tracklet_id(2)),
    }  # fmt: skip


# -- time ------------------------------------------------------------------------------------------

NIGHT = Hours(day_time(22), day_time(6), "Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("hours", "since", "until", "touches"),
    [
        (NIGHT, "2026-01-10T23:00+01:00", "2026-01-10T23:01+01:00", True),
        (NIGHT, "2026-01-11T05:59+01:00", "2026-01-11T06:10+01:00", True),
        (NIGHT, "2026-01-11T06:00+01:00", "2026-01-11T06:10+01:00", False),
        (NIGHT, "2026-01-10T21:58+01:00", "2026-01-10T21:59+01:00", False),
        (NIGHT, "2026-01-10T21:58+01:00", "2026-01-10T22:00+01:00", True),  # walks into the night
        (NIGHT, "2026-01-10T22:30+00:00", "2026-01-10T22:31+00:00", True),  # the camera's offset does not matter
        (NIGHT, "2026-01-11T04:30+00:00", "2026-01-11T04:31+00:00", True),
        (NIGHT, "2026-07-11T04:30+00:00", "2026-07-11T04:31+00:00", False),  # half past six in summer
        (NIGHT, "2026-01-10T07:00+01:00", "2026-01-12T07:00+01:00", True),  # longer than a day
        (Hours(day_time(9), day_time(17), "Asia/Kolkata"), "2026-01-10T03:30+00:00", "2026-01-10T03:31+00:00", True),
        (Hours(day_time(9), day_time(17), "Asia/Kolkata"), "2026-01-10T11:30+00:00", "2026-01-10T11:31+00:00", False),
        # Clocks go from three to two: that night has such an hour twice.
        (Hours(day_time(2, 15), day_time(2, 45), "Europe/Berlin"), "2026-10-25T00:20+00:00", "2026-10-25T00:21+00:00",
         True),
        (Hours(day_time(2, 15), day_time(2, 45), "Europe/Berlin"), "2026-10-25T01:20+00:00", "2026-10-25T01:21+00:00",
         True),
        (Hours(day_time(2, 15), day_time(2, 45), "Europe/Berlin"), "2026-10-25T00:50+00:00", "2026-10-25T00:51+00:00",
         False),
        (Hours(day_time(1, 45), day_time(2, 10), "Europe/Berlin"), "2026-10-25T00:55+00:00", "2026-10-25T01:05+00:00",
         True),
        # Clocks go from two to three: that night has no such hour.
        (Hours(day_time(2, 15), day_time(2, 45), "Europe/Berlin"), "2026-03-29T00:59+00:00", "2026-03-29T01:01+00:00",
         False),
    ],
)  # fmt: skip
def test_hours_of_the_day(hours: Hours, since: str, until: str, touches: bool) -> None:
    assert hours.touch(at(since), at(until)) is touches
    assert Hours.from_dict(hours.to_dict()) == hours


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../../etc/passwd", "Europe/berlin\0", "x" * 1000])
def test_a_zone_that_is_none(zone: str) -> None:
    with pytest.raises(ValueError, match="zone: expected one like Europe/Berlin"):
        Hours(day_time(1), day_time(2), zone)


def test_hours_that_are_all_day_or_none() -> None:
    with pytest.raises(ValueError, match="two different times"):
        Hours(day_time(1), day_time(1), "UTC")


@pytest.mark.parametrize(("ago", "told", "doubted"), [
    (timedelta(0), True, False),
    (timedelta(hours=6), False, False),  # it waited in a spool: captured out of hours
    (timedelta(days=365), True, True),  # the camera's clock is wrong: what counts is when it was indexed
    (timedelta(days=-365), True, True),
    (timedelta(minutes=-30), True, True),
])  # fmt: skip
def test_a_clock_that_is_far_off(desk: Desk, ago: timedelta, told: bool, doubted: bool) -> None:
    now = server_time(desk.client)
    start, end = ((now + timedelta(minutes=by)).time().replace(tzinfo=None) for by in (-60, 60))
    desk.watch(unit_vector(PERSON), hours=Hours(start, end, "UTC"))
    minute = (now - ago - datetime(2026, 3, 1, 12, 0, tzinfo=UTC)).total_seconds() / 60
    desk.put(1, PERSON, minute=minute)
    desk.match()
    assert [one.clock_doubted for one in desk.raised()] == ([doubted] if told else [])


# -- entries come, change and go -------------------------------------------------------------------


def test_a_changed_entry_counts_at_once(desk: Desk) -> None:
    entry = desk.watch(unit_vector(PERSON), enabled=False)
    desk.put(1, PERSON, minute=0)
    desk.match()
    desk.entries.change(entry.id, lambda old: replace(old, enabled=True))
    desk.put(2, PERSON, minute=5)
    desk.match()
    desk.entries.remove(entry.id)
    desk.put(3, PERSON, minute=10)
    desk.match()
    assert [one.tracklet_id for one in desk.raised()] == [tracklet_id(2)]


def test_an_entry_that_is_paused_or_removed_between_match_and_alert(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [desk.watch(unit_vector(PERSON)) for _ in range(2)]
    raise_alert = desk.alerts.raise_alert

    def meddle(*arguments: Any) -> Any:
        monkeypatch.setattr(desk.alerts, "raise_alert", raise_alert)
        desk.entries.change(entries[0].id, lambda old: replace(old, enabled=False))
        desk.entries.remove(entries[1].id)
        return raise_alert(*arguments)

    monkeypatch.setattr(desk.alerts, "raise_alert", meddle)
    desk.put(1, PERSON)
    desk.match()
    assert desk.raised() == []
    assert desk.set_aside == 0


def test_a_tracklet_that_is_erased_before_its_alert(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.watch(unit_vector(PERSON))
    seen = desk.put(1, PERSON)
    raise_alert = desk.alerts.raise_alert
    monkeypatch.setattr(desk.alerts, "raise_alert", lambda *a: (desk.gallery.delete([seen.id]), raise_alert(*a))[1])
    desk.match()
    assert desk.raised() == []


def test_a_broken_entry_hurts_no_other(desk: Desk) -> None:
    broken, good = desk.watch(unit_vector(PERSON)), desk.watch(unit_vector(PERSON))
    desk.client.hset(keys.ENTRY + broken.id, "vectors", np.full(16, np.nan, "<f2").tobytes())
    desk.client.hset(keys.ENTRY + broken.id, "revision", 2)
    odd = desk.watch(np.ones(5, np.float32))  # of the model's hash, and not of its dimension
    tiny = desk.watch(unit_vector(PERSON))  # no direction that anything could be compared with
    desk.client.hset(keys.ENTRY + tiny.id, "vectors", np.full(DIMENSION, 6e-8, "<f2").tobytes())
    desk.client.hset(keys.ENTRY + tiny.id, "revision", 2)
    desk.put(1, PERSON)
    desk.match()
    assert [one.entry_id for one in desk.raised()] == [good.id]
    assert odd.id in desk.entries.get_many([odd.id])


def test_ten_thousand_entries(embedded_redis: Any) -> None:
    """Each change is held against all of them, and only the right ones answer."""
    desk = Desk(embedded_redis.client())
    rng = np.random.default_rng(3)
    crowd = rng.standard_normal((10_000, 16)).astype(np.float32)
    crowd /= np.linalg.norm(crowd, axis=1, keepdims=True)
    wanted = desk.watch(unit_vector(PERSON), threshold=0.999)
    template = desk.entries.get(wanted.id)
    assert template is not None
    with desk.client.pipeline(transaction=False) as pipe:
        for number, vector in enumerate(crowd[:-1]):
            entry = replace(template, id=tracklet_id(number), vectors=vector[None].astype(np.float16))
            pipe.hset(
                keys.ENTRY + entry.id, mapping={"head": entry.head(), "vectors": entry.vectors.tobytes(), "revision": 1}
            )
            pipe.hset(keys.REVISIONS, entry.id, 1)
            pipe.zadd(keys.ENTRIES, {entry.id: 0})
        pipe.incr(keys.VERSION)
        pipe.execute()
    desk.put(1, PERSON)
    desk.match()
    expected = {wanted.id} | {tracklet_id(int(i)) for i in np.flatnonzero(crowd[:-1] @ unit_vector(PERSON) > 0.8454)}
    assert {one.entry_id for one in desk.raised()} == expected


def test_the_right_one_of_several_examples_is_named(desk: Desk) -> None:
    desk.watch(unit_vector(SOMEBODY_ELSE), unit_vector(PERSON), unit_vector(PERSON) + 0.05)
    desk.put(1, PERSON)
    desk.match()
    assert [one.example.person for one in desk.raised()] == [1]


# -- erasure ---------------------------------------------------------------------------------------


def test_erasing_reaches_an_entry_that_nobody_can_read(desk: Desk) -> None:
    example = desk.put(1, PERSON)
    broken = desk.watch(
        example.vector, examples=[WatchExample(Modality.VISIBLE, tracklet_id=example.id, camera_id=example.camera_id)]
    )
    desk.client.hset(keys.ENTRY + broken.id, "head", "{")
    assert desk.entries.holds([example.id]) == 1
    assert desk.entries.erase([example.id]) == 1
    assert desk.entries.holds([example.id]) == 0
    assert not desk.client.exists(keys.ENTRY + broken.id), "its vectors would have stayed"


def test_erasing_sightings_takes_them_out_of_entries_and_alerts(desk: Desk) -> None:
    example, kept = desk.put(1, PERSON, minute=0), desk.put(2, SOMEBODY_ELSE, minute=5)
    both = [WatchExample(Modality.VISIBLE, tracklet_id=one.id, camera_id=one.camera_id) for one in (example, kept)]
    two = desk.watch(example.vector, kept.vector, examples=both)
    one = desk.watch(example.vector, examples=both[:1])
    seen = desk.put(3, PERSON, minute=10)
    desk.match()
    assert {a.entry_id for a in desk.raised()} == {one.id, two.id}
    assert desk.entries.holds([example.id]) == 2
    assert desk.entries.erase([example.id]) == 2
    assert desk.entries.holds([example.id]) == 0
    left = desk.entries.get(two.id)
    assert left is not None
    assert [e.tracklet_id for e in left.examples] == [kept.id]
    assert desk.entries.get(one.id) is None
    assert desk.client.hget(keys.ENTRY + two.id, "vectors") == np.asarray(kept.vector, "<f2").tobytes()
    desk.put(4, PERSON, minute=15)
    desk.match()
    assert len(desk.raised()) == 2, "nobody looks for the erased one any more"
    # The alerts stay, about another sighting, and do not name what is gone.
    assert desk.alerts.holds([example.id]) == 2
    assert desk.alerts.erase([example.id]) == 2
    assert [(a.example.kind, a.example.tracklet_id, a.example.camera_id) for a in desk.raised()] == [
        ("erased", None, None)
    ] * 2
    assert desk.alerts.holds([example.id]) == 0
    assert desk.alerts.erase([seen.id]) == 2
    assert desk.raised() == []
    assert desk.alerts.holds([seen.id]) == 0
    assert desk.client.keys("tapetum:alert:*") == []
    named = [*desk.client.scan_iter("tapetum:alert*"), *desk.client.scan_iter("tapetum:watch*")]
    assert not [key for key in named if example.id.encode() in key or seen.id.encode() in key]


def test_a_page_is_stable_and_stays_in_scope(desk: Desk) -> None:
    desk.watch(unit_vector(PERSON))
    for number in range(1, 10):
        desk.put(number, PERSON, minute=number * 5, camera=("hall", "yard", "vault")[number % 3])
        desk.match()
    scope = frozenset({"hall", "yard"})
    seen: list[str] = []
    cursor = None
    while True:
        page = desk.alerts.page(scope, limit=2, cursor=cursor)
        seen += [one.tracklet_id for one in page.alerts]
        cursor = page.cursor
        if cursor is None:
            break
        if len(seen) == 2:
            desk.put(20, PERSON, minute=200, camera="hall")  # arrives meanwhile
            desk.match()
    assert seen == [tracklet_id(n) for n in (9, 7, 6, 4, 3, 1)]
    first = desk.alerts.page(scope, limit=100).alerts
    desk.alerts.acknowledge(first[0].id, "mara", "seen it")
    desk.alerts.acknowledge(first[0].id, "otto", "me too")
    (noted,) = desk.alerts.page(scope, limit=100, acknowledged=True).alerts
    assert noted.acknowledged is not None
    assert (noted.acknowledged.account, noted.acknowledged.note) == ("mara", "seen it")
    assert len(desk.alerts.page(scope, limit=100, acknowledged=False).alerts) == 6
    assert desk.alerts.acknowledge(alert_id(tracklet_id(1), tracklet_id(77)), "mara", None) is None
    with pytest.raises(ValueError, match="cursor"):
        desk.alerts.page(scope, limit=1, cursor="x")
    newest = [one.id for one in desk.raised()][-3:]
    assert desk.alerts.keep_newest(3) == 7
    assert [one.id for one in desk.raised()] == newest
    assert desk.alerts.keep_newest(3) == 0
    desk.client.delete(keys.ALERT + newest[0])  # what has no alert any more counts and goes too
    assert desk.alerts.keep_newest(0) == 2
    assert desk.client.xlen(keys.ALERTS) == 0


def test_many_processes_and_many_changes(embedded_redis: Any) -> None:
    """Three at once, and each sighting is told once."""
    desk = Desk(embedded_redis.client())
    desk.watch(unit_vector(PERSON))
    matchers = [desk.matcher, desk.another(), desk.another()]
    for matcher in matchers:
        matcher.start()
    try:
        for number in range(1, 201):
            for revision in (1, 2):
                desk.put(number, PERSON, minute=number, revision=revision)
        wait_for(lambda: len(desk.raised()) == 200)
    finally:
        threads = [threading.Thread(target=matcher.stop) for matcher in matchers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({one.tracklet_id for one in desk.raised()}) == 200
    assert len(desk.heard) == 200
    assert desk.client.xinfo_consumers(gallery_keys.CHANGES, f"alerts:{desk.model_hash}") == []


def wait_for(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while True:
        try:
            if condition():
                return
        except GalleryUnavailable:
            pass
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_an_entry_is_read_as_it_was_written(desk: Desk) -> None:
    entry = desk.watch(unit_vector(PERSON), hours=NIGHT, cameras=frozenset({"hall"}), scope=frozenset({"hall", "x"}))
    stored = desk.entries.get(entry.id)
    assert stored == entry
    assert isinstance(stored, WatchEntry)
    np.testing.assert_array_equal(stored.vectors, entry.vectors)
