"""Encryption at rest: nothing is readable on the disk, nothing is lost, and processes agree on their keys."""

from __future__ import annotations

import ast
import base64
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from fastapi.testclient import TestClient
from support.api_world import (
    CALIBRATION,
    COLOURS,
    MODEL_HASH,
    ColourEmbedder,
    World,
    bearer,
    client_of,
    encoded,
    foreseeable_loaders,
    person_picture,
    record_of,
    scene,
    world_in,
)
from support.cameras import wait_for
from support.command import run_command
from support.disk import found_in

from pipeline.handover import CropPicture, HandedOver
from pipeline.sealing import PLAIN, Sealer, is_sealed, key_id
from pipeline.spool import Spool
from service.alerts.entry_store import WatchlistStore
from service.gallery import ErasureReport, Gallery, MediaError, MediaStore, keys, verify_erasure
from service.gallery.erasure import compact
from service.gallery.rekey import Rekeying
from service.ingest import Ingest
from service.sealed_values import SEALED_VALUES
from service.sealing import KeyMismatchError, KeyRegistry, claimed_sealer, sealer_of
from service.security import Role
from service.settings import Settings, SettingsError, load_settings
from tests.support.tracklets import BEGIN, handed_over, jpeg, record, tracklet_id
from tests.support.watchlists import entry_of

OLD, NEW = (bytes([number]) * 32 for number in (1, 2))
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF"


def text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def shapes(vector: Any) -> list[bytes]:
    """A vector as any store might have written it."""
    halves, wholes = np.asarray(vector, "<f2").tobytes(), np.asarray(vector, "<f4").tobytes()
    return [halves, wholes, *(base64.b64encode(kind)[:-4] for kind in (halves, wholes))]


def spool_one(folder: Path, sealer: Sealer, number: int, colour: str) -> tuple[Spool, HandedOver]:
    picture = person_picture(colour, width=90, height=400)
    picture[40:90, 20:70] = np.random.default_rng(number).integers(0, 255, (50, 50, 3))
    crop = CropPicture(encoded(picture), (1.0, 2.0, 51.0, 122.0), 0.9, 0.0, BEGIN)
    whole = handed_over(number, closed=True, vector=ColourEmbedder().of_colour(COLOURS[colour]))
    fields = {name: getattr(whole, name) for name in whole.__dataclass_fields__}
    tracklet = HandedOver(**{**fields, "crops": (crop,), "model_hash": MODEL_HASH})
    spool = Spool(folder / "spool" / "worker.sqlite", sealer)
    spool.put(tracklet)
    return spool, tracklet


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    loaders = foreseeable_loaders(calibration=CALIBRATION)
    folder = tmp_path_factory.mktemp("encrypted")
    with world_in(folder, loaders=loaders, encryption_keys=[text(OLD)]) as world:
        yield world


@pytest.fixture(scope="module")
def api(world: World) -> Iterator[TestClient]:
    with client_of(world) as client:
        client.headers.update(bearer(world.token_of(Role.ADMIN)))
        yield client


