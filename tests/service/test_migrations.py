"""Older data are backed up and brought up to date once; newer ones are refused."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from service import migrations
from service.audit import AuditLog
from service.backup import BackupError
from service.backup.checking import check_backup
from service.gallery import Gallery, MediaError, MediaStore
from service.gallery.model_in_use import GalleryModel, GalleryModels
from service.migrations import Migration, migrate
from service.redis_server import connect
from service.schema_version import SCHEMA_KEY, SCHEMA_VERSION, SchemaError
from service.settings import Settings, load_settings
from tests.service.conftest import RedisUnderTest
from tests.support.tracklets import DIMENSION, MODEL, record


@pytest.fixture
def client(embedded_redis: RedisUnderTest) -> redis.Redis:
    return embedded_redis.client()


@pytest.fixture
def settings(embedded_redis: RedisUnderTest, tmp_path: Path) -> Settings:
    return load_settings(redis_url=embedded_redis.url, data_dir=tmp_path)


def before_versions(client: redis.Redis) -> None:
    """An installation as it was before there were versions: sightings and an audit log, no version, no named model."""
    gallery = Gallery(client)
    gallery.put_many([record(n) for n in range(5)] + [record(n, model="another") for n in range(5, 7)])
    AuditLog(client).append("service.start")


def backups(settings: Settings) -> list[Path]:
    return sorted((settings.data_dir / "backups").glob("*.tar"))


def test_an_empty_installation_has_this_version_and_no_backup(client: redis.Redis, settings: Settings) -> None:
    client.set("tapetum:login:x", 1)  # only of the moment
    migrate(client, settings)
    assert client.get(SCHEMA_KEY) == str(SCHEMA_VERSION).encode()
    assert backups(settings) == []


def test_data_without_a_version_are_saved_and_then_brought_here(client: redis.Redis, settings: Settings) -> None:
    before_versions(client)
    migrate(client, settings)
    assert client.get(SCHEMA_KEY) == str(SCHEMA_VERSION).encode()
    assert GalleryModels(client).read() == GalleryModel(MODEL, DIMENSION, "")
    (saved,) = backups(settings)
    checked = check_backup(saved).manifest
    assert (checked.schema, checked.records, checked.model_hash) == (0, 7, "")
    entry = AuditLog(client).newest(count=1)[0]
    assert (entry["event"], entry["details"]["backup"]) == ("schema.migrate", saved.name)
    migrate(client, settings)
    assert backups(settings) == [saved]


@pytest.mark.parametrize("migration", migrations.MIGRATIONS, ids=lambda m: f"to {m.to}")
def test_each_step_may_be_done_again(client: redis.Redis, migration: Migration) -> None:
    before_versions(client)
    migration.run(client)
    keys = {name: client.dump(name) for name in client.scan_iter()}
    migration.run(client)
    assert {name: client.dump(name) for name in client.scan_iter()} == keys


def test_steps_are_in_order_and_end_at_this_version() -> None:
    assert [migration.to for migration in migrations.MIGRATIONS] == list(range(1, SCHEMA_VERSION + 1))


def test_what_was_cut_off_is_done_again(
    client: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_versions(client)

    def dies(_: redis.Redis) -> None:
        raise RuntimeError("killed")

    broken = [replace(migration, run=dies) for migration in migrations.MIGRATIONS]
    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", broken)
        with pytest.raises(RuntimeError, match="killed"):
            migrate(client, settings)
    assert client.get(SCHEMA_KEY) is None
    migrate(client, settings)
    assert client.get(SCHEMA_KEY) == str(SCHEMA_VERSION).encode()


def test_without_a_backup_nothing_is_changed(
    client: redis.Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_versions(client)
    (settings.data_dir / "backups").write_bytes(b"a file where the folder should be")
    with pytest.raises(BackupError, match="is no folder"):
        migrate(client, settings)
    assert client.get(SCHEMA_KEY) is None
    (settings.data_dir / "backups").unlink()

    def away(*_: Any) -> None:
        raise MediaError("no answer")

    monkeypatch.setattr(MediaStore, "stored", away)
    gallery = Gallery(client)
    crop = record(30)
    key = MediaStore.key(crop.camera_id, crop.started_at, crop.id, "0" * 32)
    gallery.put(replace(crop, thumbnail=key))
    with pytest.raises(MediaError):
        migrate(client, settings)
    assert client.get(SCHEMA_KEY) is None
    assert backups(settings) == []


def test_of_several_processes_one_does_it(client: redis.Redis, settings: Settings) -> None:
    before_versions(client)
    failures: list[BaseException] = []

    def start() -> None:
        try:
            own = connect(settings)
            migrate(own, settings)
            own.close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(backups(settings)) == 1
    assert [e["event"] for e in AuditLog(client).newest()].count("schema.migrate") == SCHEMA_VERSION


@pytest.mark.parametrize(("value", "words"), [(SCHEMA_VERSION + 1, "update tapetum"), ("x", "expected a number")])
def test_data_of_a_newer_program_are_refused(
    client: redis.Redis, settings: Settings, value: object, words: str
) -> None:
    client.set(SCHEMA_KEY, str(value))
    for start in (lambda: connect(settings), lambda: migrate(client, settings)):
        with pytest.raises(SchemaError, match=words):
            start()
    connect(settings, any_schema=True).close()
