"""The spool: what was put survives; nothing is dropped silently; a broken file is no end."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.sealing import PLAIN, Sealer
from pipeline.spool import Spool, SpoolError, SpoolFullError
from tests.support.tracklets import handed_over, tracklet_id


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "w.sqlite"


def _put_all(spool: Spool, numbers: range) -> None:
    for number in numbers:
        spool.put(handed_over(number))


def test_what_was_put_comes_out_again(path: Path) -> None:
    tracklet = handed_over(1, shades=(3, 4))
    Spool(path).put(tracklet)
    (found,) = Spool(path).pending(10)
    for name in ("id", "revision", "camera_id", "modality", "started_at", "ended_at", "closed", "model_hash"):
        assert getattr(found, name) == getattr(tracklet, name), name
    np.testing.assert_array_equal(found.vector, tracklet.vector)
    assert [crop.jpeg for crop in found.crops] == [crop.jpeg for crop in tracklet.crops]
    assert [crop.box for crop in found.crops] == [crop.box for crop in tracklet.crops]
    assert found.crops[0].captured_at == tracklet.crops[0].captured_at


def test_only_this_user_can_read_the_file(path: Path) -> None:
    Spool(path).put(handed_over(1))
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("order", [(1, 2, 3), (3, 1, 2), (2, 3, 3), (1, 3, 2)])
def test_the_highest_revision_is_kept(path: Path, order: tuple[int, ...]) -> None:
    spool = Spool(path)
    for revision in order:
        spool.put(handed_over(1, revision=revision))
    assert [t.revision for t in spool.pending(10)] == [3]


def test_the_longest_waiting_come_first(path: Path) -> None:
    spool = Spool(path)
    for number in (5, 2, 9):
        spool.put(handed_over(number))
    assert [t.track_id for t in spool.pending(2)] == [5, 2]
    assert [t.track_id for t in spool.pending(2, skip={tracklet_id(5)})] == [2, 9]


def test_delivered_is_not_pending_and_a_later_revision_stays(path: Path) -> None:
    spool = Spool(path)
    spool.put(handed_over(1, revision=1))
    spool.put(handed_over(1, revision=2))
    spool.delivered([(tracklet_id(1), 1)])
    assert [t.revision for t in spool.pending(10)] == [2]
    spool.delivered([(tracklet_id(1), 2)])
    assert spool.pending(10) == []


def test_pictures_go_when_the_media_store_has_them(path: Path) -> None:
    spool = Spool(path)
    spool.put(handed_over(1))
    before = spool.stats().bytes
    spool.media_stored([(tracklet_id(1), 1)])
    (found,) = spool.pending(1)
    assert [crop.jpeg for crop in found.crops] == [None, None]
    assert all(crop.digest for crop in found.crops)
    assert spool.stats().bytes < before
    spool.put(handed_over(1, revision=2))
    spool.media_stored([(tracklet_id(1), 1)])  # about a revision that is outdated
    assert all(crop.jpeg for crop in spool.pending(1)[0].crops)


def test_a_replay_brings_back_what_was_delivered(path: Path) -> None:
    spool = Spool(path)
    for number in (1, 2):
        spool.put(handed_over(number))
        spool.delivered([(tracklet_id(number), 1)])
    assert spool.replay() == 2
    found = spool.pending(10)
    assert [t.track_id for t in found] == [1, 2]
    assert all(t.replayed and all(crop.jpeg is None for crop in t.crops) for t in found)


def test_tidying_drops_what_was_delivered_long_ago(path: Path) -> None:
    spool = Spool(path, keep_delivered_s=0.0)
    spool.put(handed_over(1))
    spool.put(handed_over(2))
    spool.delivered([(tracklet_id(1), 1)])
    assert spool.tidy() == 1
    assert (spool.stats().delivered_kept, spool.stats().pending) == (0, 1)


def test_a_full_spool_refuses_and_keeps_what_it_has(path: Path) -> None:
    spool = Spool(path, max_bytes=12_000)
    with pytest.raises(SpoolFullError, match="more than 12000 bytes"):
        _put_all(spool, range(100))
    taken = len(spool.pending(1000))
    assert 1 < taken < 100
    with pytest.raises(SpoolFullError):
        spool.put(handed_over(100))
    assert len(spool.pending(1000)) == taken
    assert spool.stats().refused_full == 2
    spool.delivered([(spool.pending(1)[0].id, 1)])
    spool.put(handed_over(200))
    assert len(spool.pending(1000)) == taken


def test_a_full_disk_is_said_and_passes(path: Path) -> None:
    spool = Spool(path)
    spool.put(handed_over(1))
    (pages,) = spool._db.execute("PRAGMA page_count").fetchone()
    spool._db.execute(f"PRAGMA max_page_count={pages}")  # SQLite's own way to run out of disk
    with pytest.raises(SpoolFullError, match="disk is full"):
        _put_all(spool, range(2, 50))
    kept = len(spool.pending(100))
    spool._db.execute("PRAGMA max_page_count=1000000")
    spool.put(handed_over(60))
    assert len(spool.pending(100)) == kept + 1


@pytest.mark.parametrize("damage", ["garbage", "truncated", "middle"])
def test_a_corrupt_file_is_moved_aside(path: Path, damage: str) -> None:
    spool = Spool(path)
    for number in range(50):
        spool.put(handed_over(number))
    spool.close()
    content = bytearray(path.read_bytes())
    if damage == "garbage":
        content = bytearray(b"not a database at all" * 1000)
    elif damage == "truncated":
        del content[len(content) // 3 :]
    else:
        content[4096:-4096] = bytes(len(content) - 8192)
    path.write_bytes(content)
    spool = Spool(path)
    spool.put(handed_over(99))
    assert [t.track_id for t in spool.pending(10)] == [99]
    assert spool.stats().replaced_corrupt == 1
    (aside,) = path.parent.glob("w.sqlite.corrupt-*Z")
    assert aside.read_bytes()[4096:] == bytes(content)[4096:]  # opening it may have touched its header


def test_corruption_found_while_running_does_not_lose_the_tracklet_at_hand(path: Path) -> None:
    spool = Spool(path)
    spool.put(handed_over(1))
    spool._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    spool._db.execute("PRAGMA cache_size=0")
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    spool.put(handed_over(2))
    assert [t.track_id for t in spool.pending(10)] == [2]
    assert spool.stats().replaced_corrupt == 1


def test_an_unreadable_tracklet_is_set_aside_alone(path: Path) -> None:
    spool = Spool(path)
    spool.put(handed_over(1))
    spool.put(handed_over(2))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE tracklets SET body='{' WHERE id=?", (tracklet_id(1),))
    db.close()
    assert [t.track_id for t in spool.pending(10)] == [2]
    assert spool.stats().quarantined == 1


def test_what_is_forgotten_is_gone_from_the_disk(path: Path) -> None:
    spool = Spool(path)
    spool.put(handed_over(1, shades=(201, 202)))
    spool.put(handed_over(2))
    (found,) = [t for t in spool.pending(10) if t.track_id == 1]
    vector, picture = found.vector.astype("<f4").tobytes(), found.crops[0].jpeg
    assert picture is not None
    everything = lambda: b"".join(file.read_bytes() for file in path.parent.iterdir())  # noqa: E731
    assert vector in everything()
    assert spool.forget([tracklet_id(1)]) == 1
    assert vector not in everything()
    assert tracklet_id(1).encode() not in everything()


def test_a_closed_spool_is_not_taken_for_a_corrupt_one(path: Path) -> None:
    spool = Spool(path)
    spool.put(handed_over(1))
    spool.close()
    with pytest.raises(SpoolError):
        spool.put(handed_over(2))
    assert len(Spool(path).pending(10)) == 1


def test_many_threads_put_at_once(path: Path) -> None:
    spool = Spool(path)
    numbers = list(range(80))

    def put(part: list[int]) -> None:
        for number in part:
            spool.put(handed_over(number))

    threads = [threading.Thread(target=put, args=(numbers[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(t.track_id for t in spool.pending(1000)) == numbers


def test_what_was_acknowledged_survives_kill_9(path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from pipeline.spool import Spool
        from tests.support.tracklets import handed_over
        spool = Spool(Path(sys.argv[1]))
        for number in range(100_000):
            spool.put(handed_over(number))
            print(number, flush=True)
        """
    )
    root = Path(__file__).parents[2]
    writer = subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert writer.stdout is not None
    acknowledged = -1
    for line in writer.stdout:
        acknowledged = int(line)
        if acknowledged == 40:
            writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert acknowledged >= 40
    found = {t.track_id for t in Spool(path).pending(1000)}
    assert found >= set(range(acknowledged + 1))