def test_from_ingest_to_thumbnail_nothing_lies_open_on_the_disk(world: World, api: TestClient) -> None:
    services, folder = world.services, world.settings.data_dir
    needles: list[bytes] = [JPEG]
    delivered = []
    for number, colour in enumerate(("red", "blue")):
        spool, tracklet = spool_one(folder, services.sealer, number, colour)
        with closing(spool):
            needles += [*shapes(tracklet.vector), *(crop.jpeg[-300:] for crop in tracklet.crops)]
            assert found_in(folder, needles) == []
            ingest = Ingest(spool, services.gallery, services.media, check_keys=services.keys.claim)
            ingest.start()
            wait_for(lambda one=tracklet: services.gallery.get(one.id) is not None, 10, "the delivery")
            assert ingest.stop()
        delivered.append(tracklet)
    red, blue = delivered
    wait_for(lambda: services.index is not None and len(services.index) == 2, 10, "the index")

    assert api.get(f"/api/v1/tracklets/{red.id}/crops/0").content == red.crops[0].jpeg
    assert api.get(f"/api/v1/tracklets/{red.id}/thumbnail").content.startswith(JPEG)
    asked = {"examples": [{"tracklet_id": red.id}], "filters": {"exclude_examples": False}}
    found = api.post("/api/v1/search", json=asked).json()
    assert [match["tracklet"]["id"] for match in found["matches"]] == [red.id, blue.id]

    photo = api.post("/api/v1/photos", files={"photo": encoded(scene(["blue"]), ".png")}).json()
    stored = services.photos.get(photo["id"])
    assert stored is not None
    needles += shapes(stored.vectors[0])
    kept = api.post("/api/v1/searches", json={"examples": [{"photo_id": photo["id"], "person": 0}]})
    assert kept.status_code == 201, kept.text
    assert kept.json()["matches"][0]["tracklet"]["id"] == blue.id
    again = api.post(f"/api/v1/searches/{kept.json()['id']}/refresh")
    assert again.status_code == 200, again.text

    entries, owner = WatchlistStore(services.redis, services.sealer), services.accounts.get("admin")
    assert owner is not None
    entry = entry_of(owner, [red.vector])
    entries.add(entry)
    read = entries.get(entry.id)
    assert read is not None
    np.testing.assert_array_equal(read.vectors, entry.vectors)

    compact(services.redis)
    assert found_in(folder, needles) == []


def test_a_swapped_vector_or_picture_is_refused(world: World, api: TestClient) -> None:
    services = world.services
    one, other = (record_of(services.media, "green", number=number) for number in (60, 61))
    services.gallery.put_many([one, other])
    vector = services.redis.hget(keys.record(other.id), "vector")
    services.redis.hset(keys.record(one.id), "vector", vector)
    assert services.gallery.get(one.id) is None
    assert services.gallery.get(other.id) is not None
    folder = world.settings.data_dir / "media"
    (folder / one.crops[0].key).write_bytes((folder / other.crops[0].key).read_bytes())
    with pytest.raises(MediaError, match="another place"):
        services.media.read(one.crops[0].key)
    assert services.media.read(other.crops[0].key)


def test_erasure_holds_and_can_be_verified(world: World, api: TestClient) -> None:
    services = world.services
    made = record_of(services.media, "white", number=70)
    services.gallery.put(made)
    sealed = services.redis.hget(keys.record(made.id), "vector")
    pictures = [(world.settings.data_dir / "media" / crop.key).read_bytes()[-300:] for crop in made.crops]
    compact(services.redis)
    needles = [*shapes(made.vector), bytes(sealed), *pictures]
    assert len(found_in(world.settings.data_dir, needles)) >= 4
    answer = api.post("/api/v1/erasures", json={"tracklet_ids": [made.id], "reason": "asked for it"})
    assert answer.status_code == 201, answer.text
    assert found_in(world.settings.data_dir, needles) == []
    report = ErasureReport.from_dict(answer.json())
    assert verify_erasure(report, services.gallery, services.media) == []


# -- keys ----------------------------------------------------------------------------------------


def settings_of(world_or_url: Any, folder: Path, *keys_: bytes) -> Settings:
    url = getattr(world_or_url, "url", world_or_url)
    return load_settings(data_dir=folder, redis_url=url, encryption_keys=[text(key) for key in keys_])


