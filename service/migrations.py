"""Data of an older version are brought to this one at the start: a backup first, then one step after the other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import redis
import structlog

from pipeline.sealing import PLAIN, SEAL_BYTES, is_sealed
from service.audit import AuditLog, Trail
from service.backup import write_backup
from service.backup.keyspace import all_names, is_passing
from service.gallery import MediaStore, keys
from service.gallery.feed import Feed
from service.gallery.model_in_use import GalleryModel, GalleryModels
from service.gallery.store import redis_at_work
from service.lease import Lease
from service.schema_version import SCHEMA_KEY, SCHEMA_VERSION, SchemaError, check_schema, schema_version
from service.settings import Settings

__all__ = ["MIGRATIONS", "Migration", "backup_path", "migrate"]

log = structlog.get_logger("tapetum.migrations")

Progress = Callable[[str, float | None], None]
_LEASE = "tapetum:lock:migration"
_LEASE_S = 300
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Migration:
    """One step. It may be cut off anywhere, and is then done again from its beginning.

    Attributes:
        to: the version that the data have after it.
    """

    to: int
    what: str
    run: Callable[[redis.Redis], None]


def backup_path(settings: Settings, reason: str) -> Path:
    """Where a backup goes that nobody asked for; `write_backup` makes the folder."""
    return settings.data_dir / "backups" / f"{reason}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.tar"


def migrate(client: redis.Redis, settings: Settings, *, progress: Progress = lambda *_: None) -> None:
    """Bring the data to this program's version, or wait until another process has.

    Raises:
        SchemaError: they are newer, or half restored.
        BackupError: the backup could not be written; nothing was changed.
        GalleryUnavailable, MediaError, AuditUnavailable.
    """
    lease = Lease(client, _LEASE, _LEASE_S)
    with redis_at_work():
        while True:
            check_schema(client)
            found = schema_version(client)
            if found == SCHEMA_VERSION:
                return
            if lease.take():
                break
            time.sleep(_LOOK_EVERY_S)
        try:
            if schema_version(client) == found:
                _migrate(client, settings, found, lease, progress)
        finally:
            lease.give_back()


def _migrate(client: redis.Redis, settings: Settings, found: int, lease: Lease, progress: Progress) -> None:
    if found == 0 and all(is_passing(name) for name in all_names(client)):
        client.set(SCHEMA_KEY, SCHEMA_VERSION)
        return

    def go_on(what: str, share: float | None) -> None:
        if not lease.take():
            raise SchemaError("another process took the migration over; start again")
        progress(f"backup before the update: {what}", share)

    path = backup_path(settings, f"before-schema-{SCHEMA_VERSION}")
    log.info("the data are of an older version and are backed up first", found=found, file=str(path))
    write_backup(client, MediaStore(settings.media_base, PLAIN), path, trail=Trail(), progress=go_on)
    for migration in MIGRATIONS:
        if migration.to > found:
            log.info("migration", to=migration.to, what=migration.what)
            migration.run(client)
            AuditLog(client).append("schema.migrate", to=migration.to, what=migration.what, backup=path.name)
            client.set(SCHEMA_KEY, migration.to)


def _name_model(client: redis.Redis) -> None:
    """The model of most sightings is the gallery's, so that another checkpoint does not make them disappear.

    How it is called and calibrated says the first process that has it loaded.
    """
    models = GalleryModels(client)
    if models.read() is not None:
        return
    found: Counter[bytes] = Counter()
    example: dict[bytes, str] = {}
    for batch in Feed(client).ids():
        with client.pipeline(transaction=False) as pipe:
            for one in batch:
                pipe.hget(keys.record(one), "model")
            replies = pipe.execute(raise_on_error=False)
        known = {model: one for one, model in zip(batch, replies, strict=True) if isinstance(model, bytes)}
        found.update(model for model in replies if isinstance(model, bytes))
        example.update(known)
    if found:
        (model, _), *_ = found.most_common(1)
        vector = cast("bytes | None", client.hget(keys.record(example[model]), "vector")) or b""
        size = len(vector) - (SEAL_BYTES if is_sealed(vector) else 0)
        models.switch(GalleryModel(model.decode(), size // 2, label=""))


MIGRATIONS = (Migration(1, "names the model that the gallery is searched by", _name_model),)