OLD, NEW = Sealer([b"1" * 32]), Sealer([b"2" * 32, b"1" * 32])


def _bytes_of(path: Path) -> bytes:
    return b"".join(part.read_bytes() for part in path.parent.iterdir())


@pytest.mark.parametrize("before", [PLAIN, OLD])
def test_a_sealed_spool_shows_nothing_and_gives_everything_back(path: Path, before: Sealer) -> None:
    tracklet = handed_over(1, shades=(3, 4))
    waiting = Spool(path, before)
    waiting.put(tracklet)
    waiting.close()
    spool = Spool(path, NEW)
    spool.put(handed_over(2))
    for sealed in (handed_over(2), tracklet):
        needles = [np.asarray(sealed.vector, "<f4").tobytes(), *(crop.jpeg for crop in sealed.crops)]
        assert not any(needle in _bytes_of(path) for needle in needles)
    spool.close()
    newest = Spool(path, Sealer([b"2" * 32]))  # the old key is not needed any more
    found = {item.id: item for item in newest.pending(10)}
    np.testing.assert_array_equal(found[tracklet.id].vector, tracklet.vector)
    assert [crop.jpeg for crop in found[tracklet.id].crops] == [crop.jpeg for crop in tracklet.crops]
    newest.close()


@pytest.mark.parametrize("without", [PLAIN, Sealer([b"3" * 32])])
def test_a_spool_whose_key_is_missing_is_refused_and_loses_nothing(path: Path, without: Sealer) -> None:
    waiting = Spool(path, OLD)
    waiting.put(handed_over(1))
    waiting.close()
    with pytest.raises(SpoolError, match="encryption_key"):
        Spool(path, without)
    again = Spool(path, OLD)
    assert len(again.pending(10)) == 1
    assert again.stats().quarantined == 0
    again.close()


def test_a_picture_of_another_tracklet_is_not_taken_for_its_own(path: Path) -> None:
    spool = Spool(path, OLD)
    _put_all(spool, range(1, 3))
    with sqlite3.connect(path) as db:
        db.execute("UPDATE pictures SET jpeg=(SELECT p.jpeg FROM pictures p WHERE p.id<>pictures.id)")
    db.close()
    assert spool.pending(10) == []
    assert spool.stats().quarantined == 2