@pytest.mark.parametrize(
    ("first", "later", "words"),
    [
        ((OLD,), (), "no key is set"),
        ((OLD,), (NEW,), key_id(OLD)),
        ((NEW, OLD), (OLD,), key_id(NEW)),
    ],
)
def test_other_keys_than_the_installations_are_refused_with_the_setting(
    embedded_redis: Any, tmp_path: Path, first: tuple[bytes, ...], later: tuple[bytes, ...], words: str
) -> None:
    client = embedded_redis.client()
    claimed_sealer(settings_of(embedded_redis, tmp_path, OLD), client)
    claimed_sealer(settings_of(embedded_redis, tmp_path, *first), client)
    with pytest.raises(KeyMismatchError, match=words) as refused:
        claimed_sealer(settings_of(embedded_redis, tmp_path, *later), client)
    assert "TAPETUM_ENCRYPTION_KEY" in str(refused.value)
    assert text(OLD) not in str(refused.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("secret-in-no-base64!", "key 1 is not base64"),
        (text(OLD) + "\n" + text(b"short"), "key 2 has 5 bytes instead of 32"),
        (text(OLD) + "\n" + text(OLD), "key 2 is there twice"),
        ("# nothing\n\n", "holds no key"),
        ("schlüssel", "not a text of keys"),
        (None, "No such file"),
    ],
)
def test_a_wrong_key_file_is_one_sentence_that_names_the_setting(tmp_path: Path, lines: str | None, words: str) -> None:
    file = tmp_path / "keys"
    if lines is not None:
        file.write_text(lines, encoding="utf-8")
    with pytest.raises(SettingsError, match=words) as refused:
        sealer_of(load_settings(data_dir=tmp_path, encryption_key_file=file))
    assert "TAPETUM_ENCRYPTION_KEY_FILE" in str(refused.value)
    assert lines is None or lines.split()[0] not in str(refused.value)


def test_keys_come_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text(f"# newest first\n{text(NEW)}\n{text(OLD)}\n")
    monkeypatch.setenv("TAPETUM_ENCRYPTION_KEY_FILE", str(tmp_path / "keys"))
    assert sealer_of(load_settings()).ids == (key_id(NEW), key_id(OLD))
    monkeypatch.setenv("TAPETUM_ENCRYPTION_KEYS", json.dumps([text(OLD)]))
    with pytest.raises(SettingsError, match="not both"):
        sealer_of(load_settings())
    monkeypatch.delenv("TAPETUM_ENCRYPTION_KEY_FILE")
    settings = load_settings()
    assert sealer_of(settings).ids == (key_id(OLD),)
    assert text(OLD) not in repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize("arguments", [["worker"], ["api"], ["gallery", "release", "X"], ["gallery", "rekey"]])
