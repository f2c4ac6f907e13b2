"""What a control room's programs do by the client: cases and exports, watchlist and alerts, webhooks."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2 as httpx
import pytest
from support.api_world import CALIBRATION, World, foreseeable_loaders, record_of, world_in
from support.cameras import wait_for
from support.lost_answers import CuttingStreams, LosingAnswers
from support.served import served
from support.webhooks import target

from pipeline.camera import CameraConfig
from service.api.schema import SearchExample
from service.api.schema_alerts import WatchEntryChange, WatchEntryCreate, WatchEntryInfo
from service.api.schema_cases import CaseChange, CaseCreate, PinRequest
from service.api.schema_webhooks import WebhookChange, WebhookCreate
from service.cases.export_job import ExportState
from service.client import Client, ConflictError, DamagedError, NotAllowedError, NotFoundError, UnreachableError
from service.security import Role

Seen = Callable[[str], str]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders = foreseeable_loaders(calibration=CALIBRATION)
    with world_in(tmp_path_factory.mktemp("desk"), loaders=loaders, webhook_allow_loopback=True) as world:
        world.services.cameras.declare(CameraConfig("gate", "Gate", "rtsp://192.168.1.9/x"))
        yield world


@pytest.fixture(scope="module")
def address(world: World) -> Iterator[str]:
    with served(world) as address:
        yield address


@pytest.fixture(scope="module")
def seen(world: World, address: str) -> Seen:
    """Makes a sighting and gives its id."""
    numbers = iter(range(1, 100))

    def make(colour: str) -> str:
        now = datetime.now(UTC)
        record = record_of(world.services.media, colour, number=next(numbers), camera="gate", started_at=now)
        world.services.gallery.put(record)
        return record.id

    return make


@pytest.fixture
def client(world: World, address: str) -> Iterator[Client]:
    with Client(address, token=world.token_of(Role.ADMIN), timeout_s=30) as client:
        yield client


def entry_for(*tracklet_ids: str) -> WatchEntryCreate:
    return WatchEntryCreate(
        name="Missing boy",
        reason="Case 7",
        examples=[SearchExample(tracklet_id=one) for one in tracklet_ids],
        threshold=0.9,
        expires_at=datetime.now(UTC) + timedelta(days=1),
    )


def test_a_case_from_opening_to_removal(client: Client, seen: Seen) -> None:
    case = client.cases.add(CaseCreate(title="Bicycles"))
    notes = [client.cases.add_note(case.id, text).id for text in ("first", "second", "third")]
    assert [note.id for note in client.cases.notes(case.id, page_size=1)] == notes
    sightings = [seen("red"), seen("blue")]
    assert client.cases.pin(case.id, PinRequest(tracklet_ids=sightings, note="At the gate")) == 2
    assert client.cases.pin(case.id, PinRequest(tracklet_ids=sightings[:1])) == 0
    pins = list(client.cases.pins(case.id, page_size=1))
    assert [pin.tracklet.id for pin in pins if pin.tracklet] == sightings[::-1]
    client.cases.unpin(case.id, pins[0].id)
    assert client.cases.get(case.id).sighting_count == 1
    revision = client.cases.get(case.id).revision
    closed = client.cases.change(case.id, CaseChange(revision=revision, title="Two bicycles"))
    assert [one.title for one in client.cases.list(page_size=1)] == ["Two bicycles"]
    with pytest.raises(ConflictError):
        client.cases.remove(case.id, closed.revision - 1)
    client.cases.remove(case.id, closed.revision)
    with pytest.raises(NotFoundError):
        client.cases.get(case.id)


def test_an_export_is_waited_for_and_comes_whole_or_not_at_all(
    world: World, address: str, client: Client, seen: Seen, tmp_path: Path
) -> None:
    case = client.cases.add(CaseCreate(title="To hand over"))
    client.cases.pin(case.id, PinRequest(tracklet_ids=[seen("red")]))
    begun = client.exports.start(case.id, "Request 4711")
    told: list[ExportState] = []
    export = client.exports.wait(begun, progress=lambda found: told.append(found.state), timeout_s=60, every_s=0.02)
    assert (export.state, export.done, export.error) == (ExportState.DONE, 1, None)
    assert told[-1] is ExportState.DONE
    assert [one.id for one in client.exports.list(case.id)] == [export.id]
    file = tmp_path / "case.zip"
    client.exports.download(begun, file)  # as it was before it was done: the sum is asked for
    assert zipfile.ZipFile(file).testzip() is None
    whole = file.read_bytes()
    assert len(whole) == export.size_bytes
    with pytest.raises(DamagedError):
        client.exports.download(export.model_copy(update={"sha256": "0" * 64}), file)

    def cut(request: httpx.Request) -> httpx.Response:
        def half() -> Iterator[bytes]:
            yield whole[: len(whole) // 2]
            raise httpx.ReadError("the connection broke")

        return httpx.Response(200, content=half())

    with Client(address, token="x", transport=httpx.MockTransport(cut)) as unlucky, pytest.raises(UnreachableError):
        unlucky.exports.download(export, file)
    client.exports.remove(case.id, export.id)
    with pytest.raises(NotFoundError):
        client.exports.download(export, file)
    assert [(path, path.read_bytes()) for path in tmp_path.iterdir()] == [(file, whole)]


@pytest.mark.parametrize("noun", ["case", "note", "export", "entry", "webhook"])
def test_a_lost_answer_makes_one_of_each(
    world: World, address: str, client: Client, seen: Seen, noun: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.client.transport.FIRST_WAIT_S", 0.001)
    case = client.cases.add(CaseCreate(title=f"For a {noun}"))
    client.cases.pin(case.id, PinRequest(tracklet_ids=[seen("red")]))
    losing = LosingAnswers(2)
    with Client(address, token=world.token_of(Role.ADMIN), transport=losing, timeout_s=30) as unlucky:
        if noun == "case":
            made = unlucky.cases.add(CaseCreate(title="Lost")).id
            found = [one.id for one in client.cases.list() if one.title == "Lost"]
        elif noun == "note":
            made = unlucky.cases.add_note(case.id, "lost").id
            found = [one.id for one in client.cases.notes(case.id)]
        elif noun == "export":
            made = unlucky.exports.start(case.id, "lost").id
            found = [one.id for one in unlucky.exports.list(case.id)]
        elif noun == "entry":
            made = unlucky.watchlist.add(entry_for(seen("green"))).id
            found = [one.id for one in client.watchlist.list()]
            client.watchlist.end(made)
        else:
            webhook = unlucky.webhooks.add(WebhookCreate(name="Lost", url="http://127.0.0.1:9/"))
            assert webhook.secret is None, "it was in the answer that was lost"
            made, found = webhook.id, [one.id for one in client.webhooks.list()]
            client.webhooks.remove(made)
    assert found == [made]
    assert losing.sent >= 3


@pytest.fixture
def watching(client: Client, seen: Seen) -> Iterator[WatchEntryInfo]:
    entry = client.watchlist.add(entry_for(seen("red")))
    yield entry
    client.watchlist.end(entry.id)


def test_an_entry_raises_alerts_until_it_is_paused(client: Client, seen: Seen, watching: WatchEntryInfo) -> None:
    assert [one.id for one in client.watchlist.list(page_size=1)] == [watching.id]
    sightings = [seen("red"), seen("red")]
    wait_for(lambda: len(list(client.alerts.list(entry=watching.id))) == 2, 20, "the alerts")
    alerts = list(client.alerts.list(entry=watching.id, page_size=1))
    assert sorted(alert.tracklet_id for alert in alerts) == sorted(sightings)
    noted = client.alerts.acknowledge(alerts[0].id, "Sent somebody")
    assert noted.acknowledged is not None
    assert client.alerts.get(alerts[0].id) == noted
    assert list(client.alerts.list(entry=watching.id, acknowledged=False)) == alerts[1:]
    paused = client.watchlist.change(watching.id, WatchEntryChange(revision=watching.revision, enabled=False))
    assert client.watchlist.get(watching.id).state == paused.state != watching.state


def test_the_stream_goes_on_where_it_broke(
    world: World, address: str, client: Client, seen: Seen, watching: WatchEntryInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.api.alerts._RETRY_MS", 1)
    sightings: list[str] = []
    cutting = CuttingStreams(lambda before: None if before else sightings.append(seen("red")))
    token = world.token_of(Role.OPERATOR)
    with Client(address, token=token, transport=cutting, timeout_s=30) as watcher:
        events = watcher.alerts.stream()
        first = next(events)
        sightings.append(seen("red"))  # raised while the connection is broken, or about to
        wait_for(lambda: len(list(client.alerts.list(entry=watching.id))) == 2, 20, "the alerts")
        second = next(events)
        events.close()
        assert cutting.resumed_after == [None, first.id]
        assert [first.alert.tracklet_id, second.alert.tracklet_id] == sightings
        again = watcher.alerts.stream(first.id)  # a program that was restarted
        assert next(again) == second
        again.close()
        watcher.log_out()
        with pytest.raises(NotAllowedError):
            next(watcher.alerts.stream(second.id))


def test_a_webhook_is_tried_changed_and_sent_to_again(client: Client) -> None:
    with target() as hook:
        made = client.webhooks.add(WebhookCreate(name="Control room", url=hook.url))
        assert (made.secret or "").startswith("whsec_")
        assert client.webhooks.test(made.id).delivered
        assert [message["type"] for message in hook.messages] == ["ping"]
    assert not client.webhooks.test(made.id).delivered, "nobody listens there any more"
    off = client.webhooks.change(made.id, WebhookChange(enabled=False))
    assert client.webhooks.get(made.id).enabled is off.enabled is False
    assert list(client.webhooks.dead_letters(made.id)) == []
    assert client.webhooks.resend(made.id) == 0
    client.webhooks.remove(made.id)
    assert list(client.webhooks.list()) == []