def test_a_process_with_a_wrong_key_ends_with_a_sentence(
    embedded_redis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    claimed_sealer(settings_of(embedded_redis, tmp_path, OLD), embedded_redis.client())
    monkeypatch.setenv("TAPETUM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TAPETUM_REDIS_URL", embedded_redis.url)
    for wrong in ([], [text(NEW)]):
        monkeypatch.setenv("TAPETUM_ENCRYPTION_KEYS", json.dumps(wrong))
        done = run_command(*arguments, code=1)
        assert isinstance(done.exception, KeyMismatchError)
        assert "TAPETUM_ENCRYPTION_KEYS" in str(done.exception)


def test_a_worker_whose_key_does_not_fit_delivers_nothing_and_loses_nothing(
    embedded_redis: Any, tmp_path: Path
) -> None:
    """It started before the others got keys: what it wrote would be readable for whoever reads the disk."""
    client = embedded_redis.client()
    with closing(Spool(tmp_path / "spool" / "w.sqlite")) as spool:
        gallery, media = Gallery(client), MediaStore((tmp_path / "media").as_uri())
        ingest = Ingest(spool, gallery, media, check_keys=KeyRegistry(client, PLAIN).claim)
        claimed_sealer(settings_of(embedded_redis, tmp_path, OLD), client)
        ingest.start()
        spool.put(handed_over(1))
        wait_for(lambda: (ingest.stats().error or "") != "", 10, "the refusal")
        assert "TAPETUM_ENCRYPTION_KEYS" in (ingest.stats().error or "")
        assert not ingest.stop(0.1)
        assert spool.stats().pending == 1
        assert gallery.count() == 0
    sealer = Sealer([OLD])
    with closing(Spool(tmp_path / "spool" / "w.sqlite", sealer)) as spool:
        gallery, media = Gallery(client, sealer), MediaStore((tmp_path / "media").as_uri(), sealer)
        ingest = Ingest(spool, gallery, media, check_keys=KeyRegistry(client, sealer).claim)
        ingest.start()
        wait_for(lambda: gallery.get(tracklet_id(1, BEGIN)) is not None, 10, "the delivery after a restart")
        ingest.stop()


def test_readiness_says_that_a_key_is_missing(world: World, api: TestClient) -> None:
    assert api.get("/health/ready").status_code == 200
    world.services.redis.hset("tapetum:encryption", key_id(NEW), "in-use")
    answer = api.get("/health/ready")
    world.services.redis.hdel("tapetum:encryption", key_id(NEW))
    assert answer.status_code == 503
    assert key_id(NEW) in answer.text


# -- rotation ------------------------------------------------------------------------------------


class Site:
    """Records, pictures, floor plans, a photo, a kept search and a watchlist entry under one sealer."""

    def __init__(self, client: redis.Redis, folder: Path, sealer: Sealer) -> None:
        self.client, self.sealer = client, sealer
        self.gallery = Gallery(client, sealer)
        self.media = MediaStore((folder / "media").as_uri(), sealer)

    def fill(self, numbers: range) -> None:
        for number in numbers:
            made = record(number)
            self.gallery.put(made)
            self.media.write(self.key(number), jpeg(number))
            self.media.write(self.plan_key(number), jpeg(number))

    @staticmethod
    def plan_key(number: int) -> str:
        return f"_plans/{number:032x}/{number:032x}.webp"

    def key(self, number: int) -> str:
        return MediaStore.key("hall", record(number).started_at, tracklet_id(number), f"{number:032x}")

    def rekeying(self) -> Rekeying:
        return Rekeying(self.client, self.gallery, self.media, self.sealer, SEALED_VALUES)


@pytest.mark.parametrize("before", [PLAIN, Sealer([OLD])])
def test_rekeying_leaves_nothing_under_another_key(embedded_redis: Any, tmp_path: Path, before: Sealer) -> None:
    client = embedded_redis.client()
    Site(client, tmp_path, before).fill(range(20))
    both = Site(client, tmp_path, Sealer([NEW, OLD]))
    both.fill(range(20, 25))
    client.set("tapetum:photo:x", before.seal(b"a photo", "tapetum:photo:x"), ex=3000)
    done = both.rekeying().run()
    assert (done.values, done.pictures, done.unreadable) == (21, 40, ())
    assert 0 < client.ttl("tapetum:photo:x") <= 3000
    only_new = Site(client, tmp_path, Sealer([NEW]))
    assert len(only_new.gallery.get_many([tracklet_id(number) for number in range(25)])) == 25
    assert [only_new.media.read(only_new.key(number)) for number in range(25)] == [jpeg(n) for n in range(25)]
    assert only_new.sealer.open(client.get("tapetum:photo:x"), "tapetum:photo:x") == b"a photo"
    assert [only_new.media.read(only_new.plan_key(number)) for number in range(25)] == [jpeg(n) for n in range(25)]
    assert all(is_sealed(path.read_bytes()) for path in (tmp_path / "media").rglob("*.*"))
    assert only_new.rekeying().run() == type(done)(0, 0, (), 0)


def test_a_rekeying_that_was_stopped_goes_on(embedded_redis: Any, tmp_path: Path) -> None:
    client = embedded_redis.client()
    Site(client, tmp_path, PLAIN).fill(range(10))
    both = Site(client, tmp_path, Sealer([NEW]))
    steps = iter(range(4))

    def stop(what: str, share: float | None) -> None:
        if what == "pictures":
            next(steps)

    with pytest.raises(StopIteration):
        Rekeying(client, both.gallery, both.media, both.sealer, SEALED_VALUES, stop).run()
    done = both.rekeying().run()
    assert (done.values, done.pictures) == (0, 15)


def test_what_changes_meanwhile_is_not_overwritten(
    embedded_redis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = embedded_redis.client()
    Site(client, tmp_path, PLAIN).fill(range(1))
    both = Site(client, tmp_path, Sealer([NEW]))
    rekeying, newer = both.rekeying(), record(0, revision=2, vector=-record(0).vector)

    def reseal(data: bytes, place: str) -> bytes | None:
        both.gallery.put(newer)
        return Sealer([NEW]).reseal(data, place)

    with monkeypatch.context() as patch:
        patch.setattr(both.sealer, "reseal", reseal)
        rekeying._values(SEALED_VALUES[1])
    stored = both.gallery.get(newer.id)
    assert stored is not None
    assert stored.revision == 2
    np.testing.assert_array_equal(stored.vector, newer.vector)


def test_a_picture_erased_while_it_is_rewritten_does_not_come_back(
    embedded_redis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = embedded_redis.client()
    Site(client, tmp_path, PLAIN).fill(range(2))
    both = Site(client, tmp_path, Sealer([NEW]))
    before = both.sealer.reseal

    def reseal(data: bytes, place: str) -> bytes | None:
        if place.startswith("media/") and tracklet_id(0) in place:
            both.gallery.delete([tracklet_id(0)])
            both.media.delete_tracklet(both.key(0))
        return before(data, place)

    monkeypatch.setattr(both.sealer, "reseal", reseal)
    both.rekeying().run()
    assert not both.media.holds_tracklet(both.key(0))
    assert both.media.read(both.key(1)) == jpeg(1)


def test_the_command_rotates_retires_the_old_key_and_says_what_it_cannot_read(
    embedded_redis: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = embedded_redis.client()
    monkeypatch.setattr("service.commands.rekey.WRITERS_STOP_S", 0.0)
    monkeypatch.setenv("TAPETUM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("TAPETUM_REDIS_URL", embedded_redis.url)
    old = Site(client, tmp_path, claimed_sealer(settings_of(embedded_redis, tmp_path, OLD), client))
    old.fill(range(3))
    monkeypatch.setenv("TAPETUM_ENCRYPTION_KEYS", json.dumps([text(NEW), text(OLD)]))
    foreign = Site(client, tmp_path, Sealer([b"\3" * 32]))
    foreign.media.write(foreign.key(9), jpeg(9))
    stuck = run_command("gallery", "rekey", code=1)
    assert "1 could not be read" in stuck.output
    foreign.media.delete_tracklet(foreign.key(9))
    with pytest.raises(KeyMismatchError):  # still needed
        claimed_sealer(settings_of(embedded_redis, tmp_path, NEW), client)
    with pytest.raises(KeyMismatchError, match="newer one first"):  # and nobody begins with it again
        claimed_sealer(settings_of(embedded_redis, tmp_path, OLD, NEW), client)

    done = run_command("gallery", "rekey")
    assert "0 values, 0 pictures and 0 exports" in done.output
    sealer = claimed_sealer(settings_of(embedded_redis, tmp_path, NEW), client)
    assert len(Gallery(client, sealer).get_many([tracklet_id(number) for number in range(3)])) == 3
    with pytest.raises(KeyMismatchError):
        KeyRegistry(client, old.sealer).claim()
    monkeypatch.setenv("TAPETUM_ENCRYPTION_KEYS", "[]")
    assert run_command("gallery", "rekey", code=1).exception is not None


def test_every_store_of_the_service_gets_the_sealer() -> None:
    """A store that is made without it writes plainly, and nobody would notice."""
    root = Path(__file__).resolve().parents[2]
    paths = [path for part in ("pipeline", "service") for path in (root / part).rglob("*.py")]
    # Benchmarks have made-up vectors on a server of their own.
    trees = {path: ast.parse(path.read_text()) for path in paths if path.parent.name != "bench"}
    takers = {
        node.name: [argument.arg for argument in method.args.args].index("sealer")
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name != "Feed"  # others read no vectors with it
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
        if "sealer" in [argument.arg for argument in method.args.args]
    }
    assert {"Gallery", "MediaStore", "SearchStore", "PhotoStore", "WatchlistStore", "Spool", "IndexFollower"} <= set(
        takers
    )
    without = [
        f"{path.relative_to(root)}:{node.lineno} {node.func.id}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in takers
        if len(node.args) < takers[node.func.id] and not any(k.arg == "sealer" for k in node.keywords)
    ]
    assert without == []
